//! What variables hold, line after line (<https://docs.docker.com/reference/dockerfile/#scope>).

use std::collections::BTreeMap;

use super::expand::{Expanded, UNKNOWN, Variable, expand, words};

/// The arguments that every Dockerfile has without declaring them before its first `FROM`
/// (<https://docs.docker.com/reference/dockerfile/#automatic-platform-args-in-the-global-scope>).
const AUTOMATIC: [&str; 9] = [
    "TARGETPLATFORM",
    "TARGETOS",
    "TARGETARCH",
    "TARGETVARIANT",
    "TARGETSTAGE",
    "BUILDPLATFORM",
    "BUILDOS",
    "BUILDARCH",
    "BUILDVARIANT",
];

/// What holds outside of the stages: the arguments before the first `FROM`, which reach the `FROM` lines alone.
#[derive(Debug)]
pub(super) struct Globals<'a> {
    passed: &'a BTreeMap<String, String>,
    pub(super) escape: char,
    declared: BTreeMap<String, Variable>,
}

/// What holds in a stage.
#[derive(Clone, Debug)]
pub(super) struct Scope<'a> {
    globals: &'a Globals<'a>,
    arguments: BTreeMap<String, Variable>,
    environment: BTreeMap<String, String>,
    /// Whether it is `FROM` an image, whose own environment is not known.
    is_open: bool,
}

impl<'a> Globals<'a> {
    pub(super) fn new(passed: &'a BTreeMap<String, String>, escape: char) -> Self {
        Self { passed, escape, declared: BTreeMap::new() }
    }

    /// An `ARG` before the first `FROM`.
    pub(super) fn declare(&mut self, words_of_argument: &str) {
        for word in words(words_of_argument, self.escape) {
            let (name, default) = split(&word);
            let value = self.passed(name).or_else(|| default.map(|default| self.expand(default).text));
            let value = value.map_or_else(|| without_value(name), Variable::Set);
            self.declared.insert(name.to_owned(), value);
        }
    }

    /// Replaces the variables of a `FROM` line.
    pub(super) fn expand(&self, word: &str) -> Expanded {
        expand(word, self.escape, &|name| self.lookup(name))
    }

    /// The value of an argument that a `FROM` line reads; `None` if it is none.
    pub(super) fn value(&self, name: &str) -> Option<Option<String>> {
        self.declared.get(name).map(value)
    }

    fn lookup(&self, name: &str) -> Variable {
        match self.declared.get(name) {
            Some(variable) => known(variable.clone()),
            None if AUTOMATIC.contains(&name) => self.passed(name).map_or(Variable::Unknown, Variable::Set),
            None => Variable::Unset,
        }
    }

    fn passed(&self, name: &str) -> Option<String> {
        self.passed.get(name).cloned()
    }
}

impl<'a> Scope<'a> {
    pub(super) fn new(globals: &'a Globals<'a>, is_open: bool) -> Self {
        Self { globals, arguments: BTreeMap::new(), environment: BTreeMap::new(), is_open }
    }

    /// An `ARG`: what is passed, else its own default, else the global argument's value.
    pub(super) fn declare(&mut self, words_of_argument: &str) {
        for word in words(words_of_argument, self.globals.escape) {
            let (name, default) = split(&word);
            let value = self.globals.passed(name).or_else(|| default.map(|default| self.expand(default).text));
            let value = match value {
                Some(value) => Variable::Set(value),
                None => self.globals.declared.get(name).cloned().unwrap_or_else(|| without_value(name)),
            };
            self.arguments.insert(name.to_owned(), value);
        }
    }

    /// An `ENV`: `a=b c=d`, or the old `a b c d`. All see what held before the line.
    pub(super) fn set(&mut self, words_of_environment: &str) {
        let words = words(words_of_environment, self.globals.escape);
        let pairs: Vec<(String, String)> = match words.split_first() {
            Some((name, rest)) if !name.contains('=') => vec![(name.clone(), rest.join(" "))],
            _ => words
                .iter()
                .filter_map(|word| word.split_once('='))
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .collect(),
        };
        let pairs: Vec<_> =
            pairs.into_iter().map(|(name, value)| (self.expand(&name).text, self.expand(&value).text)).collect();
        self.environment.extend(pairs);
    }

    /// Replaces the variables of a word.
    pub(super) fn expand(&self, word: &str) -> Expanded {
        expand(word, self.globals.escape, &|name| self.lookup(name))
    }

    /// The arguments that were declared.
    pub(super) fn arguments(&self) -> impl Iterator<Item = (String, Option<String>)> {
        self.arguments.iter().map(|(name, variable)| (name.clone(), value(variable)))
    }

    fn lookup(&self, name: &str) -> Variable {
        // `ENV` wins over `ARG`, wherever they stand.
        if let Some(value) = self.environment.get(name) {
            return known(Variable::Set(value.clone()));
        }
        match self.arguments.get(name) {
            Some(variable) => known(variable.clone()),
            None if self.is_open => Variable::Unknown,
            None => Variable::Unset,
        }
    }
}

/// `NAME=default`.
fn split(word: &str) -> (&str, Option<&str>) {
    word.split_once('=').map_or((word, None), |(name, default)| (name, Some(default)))
}

fn without_value(name: &str) -> Variable {
    if AUTOMATIC.contains(&name) { Variable::Unknown } else { Variable::Unset }
}

/// A value with a part that is unknown makes what reads it unknown.
fn known(variable: Variable) -> Variable {
    match variable {
        Variable::Set(text) if text.contains(UNKNOWN) => Variable::Unknown,
        variable => variable,
    }
}

fn value(variable: &Variable) -> Option<String> {
    match variable {
        Variable::Set(text) => Some(text.replace(UNKNOWN, "*")),
        Variable::Unset | Variable::Unknown => None,
    }
}
