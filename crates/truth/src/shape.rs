//! What an estate is to look like.

/// The workspace tool that an estate is kept by. It decides manifests, lockfile and which edges exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tool {
    /// Nx and Turborepo side by side on pnpm, as measured: `nx.json`, `project.json`, `turbo.json`, `pnpm-lock.yaml` v9.
    Nx,
    /// Turborepo on pnpm.
    Turbo,
    /// pnpm alone.
    Pnpm,
    /// npm workspaces with a `package-lock.json` v3.
    Npm,
    /// yarn classic with a `yarn.lock` v1.
    Yarn,
    /// bun with its text lockfile.
    Bun,
    /// A Cargo workspace.
    Cargo,
    /// No workspace at all: `delivery.toml` names what belongs to a service.
    Plain,
}

impl Tool {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Nx, Self::Turbo, Self::Pnpm, Self::Npm, Self::Yarn, Self::Bun, Self::Cargo, Self::Plain];

    pub(crate) fn is_pnpm(self) -> bool {
        matches!(self, Self::Nx | Self::Turbo | Self::Pnpm)
    }

    pub(crate) fn is_node(self) -> bool {
        !matches!(self, Self::Cargo | Self::Plain)
    }

    /// The file that pins the externals, if the tool has one.
    pub(crate) fn lockfile(self) -> Option<&'static str> {
        match self {
            Self::Nx | Self::Turbo | Self::Pnpm => Some("pnpm-lock.yaml"),
            Self::Npm => Some("package-lock.json"),
            Self::Yarn => Some("yarn.lock"),
            Self::Bun => Some("bun.lock"),
            Self::Cargo => Some("Cargo.lock"),
            Self::Plain => None,
        }
    }
}

/// The size and kind of an estate. The same shape always gives the same commits.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many projects there are, services among them.
    pub projects: usize,
    /// How many files each project has, its manifests among them.
    pub files_per_project: usize,
    /// Every how many projects one is a service.
    pub service_every: usize,
    /// The tool that keeps it.
    pub tool: Tool,
    /// What chance starts from.
    pub seed: u64,
}

impl Shape {
    /// The measured shape: 20 files in each project, every tenth of them a service.
    #[must_use]
    pub fn of(tool: Tool, projects: usize) -> Self {
        Self { projects, files_per_project: 20, service_every: 10, tool, seed: 1 }
    }
}
