//! What a caller typed: `INPUT_*` variables, read into the action's own clap struct. Blank is absent, every mistake is told
//! at once, and nothing has left the process by then.
//!
//! The runner passes every declared input, the ones without a value as blank (actions/runner, `ActionRunner.cs`), and a
//! misspelt one too. The name is upper-cased, spaces become `_`, hyphens stay: `INPUT_TASK-DEFINITION`.

use std::error::Error as _;
use std::str::FromStr;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Args, Command, Parser};

use crate::duration;
use crate::failure::Failure;
use crate::names::{AccountId, EnvironmentName, Region, RoleArn, Secret, ServiceKey};
use crate::runner::Environment;

/// The inputs that all five actions share, by the same names.
#[derive(Args, Clone, Debug)]
pub struct CommonInputs {
    /// The delivery file, relative to the workspace. An action that is told enough by its other inputs works without one.
    #[arg(long, default_value = "delivery.toml")]
    pub config: String,
    /// The environment to deliver to, as the delivery file names it. Blank: the one whose `branch` is the run's branch.
    #[arg(long)]
    pub environment: Option<EnvironmentName>,
    /// The services to act on, one a line or separated by commas, or as a JSON list (build-affected's output `services`; `[]` is none). Blank: all that the delivery file names.
    #[arg(long)]
    pub services: Option<List<ServiceKey>>,
    /// The commit to deliver, in full. Blank: the event's.
    #[arg(long)]
    pub commit: Option<String>,
    /// The AWS region. Blank: the environment's, else `AWS_REGION`.
    #[arg(long)]
    pub aws_region: Option<Region>,
    /// The role to assume by OpenID Connect (needs `id-token: write`). Blank: the environment's, else the credentials that an earlier step left.
    #[arg(long)]
    pub role_to_assume: Option<RoleArn>,
    /// The accounts that may be touched, separated by commas: with credentials of any other, nothing is done.
    #[arg(long)]
    pub allowed_account_ids: Option<List<AccountId>>,
    /// The token for GitHub's API.
    #[arg(long, default_value = "${{ github.token }}")]
    pub github_token: Secret,
    /// Say what would be done, and do nothing.
    #[arg(long, action = clap::ArgAction::Set, value_parser = boolean, default_value = "false")]
    pub dry_run: bool,
    /// The most time that the work may take, with a unit: `15m`. Waiting for another run, and putting things back, have as much again.
    #[arg(long, value_parser = duration::parse, default_value = "30m")]
    pub timeout: Duration,
    /// Whether to keep this action's section of the pull request's comment up to date.
    #[arg(long, value_parser = ["auto", "never"], default_value = "auto")]
    pub comment: String,
}

/// Values one a line or separated by commas, or a JSON list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T: FromStr> FromStr for List<T>
where
    T::Err: std::fmt::Display,
{
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A JSON list is what build-affected's outputs are: they are passed on as they are.
        let items: Vec<String> = match text.trim_start().starts_with('[') {
            true => serde_json::from_str(text).map_err(|error| format!("not a JSON list of texts: {error}"))?,
            false => {
                text.split(['\n', ',']).map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
            }
        };
        items
            .iter()
            .map(|item| item.parse().map_err(|error: T::Err| error.to_string()))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Reads a boolean as actions/toolkit's `getBooleanInput` does: YAML 1.2's core schema, and nothing else.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "True" | "TRUE" => Ok(true),
        "false" | "False" | "FALSE" => Ok(false),
        _ => Err(format!("`{text}` is not a boolean: write `true` or `false`")),
    }
}

/// Reads an action's inputs. All that is wrong with them is one failure.
pub fn parse<I: Parser>(environment: &Environment) -> Result<I, Failure> {
    let command = I::command();
    let mut given = Vec::new();
    let mut failures = Vec::new();
    for (name, value) in environment.with_prefix("INPUT_") {
        let name = name.to_lowercase().replace('_', "-");
        let value = value.trim();
        // `with.entrypoint` and `with.args` are the runner's own: every container action accepts them.
        if matches!(name.as_str(), "entrypoint" | "args") {
            continue;
        }
        match command.get_arguments().find(|argument| argument.get_long() == Some(&name)) {
            Some(_) if value.is_empty() => {}
            Some(argument) => match alone(argument, &name, value) {
                Ok(()) => given.push(format!("--{name}={value}")),
                Err(failure) => failures.push(failure),
            },
            None => failures.push(unknown(&command, &name)),
        }
    }
    failures.extend(missing(&command, &given));
    if let Some(failure) = Failure::all(failures) {
        return Err(failure.hint("see the table of inputs in the action's README"));
    }
    let program = command.get_name().to_owned();
    let matches = command.try_get_matches_from(std::iter::once(program).chain(given));
    matches
        .and_then(|matches| I::from_arg_matches(&matches))
        .map_err(|error| Failure::input(error.render().to_string().trim()))
}

