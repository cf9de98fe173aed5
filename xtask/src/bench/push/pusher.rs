//! Who pushes images, from what, and how each is asked to.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::image;
use crate::process::{Run, program, target};
use crate::samples::Image;
use crate::tools;

/// Who pushes, from what.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pusher {
    OursArchive,
    SkopeoArchive,
    CraneArchive,
    OursEngine,
    Docker,
    Buildah,
    OursLayout,
    SkopeoLayout,
    CraneLayout,
    /// The same bytes by parallel `curl`, compressed beforehand: nobody can be much faster.
    Floor,
    /// No push: what it takes to get the image out of the engine, which nobody else can push it without.
    Export,
}

/// The programs that are not on the path.
pub(super) struct Programs {
    ours: PathBuf,
    crane: PathBuf,
}

impl Programs {
    pub(super) fn find() -> Result<Self> {
        Ok(Self { ours: ours()?, crane: tools::crane()? })
    }
}

/// The engine of ecr-push as a program of its own.
fn ours() -> Result<PathBuf> {
    Ok(image::compile(&["suite", "pusher"])?.join("pusher"))
}

/// All blobs of a layout, each by `POST` and `PUT`, side by side.
const FLOOR: &str = r#"
for blob in "$1"/blobs/sha256/*; do (
  session=$(curl -s -D - -o /dev/null -X POST "http://${2%%/*}/v2/${2#*/}/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  case $session in *\?*) separator='&';; *) separator='?';; esac
  curl -sf -o /dev/null -T "$blob" -H 'Content-Type: application/octet-stream' "$session${separator}digest=sha256:${blob##*/}"
) & done; wait
"#;

impl Pusher {
    pub(super) const ALL: [Self; 11] = [
        Self::OursArchive,
        Self::SkopeoArchive,
        Self::CraneArchive,
        Self::OursEngine,
        Self::Docker,
        Self::Buildah,
        Self::OursLayout,
        Self::SkopeoLayout,
        Self::CraneLayout,
        Self::Floor,
        Self::Export,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OursArchive => "ecr-push, docker-archive",
            Self::SkopeoArchive => "skopeo, docker-archive",
            Self::CraneArchive => "crane, docker-archive",
            Self::OursEngine => "ecr-push, Docker engine",
            Self::Docker => "docker push",
            Self::Buildah => "buildah push",
            Self::OursLayout => "ecr-push, OCI layout",
            Self::SkopeoLayout => "skopeo, OCI layout",
            Self::CraneLayout => "crane, OCI layout",
            Self::Floor => "curl, the same bytes",
            Self::Export => "docker save, to nowhere",
        }
    }

    pub(super) fn uses_engine(self) -> bool {
        matches!(self, Self::OursEngine | Self::Docker | Self::Export)
    }

    /// Gives who needs it the image in its own store, by the name that it is pushed by. None of it is timed.
    pub(super) fn prepare(self, address: &str, images: &[Image]) -> Result<()> {
        for image in images {
            match self {
                Self::Docker => program("docker").args(["tag", &image.name, &image.at(address)]).read().map(drop)?,
                Self::Buildah => {
                    program("buildah").args(["pull", "--quiet", &image.archive_reference()]).read().map(drop)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The commands that push these images, one after another. `known` is the tag of an image that the registry has: ours reads
    /// it, as the action finds it.
    pub(super) fn commands(
        self,
        programs: &Programs,
        images: &[Image],
        address: &str,
        known: Option<&str>,
    ) -> Vec<Command> {
        let ours = |source: &dyn Fn(&Image) -> String| {
            let all = |of: &dyn Fn(&Image) -> String| images.iter().map(of).collect::<Vec<_>>().join(" ");
            let mut command = program(&programs.ours);
            command.env("IMAGE", all(source)).env("TO", all(&|image| image.at(address)));
            command.env("KNOWN", known.unwrap_or_default()).env("RUNNER_TEMP", target().join("bench"));
            vec![command]
        };
        let each = |command: &dyn Fn(&Image, &str) -> Command| {
            images.iter().map(|image| command(image, &image.at(address))).collect()
        };
        match self {
            Self::OursArchive => ours(&Image::archive_reference),
            Self::OursLayout => ours(&Image::layout_reference),
            Self::OursEngine => ours(&|image| image.name.clone()),
            Self::SkopeoArchive => each(&|image, to| skopeo(&image.archive_reference(), to)),
            Self::SkopeoLayout => each(&|image, to| skopeo(&image.layout_reference(), to)),
            Self::CraneArchive => each(&|image, to| crane(programs, &image.archive, to)),
            Self::CraneLayout => each(&|image, to| crane(programs, &image.layout, to)),
            Self::Buildah => each(&|image, to| {
                let mut command = program("buildah");
                command.args(["push", "--quiet", "--tls-verify=false", &image.name, &format!("docker://{to}")]);
                command
            }),
            Self::Docker => each(&|_, to| {
                let mut command = program("docker");
                command.args(["push", "--quiet", to]);
                command
            }),
            Self::Floor => each(&|image, to| {
                let repository = to.rsplit_once(':').map_or(to, |(repository, _)| repository);
                let mut command = program("sh");
                command.args(["-c", FLOOR, "sh"]).arg(&image.layout).arg(repository);
                command
            }),
            Self::Export => each(&|image, _| {
                let mut command = program("sh");
                command.args(["-c", r#"docker save "$1" > /dev/null"#, "sh", &image.name]);
                command
            }),
        }
    }
}

fn skopeo(from: &str, to: &str) -> Command {
    let mut command = program("skopeo");
    command.args(["copy", "--quiet", "--dest-tls-verify=false", from, &format!("docker://{to}")]);
    command
}

fn crane(programs: &Programs, from: &Path, to: &str) -> Command {
    let mut command = program(&programs.crane);
    command.args(["push", "--insecure"]).arg(from).arg(to);
    command
}
