//! One stage of a Dockerfile.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use parse_dockerfile::{Command, Flag, HealthcheckArguments, Instruction, UnescapedString};

use super::expand::{Expanded, UNKNOWN};
use super::scope::{Globals, Scope};
use super::{By, Image, Lines, Origin, Place, Source, command};
use crate::problem::Problem;

/// A stage's `FROM` line, and what follows it.
pub(super) struct Head<'i, 't> {
    /// In lower case; blank if it has none.
    pub(super) name: String,
    pub(super) base: Base,
    pub(super) image: Expanded,
    /// Where the image is named.
    pub(super) span: Range<usize>,
    pub(super) line: usize,
    pub(super) instructions: &'i [Instruction<'t>],
}

/// What a stage is `FROM`, or copies from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// Stages; several if it is not known which (`FROM base-$TARGETARCH`).
    Stages(Vec<usize>),
    Named(String),
    Image(String),
    Scratch,
}

/// What a stage says.
pub(super) struct Stage<'i, 't> {
    /// The stages that it reads.
    pub(super) needs: Vec<usize>,
    pub(super) sources: Vec<Source>,
    pub(super) images: Vec<Image>,
    pub(super) places: Vec<Place>,
    pub(super) mentions: BTreeSet<String>,
    pub(super) arguments: BTreeMap<String, Option<String>>,
    pub(super) remarks: Vec<Problem>,
    /// What the stages that are `FROM` it do first.
    triggers: Vec<&'i Instruction<'t>>,
    scope: Option<Scope<'i>>,
}

/// What all stages have in common.
pub(super) struct Reader<'r, 'i, 't> {
    pub(super) path: &'r str,
    pub(super) text: &'r str,
    pub(super) lines: &'r Lines,
    pub(super) globals: &'i Globals<'i>,
    pub(super) contexts: &'r BTreeSet<String>,
    pub(super) heads: &'r [Head<'i, 't>],
    pub(super) bodies: &'r BTreeMap<usize, String>,
}

impl Base {
    /// What a name is to a stage, given those that it may name. A named context wins over all.
    pub(super) fn of(name: &str, heads: &[Head<'_, '_>], contexts: &BTreeSet<String>) -> Self {
        if let Some(context) = contexts.iter().find(|context| short(context) == short(name)) {
            return Self::Named(context.clone());
        }
        let lower = name.to_lowercase();
        if lower.contains(UNKNOWN) {
            let candidates = heads.iter().enumerate().filter(|(_, head)| is_like(&lower, &head.name));
            let stages: Vec<usize> = candidates.map(|(place, _)| place).collect();
            return if stages.is_empty() { Self::Image(name.replace(UNKNOWN, "*")) } else { Self::Stages(stages) };
        }
        match heads.iter().rposition(|head| !lower.is_empty() && head.name == lower) {
            Some(stage) => Self::Stages(vec![stage]),
            None if lower == "scratch" => Self::Scratch,
            None => Self::Image(name.to_owned()),
        }
    }

    pub(super) fn stages(&self) -> &[usize] {
        match self {
            Self::Stages(stages) => stages,
            Self::Named(_) | Self::Image(_) | Self::Scratch => &[],
        }
    }
}

/// A reference as people say it: BuildKit takes the context `alpine` for `docker.io/library/alpine:latest`.
fn short(name: &str) -> String {
    let name = name.to_lowercase();
    let short = name.strip_prefix("docker.io/").unwrap_or(&name);
    let short = short.strip_prefix("library/").unwrap_or(short);
    short.strip_suffix(":latest").unwrap_or(short).to_owned()
}

/// Whether a name with a part that is unknown may be another.
fn is_like(name: &str, other: &str) -> bool {
    let (start, end) = (name.split(UNKNOWN).next(), name.rsplit(UNKNOWN).next());
    let (start, end) = (start.unwrap_or_default(), end.unwrap_or_default());
    !other.is_empty() && other.len() >= start.len() + end.len() && other.starts_with(start) && other.ends_with(end)
}

impl<'i, 't> Reader<'_, 'i, 't> {
    /// Reads a stage, given those before it.
    pub(super) fn read(&self, head: &Head<'i, 't>, before: &[Stage<'i, 't>]) -> Stage<'i, 't> {
        let bases = || head.base.stages().iter().filter_map(|stage| before.get(*stage));
        let inherited = bases().find_map(|stage| stage.scope.clone());
        let scope = inherited.unwrap_or_else(|| Scope::new(self.globals, head.base != Base::Scratch));
        let mut reading = Reading {
            reader: self,
            scope,
            stage: Stage {
                needs: Vec::new(),
                sources: Vec::new(),
                images: Vec::new(),
                places: Vec::new(),
                mentions: BTreeSet::new(),
                arguments: BTreeMap::new(),
                remarks: Vec::new(),
                triggers: Vec::new(),
                scope: None,
            },
        };
        // A named context replaces the stage of its name: what the Dockerfile says of it is not done.
        if let Some(context) = self.contexts.iter().find(|context| !head.name.is_empty() && short(context) == head.name)
        {
            reading.add(Origin::Named(context.clone()), Expanded::default(), head.line, By::From);
            return reading.stage;
        }
        reading.base(head);
        for trigger in bases().flat_map(|stage| stage.triggers.iter().copied()) {
            reading.instruction(trigger);
        }
        head.instructions.iter().for_each(|instruction| reading.instruction(instruction));
        reading.stage.arguments.extend(reading.scope.arguments());
        Stage { scope: Some(reading.scope), ..reading.stage }
    }
}

