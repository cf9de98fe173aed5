//! Worlds that begin with services that already run, and how tests look at what became of them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::tasks::Task;
use super::{clusters, configuration, describe, lifecycle, scheduler, services, stages, task_definitions};
use crate::state::{State, World};
use crate::wire::Refusal;
use crate::{ecr, elb, iam, logs};

/// A service that already runs: one deployment, completed, with healthy tasks.
#[derive(Clone, Debug)]
pub struct ServiceSeed {
    /// The cluster's name; it is made if it is not there.
    pub cluster: String,
    /// The service's name.
    pub name: String,
    /// What RegisterTaskDefinition gets.
    pub task_definition: Value,
    /// How many tasks run. One, unless it is said.
    pub desired_count: u32,
    /// The deployment circuit breaker. None, unless it is said: that is what ECS does with services that do not opt in.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// The name of a target group, made if it is not there.
    pub target_group: Option<String>,
    /// `minimumHealthyPercent`. 100, unless it is said.
    pub minimum_healthy_percent: u32,
    /// `maximumPercent`. 200, unless it is said.
    pub maximum_percent: u32,
    /// Further members of `deploymentConfiguration`: a strategy, hooks, alarms, a bake time.
    pub deployment_configuration: Value,
    /// Its load balancer can shift traffic: it has an alternate target group and listener rules. Always so with a strategy that
    /// needs it.
    pub shifts_traffic: bool,
    /// The type of its deployment controller. `ECS`, unless it is said.
    pub controller: String,
    /// `schedulingStrategy`. `REPLICA`, unless it is said; for a `DAEMON` the desired count is that of the container instances.
    pub scheduling: String,
    /// It has just been created: its first deployment is still on its way, and may never complete.
    pub just_created: bool,
}

/// An enabled deployment circuit breaker.
#[derive(Clone, Copy, Debug, Default)]
pub struct CircuitBreaker {
    /// Whether a failed deployment is rolled back.
    pub rollback: bool,
}

/// What a test wants to know of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceView {
    /// The ARN of the service.
    pub arn: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: String,
    /// The ARN of the task definition that the service is to run.
    pub task_definition: String,
    /// How many tasks it is to have.
    pub desired: u32,
    /// How many of its tasks are RUNNING.
    pub running: u32,
    /// How many of its tasks are on their way.
    pub pending: u32,
    /// The images of the tasks that are RUNNING, each once, in order.
    pub images: Vec<String>,
    /// `rolloutState` of the primary deployment.
    pub rollout: String,
    /// `lifecycleStage` of its latest service deployment.
    pub stage: Option<String>,
    /// The statuses of its service deployments, the newest first.
    pub service_deployments: Vec<String>,
    /// What its scheduler says, the newest first.
    pub events: Vec<String>,
}

/// What a test wants to know of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskView {
    /// Its identifier, without the rest of its ARN.
    pub id: String,
    /// The ARN of its task definition.
    pub task_definition: String,
    /// `service:auth` or `family:auth`.
    pub group: String,
    /// Who launched it, as they said.
    pub started_by: Option<String>,
    /// `lastStatus`.
    pub status: String,
    /// `stopCode`.
    pub stop_code: Option<String>,
    /// `stoppedReason`.
    pub stopped_reason: Option<String>,
    /// The exit code of each container, by name.
    pub exit_codes: BTreeMap<String, Option<i64>>,
    /// The container definitions, with the overrides of the launch.
    pub containers: Vec<Value>,
}

impl Default for ServiceSeed {
    fn default() -> Self {
        Self {
            cluster: "default".to_owned(),
            name: String::new(),
            task_definition: Value::Null,
            desired_count: 1,
            circuit_breaker: None,
            target_group: None,
            minimum_healthy_percent: 100,
            maximum_percent: 200,
            deployment_configuration: Value::Null,
            shifts_traffic: false,
            controller: "ECS".to_owned(),
            scheduling: "REPLICA".to_owned(),
            just_created: false,
        }
    }
}

impl World {
    /// Makes a cluster.
    pub fn create_cluster(&self, name: &str) {
        self.with(|state| clusters::create(state, name));
    }

    /// Registers a task definition and gives its ARN.
    ///
    /// # Panics
    /// If ECS would refuse it: the test is at fault.
    pub fn register_task_definition(&self, task_definition: &Value) -> String {
        self.with(|state| accepted(register(state, task_definition)))
    }

