//! What Parameter Store takes: names, values and tiers.

use super::Version;
use crate::wire::Refusal;

/// Refuses a name or a value that Parameter Store refuses.
pub(super) fn check(name: &str, value: &str) -> Result<(), Refusal> {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_.-/".contains(letter);
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(invalid(
            "Parameter name: can't be prefixed with \"ssm\" (case-insensitive). If formed as a path, it can consist of sub-paths \
             divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_",
        ));
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(invalid("Parameter name must be a fully qualified name."));
    }
    if name.matches('/').count() > 15 {
        let message = "The hierarchy level is greater than the maximum of 15.";
        return Err(Refusal::new("HierarchyLevelLimitExceededException", message));
    }
    if value.is_empty() {
        return Err(invalid(
            "1 validation error detected: Value '' at 'value' failed to satisfy constraint: \
             Member must have length greater than or equal to 1",
        ));
    }
    // https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
    if value.contains("{{") {
        return Err(invalid("Parameter value can't nest another parameter. Do not use \"{{}}\" in the value."));
    }
    Ok(())
}

/// The tier that a value is kept in.
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html>
pub(super) fn tier(asked: Option<&str>, before: Option<&Version>, value: &str) -> Result<&'static str, Refusal> {
    let was_advanced = before.is_some_and(|version| version.tier == "Advanced");
    if asked == Some("Standard") && was_advanced {
        return Err(invalid(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier \
             to the standard-parameter tier. If necessary, you can delete the advanced parameter and recreate it as a standard parameter.",
        ));
    }
    let may_be_advanced = was_advanced || matches!(asked, Some("Advanced" | "Intelligent-Tiering"));
    match value.len() {
        ..=4096 if asked != Some("Advanced") && !was_advanced => Ok("Standard"),
        ..=8192 if may_be_advanced => Ok("Advanced"),
        _ if may_be_advanced => {
            Err(invalid("Advanced tier parameters support a maximum parameter value of 8192 characters."))
        }
        _ => Err(invalid(
            "Standard tier parameters support a maximum parameter value of 4096 characters. To create a larger parameter value, \
             upgrade the parameter to use the advanced-parameter tier.",
        )),
    }
}

pub(super) fn invalid(message: &str) -> Refusal {
    Refusal::new("ValidationException", message)
}
