//! Services: what is asked of them. What their scheduler makes of it is in [`super::scheduler`].

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::deployments::{self, Deployment, Revision, ServiceDeployment};
use super::tasks::Task;
use super::{
    clusters, configuration, describe, identifiers, launch, missing, page, strings, task_definitions, without_nulls,
};
use crate::state::State;
use crate::wire::Refusal;

/// A service, with its history.
#[derive(Debug)]
pub(crate) struct Service {
    pub(super) arn: String,
    pub(crate) name: String,
    pub(crate) cluster: String,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub(super) status: &'static str,
    pub(super) desired_count: u32,
    /// What CreateService and UpdateService said, but for what has a field here.
    pub(super) settings: Map<String, Value>,
    /// The deployments since the last one that completed, that one included; the newest last.
    pub(super) deployments: Vec<Deployment>,
    /// The identifier of the deployment that the service is to have.
    pub(super) primary: String,
    /// The newest last.
    pub(super) service_deployments: Vec<ServiceDeployment>,
    pub(super) revisions: Vec<Revision>,
    /// The newest first, a hundred at most.
    pub(super) events: Vec<Event>,
    pub(super) created_at: Timestamp,
    /// Before this moment the scheduler has not noticed the last change.
    pub(super) acts_at: Timestamp,
    /// When the scheduler looks by itself.
    pub(super) due: Option<Timestamp>,
    /// When it will have been calm for long enough.
    pub(super) steady_at: Option<Timestamp>,
    pub(super) steady: bool,
    /// How many requests it was asked to answer.
    pub(crate) requests: usize,
}

/// Something that the scheduler says about a service.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) created_at: Timestamp,
    pub(super) message: String,
}

/// The members of a service that a deployment takes along: a change of one of them is a new service revision.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html>
pub(super) const REVISION_MEMBERS: [&str; 8] = [
    "platformVersion",
    "loadBalancers",
    "serviceRegistries",
    "networkConfiguration",
    "serviceConnectConfiguration",
    "volumeConfigurations",
    "vpcLatticeConfigurations",
    "capacityProviderStrategy",
];

/// The members that change in place.
const SERVICE_MEMBERS: [&str; 7] = [
    "healthCheckGracePeriodSeconds",
    "enableECSManagedTags",
    "propagateTags",
    "enableExecuteCommand",
    "placementConstraints",
    "placementStrategy",
    "availabilityZoneRebalancing",
];

/// CreateService.
pub(super) fn create(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let cluster = clusters::named(state, body)?;
    let name = body["serviceName"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(Refusal::new("InvalidParameterException", "Service name can not be empty."));
    }
    let arn = state.ecs_arn(&format!("service/{cluster}/{name}"));
    match state.ecs.services.get(&arn).map(|service| service.status) {
        None | Some("INACTIVE") => {}
        Some("DRAINING") => {
            let message = "Unable to Start a service that is still Draining.";
            return Err(Refusal::new("InvalidParameterException", message));
        }
        Some(_) => return Err(Refusal::new("InvalidParameterException", "Creation of service was not idempotent.")),
    }
    let definition = task_definitions::usable(state, body["taskDefinition"].as_str().unwrap_or_default())?;
    launch::check(definition, body)?;
    let task_definition = definition.arn.clone();
    let mut settings = Map::new();
    for member in ["launchType", "schedulingStrategy", "deploymentController"] {
        settings.extend(body.get(member).map(|value| (member.to_owned(), value.clone())));
    }
    if body["schedulingStrategy"] == "DAEMON" {
        refuse_desired_count(body)?;
        if body["launchType"] == "FARGATE" {
            let message = "The daemon scheduling strategy does not support the launch type FARGATE.";
            return Err(Refusal::new("InvalidParameterException", message));
        }
    }
    configuration::check(&body["deploymentConfiguration"], &body["loadBalancers"])?;
    let service = Service {
        arn: arn.clone(),
        name,
        cluster,
        status: "ACTIVE",
        desired_count: count(body).unwrap_or(0),
        settings,
        deployments: Vec::new(),
        primary: String::new(),
        service_deployments: Vec::new(),
        revisions: Vec::new(),
        events: Vec::new(),
        created_at: state.now,
        acts_at: state.now,
        due: None,
        steady_at: None,
        steady: false,
        requests: 0,
    };
    state.ecs.services.insert(arn.clone(), service);
    set(state, &arn, body);
    if let Some(tags) = body["tags"].as_array() {
        state.ecs.tags.insert(arn.clone(), tags.clone());
    }
    deployments::start(state, &arn, &task_definition);
    Ok(answered(state, &arn))
}

