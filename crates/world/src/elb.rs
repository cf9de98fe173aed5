//! Elastic Load Balancing: target groups, and the health of the tasks that are registered with them.
//!
//! API: <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/Welcome.html>

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::ecs::{Health, Task};
use crate::state::State;
use crate::wire::{Refusal, members, xml};

pub(crate) const NAMESPACE: &str = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";

/// Every target group, by ARN.
#[derive(Debug, Default)]
pub(crate) struct Elb(BTreeMap<String, TargetGroup>);

#[derive(Debug)]
struct TargetGroup {
    name: String,
    port: u64,
}

/// A target: a task's address, and what the health checks say of it.
struct Target {
    id: String,
    port: u64,
    state: &'static str,
    reason: Option<(&'static str, &'static str)>,
}

/// Answers one action of the API: the inside of its result.
pub(crate) fn answer(
    state: &mut State,
    action: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<String, Refusal> {
    match action {
        "DescribeTargetGroups" => describe_target_groups(state, parameters),
        "DescribeTargetHealth" => describe_target_health(state, parameters),
        _ => Err(Refusal::new("InvalidAction", format!("Could not find operation {action} for version 2015-12-01"))),
    }
}

/// Makes a target group, if it is not there yet, and gives its ARN.
pub(crate) fn create_target_group(state: &mut State, name: &str, port: u64) -> String {
    let unique = crate::ecs::hexadecimal(&Sha256::digest(name)[..8]);
    let arn = format!("arn:aws:elasticloadbalancing:{}:{}:targetgroup/{name}/{unique}", state.region, state.account);
    state.elb.0.entry(arn.clone()).or_insert_with(|| TargetGroup { name: name.to_owned(), port });
    arn
}

fn describe_target_groups(state: &State, parameters: &BTreeMap<String, String>) -> Result<String, Refusal> {
    let (arns, names) = (members(parameters, "TargetGroupArns"), members(parameters, "Names"));
    let known = |arn: &&&str| state.elb.0.contains_key(**arn);
    let named = |name: &&&str| state.elb.0.values().any(|group| group.name == **name);
    if arns.iter().filter(known).count() < arns.len() || names.iter().filter(named).count() < names.len() {
        return Err(not_found());
    }
    let all = arns.is_empty() && names.is_empty();
    let chosen = (state.elb.0.iter())
        .filter(|(arn, group)| all || arns.contains(&arn.as_str()) || names.contains(&group.name.as_str()));
    let described: String = chosen
        .map(|(arn, TargetGroup { name, port })| {
            format!(
                "<member><TargetGroupArn>{}</TargetGroupArn><TargetGroupName>{}</TargetGroupName><Protocol>HTTP</Protocol>\
                 <Port>{port}</Port><VpcId>vpc-0a1b2c3d4e5f60718</VpcId><HealthCheckProtocol>HTTP</HealthCheckProtocol>\
                 <HealthCheckPort>traffic-port</HealthCheckPort><HealthCheckEnabled>true</HealthCheckEnabled>\
                 <HealthCheckIntervalSeconds>10</HealthCheckIntervalSeconds><HealthCheckTimeoutSeconds>5</HealthCheckTimeoutSeconds>\
                 <HealthyThresholdCount>2</HealthyThresholdCount><UnhealthyThresholdCount>2</UnhealthyThresholdCount>\
                 <HealthCheckPath>/health</HealthCheckPath><Matcher><HttpCode>200</HttpCode></Matcher>\
                 <LoadBalancerArns><member>{}</member></LoadBalancerArns><TargetType>ip</TargetType><ProtocolVersion>HTTP1</ProtocolVersion>\
                 <IpAddressType>ipv4</IpAddressType></member>",
                xml(arn),
                xml(name),
                format_args!("arn:aws:elasticloadbalancing:{}:{}:loadbalancer/app/shop/50dc6c495c0c9188", state.region, state.account)
            )
        })
        .collect();
    Ok(format!("<TargetGroups>{described}</TargetGroups>"))
}

fn describe_target_health(state: &State, parameters: &BTreeMap<String, String>) -> Result<String, Refusal> {
    let arn = parameters.get("TargetGroupArn").map_or("", String::as_str);
    let group = state.elb.0.get(arn).ok_or_else(not_found)?;
    let registered = targets(state, arn, group);
    let asked: Vec<(&str, Option<u64>)> = (1..)
        .map_while(|index| {
            let id = parameters.get(&format!("Targets.member.{index}.Id"))?;
            let port = parameters.get(&format!("Targets.member.{index}.Port")).and_then(|port| port.parse().ok());
            Some((id.as_str(), port))
        })
        .collect();
    if asked.is_empty() {
        return Ok(descriptions(&registered));
    }
    let of = |(id, port): (&str, Option<u64>)| {
        let found = registered.iter().find(|target| target.id == id && port.is_none_or(|port| target.port == port));
        found.map_or_else(
            || Target {
                id: id.to_owned(),
                port: port.unwrap_or(group.port),
                state: "unused",
                reason: Some(("Target.NotRegistered", "Target is not registered to the target group")),
            },
            |target| Target { id: target.id.clone(), ..*target },
        )
    };
    Ok(descriptions(&asked.into_iter().map(of).collect::<Vec<_>>()))
}

/// The tasks that are registered with a target group: those that run, and those whose connections drain.
fn targets(state: &State, arn: &str, group: &TargetGroup) -> Vec<Target> {
    let services = &state.ecs.services;
    let registered = state.ecs.tasks.values().filter(|task| {
        let service = task.service.as_ref().and_then(|service| services.get(service));
        (task.is_running() || task.is_draining())
            && service.is_some_and(|service| service.target_groups_of(task).any(|one| one == arn))
    });
    registered.map(|task| target(task, group)).collect()
}

fn target(task: &Task, group: &TargetGroup) -> Target {
    let (state, reason) = if task.is_draining() {
        ("draining", Some(("Target.DeregistrationInProgress", "Target deregistration is in progress")))
    } else {
        match task.health {
            Health::Unknown => ("initial", Some(("Elb.InitialHealthChecking", "Initial health checks in progress"))),
            Health::Healthy => ("healthy", None),
            Health::Unhealthy => {
                ("unhealthy", Some(("Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]")))
            }
        }
    };
    Target { id: task.ip.clone(), port: task.port().map_or(group.port, |(_, port)| port), state, reason }
}

fn descriptions(targets: &[Target]) -> String {
    let described: String = (targets.iter())
        .map(|Target { id, port, state, reason }| {
            let reason = reason.map_or_else(String::new, |(code, description)| {
                format!("<Reason>{code}</Reason><Description>{description}</Description>")
            });
            format!(
                "<member><Target><Id>{}</Id><Port>{port}</Port></Target><HealthCheckPort>{port}</HealthCheckPort>\
                 <TargetHealth><State>{state}</State>{reason}</TargetHealth></member>",
                xml(id)
            )
        })
        .collect();
    format!("<TargetHealthDescriptions>{described}</TargetHealthDescriptions>")
}

fn not_found() -> Refusal {
    Refusal::new("TargetGroupNotFound", "One or more target groups not found")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::World;

    #[test]
    fn a_target_group_is_described_by_arn_and_by_name() {
        let world = World::new();
        let arn = world.with(|state| create_target_group(state, "shop-auth", 8080));
        world.with(|state| create_target_group(state, "shop-web", 80));
        let describe = |name: &str, value: &str| {
            let parameters = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            world.with(|state| answer(state, "DescribeTargetGroups", &parameters)).map_err(|refusal| refusal.code)
        };
        for (name, value) in [("TargetGroupArns.member.1", arn.as_str()), ("Names.member.1", "shop-auth")] {
            let found = describe(name, value).unwrap();
            assert_eq!(found.matches("<TargetGroupArn>").count(), 1, "{found}");
            for part in [
                "<TargetGroupName>shop-auth</TargetGroupName>",
                "<Protocol>HTTP</Protocol><Port>8080</Port>",
                "<TargetType>ip</TargetType>",
                "<HealthCheckPath>/health</HealthCheckPath>",
            ] {
                assert!(found.contains(part), "{part} in {found}");
            }
        }
        assert_eq!(describe("Names.member.1", "nope"), Err("TargetGroupNotFound".to_owned()));
        assert_eq!(describe("PageSize", "400").unwrap().matches("<TargetGroupArn>").count(), 2);
    }
}
