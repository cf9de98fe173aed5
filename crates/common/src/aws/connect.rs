//! How an account is reached: region, endpoint, credentials, and the proof that it is the right account.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region as SdkRegion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use super::identity::WebIdentity;
use super::refusal::failure;
use super::{CloudWatch, Ecr, Ecs, Elb, Iam, Logs, Rds, SecretsManager, Ssm, Tagging};
use crate::failure::Failure;
use crate::http::Http;
use crate::names::{AccountId, Region, RoleArn};
use crate::runner::Environment;

/// Where in AWS to work, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The region; `None` is `AWS_REGION`.
    pub region: Option<Region>,
    /// The role to assume by OpenID Connect; `None` is the standard credential chain.
    pub role: Option<RoleArn>,
    /// The accounts that may be touched; empty is any.
    pub allowed_accounts: Vec<AccountId>,
}

/// One account in one region.
#[derive(Clone, Debug)]
pub struct Aws {
    /// The region that every call goes to.
    pub region: Region,
    /// Elastic Container Service.
    pub ecs: Ecs,
    /// Elastic Container Registry.
    pub ecr: Ecr,
    /// CloudWatch Logs.
    pub logs: Logs,
    /// Elastic Load Balancing.
    pub elb: Elb,
    /// Relational Database Service.
    pub rds: Rds,
    /// Systems Manager's Parameter Store.
    pub ssm: Ssm,
    /// Secrets Manager.
    pub secrets: SecretsManager,
    /// Identity and Access Management.
    pub iam: Iam,
    /// CloudWatch.
    pub cloudwatch: CloudWatch,
    /// Resource Groups Tagging.
    pub tagging: Tagging,
}

impl Aws {
    /// Reaches this place. Credentials are looked for now, so that their absence is one clear failure.
    pub(crate) async fn connect(environment: &Environment, http: &Http, place: &Place) -> Result<Self, Failure> {
        let region = region(environment, place)?;
        let config = configuration(environment, http, &region, &place.role).await?;
        if !place.allowed_accounts.is_empty() {
            require_account(&config, &place.allowed_accounts).await?;
        }
        Ok(Self {
            region,
            ecs: Ecs::new(&config),
            ecr: Ecr::new(&config, http),
            logs: Logs::new(&config),
            elb: Elb::new(&config),
            rds: Rds::new(&config),
            ssm: Ssm::new(&config),
            secrets: SecretsManager::new(&config),
            iam: Iam::new(&config),
            cloudwatch: CloudWatch::new(&config),
            tagging: Tagging::new(&config),
        })
    }

    /// The address of a log stream in the AWS console, for people.
    pub fn log_url(&self, group: &str, stream: &str) -> String {
        // The console writes `$` + the percent-encoding with `%` as `25` in its fragment.
        let encode = |text: &str| text.replace('/', "$252F");
        format!(
            "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{}/log-events/{}",
            encode(group),
            encode(stream),
            region = self.region
        )
    }

    /// The page of a service in the AWS console, for people.
    pub fn service_url(&self, cluster: &str, service: &str) -> String {
        format!(
            "https://{region}.console.aws.amazon.com/ecs/v2/clusters/{cluster}/services/{service}/deployments?region={region}",
            region = self.region
        )
    }
}

fn region(environment: &Environment, place: &Place) -> Result<Region, Failure> {
    if let Some(region) = &place.region {
        return Ok(region.clone());
    }
    let written = environment.get("AWS_REGION").or_else(|| environment.get("AWS_DEFAULT_REGION"));
    match written {
        Some(text) => text.parse().map_err(|error| Failure::input(format!("`AWS_REGION`: {error}"))),
        None => Err(Failure::input("no AWS region is known")
            .hint("set the input `aws-region`, or `region` of the environment in delivery.toml")),
    }
}