/// UpdateService.
pub(super) fn update(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let cluster = clusters::named(state, body)?;
    let service = existing(state, &cluster, body["service"].as_str().unwrap_or_default())?;
    if !service.is_active() {
        return Err(Refusal::new("ServiceNotActiveException", "Service was not ACTIVE."));
    }
    let arn = service.arn.clone();
    let running = service.primary().map_or_else(String::new, |deployment| deployment.task_definition.clone());
    let task_definition = match body["taskDefinition"].as_str() {
        Some(reference) => task_definitions::usable(state, reference)?.arn.clone(),
        None => running.clone(),
    };
    check_update(service, body, task_definition != running)?;
    let changes = |member: &&str| body.get(*member).is_some_and(|new| service.settings.get(*member) != Some(new));
    let changed = REVISION_MEMBERS.iter().any(changes) || task_definition != running;
    if let Some(definition) = task_definitions::find(state, &task_definition) {
        let mut merged = Value::Object(service.settings.clone());
        if let Some(network) = body.get("networkConfiguration") {
            merged["networkConfiguration"] = network.clone();
        }
        launch::check(definition, &merged)?;
    }
    set(state, &arn, body);
    if changed || body["forceNewDeployment"] == true {
        deployments::start(state, &arn, &task_definition);
    } else {
        super::scheduler::wake(state, &arn);
    }
    Ok(answered(state, &arn))
}

/// Refuses what ECS refuses of an update.
fn check_update(service: &Service, body: &Value, is_new_definition: bool) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new("InvalidParameterException", message));
    let kind = service.controller();
    if kind != "ECS" && is_new_definition {
        return refuse(format!("Unable to update task definition on services with a {kind} deployment controller."));
    }
    if kind != "ECS" && body["forceNewDeployment"] == true {
        return refuse(format!("Cannot force a new deployment on services with a {kind} deployment controller."));
    }
    if service.is_daemon() {
        refuse_desired_count(body)?;
    }
    let (old, new) = (service.configuration(), &body["deploymentConfiguration"]);
    let changes_strategy = new["strategy"].as_str().is_some_and(|strategy| old["strategy"] != strategy);
    if changes_strategy && service.service_deployments.iter().any(|deployment| !deployment.is_over()) {
        let message = "The deployment strategy can not be changed while a service deployment is in progress.";
        return refuse(message.to_owned());
    }
    let load_balancers = body.get("loadBalancers").or_else(|| service.settings.get("loadBalancers"));
    configuration::check(&configuration::merged(old, new), load_balancers.unwrap_or(&Value::Null))
}

fn refuse_desired_count(body: &Value) -> Result<(), Refusal> {
    let message = "The daemon scheduling strategy does not support a desired count for services. Remove the desired count \
                   value and try again";
    if body["desiredCount"].is_null() { Ok(()) } else { Err(Refusal::new("InvalidParameterException", message)) }
}

/// DeleteService.
pub(super) fn delete(state: &mut State, body: &Value) -> Result<Value, Refusal> {
    let cluster = clusters::named(state, body)?;
    let service = existing(state, &cluster, body["service"].as_str().unwrap_or_default())?;
    if service.status == "INACTIVE" {
        return Err(Refusal::new("ServiceNotFoundException", "Service not found."));
    }
    if service.desired_count > 0 && !service.is_daemon() && body["force"] != true {
        let message = "The service cannot be stopped while it is scaled above 0.";
        return Err(Refusal::new("InvalidParameterException", message));
    }
    let arn = service.arn.clone();
    drain(state, &arn);
    Ok(answered(state, &arn))
}

/// DescribeServices.
pub(super) fn describe(state: &State, body: &Value) -> Result<Value, Refusal> {
    let cluster = clusters::named(state, body)?;
    let wanted = strings(body, "services");
    if wanted.is_empty() || wanted.len() > 10 {
        return Err(Refusal::new("InvalidParameterException", "Services must hold between 1 and 10 items."));
    }
    let with_tags = strings(body, "include").contains(&"TAGS");
    let (mut services, mut failures) = (Vec::new(), Vec::new());
    for name in wanted {
        match find(state, &cluster, name) {
            Some(service) => services.push(describe::service(state, service, with_tags)),
            None => failures.push(missing(state, &format!("service/{cluster}"), name)),
        }
    }
    Ok(json!({ "services": services, "failures": failures }))
}

/// ListServices.
pub(super) fn list(state: &State, body: &Value) -> Result<Value, Refusal> {
    let cluster = clusters::named(state, body)?;
    let services = state.ecs.services.values().filter(|service| service.cluster == cluster && service.is_active());
    let (arns, next) = page(services.map(|service| &service.arn).collect(), body, 100)?;
    Ok(without_nulls(json!({ "serviceArns": arns, "nextToken": next })))
}

/// The service of that name or ARN, whatever its status.
pub(super) fn find<'a>(state: &'a State, cluster: &str, name_or_arn: &str) -> Option<&'a Service> {
    let services = &state.ecs.services;
    services.values().find(|one| one.cluster == cluster && (one.name == name_or_arn || one.arn == name_or_arn))
}

