//! Workflow commands in a step's log, as far as a test judges them.

/// The error annotations that the runner would show, in order. Text between `::stop-commands::` and its token is no command.
/// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#stopping-and-starting-workflow-commands>
pub(crate) fn errors(log: &str) -> Vec<String> {
    let mut errors = Vec::new();
    let mut resume: Option<String> = None;
    for line in log.lines().map(str::trim) {
        if let Some(token) = &resume {
            if line == format!("::{token}::") {
                resume = None;
            }
        } else if let Some(token) = line.strip_prefix("::stop-commands::") {
            resume = Some(token.to_owned());
        } else if line.starts_with("::error ") || line.starts_with("::error::") {
            errors.push(unescape(line));
        } else if line.contains("##[error]") {
            // The old form is a command anywhere in a line, which is why relayed text must never reach the runner bare.
            errors.push(line.to_owned());
        }
    }
    errors
}

fn unescape(line: &str) -> String {
    line.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relayed_text_is_no_command() {
        let log = "::error title=ecs-deploy::broken%0Ahint: mend it\n::stop-commands::abc\n::error::inside\n##[error]in\n::abc::\n";
        assert_eq!(errors(log), ["::error title=ecs-deploy::broken\nhint: mend it"]);
        assert_eq!(errors("an event said ##[error]boo"), ["an event said ##[error]boo"]);
    }
}
