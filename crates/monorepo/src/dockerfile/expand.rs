//! Variables in a Dockerfile, as BuildKit's `shell` package replaces them
//! (<https://docs.docker.com/reference/dockerfile/#environment-replacement>).

use std::collections::BTreeSet;

/// Stands for text that the file does not tell: an argument without a value, or what the base image sets.
pub(super) const UNKNOWN: char = '\0';

/// How long a value may become: `ENV A=$A$A`, fifty times, would fill every memory.
const LONGEST: usize = 16 * 1024;

/// How deep `${A:-${B:-…}}` may go.
const DEEPEST: usize = 32;

/// What is known of a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    Set(String),
    Unset,
    /// Only the build will know.
    Unknown,
}

/// A text whose variables are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Expanded {
    pub(super) text: String,
    /// The variables that are unknown; where they stand is [`UNKNOWN`].
    pub(super) unknown: BTreeSet<String>,
    /// All variables that were looked up.
    pub(super) read: BTreeSet<String>,
}

/// Replaces the variables of a word and removes its quotes.
pub(super) fn expand(word: &str, escape: char, lookup: &dyn Fn(&str) -> Variable) -> Expanded {
    let mut expander = Expander { rest: word.chars().collect(), at: 0, escape, lookup, expanded: Expanded::default() };
    let text = expander.word(None, 0);
    let text = if text.len() > LONGEST { UNKNOWN.to_string() } else { text };
    Expanded { text, ..expander.expanded }
}

