//! Sources that no parser takes: what is behind `import`, `from`, `require(` and their like in quotes is taken as an import,
//! in comments as well.

use super::Found;

/// What stands before the quotes of an import.
const OPENERS: [&str; 9] = ["from", "import", "require", "resolve", "context", "URL", "Worker", "source", "defer"];

/// How far before the quotes an opener may be, comments between them included.
const LOOK_BACK: usize = 1000;

/// Reads a source that lies at an offset of its file.
pub(super) fn read<'t>(text: &'t str, offset: usize, found: &mut Vec<Found<'t>>) {
    for (quote, mark) in text.match_indices(['"', '\'', '`']) {
        if opens(&text[..quote]) {
            let rest = &text[quote + 1..];
            let end = rest.find(|letter: char| letter.is_whitespace() || mark.contains(letter) || letter == '$');
            match end.map(|end| rest.split_at(end)) {
                Some((specifier, rest)) if !specifier.is_empty() && rest.starts_with(mark) => {
                    found.push((offset + quote, specifier.into()));
                }
                Some((beginning, rest)) if rest.starts_with('$') => {
                    let folder = beginning.rfind('/').map(|slash| &beginning[..=slash]);
                    found.extend(folder.map(|folder| (offset + quote, folder.into())));
                }
                _ => {}
            }
        }
    }
}

/// Whether what comes before a quote makes it a module's name.
fn opens(before: &str) -> bool {
    let mut before = before[before.floor_char_boundary(before.len().saturating_sub(LOOK_BACK))..].trim_end();
    if before.ends_with("*/") {
        before = before.rfind("/*").map_or("", |start| before[..start].trim_end());
    }
    let before = before.strip_suffix('(').unwrap_or(before).trim_end();
    OPENERS.iter().any(|opener| {
        before.strip_suffix(opener).is_some_and(|before| {
            !before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == '$')
        })
    })
}
