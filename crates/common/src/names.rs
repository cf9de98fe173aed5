//! Names that resources go by. A value that names a resource is checked once, at the edge, and is never a bare `String` after.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text that is not a name of its kind. Reads as a sentence fragment: ``` `A B` is not a cluster name: … ```.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {rule}")]
pub struct InvalidName {
    text: String,
    what: &'static str,
    rule: Cow<'static, str>,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $what:literal, $rule:literal, $valid:expr $(, instead $instead:expr)?;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    let rule = Cow::Borrowed($rule);
                    $(let rule = ($instead)(text).map_or(rule, |name: String| Cow::Owned(format!("write `{name}`")));)?
                    Err(InvalidName { text: text.to_owned(), what: $what, rule })
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, InvalidName> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    )+};
}

names! {
    /// The name of a product in `delivery.toml`: it becomes part of parameter paths.
    DeliveryName: "a delivery name", "use lower-case letters, digits and `-`, at most 64", |text| slug(text, 64);
    /// The name of an environment, `staging` or `production`.
    EnvironmentName: "an environment name", "use letters, digits, `-` and `_`, at most 64", |text| word(text, 64);
    /// The key of a service in `delivery.toml`.
    ServiceKey: "a service", "use letters, digits, `-` and `_`, at most 64", |text| word(text, 64);
    /// An ECS cluster's short name.
    ClusterName: "a cluster name", "use letters, digits, `-` and `_`, at most 255 (an ARN is not a name)", |text| word(text, 255);
    /// An ECS service's short name.
    ServiceName: "an ECS service name", "use letters, digits, `-` and `_`, at most 255 (an ARN is not a name)", |text| word(text, 255);
    /// A container's name within a task definition.
    ContainerName: "a container name", "use letters, digits, `-` and `_`, at most 255", |text| word(text, 255);
    /// An ECR repository's name, without the registry's host
    /// (<https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html>).
    RepositoryName: "an ECR repository name",
        "use lower-case letters, digits, `.`, `_`, `-` and `/`, from 2 to 256, without the registry's host and without a tag", repository, instead named_by_address;
    /// An image tag (OCI distribution specification, "Pulling manifests").
    Tag: "an image tag", "use letters, digits, `_`, `.` and `-`, at most 128, not starting with `.` or `-`", tag;
    /// An AWS region.
    Region: "an AWS region", "write it as `eu-west-1`", region;
    /// An AWS account.
    AccountId: "an AWS account id", "it has 12 digits", |text| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    /// An IAM role's ARN.
    RoleArn: "a role ARN", "write it as `arn:aws:iam::111122223333:role/deliver`", role;
    /// A subnet of a VPC.
    SubnetId: "a subnet", "write its id, as in `subnet-0a1b2c3d4e5f60718`", |text| resource_id(text, "subnet-");
    /// A security group of a VPC.
    SecurityGroupId: "a security group", "write its id, as in `sg-0a1b2c3d4e5f60718`", |text| resource_id(text, "sg-");
    /// A full git commit SHA.
    CommitSha: "a commit", "use the full 40 hexadecimal digits", |text| text.len() == 40 && hexadecimal(text);
    /// The digest of a manifest or a blob (OCI image specification, "Digests"), SHA-256 alone.
    Digest: "a digest", "write it as `sha256:` and 64 hexadecimal digits",
        |text| text.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && hexadecimal(digits));
    /// A revision of a task definition: an ARN, or `family:revision`.
    TaskDefinitionRevision: "a task definition revision",
        "write it as `family:42` or `arn:aws:ecs:eu-west-1:111122223333:task-definition/family:42`", task_definition;
    /// The name of a Dockerfile's `ARG`, or of an environment variable.
    ArgumentName: "a variable's name", "use letters, digits and `_`, not starting with a digit", is_variable;
    /// What a Dockerfile calls a secret by: `RUN --mount=type=secret,id=ID`.
    SecretId: "a secret's id", "use letters, digits, `_`, `-` and `.`, not starting with a sign", |text| begins_and_has(text, b"_-.");
    /// What a Dockerfile calls a context by: the name of an image, in lower case.
    ContextName: "a name for `FROM`", "use lower-case letters, digits, `_`, `-`, `.`, `/` and `:`, not starting with a sign",
        |text| begins_and_has(text, b"_-./:") && !text.bytes().any(|byte| byte.is_ascii_uppercase()) && text != "scratch";
}

/// Every service's key is a valid ECS service name: it is the default of one.
impl From<&ServiceKey> for ServiceName {
    fn from(key: &ServiceKey) -> Self {
        Self(key.0.clone())
    }
}

impl CommitSha {
    /// The first seven digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..7]
    }
}

impl Digest {
    /// The digest with these 32 bytes.
    pub(crate) fn of_sha256(hash: &[u8]) -> Self {
        let mut text = "sha256:".to_owned();
        for byte in hash {
            let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        }
        Self(text)
    }

    /// The digits alone.
    pub fn hexadecimal(&self) -> &str {
        &self.0["sha256:".len()..]
    }

    /// `sha256:` and the first twelve digits, for people.
    pub fn short(&self) -> &str {
        &self.0[.."sha256:".len() + 12]
    }
}

