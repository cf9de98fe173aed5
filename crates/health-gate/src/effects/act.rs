//! Acting on a verdict: the answer to a hook that a deployment waits at, and taking a deployment back.

use std::time::Duration;

use common::aws::{Aws, Stopped};
use common::edges::Edges;
use common::failure::Failure;
use common::poll::{Ended, Judged, Pace, poll};

use crate::pause::{Answered, Pause, Reply};
use crate::plan::Gate;

/// How long a call is repeated that ECS throttles, or that does not reach it.
const PATIENCE: Pace = Pace { every: Duration::from_secs(2), limit: Duration::from_secs(90), patience: 45 };

/// What came of taking a deployment back.
#[derive(Debug)]
pub(crate) enum RolledBack {
    /// That was not asked for, or there is no reason to.
    Nothing,
    /// ECS takes back the deployment, which was still on its way.
    Requested,
    /// The deployment has arrived: there is nothing that ECS could stop, and a release to be rolled back.
    Arrived,
    /// ECS did not take the call.
    Failed(Failure),
}

impl RolledBack {
    /// The word for it, in the output `rollback`.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Nothing => "none",
            Self::Requested => "requested",
            Self::Arrived | Self::Failed(_) => "needed",
        }
    }
}

/// Answers a hook: one call, repeated while ECS throttles or cannot be reached.
pub(super) async fn answer(gate: &Gate, pause: &Pause, reply: Reply, aws: &Aws, edges: &Edges) -> Answered {
    let (deployment, hook) = (&pause.deployment, &pause.hook.id);
    let mut is_repeated = false;
    let call = async || {
        // One whose answer was lost may have been carried out: it would be refused now.
        if std::mem::replace(&mut is_repeated, true) {
            let records = aws.ecs.describe_service_deployments(std::slice::from_ref(deployment)).await?;
            if records.iter().any(|record| pause.is_answered(reply, record)) {
                return Ok(Judged::Done(()));
            }
        }
        aws.ecs.continue_service_deployment(deployment, hook, reply == Reply::Continue).await.map(Judged::Done)
    };
    let failure = match poll(PATIENCE, &edges.stop, call).await {
        Ok(Ended::Done(())) => {
            edges.runner.say(format!("{}: hook {hook} is answered with {reply}", gate.name));
            return Answered::Given(reply);
        }
        Ok(Ended::Cancelled) => Failure::cancelled("the run was cancelled before ECS took the answer"),
        Ok(Ended::TimedOut) => Failure::remote("ECS did not take the answer in time"),
        Err(failure) => failure,
    };
    edges.runner.say(format!("{}: hook {hook} is not answered with {reply}: {:#}", gate.name, failure.error));
    Answered::Failed(reply, failure)
}

/// Has ECS take back the deployment that is on its way, if one is.
pub(super) async fn roll_back(gate: &Gate, aws: &Aws, edges: &Edges) -> RolledBack {
    let Some(state) = &gate.state else { return RolledBack::Nothing };
    let call = async || {
        let going = aws.ecs.latest_service_deployments(&state.cluster, &state.service, Some("IN_PROGRESS")).await?;
        let Some(deployment) = going.first() else { return Ok(Judged::Done(RolledBack::Arrived)) };
        Ok(Judged::Done(match aws.ecs.stop_service_deployment(&deployment.arn).await? {
            Stopped::Requested => RolledBack::Requested,
            Stopped::TooLate => RolledBack::Arrived,
        }))
    };
    let rolled_back = match poll(PATIENCE, &edges.stop, call).await {
        Ok(Ended::Done(rolled_back)) => rolled_back,
        Ok(Ended::Cancelled) => {
            RolledBack::Failed(Failure::cancelled("the run was cancelled before ECS took the call"))
        }
        Ok(Ended::TimedOut) => RolledBack::Failed(Failure::remote("ECS did not take the call in time")),
        Err(failure) => RolledBack::Failed(failure),
    };
    edges.runner.say(match &rolled_back {
        RolledBack::Failed(failure) => format!("{}: not taken back: {:#}", gate.name, failure.error),
        RolledBack::Requested => format!("{}: ECS takes the deployment back", gate.name),
        RolledBack::Arrived | RolledBack::Nothing => {
            format!("{}: the deployment has arrived: the release is ecs-deploy's to roll back", gate.name)
        }
    });
    rolled_back
}