/// A stage on the way.
struct Reading<'r, 'i, 't> {
    reader: &'r Reader<'r, 'i, 't>,
    scope: Scope<'i>,
    stage: Stage<'i, 't>,
}

impl<'i, 't> Reading<'_, 'i, 't> {
    fn base(&mut self, head: &Head<'i, 't>) {
        let globals = self.reader.globals;
        let read = head.image.read.iter();
        self.stage.arguments.extend(read.filter_map(|name| Some((name.clone(), globals.value(name)?))));
        self.remark(&head.image, head.line);
        self.place(&head.base, head.span.clone());
        match &head.base {
            Base::Named(context) => {
                self.add(Origin::Named(context.clone()), Expanded::default(), head.line, By::From);
            }
            base => self.depend(base.clone(), head.line),
        }
    }

    fn instruction(&mut self, instruction: &'i Instruction<'t>) {
        match instruction {
            Instruction::Arg(argument) => self.scope.declare(&argument.arguments.value),
            Instruction::Env(environment) => self.scope.set(&environment.arguments.value),
            Instruction::Copy(copy) => {
                let line = self.reader.lines.line(copy.copy.span.start);
                self.copy(&copy.options, &copy.src, line, By::Copy);
            }
            Instruction::Add(add) => {
                let line = self.reader.lines.line(add.add.span.start);
                self.copy(&add.options, &add.src, line, By::Add);
            }
            Instruction::Run(run) => {
                let line = self.reader.lines.line(run.run.span.start);
                run.options.iter().for_each(|option| self.mount(option, line));
                self.command(&run.arguments);
                if let Some(body) = self.reader.bodies.get(&line) {
                    command::mention(body, '\\', &mut self.stage.mentions);
                }
            }
            Instruction::Cmd(cmd) => self.command(&cmd.arguments),
            Instruction::Entrypoint(entrypoint) => self.command(&entrypoint.arguments),
            Instruction::Healthcheck(healthcheck) => {
                if let HealthcheckArguments::Cmd { arguments, .. } = &healthcheck.arguments {
                    self.command(arguments);
                }
            }
            Instruction::Onbuild(onbuild) => self.stage.triggers.push(&onbuild.instruction),
            _ => {}
        }
    }

    fn copy(&mut self, options: &[Flag<'_>], sources: &[parse_dockerfile::Source<'_>], line: usize, by: By) {
        let origin = match values(options, "from").next() {
            None => Origin::Context,
            Some(from) => {
                let name = self.expand(&from.value, line);
                let base = self.find(&name.text);
                self.place(&base, from.span.clone());
                match base {
                    Base::Named(context) => Origin::Named(context),
                    base => return self.depend(base, line),
                }
            }
        };
        let has_folders = options.iter().any(|option| option.name.value == "parents");
        let exclude: Vec<Expanded> =
            values(options, "exclude").map(|pattern| self.expand(&pattern.value, line)).collect();
        for source in sources {
            // What a here-document says is in the Dockerfile itself.
            let parse_dockerfile::Source::Path(path) = source else { continue };
            let mut path = self.expand(&path.value, line);
            if by == By::Add && origin == Origin::Context && is_remote(&path.text) {
                let address = path.text.replace(UNKNOWN, "*");
                self.add(Origin::Remote(address.clone()), path, line, by);
                self.last(|source| source.pattern = address);
                continue;
            }
            if !has_folders {
                // Only `--parents` knows `**`; elsewhere it is `*`.
                while path.text.contains("**") {
                    path.text = path.text.replace("**", "*");
                }
            }
            self.add(origin.clone(), path, line, by);
            // An exclusion that is not known leaves nothing out.
            let known = exclude.iter().map(|pattern| pattern.text.clone()).filter(|text| !text.contains(UNKNOWN));
            self.last(|source| source.exclude = known.collect());
            self.check_exclusions(line);
        }
    }

    fn check_exclusions(&mut self, line: usize) {
        if let Some(source) = self.stage.sources.last_mut()
            && let Err(problem) = source.exclusions()
        {
            source.exclude.clear();
            self.stage.remarks.push(Problem::new(self.reader.path, problem.message).at(line));
        }
    }

    /// `--mount=type=bind,source=a,from=b`.
    fn mount(&mut self, option: &Flag<'_>, line: usize) {
        let Some(value) = option.value.as_ref().filter(|_| option.name.value == "mount") else { return };
        let (mut kind, mut source, mut from) = ("bind".to_owned(), String::new(), None);
        for field in value.value.split(',') {
            let field = field.trim().trim_matches('"');
            let Some((key, value)) = field.split_once('=') else { continue };
            match key.to_ascii_lowercase().as_str() {
                "type" => kind = value.to_ascii_lowercase(),
                "source" | "src" => value.clone_into(&mut source),
                "from" => from = Some(self.expand(value, line).text),
                _ => {}
            }
        }
        // A cache begins as what it is `from`; without, it reads nothing of the build.
        match (kind.as_str(), from) {
            ("secret" | "ssh" | "tmpfs", _) | ("cache", None) => {}
            (_, Some(from)) => {
                let base = self.find(&from);
                if let Some(span) = self.span_of_from(value) {
                    self.place(&base, span);
                }
                match base {
                    Base::Named(context) => {
                        let source = self.expand(&source, line);
                        self.add(Origin::Named(context), source, line, By::Mount);
                    }
                    base => self.depend(base, line),
                }
            }
            (_, None) => {
                let source = self.expand(&source, line);
                self.add(Origin::Context, source, line, By::Mount);
            }
        }
    }

    fn command(&mut self, command: &Command<'_>) {
        let escape = self.reader.globals.escape;
        match command {
            Command::Exec(words) => {
                words.value.iter().for_each(|word| command::mention(&word.value, escape, &mut self.stage.mentions));
            }
            Command::Shell(text) => command::mention(text.value, escape, &mut self.stage.mentions),
            // The crate may come to know a third form; this version has two.
            _ => {}
        }
    }

    /// What `--from` names: a stage by its name or its number, a named context or an image.
    fn find(&self, name: &str) -> Base {
        match name.parse::<usize>() {
            Ok(stage) if stage < self.reader.heads.len() => Base::Stages(vec![stage]),
            _ => Base::of(name, self.reader.heads, self.reader.contexts),
        }
    }

    /// The image of `type=bind,from=IMAGE,…`.
    fn span_of_from(&self, value: &UnescapedString<'_>) -> Option<Range<usize>> {
        let written = self.reader.text.get(value.span.clone())?;
        let is_field = |at: usize| at == 0 || written[..at].ends_with([',', '"', ' ']);
        let start = written.match_indices("from=").find(|(at, _)| is_field(*at))?.0 + "from=".len();
        let end = written[start..].find([',', '"', ' ']).map_or(written.len(), |end| start + end);
        Some(value.span.start + start..value.span.start + end)
    }

    fn place(&mut self, base: &Base, span: Range<usize>) {
        let name = match base {
            Base::Named(name) => name.clone(),
            Base::Image(reference) => reference.replace(UNKNOWN, "*"),
            Base::Stages(_) | Base::Scratch => return,
        };
        self.stage.places.push(Place { name, span });
    }

    fn depend(&mut self, base: Base, line: usize) {
        match base {
            Base::Stages(stages) => self.stage.needs.extend(stages),
            Base::Image(reference) if !reference.is_empty() => {
                let reference = reference.replace(UNKNOWN, "*");
                if !self.stage.images.iter().any(|image| image.reference == reference) {
                    self.stage.images.push(Image { reference, line });
                }
            }
            Base::Image(_) | Base::Named(_) | Base::Scratch => {}
        }
    }

    fn expand(&mut self, word: &str, line: usize) -> Expanded {
        let expanded = self.scope.expand(word);
        self.remark(&expanded, line);
        expanded
    }

    fn remark(&mut self, expanded: &Expanded, line: usize) {
        for name in &expanded.unknown {
            let message = format!("what `{name}` is cannot be told from the file, so that anything is taken to match");
            let remark = Problem::new(self.reader.path, message).at(line);
            if !self.stage.remarks.contains(&remark) {
                self.stage.remarks.push(remark);
            }
        }
    }

    fn add(&mut self, origin: Origin, path: Expanded, line: usize, by: By) {
        self.stage.sources.push(Source {
            origin,
            pattern: pattern(&path.text),
            exclude: Vec::new(),
            is_final: false,
            line,
            by,
        });
    }

    fn last(&mut self, change: impl FnOnce(&mut Source)) {
        if let Some(source) = self.stage.sources.last_mut() {
            change(source);
        }
    }
}

/// A path in which a part that is unknown may be any number of folders, and what is unknown in a part any letters.
fn pattern(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    let parts = path.split('/').map(|part| match part {
        part if !part.is_empty() && part.chars().all(|letter| letter == UNKNOWN) => "**".to_owned(),
        part => part.replace(UNKNOWN, "*"),
    });
    parts.collect::<Vec<_>>().join("/")
}

/// What `ADD` fetches (<https://docs.docker.com/reference/dockerfile/#add>).
fn is_remote(path: &str) -> bool {
    let is_git = path.starts_with("git@") || path.starts_with("github.com/");
    is_git || ["http://", "https://", "git://", "ssh://"].iter().any(|scheme| path.starts_with(scheme))
}

fn values<'o, 't>(options: &'o [Flag<'t>], name: &'o str) -> impl Iterator<Item = &'o UnescapedString<'t>> {
    let named = options.iter().filter(move |option| option.name.value == name);
    named.filter_map(|option| option.value.as_ref())
}
