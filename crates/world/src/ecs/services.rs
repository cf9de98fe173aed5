//! Services: what is asked of them. What their scheduler makes of it is in [`super::scheduler`].

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::deployments::{self, Deployment, Revision, ServiceDeployment};
use super::{clusters, describe, identifiers, launch, missing, page, strings, task_definitions, without_nulls};
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
    if state.ecs.services.get(&arn).is_some_and(Service::is_active) {
        return Err(Refusal::new("InvalidParameterException", "Creation of service was not idempotent."));
    }
    let definition = task_definitions::usable(state, body["taskDefinition"].as_str().unwrap_or_default())?;
    launch::check(definition, body)?;
    let task_definition = definition.arn.clone();
    let mut settings = Map::new();
    for member in ["launchType", "schedulingStrategy", "deploymentController"] {
        settings.extend(body.get(member).map(|value| (member.to_owned(), value.clone())));
    }
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
    let controller = service.settings.get("deploymentController").map(|controller| &controller["type"]);
    if let Some(kind @ ("CODE_DEPLOY" | "EXTERNAL")) = controller.and_then(Value::as_str)
        && task_definition != running
    {
        let message = format!("Unable to update task definition on services with a {kind} deployment controller.");
        return Err(Refusal::new("InvalidParameterException", message));
    }
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

/// Deletes a service: its tasks stop, then it is INACTIVE.
pub(super) fn delete(state: &mut State, arn: &str) {
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

    /// The target groups that its tasks are registered with.
    pub(crate) fn target_groups(&self) -> impl Iterator<Item = &str> {
        let load_balancers = self.settings.get("loadBalancers").and_then(Value::as_array);
        load_balancers.into_iter().flatten().filter_map(|one| one["targetGroupArn"].as_str())
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
    let configuration = service.settings.entry("deploymentConfiguration").or_insert_with(|| {
        json!({
            "deploymentCircuitBreaker": { "enable": false, "rollback": false },
            "maximumPercent": 200,
            "minimumHealthyPercent": 100,
            "strategy": "ROLLING",
        })
    });
    for (member, value) in body["deploymentConfiguration"].as_object().into_iter().flatten() {
        configuration[member] = value.clone();
    }
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