    /// Makes a service that already runs, without letting time pass, and gives the ARN of its task definition.
    ///
    /// # Panics
    /// If ECS would refuse the service or its task definition: the test is at fault.
    pub fn create_service(&self, seed: ServiceSeed) -> String {
        self.with(|state| accepted(create(state, seed)))
    }

    /// Deletes a service: its tasks stop, then it is INACTIVE.
    pub fn delete_service(&self, cluster: &str, name: &str) {
        self.with(|state| {
            if let Some(arn) = services::find(state, cluster, name).map(|service| service.arn.clone()) {
                services::drain(state, &arn);
            }
        });
    }

    /// From now on a task definition is found, by other calls than the one that registers it, only after this time: ECS is
    /// eventually consistent.
    pub fn delay_task_definitions(&self, delay: Duration) {
        self.with(|state| state.ecs.task_definitions_appear_after = delay);
    }

    /// A service as it is now.
    pub fn service(&self, cluster: &str, name: &str) -> Option<ServiceView> {
        self.with(|state| services::find(state, cluster, name).map(|service| view(state, service)))
    }

    /// The tasks of a cluster, in the order of their launches, those included that stopped within the last hour.
    pub fn tasks(&self, cluster: &str) -> Vec<TaskView> {
        self.with(|state| state.ecs.tasks.values().filter(|task| task.cluster == cluster).map(task_view).collect())
    }
}

fn accepted<T>(result: Result<T, Refusal>) -> T {
    match result {
        Ok(value) => value,
        Err(refusal) => panic!("{}: {}", refusal.code, refusal.message),
    }
}

/// Registers what a world begins with. The roles and log groups that it names exist then: it has been running with them.
fn register(state: &mut State, task_definition: &Value) -> Result<String, Refusal> {
    iam::create_roles_of(state, task_definition);
    logs::create_groups_of(state, task_definition);
    let registered = task_definitions::register(state, task_definition)?;
    Ok(registered["taskDefinition"]["taskDefinitionArn"].as_str().unwrap_or_default().to_owned())
}

fn create(state: &mut State, seed: ServiceSeed) -> Result<String, Refusal> {
    clusters::create(state, &seed.cluster);
    let task_definition = register(state, &seed.task_definition)?;
    let awsvpc = seed.task_definition["networkMode"] == "awsvpc";
    let network = json!({
        "awsvpcConfiguration": {
            "subnets": ["subnet-0a1b2c3d4e5f60718"],
            "securityGroups": ["sg-0a1b2c3d4e5f60718"],
            "assignPublicIp": "DISABLED",
        }
    });
    let is_daemon = seed.scheduling == "DAEMON";
    let body = json!({
        "cluster": seed.cluster,
        "serviceName": seed.name,
        "taskDefinition": task_definition,
        "desiredCount": (!is_daemon).then_some(seed.desired_count),
        "launchType": if awsvpc && !is_daemon { "FARGATE" } else { "EC2" },
        "schedulingStrategy": seed.scheduling,
        "deploymentController": { "type": seed.controller },
        "networkConfiguration": awsvpc.then_some(network),
        "loadBalancers": load_balancers(state, &seed),
        "deploymentConfiguration": deployment_configuration(&seed),
    });
    let created = services::create(state, &super::without_nulls(body))?;
    let arn = created["service"]["serviceArn"].as_str().unwrap_or_default().to_owned();
    if let Some(service) = state.ecs.services.get_mut(&arn) {
        service.desired_count = seed.desired_count;
        if seed.controller != "ECS" {
            service.service_deployments.clear();
        }
    }
    if !seed.just_created {
        has_long_been_running(state, &arn);
    }
    Ok(task_definition)
}

fn load_balancers(state: &mut State, seed: &ServiceSeed) -> Vec<Value> {
    let container = &seed.task_definition["containerDefinitions"][0];
    let port = container["portMappings"][0]["containerPort"].as_u64().unwrap_or(80);
    let shifts = seed.shifts_traffic || stages::shifts(&seed.deployment_configuration);
    let Some(name) = &seed.target_group else { return Vec::new() };
    let arn = elb::create_target_group(state, name, port);
    let alternate = shifts.then(|| elb::create_target_group(state, &format!("{name}-alternate"), port));
    let rule = |rule: &str| {
        format!(
            "arn:aws:elasticloadbalancing:{}:{}:listener-rule/app/{name}/0123456789abcdef/{rule}",
            state.region, state.account
        )
    };
    let advanced = alternate.map(|alternate| {
        json!({
            "alternateTargetGroupArn": alternate,
            "productionListenerRule": rule("fedcba9876543210/1111111111111111"),
            "testListenerRule": rule("0f1e2d3c4b5a6978/2222222222222222"),
            "roleArn": format!("arn:aws:iam::{}:role/ecs-load-balancers", state.account),
        })
    });
    vec![super::without_nulls(json!({
        "targetGroupArn": arn,
        "containerName": container["name"],
        "containerPort": port,
        "advancedConfiguration": advanced,
    }))]
}

