//! What an action is, once: its `action.yml` and the tables of its README are printed from this and its clap struct.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory};
use serde_json::{Value, json};

/// What an action says of itself, beside its inputs.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// The crate, the folder, the binary and the title of its annotations: one name.
    pub name: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// A Feather icon that GitHub accepts in `branding`.
    pub icon: &'static str,
    /// A colour that GitHub accepts in `branding`.
    pub color: &'static str,
    /// The words that `result` can be, the good ones first.
    pub results: &'static [&'static str],
    /// The word for a run that ended in a failure, before anything was decided.
    pub failed: &'static str,
    /// Its own outputs and what they hold. `result` and `json` are every action's.
    pub outputs: &'static [(&'static str, &'static str)],
    /// The scopes of the job's token and why they are needed.
    pub permissions: &'static [(&'static str, &'static str)],
    /// The IAM actions that the role needs, and what for.
    pub iam: &'static [(&'static str, &'static str)],
    /// Whether it tidies up when the job ends, however that ended: the image holds it as `<name>-post` too.
    pub post: bool,
}

impl Action {
    /// All outputs, by name.
    fn all_outputs(&self) -> Vec<(&'static str, String)> {
        let result = format!("How it ended: `{}`.", self.results.join("`, `"));
        let own = self.outputs.iter().map(|(name, description)| (*name, (*description).to_owned()));
        std::iter::once(("result", result))
            .chain(own)
            .chain(std::iter::once(("json", "The whole report as JSON.".to_owned())))
            .collect()
    }
}

/// The texts that are printed from an action's code.
#[derive(Clone, Debug)]
pub struct Printed {
    /// The file `action.yml`.
    pub action_yml: String,
    /// The blocks of the action's README, by name.
    pub blocks: Vec<(&'static str, String)>,
}

/// Prints everything that is printed from an action's code.
pub fn print<I: CommandFactory>(action: &Action) -> Printed {
    let command = I::command();
    let blocks = vec![
        ("inputs", inputs_table(&command)),
        ("outputs", outputs_table(action)),
        ("permissions", permissions_block(action)),
        ("iam", iam(action)),
    ];
    Printed { action_yml: action_yml(action, &command), blocks }
}

/// `action.yml`. The image is built from the tree in development; a release pins the published one by digest.
fn action_yml(action: &Action, command: &Command) -> String {
    let mut yml = String::from("# Printed by `cargo xtask generate` from the action's own code. Do not edit.\n");
    let _ = writeln!(yml, "name: {}\ndescription: {}", quote(action.name), quote(action.description));
    let _ = writeln!(yml, "branding:\n  icon: {}\n  color: {}\ninputs:", action.icon, action.color);
    for argument in command.get_arguments().filter(|argument| argument.get_long() != Some("help")) {
        let _ = writeln!(yml, "  {}:\n    description: {}", name(argument), quote(&help(argument)));
        let _ = writeln!(yml, "    required: {}", argument.is_required_set());
        if let Some(default) = default(argument) {
            let _ = writeln!(yml, "    default: {}", quote(&default));
        }
    }
    yml.push_str("outputs:\n");
    for (name, description) in action.all_outputs() {
        let _ = writeln!(yml, "  {name}:\n    description: {}", quote(&description));
    }
    // It is built from the tree that the action is in: there is nothing to pin.
    yml.push_str("runs:\n  using: docker\n  image: ../../Dockerfile # zizmor: ignore[unpinned-images]\n");
    let _ = writeln!(yml, "  entrypoint: /{}", action.name);
    if action.post {
        // A name of its own, because the runner passes no arguments to it but the action's.
        let _ = writeln!(yml, "  post-entrypoint: /{}-post", action.name);
    }
    yml
}

fn inputs_table(command: &Command) -> String {
    let rows: Vec<Vec<String>> = command
        .get_arguments()
        .filter(|argument| argument.get_long() != Some("help"))
        .map(|argument| {
            let default = match default(argument) {
                Some(default) => format!("`{default}`"),
                None if argument.is_required_set() => "**required**".to_owned(),
                None => String::new(),
            };
            vec![format!("`{}`", name(argument)), help(argument).replace('|', "\\|"), default]
        })
        .collect();
    crate::markdown::table(&["input", "what it says", "default"], &rows)
}

fn outputs_table(action: &Action) -> String {
    let rows: Vec<Vec<String>> =
        action.all_outputs().into_iter().map(|(name, description)| vec![format!("`{name}`"), description]).collect();
    crate::markdown::table(&["output", "what it holds"], &rows)
}

fn permissions_block(action: &Action) -> String {
    let mut block = String::from("```yaml\npermissions:\n");
    for (scope, why) in action.permissions {
        let _ = writeln!(block, "  {scope} # {why}");
    }
    block + "```\n"
}

/// The permissions of the role, as a table and as a policy document.
fn iam(action: &Action) -> String {
    if action.iam.is_empty() {
        return "None: this action does not call AWS.\n".to_owned();
    }
    iam_table(action) + "\n" + &crate::markdown::details("the same as a policy document", &policy(action))
}

fn iam_table(action: &Action) -> String {
    let rows: Vec<Vec<String>> =
        action.iam.iter().map(|(name, why)| vec![format!("`{name}`"), (*why).to_owned()]).collect();
    crate::markdown::table(&["IAM action", "what for"], &rows)
}

/// A policy document that allows exactly the listed actions; a reader narrows the resources.
fn policy(action: &Action) -> String {
    let actions: Vec<&str> = action.iam.iter().map(|(name, _)| *name).collect();
    let policy =
        json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }] });
    crate::markdown::block("json", &format!("{policy:#}"))
}

fn name(argument: &Arg) -> &str {
    argument.get_long().unwrap_or_default()
}

fn help(argument: &Arg) -> String {
    let text = argument.get_long_help().or_else(|| argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let words: Vec<String> =
        argument.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    let text = if text.ends_with(['.', '?']) { text } else { format!("{text}.") };
    if words.is_empty() { text } else { format!("{text} One of {}.", words.join(", ")) }
}

fn default(argument: &Arg) -> Option<String> {
    argument.get_default_values().first().map(|value| value.to_string_lossy().into_owned())
}

/// A YAML double-quoted scalar: JSON's strings are a subset of it.
fn quote(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}
