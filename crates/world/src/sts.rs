//! AWS STS: roles for OpenID Connect tokens, and who one is.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::StatusCode;
use serde_json::Value;

use crate::state::{State, World};
use crate::wire::{Refusal, xml};
use crate::{oci, oidc};

/// The XML namespace of STS's answers.
pub(crate) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// What STS knows.
#[derive(Debug, Default)]
pub(crate) struct Sts {
    /// The roles whose trust policy lets a job in; `None` means every role.
    allowed: Option<BTreeSet<String>>,
    /// The last role that was assumed, as the session's ARN and id.
    session: Option<(String, String)>,
    sessions: usize,
}

impl World {
    /// Lets jobs assume this role, and from now on no other that was not allowed too. At first, every role is allowed.
    pub fn allow_role(&self, arn: &str) {
        self.with(|state| state.sts.allowed.get_or_insert_default().insert(arn.to_owned()));
    }
}

/// Answers an operation of STS's API with the inside of its result.
pub(crate) fn answer(
    state: &mut State,
    action: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<String, Refusal> {
    match action {
        "AssumeRoleWithWebIdentity" => assume_role_with_web_identity(state, parameters),
        "GetCallerIdentity" => Ok(get_caller_identity(state)),
        _ => Err(Refusal::new("InvalidAction", format!("Could not find operation {action} for version 2011-06-15"))),
    }
}

fn assume_role_with_web_identity(state: &mut State, parameters: &BTreeMap<String, String>) -> Result<String, Refusal> {
    let parameter = |name: &str| parameters.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let (Some(role), Some(session), Some(token)) =
        (parameter("RoleArn"), parameter("RoleSessionName"), parameter("WebIdentityToken"))
    else {
        let message = "1 validation error detected: RoleArn, RoleSessionName and WebIdentityToken must not be null";
        return Err(Refusal::new("ValidationError", message));
    };
    let claims = claims(state, token)?;
    let (_, path) =
        role.split_once(":role/").ok_or_else(|| Refusal::new("ValidationError", format!("{role} is invalid")))?;
    if state.sts.allowed.as_ref().is_some_and(|allowed| !allowed.contains(role)) {
        let message = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
        return Err(Refusal::new("AccessDenied", message).with_status(StatusCode::FORBIDDEN));
    }
    let account = role.split(':').nth(4).unwrap_or(&state.account).to_owned();
    let name = path.rsplit('/').next().unwrap_or(path);
    let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/{session}");
    let id = format!("AROA{}:{session}", oci::hexadecimal(role)[..16].to_uppercase());
    state.sts.session = Some((arn.clone(), id.clone()));
    state.sts.sessions += 1;
    let seconds = parameter("DurationSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(3600);
    let expiration = state.now + Duration::from_secs(seconds);
    let key = oci::hexadecimal(&format!("{arn} {}", state.sts.sessions));
    Ok(format!(
        "<Credentials><AccessKeyId>ASIA{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{key}</SessionToken>\
         <Expiration>{expiration}</Expiration></Credentials>\
         <SubjectFromWebIdentityToken>{}</SubjectFromWebIdentityToken>\
         <AssumedRoleUser><AssumedRoleId>{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser>\
         <Provider>arn:aws:iam::{account}:oidc-provider/token.actions.githubusercontent.com</Provider>\
         <Audience>{}</Audience>",
        key[..16].to_uppercase(),
        &key[16..56],
        xml(claims["sub"].as_str().unwrap_or_default()),
        xml(&id),
        xml(&arn),
        xml(claims["aud"].as_str().unwrap_or_default()),
    ))
}

fn claims(state: &State, token: &str) -> Result<Value, Refusal> {
    let claims = oidc::claims(token).ok_or_else(|| {
        Refusal::new("InvalidIdentityToken", "Couldn't retrieve verification key from your identity provider")
    })?;
    if claims["aud"] != "sts.amazonaws.com" {
        return Err(Refusal::new("InvalidIdentityToken", "Incorrect token audience"));
    }
    let (now, expires) = (state.now.as_second(), claims["exp"].as_i64().unwrap_or_default());
    if expires <= now {
        let message =
            format!("Token expired: current date/time {now} must be before the expiration date/time {expires}");
        return Err(Refusal::new("ExpiredTokenException", message));
    }
    Ok(claims)
}

fn get_caller_identity(state: &State) -> String {
    let account = &state.account;
    let (arn, id) = state.sts.session.clone().unwrap_or_else(|| {
        (
            format!("arn:aws:iam::{account}:user/deliver"),
            format!("AIDA{}", oci::hexadecimal(account)[..16].to_uppercase()),
        )
    });
    let account = arn.split(':').nth(4).unwrap_or(account);
    format!("<Arn>{}</Arn><UserId>{}</UserId><Account>{account}</Account>", xml(&arn), xml(&id))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::Request;

    use super::*;

    fn token(world: &World, audience: &str) -> String {
        let request = Request::get(format!("/_oidc/token?audience={audience}")).header("authorization", "bearer job");
        let response = world.answer(&request.body(Bytes::new()).unwrap()).unwrap();
        serde_json::from_slice::<Value>(response.body()).unwrap()["value"].as_str().unwrap().to_owned()
    }

    fn assume(world: &World, role: &str, token: &str) -> Result<String, Refusal> {
        let parameters = [("RoleArn", role), ("RoleSessionName", "run-7"), ("WebIdentityToken", token)];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        world.with(|state| answer(state, "AssumeRoleWithWebIdentity", &parameters))
    }

    #[test]
    fn a_job_becomes_the_role() {
        let world = World::new();
        let token = token(&world, "sts.amazonaws.com");
        let assumed = assume(&world, "arn:aws:iam::444455556666:role/ci/deliver", &token).unwrap();
        assert!(assumed.contains("<Expiration>2026-01-05T10:00:"), "{assumed}");
        let identity = world.with(|state| answer(state, "GetCallerIdentity", &BTreeMap::new())).unwrap();
        assert!(identity.contains("<Arn>arn:aws:sts::444455556666:assumed-role/deliver/run-7</Arn>"), "{identity}");
        assert!(identity.contains("<Account>444455556666</Account>"), "{identity}");
    }

    #[test]
    fn a_role_that_does_not_trust_the_job_is_denied() {
        let world = World::new();
        world.allow_role("arn:aws:iam::111122223333:role/other");
        let token = token(&world, "sts.amazonaws.com");
        let refusal = assume(&world, "arn:aws:iam::111122223333:role/deliver", &token).unwrap_err();
        assert_eq!((refusal.status, refusal.code.as_str()), (StatusCode::FORBIDDEN, "AccessDenied"));
        assert_eq!(refusal.message, "Not authorized to perform sts:AssumeRoleWithWebIdentity");
        assert!(assume(&world, "arn:aws:iam::111122223333:role/other", &token).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_old_foreign_or_for_another_is_refused() {
        let world = World::new();
        let role = "arn:aws:iam::111122223333:role/deliver";
        let code = |token: &str| assume(&world, role, token).unwrap_err().code;
        assert_eq!(code("a.b.c"), "InvalidIdentityToken");
        assert_eq!(code(&token(&world, "elsewhere")), "InvalidIdentityToken");
        let token = token(&world, "sts.amazonaws.com");
        tokio::time::advance(Duration::from_secs(301)).await;
        assert_eq!(code(&token), "ExpiredTokenException");
    }
}
