//! What the caller wrote.

use std::num::NonZeroUsize;
use std::str::FromStr;

use clap::{ArgAction, Parser, ValueEnum};
use common::delivery::RelativePath;
use common::inputs::{CommonInputs, List, boolean};
use common::names::ServiceKey;

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
    /// Where to find what to compare with, if `base` is blank. `registry`: each service's image with the same contents, in ECR. `deployed`: the commit that each service runs in the environment. `merge-base`: where the commit left the default branch. `last-success`: the nearest commit before it with a successful run of this workflow. Blank, or `event`: as the event tells.
    #[arg(long, value_enum)]
    pub base_from: Option<BaseFrom>,
    /// The commit, branch or tag whose services are meant. Blank: the input `commit`.
    #[arg(long)]
    pub head: Option<String>,
    /// The task of Nx or Turborepo that makes what an image holds. Its inputs say which files of a project count.
    #[arg(long, default_value = "build")]
    pub target: String,
    /// The targets that the output `checks` is made of, in order.
    #[arg(long, default_value = "lint, typecheck, test, build")]
    pub checks: List<String>,
    /// A service: of each file that changed and is not in its image, it is told why. The affected ones are told of in any case.
    #[arg(long)]
    pub why: Option<ServiceKey>,
    /// Build the affected images through the runner's Docker engine, in the order of `depends-on`, and check each against the image policy. Each is tagged `<repository>:<commit>`, ready for ecr-push in the same job.
    #[arg(long, action = ArgAction::Set, value_parser = boolean, default_value = "false")]
    pub build: bool,
    /// How many images are built at a time. `auto`: one for each processor of the Docker engine, and no more than one for each 2 GB of free memory. `1`: one after the other.
    #[arg(long, default_value = "auto")]
    pub parallel: Parallel,
    /// Where steps come from that were built before. `auto`: the engine, and the image of the base in ECR where the environment's account and region are known and credentials are at hand. `registry`: the same, and it is told why if ECR cannot be read. `none`: every step is built. What goes wrong with a cache never fails a build.
    #[arg(long, value_enum, default_value = "auto")]
    pub cache: Cache,
    /// Where the images go. `docker`: the engine keeps them. `oci:DIR`: it keeps them, and each is an OCI image layout in `DIR/<service>` as well (Docker 25 or later).
    #[arg(long, default_value = "docker")]
    pub output: Output,
}

impl AsRef<CommonInputs> for Inputs {
    fn as_ref(&self) -> &CommonInputs {
        &self.common
    }
}

/// Where to find what to compare with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BaseFrom {
    /// The registry: what has no image of the same contents is affected.
    Registry,
    /// The environment: per service, the commit that runs.
    Deployed,
    /// The default branch: where the commit left it.
    MergeBase,
    /// The workflow's own runs: the nearest that succeeded.
    LastSuccess,
    /// The event: the pull request's base, the push's `before`, the tag before this one, the parent.
    Event,
}

/// How many images are built at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parallel {
    /// As many as the machine bears.
    Auto,
    /// So many.
    Fixed(NonZeroUsize),
}

impl FromStr for Parallel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            text => {
                text.parse().map(Self::Fixed).map_err(|_| format!("`{text}` is neither `auto` nor a number from 1"))
            }
        }
    }
}

/// Where steps come from that were built before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cache {
    /// The engine, and the registry if it can be read.
    Auto,
    /// The engine and the registry.
    Registry,
    /// Nowhere.
    None,
}

/// Where the images go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// To the engine.
    Docker,
    /// To folders of the workspace as well.
    Layout(RelativePath),
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "docker" => Ok(Self::Docker),
            Some(("oci", folder)) => folder.parse().map(Self::Layout).map_err(|error| format!("{error}")),
            _ => Err(format!("`{text}` is neither `docker` nor `oci:DIR`")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_built_at_a_time_is_a_number_or_left_to_the_machine() {
        assert_eq!("auto".parse(), Ok(Parallel::Auto));
        assert_eq!("1".parse(), Ok(Parallel::Fixed(NonZeroUsize::MIN)));
        assert!("0".parse::<Parallel>().is_err() && "many".parse::<Parallel>().is_err());
    }

    #[test]
    fn images_go_to_the_engine_or_to_a_folder() {
        assert_eq!("docker".parse(), Ok(Output::Docker));
        assert_eq!("oci:out/images".parse(), Ok(Output::Layout("out/images".parse().unwrap())));
        for text in ["", "oci", "oci:", "oci:/tmp", "tar:x"] {
            assert!(text.parse::<Output>().is_err(), "{text}");
        }
    }
}