/// The words of `ENV` and `ARG`: quotes hold them together and stay.
pub(super) fn words(text: &str, escape: char) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quote, mut is_escaped) = (None, false);
    for letter in text.chars() {
        if let (None, false, true) = (quote, is_escaped, letter.is_whitespace()) {
            words.push(String::new());
            continue;
        }
        if is_escaped {
            is_escaped = false;
        } else if letter == escape && quote != Some('\'') {
            is_escaped = true;
        } else if quote == Some(letter) {
            quote = None;
        } else if quote.is_none() && matches!(letter, '"' | '\'') {
            quote = Some(letter);
        }
        if let Some(word) = words.last_mut() {
            word.push(letter);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

struct Expander<'e> {
    rest: Vec<char>,
    at: usize,
    escape: char,
    lookup: &'e dyn Fn(&str) -> Variable,
    expanded: Expanded,
}

impl Expander<'_> {
    fn next(&mut self) -> Option<char> {
        let letter = self.rest.get(self.at).copied();
        self.at += 1;
        letter
    }

    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    /// Up to the end, which is read over.
    fn word(&mut self, end: Option<char>, depth: usize) -> String {
        let mut text = String::new();
        while let Some(letter) = self.next() {
            match letter {
                letter if Some(letter) == end => break,
                letter if letter == self.escape => text.extend(self.next()),
                '\'' => text.extend(std::iter::from_fn(|| self.next().filter(|letter| *letter != '\''))),
                '"' => self.quoted(&mut text, depth),
                '$' => text.push_str(&self.variable(depth)),
                letter => text.push(letter),
            }
            if text.len() > 2 * LONGEST {
                self.at = self.rest.len();
            }
        }
        text
    }

    fn quoted(&mut self, text: &mut String, depth: usize) {
        while let Some(letter) = self.next().filter(|letter| *letter != '"') {
            match letter {
                '$' => text.push_str(&self.variable(depth)),
                letter if letter == self.escape => match self.peek() {
                    Some('"' | '$') => text.extend(self.next()),
                    Some(next) if next == self.escape => text.extend(self.next()),
                    _ => text.push(letter),
                },
                letter => text.push(letter),
            }
        }
    }

    /// After a `$`.
    fn variable(&mut self, depth: usize) -> String {
        let is_braced = self.peek() == Some('{');
        if is_braced {
            self.at += 1;
        }
        let mut name = String::new();
        while let Some(letter) = self.peek().filter(|letter| *letter == '_' || letter.is_ascii_alphanumeric()) {
            name.push(letter);
            self.at += 1;
        }
        if name.is_empty() && !is_braced {
            return "$".to_owned();
        }
        self.expanded.read.insert(name.clone());
        let value = (self.lookup)(&name);
        if !is_braced {
            return self.value(&name, value);
        }
        self.braced(&name, value, depth)
    }

    /// After the name in `${NAME…}`.
    fn braced(&mut self, name: &str, value: Variable, depth: usize) -> String {
        let counts_blank = self.peek() != Some(':');
        if !counts_blank {
            self.at += 1;
        }
        let operator = self.next();
        if operator == Some('}') || depth > DEEPEST {
            return self.value(name, if depth > DEEPEST { Variable::Unknown } else { value });
        }
        let before = self.expanded.clone();
        let word = self.word(Some('}'), depth + 1);
        let is_set = matches!(&value, Variable::Set(text) if counts_blank || !text.is_empty());
        match (operator, value) {
            (Some('-' | '+' | '?'), Variable::Unknown) => self.value(name, Variable::Unknown),
            (Some('-'), _) if !is_set => word,
            (Some('+'), _) if is_set => word,
            (operator, value) => {
                // The word is not used, so what is unknown in it does not matter.
                self.expanded.unknown = before.unknown;
                match operator {
                    Some('+') => String::new(),
                    Some('-' | '?') => self.value(name, value),
                    // `${NAME#pattern}`, `${NAME/from/to}`: what is cut out of the value is not computed here.
                    _ => self.value(name, Variable::Unknown),
                }
            }
        }
    }

    fn value(&mut self, name: &str, value: Variable) -> String {
        match value {
            Variable::Set(text) => text,
            Variable::Unset => String::new(),
            Variable::Unknown => {
                self.expanded.unknown.insert(name.to_owned());
                UNKNOWN.to_string()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, text: &str) {
        let lookup = |name: &str| match name {
            "A" => Variable::Set("a".to_owned()),
            "BLANK" => Variable::Set(String::new()),
            "WHO" => Variable::Unknown,
            _ => Variable::Unset,
        };
        let expanded = expand(word, '\\', &lookup);
        assert_eq!(expanded.text, text, "{word}");
        assert_eq!(expanded.unknown.is_empty(), !text.contains(UNKNOWN), "{word}");
    }

    // The cases are those of BuildKit's `shell/envVarTest`, without the operators that it added later.
    #[test]
    fn variables_are_replaced_as_buildkit_does() {
        check("hello", "hello");
        check("he'll'o", "hello");
        check("he'llo", "hello");
        check(r"he\'llo", "he'llo");
        check(r"he\\'llo", r"he\llo");
        check(r"abc\tdef", "abctdef");
        check("\"abc\\\"def\"", "abc\"def");
        check(r"abc\$A", "abc$A");
        check("'$A'", "$A");
        check("\"$A\"", "a");
        check("$A", "a");
        check("$A.x", "a.x");
        check("a$", "a$");
        check("${A}", "a");
        check("${A}_x$A", "a_xa");
        check("${A:-x}|${B:-x}|${BLANK:-x}", "a|x|x");
        check("${A-x}|${B-x}|${BLANK-x}", "a|x|");
        check("${A:+x}|${B:+x}|${BLANK:+x}", "x||");
        check("${A+x}|${B+x}|${BLANK+x}", "x||x");
        check("${A:?x}", "a");
        check("${B:-${A:+y}}", "y");
        check("${B:-$B}", "");
        check("${B:-'}'}", "}");
        check("${B:-$WHO}", "\0");
        check("${A:-$WHO}", "a");
        check("${WHO:-x}/b", "\0/b");
        check("${A#x}", "\0");
        check("${A", "\0");
    }

    #[test]
    fn words_are_held_together_by_quotes() {
        assert_eq!(words(r#"a=1 b="x y" c=x\ y 'd e'=f"#, '\\'), ["a=1", "b=\"x y\"", "c=x\\ y", "'d e'=f"]);
        assert_eq!(words("a=` b", '`'), ["a=` b"]);
        assert!(words(" \t", '\\').is_empty());
    }

    #[test]
    fn what_grows_without_end_is_unknown() {
        let long = "x".repeat(LONGEST);
        assert_eq!(expand("$A$A", '\\', &|_| Variable::Set(long.clone())).text, "\0");
        let deep = "${B:-".repeat(10_000);
        assert!(expand(&deep, '\\', &|_| Variable::Unset).unknown.contains("B"));
    }
}
