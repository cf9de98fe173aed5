//! JavaScript and TypeScript, by a parser: its tokens tell a string from a comment, a regular expression from a division and
//! JSX text from code, and a module's name is always a literal behind a few well-known words.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::HashSet;
use oxc_allocator::Allocator;
use oxc_parser::config::TokensParserConfig;
use oxc_parser::{Kind, ParseOptions, Parser, Token};
use oxc_span::SourceType;

use super::head::{self, Head};
use super::{Found, words};

/// The memory that a file is parsed in, and the specifiers that it shares with others; kept from file to file.
#[derive(Default)]
pub(super) struct Arena {
    allocator: Allocator,
    names: HashSet<Arc<str>>,
}

/// Memory that is given back after a file that needed more.
const KEPT: usize = 8 * 1024 * 1024;

/// The deepest nesting that is parsed, and the most operators of one expression: a level takes some 2 KiB of stack.
const DEEPEST: usize = 4000;
const LONGEST: usize = 50_000;

/// The dialect of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Language {
    JavaScript,
    TypeScript,
    TypeScriptJsx,
}

impl Arena {
    /// A specifier, kept once.
    pub(super) fn name(&mut self, specifier: &str) -> Arc<str> {
        if let Some(known) = self.names.get(specifier) {
            return known.clone();
        }
        let name: Arc<str> = specifier.into();
        self.names.insert(name.clone());
        name
    }
}

/// Reads a source that lies at an offset of its file; what is wrong with it, if it had to be read by its words.
pub(super) fn read<'t>(
    arena: &mut Arena,
    text: &'t str,
    language: Language,
    offset: usize,
    found: &mut Vec<Found<'t>>,
) -> Option<(usize, String)> {
    directives(text, offset, found);
    let head = match head::of(text) {
        Head::Nothing => return None,
        Head::Until(end) => Some(&text[..end]),
        Head::Everything => None,
    };
    if let Some(head) = head
        && parse(arena, head, language.source_types()[0], offset, found).is_ok()
    {
        return None;
    }
    let mut trouble = None;
    for source_type in language.source_types() {
        match parse(arena, text, source_type, offset, found) {
            Ok(()) => return None,
            Err(wrong) => trouble = trouble.or(Some(wrong)),
        }
    }
    words::read(text, offset, found);
    trouble
}

/// Reads the imports of a source that can be parsed; where it cannot be parsed, and why.
fn parse<'t>(
    arena: &mut Arena,
    text: &'t str,
    source_type: SourceType,
    offset: usize,
    found: &mut Vec<Found<'t>>,
) -> Result<(), (usize, String)> {
    if is_too_deep(text) {
        return Err((offset, "nested too deep to be parsed".to_owned()));
    }
    if arena.allocator.capacity() > KEPT {
        arena.allocator = Allocator::default();
    }
    arena.allocator.reset();
    let options =
        ParseOptions { allow_return_outside_function: true, enable_ident_hashes: false, ..ParseOptions::default() };
    let parser = Parser::new(&arena.allocator, text, source_type).with_options(options).with_config(TokensParserConfig);
    let parsed = parser.parse();
    // Without `panicked`, the parser may still have stopped at a string or a template that does not end.
    let end = parsed.tokens.last().map_or(0, |token| token.end() as usize);
    let is_complete = !parsed.panicked && is_trivia(&text[end..]);
    if !is_complete {
        let error = parsed.diagnostics.errors().next();
        let place = error.and_then(|error| error.labels.first()).map_or(0, |label| label.offset() as usize);
        return Err((offset + place, error.map_or("cannot be parsed".to_owned(), |error| error.message.to_string())));
    }
    let tokens = Tokens { text, offset, all: &parsed.tokens };
    found.extend((0..tokens.all.len()).filter_map(|place| tokens.import(place)));
    Ok(())
}

/// Whether a text is white space and comments, that of a script's first line included.
fn is_trivia(text: &str) -> bool {
    let rest = if text.starts_with("#!") { text.split_once('\n').map_or("", |(_, rest)| rest) } else { text };
    head::past_trivia(rest) == Some("")
}

/// Whether a source is nested so deep that the parser, which calls itself for every level, might run out of its stack: people
/// nest some ten levels, programs that write programs some hundred.
fn is_too_deep(text: &str) -> bool {
    let (mut depth, mut operators) = (0_usize, 0);
    text.bytes().any(|byte| {
        match byte {
            b'(' | b'[' | b'{' | b'<' => depth += 1,
            b')' | b']' | b'}' => (depth, operators) = (depth.saturating_sub(1), 0),
            b'>' => (depth, operators) = (depth.saturating_sub(1), operators + 1),
            b',' | b';' => operators = 0,
            b'=' | b'?' | b'!' | b'~' | b'-' | b'+' | b'*' | b':' | b'$' | b' ' => operators += 1,
            _ => {}
        }
        depth > DEEPEST || operators > LONGEST
    })
}

