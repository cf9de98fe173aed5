//! What a task definition refers to, looked at before anything is written: parameters and secrets, roles and what they may
//! read, log groups, images. A task that lacks one of them never starts, and ECS says so only once the old tasks' place is
//! taken.
//!
//! All services are looked at together, each thing once, and everything that is wrong is told at once. What *is not there*
//! blocks; what could not be looked at is a warning, which names the permission where one was missing.

mod images;
mod log_groups;
mod references;
mod roles;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;

use futures_util::StreamExt as _;
use futures_util::future::join4;
use futures_util::stream;
use serde_json::Value;

use crate::aws::Aws;
use crate::failure::Failure;
use crate::names::ServiceKey;

pub use references::{SecretReference, SecretSource, secrets_of};

/// What the checks need to be allowed, and what for. Each is optional: without it, its check is a warning.
pub const IAM: [(&str, &str); 10] = [
    ("ssm:GetParameters", "to see that the parameters exist which tasks are given; no value is decrypted"),
    ("ssm:DescribeParameters", "to suggest a name in place of a misspelt one"),
    ("secretsmanager:DescribeSecret", "to see that the secrets exist which tasks are given"),
    (
        "secretsmanager:GetSecretValue",
        "only for task definitions that name a key of a JSON secret, to see that it has it",
    ),
    ("iam:GetRole", "to see that the task role and the execution role exist"),
    ("iam:SimulatePrincipalPolicy", "to see that the execution role may read the secrets"),
    ("logs:DescribeLogGroups", "to see that the log groups exist"),
    ("ecr:BatchGetImage", "to see that the images exist"),
    ("ecr:GetDownloadUrlForLayer", "to see that the images are built for the tasks' processor"),
    ("kms:Decrypt", "only for JSON secrets that are encrypted with a key of your own"),
];

/// How many questions of a kind are open at a time: thirty services are looked at in seconds, and within every API's limits.
const AT_A_TIME: usize = 8;

/// How many of those who need a thing are named.
const NAMED: usize = 5;

/// Something that was found before a deployment.
#[derive(Debug)]
pub struct Finding {
    /// The services that it is about.
    pub services: BTreeSet<ServiceKey>,
    /// What it means for the deployment.
    pub kind: FindingKind,
    /// What was found, who needs it, and the next step.
    pub failure: Failure,
}

/// What a [`Finding`] means for the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// Its tasks cannot start.
    Blocks,
    /// They may not start, or nobody can tell.
    Warns,
}

/// Looks at everything that these task definitions, as they will be registered, refer to. What blocks comes first.
pub async fn check(aws: &Aws, definitions: &[(ServiceKey, Value)]) -> Vec<Finding> {
    let (secrets, roles, log_groups, images) = join4(
        secrets::check(aws, definitions),
        roles::check(aws, definitions),
        log_groups::check(aws, definitions),
        images::check(aws, definitions),
    )
    .await;
    let mut findings = secrets.findings;
    findings.extend(roles.findings);
    findings.extend(roles::check_reading(aws, definitions, &roles.found, &secrets.found).await);
    findings.extend(log_groups);
    findings.extend(images);
    findings.sort_by_key(|finding| finding.kind);
    findings
}

/// Where a service's task definition refers to something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Mention {
    service: ServiceKey,
    /// `containers.app.secrets.DATABASE_URL`.
    place: String,
}

/// Things, and everybody who refers to them.
type Mentions<T> = BTreeMap<T, Vec<Mention>>;

impl fmt::Display for Mention {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` at `{}`", self.service, self.place)
    }
}

impl Finding {
    fn new(kind: FindingKind, what: impl fmt::Display, mentions: &[Mention], next_step: impl fmt::Display) -> Self {
        let failure = Failure::refused(format!("{what}; needed by {}", named(mentions))).hint(next_step);
        Self { services: services(mentions), kind, failure }
    }

    fn blocks(what: impl fmt::Display, mentions: &[Mention], next_step: impl fmt::Display) -> Self {
        Self::new(FindingKind::Blocks, what, mentions, next_step)
    }

    fn warns(what: impl fmt::Display, mentions: &[Mention], next_step: impl fmt::Display) -> Self {
        Self::new(FindingKind::Warns, what, mentions, next_step)
    }
}

fn services(mentions: &[Mention]) -> BTreeSet<ServiceKey> {
    mentions.iter().map(|mention| mention.service.clone()).collect()
}

fn named(mentions: &[Mention]) -> String {
    let mut named: Vec<String> = mentions.iter().take(NAMED).map(Mention::to_string).collect();
    if mentions.len() > NAMED {
        named.push(format!("{} more", mentions.len() - NAMED));
    }
    named.join(", ")
}

/// What could not be looked at: one warning for each reason, however many questions it was the answer to. `question` reads
/// as in "whether the roles exist".
fn unchecked(question: &str, failed: Vec<(Failure, Vec<Mention>)>) -> Vec<Finding> {
    let mut reasons: BTreeMap<Option<String>, (Failure, Vec<Mention>)> = BTreeMap::new();
    for (failure, mentions) in failed {
        // Failures that one next step mends are one: the permission is in it.
        match reasons.get_mut(&failure.hint) {
            Some((_, all)) => all.extend(mentions),
            None => drop(reasons.insert(failure.hint.clone(), (failure, mentions))),
        }
    }
    let findings = reasons.into_values().map(|(failure, mentions)| {
        let about = format!("it is not known {question} (for {})", named(&mentions));
        Finding { services: services(&mentions), kind: FindingKind::Warns, failure: failure.context(about) }
    });
    findings.collect()
}

/// Asks the same of each, some at a time, and answers in their order.
async fn each<I: IntoIterator, F: Future>(items: I, ask: impl FnMut(I::Item) -> F) -> Vec<F::Output> {
    stream::iter(items.into_iter().map(ask)).buffered(AT_A_TIME).collect().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mention(service: &str, place: &str) -> Mention {
        Mention { service: service.parse().unwrap(), place: place.to_owned() }
    }

    #[test]
    fn one_missing_permission_is_one_warning_that_names_it() {
        let denied = |name: &str| Failure::denied(format!("no to {name}")).hint("allow `iam:GetRole`");
        let throttled = Failure::remote("slow down").hint("run again");
        let findings = unchecked(
            "whether the roles exist",
            vec![
                (denied("a"), vec![mention("auth", "executionRoleArn")]),
                (throttled, vec![mention("auth", "taskRoleArn")]),
                (denied("b"), vec![mention("web", "executionRoleArn")]),
            ],
        );
        let texts: Vec<String> = findings.iter().map(|finding| finding.failure.to_string()).collect();
        assert_eq!(
            texts,
            [
                "it is not known whether the roles exist (for `auth` at `executionRoleArn`, `web` at `executionRoleArn`): no to a\nhint: allow `iam:GetRole`",
                "it is not known whether the roles exist (for `auth` at `taskRoleArn`): slow down\nhint: run again",
            ]
        );
        assert!(findings.iter().all(|finding| finding.kind == FindingKind::Warns));
        assert_eq!(findings[0].services.len(), 2);
    }

    #[test]
    fn a_crowd_is_counted() {
        let crowd: Vec<Mention> = (1..=7).map(|number| mention(&format!("s{number}"), "taskRoleArn")).collect();
        let finding = Finding::blocks("role `x` does not exist", &crowd, "make it");
        assert!(finding.failure.to_string().contains("`s5` at `taskRoleArn`, 2 more"), "{}", finding.failure);
        assert_eq!(finding.services.len(), 7);
    }
}
