//! What the sources of a commit import, and where that leads: the edges that no manifest declares.
//!
//! [`scan_all`] reads sources (JavaScript, TypeScript, components, styles), [`TypeScript`] knows what `tsconfig.json` makes of
//! a specifier, and a [`Resolver`] tells which file, folder or package a specifier leads to. Nothing is installed, so a
//! package outside of the repository is known by its name alone. What cannot be told apart counts: one import too many is
//! an edge too many, one too few is a service that is not built.

mod batch;
mod components;
mod head;
mod lookup;
mod manifest;
mod paths;
mod place;
mod resolve;
mod styles;
mod syntax;
mod tsconfig;
mod words;

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::{HashSet, HashSetExt};

pub use self::batch::{Cache, Scanned, resolve_all, scan_all};
pub use self::resolve::{Importer, Resolution, Resolved, Resolver};
use self::syntax::{Arena, Language};
pub use self::tsconfig::{Reference, TypeScript};
use crate::parallel::with_stack;
use crate::path;

/// One module that a file asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Import {
    /// What it asks for, as it is written; a folder that is known in part (`` import(`./locales/${name}.json`) ``) ends with `/`.
    pub specifier: Arc<str>,
    /// The line of the first such import, from 1.
    pub line: usize,
}

/// What a file imports, and what stood in the way of reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Each specifier once, in the order of the file.
    pub imports: Vec<Import>,
    /// Why the imports are not known, or a guess by words (too many rather than too few), with the line, from 1.
    pub trouble: Option<(Option<usize>, String)>,
    /// Whether the file was searched for words rather than parsed for what it is: a program wrote it.
    pub is_unparsed: bool,
}

/// A specifier, and the byte of the file that it is at.
type Found<'t> = (usize, Cow<'t, str>);

/// What a file is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Source {
    Script(Language),
    Component,
    Astro,
    Style,
}

impl Source {
    fn of(path: &str) -> Option<Self> {
        let (_, extension) = path::name(path).rsplit_once('.')?;
        Some(match extension {
            "ts" | "mts" | "cts" => Self::Script(Language::TypeScript),
            "tsx" => Self::Script(Language::TypeScriptJsx),
            "js" | "mjs" | "cjs" | "jsx" => Self::Script(Language::JavaScript),
            "vue" | "svelte" => Self::Component,
            "astro" => Self::Astro,
            "css" | "scss" | "sass" | "less" => Self::Style,
            _ => return None,
        })
    }
}

/// Whether a file is one that may import others.
pub fn is_source(path: &str) -> bool {
    Source::of(path).is_some()
}

/// What a file imports; the path tells what it is written in. For many files there is [`scan_all`].
pub fn scan(path: &str, text: &str) -> Scan {
    with_stack(|| scan_in(&mut Arena::default(), path, text))
}

fn scan_in(arena: &mut Arena, path: &str, text: &str) -> Scan {
    let Some(source) = Source::of(path) else { return Scan::default() };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let trouble = match source {
        Source::Script(language) => syntax::read(arena, text, language, 0, &mut found),
        Source::Component => components::read(arena, text, &mut found),
        Source::Astro => components::read_astro(arena, text, &mut found),
        Source::Style => {
            styles::read(text, 0, &mut found);
            None
        }
    };
    let line_at = |offset: usize| 1 + newlines(&text.as_bytes()[..offset.min(text.len())]);
    let trouble = trouble.map(|(offset, message)| (Some(line_at(offset)), message));
    Scan { imports: in_order(arena, text, found), trouble, is_unparsed: false }
}

/// What a file seems to import that is not worth parsing.
fn search(arena: &mut Arena, text: &str) -> Scan {
    let mut found = Vec::new();
    words::read(text, 0, &mut found);
    Scan { imports: in_order(arena, text, found), trouble: None, is_unparsed: true }
}

/// Each specifier once, with its line.
fn in_order(arena: &mut Arena, text: &str, mut found: Vec<Found<'_>>) -> Vec<Import> {
    found.sort_by_key(|(offset, _)| *offset);
    let mut known = HashSet::with_capacity(found.len());
    let (mut line, mut at) = (1, 0);
    let mut imports = Vec::with_capacity(found.len());
    for (offset, specifier) in &found {
        line += newlines(&text.as_bytes()[at..*offset]);
        at = *offset;
        if known.insert(specifier.as_ref()) {
            imports.push(Import { specifier: arena.name(specifier), line });
        }
    }
    imports
}

fn newlines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests;
