//! How much of a source has to be parsed: most import at their top, and what comes after the last import tells nothing.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// How much of a source has to be parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// It imports nothing.
    Nothing,
    /// Up to this byte; if that can be parsed, which it cannot from within a block, a comment or an element.
    Until(usize),
    /// All of it.
    Everything,
}

/// How far behind its word an import is complete, comments between them included; what is longer is parsed.
const NEAR: usize = 2000;

/// What may follow a word that imports.
struct Word {
    word: &'static str,
    /// Whether a literal may follow it.
    is_clause: bool,
    /// Whether arguments may follow it, or a member.
    is_call: bool,
}

const WORDS: [Word; 4] = [
    Word { word: "import", is_clause: true, is_call: true },
    Word { word: "from", is_clause: true, is_call: false },
    Word { word: "require", is_clause: false, is_call: true },
    Word { word: "Worker", is_clause: false, is_call: true },
];

/// Finds each of the words: made once, as there are many sources.
static FINDERS: LazyLock<[Finder<'static>; 4]> = LazyLock::new(|| WORDS.map(|word| Finder::new(word.word)));

/// How much of a source has to be parsed.
pub(super) fn of(text: &str) -> Head {
    let mut head = Head::Nothing;
    for (word, finder) in WORDS.iter().zip(FINDERS.iter()) {
        for place in finder.find_iter(text.as_bytes()) {
            match word.ends(text, place) {
                Head::Everything => return Head::Everything,
                Head::Until(end) => {
                    head = match head {
                        Head::Until(known) => Head::Until(known.max(end)),
                        Head::Nothing | Head::Everything => Head::Until(end),
                    }
                }
                Head::Nothing => {}
            }
        }
    }
    head
}

impl Word {
    /// Where the line ends on which the import at a place is complete.
    fn ends(&self, text: &str, place: usize) -> Head {
        let start = place + self.word.len();
        let near = &text[start..text.floor_char_boundary(start + NEAR)];
        let Some(rest) = past_trivia(near) else { return Head::Everything };
        let literal = match rest.chars().next() {
            Some('"' | '\'') if self.is_clause => rest,
            Some('(') if self.is_call => match past_trivia(&rest[1..]) {
                Some(literal) if literal.starts_with(['"', '\'']) => literal,
                _ => return Head::Everything,
            },
            Some('.' | '?' | '<') if self.is_call => return Head::Everything,
            None => return Head::Everything,
            Some(_) => return Head::Nothing,
        };
        let is_call = !std::ptr::eq(literal, rest);
        let quote = if literal.starts_with('"') { '"' } else { '\'' };
        let Some((_, after)) = literal[1..].split_once(quote).filter(|(name, _)| !name.contains(['\n', '\\'])) else {
            return Head::Everything;
        };
        // An argument that goes on behind its first literal: `"./locales/" + name`.
        if is_call && !past_trivia(after).is_some_and(|after| after.starts_with(')')) {
            return Head::Everything;
        }
        let line = after.find('\n').unwrap_or(after.len());
        Head::Until(start + near.len() - after.len() + line)
    }
}

/// What comes after white space and comments; `None` if a comment does not end.
pub(super) fn past_trivia(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '\u{feff}');
        rest = if let Some(comment) = rest.strip_prefix("//") {
            comment.find('\n').map_or("", |end| &comment[end..])
        } else if let Some(comment) = rest.strip_prefix("/*") {
            &comment[comment.find("*/")? + 2..]
        } else {
            return Some(rest);
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_read_up_to_the_line_of_its_last_import() {
        let check = |text: &str, expected: &str| assert_eq!(of(text), Head::Until(expected.len()), "{text}");
        check("import a from 'a';\nrest", "import a from 'a';");
        check("import {\n a,\n} from /* b */ \"a\"; let c\nrest", "import {\n a,\n} from /* b */ \"a\"; let c");
        check(
            "import 'a'; const b = require('b')(1);\nfrom; Array.from('c'); important",
            "import 'a'; const b = require('b')(1);",
        );
        check("import 'a'", "import 'a'");
        for text in [
            "import(a)",
            "require(`a`)",
            "require('a' + b)",
            "import.meta.glob('a')",
            "new Worker(a)",
            "import",
            "require?.('a')",
        ] {
            assert_eq!(of(text), Head::Everything, "{text}");
        }
        assert_eq!(of(&format!("from /* {} */ 'a'", "a".repeat(NEAR))), Head::Everything);
        for text in ["", "Array.from('a')", "important('a')", "export const a = 1;"] {
            assert_eq!(of(text), Head::Nothing, "{text}");
        }
    }
}
