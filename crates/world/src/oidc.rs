//! The job's OpenID Connect provider: what answers at `ACTIONS_ID_TOKEN_REQUEST_URL`.
//!
//! <https://docs.github.com/en/actions/reference/security/oidc>

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::oci;
use crate::state::State;
use crate::wire;

const LIFETIME_SECONDS: i64 = 5 * 60;

/// Answers `GET /_oidc/token?audience=…` with a token, to whoever has the job's bearer token.
pub(crate) fn answer(state: &State, request: &Request<Bytes>) -> Response<Bytes> {
    let bearer = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let has_bearer = bearer.is_some_and(|value| value.to_ascii_lowercase().starts_with("bearer ") && value.len() > 7);
    if !has_bearer {
        let body = json!({ "message": "Authentication failed: the request has no bearer token" });
        return wire::json_response(StatusCode::UNAUTHORIZED, &body);
    }
    if request.method() != Method::GET || request.uri().path() != "/_oidc/token" {
        return wire::json_response(StatusCode::NOT_FOUND, &json!({ "message": "Not Found" }));
    }
    let audience = wire::query(request).into_iter().find(|(name, _)| name == "audience").map(|(_, value)| value);
    let audience = audience.unwrap_or_else(|| "https://github.com/org".to_owned());
    wire::json_response(StatusCode::OK, &json!({ "value": mint(state, &audience) }))
}

/// The claims of a token that this provider minted. `None` if it is another's, or was changed.
pub(crate) fn claims(token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (_, claims) = signed.split_once('.')?;
    let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    (signature == sign(signed)).then_some(claims)
}

fn mint(state: &State, audience: &str) -> String {
    let now = state.now.as_second();
    let repository = "org/shop";
    let claims = json!({
        "iss": "https://token.actions.githubusercontent.com",
        "sub": format!("repo:{repository}:ref:refs/heads/main"),
        "aud": audience,
        "iat": now,
        "nbf": now,
        "exp": now + LIFETIME_SECONDS,
        "repository": repository,
        "repository_owner": "org",
        "ref": "refs/heads/main",
        "event_name": "push",
        "job_workflow_ref": format!("{repository}/.github/workflows/deliver.yml@refs/heads/main"),
    });
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(&json!({ "alg": "RS256", "typ": "JWT", "kid": "world" })), encode(&claims));
    let signature = sign(&signed);
    format!("{signed}.{signature}")
}

/// Not a signature that anyone else would believe: it only lets the world know its own tokens again.
fn sign(signed: &str) -> String {
    oci::hexadecimal(&format!("signed by the world: {signed}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::World;

    #[test]
    fn a_token_is_minted_for_the_audience_and_for_nobody_without_a_bearer() {
        let world = World::new();
        let ask = |bearer: Option<&str>| {
            let mut request = Request::get("http://world/_oidc/token?api-version=2.0&audience=sts.amazonaws.com");
            if let Some(bearer) = bearer {
                request = request.header("authorization", bearer);
            }
            world.answer(&request.body(Bytes::new()).unwrap()).unwrap()
        };
        assert_eq!(ask(None).status(), StatusCode::UNAUTHORIZED);
        let body: Value = serde_json::from_slice(ask(Some("bearer job")).body()).unwrap();
        let token = body["value"].as_str().unwrap();
        assert_eq!(claims(token).unwrap()["aud"], "sts.amazonaws.com");
        assert_eq!(claims(&token.replacen("ey", "eY", 1)), None);
    }
}
