//! What a task definition refers to. Pure: JSON in, references out.

use serde_json::Value;

use super::{Mention, Mentions};
use crate::names::ServiceKey;
use crate::task_definition::text;

/// A secret that ECS fetches for a container before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretReference {
    /// Where the task definition says so: `containers.app.secrets.DATABASE_URL`.
    pub place: String,
    /// What it says.
    pub value_from: String,
    /// What that means.
    pub source: SecretSource,
}

/// Where a secret's value comes from
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Secret.html>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A parameter of Systems Manager, by name or ARN.
    Parameter(String),
    /// A secret of Secrets Manager.
    Secret {
        /// Its ARN, or its name.
        id: String,
        /// The key of the JSON object that it is.
        key: Option<String>,
        /// The label of the version; `AWSCURRENT` if nothing is said.
        label: Option<String>,
        /// The id of the version.
        version: Option<String>,
    },
    /// Nothing that ECS reads secrets from.
    Unknown,
}

/// Every secret that a task definition refers to: for containers' variables, for their log drivers, and for the registries
/// of their images.
pub fn secrets_of(definition: &Value) -> Vec<SecretReference> {
    let mut references = Vec::new();
    for (container, path) in containers(definition) {
        let log_options = &container["logConfiguration"]["secretOptions"];
        for (list, name) in [(&container["secrets"], "secrets"), (log_options, "logConfiguration.secretOptions")] {
            for secret in list.as_array().into_iter().flatten() {
                let value_from = text(&secret["valueFrom"]);
                let place = format!("{path}.{name}.{}", text(&secret["name"]));
                references.push(SecretReference { place, source: SecretSource::read(&value_from), value_from });
            }
        }
        if let Some(value_from) = container["repositoryCredentials"]["credentialsParameter"].as_str() {
            // In spite of its name, it is a secret of Secrets Manager
            // (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RepositoryCredentials.html>).
            let source = match value_from.starts_with("arn:") {
                true => SecretSource::read(value_from),
                false => SecretSource::secret(value_from.to_owned()),
            };
            let place = format!("{path}.repositoryCredentials.credentialsParameter");
            references.push(SecretReference { place, value_from: value_from.to_owned(), source });
        }
    }
    references
}

impl SecretReference {
    /// Whether it is this parameter or secret that is meant, which may be given by name or ARN.
    pub fn is_of(&self, id: &str) -> bool {
        match &self.source {
            SecretSource::Parameter(own) => own == id || bare_parameter(own) == bare_parameter(id),
            SecretSource::Secret { id: own, .. } => {
                let (own, other) = (secret_name(own), secret_name(id));
                own == other || without_suffix(own) == Some(other) || without_suffix(other) == Some(own)
            }
            SecretSource::Unknown => false,
        }
    }
}

impl SecretSource {
    /// Reads a `valueFrom`. A secret's ARN may be followed by `:key:label:version`, each of which may be blank
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html>).
    fn read(value_from: &str) -> Self {
        if !value_from.starts_with("arn:") {
            return match value_from.trim().is_empty() {
                true => Self::Unknown,
                false => Self::Parameter(value_from.to_owned()),
            };
        }
        let parts: Vec<&str> = value_from.split(':').collect();
        let part = |index: usize| parts.get(index).filter(|part| !part.is_empty()).map(|part| (*part).to_owned());
        match (parts.get(2), parts.get(5)) {
            (Some(&"ssm"), Some(resource)) if resource.starts_with("parameter/") => {
                Self::Parameter(value_from.to_owned())
            }
            (Some(&"secretsmanager"), Some(&"secret")) if parts.len() >= 7 => {
                Self::Secret { id: parts[..7].join(":"), key: part(7), label: part(8), version: part(9) }
            }
            _ => Self::Unknown,
        }
    }

    fn secret(id: String) -> Self {
        Self::Secret { id, key: None, label: None, version: None }
    }
}

/// The region that an ARN names; `None` for a name, which means the region that one is in.
pub(super) fn region_of(id: &str) -> Option<&str> {
    id.starts_with("arn:").then(|| id.split(':').nth(3)).flatten().filter(|region| !region.is_empty())
}

/// A secret's name, as far as its ARN tells: with the six random characters, if they are there.
pub(super) fn secret_name(id: &str) -> &str {
    match id.starts_with("arn:") {
        true => id.split(':').nth(6).unwrap_or(id),
        false => id,
    }
}

/// A secret's name without the hyphen and six random characters that its ARN ends with. `None` if it does not end so.
pub(super) fn without_suffix(name: &str) -> Option<&str> {
    let (start, suffix) = name.rsplit_once('-')?;
    (suffix.len() == 6 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric())).then_some(start)
}

/// The containers and the paths that people know them by: by name, as positions say nothing.
pub(super) fn containers(definition: &Value) -> impl Iterator<Item = (&Value, String)> {
    let containers = definition["containerDefinitions"].as_array().into_iter().flatten();
    containers.map(|container| (container, format!("containers.{}", text(&container["name"]))))
}

/// The roles that task definitions name.
pub(super) fn roles_of(definitions: &[(ServiceKey, Value)]) -> Mentions<String> {
    let mut roles = Mentions::new();
    for (service, definition) in definitions {
        for place in ["executionRoleArn", "taskRoleArn"] {
            if let Some(role) = role_at(definition, place) {
                let mention = Mention { service: service.clone(), place: place.to_owned() };
                roles.entry(role.to_owned()).or_default().push(mention);
            }
        }
    }
    roles
}

/// The role that a task definition names here. A blank one is none.
pub(super) fn role_at<'a>(definition: &'a Value, place: &str) -> Option<&'a str> {
    definition[place].as_str().filter(|role| !role.is_empty())
}

