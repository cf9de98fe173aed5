//! What speaks against deploying a service, from facts that are read already. Pure; everything that is found is told at once.

use common::aws::{Deployment, Service};
use common::failure::Failure;
use common::github::Comparison;
use serde_json::Value;

use crate::config::{Config, Operation, Target};
use crate::facts::{Facts, ServiceFacts, alarm_names};
use crate::inputs::OnConflict;
use crate::strategy::shifts_traffic;

/// What is to be said of a service before anything is touched.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// Each of them ends the run.
    pub(crate) refusals: Vec<Failure>,
    /// What a reader should know, and may go on with.
    pub(crate) remarks: Vec<String>,
}

/// The service as it can be deployed to, or why not. `None` where it does not exist and may be created.
pub(crate) fn deployable<'a>(
    config: &Config,
    target: &Target,
    facts: &'a ServiceFacts,
) -> Result<Option<&'a Service>, Failure> {
    let (service, cluster) = (&target.service, &config.cluster);
    match &facts.service {
        Some(found) if found.status == "ACTIVE" => supported(found).map(Some),
        Some(found) if found.status == "DRAINING" => {
            Err(Failure::input(format!("ECS service `{service}` in cluster `{cluster}` is being deleted (DRAINING)"))
                .hint("wait until it is gone, then create it anew"))
        }
        _ if config.policy.create && target.definition.is_some() => Ok(None),
        _ => {
            let failure = Failure::input(format!("there is no active ECS service `{service}` in cluster `{cluster}`"));
            Err(match (config.policy.create, &target.definition) {
                (true, None) => failure.hint("give it a `service-definition` in delivery.toml: `create` makes the service from that"),
                (false, Some(_)) => failure.hint("set the input `create: true` to make it, or check `service`, `cluster` and the region: names are case-sensitive"),
                _ => failure.hint("check `service`, `cluster` and the region: names are case-sensitive"),
            })
        }
    }
}

fn supported(service: &Service) -> Result<&Service, Failure> {
    match service.controller.as_str() {
        "ECS" => Ok(service),
        "CODE_DEPLOY" => Err(Failure::input("its deployments are controlled by CodeDeploy (CODE_DEPLOY)")
            .hint("move the service to the deployment controller ECS, which has blue/green, linear and canary too: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/migrate-codedeploy-to-ecs-bluegreen.html")),
        other => Err(Failure::input(format!("its deployments are controlled from outside of ECS ({other})"))
            .hint("create the service with the deployment controller ECS: an external controller alone knows its task sets https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-external.html")),
    }
}

/// A deployment that is on its way and that this run did not start.
pub(crate) fn in_flight(service: &Service) -> Option<&Deployment> {
    service.primary().filter(|primary| primary.rollout == "IN_PROGRESS")
}

/// What speaks against deploying this task definition to this service, and what is to be known about it.
pub(crate) fn examine(
    config: &Config,
    service: &Service,
    facts: &ServiceFacts,
    wanted: &Value,
    all: &Facts,
) -> Findings {
    let mut findings = Findings::default();
    findings.refusals.extend(ports(service, wanted));
    findings.refusals.extend(wiring(config, service));
    findings.refusals.extend(backwards(config, facts));
    alarms(config, service, all, &mut findings);
    findings.remarks.extend(remarks(service));
    findings
}

/// A foreign deployment in flight, where that is refused. Whether to wait for one is for the effects.
pub(crate) fn conflict(config: &Config, service: &Service) -> Option<Failure> {
    let foreign = in_flight(service).filter(|_| config.policy.on_conflict == OnConflict::Refuse)?;
    let what = foreign.task_definition.rsplit('/').next().unwrap_or(&foreign.task_definition);
    Some(
        Failure::refused(format!("a deployment of {what} is on its way, which this run did not start"))
            .hint("let it end, or set `on-conflict` to `wait` or `supersede`"),
    )
}

