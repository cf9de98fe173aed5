//! What the caller wrote.

use std::str::FromStr;

use clap::{Parser, ValueEnum};
use common::delivery::Reconcile;
use common::inputs::{CommonInputs, List};
use common::names::{RepositoryName, Tag};

/// The inputs of `ecr-push`. Their comments are the descriptions in `action.yml`.
#[derive(Debug, Parser)]
#[command(name = "ecr-push", disable_help_flag = true)]
pub struct Inputs {
    /// The inputs of every action.
    #[command(flatten)]
    pub common: CommonInputs,
    /// The image to push: what the runner's Docker engine knows by this name or id, or `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`, relative to the workspace. Blank: `<repository>:<commit>` in the engine, as build-affected leaves it.
    #[arg(long)]
    pub image: Option<String>,
    /// The ECR repository, without the registry's host: for use without a delivery file, or another one for the one in `services`.
    #[arg(long)]
    pub repository: Option<RepositoryName>,
    /// The registry's host to push to, for a registry that is reached by another name than ECR tells. Blank: the repository's own.
    #[arg(long)]
    pub registry: Option<String>,
    /// Tags to move to the image once it is there, beside the commit's, one a line or separated by commas: `main`, `latest`. The commit's tag never moves.
    #[arg(long)]
    pub tags: Option<List<Tag>>,
    /// Reports of a scanner (Trivy's or Grype's JSON, Trivy's SARIF), one a line or separated by commas: files, or folders of them. Every image that is pushed has to have one that names it; a report about another image does no harm.
    #[arg(long)]
    pub scan_report: Option<List<String>>,
    /// What an image has to pass: `report`, a scanner's report (the same as giving one), `ecr`, ECR's own scan after the push, or both. Blank: what `scan-report` says.
    #[arg(long)]
    pub gate: Option<List<Gate>>,
    /// What is done about a repository whose settings are not those of `[repositories]`: `report` tells, `enforce` changes them. Blank: what the delivery file says, else `report`.
    #[arg(long)]
    pub reconcile: Option<Reconcile>,
    /// A bill of materials to attach to the image: a file in the JSON of SPDX or CycloneDX, relative to the workspace.
    #[arg(long)]
    pub sbom: Option<String>,
    /// A provenance to attach to the image: a file with an in-toto statement, or `run` for one that says what this run knows: repository, commit, workflow and run.
    #[arg(long)]
    pub provenance: Option<String>,
    /// What is done if the commit's tag is at another image: `fail`, or `keep` that one. Blank: one that was built anew from the same commit is kept, any other fails.
    #[arg(long)]
    pub on_existing: Option<OnExisting>,
}

/// What an image has to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Gate {
    /// A scanner's report about it.
    Report,
    /// ECR's own scan.
    Ecr,
}

impl FromStr for Gate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        <Self as ValueEnum>::from_str(text, false).map_err(|_| format!("`{text}` is not one of `report`, `ecr`"))
    }
}

/// What is done if the commit's tag is at another image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnExisting {
    /// Fail.
    Fail,
    /// Keep that one.
    Keep,
}

impl AsRef<CommonInputs> for Inputs {
    fn as_ref(&self) -> &CommonInputs {
        &self.common
    }
}