/// The log groups that must be there: those of the `awslogs` driver, unless it is to make them. With the regions they are in,
/// where that is said.
pub(super) fn log_groups_of(definitions: &[(ServiceKey, Value)]) -> Mentions<(String, Option<String>)> {
    let mut groups = Mentions::new();
    for (service, definition) in definitions {
        for (container, path) in containers(definition) {
            let log = &container["logConfiguration"];
            let option = |name: &str| log["options"][name].as_str().map(str::to_owned);
            if log["logDriver"] != "awslogs" || option("awslogs-create-group").as_deref() == Some("true") {
                continue;
            }
            if let Some(group) = option("awslogs-group") {
                let place = format!("{path}.logConfiguration.options.awslogs-group");
                let mention = Mention { service: service.clone(), place };
                groups.entry((group, option("awslogs-region"))).or_default().push(mention);
            }
        }
    }
    groups
}

fn bare_parameter(id: &str) -> &str {
    // An ARN does not tell whether the name begins with `/`.
    id.split_once(":parameter/").map_or(id, |(_, name)| name).trim_start_matches('/')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/db-AbC123";

    #[test]
    fn a_value_from_is_a_parameter_or_a_secret_with_or_without_a_key() {
        let parameter = |id: &str| SecretSource::Parameter(id.to_owned());
        let secret = |key: Option<&str>, label: Option<&str>, version: Option<&str>| SecretSource::Secret {
            id: SECRET.to_owned(),
            key: key.map(str::to_owned),
            label: label.map(str::to_owned),
            version: version.map(str::to_owned),
        };
        let arn = "arn:aws:ssm:eu-west-1:111122223333:parameter/shop/db";
        for (written, meant) in [
            ("/shop/db", parameter("/shop/db")),
            ("db", parameter("db")),
            (arn, parameter(arn)),
            (SECRET, secret(None, None, None)),
            (&format!("{SECRET}:password::"), secret(Some("password"), None, None)),
            (&format!("{SECRET}:password:AWSPREVIOUS:"), secret(Some("password"), Some("AWSPREVIOUS"), None)),
            (&format!("{SECRET}:::v1"), secret(None, None, Some("v1"))),
            ("", SecretSource::Unknown),
            ("arn:aws:s3:::bucket/key", SecretSource::Unknown),
            ("arn:aws:secretsmanager:eu-west-1:111122223333:secret", SecretSource::Unknown),
        ] {
            assert_eq!(SecretSource::read(written), meant, "{written}");
        }
    }

    #[test]
    fn every_place_of_a_task_definition_that_names_a_secret_is_found() {
        let definition = json!({ "containerDefinitions": [{
            "name": "app",
            "secrets": [{ "name": "DATABASE_URL", "valueFrom": "/shop/db" }],
            "logConfiguration": { "secretOptions": [{ "name": "apikey", "valueFrom": SECRET }] },
        }, {
            "name": "proxy",
            "repositoryCredentials": { "credentialsParameter": "registry" },
        }]});
        let found: Vec<(String, SecretSource)> =
            secrets_of(&definition).into_iter().map(|reference| (reference.place, reference.source)).collect();
        let expected = [
            ("containers.app.secrets.DATABASE_URL", SecretSource::Parameter("/shop/db".to_owned())),
            ("containers.app.logConfiguration.secretOptions.apikey", SecretSource::secret(SECRET.to_owned())),
            (
                "containers.proxy.repositoryCredentials.credentialsParameter",
                SecretSource::secret("registry".to_owned()),
            ),
        ];
        assert_eq!(found, expected.map(|(place, source)| (place.to_owned(), source)));
    }

    #[test]
    fn a_reference_is_recognised_by_name_and_by_arn() {
        let reference = |value_from: &str| SecretReference {
            place: String::new(),
            value_from: value_from.to_owned(),
            source: SecretSource::read(value_from),
        };
        let arn = "arn:aws:ssm:eu-west-1:111122223333:parameter/shop/db";
        for (value_from, id, expected) in [
            ("/shop/db", "/shop/db", true),
            ("/shop/db", arn, true),
            (arn, "/shop/db", true),
            ("/shop/db", "/shop/db2", false),
            (&format!("{SECRET}:password::"), SECRET, true),
            (SECRET, "shop/db", true),
            (SECRET, "shop", false),
            (SECRET, "shop/db-other", false),
            ("/shop/db", "shop/db-AbC123", false),
        ] {
            assert_eq!(reference(value_from).is_of(id), expected, "{value_from} is of {id}");
        }
    }

    #[test]
    fn a_blank_role_is_no_role() {
        let definition = json!({ "executionRoleArn": "shop-execution", "taskRoleArn": "" });
        let roles: Vec<String> = roles_of(&[("auth".parse().unwrap(), definition)]).into_keys().collect();
        assert_eq!(roles, ["shop-execution"]);
    }

    #[test]
    fn a_log_group_that_the_driver_makes_need_not_be_there() {
        let definition = |options: Value| {
            let log = json!({ "logDriver": "awslogs", "options": options });
            json!({ "containerDefinitions": [{ "name": "app", "logConfiguration": log }] })
        };
        let check = |options: Value| -> Vec<(String, Option<String>)> {
            log_groups_of(&[("auth".parse().unwrap(), definition(options))]).into_keys().collect()
        };
        let group = || "/ecs/auth".to_owned();
        assert_eq!(check(json!({ "awslogs-group": "/ecs/auth" })), [(group(), None)]);
        assert_eq!(check(json!({ "awslogs-group": "/ecs/auth", "awslogs-create-group": "true" })), []);
        let elsewhere = json!({ "awslogs-group": "/ecs/auth", "awslogs-region": "us-east-1" });
        assert_eq!(check(elsewhere), [(group(), Some("us-east-1".to_owned()))]);
    }
}
