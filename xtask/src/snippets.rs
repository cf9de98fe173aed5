//! The workflows that the documentation shows, and those of the examples: whoever copies one is to get one that works.
//!
//! A block of YAML is a whole workflow, jobs, or steps; what is missing around it is put there, and the linters read the result. The
//! suite's actions and workflows are called as those of this tree, whose inputs and outputs the linters know.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::image::ACTIONS;
use crate::process::{root, target};

/// What a snippet needs to be a workflow.
const BEFORE_JOBS: &str = "name: snippet\non:\n  push:\n    branches: [main]\npermissions: {}\njobs:\n";
const BEFORE_STEPS: &str = "  snippet:\n    name: snippet\n    runs-on: ubuntu-24.04\n    timeout-minutes: 10\n    permissions: {}\n    steps:\n";

/// The pages that are read, beside the actions' own.
const PAGES: [&str; 3] = ["README.md", "docs/migrating.md", "docs/notifications.md"];

/// Writes every workflow of an example, and every block of a page that is a workflow or a part of one, to a file of its own below
/// `target/snippets`.
pub(crate) fn write() -> Result<Vec<PathBuf>> {
    let folder = target().join("snippets");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut files = examples(&folder)?;
    for page in PAGES.map(str::to_owned).into_iter().chain(ACTIONS.map(|name| format!("actions/{name}/README.md"))) {
        let text = std::fs::read_to_string(root().join(&page)).with_context(|| format!("cannot read {page}"))?;
        for (line, block) in blocks(&text) {
            let Some(workflow) = whole(&block) else { continue };
            // The name leads back to the page when a linter tells of it.
            let file = folder.join(format!("{}-line-{line}.yml", page.replace(['/', '.'], "-")));
            std::fs::write(&file, of_this_tree(&workflow))
                .with_context(|| format!("cannot write {}", file.display()))?;
            files.push(file);
        }
    }
    Ok(files)
}

/// The workflows of the examples.
fn examples(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for example in entries(&root().join("examples"))? {
        for workflow in entries(&example.join(".github/workflows"))? {
            let text =
                std::fs::read_to_string(&workflow).with_context(|| format!("cannot read {}", workflow.display()))?;
            let names = [&example, &workflow].map(|path| path.file_name().unwrap_or_default().display().to_string());
            let file = folder.join(format!("examples-{}", names.join("-")));
            std::fs::write(&file, of_this_tree(&text)).with_context(|| format!("cannot write {}", file.display()))?;
            files.push(file);
        }
    }
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut entries = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

/// A workflow that calls the suite as it is here.
fn of_this_tree(workflow: &str) -> String {
    let line = |line: &str| match line.split_once("uses: org/actions/") {
        Some((before, called)) => {
            let place = if called.starts_with(".github/") { "./" } else { "./actions/" };
            format!("{before}uses: {place}{}\n", called.split('@').next().unwrap_or_default())
        }
        None => format!("{line}\n"),
    };
    workflow.lines().map(line).collect()
}

/// The blocks of YAML in a page, each with the line where it begins, without the indentation that they have in common.
fn blocks(page: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, Vec<&str>)> = None;
    for (place, line) in page.lines().enumerate() {
        match (&mut open, line.trim()) {
            (None, "```yaml") => open = Some((place + 2, Vec::new())),
            (Some(_), "```") => blocks.extend(open.take().map(|(start, lines)| (start, dedent(&lines)))),
            (Some((_, lines)), _) => lines.push(line),
            (None, _) => {}
        }
    }
    blocks
}

fn dedent(lines: &[&str]) -> String {
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let common = lines.iter().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    lines.iter().map(|line| line.get(common..).unwrap_or_default().to_owned() + "\n").collect()
}

/// A block with what it lacks to be a workflow; `None` if it is something else.
fn whole(block: &str) -> Option<String> {
    let indented = |by: usize| -> String {
        let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { " ".repeat(by) + line + "\n" };
        block.lines().map(line).collect()
    };
    let has = |key: &str| block.lines().any(|line| line.starts_with(key));
    if has("jobs:") {
        return has("on:").then(|| block.to_owned());
    }
    if has("- uses:") || has("- run:") || has("- name:") || has("- if:") {
        return Some(BEFORE_JOBS.to_owned() + BEFORE_STEPS + &indented(6));
    }
    let is_job = block.lines().any(|line| line.starts_with("  runs-on:") || line.starts_with("  uses:"));
    is_job.then(|| BEFORE_JOBS.to_owned() + &indented(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_shows_becomes_a_workflow() {
        let page = "# x\n\n```yaml\njob:\n  runs-on: a\n```\n\n1. a\n\n   ```yaml\n   - uses: b\n\n     with: { c: d }\n   ```\n\n```yaml\nname: e\non: push\njobs:\n  f: {}\n```\n```yaml\ninputs:\n  g: {}\n```\n";
        let found: Vec<(usize, Option<String>)> =
            blocks(page).into_iter().map(|(line, block)| (line, whole(&block))).collect();
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [4, 11, 17, 23]);
        assert_eq!(found[0].1.as_deref(), Some(&*format!("{BEFORE_JOBS}  job:\n    runs-on: a\n")));
        let steps = format!("{BEFORE_JOBS}{BEFORE_STEPS}      - uses: b\n\n        with: {{ c: d }}\n");
        assert_eq!(found[1].1.as_deref(), Some(&*steps));
        assert_eq!(found[2].1.as_deref(), Some("name: e\non: push\njobs:\n  f: {}\n"));
        assert_eq!(found[3].1, None);
    }

    #[test]
    fn the_suite_is_called_as_it_is_here() {
        let workflow = "jobs:\n  a:\n    uses: org/actions/.github/workflows/deliver.yml@v1\n    steps:\n      - uses: org/actions/ecr-push@v1 # a\n      - uses: actions/checkout@v5\n";
        let local = "jobs:\n  a:\n    uses: ./.github/workflows/deliver.yml\n    steps:\n      - uses: ./actions/ecr-push\n      - uses: actions/checkout@v5\n";
        assert_eq!(of_this_tree(workflow), local);
    }
}
