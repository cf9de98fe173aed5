//! The world itself: what exists in it, and the one door through which every request comes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{DATE, HeaderValue};
use http::{Request, Response};
use jiff::Timestamp;

use crate::calls::{Call, Fault, Faults};
use crate::clock::{Clock, Timing};
use crate::death::Death;
use crate::route::Route;
use crate::serve::IsCutOff;
use crate::throttle::Throttle;
use crate::{cloudwatch, docker, ecr, ecs, elb, github, iam, logs, rds, secretsmanager, ssm, sts};

/// A simulated AWS account, its region, a GitHub and a Docker engine. Cheap to clone: every clone is the same world.
#[derive(Clone, Debug)]
pub struct World(Arc<Mutex<State>>);

/// Everything that exists in a [`World`].
#[derive(Debug)]
pub struct State {
    pub(crate) account: String,
    pub(crate) region: String,
    /// The host, with its port if it has one, at which the registry answers: ECR's own name, or loopback once served.
    pub(crate) registry_host: String,
    pub(crate) timing: Timing,
    pub(crate) now: Timestamp,
    clock: Clock,
    faults: Faults,
    calls: Vec<Call>,
    throttle: Throttle,
    pub(crate) death: Option<Death>,
    pub(crate) cloudwatch: cloudwatch::CloudWatch,
    pub(crate) docker: docker::Docker,
    pub(crate) ecs: ecs::Ecs,
    pub(crate) ecr: ecr::Ecr,
    pub(crate) elb: elb::Elb,
    pub(crate) github: github::GitHub,
    pub(crate) iam: iam::Iam,
    pub(crate) logs: logs::Logs,
    pub(crate) rds: rds::Rds,
    pub(crate) secretsmanager: secretsmanager::SecretsManager,
    pub(crate) ssm: ssm::Ssm,
    pub(crate) sts: sts::Sts,
}

impl World {
    /// A world of its own: account `111122223333`, region `eu-west-1`, empty. Its calendar starts at `epoch`.
    pub fn starting_at(epoch: Timestamp, timing: Timing) -> Self {
        Self(Arc::new(Mutex::new(State {
            account: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
            registry_host: "111122223333.dkr.ecr.eu-west-1.amazonaws.com".to_owned(),
            timing,
            now: epoch,
            clock: Clock::starting_at(epoch),
            faults: Faults::default(),
            calls: Vec::new(),
            throttle: Throttle::default(),
            death: None,
            cloudwatch: cloudwatch::CloudWatch::default(),
            docker: docker::Docker::default(),
            ecs: ecs::Ecs::default(),
            ecr: ecr::Ecr::default(),
            elb: elb::Elb::default(),
            github: github::GitHub::default(),
            iam: iam::Iam::default(),
            logs: logs::Logs::default(),
            rds: rds::Rds::default(),
            secretsmanager: secretsmanager::SecretsManager::default(),
            ssm: ssm::Ssm::default(),
            sts: sts::Sts::default(),
        })))
    }

    /// A world for tests: it starts on 2026-01-05 09:00 UTC, a Monday, and takes as long as Fargate does.
    pub fn new() -> Self {
        Self::starting_at(Timestamp::constant(1_767_603_600, 0), Timing::FARGATE)
    }

    /// Looks at, or changes, what exists. The world has caught up with its clock before `look` sees it.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        state.catch_up();
        look(&mut state)
    }

    /// The present moment on the world's calendar.
    pub fn now(&self) -> Timestamp {
        self.with(|state| state.now)
    }

    /// Scripts the next `times` calls of this name (`ecs:DescribeServices`, `PUT /v2/app/blobs/uploads/*`) to meet a fault.
    pub fn script(&self, call: &str, fault: Fault, times: usize) {
        self.lock().faults.script(call, fault, times);
    }

    /// Every call so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The names of the calls so far that asked for a change, in order.
    pub fn writes(&self) -> Vec<String> {
        self.lock().calls.iter().filter(|call| call.is_write()).map(|call| call.name.clone()).collect()
    }

    /// Every call so far as lines of JSON: `name`, `request`, `status`, `answer`, and `raw` for an answer in XML.
    pub fn transcript(&self) -> String {
        self.lock().calls.iter().map(|call| call.line() + "\n").collect()
    }

    /// Answers one request that came over the network. `None` means that the connection closes without an answer.
    pub(crate) fn answer(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        self.admit(&Route::of(request), request)
    }

    /// Answers one request that came over the Docker engine's socket. `None` as for [`World::answer`].
    pub(crate) fn answer_docker(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        self.admit(&Route::Docker, request)
    }

    fn admit(&self, route: &Route, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let mut state = self.lock();
        if state.death.as_ref().is_some_and(Death::is_past) {
            return None;
        }
        state.catch_up();
        let (name, now) = (route.name(request), state.now);
        let mut fault = state.faults.take(&name);
        if fault.is_none() && !state.throttle.admits(&name, now) {
            fault = Some(Fault::Throttled);
        }
        let mut response = match &fault {
            None | Some(Fault::AnswerLost | Fault::CutOff) => route.answer(&mut state, request),
            Some(fault) => route.refuse(fault, &name, &state.account),
        };
        // Everything that answers over HTTP tells its clock (RFC 9110, "Date").
        if let Ok(date) = HeaderValue::from_str(&state.now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()) {
            response.headers_mut().insert(DATE, date);
        }
        state.calls.push(route.record(name, request, &response));
        if let Some(Fault::CutOff) = fault {
            response.extensions_mut().insert(IsCutOff);
        }
        if let Some(death) = &mut state.death {
            death.comes_closer();
        }
        (!matches!(fault, Some(Fault::AnswerLost | Fault::Closed))).then_some(response)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    /// Lets everything happen that was due by now.
    fn catch_up(&mut self) {
        self.now = self.clock.now();
        ecs::catch_up(self);
    }
}
