//! What a repository is to be like, and how one that is there differs from it: by what settings mean, not by how they are
//! written. Pure.

use common::aws::{RegistryScanning, RepositorySettings};
use common::delivery::Repositories;
use common::failure::Failure;
use common::names::{RepositoryName, Tag};
use serde_json::{Value, json};

/// The shortest lifecycle policy that ECR takes
/// (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutLifecyclePolicy.html>).
const SHORTEST_POLICY: usize = 100;

/// What a repository is to be like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) settings: RepositorySettings,
    pub(crate) lifecycle: Value,
}

/// A setting of a repository that is not as wanted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Drift {
    pub(crate) setting: Setting,
    pub(crate) found: String,
    pub(crate) wanted: String,
    /// Who can change it, if it is not this action.
    pub(crate) advice: Option<&'static str>,
}

/// What can drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    TagMutability,
    Scanning,
    Encryption,
    Lifecycle,
}

impl Setting {
    /// What the setting is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TagMutability => "tag mutability",
            Self::Scanning => "scan on push",
            Self::Encryption => "encryption",
            Self::Lifecycle => "lifecycle policy",
        }
    }
}

/// What repositories are to be like in a run that moves these tags; `lifecycle` is a policy of the caller's own.
pub(crate) fn wanted(repositories: &Repositories, moving: &[Tag], lifecycle: Option<Value>) -> Result<Wanted, Failure> {
    let patterns = &repositories.moving_tags;
    let uncovered = moving.iter().filter(|tag| !patterns.iter().any(|pattern| pattern.matches(tag.as_str())));
    let mut exclusions: Vec<String> =
        patterns.iter().map(ToString::to_string).chain(uncovered.map(ToString::to_string)).collect();
    exclusions.sort();
    exclusions.dedup();
    let tag_mutability = match (repositories.immutable_tags, exclusions.is_empty()) {
        (false, _) => "MUTABLE",
        (true, true) => "IMMUTABLE",
        (true, false) => "IMMUTABLE_WITH_EXCLUSION",
    };
    let lifecycle = lifecycle
        .unwrap_or_else(|| default_lifecycle(repositories.keep_images.get(), repositories.expire_untagged_days.get()));
    if lifecycle.to_string().len() < SHORTEST_POLICY {
        return Err(Failure::input("the lifecycle policy is shorter than ECR takes (100 characters)")
            .hint("give its rules a `description`"));
    }
    Ok(Wanted {
        settings: RepositorySettings {
            tag_mutability: tag_mutability.to_owned(),
            exclusions: if repositories.immutable_tags { exclusions } else { Vec::new() },
            scan_on_push: repositories.scan_on_push,
            encryption: repositories.encryption.word().to_owned(),
            kms_key: repositories.kms_key.clone(),
        },
        lifecycle,
    })
}

/// The rule about `any` has to come last
/// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html>).
fn default_lifecycle(keep: u32, days: u32) -> Value {
    json!({ "rules": [
        {
            "rulePriority": 1,
            "description": format!("images without a tag go after {days} days"),
            "selection": {
                "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days,
            },
            "action": { "type": "expire" },
        },
        {
            "rulePriority": 2,
            "description": format!("the last {keep} images stay"),
            "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep },
            "action": { "type": "expire" },
        },
    ] })
}

/// How a repository's own settings differ from what is wanted; `scanning` is what the registry says for all of them.
pub(crate) fn drift(
    wanted: &RepositorySettings,
    found: &RepositorySettings,
    scanning: &RegistryScanning,
    name: &RepositoryName,
) -> Vec<Drift> {
    tag_mutability(wanted, found)
        .into_iter()
        .chain(scan_on_push(wanted, found, scanning, name))
        .chain(encryption(wanted, found))
        .collect()
}

/// How the mutability of a repository's tags differs.
pub(crate) fn tag_mutability(wanted: &RepositorySettings, found: &RepositorySettings) -> Option<Drift> {
    let told = |settings: &RepositorySettings| match settings.exclusions.as_slice() {
        [] => settings.tag_mutability.clone(),
        exclusions => format!("{} ({})", settings.tag_mutability, exclusions.join(", ")),
    };
    let drift = Drift { setting: Setting::TagMutability, found: told(found), wanted: told(wanted), advice: None };
    (drift.found != drift.wanted).then_some(drift)
}

