//! A command as people write it into an input.

use std::str::FromStr;

/// A program and its arguments. Nothing interprets them: there is no shell between ECS and the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandLine(pub(crate) Vec<String>);

impl FromStr for CommandLine {
    type Err = String;

    /// Reads a JSON list, or words that need neither quotes nor a shell.
    fn from_str(text: &str) -> Result<Self, String> {
        let example = r#"write a JSON list, as in `["sh", "-c", "npm ci && npm run migrate"]`"#;
        let words = match text.trim() {
            list if list.starts_with('[') => serde_json::from_str(list)
                .map_err(|error| format!("`{list}` is not a list of texts ({error}): {example}"))?,
            words if words.contains(['\'', '"', '\\', '$', '`', '&', '|', ';', '<', '>', '*']) => {
                return Err(format!("`{words}` needs quotes or a shell: {example}"));
            }
            words => words.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        };
        if words.is_empty() { Err(format!("`{text}` has no program: {example}")) } else { Ok(Self(words)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&[&str], &str>) {
        let read = text.parse::<CommandLine>().map(|command| command.0);
        let expected = expected.map(|words| words.iter().map(ToString::to_string).collect()).map_err(str::to_owned);
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn words_and_lists_are_commands_and_what_needs_a_shell_is_not() {
        check("npx prisma  migrate deploy\n", Ok(&["npx", "prisma", "migrate", "deploy"]));
        check(r#"["sh", "-c", "a && b"]"#, Ok(&["sh", "-c", "a && b"]));
        let example = r#"write a JSON list, as in `["sh", "-c", "npm ci && npm run migrate"]`"#;
        check("a && b", Err(&format!("`a && b` needs quotes or a shell: {example}")));
        check("[]", Err(&format!("`[]` has no program: {example}")));
        check("[npx]", Err(&format!("`[npx]` is not a list of texts (expected ident at line 1 column 3): {example}")));
    }
}
