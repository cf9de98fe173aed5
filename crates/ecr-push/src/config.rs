//! What the caller meant: every string is checked here, every file read, and nothing has left the process yet.

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::aws::Place;
use common::delivery::{Delivery, ImagePolicy, MOST_MOVING_TAGS, Repositories, Service, TagPattern};
use common::edges::Edges;
use common::failure::Failure;
use common::image_source::ImageSource;
use common::names::{CommitSha, RepositoryName, ServiceKey, Tag};
use common::policy::GivenReport;
use common::scope::Scope;

use crate::attachments::Attachments;
use crate::inputs::{Gate, Inputs, OnExisting};
use crate::settings::{Wanted, wanted};

/// How the tag of an image's contents begins. Like the commit's it never moves.
const CONTENTS: &str = "key-";

/// A push, as the caller meant it.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) place: Place,
    pub(crate) commit: CommitSha,
    /// The commit as a tag.
    pub(crate) tag: Tag,
    pub(crate) targets: Vec<Target>,
    /// The registry's host, if it is not the repository's own.
    pub(crate) registry: Option<String>,
    /// The tags that move to the images.
    pub(crate) moving: Vec<Tag>,
    /// The scanners' reports, if images have to have one.
    pub(crate) reports: Option<Vec<GivenReport>>,
    /// Whether images have to pass ECR's own scan.
    pub(crate) is_scanned_by_ecr: bool,
    pub(crate) on_existing: Option<OnExisting>,
    /// What is attached to an image that is new.
    pub(crate) attachments: Attachments,
    pub(crate) repositories: Repositories,
    /// What repositories are to be like.
    pub(crate) wanted: Wanted,
    pub(crate) dry_run: bool,
    pub(crate) timeout: Duration,
}

/// One image to push.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) key: ServiceKey,
    pub(crate) repository: RepositoryName,
    /// What the caller calls it.
    pub(crate) image: String,
    /// Where that is.
    pub(crate) source: ImageSource,
    pub(crate) policy: ImagePolicy,
}

impl Config {
    pub(crate) fn read(inputs: Inputs, edges: &Edges) -> Result<Self, Failure> {
        let Inputs {
            common,
            image,
            repository,
            registry,
            tags,
            scan_report,
            gate,
            reconcile,
            on_existing,
            sbom,
            provenance,
        } = inputs;
        let scope = Scope::resolve(&common, edges)?;
        let commit = scope.require_commit()?.clone();
        let tag: Tag = commit.as_str().parse().map_err(Failure::bug)?;
        let moving = tags.map(|list| list.0).unwrap_or_default();
        let mut repositories =
            scope.delivery.as_ref().map(|delivery| delivery.repositories.clone()).unwrap_or_default();
        repositories.reconcile = reconcile.unwrap_or(repositories.reconcile);
        check_moving(&moving, &repositories.moving_tags, &tag)?;
        let lifecycle = repositories.lifecycle_policy.as_ref();
        let lifecycle = lifecycle.map(|file| read_lifecycle(&scope.workspace, file.as_str())).transpose()?;
        let gates = gate.map(|list| list.0).unwrap_or_default();
        let reports = (scan_report.is_some() || gates.contains(&Gate::Report))
            .then(|| reports(&scope.workspace, &scan_report.map(|list| list.0).unwrap_or_default()));
        let targets = targets(&scope, &commit, image, repository)?;
        let attachments = Attachments::read(sbom, provenance, &scope.workspace, edges)?;
        if attachments.are_of_one_image() && targets.len() > 1 {
            let count = targets.len();
            return Err(Failure::input(format!(
                "`sbom` and `provenance` speak of one image, and there are {count} to push"
            ))
            .hint("name one service in the input `services`, or let `provenance` be `run`"));
        }
        Ok(Self {
            targets,
            attachments,
            wanted: wanted(&repositories, &moving, lifecycle)?,
            repositories,
            place: scope.place,
            commit,
            tag,
            registry: registry.map(|registry| host(&registry)).transpose()?,
            moving,
            reports,
            is_scanned_by_ecr: gates.contains(&Gate::Ecr),
            on_existing,
            dry_run: common.dry_run,
            timeout: common.timeout,
        })
    }
}

/// Refuses what would let a tag move by which others find an image.
fn check_moving(moving: &[Tag], patterns: &[TagPattern], commit: &Tag) -> Result<(), Failure> {
    if moving.contains(commit) {
        return Err(
            Failure::input("input `tags`: the commit's own tag never moves").hint("leave it out: every image gets it")
        );
    }
    if let Some(tag) = moving.iter().find(|tag| tag.as_str().starts_with(CONTENTS)) {
        return Err(Failure::input(format!("input `tags`: `{tag}` never moves"))
            .hint("choose another name: tags that begin with `key-` say what an image is made of"));
    }
    let contents = format!("{CONTENTS}0123456789abcdef");
    let is_too_wide = |pattern: &&TagPattern| pattern.matches(commit.as_str()) || pattern.matches(&contents);
    if let Some(pattern) = patterns.iter().find(is_too_wide) {
        return Err(Failure::input(format!(
            "`moving-tags` in [repositories]: `{pattern}` would let the commit's own tag move, or one of contents (`key-…`)"
        ))
        .hint("write the tags that move, or what they begin with: `main`, `pr-*`"));
    }
    let count =
        patterns.len() + moving.iter().filter(|tag| !patterns.iter().any(|it| it.matches(tag.as_str()))).count();
    if count > MOST_MOVING_TAGS {
        return Err(Failure::input(format!(
            "{count} tags are to move, and ECR excludes at most {MOST_MOVING_TAGS} patterns from a repository's tag immutability"
        ))
        .hint("join some by `*` in `moving-tags` in [repositories]: `env-*`"));
    }
    Ok(())
}