/// The service of that name or ARN, or the refusal that ECS gives.
pub(super) fn existing<'a>(state: &'a State, cluster: &str, name_or_arn: &str) -> Result<&'a Service, Refusal> {
    find(state, cluster, name_or_arn).ok_or_else(|| Refusal::new("ServiceNotFoundException", "Service not found."))
}

/// Has a service's tasks stop; then it is INACTIVE.
pub(super) fn drain(state: &mut State, arn: &str) {
    if let Some(service) = state.ecs.services.get_mut(arn) {
        service.status = "DRAINING";
        service.desired_count = 0;
    }
    super::scheduler::wake(state, arn);
}

impl Service {
    pub(super) fn is_active(&self) -> bool {
        self.status == "ACTIVE"
    }

    /// The deployment that the service is to have.
    pub(super) fn primary(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.id == self.primary)
    }

    pub(super) fn primary_mut(&mut self) -> Option<&mut Deployment> {
        self.deployments.iter_mut().find(|deployment| deployment.id == self.primary)
    }

    /// The service deployment that is on its way, and not on its way back.
    pub(super) fn on_its_way(&self) -> Option<&ServiceDeployment> {
        self.service_deployments.last().filter(|deployment| ["PENDING", "IN_PROGRESS"].contains(&deployment.status))
    }

    pub(super) fn on_its_way_mut(&mut self) -> Option<&mut ServiceDeployment> {
        self.service_deployments.last_mut().filter(|deployment| ["PENDING", "IN_PROGRESS"].contains(&deployment.status))
    }

    /// `loadBalancers`.
    pub(super) fn load_balancers(&self) -> &[Value] {
        self.settings.get("loadBalancers").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The target groups that one of its tasks is registered with.
    pub(crate) fn target_groups_of(&self, task: &Task) -> impl Iterator<Item = &str> {
        let deployment = self.deployments.iter().find(|one| Some(&one.id) == task.deployment.as_ref());
        let is_alternate = deployment.is_some_and(|one| one.is_alternate);
        self.load_balancers().iter().filter_map(move |one| {
            let alternate = one["advancedConfiguration"]["alternateTargetGroupArn"].as_str();
            alternate.filter(|_| is_alternate).or(one["targetGroupArn"].as_str())
        })
    }

    /// The type of its deployment controller.
    pub(super) fn controller(&self) -> &str {
        let controller = self.settings.get("deploymentController");
        controller.and_then(|controller| controller["type"].as_str()).unwrap_or("ECS")
    }

    pub(super) fn is_daemon(&self) -> bool {
        self.settings.get("schedulingStrategy").is_some_and(|strategy| strategy == "DAEMON")
    }

    /// A percentage of `deploymentConfiguration`.
    pub(super) fn percent(&self, member: &str, default: u32) -> u32 {
        let value = self.configuration()[member].as_u64();
        value.and_then(|percent| u32::try_from(percent).ok()).unwrap_or(default)
    }

    /// `deploymentConfiguration`.
    pub(super) fn configuration(&self) -> &Value {
        self.settings.get("deploymentConfiguration").unwrap_or(&Value::Null)
    }
}

/// Sets what a request says about a service, and leaves alone what it does not mention.
fn set(state: &mut State, arn: &str, body: &Value) {
    let Some(service) = state.ecs.services.get_mut(arn) else { return };
    for member in REVISION_MEMBERS.iter().chain(&SERVICE_MEMBERS) {
        if let Some(value) = body.get(*member).filter(|value| !value.is_null()) {
            service.settings.insert((*member).to_owned(), value.clone());
        }
    }
    if let Some(desired_count) = count(body) {
        service.desired_count = desired_count;
    }
    let old = service.settings.get("deploymentConfiguration").cloned();
    let old = old.unwrap_or_else(|| configuration::default(&service.settings));
    let new = configuration::merged(&old, &body["deploymentConfiguration"]);
    service.settings.insert("deploymentConfiguration".to_owned(), new);
}

fn count(body: &Value) -> Option<u32> {
    body["desiredCount"].as_u64().and_then(|count| u32::try_from(count).ok())
}

fn answered(state: &State, arn: &str) -> Value {
    let with_tags = true;
    json!({ "service": state.ecs.services.get(arn).map(|service| describe::service(state, service, with_tags)) })
}

/// Says something about a service.
pub(super) fn announce(state: &mut State, arn: &str, what: &str) {
    let (id, now) = (identifiers::uuid(state), state.now);
    if let Some(service) = state.ecs.services.get_mut(arn) {
        let message = format!("(service {}) {what}", service.name);
        service.events.insert(0, Event { id, created_at: now, message });
        service.events.truncate(100);
    }
}