/// Checks one input by its own rules alone, so that one mistake does not hide the next.
fn alone(argument: &Arg, name: &str, value: &str) -> Result<(), Failure> {
    let command = Command::new("input").no_binary_name(true).arg(argument.clone());
    let Err(error) = command.try_get_matches_from([format!("--{name}={value}")]) else { return Ok(()) };
    let rule = match (error.source(), error.get(ContextKind::ValidValue)) {
        (Some(source), _) => source.to_string(),
        (None, Some(ContextValue::Strings(words))) => format!("`{value}` is not one of `{}`", words.join("`, `")),
        (None, _) => error.kind().to_string(),
    };
    Err(Failure::input(format!("input `{name}`: {rule}")))
}

fn unknown(command: &Command, name: &str) -> Failure {
    let known = command.get_arguments().filter_map(Arg::get_long);
    let failure = Failure::input(format!("unknown input `{name}`"));
    match nearest(name, known) {
        Some(known) => failure.hint(format!("did you mean `{known}`?")),
        None => failure,
    }
}

/// Required inputs that are blank. The runner does not enforce `required: true` (actions/runner#1070).
fn missing(command: &Command, given: &[String]) -> Vec<Failure> {
    let is_given = |name: &str| given.iter().any(|argument| argument.starts_with(&format!("--{name}=")));
    let required = command.get_arguments().filter(|argument| argument.is_required_set()).filter_map(Arg::get_long);
    required.filter(|name| !is_given(name)).map(|name| Failure::input(format!("input `{name}` is required"))).collect()
}

/// The known name that a misspelt one most likely meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &str| strsim::jaro_winkler(name, known);
    known.into_iter().filter(|known| likeness(known) > 0.8).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Inputs {
        #[command(flatten)]
        common: CommonInputs,
        /// A required one.
        #[arg(long, required = true)]
        cluster: String,
    }

    fn read(variables: &[(&str, &str)]) -> Result<Inputs, String> {
        let environment = variables.iter().map(|(name, value)| (format!("INPUT_{name}"), *value)).collect();
        parse(&environment).map_err(|failure| failure.to_string())
    }

    #[test]
    fn blank_is_absent_and_values_are_trimmed() {
        let inputs = read(&[("CLUSTER", " shop "), ("AWS-REGION", ""), ("TIMEOUT", ""), ("DRY-RUN", "True")]).unwrap();
        assert_eq!(inputs.cluster, "shop");
        assert_eq!(inputs.common.aws_region, None);
        assert_eq!(inputs.common.timeout, Duration::from_secs(1800));
        assert!(inputs.common.dry_run);
    }

    #[test]
    fn a_list_is_lines_or_commas() {
        let inputs = read(&[("CLUSTER", "shop"), ("SERVICES", "auth, api\n\n web\n")]).unwrap();
        let services: Vec<String> = inputs.common.services.unwrap().0.into_iter().map(String::from).collect();
        assert_eq!(services, ["auth", "api", "web"]);
    }

    #[test]
    fn a_list_may_be_json() {
        let list = |text: &str| {
            text.parse::<List<ServiceKey>>().map(|list| list.0.into_iter().map(String::from).collect::<Vec<_>>())
        };
        assert_eq!(list(r#"["auth","api"]"#).unwrap(), ["auth", "api"]);
        assert_eq!(list("[]").unwrap(), [""; 0]);
        assert!(list("[1]").unwrap_err().starts_with("not a JSON list of texts: "));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let told = read(&[
            ("AWS-REGIO", "eu-west-1"),
            ("COMMENT", "always"),
            ("DRY-RUN", "yes"),
            ("ROLE-TO-ASSUME", "deliver"),
            ("TIMEOUT", "15"),
        ])
        .unwrap_err();
        insta::assert_snapshot!(told, @"
        6 problems:
        - unknown input `aws-regio` (did you mean `aws-region`?)
        - input `comment`: `always` is not one of `auto`, `never`
        - input `dry-run`: `yes` is not a boolean: write `true` or `false`
        - input `role-to-assume`: `deliver` is not a role ARN: write it as `arn:aws:iam::111122223333:role/deliver`
        - input `timeout`: `15` has no unit: write `15s` or `15m`
        - input `cluster` is required
        hint: see the table of inputs in the action's README
        ");
    }
}
