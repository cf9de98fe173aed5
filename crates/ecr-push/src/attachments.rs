//! What is attached to an image: a bill of materials, a provenance.

use std::path::Path;

use bytes::Bytes;
use common::edges::Edges;
use common::failure::Failure;
use common::names::{CommitSha, Digest};
use common::push::Provenance;
use common::registry::Artifact;
use serde_json::Value;

/// What is attached to an image that is new.
#[derive(Debug, Default)]
pub(crate) struct Attachments {
    files: Vec<Artifact>,
    run: Option<Provenance>,
}

impl Attachments {
    /// Reads what was given, and what the runner tells if that was asked for.
    pub(crate) fn read(
        sbom: Option<String>,
        provenance: Option<String>,
        workspace: &Path,
        edges: &Edges,
    ) -> Result<Self, Failure> {
        let mut attachments = Self::default();
        if let Some(file) = sbom {
            attachments.files.push(document("sbom", &file, workspace)?);
        }
        match provenance.as_deref() {
            None => {}
            Some("run") => {
                let run = Provenance::of_run(edges.runner.environment());
                attachments.run = Some(run.ok_or_else(|| {
                    Failure::input("input `provenance`: there is no run to tell of")
                        .hint("`run` is for a workflow on GitHub; give a file with a statement instead")
                })?);
            }
            Some(file) => attachments.files.push(document("provenance", file, workspace)?),
        }
        Ok(attachments)
    }

    /// Whether some of it is about a certain image, and would be wrong on another.
    pub(crate) fn are_of_one_image(&self) -> bool {
        !self.files.is_empty()
    }

    /// What is attached to an image that another run pushed, which may have been cut off before: all but what tells of that run.
    pub(crate) fn of_another_run(&self) -> &[Artifact] {
        &self.files
    }

    /// What is attached to this image.
    pub(crate) fn of(&self, image: &str, digest: &Digest, commit: &CommitSha) -> Vec<Artifact> {
        let run = self.run.as_ref().map(|run| run.artifact(image, digest, commit));
        self.files.iter().cloned().chain(run).collect()
    }
}

/// A document, of the kind that its own words tell.
fn document(input: &'static str, file: &str, workspace: &Path) -> Result<Artifact, Failure> {
    let failed = |error: String| {
        Failure::input(format!("input `{input}`: `{file}`: {error}"))
            .hint("give a JSON file, relative to the workspace: SPDX or CycloneDX for `sbom`, an in-toto statement for `provenance`")
    };
    let content = std::fs::read(workspace.join(file)).map_err(|error| failed(error.to_string()))?;
    let json: Value = serde_json::from_slice(&content).map_err(|error| failed(error.to_string()))?;
    let is_statement = || json["_type"].as_str().is_some_and(|kind| kind.starts_with("https://in-toto.io/Statement/"));
    let media_type = match input {
        "sbom" if json["spdxVersion"].is_string() => "application/spdx+json",
        "sbom" if json["bomFormat"] == "CycloneDX" => "application/vnd.cyclonedx+json",
        // A signed statement comes in an envelope.
        "provenance" if is_statement() || json["payloadType"] == "application/vnd.in-toto+json" => {
            "application/vnd.in-toto+json"
        }
        _ => return Err(failed("it is of no kind that is known".to_owned())),
    };
    let title = Path::new(file).file_name().map_or(file.into(), |name| name.to_string_lossy()).into_owned();
    Ok(Artifact { media_type: media_type.to_owned(), content: Bytes::from(content), title })
}
