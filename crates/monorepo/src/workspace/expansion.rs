//! What an Nx target's list of inputs means: named inputs looked up, down to patterns of files
//! (<https://nx.dev/reference/inputs>).

use serde_json::Value;

use super::manifests::texts;
use super::nx::{Inputs, Nx, NxProject, Others, fileset};
use super::patterns::Patterns;
use crate::path;

/// Inputs on the way to patterns.
pub(crate) struct Expansion<'a> {
    nx: &'a Nx,
    project: &'a NxProject,
    others: Others<'a>,
    inputs: Inputs,
    own: Patterns,
    /// The named inputs that are being looked up: one that has itself ends there.
    on_the_way: Vec<String>,
}

impl<'a> Expansion<'a> {
    /// Adds what a list of inputs means to what is known.
    pub(crate) fn take(
        nx: &'a Nx,
        project: &'a NxProject,
        others: Others<'a>,
        inputs: Inputs,
        list: &[Value],
    ) -> Inputs {
        let mut expansion = Self { nx, project, others, inputs, own: Patterns::default(), on_the_way: Vec::new() };
        expansion.all(list);
        let own = std::mem::take(&mut expansion.own);
        if own != Patterns::default()
            && let Some(lists) = &mut expansion.inputs.own
        {
            lists.push(own);
        }
        expansion.inputs
    }

    fn all(&mut self, list: &[Value]) {
        list.iter().for_each(|input| self.one(input));
    }

    fn one(&mut self, input: &Value) {
        if let Some(text) = fileset(input) {
            return self.text(text);
        }
        let Some(name) = input.get("input").and_then(Value::as_str) else {
            // `runtime`, `env`, `externalDependencies`, `dependentTasksOutputFiles`, `workingDirectory`: no files of a commit.
            return;
        };
        let of_dependencies = input.get("dependencies").and_then(Value::as_bool) == Some(true);
        match input.get("projects") {
            Some(Value::String(whose)) if whose == "dependencies" => self.of_dependencies(name),
            Some(Value::String(whose)) if whose == "self" => self.text(name),
            Some(whose @ (Value::String(_) | Value::Array(_))) => self.of_others(name, whose),
            _ if of_dependencies => self.of_dependencies(name),
            _ => self.text(name),
        }
    }

    fn text(&mut self, text: &str) {
        let (mark, rest) = text.strip_prefix('!').map_or(("", text), |rest| ("!", rest));
        let is_of_root = rest.starts_with("{workspaceRoot}") && rest.contains("{projectRoot}");
        self.inputs.is_personal |= is_of_root || rest.contains("{projectName}");
        let text = rest.replace("{projectName}", &self.project.name);
        if let Some(pattern) = text.strip_prefix("{projectRoot}") {
            let pattern = match pattern.trim_start_matches('/') {
                "" => "**/*",
                pattern => pattern,
            };
            self.own.push(&format!("{mark}{pattern}"));
        } else if let Some(pattern) = text.strip_prefix("{workspaceRoot}") {
            let pattern = pattern.trim_start_matches('/').replace("{projectRoot}", &self.project.root);
            let pattern = if pattern.is_empty() { "**/*" } else { pattern.as_str() };
            self.inputs.shared.push(&format!("{mark}{}", path::join(&self.nx.folder, pattern)));
        } else if let Some(name) = text.strip_prefix('^') {
            self.of_dependencies(name);
        } else {
            self.named(&text);
        }
    }

    fn of_dependencies(&mut self, name: &str) {
        self.inputs.dependencies.insert(name.to_owned());
        self.mark_used(name);
    }

    /// A dependency looks this name up, too: what it means is in `nx.json`, through all that it refers to.
    fn mark_used(&mut self, name: &str) {
        if self.inputs.used.insert(name.to_owned())
            && let Some(list) = self.nx.json.get("namedInputs").and_then(|named| named.get(name))
        {
            for name in texts(Some(list)) {
                self.mark_used(name.trim_start_matches('^'));
            }
        }
    }

    fn named(&mut self, name: &str) {
        if self.on_the_way.iter().any(|known| known == name) {
            return;
        }
        self.inputs.used.insert(name.to_owned());
        let root = self.nx.json.get("namedInputs").and_then(|named| named.get(name));
        let list = self.project.named_inputs.get(name).or(root).and_then(Value::as_array);
        match list {
            Some(list) => {
                self.on_the_way.push(name.to_owned());
                self.all(list);
                self.on_the_way.pop();
            }
            None if name == "default" => self.text("{projectRoot}/**/*"),
            // Nobody says what this means: every file counts.
            None => self.inputs.own = None,
        }
    }

    /// Inputs of projects by name: their files count here as files of the workspace.
    fn of_others(&mut self, name: &str, whose: &Value) {
        for other in
            (self.others)().into_iter().filter(|other| texts(Some(whose)).any(|pattern| other.is_meant_by(pattern)))
        {
            let inputs = Inputs { own: Some(Vec::new()), ..Inputs::default() };
            let inputs = Self::take(self.nx, other, &Vec::new, inputs, &[Value::from(name)]);
            let all = || vec![Patterns { included: ["**/*".to_owned()].into(), ..Patterns::default() }];
            for own in inputs.own.unwrap_or_else(all) {
                let all = own.included.is_empty().then(|| "**/*".to_owned());
                let patterns = own.included.into_iter().chain(all);
                self.inputs.shared.included.extend(patterns.map(|pattern| path::join(&other.root, &pattern)));
            }
            self.inputs.shared.included.extend(inputs.shared.included);
            self.inputs.used.extend(inputs.used);
        }
    }
}
