//! Style sheets (CSS, Sass, Less): what their at-rules take in, and what they show by `url(…)`.

use super::Found;

/// The rules whose strings are files or modules: CSS and Less, Sass, Tailwind
/// (<https://tailwindcss.com/docs/functions-and-directives>).
const RULES: [&str; 7] = ["import", "use", "forward", "source", "config", "plugin", "reference"];

/// Reads a sheet that lies at an offset of its file.
pub(super) fn read<'t>(text: &'t str, offset: usize, found: &mut Vec<Found<'t>>) {
    let mut at = 0;
    while let Some(next) = text[at..].find(['/', '@', 'u']) {
        let start = at + next;
        let rest = &text[start..];
        at = start + 1;
        if rest.starts_with("/*") {
            at = rest.find("*/").map_or(text.len(), |end| start + end + 2);
        } else if rest.starts_with("//") && !text[..start].ends_with(':') {
            at = rest.find('\n').map_or(text.len(), |end| start + end);
        } else if let Some(rule) = rest.strip_prefix('@').filter(|rule| is_rule(rule)) {
            let end = rule.find([';', '{', '}']).unwrap_or(rule.len());
            // Tailwind's `@source inline("…")` lists classes.
            let is_list = rule.starts_with("source") && rule[..end].contains("inline(");
            let end = if is_list { "source".len() } else { end };
            strings(&rule[..end], offset + start + 1, found);
            at = start + 1 + end;
        } else if let Some(url) = rest.strip_prefix("url(") {
            let end = url.find([')', '\n']).unwrap_or(url.len());
            let path = url[..end].trim().trim_matches(['"', '\'']);
            put(path, offset + start, found);
            at = start + 4 + end;
        }
    }
}

fn is_rule(rest: &str) -> bool {
    let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-')).unwrap_or(rest.len());
    RULES.contains(&&rest[..end])
}

/// What a rule names: its strings, and `url(…)` without quotes. Sass's `with (…)` comes behind its name.
fn strings<'t>(rule: &'t str, offset: usize, found: &mut Vec<Found<'t>>) {
    let rule = rule.split(" with ").next().unwrap_or(rule);
    let mut at = 0;
    while let Some(next) = rule[at..].find(['"', '\'', 'u']) {
        let start = at + next;
        let rest = &rule[start..];
        at = start + 1;
        if let Some(url) = rest.strip_prefix("url(").filter(|url| !url.trim_start().starts_with(['"', '\''])) {
            let end = url.find(')').unwrap_or(url.len());
            put(url[..end].trim(), offset + start, found);
            at = start + 4 + end;
        } else if let Some(quote) = rest.chars().next().filter(|quote| *quote != 'u') {
            let end = rest[1..].find([quote, '\n']).unwrap_or(rest.len() - 1);
            put(&rest[1..1 + end], offset + start, found);
            at = (start + 2 + end).min(rule.len());
        }
    }
}

/// One name: webpack's `~` and Sass's `pkg:` say that it is a package, a pattern is known up to its first `*`.
fn put<'t>(name: &'t str, offset: usize, found: &mut Vec<Found<'t>>) {
    let name = name.strip_prefix('~').or_else(|| name.strip_prefix("pkg:")).unwrap_or(name);
    let name = match name.find(['*', '{']) {
        Some(star) => name[..star].rfind('/').map_or("", |slash| &name[..=slash]),
        None => name,
    };
    // What a preprocessor puts together is not known, and an anchor is in the page.
    if !(name.is_empty()
        || name.contains(char::is_whitespace)
        || name.starts_with(['#', '$', '@']) && !name.contains('/'))
    {
        found.push((offset, name.into()));
    }
}
