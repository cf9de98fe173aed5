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
            let action = denied_action(message).unwrap_or(call);
            Failure::denied(text).hint(format!("allow `{action}` in the policy of the role that this job assumes"))
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
        "TooManyUpdates" => Failure::remote(text).hint("somebody else writes this parameter now: run again in a minute"),
        "ParameterMaxVersionLimitExceeded" => Failure::remote(text).hint(
            "the parameter's oldest version carries a label, which keeps it from being dropped: move the label with `aws ssm label-parameter-version`",
        ),
        "ClusterNotFoundException" => {
            Failure::input(text).hint("check `cluster` and the region: names are case-sensitive")
        }
        "SnapshotQuotaExceeded" | "SnapshotQuotaExceededFault" => {
            Failure::input(text).hint("delete snapshots that nobody needs, or have the account's quota raised")
        }
        "RepositoryNotFoundException" => {
            Failure::input(text).hint("check `repository` and the region, or create the repository")
        }
        _ => Failure::remote(text).hint("read the message above, mend its cause, and run again"),
    }
}

/// The action that a call lacks. It may be another than the call's own, as `kms:Decrypt` is for an encrypted parameter:
/// "… is not authorized to perform: kms:Decrypt on resource: …"
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>).
fn denied_action(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("is not authorized to perform: ")?;
    rest.split_whitespace().next().filter(|action| action.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_names_the_permission_that_is_missing() {
        let check = |message: &str| from_code("ssm:GetParameter", "AccessDeniedException", message).hint.unwrap();
        assert_eq!(
            check(
                "User: arn:aws:sts::111122223333:assumed-role/deliver/s is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:…"
            ),
            "allow `kms:Decrypt` in the policy of the role that this job assumes"
        );
        assert_eq!(check("no."), "allow `ssm:GetParameter` in the policy of the role that this job assumes");
    }
}
