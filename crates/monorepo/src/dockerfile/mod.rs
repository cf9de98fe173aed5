//! What a Dockerfile takes into an image: the files that it copies, the images that it is built upon
//! (<https://docs.docker.com/reference/dockerfile/>).
//!
//! The text is read by the `parse-dockerfile` crate (`heredoc` takes out what it does not read); what it means is told here,
//! as BuildKit does it: `expand` replaces variables, `stage` reads one stage, [`read`] joins those that the target needs.
//! [`Source::matched`] finds a source's files.

mod command;
mod expand;
mod heredoc;
mod matched;
mod scope;
mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use parse_dockerfile::{Instruction, parse_iter};

pub(crate) use self::matched::normal;
use self::scope::Globals;
use self::stage::{Base, Head, Reader, Stage};
use crate::problem::Problem;

/// What a Dockerfile says about one target: of the stages that it needs, as BuildKit skips the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    /// What is copied or mounted, in the order of the stages.
    pub sources: Vec<Source>,
    /// The images that it is built upon or copies from.
    pub images: Vec<Image>,
    /// Where it names an image or a named context.
    pub places: Vec<Place>,
    /// The words of the commands that may name a file or a script, without `./`.
    pub mentions: BTreeSet<String>,
    /// The build arguments that are declared or choose an image, each with the value that holds; `None` is without a value, or
    /// with one that the platform gives.
    pub arguments: BTreeMap<String, Option<String>>,
    /// What cannot be known from the file.
    pub remarks: Vec<Problem>,
}

/// Something that is copied or mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it comes from.
    pub origin: Origin,
    /// The path there, with Go's wildcards in its parts; `**` is any number of folders. For what is remote, its address.
    pub pattern: String,
    /// What of it is left out (`--exclude`).
    pub exclude: Vec<String>,
    /// Whether it is in the image as it is: copied by the target or by a stage that the target is `FROM`.
    pub is_final: bool,
    /// The line, from 1.
    pub line: usize,
    /// How it gets there.
    pub by: By,
}

/// Where a source comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The build's context.
    Context,
    /// A named context that the build passes.
    Named(String),
    /// An address: `ADD https://…`, `ADD git@…`.
    Remote(String),
}

/// The instruction that reads a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// `COPY`.
    Copy,
    /// `ADD`.
    Add,
    /// `RUN --mount`.
    Mount,
    /// `FROM` a named context, which may be a folder or stand for an image.
    From,
}

/// An image that is neither a stage nor a named context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// As it is written, with the tag and the digest. A `*` stands for what is not known.
    pub reference: String,
    /// The line, from 1.
    pub line: usize,
}

/// A place in the text that names an image or a named context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The image's reference, as [`Image`] has it, or the context's name.
    pub name: String,
    /// The bytes of the text.
    pub span: Range<usize>,
}

/// What a source is in a commit; paths are relative to the repository's root.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Matched<'f> {
    /// A file.
    File(&'f str),
    /// A folder and all that is in it; blank is the root.
    Folder(String),
}

/// Reads a Dockerfile: `arguments` are those that the build passes, `target` the stage that it builds (the last, if none is
/// told), `contexts` the named contexts that it passes.
pub fn read(
    path: &str,
    text: &str,
    arguments: &BTreeMap<String, String>,
    target: Option<&str>,
    contexts: &BTreeSet<String>,
) -> Result<Recipe, Problem> {
    let mark = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let text = &text[mark..];
    let escape = heredoc::escape(text);
    let lifted = heredoc::lift(text, escape).map_err(|(line, why)| Problem::new(path, why).at(line))?;
    let broken = |error: parse_dockerfile::Error| {
        let problem = Problem::new(path, format!("not a Dockerfile: {error:#}"));
        if error.line() == 0 { problem } else { problem.at(error.line()) }
    };
    let instructions: Vec<Instruction<'_>> =
        parse_iter(&lifted.text).map_err(broken)?.collect::<Result<_, _>>().map_err(broken)?;

    let lines = Lines::of(&lifted.text);
    let mut globals = Globals::new(arguments, escape);
    let heads = heads(&instructions, &lines, &mut globals, contexts);
    let target = find_target(&heads, target).map_err(|why| Problem::new(path, why))?;
    let reader = Reader {
        path,
        text: &lifted.text,
        lines: &lines,
        globals: &globals,
        contexts,
        heads: &heads,
        bodies: &lifted.bodies,
    };
    let mut stages: Vec<Stage<'_, '_>> = Vec::with_capacity(heads.len());
    for head in &heads {
        let stage = reader.read(head, &stages);
        stages.push(stage);
    }
    let mut recipe = join(&stages, &heads, target);
    // A here-document is lifted from behind what names an image: the line and the column are still the same.
    let written = Lines::of(text);
    for place in &mut recipe.places {
        let line = lines.line(place.span.start);
        let moved = |at: usize| at - lines.start(line) + written.start(line) + mark;
        place.span = moved(place.span.start)..moved(place.span.end);
    }
    Ok(recipe)
}

