//! What the caller wrote.

use clap::{ArgAction, Parser};
use common::inputs::{CommonInputs, boolean};

/// The inputs of `build-affected`. Their comments are the descriptions in `action.yml`.
#[derive(Debug, Parser)]
#[command(name = "build-affected", disable_help_flag = true)]
pub struct Inputs {
    /// The inputs of every action.
    #[command(flatten)]
    pub common: CommonInputs,
    /// What to compare with: a commit, a branch or a tag. Compared is the point where it and the commit parted. Blank: on a pull request, the point where its branch left the base branch; on a push, the branch's commit before it; else the commit's parent.
    #[arg(long)]
    pub base: Option<String>,
    /// Build the affected images through the runner's Docker engine, in the order of `depends-on`, and check each against the image policy. Each is tagged `<repository>:<commit>`, ready for ecr-push in the same job.
    #[arg(long, action = ArgAction::Set, value_parser = boolean, default_value = "false")]
    pub build: bool,
}

impl AsRef<CommonInputs> for Inputs {
    fn as_ref(&self) -> &CommonInputs {
        &self.common
    }
}