/// Requests go to a container's port: the task definition has to have both.
fn ports(service: &Service, wanted: &Value) -> Vec<Failure> {
    let containers = || wanted["containerDefinitions"].as_array().into_iter().flatten();
    let mut failures = Vec::new();
    for balancer in &service.load_balancers {
        let group = balancer.target_group.rsplit(':').next().unwrap_or(&balancer.target_group);
        let container = containers().find(|container| container["name"] == balancer.container.as_str());
        let has_port = |container: &Value| {
            let mut mappings = container["portMappings"].as_array().into_iter().flatten();
            mappings.any(|mapping| mapping["containerPort"] == balancer.port)
        };
        let what = match container {
            None => format!("it has no container `{}`", balancer.container),
            Some(container) if !has_port(container) => {
                format!("its container `{}` has no port {}", balancer.container, balancer.port)
            }
            Some(_) => continue,
        };
        failures.push(
            Failure::input(format!("{what}, which the load balancer's `{group}` sends requests to"))
                .hint("make `portMappings` of the task definition and the service's load balancer agree"),
        );
    }
    failures
}

/// Blue/green, linear and canary move traffic between two target groups by a listener rule
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/blue-green-deployment-implementation.html>).
fn wiring(config: &Config, service: &Service) -> Option<Failure> {
    let strategy = config.strategy.as_ref().filter(|strategy| shifts_traffic(strategy.kind))?;
    let unwired = service.load_balancers.iter().find(|balancer| !balancer.can_shift)?;
    let group = unwired.target_group.rsplit(':').next().unwrap_or_default();
    Some(
        Failure::input(format!(
            "the strategy {} has to move traffic, and its load balancer `{group}` has no second target group",
            crate::strategy::word(strategy.kind)
        ))
        .hint("add `advancedConfiguration` (alternate target group, production listener rule, role) to the service's load balancer, or set the strategy to `rolling`: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/blue-green-deployment-implementation.html"),
    )
}

/// A re-run of an old workflow must not put an old version over a new one.
fn backwards(config: &Config, facts: &ServiceFacts) -> Option<Failure> {
    let (runs, Comparison::Behind) = facts.history.as_ref()? else { return None };
    let wanted = config.commit.as_ref()?;
    let is_asked = config.policy.allow_older || !matches!(config.operation, Operation::Deploy);
    (!is_asked).then(|| {
        Failure::refused(format!("commit {} is older than {}, which runs", wanted.short(), runs.short()))
            .hint("deploy a newer commit; to go back, use `operation: rollback`, or set `allow-older: true`")
    })
}

fn alarms(config: &Config, service: &Service, all: &Facts, findings: &mut Findings) {
    let mut names = alarm_names(service);
    let Some(known) = &all.alarms else { return };
    let configured = config.strategy.iter().flat_map(|strategy| &strategy.alarms);
    for name in configured {
        if !names.contains(name) {
            names.push(name.clone());
        }
        if !known.iter().any(|alarm| alarm.name == *name) {
            let failure = Failure::input(format!("there is no CloudWatch alarm `{name}`"));
            findings
                .refusals
                .push(failure.hint("check `alarms` of the strategy, and the region: names are case-sensitive"));
        }
    }
    let firing = known.iter().filter(|alarm| alarm.state == "ALARM" && names.contains(&alarm.name));
    findings.remarks.extend(firing.map(|alarm| {
        format!("alarm `{}` is firing already: ECS will not watch it during this deployment", alarm.name)
    }));
}

fn remarks(service: &Service) -> Vec<String> {
    let mut remarks = Vec::new();
    if service.desired == 0 && service.scheduling != "DAEMON" {
        remarks
            .push("its desired count is 0: ECS will call the deployment a success without running a task".to_owned());
    }
    if !service.circuit_breaker.is_some_and(|breaker| breaker.enabled && breaker.rollback)
        && service.strategy() == "ROLLING"
    {
        remarks.push("it has no deployment circuit breaker with rollback: this run has to end and to put back a bad version by itself".to_owned());
    }
    remarks
}
