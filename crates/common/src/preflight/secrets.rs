//! Do the parameters and secrets exist, with the keys that are asked for?

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join;
use serde_json::Value;
use strsim::normalized_levenshtein;

use super::references::{SecretSource, region_of, secret_name, secrets_of, without_suffix};
use super::{Finding, Mention, Mentions, each, unchecked};
use crate::aws::{Aws, CURRENT, SecretDescription, SecretKeys};
use crate::failure::Failure;
use crate::inputs::nearest;
use crate::names::ServiceKey;

/// What a look at the secrets showed.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) findings: Vec<Finding>,
    /// What exists, and who is to be given it.
    pub(super) found: Vec<(Mention, Found)>,
}

/// A parameter or a secret that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A parameter, by name or ARN.
    Parameter(String),
    /// A secret, by its whole ARN.
    Secret(String),
}

/// Which part of a secret is asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    key: Option<String>,
    label: Option<String>,
    version: Option<String>,
}

impl Found {
    /// The action and the resource that ECS reads it by: several parameters in one call, secrets one by one. A parameter that
    /// is named is one of this region and of the role's account.
    pub(super) fn reading(&self, role: &str, region: &str) -> (&'static str, String) {
        match self {
            Self::Secret(arn) => ("secretsmanager:GetSecretValue", arn.clone()),
            Self::Parameter(id) if id.starts_with("arn:") => ("ssm:GetParameters", id.clone()),
            Self::Parameter(name) => {
                let mut arn = role.split(':');
                let (partition, account) = (arn.nth(1).unwrap_or("aws"), arn.nth(2).unwrap_or_default());
                let name = name.trim_start_matches('/');
                ("ssm:GetParameters", format!("arn:{partition}:ssm:{region}:{account}:parameter/{name}"))
            }
        }
    }
}

pub(super) async fn check(aws: &Aws, definitions: &[(ServiceKey, Value)]) -> Checked {
    let mut checked = Checked::default();
    let mut parameters = Mentions::<String>::new();
    let mut secrets = BTreeMap::<String, Mentions<Part>>::new();
    for (service, definition) in definitions {
        for reference in secrets_of(definition) {
            let mention = Mention { service: service.clone(), place: reference.place };
            let region = region_of(&reference.value_from).filter(|region| *region != aws.region.as_str());
            match (reference.source, region) {
                (SecretSource::Unknown, _) => checked.findings.push(unknown(&reference.value_from, mention)),
                (_, Some(region)) => checked.findings.push(elsewhere(&reference.value_from, region, mention)),
                (SecretSource::Parameter(id), None) => parameters.entry(id).or_default().push(mention),
                (SecretSource::Secret { id, key, label, version }, None) => {
                    let part = Part { key, label, version };
                    secrets.entry(id).or_default().entry(part).or_default().push(mention);
                }
            }
        }
    }
    for part in <[Checked; 2]>::from(join(check_parameters(aws, parameters), check_secrets(aws, secrets)).await) {
        checked.findings.extend(part.findings);
        checked.found.extend(part.found);
    }
    checked
}

fn unknown(value_from: &str, mention: Mention) -> Finding {
    let what = format!("`{value_from}` is neither a parameter of Systems Manager nor a secret of Secrets Manager");
    Finding::blocks(what, &[mention], "set `valueFrom` to the name or ARN of a parameter, or to the ARN of a secret")
}

fn elsewhere(value_from: &str, region: &str, mention: Mention) -> Finding {
    let what = format!("`{value_from}` is in {region}, and it was not looked for outside of this region");
    Finding::warns(what, &[mention], "see that it exists there")
}

