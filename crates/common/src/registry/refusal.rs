//! What a registry says no with, in words that help.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;

use crate::failure::Failure;
use crate::names::RepositoryName;

/// How much of an answer that is no JSON is told.
const TOLD: usize = 300;

/// What a request does, and so the permission that ECR wants for it: its refusals of `HEAD` have no body that would say so.
#[derive(Clone, Copy, Debug)]
pub(super) enum Need {
    SeeBlob,
    ReadBlob,
    BeginUpload,
    Upload,
    ReadManifest,
    PutManifest,
    ListReferrers,
}

impl Need {
    /// The IAM actions.
    fn actions(self) -> &'static str {
        match self {
            Self::SeeBlob => "`ecr:BatchCheckLayerAvailability`",
            Self::ReadBlob => "`ecr:GetDownloadUrlForLayer`",
            Self::BeginUpload => "`ecr:InitiateLayerUpload` and `ecr:BatchCheckLayerAvailability`",
            Self::Upload => "`ecr:UploadLayerPart` and `ecr:CompleteLayerUpload`",
            Self::ReadManifest | Self::ListReferrers => "`ecr:BatchGetImage`",
            Self::PutManifest => "`ecr:PutImage`",
        }
    }
}

/// What the registry said: `CODE: message` of its first error, or the beginning of its text. `None` if it said nothing.
pub(super) fn words(answer: &Response<Bytes>) -> Option<String> {
    let body = answer.body();
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let error = json.as_ref().and_then(|json| json["errors"].get(0));
    let text = match error {
        Some(error) => {
            let (code, message) = (error["code"].as_str(), error["message"].as_str());
            [code, message].into_iter().flatten().collect::<Vec<_>>().join(": ")
        }
        None => String::from_utf8_lossy(body).trim().chars().take(TOLD).collect(),
    };
    (!text.is_empty()).then_some(text)
}

/// The code of the registry's first error, `BLOB_UNKNOWN`.
pub(super) fn code(answer: &Response<Bytes>) -> Option<String> {
    let json: Value = serde_json::from_slice(answer.body()).ok()?;
    Some(json["errors"].get(0)?["code"].as_str()?.to_owned())
}

/// Access is denied.
pub(super) fn denied(answer: &Response<Bytes>, need: Need, repository: &RepositoryName) -> Failure {
    let words = words(answer).unwrap_or_else(|| "and gave no reason".to_owned());
    Failure::denied(format!("the registry answered {}, {words}", answer.status())).hint(format!(
        "allow {} on repository `{repository}`, for the role and in the repository's own policy",
        need.actions()
    ))
}

/// The registry has no such repository, or does not say so to a stranger.
pub(super) fn no_repository(answer: &Response<Bytes>, repository: &RepositoryName) -> Failure {
    let words = words(answer).unwrap_or_else(|| "no reason given".to_owned());
    Failure::input(format!("the registry has no repository `{repository}`: {words}"))
        .hint("check its name, the account and the region, or create it")
}

/// Any other no.
pub(super) fn unexpected(answer: &Response<Bytes>) -> Failure {
    let words = words(answer).map(|words| format!(", {words}")).unwrap_or_default();
    let status = answer.status();
    match (status, code(answer).as_deref()) {
        (_, Some("TAG_INVALID")) => Failure::input(format!("the registry answered {status}{words}")).hint(
            "the tag is at another image and cannot move: run again to use that one, or exclude the tag from the repository's tag \
             immutability",
        ),
        (StatusCode::METHOD_NOT_ALLOWED, _) => Failure::remote(format!("the registry answered {status}{words}"))
            .hint("this registry does not take what was sent"),
        _ => Failure::remote(format!("the registry answered {status}{words}")),
    }
}

/// The connection ended instead of an answer to the first request of an upload: what ECR does for a repository that is not
/// there (<https://github.com/aws/containers-roadmap/issues/1970>).
pub(super) fn explain_silence(failure: Failure, repository: &RepositoryName) -> Failure {
    let is_silence =
        failure.kind == crate::failure::Kind::Remote && !format!("{:#}", failure.error).contains("answered");
    match is_silence {
        true => Failure {
            hint: Some(format!(
                "ECR closes the connection where repository `{repository}` does not exist or `ecr:InitiateLayerUpload` is not \
                 allowed on it; if it is there, run again: what arrived is not sent twice"
            )),
            ..failure
        },
        false => failure,
    }
}