impl Language {
    /// What to parse it as, likeliest first: `.js` may hold types (Flow, JSDoc-free TypeScript by a bundler), and a component
    /// may leave its language out.
    fn source_types(self) -> [SourceType; 2] {
        const JAVASCRIPT: SourceType = SourceType::unambiguous().with_jsx(true);
        match self {
            Self::JavaScript => [JAVASCRIPT, SourceType::tsx()],
            Self::TypeScript => [SourceType::ts(), SourceType::tsx()],
            Self::TypeScriptJsx => [SourceType::tsx(), SourceType::ts()],
        }
    }
}

/// The tokens of a source that lies at an offset of its file.
struct Tokens<'t, 'a> {
    text: &'t str,
    offset: usize,
    all: &'a [Token],
}

impl<'t> Tokens<'t, '_> {
    /// The import that the token at a place names, if it names one.
    fn import(&self, place: usize) -> Option<Found<'t>> {
        let literal = self.literal(place)?;
        let specifier = match self.call(place)? {
            Call::Module => self.known(place, literal)?,
            Call::Folder => folder(literal)?,
            Call::Url if self.is_own_url(place) => relative(self.known(place, literal)?),
            Call::Worker if literal.starts_with('.') => self.known(place, literal)?,
            Call::Glob => folder(literal.split(['*', '{', '[', '(']).next().unwrap_or_default())?,
            Call::Url | Call::Worker => return None,
        };
        (!specifier.is_empty()).then(|| (self.offset + self.all[place].start() as usize, specifier))
    }

    /// What a string or a template says, as far as it is known before the program runs.
    fn literal(&self, place: usize) -> Option<&'t str> {
        let token = self.all.get(place)?;
        let end = match token.kind() {
            Kind::Str | Kind::NoSubstitutionTemplate => 1,
            Kind::TemplateHead => 2,
            _ => return None,
        };
        self.text.get(token.start() as usize + 1..(token.end() as usize).checked_sub(end)?)
    }

    /// The whole specifier, or the folder of one that is put together (`` `./locales/${name}` ``, `"./locales/" + name`).
    fn known(&self, place: usize, literal: &'t str) -> Option<Cow<'t, str>> {
        let is_whole = self.kind(place) != Kind::TemplateHead && self.kind(place + 1) != Kind::Plus;
        if is_whole { Some(literal.into()) } else { folder(literal) }
    }

    /// What the literal at a place is an argument of, if it is one that leads to a file.
    fn call(&self, place: usize) -> Option<Call> {
        // The nearest eight tokens before it, the last one first.
        let before: [Kind; 8] = std::array::from_fn(|back| self.kind_before(place, back + 1));
        let word = |back: usize| self.word_before(place, back);
        match before {
            [Kind::From | Kind::Import, ..] => Some(Call::Module),
            [Kind::LParen, Kind::Import, Kind::Dot, ..] => None,
            [Kind::LParen, Kind::Import, ..] => Some(Call::Module),
            [Kind::LParen, Kind::Source | Kind::Defer, Kind::Dot, Kind::Import, ..] => Some(Call::Module),
            [Kind::LParen, Kind::Require, Kind::Dot, Kind::Module, ..] => Some(Call::Module),
            [Kind::LParen, Kind::Require, Kind::Dot | Kind::QuestionDot, ..] => None,
            [Kind::LParen, Kind::Require, ..] => Some(Call::Module),
            [Kind::LParen, Kind::Ident, Kind::Dot, Kind::Require, ..] if word(2) == "resolve" => Some(Call::Module),
            [Kind::LParen, Kind::Ident, Kind::Dot, Kind::Require, ..] if word(2) == "context" => Some(Call::Folder),
            [Kind::LParen, Kind::Ident, Kind::Dot, Kind::Meta, Kind::Dot, Kind::Import, ..] if word(2) == "resolve" => {
                Some(Call::Module)
            }
            [Kind::LParen, Kind::Ident, Kind::New, ..] => match word(2) {
                "URL" => Some(Call::Url),
                "Worker" | "SharedWorker" => Some(Call::Worker),
                _ => None,
            },
            [Kind::LParen | Kind::LBrack | Kind::Comma, ..] => self.is_in_glob(place).then_some(Call::Glob),
            _ => None,
        }
    }

    /// Whether a call's first argument is followed by `import.meta.url`, which bundlers take as a path beside the file.
    fn is_own_url(&self, place: usize) -> bool {
        // A template with holes, or a sum, has more tokens before its comma.
        let end = (place + 1..self.all.len().min(place + 16)).find(|next| self.kind(*next) == Kind::Comma);
        let Some(comma) = end else { return false };
        [Kind::Import, Kind::Dot, Kind::Meta].iter().zip(comma + 1..).all(|(kind, next)| self.kind(next) == *kind)
    }

    /// Whether a literal is a pattern of Vite's `import.meta.glob<Module>(["./a/*.ts", "../b/*.ts"])`
    /// (<https://vite.dev/guide/features.html#glob-import>).
    fn is_in_glob(&self, place: usize) -> bool {
        let (mut back, first) = (place.saturating_sub(1), place.saturating_sub(GLOB_PATTERNS));
        while back > first
            && matches!(self.kind(back), Kind::LBrack | Kind::Comma | Kind::Str | Kind::NoSubstitutionTemplate)
        {
            back -= 1;
        }
        if self.kind(back) != Kind::LParen {
            return false;
        }
        // Type arguments may stand between the name and its arguments.
        let nearest = back.saturating_sub(GLOB_TYPES)..back;
        nearest.rev().find(|place| self.kind(*place) == Kind::Meta).is_some_and(|meta| {
            self.kind(meta + 1) == Kind::Dot
                && self.word(meta + 2).starts_with("glob")
                && (meta + 3 == back || matches!(self.kind(meta + 3), Kind::LAngle))
        })
    }

    fn kind(&self, place: usize) -> Kind {
        self.all.get(place).map_or(Kind::Eof, Token::kind)
    }

    fn kind_before(&self, place: usize, back: usize) -> Kind {
        place.checked_sub(back).map_or(Kind::Eof, |place| self.kind(place))
    }

    fn word(&self, place: usize) -> &'t str {
        self.all
            .get(place)
            .and_then(|token| self.text.get(token.start() as usize..token.end() as usize))
            .unwrap_or_default()
    }

    fn word_before(&self, place: usize, back: usize) -> &'t str {
        place.checked_sub(back).map_or("", |place| self.word(place))
    }
}