impl TaskDefinitionRevision {
    /// `family:revision`, without the ARN before it.
    pub fn short(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl RoleArn {
    /// The account that the role lives in.
    pub fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }
}

/// A value that is never shown: it prints as `***`, in errors and dumps too.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value that must not be shown.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one request that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        Ok(Self::new(value))
    }
}

/// Whether a variable can be called this.
pub(crate) fn is_variable(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn begins_and_has(text: &str, signs: &[u8]) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || signs.contains(&byte))
}

fn word(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

fn slug(text: &str, most: usize) -> bool {
    word(text, most) && text.bytes().all(|byte| !byte.is_ascii_uppercase() && byte != b'_')
}

fn resource_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|id| (8..=17).contains(&id.len()) && hexadecimal(id))
}

fn hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn repository(text: &str) -> bool {
    let separator = |byte: u8| b"._-/".contains(&byte);
    let bytes = text.as_bytes();
    (2..=256).contains(&bytes.len())
        && bytes.iter().all(|&byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || separator(byte))
        && !separator(bytes[0])
        && !separator(bytes[bytes.len() - 1])
        && !text.split('/').next().is_some_and(|host| host.contains(".dkr.ecr.") || host == "localhost")
}

/// The repository's name in an address, `host/name:tag`: many have one at hand, and AWS's own tools ask now for this, now for that
/// (<https://github.com/aws-actions/amazon-ecr-login/issues/202>).
fn named_by_address(text: &str) -> Option<String> {
    let text = text.strip_prefix("https://").unwrap_or(text);
    let (host, path) = text.split_once('/').filter(|(host, _)| host.contains(['.', ':'])).unwrap_or(("", text));
    let name = path.split(['@', ':']).next().unwrap_or_default();
    ((!host.is_empty() || name != path) && repository(name)).then(|| name.to_owned())
}

fn tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() >= 3
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && parts.last().is_some_and(|number| number.parse::<u8>().is_ok())
}

fn role(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", partition, "iam", "", account, resource]
        if partition.starts_with("aws") && account.parse::<AccountId>().is_ok() && resource.starts_with("role/"))
}

fn task_definition(text: &str) -> bool {
    let short = match text.split_once(":task-definition/") {
        Some((prefix, short)) if prefix.starts_with("arn:") => short,
        Some(_) => return false,
        None => text,
    };
    short.split_once(':').is_some_and(|(family, revision)| word(family, 255) && revision.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr>(valid: &[&str], invalid: &[&str]) {
        for text in valid {
            assert!(text.parse::<T>().is_ok(), "{text} should be valid");
        }
        for text in invalid {
            assert!(text.parse::<T>().is_err(), "{text} should be invalid");
        }
    }

    #[test]
    fn names_are_what_aws_and_oci_accept() {
        check::<ClusterName>(&["shop", "Shop_1-a"], &["", "a b", "arn:aws:ecs:eu-west-1:1:cluster/shop"]);
        check::<RepositoryName>(
            &["shop/auth", "a1"],
            &["a", "Shop", "shop/", "shop:1", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop"],
        );
        check::<Tag>(&["v1", "_x", &"a".repeat(128)], &["", ".x", "-x", "a/b", &"a".repeat(129)]);
        check::<Region>(&["eu-west-1", "us-gov-west-1"], &["", "Ireland", "eu-west", "eu-west-1a"]);
        check::<AccountId>(&["111122223333"], &["1111", "11112222333a"]);
        check::<RoleArn>(
            &["arn:aws:iam::111122223333:role/deliver", "arn:aws-cn:iam::111122223333:role/path/deliver"],
            &["deliver", "arn:aws:iam::1:role/deliver", "arn:aws:iam::111122223333:user/deliver"],
        );
        check::<SubnetId>(&["subnet-0a1b2c3d4e5f60718", "subnet-0a1b2c3d"], &["private-a", "sg-0a1b2c3d", "subnet-"]);
        check::<SecurityGroupId>(&["sg-0a1b2c3d4e5f60718"], &["default", "subnet-0a1b2c3d"]);
        check::<CommitSha>(&[&"a1".repeat(20)], &["a1b2c3d", &"A1".repeat(20), &"g1".repeat(20)]);
        check::<Digest>(&[&format!("sha256:{}", "0".repeat(64))], &["sha256:0", &"0".repeat(64)]);
        check::<TaskDefinitionRevision>(
            &["shop-auth:42", "arn:aws:ecs:eu-west-1:111122223333:task-definition/shop-auth:42"],
            &["shop-auth", "shop-auth:latest", "arn:aws:ecs:eu-west-1:111122223333:service/shop/auth"],
        );
    }

    #[test]
    fn an_invalid_name_says_what_would_be_valid() {
        let error = "a1b2c3d".parse::<CommitSha>().unwrap_err();
        assert_eq!(error.to_string(), "`a1b2c3d` is not a commit: use the full 40 hexadecimal digits");
    }

    #[test]
    fn who_gives_a_repository_s_address_is_told_its_name() {
        let told = |text: &str| text.parse::<RepositoryName>().unwrap_err().to_string();
        let host = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";
        for address in [format!("{host}/shop/auth"), format!("https://{host}/shop/auth:v1"), "shop/auth:latest".into()]
        {
            assert_eq!(told(&address), format!("`{address}` is not an ECR repository name: write `shop/auth`"));
        }
        assert!(told("Shop").ends_with("without the registry's host and without a tag"));
    }

    #[test]
    fn a_secret_prints_as_stars() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
    }
}
