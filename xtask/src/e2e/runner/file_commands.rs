//! The files that a step writes and the runner reads back: `GITHUB_OUTPUT` and `GITHUB_STATE`, by the runner's own rules.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

/// Reads `name=value` and `name<<delimiter` entries as the runner does. A file that breaks its rules fails the step there,
/// so it is an error here.
/// <https://github.com/actions/runner/blob/main/src/Runner.Worker/FileCommandManager.cs>
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, String>> {
    let mut entries = BTreeMap::new();
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let line = without_newline(line);
        if line.is_empty() {
            continue;
        }
        let (name, value) = match (line.find('='), line.find("<<")) {
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                (&line[..equals], line[equals + 1..].to_owned())
            }
            (_, Some(heredoc)) => (&line[..heredoc], block(&mut lines, line, &line[heredoc + 2..])?),
            _ => bail!("invalid format '{line}'"),
        };
        if name.is_empty() {
            bail!("invalid format '{line}': the name must not be empty");
        }
        entries.insert(name.to_owned(), value);
    }
    Ok(entries)
}

/// The lines up to the delimiter, without the last newline.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>, opening: &str, delimiter: &str) -> Result<String> {
    if delimiter.is_empty() {
        bail!("invalid format '{opening}': the delimiter must not be empty");
    }
    let mut value = String::new();
    for line in lines {
        if without_newline(line) == delimiter {
            return Ok(without_newline(&value).to_owned());
        }
        value.push_str(line);
    }
    bail!("invalid value: matching delimiter not found '{delimiter}'")
}

fn without_newline(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected: BTreeMap<_, _> = expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        assert_eq!(parse(text).unwrap(), expected, "{text:?}");
    }

    fn refuse(text: &str, why: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text:?}: {error}");
    }

    #[test]
    fn entries_are_read_as_the_runner_reads_them() {
        check("", &[]);
        check("a=1\nb=2", &[("a", "1"), ("b", "2")]);
        check("a=\n\n\nb=x=y<<z\n", &[("a", ""), ("b", "x=y<<z")]);
        check("a<<E\none\n\ntwo=2\nE\nb=1\n", &[("a", "one\n\ntwo=2"), ("b", "1")]);
        check("a<<E\nE\n", &[("a", "")]);
        check("a<<E\none\n\nE\n", &[("a", "one\n")]);
        check("a=1\na=2\n", &[("a", "2")]);
    }

    #[test]
    fn a_file_that_breaks_the_rules_is_refused() {
        refuse("no assignment\n", "invalid format 'no assignment'");
        refuse("=value\n", "name must not be empty");
        refuse("<<E\nE\n", "name must not be empty");
        refuse("a<<\n", "delimiter must not be empty");
        refuse("a<<E\nvalue\n", "delimiter not found 'E'");
    }
}
