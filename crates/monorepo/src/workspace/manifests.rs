//! Manifests as values, whatever they are written in: JSON, JSON with comments, YAML, TOML.

use jsonc_parser::ParseOptions;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value};

use crate::files::Files;
use crate::problem::Problem;

/// How deep what is in a manifest may lie. Parsers and values recurse: deeper is no manifest, and would exhaust the stack.
const DEEPEST: usize = 128;

/// What a manifest may be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    /// JSON as npm reads it.
    Json,
    /// JSON with comments and trailing commas, as Nx and Turborepo read it.
    Jsonc,
    /// YAML, its first document.
    Yaml,
    /// TOML.
    Toml,
}

/// A manifest; `None` if there is no such file.
pub(crate) fn read(files: &Files<'_>, path: &str, syntax: Syntax) -> Result<Option<Value>, Problem> {
    let Some(text) = files.text(path)? else { return Ok(None) };
    let value = match syntax {
        Syntax::Json => json(path, &text),
        Syntax::Jsonc => serde_json::from_str(&text).or_else(|_| jsonc(path, &text)),
        Syntax::Yaml => yaml(path, &text),
        Syntax::Toml => toml(path, &text),
    }?;
    match value {
        Value::Object(_) => Ok(Some(value)),
        Value::Null if syntax == Syntax::Yaml => Ok(Some(Value::Object(Map::new()))),
        _ => Err(Problem::new(path, "not an object")),
    }
}

/// The name that a manifest tells although it cannot be read, so that others still find what they depend on.
pub(crate) fn told_name(files: &Files<'_>, path: &str) -> Option<String> {
    let text = files.text(path).ok()??;
    let rest = text.split_once("\"name\"")?.1.trim_start().strip_prefix(':')?;
    let name = rest.trim_start().strip_prefix('"')?.split_once('"')?.0;
    (!name.is_empty()).then(|| name.to_owned())
}

fn json(path: &str, text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        Problem::new(path, format!("not JSON: {message}")).at(error.line().max(1))
    })
}

fn jsonc(path: &str, text: &str) -> Result<Value, Problem> {
    if nesting(text) > DEEPEST {
        return Err(Problem::new(path, format!("not JSON: nested more than {DEEPEST} deep")));
    }
    let options = ParseOptions {
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
        ..ParseOptions::default()
    };
    jsonc_parser::parse_to_serde_value(text, &options).map_err(|error| {
        Problem::new(path, format!("not JSON: {}", error.kind().to_string().to_lowercase())).at(error.line_display())
    })
}

fn yaml(path: &str, text: &str) -> Result<Value, Problem> {
    if nesting(text) > DEEPEST {
        return Err(Problem::new(path, format!("not YAML: nested more than {DEEPEST} deep")));
    }
    let documents = Yaml::load_from_str(text)
        .map_err(|error| Problem::new(path, format!("not YAML: {}", error.info())).at(error.marker().line().max(1)))?;
    Ok(documents.first().map_or(Value::Null, value))
}

fn toml(path: &str, text: &str) -> Result<Value, Problem> {
    toml::from_str(text).map_err(|error| {
        let problem = Problem::new(path, format!("not TOML: {}", error.message()));
        let before = error.span().and_then(|span| text.get(..span.start));
        before.map_or(problem.clone(), |before| problem.at(before.matches('\n').count() + 1))
    })
}

/// No less than how deep anything lies: brackets that are open, and what YAML nests by indentation and on one line.
fn nesting(text: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0);
    for line in text.lines() {
        let indented = line.len() - line.trim_start_matches([' ', '\t']).len();
        let dashes = line.matches("- ").count() + line.matches("? ").count();
        deepest = deepest.max(indented.min(line.len()) / 2 + dashes);
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => continue,
            }
            deepest = deepest.max(open);
        }
    }
    deepest
}

fn value(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Boolean(boolean)) => (*boolean).into(),
        Yaml::Value(Scalar::Integer(integer)) => (*integer).into(),
        Yaml::Value(Scalar::FloatingPoint(float)) => float.into_inner().into(),
        Yaml::Value(Scalar::String(text)) | Yaml::Representation(text, ..) => text.as_ref().into(),
        Yaml::Value(Scalar::Null) | Yaml::Alias(_) | Yaml::BadValue => Value::Null,
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(entries) => entries.iter().map(|(name, item)| (key(name), value(item))).collect(),
        Yaml::Tagged(_, inner) => value(inner),
    }
}

fn key(yaml: &Yaml<'_>) -> String {
    match value(yaml) {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The texts of a list, or the one text.
pub(crate) fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let (one, list) = match value {
        Some(Value::String(text)) => (Some(text.as_str()), None),
        Some(Value::Array(items)) => (None, Some(items)),
        _ => (None, None),
    };
    one.into_iter().chain(list.into_iter().flatten().filter_map(Value::as_str))
}

/// The entries of an object that is in another.
pub(crate) fn entries<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = (&'v str, &'v Value)> {
    let entries = value.get(name).and_then(Value::as_object);
    entries.into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::Made;

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        let deep = "[".repeat(1_000_000);
        let dashes = "- ".repeat(1_000_000);
        let check = |text: &str, syntax: Syntax, expected: &str| {
            let problem = read(&Made::new(&[("x", text)]).files(), "x", syntax).unwrap_err().to_string();
            assert!(problem.starts_with(expected), "{problem}");
        };
        check("{\n\"a\": 1\n\"b\": 2}", Syntax::Json, "x:3: not JSON: expected `,`");
        check("{\n\"a\": 1\n\"b\": 2}", Syntax::Jsonc, "x:2: not JSON: expected comma");
        check("{ // no\n}", Syntax::Json, "x:1: not JSON: ");
        check("a = 1\nb = = 2\n", Syntax::Toml, "x:2: not TOML: ");
        check("a:\n  - [\n", Syntax::Yaml, "x:");
        check("[1]", Syntax::Json, "x: not an object");
        check("", Syntax::Jsonc, "x: not an object");
        for syntax in [Syntax::Json, Syntax::Jsonc, Syntax::Yaml, Syntax::Toml] {
            check(&deep, syntax, "x:");
        }
        check(&dashes, Syntax::Yaml, "x: not YAML: nested");
        check(&"{\"a\":".repeat(200_000), Syntax::Jsonc, "x: not JSON: nested");
    }

    #[test]
    fn every_syntax_is_the_same_value() {
        let check = |text: &str, syntax: Syntax| {
            let made = Made::new(&[("x", text)]);
            let value = read(&made.files(), "x", syntax).unwrap().unwrap();
            assert_eq!(value, serde_json::json!({ "a": ["b", 1, true], "c": { "d": "e" } }), "{text}");
        };
        check("\u{feff}{\"a\":[\"b\",1,true],\"c\":{\"d\":\"e\"}}", Syntax::Json);
        check("{ // a\r\n\"a\":[\"b\",1,true,],\"c\":{\"d\":\"e\",},}", Syntax::Jsonc);
        check("a:\n  - b\n  - 1\n  - true\nc:\n  d: 'e'\n", Syntax::Yaml);
        check("a = ['b', 1, true]\n[c]\nd = 'e'\n", Syntax::Toml);
        assert_eq!(read(&Made::new(&[]).files(), "x", Syntax::Json), Ok(None));
        assert_eq!(
            read(&Made::new(&[("x", "# nothing")]).files(), "x", Syntax::Yaml).unwrap(),
            Some(Value::Object(Map::new()))
        );
    }
}