fn deployment_configuration(seed: &ServiceSeed) -> Value {
    let breaker = seed.circuit_breaker;
    let is_daemon = seed.scheduling == "DAEMON";
    let stated = super::without_nulls(json!({
        "deploymentCircuitBreaker": {
            "enable": breaker.is_some(),
            "rollback": breaker.is_some_and(|breaker| breaker.rollback),
        },
        "minimumHealthyPercent": (!is_daemon).then_some(seed.minimum_healthy_percent),
        "maximumPercent": (!is_daemon).then_some(seed.maximum_percent),
    }));
    configuration::merged(&stated, &seed.deployment_configuration)
}

/// Lets the scheduler launch the tasks, and everything else be done already.
fn has_long_been_running(state: &mut State, arn: &str) {
    let now = state.now;
    if let Some(service) = state.ecs.services.get_mut(arn) {
        service.acts_at = now;
        if let Some(deployment) = service.on_its_way_mut() {
            deployment.journey.end(100.0);
        }
    }
    scheduler::reconcile(state, arn);
    let sequences: Vec<u64> = scheduler::tasks(state, arn).map(|task| task.sequence).collect();
    for sequence in sequences {
        let images: Vec<String> = state.ecs.tasks[&sequence].containers.iter().map(|one| one.image.clone()).collect();
        let digests: Vec<Option<String>> =
            images.iter().map(|image| ecr::image(state, image).map(|image| image.digest)).collect();
        if let Some(task) = state.ecs.tasks.get_mut(&sequence) {
            lifecycle::has_long_been_running(task, now);
            for (container, digest) in task.containers.iter_mut().zip(digests) {
                container.digest = digest.filter(|digest| !digest.is_empty());
            }
        }
    }
    scheduler::complete(state, arn);
    if let Some(service) = state.ecs.services.get_mut(arn) {
        service.steady = true;
        service.due = None;
        service.steady_at = None;
    }
    services::announce(state, arn, "has reached a steady state.");
}

fn view(state: &State, service: &services::Service) -> ServiceView {
    let running = || scheduler::tasks(state, &service.arn).filter(|task| task.is_running());
    let pending = scheduler::tasks(state, &service.arn).filter(|task| task.count_status() == "PENDING").count();
    let mut images: Vec<String> = running().flat_map(|task| &task.containers).map(|one| one.image.clone()).collect();
    images.sort();
    images.dedup();
    let primary = service.primary();
    ServiceView {
        arn: service.arn.clone(),
        status: service.status.to_owned(),
        task_definition: primary.map(|deployment| deployment.task_definition.clone()).unwrap_or_default(),
        desired: service.desired_count,
        running: u32::try_from(running().count()).unwrap_or(u32::MAX),
        pending: u32::try_from(pending).unwrap_or(u32::MAX),
        images,
        stage: service.service_deployments.last().and_then(|one| one.stage()).map(str::to_owned),
        rollout: primary.map(|deployment| describe::rollout(deployment.rollout).to_owned()).unwrap_or_default(),
        service_deployments: service.service_deployments.iter().rev().map(|one| one.status.to_owned()).collect(),
        events: service.events.iter().map(|event| event.message.clone()).collect(),
    }
}

fn task_view(task: &Task) -> TaskView {
    TaskView {
        id: task.id.clone(),
        task_definition: task.task_definition.clone(),
        group: task.group.clone(),
        started_by: task.started_by.clone(),
        status: task.status.name().to_owned(),
        stop_code: task.stop.as_ref().map(|stop| stop.code.to_owned()),
        stopped_reason: task.stop.as_ref().map(|stop| stop.reason.clone()),
        exit_codes: task.containers.iter().map(|container| (container.name.clone(), container.exit_code)).collect(),
        containers: task.containers.iter().map(|container| container.definition.clone()).collect(),
    }
}