async fn check_parameters(aws: &Aws, parameters: Mentions<String>) -> Checked {
    let mut checked = Checked::default();
    let question = "whether the parameters exist";
    let existing = match aws.ssm.existing_parameters(&parameters.keys().cloned().collect()).await {
        Ok(existing) => existing,
        Err(failure) => {
            let mentions = parameters.into_values().flatten().collect();
            checked.findings = unchecked(question, vec![(failure, mentions)]);
            return checked;
        }
    };
    let (there, missing): (Vec<_>, Vec<_>) = parameters.into_iter().partition(|(id, _)| existing.contains(id));
    for (id, mentions) in there {
        checked.found.extend(mentions.into_iter().map(|mention| (mention, Found::Parameter(id.clone()))));
    }
    let near = near_names(aws, &missing).await;
    for (id, mentions) in missing {
        // Names under one path are alike by that alone: most of the whole has to be the same.
        let is_like = |near: &&str| plain(near) != plain(&id) && normalized_levenshtein(near, plain(&id)) > 0.75;
        let near = nearest(plain(&id), near.iter().map(String::as_str).filter(is_like));
        let suggestion = near.map(|near| format!("did you mean `{near}`? otherwise ")).unwrap_or_default();
        let next_step = format!("{suggestion}create it in {}, or correct `valueFrom`", aws.region);
        checked.findings.push(Finding::blocks(format!("parameter `{id}` does not exist"), &mentions, next_step));
    }
    checked
}

/// The parameters beside those that are missing. Nobody who may not list them loses more than a suggestion.
async fn near_names(aws: &Aws, missing: &[(String, Vec<Mention>)]) -> BTreeSet<String> {
    let folders: BTreeSet<String> = missing.iter().filter_map(|(id, _)| folder(plain(id))).collect();
    let names = each(folders, async |folder| aws.ssm.parameter_names(&folder).await).await;
    names.into_iter().flat_map(Result::unwrap_or_default).collect()
}

/// A parameter's name, as far as its ARN tells.
fn plain(id: &str) -> &str {
    // `:parameter` + `/a/b`: the `/` belongs to the name where it has levels, which are the ones that have neighbours.
    id.split_once(":parameter").map_or(id, |(_, name)| name)
}

fn folder(name: &str) -> Option<String> {
    let (folder, _) = name.rsplit_once('/')?;
    (!folder.is_empty()).then(|| format!("{folder}/"))
}

async fn check_secrets(aws: &Aws, secrets: BTreeMap<String, Mentions<Part>>) -> Checked {
    let mut checked = Checked::default();
    let (mut failed, mut keyed) = (Vec::new(), Vec::new());
    let asked = each(secrets, async |(id, parts)| {
        let described = describe(aws, &id).await;
        (id, parts, described)
    });
    for (id, parts, described) in asked.await {
        let all = || -> Vec<Mention> { parts.values().flatten().cloned().collect() };
        match described {
            Ok((Some(secret), _)) => {
                for (part, mentions) in parts {
                    match judge(&secret, &part, &mentions) {
                        Some(finding) => checked.findings.push(finding),
                        None if part.key.is_some() => keyed.push((secret.arn.clone(), part, mentions)),
                        None => checked.found.extend(found(&secret.arn, mentions)),
                    }
                }
            }
            Ok((None, anew)) => checked.findings.push(missing(&id, anew.as_deref(), &all())),
            Err(failure) => failed.push((failure, all())),
        }
    }
    checked.findings.extend(unchecked("whether the secrets exist", failed));
    let keys = check_keys(aws, keyed).await;
    checked.findings.extend(keys.findings);
    checked.found.extend(keys.found);
    checked
}

fn found(arn: &str, mentions: Vec<Mention>) -> impl Iterator<Item = (Mention, Found)> {
    mentions.into_iter().map(move |mention| (mention, Found::Secret(arn.to_owned())))
}

/// A secret; or, where there is none with this ARN, the ARN of one that was made anew under the same name.
async fn describe(aws: &Aws, id: &str) -> Result<(Option<SecretDescription>, Option<String>), Failure> {
    if let Some(secret) = aws.secrets.describe_secret(id).await? {
        return Ok((Some(secret), None));
    }
    let anew = match without_suffix(secret_name(id)).filter(|_| id.starts_with("arn:")) {
        Some(name) => aws.secrets.describe_secret(name).await.ok().flatten(),
        None => None,
    };
    Ok((None, anew.map(|secret| secret.arn)))
}

