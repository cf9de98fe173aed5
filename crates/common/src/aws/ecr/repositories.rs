//! Repositories and their settings, and what the registry says of all of them.

use aws_sdk_ecr::operation::create_repository::CreateRepositoryError;
use aws_sdk_ecr::operation::describe_repositories::DescribeRepositoriesError;
use aws_sdk_ecr::operation::get_lifecycle_policy::GetLifecyclePolicyError;
use aws_sdk_ecr::types::{
    EncryptionConfiguration, ImageScanningConfiguration, ImageTagMutability, ImageTagMutabilityExclusionFilter,
    ImageTagMutabilityExclusionFilterType, Repository as Described,
};
use serde_json::Value;

use super::super::refusal::failure;
use super::Ecr;
use crate::delivery::wildcard;
use crate::failure::Failure;
use crate::names::RepositoryName;

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// Its address: `host/name`.
    pub uri: String,
    /// How it is set up.
    pub settings: RepositorySettings,
}

/// How a repository is set up, in ECR's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositorySettings {
    /// `MUTABLE`, `IMMUTABLE`, `IMMUTABLE_WITH_EXCLUSION` or `MUTABLE_WITH_EXCLUSION`.
    pub tag_mutability: String,
    /// The tags for which the opposite holds, in order, by `*` for any text.
    pub exclusions: Vec<String>,
    /// Whether images are scanned when they are pushed, as far as the registry leaves that to the repository.
    pub scan_on_push: bool,
    /// `AES256`, `KMS` or `KMS_DSSE`.
    pub encryption: String,
    /// The key in KMS, if there is one.
    pub kms_key: Option<String>,
}

impl RepositorySettings {
    /// Whether a tag that has an image can be given to another one. A word that is not known yet forbids nothing: ECR will.
    pub fn lets_move(&self, tag: &str) -> bool {
        let is_excluded = self.exclusions.iter().any(|pattern| wildcard(pattern, tag));
        match self.tag_mutability.as_str() {
            "IMMUTABLE" => false,
            "IMMUTABLE_WITH_EXCLUSION" => is_excluded,
            "MUTABLE_WITH_EXCLUSION" => !is_excluded,
            _ => true,
        }
    }
}

/// What the registry says of the scanning of all repositories
/// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning.html>).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryScanning {
    /// `BASIC` or `ENHANCED`.
    pub scan_type: String,
    /// Which repositories are scanned, and how often: `SCAN_ON_PUSH`, `CONTINUOUS_SCAN` or `MANUAL`.
    pub rules: Vec<(String, Vec<String>)>,
}

impl RegistryScanning {
    /// Whether the registry decides about scanning: then what a repository says has no effect.
    pub fn decides(&self) -> bool {
        self.scan_type == "ENHANCED" || !self.rules.is_empty()
    }

    /// How often a repository is scanned, by the first rule about it that says more than `MANUAL`.
    pub fn frequency(&self, repository: &RepositoryName) -> Option<&str> {
        // A filter without a `*` matches every name that contains it
        // (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-filters.html>).
        let covers = |filter: &String| match filter.contains('*') {
            true => wildcard(filter, repository.as_str()),
            false => repository.as_str().contains(filter.as_str()),
        };
        let about = self.rules.iter().filter(|(frequency, _)| frequency != "MANUAL");
        about.filter(|(_, filters)| filters.iter().any(covers)).map(|(frequency, _)| frequency.as_str()).next()
    }
}

impl Ecr {
    /// `ecr:DescribeRepositories`, for one. `None` if there is no such repository.
    pub async fn repository(&self, name: &RepositoryName) -> Result<Option<Repository>, Failure> {
        match self.client.describe_repositories().repository_names(name.as_str()).send().await {
            Ok(answer) => Ok(answer.repositories().first().map(repository)),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DescribeRepositoriesError::is_repository_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(failure("ecr:DescribeRepositories", format!("look up repository `{name}`"), error)),
        }
    }

