//! Who we are to a registry: a password of ECR, one that was given, or nobody; and the token that some want instead.
//!
//! <https://distribution.github.io/distribution/spec/auth/token/>

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response};
use serde_json::Value;
use tokio::time::Instant;

use super::Registry;
use super::attempt::Trouble;
use super::refusal::{Need, denied};
use crate::aws::{Ecr, Login};
use crate::failure::Failure;
use crate::names::RepositoryName;

/// ECR's passwords are valid for twelve hours; a push that goes on is given a new one at half of that
/// (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/registry_auth.html>).
const ECR_LIFETIME: Duration = Duration::from_secs(12 * 60 * 60);

/// How long a token is valid whose registry does not say (the page above).
const BEARER_LIFETIME: Duration = Duration::from_secs(60);

/// A token that is refused at this age is not old: we are not welcome.
const YOUNG: Duration = Duration::from_secs(5);

const LIMIT: Duration = Duration::from_secs(30);

/// What to log in with.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Nothing: a registry that asks nobody.
    None,
    /// This.
    Given(Login),
    /// A password that ECR gives to whoever may have one, and gives again.
    Ecr(Ecr),
}

/// What requests carry.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) header: HeaderValue,
    obtained: Instant,
    renewed_at: Instant,
}

impl Token {
    fn new(header: &str, lifetime: Duration) -> Result<Self, Failure> {
        let mut header = HeaderValue::from_str(header)
            .map_err(|_| Failure::remote("the registry's token cannot be sent: it is no header's value"))?;
        header.set_sensitive(true);
        let now = Instant::now();
        Ok(Self { header, obtained: now, renewed_at: now + lifetime / 2 })
    }
}

/// The tokens at hand.
#[derive(Default)]
pub(super) struct Tokens {
    basic: Option<Token>,
    bearer: BTreeMap<RepositoryName, Token>,
}

impl Registry<'_> {
    /// What a request to a repository carries, if anything. One that is past half of its life is renewed first.
    pub(super) async fn token(&self, repository: &RepositoryName) -> Result<Option<Token>, Failure> {
        let mut tokens = self.tokens.lock().await;
        let is_good = |token: &&Token| Instant::now() < token.renewed_at;
        if let Some(token) = tokens.bearer.get(repository).filter(is_good) {
            return Ok(Some(token.clone()));
        }
        if let Some(token) = tokens.basic.as_ref().filter(is_good) {
            return Ok(Some(token.clone()));
        }
        tokens.basic = match &self.keys {
            Keys::None => None,
            Keys::Given(login) => Some(Token::new(&basic(login), ECR_LIFETIME)?),
            Keys::Ecr(ecr) => {
                let login = ecr.get_authorization_token().await?;
                self.edges.runner.mask(&login.password);
                Some(Token::new(&basic(&login), ECR_LIFETIME)?)
            }
        };
        Ok(tokens.basic.clone())
    }

    /// The registry did not take what a request carried: it is asked for what it wants instead, and then the request once more.
    pub(super) async fn renew(
        &self,
        repository: &RepositoryName,
        answer: &Response<Bytes>,
        used: Option<&Token>,
        need: Need,
    ) -> Trouble {
        let challenge = answer.headers().get(WWW_AUTHENTICATE).and_then(|value| value.to_str().ok()).and_then(bearer);
        let mut tokens = self.tokens.lock().await;
        let is_bearer = tokens.bearer.contains_key(repository);
        // The first request to a registry with tokens is refused whatever it carries.
        let is_first = challenge.is_some() && !is_bearer;
        if !is_first && used.is_none_or(|used| used.obtained.elapsed() < YOUNG) {
            return denied(answer, need, repository).into();
        }
        match challenge {
            Some(challenge) => match self.bearer_token(&challenge).await {
                Ok(token) => drop(tokens.bearer.insert(repository.clone(), token)),
                Err(trouble) => return trouble,
            },
            // Another request may have brought a new one meanwhile.
            None if tokens.basic.as_ref().map(|token| token.obtained) == used.map(|used| used.obtained) => {
                tokens.basic = None;
            }
            None => {}
        }
        Trouble::Passing { said: "the registry wants a new login".to_owned(), wait: Some(Duration::ZERO) }
    }

    async fn bearer_token(&self, challenge: &Challenge) -> Result<Token, Trouble> {
        let request = Request::get(challenge.url());
        let request = match &self.keys {
            Keys::None => request,
            Keys::Given(login) => request.header(AUTHORIZATION, basic(login)),
            Keys::Ecr(ecr) => request.header(AUTHORIZATION, basic(&ecr.get_authorization_token().await?)),
        };
        let broken = |why: String| Failure::remote(why).context(format!("get a token at {}", challenge.realm));
        let request = request.body(Bytes::new()).map_err(|error| broken(error.to_string()))?;
        let answer = self.edges.http.send(request, LIMIT).await;
        let answer = answer.map_err(|error| Trouble::passing(format!("{}: {error}", challenge.realm)))?;
        if !answer.status().is_success() {
            let status = answer.status();
            return match status.is_server_error() {
                true => Err(Trouble::passing(format!("{} answered {status}", challenge.realm))),
                false => Err(Failure::denied(format!("{} answered {status}", challenge.realm)).into()),
            };
        }
        let json: Value = serde_json::from_slice(answer.body()).map_err(|error| broken(error.to_string()))?;
        let token = json["token"].as_str().or(json["access_token"].as_str());
        let token = token.ok_or_else(|| broken("the answer has none".to_owned()))?;
        let lifetime = json["expires_in"].as_u64().map_or(BEARER_LIFETIME, Duration::from_secs);
        Ok(Token::new(&format!("Bearer {token}"), lifetime)?)
    }
}

fn basic(login: &Login) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", login.user, login.password.expose())))
}

/// Where a registry has its tokens, and for what.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn url(&self) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.parameters).finish();
        format!("{}?{query}", self.realm)
    }
}

/// Reads `Bearer realm="…",service="…",scope="…"`. `None` for any other challenge.
fn bearer(text: &str) -> Option<Challenge> {
    let mut rest = text.strip_prefix("Bearer ")?;
    let (mut realm, mut parameters) = (None, Vec::new());
    while let Some((name, value)) = rest.split_once("=\"") {
        // A scope may hold commas, so that only the quotation mark ends a value.
        let (value, next) = value.split_once('"')?;
        match name.trim_matches([',', ' ']) {
            "realm" => realm = Some(value.to_owned()),
            name => parameters.push((name.to_owned(), value.to_owned())),
        }
        rest = next;
    }
    Some(Challenge { realm: realm?, parameters })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_says_where_the_tokens_are() {
        let told =
            "Bearer realm=\"https://auth.docker.io/token\",service=\"registry\", scope=\"repository:a/b:pull,push\"";
        assert_eq!(
            bearer(told).unwrap().url(),
            "https://auth.docker.io/token?service=registry&scope=repository%3Aa%2Fb%3Apull%2Cpush"
        );
        assert_eq!(bearer("Basic realm=\"https://ecr/\",service=\"ecr.amazonaws.com\""), None);
        assert_eq!(bearer("Bearer service=\"x\""), None);
    }
}
