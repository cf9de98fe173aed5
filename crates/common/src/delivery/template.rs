//! Text with `${VARIABLE}`s.

use crate::names::is_variable;
use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::notes::{VariableUse, line};
use super::read::{At, Read, Value, text};

/// The variables that every delivery knows, beside the `variables` of its environment: the commit, the image by digest, the
/// names of environment and service, the AWS account and region.
pub const VARIABLES: [&str; 6] = ["COMMIT", "IMAGE", "ENVIRONMENT", "SERVICE", "ACCOUNT", "REGION"];

/// Replaces every `${NAME}` by what `lookup` knows of it. `$${` stands for a `${` that is meant.
///
/// A `${` that no name and `}` follow is an error as well: left alone, a typing mistake would be delivered as it is.
pub fn interpolate(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, UnknownVariable> {
    let mut rendered = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => rendered.push_str(text),
            Piece::Variable(reference) => match reference.name().and_then(&lookup) {
                Some(value) => rendered.push_str(&value),
                None => return Err(reference.unknown(text)),
            },
        }
    }
    Ok(rendered)
}

/// A variable that is used and that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownVariable {
    /// What stands between `${` and `}`, or between `${` and the end of the line.
    pub name: String,
    /// The line of the text that it stands in, counted from one.
    pub line: usize,
    /// Whether there is a `}`.
    pub is_closed: bool,
}

impl fmt::Display for UnknownVariable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, line, is_closed } = self;
        match is_closed {
            true => write!(formatter, "line {line}: unknown variable `${{{name}}}`")?,
            false => write!(formatter, "line {line}: `${{{name}` has no closing `}}`")?,
        }
        formatter.write_str(" (write `$${` for a `${` that is meant)")
    }
}

impl std::error::Error for UnknownVariable {}

/// Text with `${VARIABLE}`s: those of the environment, and `${COMMIT}`, `${IMAGE}`, `${ENVIRONMENT}`, `${SERVICE}`,
/// `${ACCOUNT}` and `${REGION}`. `$${` stands for a `${` that is meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(with = "String")]
pub struct Template(String);

impl Template {
    /// The text as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text with the value of every variable in its place.
    pub fn render(&self, lookup: impl Fn(&str) -> Option<String>) -> Result<String, UnknownVariable> {
        interpolate(&self.0, lookup)
    }
}

impl From<&str> for Template {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Read for Template {
    fn read(value: &Value<'_>, at: At<'_>) -> Option<Self> {
        let text = text(value, at)?;
        for piece in pieces(text) {
            let Piece::Variable(reference) = piece else { continue };
            match reference.name() {
                Some(name) => at.notes.uses(VariableUse {
                    name: name.to_owned(),
                    place: at.to_string(),
                    offset: value.span().start,
                }),
                None => return at.problem(value, reference.malformed()),
            }
        }
        Some(Self::from(text))
    }
}

enum Piece<'a> {
    Text(&'a str),
    Variable(Reference<'a>),
}

/// A `${` and what follows it, up to its `}` or the end of the line.
struct Reference<'a> {
    content: &'a str,
    is_closed: bool,
    offset: usize,
}

impl<'a> Reference<'a> {
    fn name(&self) -> Option<&'a str> {
        Some(self.content).filter(|content| self.is_closed && is_variable(content))
    }

    fn unknown(&self, text: &str) -> UnknownVariable {
        UnknownVariable { name: self.content.to_owned(), line: line(text, self.offset), is_closed: self.is_closed }
    }

    fn malformed(&self) -> String {
        match self.is_closed {
            true => format!("`${{{}}}` is not a variable: write `$${{` for a `${{` that is meant", self.content),
            false => format!("`${{{}` has no closing `}}`", self.content),
        }
    }
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            pieces.extend([Piece::Text(before), Piece::Text("${")]);
            rest = after;
            continue;
        }
        let (content, tail) = after.split_at(after.find(['}', '\n']).unwrap_or(after.len()));
        let offset = text.len() - after.len();
        pieces.extend([
            Piece::Text(before),
            Piece::Variable(Reference { content, is_closed: tail.starts_with('}'), offset }),
        ]);
        rest = tail.strip_prefix('}').unwrap_or(tail);
    }
    pieces.push(Piece::Text(rest));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let lookup = |name: &str| (name == "COMMIT").then(|| "a1b2".to_owned());
        let rendered = interpolate(text, lookup).map_err(|error| error.to_string());
        assert_eq!(rendered, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn a_variable_is_replaced_by_its_value() {
        check("", Ok(""));
        check("${COMMIT}", Ok("a1b2"));
        check("ä${COMMIT}-${COMMIT}ö", Ok("äa1b2-a1b2ö"));
        check("$COMMIT costs 5$ {COMMIT}", Ok("$COMMIT costs 5$ {COMMIT}"));
    }

    #[test]
    fn an_escape_stands_for_what_is_meant() {
        check("echo $${HOME} at ${COMMIT}", Ok("echo ${HOME} at a1b2"));
        check("$$${COMMIT}", Ok("$${COMMIT}"));
        check("$$", Ok("$$"));
    }

    #[test]
    fn what_is_unknown_is_named_with_its_line() {
        const MEANT: &str = "(write `$${` for a `${` that is meant)";
        check("a\n\n${COMIT}", Err(&format!("line 3: unknown variable `${{COMIT}}` {MEANT}")));
        check("a\n${HOME:-/}", Err(&format!("line 2: unknown variable `${{HOME:-/}}` {MEANT}")));
        check("${}", Err(&format!("line 1: unknown variable `${{}}` {MEANT}")));
        check("\"${COMMIT\"\n}", Err(&format!("line 1: `${{COMMIT\"` has no closing `}}` {MEANT}")));
    }

    #[test]
    fn a_value_is_not_looked_into_again() {
        assert_eq!(interpolate("${A}", |_| Some("${B}".to_owned())).unwrap(), "${B}");
    }
}
