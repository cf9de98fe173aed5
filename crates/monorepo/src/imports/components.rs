//! Components: the scripts and styles of Vue, Svelte and Astro files.

use super::syntax::{self, Language};
use super::{Arena, Found, styles};

/// Reads a Vue or Svelte file; what is wrong with its first script that had to be read by its words.
pub(super) fn read<'t>(arena: &mut Arena, text: &'t str, found: &mut Vec<Found<'t>>) -> Option<(usize, String)> {
    read_tags(arena, text, 0, found)
}

/// Reads an Astro file: its frontmatter is TypeScript, its page may have scripts and styles.
pub(super) fn read_astro<'t>(arena: &mut Arena, text: &'t str, found: &mut Vec<Found<'t>>) -> Option<(usize, String)> {
    let Some((start, end)) = frontmatter(text) else { return read_tags(arena, text, 0, found) };
    let trouble = syntax::read(arena, &text[start..end], Language::TypeScriptJsx, start, found);
    trouble.or(read_tags(arena, text, end, found))
}

/// Where the script between the two fences `---` is.
fn frontmatter(text: &str) -> Option<(usize, usize)> {
    let start = text.find("---")?;
    text[..start].trim_start_matches('\u{feff}').trim().is_empty().then_some(())?;
    let end = text[start + 3..].find("\n---")?;
    Some((start + 3, start + 3 + end + 1))
}

fn read_tags<'t>(arena: &mut Arena, text: &'t str, from: usize, found: &mut Vec<Found<'t>>) -> Option<(usize, String)> {
    let mut trouble = None;
    let mut at = from;
    while let Some(next) = text[at..].find('<') {
        let start = at + next;
        at = start + 1;
        if text[start..].starts_with("<!--") {
            at = text[start..].find("-->").map_or(text.len(), |end| start + end);
            continue;
        }
        let Some(tag) = Tag::at(text, start) else { continue };
        found.extend(tag.attribute("src").filter(|path| path.starts_with('.')).map(|path| (start, path.into())));
        let content = &text[tag.content..tag.end];
        if tag.is_style {
            styles::read(content, tag.content, found);
        } else {
            let wrong = syntax::read(arena, content, tag.language(), tag.content, found);
            trouble = trouble.or(wrong);
        }
        at = tag.end;
    }
    trouble
}

/// `<script …>…</script>` or `<style …>…</style>`.
struct Tag<'t> {
    is_style: bool,
    attributes: &'t str,
    /// Where its content begins and ends.
    content: usize,
    end: usize,
}

impl<'t> Tag<'t> {
    fn at(text: &'t str, start: usize) -> Option<Self> {
        let rest = &text[start + 1..];
        let is_named = |name: &str| rest.get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name));
        let name = ["script", "style"].into_iter().find(|name| is_named(name))?;
        let attributes = &rest[name.len()..];
        attributes.starts_with(|letter: char| letter.is_whitespace() || matches!(letter, '>' | '/')).then_some(())?;
        let close = end_of_attributes(attributes)?;
        let content = start + 1 + name.len() + close + 1;
        let is_empty = attributes[..close].ends_with('/');
        let end = if is_empty { content } else { end_of_content(text, content, name) };
        Some(Self { is_style: name == "style", attributes: &attributes[..close], content, end })
    }

    fn attribute(&self, name: &str) -> Option<&'t str> {
        self.attributes.match_indices(name).find_map(|(place, _)| {
            let is_word = self.attributes[..place].ends_with(char::is_whitespace);
            let value =
                self.attributes[place + name.len()..].trim_start().strip_prefix('=').filter(|_| is_word)?.trim_start();
            let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''));
            match quote {
                Some(quote) => value[1..].split(quote).next(),
                None => value.split_whitespace().next(),
            }
        })
    }

    fn language(&self) -> Language {
        match self.attribute("lang") {
            Some("ts" | "typescript") => Language::TypeScript,
            Some("tsx") => Language::TypeScriptJsx,
            _ => Language::JavaScript,
        }
    }
}

/// Where a tag's `>` is: one in quotes is a part of an attribute (`generic="T extends Record<string, U>"`).
fn end_of_attributes(attributes: &str) -> Option<usize> {
    let mut quote = None;
    attributes.char_indices().find_map(|(place, letter)| match (quote, letter) {
        (Some(open), _) => {
            quote = (open != letter).then_some(open);
            None
        }
        (None, '"' | '\'') => {
            quote = Some(letter);
            None
        }
        (None, '>') => Some(place),
        (None, _) => None,
    })
}

fn end_of_content(text: &str, content: usize, name: &str) -> usize {
    let closes =
        |place: usize| text.get(place + 2..place + 2 + name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name));
    text[content..]
        .match_indices("</")
        .map(|(place, _)| content + place)
        .find(|place| closes(*place))
        .unwrap_or(text.len())
}
