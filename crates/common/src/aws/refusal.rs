//! AWS's "no" as a [`Failure`]: which call, on what, why, and the next step.

use std::error::Error as StdError;
use std::fmt::Display;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::failure::Failure;
use crate::http::root_cause;

/// Explains why a call failed. `call` is the action as IAM writes it, `doing` a fragment: "describe service `auth`".
pub(super) fn failure<E, R>(call: &str, doing: impl Display, error: SdkError<E, R>) -> Failure
where
    E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let explained = match &error {
        SdkError::ServiceError(refused) => {
            let code = refused.err().code().unwrap_or("an error without a code");
            let message = refused.err().message().unwrap_or("no reason given");
            from_code(call, code, message)
        }
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) => Failure::remote(root_cause(&error))
            .hint("check the region, the network and `AWS_ENDPOINT_URL`: the endpoint could not be reached"),
        SdkError::ResponseError(_) => Failure::remote(format!("the answer cannot be read: {}", root_cause(&error)))
            .hint("run again; if it stays, check that `AWS_ENDPOINT_URL` names an AWS endpoint"),
        _ => Failure::bug(format!("the request cannot be built: {}", root_cause(&error))),
    };
    explained.context(call).context(doing)
}

fn from_code(call: &str, code: &str, message: &str) -> Failure {
    let text = format!("{code}: {message}");
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            Failure::denied(text).hint(format!("allow `{call}` in the policy of the role that this job assumes"))
        }
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            Failure::denied(text).hint("the credentials ran out: use `role-to-assume`, which renews them")
        }
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch" => {
            Failure::denied(text).hint("the credentials are not valid in this account and region")
        }
        "ThrottlingException" | "Throttling" | "TooManyRequestsException" => {
            Failure::remote(text).hint("AWS throttles this account's calls: run again in a minute")
        }
        "ClusterNotFoundException" => {
            Failure::input(text).hint("check `cluster` and the region: names are case-sensitive")
        }
        "RepositoryNotFoundException" => {
            Failure::input(text).hint("check `repository` and the region, or create the repository")
        }
        _ => Failure::remote(text).hint("read the message above, mend its cause, and run again"),
    }
}
