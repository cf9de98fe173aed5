//! What a Dockerfile tells beside the build: its stages, its `ARG`s, the images that it names, and on which line each of its
//! steps stands.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use parse_dockerfile::{Flag, Instruction};

/// The names that BuildKit knows without an `ARG`
/// (<https://docs.docker.com/reference/dockerfile/#predefined-args>).
const PREDEFINED: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// A Dockerfile, as far as it is needed to speak of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Dockerfile {
    stages: Vec<Stage>,
    /// What an `ARG` declares anywhere.
    arguments: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stage {
    name: Option<String>,
    /// The lines of the steps as BuildKit numbers them: `FROM`, unless it begins with nothing or with another stage, and what
    /// changes files.
    steps: Vec<usize>,
}

impl Dockerfile {
    /// Reads a Dockerfile. `None` if it is not understood: what is wrong with it is the builder's to tell.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parsed = parse_dockerfile::parse(text).ok()?;
        let line = |span: &Range<usize>| text.get(..span.start).map_or(0, |before| before.matches('\n').count()) + 1;
        let mut read = Self::default();
        for instruction in &parsed.instructions {
            let step = match instruction {
                Instruction::From(from) => {
                    let is_stage = |stage: &Stage| stage.name.as_deref() == Some(&from.image.value.to_lowercase());
                    let is_image = from.image.value != "scratch" && !read.stages.iter().any(is_stage);
                    let name = from.as_.as_ref().map(|(_, name)| name.value.to_lowercase());
                    let steps = if is_image { vec![line(&from.from.span)] } else { Vec::new() };
                    read.stages.push(Stage { name, steps });
                    continue;
                }
                Instruction::Arg(arg) => {
                    let names = arg.arguments.value.split_whitespace();
                    read.arguments.extend(names.map(|name| name.split('=').next().unwrap_or_default().to_owned()));
                    continue;
                }
                Instruction::Add(add) => &add.add.span,
                Instruction::Copy(copy) => &copy.copy.span,
                Instruction::Run(run) => &run.run.span,
                Instruction::Workdir(workdir) => &workdir.workdir.span,
                _ => continue,
            };
            read.stages.last_mut()?.steps.push(line(step));
        }
        Some(read)
    }

    /// The line of a step, as the builder calls it: `[build 3/5] RUN make`, or `[3/5] …` where there is one stage.
    pub(super) fn line_of(&self, step: &str) -> Option<usize> {
        let (place, _) = step.strip_prefix('[')?.split_once(']')?;
        let (before, count) = place.rsplit_once(' ').unwrap_or(("", place));
        let number: usize = count.split_once('/')?.0.parse().ok()?;
        // A platform may come before the stage's name.
        let stage = match before.rsplit(' ').next().unwrap_or_default() {
            "" => self.stages.last()?,
            name if name.contains('/') => self.stages.last()?,
            name => self.stage(name)?,
        };
        stage.steps.get(number.checked_sub(1)?).copied()
    }

    /// A stage by its name, or by the one that BuildKit gives it: `stage-2`.
    fn stage(&self, name: &str) -> Option<&Stage> {
        let by_name = self.stages.iter().rev().find(|stage| stage.name.as_deref() == Some(&name.to_lowercase()));
        by_name.or_else(|| self.stages.get(name.strip_prefix("stage-")?.parse::<usize>().ok()?))
    }

    /// The names of the stages, if there is none that is called so, or numbered.
    pub(super) fn unknown_target(&self, target: &str) -> Option<Vec<&str>> {
        let is_number = target.parse::<usize>().is_ok_and(|number| number < self.stages.len());
        let is_known = self.stages.iter().any(|stage| stage.name.as_deref() == Some(&target.to_lowercase()));
        (!is_number && !is_known).then(|| self.stages.iter().filter_map(|stage| stage.name.as_deref()).collect())
    }

    /// The names that are declared, if this one is not.
    pub(super) fn unknown_argument(&self, name: &str) -> Option<Vec<&str>> {
        let is_known = PREDEFINED.contains(&name) || name.starts_with("BUILDKIT_") || self.arguments.contains(name);
        (!is_known).then(|| self.arguments.iter().map(String::as_str).collect())
    }
}