/// The most tokens of a list of patterns that are looked over for `import.meta.glob(` before them.
const GLOB_PATTERNS: usize = 200;

/// The most tokens of a type that are looked over for `import.meta.glob` before them.
const GLOB_TYPES: usize = 40;

/// What a literal is an argument of.
enum Call {
    /// `import`, `export … from`, `require` and their like.
    Module,
    /// `require.context`: a folder, whole.
    Folder,
    /// `import.meta.glob`: a pattern.
    Glob,
    /// `new URL`, which counts beside `import.meta.url` alone.
    Url,
    /// `new Worker`, which counts for a path beside the file alone.
    Worker,
}

/// The folder that a specifier's known beginning names; `None` if it names none.
fn folder(beginning: &str) -> Option<Cow<'_, str>> {
    match beginning {
        "." | ".." => Some(format!("{beginning}/").into()),
        _ => beginning.rfind('/').map(|slash| beginning[..=slash].into()),
    }
}

/// A path as URLs have it: beside the file even without `./`.
fn relative(path: Cow<'_, str>) -> Cow<'_, str> {
    let is_other = path.starts_with(['.', '/', '#']) || path.contains(':');
    if is_other { path } else { format!("./{path}").into() }
}

/// `/// <reference path="…" />` and `types`, which count before the first statement alone.
fn directives<'t>(text: &'t str, offset: usize, found: &mut Vec<Found<'t>>) {
    let mut at = 0;
    let mut is_in_comment = false;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start_matches('\u{feff}').trim();
        if is_in_comment {
            is_in_comment = !trimmed.contains("*/");
        } else if let Some(directive) = trimmed.strip_prefix("///") {
            found.extend(reference(directive).map(|path| (offset + at, path)));
        } else if trimmed.starts_with("/*") {
            is_in_comment = !trimmed.contains("*/");
        } else if !(trimmed.is_empty() || trimmed.starts_with("//") || trimmed.starts_with("#!")) {
            return;
        }
        at += line.len();
    }
}

fn reference(directive: &str) -> Option<Cow<'_, str>> {
    let attributes = directive.trim_start().strip_prefix("<reference")?;
    let value = |name: &str| {
        let (_, rest) = attributes.split_once(&format!(" {name}="))?;
        let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        rest[1..].split_once(quote).map(|(value, _)| value)
    };
    value("path").map(|path| relative(path.into())).or_else(|| value("types").map(Cow::from))
}