fn missing(id: &str, anew: Option<&str>, mentions: &[Mention]) -> Finding {
    let next_step = match anew {
        Some(arn) => format!("it was made anew, with another ending: correct `valueFrom` to `{arn}`"),
        None => "create it, or correct `valueFrom`: an ARN ends with a hyphen and six characters".to_owned(),
    };
    Finding::blocks(format!("secret `{id}` does not exist"), mentions, next_step)
}

/// What a secret that exists means for those who ask for this version of it.
fn judge(secret: &SecretDescription, part: &Part, mentions: &[Mention]) -> Option<Finding> {
    let arn = &secret.arn;
    if secret.deleted_at.is_some() {
        let next_step = format!("keep it with `aws secretsmanager restore-secret --secret-id {arn}`");
        let what = format!("secret `{arn}` is marked for deletion, and nobody can read it");
        return Some(Finding::blocks(what, mentions, next_step));
    }
    let next_step = "put a value into it, or correct `valueFrom` (`…:<json key>:<label>:<version>`)";
    if let Some(version) = &part.version {
        let what = format!("secret `{arn}` has no version `{version}`");
        return (!secret.versions.contains_key(version)).then(|| Finding::blocks(what, mentions, next_step));
    }
    let label = part.label.as_deref().unwrap_or(CURRENT);
    let what = format!("secret `{arn}` has no version with the label `{label}`");
    secret.version_with(label).is_none().then(|| Finding::blocks(what, mentions, next_step))
}

/// Do the secrets have the keys that are asked for? Every version is read once.
async fn check_keys(aws: &Aws, keyed: Vec<(String, Part, Vec<Mention>)>) -> Checked {
    let mut versions = BTreeMap::<(String, Part), Vec<(String, Vec<Mention>)>>::new();
    for (arn, part, mentions) in keyed {
        let Part { key, label, version } = part;
        let version = Part { key: None, label, version };
        versions.entry((arn, version)).or_default().extend(key.map(|key| (key, mentions)));
    }
    let mut checked = Checked::default();
    let mut failed = Vec::new();
    let asked = each(versions, async |((arn, part), asked)| {
        let keys = aws.secrets.secret_keys(&arn, part.label.as_deref(), part.version.as_deref()).await;
        (arn, asked, keys)
    });
    for (arn, asked, keys) in asked.await {
        match keys {
            Ok(keys) => {
                for (key, mentions) in asked {
                    match judge_key(&arn, &key, &keys, &mentions) {
                        Some(finding) => checked.findings.push(finding),
                        None => checked.found.extend(found(&arn, mentions)),
                    }
                }
            }
            Err(failure) => {
                let mentions: Vec<Mention> = asked.into_iter().flat_map(|(_, mentions)| mentions).collect();
                // The secret exists, whether or not we may look into it.
                checked.found.extend(found(&arn, mentions.clone()));
                failed.push((failure, mentions));
            }
        }
    }
    checked.findings.extend(unchecked("whether the secrets have these keys", failed));
    checked
}

