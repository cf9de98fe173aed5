//! Blobs: whether one is there, one of another repository, one that is sent, one that is read.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http::{Method, Request, Response, StatusCode};

use super::Repository;
use super::attempt::{Question, Trouble};
use super::refusal::{Need, code, explain_silence, no_repository, unexpected, words};
use crate::extent::Extent;
use crate::failure::Failure;
use crate::names::{Digest, RepositoryName};
use crate::policy::human;

/// How long nothing may move in an upload, its last answer included: the registry has the blob together by then.
const STALLED: Duration = Duration::from_secs(120);

/// How a blob came to be where it is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// Its bytes were sent.
    Uploaded,
    /// The registry had it in another repository.
    Mounted,
}

impl Repository<'_> {
    /// Whether the repository has a blob.
    pub async fn has(&self, digest: &Digest) -> Result<bool, Failure> {
        let doing = format!("look for blob {} in `{}`", digest.short(), self.name);
        let answer = self.ask(&doing, || self.blob_question(Method::HEAD, digest, Need::SeeBlob)).await?;
        match answer.status() {
            // ECR may point to where the blob is.
            status if status.is_success() || status.is_redirection() => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(unexpected(&answer).context(doing)),
        }
    }

    /// A small blob, a configuration, whose digest is that which was asked for.
    pub async fn blob(&self, digest: &Digest) -> Result<Bytes, Failure> {
        let doing = format!("read blob {} of `{}`", digest.short(), self.name);
        let answer = self.ask(&doing, || self.blob_question(Method::GET, digest, Need::ReadBlob)).await?;
        let bytes = match answer.status() {
            StatusCode::OK => answer.into_body(),
            status if status.is_redirection() => self.elsewhere(&doing, &answer).await?,
            _ => return Err(unexpected(&answer).context(doing)),
        };
        match Digest::of_bytes(&bytes) {
            found if found == *digest => Ok(bytes),
            found => Err(Failure::remote(format!("the registry sent {found} for {digest}")).context(doing)),
        }
    }

    /// Sends a blob, unless the registry can take it from a repository that has it.
    ///
    /// Every attempt is a session of its own: what ECR says of how much of a broken one arrived cannot be relied on. Every byte
    /// that is sent is counted in `moved`, those of attempts that broke off included.
    pub async fn put_blob(
        &self,
        digest: &Digest,
        extent: &Extent,
        from: Option<&RepositoryName>,
        moved: &Arc<AtomicU64>,
    ) -> Result<Arrived, Failure> {
        let doing = format!("send blob {} ({}) to `{}`", digest.short(), human(extent.length()), self.name);
        // Held from the session to its end: what is limited is how many are open side by side.
        let _permit = self.registry.uploads.acquire().await.map_err(Failure::bug)?;
        let mut is_heard = false;
        let arrived = self.registry.retried(&doing, async || {
            let answer = self.once(self.begin(digest, from)?).await?;
            is_heard = true;
            match answer.status() {
                StatusCode::CREATED if from.is_some() => Ok(Arrived::Mounted),
                StatusCode::ACCEPTED | StatusCode::CREATED => {
                    self.finish(&answer, digest, extent, moved).await.map(|()| Arrived::Uploaded)
                }
                StatusCode::NOT_FOUND => Err(no_repository(&answer, &self.name).into()),
                _ => Err(unexpected(&answer).into()),
            }
        });
        let arrived = arrived.await;
        arrived.map_err(|failure| if is_heard { failure } else { explain_silence(failure, &self.name) })
    }

    /// Opens a session, or mounts.
    fn begin(&self, digest: &Digest, from: Option<&RepositoryName>) -> Result<Question, Failure> {
        let path = match from {
            Some(from) => {
                let mut query = form_urlencoded::Serializer::new(String::new());
                query.append_pair("mount", digest.as_str()).append_pair("from", from.as_str());
                format!("blobs/uploads/?{}", query.finish())
            }
            None => "blobs/uploads/".to_owned(),
        };
        let request = self.request(Method::POST, &path).header(CONTENT_LENGTH, 0).body(Bytes::new());
        Ok(Question { request: request.map_err(Failure::bug)?, need: Need::BeginUpload })
    }

    /// Sends all of a blob into the session that was opened for it.
    async fn finish(
        &self,
        opened: &Response<Bytes>,
        digest: &Digest,
        extent: &Extent,
        moved: &Arc<AtomicU64>,
    ) -> Result<(), Trouble> {
        let Some(session) = self.location(opened) else {
            return Err(Failure::remote("the registry opened an upload and did not say where").into());
        };
        let separator = if session.contains('?') { '&' } else { '?' };
        let token = self.registry.token(&self.name).await?;
        let request = Request::put(format!("{session}{separator}digest={digest}"))
            .header(CONTENT_LENGTH, extent.length())
            .header(CONTENT_TYPE, "application/octet-stream");
        let request = match &token {
            Some(token) => request.header(AUTHORIZATION, token.header.clone()),
            None => request,
        };
        let (body, reading) = extent.upload(digest, moved.clone());
        let request = request.body(body).map_err(|error| Failure::remote(format!("`{session}`: {error}")))?;
        let answer = self.registry.edges.http.upload(request, STALLED).await;
        if answer.is_err() {
            // What was wrong on our side explains the broken connection better than the connection does.
            reading.await.map_err(Failure::bug)??;
        }
        let answer = self.judge(answer, token.as_ref(), Need::Upload).await?;
        self.check_stored(&answer, digest)
    }

    fn check_stored(&self, answer: &Response<Bytes>, digest: &Digest) -> Result<(), Trouble> {
        let lost = matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE);
        let is_damaged = || code(answer).is_some_and(|code| code == "DIGEST_INVALID" || code == "SIZE_INVALID");
        let said = || words(answer).unwrap_or_else(|| answer.status().to_string());
        match answer.status() {
            StatusCode::CREATED | StatusCode::NO_CONTENT => {}
            _ if lost => return Err(Trouble::passing(format!("the registry lost the upload: {}", said()))),
            // What left here had its digest, so that it was changed on the way.
            _ if is_damaged() => return Err(Trouble::passing(format!("it arrived damaged: {}", said()))),
            _ => return Err(unexpected(answer).into()),
        }
        let stored = answer.headers().get("docker-content-digest").and_then(|stored| stored.to_str().ok());
        match stored {
            Some(stored) if stored != digest.as_str() => {
                Err(Trouble::passing(format!("the registry stored {stored} instead")))
            }
            _ => Ok(()),
        }
    }

    fn blob_question(&self, method: Method, digest: &Digest, need: Need) -> Result<Question, Failure> {
        let request = self.request(method, &format!("blobs/{digest}")).body(Bytes::new());
        Ok(Question { request: request.map_err(Failure::bug)?, need })
    }

    /// Follows to where the bytes are. What we are to the registry is nobody else's business.
    async fn elsewhere(&self, doing: &str, answer: &Response<Bytes>) -> Result<Bytes, Failure> {
        let Some(url) = self.location(answer) else { return Err(unexpected(answer).context(doing)) };
        let there = self.registry.retried(doing, async || {
            let request = Request::get(&url).body(Bytes::new());
            let request = request.map_err(|error| Failure::remote(format!("the registry points nowhere: {error}")))?;
            let answer = self.registry.edges.http.send(request, STALLED).await;
            let answer = answer.map_err(|error| Trouble::passing(error.to_string()))?;
            match answer.status() {
                StatusCode::OK => Ok(answer.into_body()),
                status => Err(Trouble::passing(format!("the store behind the registry answered {status}"))),
            }
        });
        there.await
    }

    /// Where an answer points to, as a whole address.
    fn location(&self, answer: &Response<Bytes>) -> Option<String> {
        let location = answer.headers().get(LOCATION)?.to_str().ok()?;
        match location.starts_with('/') {
            true => Some(self.registry.url(location)),
            false => Some(location.to_owned()),
        }
    }
}
