//! What a Dockerfile tells a person about a build: its stages, its `ARG`s, and on which line each of its steps stands.

use std::collections::BTreeSet;
use std::ops::Range;

use parse_dockerfile::Instruction;

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
    fn what_is_no_dockerfile_is_left_to_the_builder() {
        assert_eq!(Dockerfile::parse("FRM scratch\n"), None);
    }
}