    /// `ecr:CreateRepository`. `None` if somebody else made it meanwhile.
    pub async fn create_repository(
        &self,
        name: &RepositoryName,
        settings: &RepositorySettings,
    ) -> Result<Option<Repository>, Failure> {
        let doing = || format!("create repository `{name}`");
        let request = self.client.create_repository().repository_name(name.as_str());
        let scanning = ImageScanningConfiguration::builder().scan_on_push(settings.scan_on_push).build();
        let encryption = EncryptionConfiguration::builder()
            .encryption_type(settings.encryption.as_str().into())
            .set_kms_key(settings.kms_key.clone())
            .build()
            .map_err(Failure::bug)?;
        let request = request
            .image_tag_mutability(settings.tag_mutability.as_str().into())
            .set_image_tag_mutability_exclusion_filters(filters(&settings.exclusions)?)
            .image_scanning_configuration(scanning)
            .encryption_configuration(encryption);
        match request.send().await {
            Ok(answer) => match answer.repository() {
                Some(made) => Ok(Some(repository(made))),
                None => Err(Failure::remote("the answer has no repository").context("ecr:CreateRepository")),
            },
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(CreateRepositoryError::is_repository_already_exists_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(failure("ecr:CreateRepository", doing(), error)),
        }
    }

    /// `ecr:PutImageTagMutability`.
    pub async fn put_image_tag_mutability(
        &self,
        name: &RepositoryName,
        settings: &RepositorySettings,
    ) -> Result<(), Failure> {
        let request = self.client.put_image_tag_mutability().repository_name(name.as_str());
        let request = request
            .image_tag_mutability(ImageTagMutability::from(settings.tag_mutability.as_str()))
            .set_image_tag_mutability_exclusion_filters(filters(&settings.exclusions)?);
        let doing = || format!("set the tag immutability of `{name}`");
        request.send().await.map(drop).map_err(|error| failure("ecr:PutImageTagMutability", doing(), error))
    }

    /// `ecr:PutImageScanningConfiguration`.
    pub async fn put_image_scanning_configuration(&self, name: &RepositoryName, on_push: bool) -> Result<(), Failure> {
        let scanning = ImageScanningConfiguration::builder().scan_on_push(on_push).build();
        let request = self.client.put_image_scanning_configuration().repository_name(name.as_str());
        let doing = || format!("set the scanning of `{name}`");
        let set = request.image_scanning_configuration(scanning).send().await;
        set.map(drop).map_err(|error| failure("ecr:PutImageScanningConfiguration", doing(), error))
    }

    /// `ecr:GetLifecyclePolicy`. `None` if the repository has none.
    pub async fn lifecycle_policy(&self, name: &RepositoryName) -> Result<Option<Value>, Failure> {
        let (call, doing) = ("ecr:GetLifecyclePolicy", || format!("read the lifecycle policy of `{name}`"));
        match self.client.get_lifecycle_policy().repository_name(name.as_str()).send().await {
            Ok(answer) => {
                let policy = serde_json::from_str(answer.lifecycle_policy_text().unwrap_or_default());
                policy.map(Some).map_err(|error| Failure::remote(error).context(call).context(doing()))
            }
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(GetLifecyclePolicyError::is_lifecycle_policy_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(failure(call, doing(), error)),
        }
    }

    /// `ecr:PutLifecyclePolicy`.
    pub async fn put_lifecycle_policy(&self, name: &RepositoryName, policy: &Value) -> Result<(), Failure> {
        let request = self.client.put_lifecycle_policy().repository_name(name.as_str());
        let doing = || format!("set the lifecycle policy of `{name}`");
        let put = request.lifecycle_policy_text(policy.to_string()).send().await;
        put.map(drop).map_err(|error| failure("ecr:PutLifecyclePolicy", doing(), error))
    }

    /// `ecr:GetRegistryScanningConfiguration`.
    pub async fn registry_scanning(&self) -> Result<RegistryScanning, Failure> {
        let answer = self.client.get_registry_scanning_configuration().send().await;
        let doing = "read the registry's scanning configuration";
        let answer = answer.map_err(|error| failure("ecr:GetRegistryScanningConfiguration", doing, error))?;
        let Some(configuration) = answer.scanning_configuration() else { return Ok(RegistryScanning::default()) };
        let rule = |rule: &aws_sdk_ecr::types::RegistryScanningRule| {
            let filters = rule.repository_filters().iter().map(|filter| filter.filter().to_owned()).collect();
            (rule.scan_frequency().as_str().to_owned(), filters)
        };
        Ok(RegistryScanning {
            scan_type: configuration.scan_type().map(|kind| kind.as_str().to_owned()).unwrap_or_default(),
            rules: configuration.rules().iter().map(rule).collect(),
        })
    }
}

fn repository(described: &Described) -> Repository {
    let filters = described.image_tag_mutability_exclusion_filters();
    let mut exclusions: Vec<String> = filters.iter().map(|filter| filter.filter().to_owned()).collect();
    exclusions.sort();
    let mutability = described.image_tag_mutability().unwrap_or(&ImageTagMutability::Mutable);
    let encryption = described.encryption_configuration();
    Repository {
        uri: described.repository_uri().unwrap_or_default().to_owned(),
        settings: RepositorySettings {
            tag_mutability: mutability.as_str().to_owned(),
            exclusions,
            scan_on_push: described.image_scanning_configuration().is_some_and(|scanning| scanning.scan_on_push()),
            encryption: encryption.map_or("AES256", |encryption| encryption.encryption_type().as_str()).to_owned(),
            kms_key: encryption.and_then(|encryption| encryption.kms_key()).map(str::to_owned),
        },
    }
}

/// The patterns as ECR takes them: a list that is there has at least one.
fn filters(patterns: &[String]) -> Result<Option<Vec<ImageTagMutabilityExclusionFilter>>, Failure> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let filter = |pattern: &String| {
        let kind = ImageTagMutabilityExclusionFilterType::Wildcard;
        ImageTagMutabilityExclusionFilter::builder().filter_type(kind).filter(pattern).build()
    };
    patterns.iter().map(filter).collect::<Result<_, _>>().map(Some).map_err(Failure::bug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_moves_where_the_repository_lets_it() {
        for (mutability, exclusions, tag, may_move) in [
            ("MUTABLE", vec![], "main", true),
            ("IMMUTABLE", vec![], "main", false),
            ("IMMUTABLE_WITH_EXCLUSION", vec!["main", "pr-*"], "pr-7", true),
            ("IMMUTABLE_WITH_EXCLUSION", vec!["main", "pr-*"], "latest", false),
            ("MUTABLE_WITH_EXCLUSION", vec!["v*"], "v1", false),
            ("MUTABLE_WITH_EXCLUSION", vec!["v*"], "main", true),
            ("NEWER_THAN_THIS", vec![], "main", true),
        ] {
            let settings = RepositorySettings {
                tag_mutability: mutability.to_owned(),
                exclusions: exclusions.into_iter().map(str::to_owned).collect(),
                scan_on_push: true,
                encryption: "AES256".to_owned(),
                kms_key: None,
            };
            assert_eq!(settings.lets_move(tag), may_move, "{mutability} {tag}");
        }
    }

    #[test]
    fn the_registry_s_rules_say_how_often_a_repository_is_scanned() {
        let rule = |frequency: &str, filter: &str| (frequency.to_owned(), vec![filter.to_owned()]);
        let scanning = |rules| RegistryScanning { scan_type: "BASIC".to_owned(), rules };
        let name: RepositoryName = "shop/auth".parse().unwrap();
        assert!(!scanning(vec![]).decides());
        for (rules, frequency) in [
            (vec![rule("SCAN_ON_PUSH", "*")], Some("SCAN_ON_PUSH")),
            (vec![rule("SCAN_ON_PUSH", "shop")], Some("SCAN_ON_PUSH")),
            (vec![rule("SCAN_ON_PUSH", "shop*h")], Some("SCAN_ON_PUSH")),
            (vec![rule("SCAN_ON_PUSH", "bank/*")], None),
            (vec![rule("MANUAL", "*"), rule("CONTINUOUS_SCAN", "shop/*")], Some("CONTINUOUS_SCAN")),
        ] {
            let scanning = scanning(rules);
            assert!(scanning.decides());
            assert_eq!(scanning.frequency(&name), frequency, "{scanning:?}");
        }
    }
}