/// The images that a Dockerfile names in `FROM`, `COPY --from` and `RUN --mount=from=`, each once. None, if it is not understood.
pub fn images(text: &str, arguments: &BTreeMap<String, String>) -> Vec<String> {
    let mut images: Vec<String> = Vec::new();
    for (name, _) in places(text, arguments).unwrap_or_default() {
        if !images.contains(&name) {
            images.push(name);
        }
    }
    images
}

/// The Dockerfile with other images in the place of those that it names. `None` if it is not understood.
pub(super) fn with_images(
    text: &str,
    arguments: &BTreeMap<String, String>,
    images: &BTreeMap<String, String>,
) -> Option<String> {
    let mut written = text.to_owned();
    // From the end, so that what is before stays where it was.
    for (name, span) in places(text, arguments)?.into_iter().rev() {
        if let Some(image) = images.get(&name) {
            written.replace_range(span, image);
        }
    }
    Some(written)
}

/// Every image that is named, with its place, in order.
fn places(text: &str, arguments: &BTreeMap<String, String>) -> Option<Vec<(String, Range<usize>)>> {
    let parsed = parse_dockerfile::parse(text).ok()?;
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut stages: Vec<String> = Vec::new();
    let mut places = Vec::new();
    for instruction in &parsed.instructions {
        let named: Vec<(String, Range<usize>)> = match instruction {
            Instruction::Arg(arg) if stages.is_empty() => {
                let (name, default) = arg.arguments.value.split_once('=').unwrap_or((&arg.arguments.value, ""));
                let default = default.trim_matches(['"', '\'']);
                let value = arguments.get(name).cloned().unwrap_or_else(|| expand(default, &known));
                known.insert(name.to_owned(), value);
                continue;
            }
            Instruction::From(from) => vec![(expand(&from.image.value, &known), from.image.span.clone())],
            Instruction::Copy(copy) => copy.options.iter().filter_map(from_flag).collect(),
            Instruction::Add(add) => add.options.iter().filter_map(from_flag).collect(),
            Instruction::Run(run) => run.options.iter().filter_map(|flag| mount(flag, text)).collect(),
            _ => continue,
        };
        let is_stage =
            |name: &str| name.parse::<usize>().is_ok() || stages.iter().any(|stage| *stage == name.to_lowercase());
        places.extend(named.into_iter().filter(|(name, _)| name != "scratch" && !is_stage(name)));
        if let Instruction::From(from) = instruction {
            // A stage without a name takes its place all the same: that of no image.
            stages.push(from.as_.as_ref().map(|(_, name)| name.value.to_lowercase()).unwrap_or_default());
        }
    }
    Some(places)
}

fn from_flag(flag: &Flag<'_>) -> Option<(String, Range<usize>)> {
    let value = flag.value.as_ref().filter(|_| flag.name.value == "from")?;
    Some((value.value.to_string(), value.span.clone()))
}

/// The image of `--mount=type=bind,from=IMAGE,…`.
fn mount(flag: &Flag<'_>, text: &str) -> Option<(String, Range<usize>)> {
    let value = flag.value.as_ref().filter(|_| flag.name.value == "mount")?;
    let written = text.get(value.span.clone())?;
    let at =
        written.match_indices("from=").find(|(at, _)| *at == 0 || written[..*at].ends_with(','))?.0 + "from=".len();
    let end = written[at..].find([',', '"', ' ']).map_or(written.len(), |end| at + end);
    Some((written[at..end].to_owned(), value.span.start + at..value.span.start + end))
}

