//! Markdown for people: summaries and comments. Everything that comes from elsewhere is escaped here.

use std::fmt::Write as _;

/// Escapes text so that Markdown shows it as written, mentions nobody and starts no HTML.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '|' | '#' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            // A zero-width joiner after the sign keeps `@name` readable and notifies nobody. Within a word it mentions nobody.
            '@' if !escaped.ends_with(|before: char| before.is_ascii_alphanumeric()) => escaped.push_str("@\u{200d}"),
            '\r' | '\n' => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Text of our own with names in backticks: those become inline code, everything else is escaped.
pub fn prose(text: &str) -> String {
    let part =
        |(index, part): (usize, &str)| if index % 2 == 1 && !part.is_empty() { code(part) } else { escape(part) };
    text.split('`').enumerate().map(part).collect()
}

/// Text as inline code, whatever backticks are in it (CommonMark, "Code spans").
pub fn code(text: &str) -> String {
    let text = text.replace(['\r', '\n'], " ").replace('|', "\\|");
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if longest == 0 { format!("{fence}{text}{fence}") } else { format!("{fence} {text} {fence}") }
}

/// Text as a block of code in this language (blank for none), whatever fences are in it.
pub fn block(language: &str, text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end())
}

/// A table. Cells are Markdown already: escape what comes from elsewhere. Nothing, if there are no rows.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut table = format!("| {} |\n|{}\n", headings.join(" | "), " --- |".repeat(headings.len()));
    for row in rows {
        let _ = writeln!(table, "| {} |", row.join(" | "));
    }
    table
}

/// A part that a reader unfolds. `body` is Markdown.
pub fn details(title: &str, body: &str) -> String {
    format!("<details><summary>{}</summary>\n\n{}\n\n</details>\n", escape(title), body.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        assert_eq!(escape("<b>@org/team</b> | `x`\n#1"), "&lt;b&gt;@\u{200d}org/team&lt;/b&gt; \\| \\`x\\` \\#1");
        assert_eq!(prose("`a_b` is <c>`"), "`a_b` is &lt;c&gt;");
        assert_eq!(code("a|b"), "`a\\|b`");
        assert_eq!(code("a `b` c"), "`` a `b` c ``");
        assert_eq!(block("", "```\nno\n```"), "````\n```\nno\n```\n````\n");
        assert_eq!(table(&["a", "b"], &[vec!["1".into(), "2".into()]]), "| a | b |\n| --- | --- |\n| 1 | 2 |\n");
        assert_eq!(table(&["a"], &[]), "");
    }
}
