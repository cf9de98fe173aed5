//! What the caller wrote.

use clap::Parser;
use common::inputs::{CommonInputs, List};
use common::names::{RepositoryName, Tag};

/// The inputs of `ecr-push`. Their comments are the descriptions in `action.yml`.
#[derive(Debug, Parser)]
#[command(name = "ecr-push", disable_help_flag = true)]
pub struct Inputs {
    /// The inputs of every action.
    #[command(flatten)]
    pub common: CommonInputs,
    /// The image to push, as the runner's Docker engine knows it: a name with a tag, or an id. Blank: `<repository>:<commit>`, as build-affected leaves it.
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
}

impl AsRef<CommonInputs> for Inputs {
    fn as_ref(&self) -> &CommonInputs {
        &self.common
    }
}