/// The text with the values of `$NAME`, `${NAME}` and `${NAME:-default}` in their places.
fn expand(text: &str, known: &BTreeMap<String, String>) -> String {
    let Some((before, after)) = text.split_once('$') else { return text.to_owned() };
    let (name, default, rest) = match after.strip_prefix('{').and_then(|after| after.split_once('}')) {
        Some((inside, rest)) => {
            let (name, default) = inside.split_once(":-").or_else(|| inside.split_once('-')).unwrap_or((inside, ""));
            (name, default, rest)
        }
        None => {
            let end =
                after.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(after.len());
            (&after[..end], "", &after[end..])
        }
    };
    let value = known.get(name).filter(|value| !value.is_empty()).map_or(default, String::as_str);
    format!("{before}{value}{}", expand(rest, known))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# syntax\nARG BASE=node:24\nFROM ${BASE} AS Build\nWORKDIR /app\nCOPY . .\nARG MODE=ci TOKEN\nRUN npm \\\n  ci\nENV A=1\nRUN make\n\nFROM scratch\nCOPY --from=build /app /\nFROM build\nRUN last\n";

    fn check(step: &str, line: Option<usize>) {
        assert_eq!(Dockerfile::parse(TEXT).unwrap().line_of(step), line, "{step}");
    }

    #[test]
    fn a_step_has_a_line() {
        check("[build 1/5] FROM docker.io/library/node:24", Some(3));
        check("[build 4/5] RUN npm   ci", Some(7));
        check("[linux/arm64 build 5/5] RUN make", Some(10));
        check("[stage-1 1/1] COPY --from=build /app /", Some(13));
        check("[stage-2 1/1] RUN last", Some(15));
        check("[1/1] RUN last", Some(15));
        check("[linux/arm64 1/1] RUN last", Some(15));
        check("[other 1/1] RUN last", None);
        check("[build 9/9] RUN last", None);
        check("[internal] load metadata", None);
        check("exporting to image", None);
    }

    #[test]
    fn what_is_not_declared_is_told_with_what_is() {
        let dockerfile = Dockerfile::parse(TEXT).unwrap();
        assert_eq!(dockerfile.unknown_target("BUILD"), None);
        assert_eq!(dockerfile.unknown_target("2"), None);
        assert_eq!(dockerfile.unknown_target("biuld"), Some(vec!["build"]));
        assert_eq!(dockerfile.unknown_argument("MODE"), None);
        assert_eq!(dockerfile.unknown_argument("HTTP_PROXY"), None);
        assert_eq!(dockerfile.unknown_argument("MOD"), Some(vec!["BASE", "MODE", "TOKEN"]));
    }

    #[test]
    fn the_images_that_are_named_can_be_others() {
        let text = "ARG TAG=1\nARG BASE=shop/base:${TAG}\nFROM --platform=linux/amd64 ${BASE} AS build\nCOPY --from=shared / /\nRUN --mount=type=bind,from=tools,target=/t true\nFROM scratch\nCOPY --from=build / /\nCOPY --from=0 / /\nFROM build\nCOPY --chown=1 --from=shared a b\n";
        let none = BTreeMap::new();
        assert_eq!(images(text, &none), ["shop/base:1", "shared", "tools"]);
        assert_eq!(images(text, &BTreeMap::from([("BASE".into(), "x".into())]))[0], "x");
        let others = [("shop/base:1", "b:2"), ("shared", "s:2"), ("tools", "t:2")];
        let others = others.into_iter().map(|(name, image)| (name.to_owned(), image.to_owned())).collect();
        assert_eq!(
            with_images(text, &none, &others).unwrap(),
            "ARG TAG=1\nARG BASE=shop/base:${TAG}\nFROM --platform=linux/amd64 b:2 AS build\nCOPY --from=s:2 / /\nRUN --mount=type=bind,from=t:2,target=/t true\nFROM scratch\nCOPY --from=build / /\nCOPY --from=0 / /\nFROM build\nCOPY --chown=1 --from=s:2 a b\n"
        );
    }

    #[test]
    fn what_is_no_dockerfile_is_left_to_the_builder() {
        assert_eq!(Dockerfile::parse("FRM scratch\n"), None);
    }
}