fn judge_key(arn: &str, key: &str, keys: &SecretKeys, mentions: &[Mention]) -> Option<Finding> {
    let what = format!("secret `{arn}` has no key `{key}`");
    match keys {
        SecretKeys::Json(keys) if keys.contains(key) => None,
        SecretKeys::Json(keys) => {
            let has: Vec<&str> = keys.iter().map(String::as_str).collect();
            let suggestion = nearest(key, has.iter().copied());
            let suggestion = suggestion.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
            Some(Finding::blocks(what, mentions, format!("{suggestion}it has `{}`", has.join("`, `"))))
        }
        SecretKeys::NotJson => {
            let next_step = "its value is no JSON object: leave the key out of `valueFrom` to get the whole value";
            Some(Finding::blocks(what, mentions, next_step))
        }
        SecretKeys::NotFound => {
            let what = format!("secret `{arn}` has no value in this version");
            Some(Finding::blocks(what, mentions, "put a value into it (`aws secretsmanager put-secret-value`)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/db-AbC123";

    fn mention() -> Vec<Mention> {
        vec![Mention { service: "auth".parse().unwrap(), place: "containers.app.secrets.DATABASE_URL".to_owned() }]
    }

    fn text(finding: Option<Finding>) -> Option<String> {
        finding.map(|finding| finding.failure.to_string().replace(ARN, "ARN"))
    }

    #[test]
    fn a_missing_key_is_told_with_the_keys_that_there_are() {
        let check = |keys: SecretKeys| text(judge_key(ARN, "pasword", &keys, &mention()));
        let json = |keys: &[&str]| SecretKeys::Json(keys.iter().map(|&key| key.to_owned()).collect());
        assert_eq!(check(json(&["pasword"])), None);
        assert_eq!(
            check(json(&["username", "password"])).unwrap(),
            "secret `ARN` has no key `pasword`; needed by `auth` at `containers.app.secrets.DATABASE_URL`\n\
             hint: did you mean `password`? it has `password`, `username`"
        );
        assert!(
            check(SecretKeys::NotJson).unwrap().ends_with("leave the key out of `valueFrom` to get the whole value")
        );
        assert!(check(SecretKeys::NotFound).unwrap().starts_with("secret `ARN` has no value in this version"));
    }

    #[test]
    fn a_secret_must_have_the_version_and_not_be_on_its_way_out() {
        let secret = |deleted: bool| SecretDescription {
            arn: ARN.to_owned(),
            name: "shop/db".to_owned(),
            kms_key: None,
            deleted_at: deleted.then_some(jiff::Timestamp::UNIX_EPOCH),
            versions: BTreeMap::from([("v1".to_owned(), BTreeSet::from([CURRENT.to_owned()]))]),
        };
        let check = |deleted: bool, label: Option<&str>, version: Option<&str>| {
            let part = Part { key: None, label: label.map(str::to_owned), version: version.map(str::to_owned) };
            text(judge(&secret(deleted), &part, &mention())).map(|text| text.split(';').next().unwrap().to_owned())
        };
        assert_eq!(check(false, None, None), None);
        assert_eq!(check(false, None, Some("v1")), None);
        assert_eq!(check(false, None, Some("v2")).unwrap(), "secret `ARN` has no version `v2`");
        let previous = check(false, Some("AWSPREVIOUS"), None).unwrap();
        assert_eq!(previous, "secret `ARN` has no version with the label `AWSPREVIOUS`");
        assert_eq!(check(true, None, None).unwrap(), "secret `ARN` is marked for deletion, and nobody can read it");
    }

    #[test]
    fn a_parameter_is_read_by_its_arn_in_the_roles_account() {
        let role = "arn:aws-cn:iam::111122223333:role/execution";
        let check = |found: Found| found.reading(role, "cn-north-1").1;
        let arn = "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/shop/db";
        assert_eq!(check(Found::Parameter("/shop/db".to_owned())), arn);
        assert_eq!(check(Found::Parameter(arn.to_owned())), arn);
        assert_eq!(check(Found::Secret(ARN.to_owned())), ARN);
    }

    #[test]
    fn neighbours_are_looked_for_where_names_have_levels() {
        for (id, expected) in [
            ("/shop/production/db", Some("/shop/production/")),
            ("arn:aws:ssm:eu-west-1:111122223333:parameter/shop/db", Some("/shop/")),
            ("db", None),
            ("/db", None),
        ] {
            assert_eq!(folder(plain(id)).as_deref(), expected, "{id}");
        }
    }
}
