//! Credentials by OpenID Connect: the job's identity token is minted here, exchanged at STS, and again whenever the
//! credentials run out, which those that an earlier step exported cannot do (aws-actions/configure-aws-credentials#359).

use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::Value;

use super::refusal::failure;
use crate::failure::Failure;
use crate::http::Http;
use crate::names::{RoleArn, Secret};
use crate::runner::Environment;

/// The audience that AWS's trust policies ask for.
const AUDIENCE: &str = "sts.amazonaws.com";

/// A role, assumed with the job's own identity.
#[derive(Debug)]
pub(super) struct WebIdentity {
    http: Http,
    sts: aws_sdk_sts::Client,
    role: RoleArn,
    token_url: String,
    token: Secret,
    session: String,
}

impl WebIdentity {
    pub(super) fn new(
        environment: &Environment,
        http: &Http,
        anonymous: &SdkConfig,
        role: &RoleArn,
    ) -> Result<Self, Failure> {
        let url = environment.get("ACTIONS_ID_TOKEN_REQUEST_URL");
        let (Some(url), Some(token)) = (url, environment.secret("ACTIONS_ID_TOKEN_REQUEST_TOKEN")) else {
            return Err(Failure::denied(format!("cannot assume `{role}`: the job has no identity token"))
                .hint("give the job `permissions: { id-token: write }`; a pull request from a fork never has one"));
        };
        Ok(Self {
            http: http.clone(),
            sts: aws_sdk_sts::Client::new(anonymous),
            role: role.clone(),
            token_url: format!("{url}{}audience={AUDIENCE}", if url.contains('?') { '&' } else { '?' }),
            token,
            // CloudTrail shows the session's name: the run is found by it.
            session: format!("run-{}", environment.get("GITHUB_RUN_ID").unwrap_or("local")),
        })
    }

    /// Fresh credentials.
    pub(super) async fn credentials(&self) -> Result<Credentials, Failure> {
        let token = self.identity_token().await?;
        let answer = self
            .sts
            .assume_role_with_web_identity()
            .role_arn(self.role.as_str())
            .role_session_name(&self.session)
            .web_identity_token(token.expose())
            .send()
            .await
            .map_err(|error| {
                let refusal = failure("sts:AssumeRoleWithWebIdentity", format!("assume `{}`", self.role), error);
                let claims = Claims::of(&token);
                Failure { hint: Some(claims.trust_policy()), ..refusal }
            })?;
        let credentials = answer.credentials().ok_or_else(|| Failure::remote("STS answered without credentials"))?;
        let expiry = SystemTime::UNIX_EPOCH + Duration::from_secs(credentials.expiration().secs().unsigned_abs());
        Ok(Credentials::new(
            credentials.access_key_id(),
            credentials.secret_access_key(),
            Some(credentials.session_token().to_owned()),
            Some(expiry),
            "GitHub OpenID Connect",
        ))
    }

    async fn identity_token(&self) -> Result<Secret, Failure> {
        let request = http::Request::get(&self.token_url)
            .header("authorization", format!("Bearer {}", self.token.expose()))
            .body(Bytes::new())
            .map_err(Failure::bug)?;
        let doing = "ask GitHub for the job's identity token";
        let response = self.http.send(request, Duration::from_secs(10)).await.map_err(|error| {
            Failure::remote(error).context(doing).hint("see <https://www.githubstatus.com>, then run again")
        })?;
        let answer: Value = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
        match answer["value"].as_str() {
            Some(token) => Ok(Secret::new(token)),
            None => Err(Failure::remote(format!("GitHub answered {}", response.status()))
                .context(doing)
                .hint("run again; if it stays, check that the job has `permissions: { id-token: write }`")),
        }
    }
}

impl ProvideCredentials for WebIdentity {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            self.credentials().await.map_err(|failure| CredentialsError::provider_error(failure.to_string()))
        })
    }
}

/// What an identity token says, which is what a trust policy compares. Not verified: STS does that.
#[derive(Debug, PartialEq, Eq)]
struct Claims {
    subject: String,
    audience: String,
}

impl Claims {
    fn of(token: &Secret) -> Self {
        let payload = token.expose().split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims: Value = payload.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
        let claim = |name: &str| claims[name].as_str().unwrap_or("?").to_owned();
        Self { subject: claim("sub"), audience: claim("aud") }
    }

    fn trust_policy(&self) -> String {
        format!(
            "the job's token says sub `{sub}`, aud `{aud}`; the role's trust policy must allow them: \
             \"Condition\": {{\"StringEquals\": {{\"token.actions.githubusercontent.com:sub\": \"{sub}\", \
             \"token.actions.githubusercontent.com:aud\": \"{aud}\"}}}}",
            sub = self.subject,
            aud = self.audience
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_can_say_what_the_trust_policy_must_allow() {
        let payload =
            URL_SAFE_NO_PAD.encode(r#"{"sub":"repo:org/shop:environment:production","aud":"sts.amazonaws.com"}"#);
        let claims = Claims::of(&Secret::new(format!("e30.{payload}.x")));
        assert!(claims.trust_policy().contains(r#"sub": "repo:org/shop:environment:production""#));
        assert_eq!(Claims::of(&Secret::new("nonsense")).subject, "?");
    }
}
