//! One request after another until there is an answer that counts: what passes by itself is tried again, and said.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{Request, Response, StatusCode};

use super::refusal::{Need, denied, words};
use super::{Registry, Repository};
use crate::failure::Failure;
use crate::http::Unanswered;
use crate::poll::pause;

/// How often something is tried before it fails.
const ATTEMPTS: u32 = 6;

/// The longest wait before the second attempt; it doubles from one to the next.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The longest wait of all, whatever the registry asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long the answer to a small request may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Why an attempt came to nothing.
pub(super) enum Trouble {
    /// It may be better in a moment, or after the time that the registry asks for.
    Passing { said: String, wait: Option<Duration> },
    /// It will not be better.
    Final(Failure),
}

impl Trouble {
    pub(super) fn passing(said: impl Into<String>) -> Self {
        Self::Passing { said: said.into(), wait: None }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Final(failure)
    }
}

/// A request, and the permission that it needs.
pub(super) struct Question {
    pub(super) request: Request<Bytes>,
    pub(super) need: Need,
}

impl Registry<'_> {
    /// Tries until it succeeds, fails for good, or has failed often enough.
    ///
    /// Waits are random up to a limit that doubles ("full jitter",
    /// <https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/>): uploads that broke off together do not come
    /// back together.
    pub(super) async fn retried<T>(
        &self,
        doing: &str,
        mut attempt: impl AsyncFnMut() -> Result<T, Trouble>,
    ) -> Result<T, Failure> {
        let mut number = 1;
        loop {
            // In a box, for everything that is sent comes through here: its state would be that of all that sends.
            let (said, wait) = match Box::pin(attempt()).await {
                Ok(done) => return Ok(done),
                Err(Trouble::Final(failure)) => return Err(failure.context(doing)),
                Err(Trouble::Passing { said, wait }) => (said, wait),
            };
            if number == ATTEMPTS {
                return Err(Failure::remote(format!("{said}, and so {ATTEMPTS} times in a row"))
                    .hint("run again: what arrived is not sent twice")
                    .context(doing));
            }
            let wait = wait.unwrap_or_else(|| jitter(FIRST_WAIT * 2_u32.pow(number - 1))).min(LONGEST_WAIT);
            number += 1;
            // What is tried again at once is no trouble, but a login.
            if wait.is_zero() {
                continue;
            }
            let when = wait.as_secs_f64();
            self.edges.runner.say(format!("{doing}: {said}; attempt {number} of {ATTEMPTS} in {when:.1} s"));
            if !pause(wait, &self.edges.stop).await {
                return Err(Failure::cancelled("the run was cancelled").context(doing));
            }
        }
    }
}

impl Repository<'_> {
    /// Asks until there is an answer that counts: whatever its status says, it is about what was asked.
    pub(super) async fn ask(
        &self,
        doing: &str,
        question: impl Fn() -> Result<Question, Failure>,
    ) -> Result<Response<Bytes>, Failure> {
        self.registry.retried(doing, async || self.once(question()?).await).await
    }

    /// Asks once.
    pub(super) async fn once(&self, Question { mut request, need }: Question) -> Result<Response<Bytes>, Trouble> {
        let token = self.registry.token(&self.name).await?;
        if let Some(token) = &token {
            request.headers_mut().insert(AUTHORIZATION, token.header.clone());
        }
        let answer = self.registry.edges.http.send(request, LIMIT).await;
        self.judge(answer, token.as_ref(), need).await
    }

    /// Tells an answer that counts from one that means: again.
    pub(super) async fn judge(
        &self,
        answer: Result<Response<Bytes>, Unanswered>,
        token: Option<&super::login::Token>,
        need: Need,
    ) -> Result<Response<Bytes>, Trouble> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error @ Unanswered::Unsendable(_)) => return Err(Failure::bug(error).into()),
            Err(error @ Unanswered::Distrusted(_)) => {
                return Err(Failure::remote(format!("the registry does not prove who it is: {error}"))
                    .hint("if a proxy of yours opens TLS, name its certificate in `AWS_CA_BUNDLE`: a file in the workspace")
                    .into());
            }
            Err(error) => return Err(Trouble::passing(error.to_string())),
        };
        let status = answer.status();
        match status {
            StatusCode::UNAUTHORIZED => Err(self.registry.renew(&self.name, &answer, token, need).await),
            // ECR's word for a token that was good once.
            StatusCode::FORBIDDEN if words(&answer).is_some_and(|words| words.contains("token has expired")) => {
                Err(self.registry.renew(&self.name, &answer, token, need).await)
            }
            StatusCode::FORBIDDEN => Err(denied(&answer, need, &self.name).into()),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Err(passing(&answer))
            }
            status if status.is_server_error() => Err(passing(&answer)),
            _ => Ok(answer),
        }
    }
}

/// An answer that means: again, in a moment.
fn passing(answer: &Response<Bytes>) -> Trouble {
    let status = answer.status();
    let said = words(answer).map_or_else(|| status.to_string(), |words| format!("{status}, {words}"));
    Trouble::Passing { said: format!("the registry answered {said}"), wait: retry_after(answer) }
}

/// The seconds of `Retry-After`. Its other form, a date, is as good as none: the registry's clock is not ours.
fn retry_after(answer: &Response<Bytes>) -> Option<Duration> {
    let seconds = answer.headers().get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    // "At once" is for whoever asks alone.
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// A random part of this time.
fn jitter(most: Duration) -> Duration {
    let mut bytes = [0; 4];
    // Without randomness, half of it is a wait like any other.
    let share = match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 0.5,
    };
    most.mul_f64(share)
}