impl Recipe {
    /// The text with other images in the place of those, and of the named contexts, that it names. The error is those that it
    /// does not name.
    pub fn with_images<'i>(&self, text: &str, images: &'i BTreeMap<String, String>) -> Result<String, Vec<&'i str>> {
        let is_named = |name: &String| self.places.iter().any(|place| place.name == *name);
        let missing: Vec<&str> = images.keys().filter(|name| !is_named(name)).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        let mut places: Vec<&Place> = self.places.iter().collect();
        // From the end, so that what is before stays where it was. What `ONBUILD` says holds for each stage upon it.
        places.sort_by_key(|place| std::cmp::Reverse(place.span.start));
        places.dedup_by_key(|place| place.span.start);
        let mut written = text.to_owned();
        for Place { name, span } in places {
            if let Some(image) = images.get(name) {
                written.replace_range(span.clone(), image);
            }
        }
        Ok(written)
    }
}

/// The stages' `FROM` lines, with what follows each; the `ARG`s before the first are global.
fn heads<'i, 't>(
    instructions: &'i [Instruction<'t>],
    lines: &Lines,
    globals: &mut Globals<'_>,
    contexts: &BTreeSet<String>,
) -> Vec<Head<'i, 't>> {
    let mut heads: Vec<Head<'i, 't>> = Vec::new();
    for (place, instruction) in instructions.iter().enumerate() {
        match instruction {
            Instruction::From(from) => {
                let image = globals.expand(&from.image.value);
                let base = Base::of(&image.text, &heads, contexts);
                heads.push(Head {
                    name: from.as_.as_ref().map(|(_, name)| name.value.to_lowercase()).unwrap_or_default(),
                    base,
                    image,
                    span: from.image.span.clone(),
                    line: lines.line(from.from.span.start),
                    instructions: &instructions[place + 1..place + 1],
                });
            }
            Instruction::Arg(argument) if heads.is_empty() => globals.declare(&argument.arguments.value),
            _ => {
                if let Some(head) = heads.last_mut() {
                    let start = place - head.instructions.len();
                    head.instructions = &instructions[start..=place];
                }
            }
        }
    }
    heads
}

fn find_target(heads: &[Head<'_, '_>], target: Option<&str>) -> Result<usize, String> {
    let Some(last) = heads.len().checked_sub(1) else { return Err("not a Dockerfile: it has no FROM".to_owned()) };
    let Some(target) = target.filter(|target| !target.is_empty()) else { return Ok(last) };
    let name = target.to_lowercase();
    let named = heads.iter().rposition(|head| head.name == name);
    let place = named.or_else(|| target.parse().ok().filter(|place| *place <= last));
    place.ok_or_else(|| format!("there is no stage `{target}`, which is to be built"))
}

/// What the stages that the target needs say.
fn join(stages: &[Stage<'_, '_>], heads: &[Head<'_, '_>], target: usize) -> Recipe {
    let mut is_needed = vec![false; stages.len()];
    let mut is_final = vec![false; stages.len()];
    reach(target, &mut is_needed, |stage| stages[stage].needs.iter().copied());
    reach(target, &mut is_final, |stage| heads[stage].base.stages().iter().copied());
    let mut recipe = Recipe::default();
    for (place, stage) in stages.iter().enumerate().filter(|(place, _)| is_needed[*place]) {
        let sources = stage.sources.iter().cloned();
        recipe
            .sources
            .extend(sources.map(|source| Source { is_final: is_final[place] && source.by != By::Mount, ..source }));
        recipe.images.extend(stage.images.iter().cloned());
        recipe.places.extend(stage.places.iter().cloned());
        recipe.mentions.extend(stage.mentions.iter().cloned());
        for (name, value) in &stage.arguments {
            let known = recipe.arguments.entry(name.clone()).or_default();
            if value.is_some() {
                known.clone_from(value);
            }
        }
        recipe.remarks.extend(stage.remarks.iter().cloned());
    }
    recipe
}

/// Marks what is reached from a stage.
fn reach<Next: Iterator<Item = usize>>(start: usize, reached: &mut [bool], next: impl Fn(usize) -> Next) {
    let mut open = vec![start];
    while let Some(stage) = open.pop() {
        if let Some(is_reached) = reached.get_mut(stage)
            && !*is_reached
        {
            *is_reached = true;
            open.extend(next(stage));
        }
    }
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1)).collect())
    }

    /// The line of a place, from 1.
    fn line(&self, place: usize) -> usize {
        self.0.partition_point(|start| *start <= place)
    }

    /// Where a line begins.
    fn start(&self, line: usize) -> usize {
        self.0.get(line.saturating_sub(1)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