/// What the registry decides is not the repository's to say: then it is respected, and told if nothing is scanned
/// (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImageScanningConfiguration.html>).
fn scan_on_push(
    wanted: &RepositorySettings,
    found: &RepositorySettings,
    scanning: &RegistryScanning,
    name: &RepositoryName,
) -> Option<Drift> {
    let told = |is_on: bool| if is_on { "on" } else { "off" }.to_owned();
    if !scanning.decides() {
        let (found, wanted) = (told(found.scan_on_push), told(wanted.scan_on_push));
        return (found != wanted).then_some(Drift { setting: Setting::Scanning, found, wanted, advice: None });
    }
    (wanted.scan_on_push && scanning.frequency(name).is_none()).then(|| Drift {
        setting: Setting::Scanning,
        found: format!("no rule of the registry's {} scanning is about it", scanning.scan_type),
        wanted: told(true),
        advice: Some("add a rule to the registry: `aws ecr put-registry-scanning-configuration`"),
    })
}

fn encryption(wanted: &RepositorySettings, found: &RepositorySettings) -> Option<Drift> {
    let is_same_key = match (&wanted.kms_key, &found.kms_key) {
        // An alias tells nothing of the key behind it.
        (Some(wanted), Some(found)) if !wanted.contains("alias/") => {
            wanted.rsplit('/').next() == found.rsplit('/').next()
        }
        _ => true,
    };
    let told = |settings: &RepositorySettings| match (&settings.kms_key, is_same_key) {
        (Some(key), false) => format!("{} ({key})", settings.encryption),
        _ => settings.encryption.clone(),
    };
    let is_same = wanted.encryption == found.encryption && is_same_key;
    (!is_same).then(|| Drift {
        setting: Setting::Encryption,
        found: told(found),
        wanted: told(wanted),
        advice: Some("ECR cannot change it: make a new repository and push there"),
    })
}

/// How a repository's lifecycle policy differs.
pub(crate) fn lifecycle(wanted: &Value, found: Option<&Value>) -> Option<Drift> {
    let is_same = found.is_some_and(|found| meaning(found) == meaning(wanted));
    (!is_same).then(|| Drift {
        setting: Setting::Lifecycle,
        found: found.map_or_else(|| "none".to_owned(), told),
        wanted: told(wanted),
        advice: None,
    })
}

/// A policy without what has no effect: descriptions, the order in which rules and their members are written, and the numbers
/// of the priorities, of which only the order counts.
fn meaning(policy: &Value) -> Vec<Value> {
    let mut rules: Vec<&Value> = policy["rules"].as_array().into_iter().flatten().collect();
    rules.sort_by_key(|rule| rule["rulePriority"].as_u64());
    rules.into_iter().map(|rule| json!([sorted(&rule["selection"]), sorted(&rule["action"])])).collect()
}

