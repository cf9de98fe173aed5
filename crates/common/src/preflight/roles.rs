//! Do the roles exist, and may the execution role read the secrets that it is to fetch?

use std::collections::BTreeMap;

use serde_json::Value;

use super::references::{role_at, roles_of};
use super::secrets::Found;
use super::{Finding, FindingKind, Mention, Mentions, each, unchecked};
use crate::aws::{Aws, Denial};
use crate::names::ServiceKey;

/// What a look at the roles showed.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// The ARN of each role that may be asked about, by what the task definitions call it.
    pub(super) found: BTreeMap<String, String>,
}

pub(super) async fn check(aws: &Aws, definitions: &[(ServiceKey, Value)]) -> Checked {
    let mut checked = Checked::default();
    let mut failed = Vec::new();
    let asked = each(roles_of(definitions), async |(role, mentions)| {
        let found = aws.iam.get_role(&role).await;
        (role, mentions, found)
    });
    for (role, mentions, found) in asked.await {
        match found {
            Ok(Some(arn)) => drop(checked.found.insert(role, arn)),
            Ok(None) => checked.findings.push(Finding::blocks(
                format!("role `{role}` does not exist in this account"),
                &mentions,
                "create it, or correct the task definition: its path is part of an ARN (`role/path/name`)",
            )),
            Err(failure) => {
                failed.push((failure, mentions));
                if role.starts_with("arn:") {
                    checked.found.insert(role.clone(), role);
                }
            }
        }
    }
    checked.findings.extend(unchecked("whether the roles exist", failed));
    checked
}

/// Whether execution roles may read what was found of their secrets.
pub(super) async fn check_reading(
    aws: &Aws,
    definitions: &[(ServiceKey, Value)],
    roles: &BTreeMap<String, String>,
    secrets: &[(Mention, Found)],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut readings: BTreeMap<(String, &str), Mentions<String>> = BTreeMap::new();
    for (service, definition) in definitions {
        let own: Vec<_> = secrets.iter().filter(|(mention, _)| mention.service == *service).collect();
        let Some(role) = role_at(definition, "executionRoleArn") else {
            findings.extend(no_role(&own));
            continue;
        };
        let Some(arn) = roles.get(role) else { continue };
        for (mention, found) in own {
            let (action, resource) = found.reading(arn, aws.region.as_str());
            let resources = readings.entry((arn.clone(), action)).or_default();
            resources.entry(resource).or_default().push(mention.clone());
        }
    }
    let mut failed = Vec::new();
    let asked = each(readings, async |((role, action), resources)| {
        let names: Vec<String> = resources.keys().cloned().collect();
        let denied = aws.iam.denied(&role, &[action], &names).await;
        (role, resources, denied)
    });
    for (role, resources, denied) in asked.await {
        match denied {
            Ok(denials) => findings.extend(denials.iter().map(|denial| judge(&role, denial, &resources))),
            Err(failure) => failed.push((failure, resources.into_values().flatten().collect())),
        }
    }
    findings.extend(unchecked("whether the execution roles may read the secrets", failed));
    findings
}

/// ECS refuses secrets without an execution role
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html>).
fn no_role(secrets: &[&(Mention, Found)]) -> Option<Finding> {
    let mentions: Vec<Mention> = secrets.iter().map(|(mention, _)| mention.clone()).collect();
    (!mentions.is_empty()).then(|| {
        let next_step =
            "set `executionRoleArn` to a role that ecs-tasks.amazonaws.com may assume and that may read the secrets";
        Finding::blocks("the task definition has secrets and no execution role to fetch them", &mentions, next_step)
    })
}

/// A denial blocks where the simulation knows all that AWS will decide by.
fn judge(role: &str, denial: &Denial, resources: &Mentions<String>) -> Finding {
    let Denial { action, resource, decision, depends_on } = denial;
    let mentions = resources.get(resource).map(Vec::as_slice).unwrap_or_default();
    let what = format!("execution role `{role}` may not `{action}` on `{resource}`");
    let allow = "allow it in a policy of that role: its tasks would stop with `ResourceInitializationError`";
    if !depends_on.is_empty() {
        let what = format!("{what}, as far as can be known without `{}`", depends_on.join("`, `"));
        return Finding::new(
            FindingKind::Warns,
            what,
            mentions,
            "see that the conditions of its policies hold for ECS",
        );
    }
    // A secret can have a policy of its own, which a simulation leaves out. A parameter of the same account cannot.
    if action.starts_with("secretsmanager:") && decision == "implicitDeny" {
        let what = format!("{what}, unless the secret's own policy allows it");
        return Finding::new(FindingKind::Warns, what, mentions, allow);
    }
    Finding::new(FindingKind::Blocks, what, mentions, allow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_blocks_only_where_nothing_else_can_allow_it() {
        let check = |action: &str, decision: &str, depends_on: &[&str]| {
            let denial = Denial {
                action: action.to_owned(),
                resource: "arn:x".to_owned(),
                decision: decision.to_owned(),
                depends_on: depends_on.iter().map(|&key| key.to_owned()).collect(),
            };
            let mention = Mention { service: "auth".parse().unwrap(), place: "containers.app.secrets.A".to_owned() };
            judge("arn:role", &denial, &Mentions::from([("arn:x".to_owned(), vec![mention])]))
        };
        for (action, decision, depends_on, kind) in [
            ("ssm:GetParameters", "implicitDeny", &[] as &[&str], FindingKind::Blocks),
            ("ssm:GetParameters", "implicitDeny", &["aws:SourceVpce"], FindingKind::Warns),
            ("secretsmanager:GetSecretValue", "implicitDeny", &[], FindingKind::Warns),
            ("secretsmanager:GetSecretValue", "explicitDeny", &[], FindingKind::Blocks),
        ] {
            assert_eq!(check(action, decision, depends_on).kind, kind, "{action} {decision} {depends_on:?}");
        }
        assert_eq!(
            check("ssm:GetParameters", "explicitDeny", &[]).failure.to_string(),
            "execution role `arn:role` may not `ssm:GetParameters` on `arn:x`; needed by `auth` at `containers.app.secrets.A`\n\
             hint: allow it in a policy of that role: its tasks would stop with `ResourceInitializationError`"
        );
    }
}