async fn configuration(
    environment: &Environment,
    http: &Http,
    region: &Region,
    role: &Option<RoleArn>,
) -> Result<SdkConfig, Failure> {
    let loader = aws_config::defaults(BehaviorVersion::latest())
        .region(SdkRegion::new(region.as_str().to_owned()))
        .http_client(http.for_sdk())
        .time_source(http.clock())
        // Five attempts within three seconds carry a call over throttling; `poll` carries a wait over an outage.
        .retry_config(RetryConfig::standard().with_max_attempts(5).with_initial_backoff(Duration::from_millis(200)))
        .timeout_config(TimeoutConfig::builder().operation_timeout(Duration::from_secs(60)).build());
    let key = environment.get("AWS_ACCESS_KEY_ID").zip(environment.secret("AWS_SECRET_ACCESS_KEY"));
    let loader = match (role, key) {
        (Some(role), _) => {
            let anonymous = aim(loader.no_credentials().load().await, environment);
            let identity = WebIdentity::new(environment, http, &anonymous, role)?;
            identity.credentials().await?;
            return Ok(anonymous.into_builder().credentials_provider(SharedCredentialsProvider::new(identity)).build());
        }
        (None, Some((id, secret))) => {
            let session = environment.secret("AWS_SESSION_TOKEN").map(|token| token.expose().to_owned());
            loader.credentials_provider(Credentials::new(id, secret.expose(), session, None, "environment"))
        }
        (None, None) => loader,
    };
    let config = aim(loader.load().await, environment);
    match config.credentials_provider() {
        Some(provider) if provider.provide_credentials().await.is_ok() => Ok(config),
        _ => Err(no_credentials(environment)),
    }
}

/// Has the endpoints that the environment names asked. None of them is set as if by code, which would go before a service's own.
fn aim(config: SdkConfig, environment: &Environment) -> SdkConfig {
    let endpoint = environment.get("AWS_ENDPOINT_URL").map(str::to_owned);
    let mut builder = config.into_builder().service_config(OfService(environment.clone()));
    builder.set_endpoint_url(endpoint);
    builder.build()
}

/// What is said of one service alone: `AWS_ENDPOINT_URL_RDS`.
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>
#[derive(Debug)]
struct OfService(Environment);

impl LoadServiceConfig for OfService {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace(' ', "_");
        self.0.get(&format!("{}_{service}", key.env())).map(str::to_owned)
    }
}

fn no_credentials(environment: &Environment) -> Failure {
    let failure = Failure::denied("no AWS credentials were found");
    if environment.get("AWS_PROFILE").is_some() {
        // aws-actions/configure-aws-credentials writes a profile to the host's home, which no container action sees.
        return failure.hint(
            "`AWS_PROFILE` is set, and its file is on the host, where a container action cannot see it: use `role-to-assume` instead",
        );
    }
    failure.hint("set `role-to-assume` and give the job `permissions: { id-token: write }`, or run aws-actions/configure-aws-credentials before this step")
}

async fn require_account(config: &SdkConfig, allowed: &[AccountId]) -> Result<(), Failure> {
    let identity = aws_sdk_sts::Client::new(config)
        .get_caller_identity()
        .send()
        .await
        .map_err(|error| failure("sts:GetCallerIdentity", "ask which account the credentials belong to", error))?;
    let account = identity.account().unwrap_or_default();
    if allowed.iter().any(|allowed| allowed.as_str() == account) {
        return Ok(());
    }
    let allowed: Vec<&str> = allowed.iter().map(AccountId::as_str).collect();
    Err(Failure::denied(format!(
        "the credentials belong to account {account}, and only {} may be touched",
        allowed.join(", ")
    ))
    .hint("check `role-to-assume` and `allowed-account-ids`: nothing was changed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_services_own_endpoint_goes_before_that_of_all() {
        let environment: Environment = [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
            ("AWS_ENDPOINT_URL_RDS", "http://127.0.0.1:4567"),
            ("AWS_ENDPOINT_URL_RESOURCE_GROUPS_TAGGING_API", "http://127.0.0.1:4568"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        let config = aim(SdkConfig::builder().build(), &environment);
        assert_eq!(config.endpoint_url(), Some("http://127.0.0.1:4566"));
        let endpoint_of = |service| {
            let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url");
            config.service_config().unwrap().load_config(key.build().unwrap())
        };
        assert_eq!(endpoint_of("RDS").as_deref(), Some("http://127.0.0.1:4567"));
        assert_eq!(endpoint_of("Resource Groups Tagging API").as_deref(), Some("http://127.0.0.1:4568"));
        assert_eq!(endpoint_of("ECS"), None);
    }
}