fn targets(
    scope: &Scope,
    commit: &CommitSha,
    image: Option<String>,
    repository: Option<RepositoryName>,
) -> Result<Vec<Target>, Failure> {
    let local = |repository: &RepositoryName| image.clone().unwrap_or_else(|| format!("{repository}:{commit}"));
    let given = image.as_ref().map(|_| "image").or(repository.as_ref().map(|_| "repository"));
    let Some(delivery) = &scope.delivery else {
        let Some(repository) = repository else {
            scope.require_delivery("set the input `repository`")?;
            return Ok(Vec::new());
        };
        let key = match scope.services.as_slice() {
            [key] => key.clone(),
            _ => key_of(&repository)?,
        };
        let (image, policy) = (local(&repository), ImagePolicy::default());
        let source = source(scope, &image)?;
        return Ok(vec![Target { key, image, source, repository, policy }]);
    };
    if let (Some(input), true) = (given, scope.services.len() > 1) {
        return Err(Failure::input(format!(
            "input `{input}` speaks of one service, and there are {} to act on",
            scope.services.len()
        ))
        .hint("name that one in the input `services`"));
    }
    let declared = scope.services.iter().filter_map(|key| Some((key, delivery.services.get(key)?)));
    let target = |(key, service): (&ServiceKey, &Service)| {
        let repository = repository.clone().unwrap_or_else(|| service.repository.clone());
        let policy = Delivery::image_policy_of(delivery, key);
        let image = local(&repository);
        let source = source(scope, &image)?;
        Ok(Target { key: key.clone(), image, source, repository, policy })
    };
    declared.map(target).collect()
}

fn source(scope: &Scope, image: &str) -> Result<ImageSource, Failure> {
    let source: ImageSource = image.parse().map_err(|failure: Failure| failure.context("input `image`"))?;
    Ok(source.within(&scope.workspace))
}

/// What a service is called that has nothing but a repository.
fn key_of(repository: &RepositoryName) -> Result<ServiceKey, Failure> {
    let last = repository.as_str().rsplit('/').next().unwrap_or_default();
    last.replace('.', "-").parse().map_err(Failure::input)
}

fn host(text: &str) -> Result<String, Failure> {
    let is_host = !text.contains("://") && !text.contains('/') && !text.contains(char::is_whitespace);
    match is_host {
        true => Ok(text.to_owned()),
        false => Err(Failure::input(format!("input `registry`: `{text}` is not a host")).hint(
            "write it without a scheme and without a path, as in `111122223333.dkr.ecr.eu-west-1.amazonaws.com`",
        )),
    }
}

fn read_lifecycle(workspace: &Path, file: &str) -> Result<serde_json::Value, Failure> {
    let failed = |error: String| {
        Failure::input(error).context(format!("read the lifecycle policy `{file}`")).hint(
            "check `lifecycle-policy` in [repositories]: it is a JSON file with `rules`, relative to the workspace",
        )
    };
    let text = std::fs::read_to_string(workspace.join(file)).map_err(|error| failed(error.to_string()))?;
    let policy: serde_json::Value = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    match policy["rules"].is_array() {
        true => Ok(policy),
        false => Err(failed("it has no list `rules`".to_owned())),
    }
}

/// The reports in these files and folders. What cannot be read is a report of nothing: an image that needs none is not held
/// back by it.
fn reports(workspace: &Path, given: &[String]) -> Vec<GivenReport> {
    let files = given.iter().flat_map(|path| match folder(workspace, path) {
        Some(files) => files,
        None => vec![path.clone()],
    });
    let read = |file: String| match std::fs::read_to_string(workspace.join(&file)) {
        Ok(text) => GivenReport::read(&file, &text),
        Err(error) => GivenReport { report: Err(format!("it cannot be read: {error}")), file },
    };
    files.map(read).collect()
}

/// The JSON and SARIF files in a folder, by name; `None` if this is no folder.
fn folder(workspace: &Path, path: &str) -> Option<Vec<String>> {
    let entries = std::fs::read_dir(workspace.join(path)).ok()?;
    let is_report =
        |file: &PathBuf| file.extension().is_some_and(|extension| extension == "json" || extension == "sarif");
    let files = entries.filter_map(Result::ok).map(|entry| PathBuf::from(path).join(entry.file_name()));
    let mut files: Vec<String> = files.filter(is_report).map(|file| file.display().to_string()).collect();
    files.sort();
    Some(files)
}
