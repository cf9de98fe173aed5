//! Whether the role that deploys may write what a deployment writes. `operation: preflight` asks IAM: the middle of a release is
//! no place to learn of it.

use std::collections::BTreeSet;

use common::aws::{Aws, Denial};
use common::failure::Failure;
use common::names::{RoleArn, ServiceKey};
use common::preflight::{Finding, FindingKind};
use serde_json::Value;

use crate::config::{Config, Target};

/// Looks at every write of a deployment. A denial that hangs on conditions which only AWS knows (`iam:PassedToService`) is not
/// certain, and not told.
pub(crate) async fn check(config: &Config, aws: &Aws, definitions: &[(ServiceKey, Value)]) -> Vec<Finding> {
    let services: BTreeSet<ServiceKey> = config.targets().map(|target| target.key.clone()).collect();
    let finding = |kind, failure| Finding { services: services.clone(), kind, failure };
    let Some(role) = &config.place.role else {
        let unknown = Failure::refused("it is not known whether these credentials may deploy: they are of no `role`");
        let hint = "name the role in delivery.toml, or in the input `role-to-assume`";
        return vec![finding(FindingKind::Warns, unknown.hint(hint))];
    };
    let mut findings = Vec::new();
    for (action, resources) in writes(config, aws.region.as_str(), role, definitions) {
        match aws.iam.denied(role.as_str(), &[action], &resources).await {
            Ok(denials) => {
                let certain = denials.iter().filter(|denial| denial.depends_on.is_empty());
                findings.extend(certain.map(|denial| finding(FindingKind::Blocks, denied(role, denial))));
            }
            Err(failure) => {
                let about = format!("it is not known whether role `{role}` may deploy");
                findings.push(finding(FindingKind::Warns, failure.context(about)));
                // The same question is refused for the same reason.
                break;
            }
        }
    }
    findings
}

fn denied(role: &RoleArn, denial: &Denial) -> Failure {
    let Denial { action, resource, .. } = denial;
    Failure::refused(format!("role `{role}` may not `{action}` on `{resource}`"))
        .hint("allow it in a policy of that role; the page of this action prints all that it needs")
}

/// The writes of every deployment, each with what it is done to.
fn writes(
    config: &Config,
    region: &str,
    role: &RoleArn,
    definitions: &[(ServiceKey, Value)],
) -> Vec<(&'static str, Vec<String>)> {
    let partition = role.as_str().split(':').nth(1).unwrap_or("aws");
    let account = role.account();
    let arn = |service: &str, rest: String| format!("arn:{partition}:{service}:{region}:{account}:{rest}");
    let cluster = &config.cluster;
    let of_services =
        |make: &dyn Fn(&Target) -> String| config.targets().map(|target| arn("ecs", make(target))).collect();
    let families = definitions.iter().filter_map(|(_, definition)| definition["family"].as_str());
    let mut writes: Vec<(&'static str, Vec<String>)> = vec![
        (
            "ecs:RegisterTaskDefinition",
            families.map(|family| arn("ecs", format!("task-definition/{family}:1"))).collect(),
        ),
        ("ecs:UpdateService", of_services(&|target| format!("service/{cluster}/{}", target.service))),
        (
            "ecs:StopServiceDeployment",
            of_services(&|target| format!("service-deployment/{cluster}/{}/0", target.service)),
        ),
        ("iam:PassRole", passed(definitions)),
    ];
    if let (Some(product), Some(environment)) = (&config.product, &config.environment) {
        let parameter = |name: &str| arn("ssm", format!("parameter/delivery/{product}/{environment}/{name}"));
        writes.push(("ssm:PutParameter", vec![parameter("lock"), parameter("release")]));
        writes.push(("ssm:DeleteParameter", vec![parameter("lock")]));
    }
    writes
}

/// The roles that ECS is handed, by ARN: where only a name stands, AWS finds the path.
fn passed(definitions: &[(ServiceKey, Value)]) -> Vec<String> {
    let of = |definition: &Value| {
        ["executionRoleArn", "taskRoleArn"].map(|place| definition[place].as_str().map(str::to_owned))
    };
    let roles: BTreeSet<String> = definitions.iter().flat_map(|(_, definition)| of(definition)).flatten().collect();
    roles.into_iter().filter(|role| role.starts_with("arn:")).collect()
}