/// The same with members and lists of texts in order. ECR's order of tag patterns has no meaning: all of them have to match.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(sorted).collect();
            items.sort_by_key(ToString::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

/// A policy in a line: `untagged: 7 days; any: the last 10`.
fn told(policy: &Value) -> String {
    let rule = |rule: &Value| {
        let selection = &rule["selection"];
        let status = selection["tagStatus"].as_str().unwrap_or("?");
        let count = &selection["countNumber"];
        match selection["countType"].as_str() {
            Some("imageCountMoreThan") => format!("{status}: the last {count}"),
            Some("sinceImagePushed") => format!("{status}: {count} days"),
            other => format!("{status}: {} {count}", other.unwrap_or("?")),
        }
    };
    let rules: Vec<String> = policy["rules"].as_array().into_iter().flatten().map(rule).collect();
    if rules.is_empty() { "no rules".to_owned() } else { rules.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(mutability: &str, exclusions: &[&str]) -> RepositorySettings {
        RepositorySettings {
            tag_mutability: mutability.to_owned(),
            exclusions: exclusions.iter().map(ToString::to_string).collect(),
            scan_on_push: true,
            encryption: "AES256".to_owned(),
            kms_key: None,
        }
    }

    fn told_drift(drifts: impl IntoIterator<Item = Drift>) -> Vec<String> {
        let line = |drift: Drift| format!("{}: {} → {}", drift.setting.name(), drift.found, drift.wanted);
        drifts.into_iter().map(line).collect()
    }

    #[test]
    fn tags_that_move_are_excluded_and_no_others() {
        let wanted = |patterns: &[&str], moving: &[&str]| {
            let patterns = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
            let repositories = Repositories { moving_tags: patterns, ..Repositories::default() };
            let moving: Vec<Tag> = moving.iter().map(|tag| tag.parse().unwrap()).collect();
            let settings = super::wanted(&repositories, &moving, None).unwrap().settings;
            (settings.tag_mutability, settings.exclusions.join(" "))
        };
        assert_eq!(wanted(&[], &[]), ("IMMUTABLE".to_owned(), String::new()));
        assert_eq!(wanted(&[], &["main"]), ("IMMUTABLE_WITH_EXCLUSION".to_owned(), "main".to_owned()));
        assert_eq!(wanted(&["pr-*"], &["pr-7", "main"]).1, "main pr-*");
    }

    #[test]
    fn drift_is_told_setting_by_setting() {
        let name: RepositoryName = "shop/auth".parse().unwrap();
        let basic = RegistryScanning { scan_type: "BASIC".to_owned(), rules: Vec::new() };
        let wanted = settings("IMMUTABLE_WITH_EXCLUSION", &["main"]);
        assert_eq!(drift(&wanted, &wanted, &basic, &name), []);
        let found = RepositorySettings {
            scan_on_push: false,
            encryption: "KMS".to_owned(),
            kms_key: Some("arn:aws:kms:eu-west-1:111122223333:key/1234".to_owned()),
            ..settings("MUTABLE", &[])
        };
        assert_eq!(
            told_drift(drift(&wanted, &found, &basic, &name)),
            [
                "tag mutability: MUTABLE → IMMUTABLE_WITH_EXCLUSION (main)",
                "scan on push: off → on",
                "encryption: KMS → AES256"
            ]
        );
    }

    #[test]
    fn what_the_registry_decides_is_respected() {
        let name: RepositoryName = "shop/auth".parse().unwrap();
        let wanted = settings("IMMUTABLE", &[]);
        let found = RepositorySettings { scan_on_push: false, ..wanted.clone() };
        let enhanced = |filter: &str| RegistryScanning {
            scan_type: "ENHANCED".to_owned(),
            rules: vec![("CONTINUOUS_SCAN".to_owned(), vec![filter.to_owned()])],
        };
        assert_eq!(drift(&wanted, &found, &enhanced("*"), &name), []);
        let uncovered = drift(&wanted, &found, &enhanced("bank"), &name);
        assert!(uncovered[0].advice.is_some_and(|advice| advice.contains("registry")), "{uncovered:?}");
        assert_eq!(uncovered[0].found, "no rule of the registry's ENHANCED scanning is about it");
    }

    #[test]
    fn a_key_is_the_same_by_its_id() {
        let name: RepositoryName = "shop/auth".parse().unwrap();
        let basic = RegistryScanning::default();
        let with = |key: Option<&str>| RepositorySettings {
            encryption: "KMS".to_owned(),
            kms_key: key.map(str::to_owned),
            ..settings("IMMUTABLE", &[])
        };
        let found = with(Some("arn:aws:kms:eu-west-1:111122223333:key/1234"));
        for (wanted, drifts) in [(None, 0), (Some("1234"), 0), (Some("alias/shop"), 0), (Some("key/5678"), 1)] {
            assert_eq!(drift(&with(wanted), &found, &basic, &name).len(), drifts, "{wanted:?}");
        }
    }

    #[test]
    fn lifecycle_policies_are_compared_by_what_they_do() {
        let wanted = default_lifecycle(10, 7);
        let rewritten = json!({ "rules": [
            { "action": { "type": "expire" }, "rulePriority": 20,
              "selection": { "countNumber": 10, "countType": "imageCountMoreThan", "tagStatus": "any" } },
            { "action": { "type": "expire" }, "rulePriority": 10, "description": "old ones",
              "selection": { "countUnit": "days", "countNumber": 7, "tagStatus": "untagged", "countType": "sinceImagePushed" } },
        ] });
        assert_eq!(lifecycle(&wanted, Some(&rewritten)), None);
        assert_eq!(
            told_drift(lifecycle(&wanted, Some(&default_lifecycle(30, 7)))),
            ["lifecycle policy: untagged: 7 days; any: the last 30 → untagged: 7 days; any: the last 10"]
        );
        assert_eq!(
            told_drift(lifecycle(&wanted, None)),
            ["lifecycle policy: none → untagged: 7 days; any: the last 10"]
        );
        let mut turned = wanted.clone();
        (turned["rules"][0]["rulePriority"], turned["rules"][1]["rulePriority"]) = (json!(2), json!(1));
        assert!(lifecycle(&wanted, Some(&turned)).is_some(), "which rule comes first counts");
    }
}
