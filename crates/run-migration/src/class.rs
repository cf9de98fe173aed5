//! The ways in which a migration ends: the word for each, what it means for the database, and the next step.

/// The ways in which a migration ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The container ended with 0.
    Success,
    /// Nothing is pending, as the tool's status command tells: no task was needed.
    NothingPending,
    /// The container ended with another code.
    AppExit,
    /// The image could not be pulled.
    ImagePull,
    /// A secret could not be fetched.
    SecretFetch,
    /// The registry gave no token to pull with.
    RegistryAuth,
    /// The task could not reach what it needs to start.
    Network,
    /// The command could not be started.
    BadCommand,
    /// The task never started, for another reason.
    NeverStarted,
    /// ECS refused to start a task.
    Refused,
    /// There is no backup, and so nothing was started.
    Backup,
    /// There was no room for the task.
    Capacity,
    /// Another task is migrating.
    AlreadyRunning,
    /// Killed for want of memory.
    OutOfMemory,
    /// Killed, and nobody says by whom.
    Killed,
    /// AWS took back capacity of Fargate Spot, or of an EC2 Spot instance.
    Spot,
    /// AWS took the machine away.
    HostLost,
    /// Somebody stopped the task.
    Stopped,
    /// Another essential container failed first, and took the migration with it.
    SidecarFailed,
    /// The container is over, and its exit code is not known.
    NoExitCode,
    /// No end within the time limit.
    TimedOut,
    /// The run was cancelled while the task ran.
    Cancelled,
    /// The run was cancelled before a task was started.
    NotStarted,
    /// The task is out of sight.
    Lost,
}

/// What is known of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Migrated,
    Untouched,
    /// The migration began and did not succeed: some of it may have been applied.
    Unfinished,
    Unknown,
}

impl Class {
    /// The word for it, the result that it makes, and what it means for the database.
    const fn meaning(self) -> (&'static str, &'static str, Database) {
        match self {
            Self::Success => ("success", "applied", Database::Migrated),
            Self::NothingPending => ("nothing-pending", "skipped", Database::Untouched),
            Self::AppExit => ("app-exit", "failed", Database::Unfinished),
            Self::ImagePull => ("image-pull", "failed", Database::Untouched),
            Self::SecretFetch => ("secret-fetch", "failed", Database::Untouched),
            Self::RegistryAuth => ("registry-auth", "failed", Database::Untouched),
            Self::Network => ("network", "failed", Database::Untouched),
            Self::BadCommand => ("bad-command", "failed", Database::Untouched),
            Self::NeverStarted => ("never-started", "failed", Database::Untouched),
            Self::Refused => ("refused", "failed", Database::Untouched),
            Self::Backup => ("backup", "failed", Database::Untouched),
            Self::Capacity => ("capacity", "failed", Database::Untouched),
            Self::AlreadyRunning => ("already-running", "failed", Database::Unknown),
            Self::NotStarted => ("not-started", "failed", Database::Untouched),
            Self::OutOfMemory => ("out-of-memory", "failed", Database::Unfinished),
            Self::Killed => ("killed", "failed", Database::Unfinished),
            Self::Spot => ("spot", "failed", Database::Unfinished),
            Self::HostLost => ("host-lost", "failed", Database::Unfinished),
            Self::NoExitCode => ("no-exit-code", "failed", Database::Unknown),
            Self::Stopped => ("stopped", "unknown", Database::Unknown),
            Self::SidecarFailed => ("sidecar-failed", "unknown", Database::Unknown),
            Self::TimedOut => ("timed-out", "unknown", Database::Unknown),
            Self::Cancelled => ("cancelled", "unknown", Database::Unknown),
            Self::Lost => ("lost", "unknown", Database::Unknown),
        }
    }

    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        self.meaning().0
    }

    /// Whether the database is as it should be.
    pub(crate) const fn is_good(self) -> bool {
        matches!(self, Self::Success | Self::NothingPending)
    }

    /// `applied`, `skipped`, `failed` or `unknown`.
    pub(crate) const fn result(self) -> &'static str {
        self.meaning().1
    }

    /// What it means for the database.
    pub(crate) const fn database(self) -> Database {
        self.meaning().2
    }

    /// The next step.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Success | Self::NothingPending => "nothing is to be done",
            Self::AppExit => "read the log's last lines in the job summary, mend the migration, and run again",
            Self::ImagePull => {
                "check that the image was pushed for this platform, that the execution role may pull it, and that the subnets reach ECR (a NAT gateway, VPC endpoints, or `assign-public-ip: true`)"
            }
            Self::SecretFetch => {
                "check that the secret exists, that the execution role may read it, and that the subnets reach Secrets Manager or SSM"
            }
            Self::RegistryAuth => {
                "check that the execution role may call `ecr:GetAuthorizationToken`, and that the subnets reach ECR (a NAT gateway, VPC endpoints for `ecr.api` and `ecr.dkr`, or `assign-public-ip: true`)"
            }
            Self::Network => {
                "check the subnets' way out (a NAT gateway, VPC endpoints, or `assign-public-ip: true`), the security groups' outbound rules, and that the log group exists"
            }
            Self::BadCommand => "check the command: its program must exist in the image, and no shell interprets it",
            Self::NeverStarted => "mend the cause that ECS names above, and run again",
            Self::Refused => "mend what ECS refused, and run again",
            Self::Backup => "mend what RDS says above, or set `backup: never` if you can do without",
            Self::Capacity => "run again in a while, or with `subnets` in another availability zone",
            Self::AlreadyRunning => "wait for that task to end, or stop it if it hangs, and run again",
            Self::NotStarted => "run again",
            Self::OutOfMemory => {
                "raise the memory of the task definition, and look at what was applied before running again"
            }
            Self::Killed => {
                "look at what was applied before running again; if memory ran out, raise it in the task definition"
            }
            Self::Spot => {
                "look at what was applied before running again; give migrations on-demand capacity: their service's strategy is used as it is"
            }
            Self::HostLost => "look at what was applied before running again",
            Self::NoExitCode | Self::SidecarFailed => {
                "look at what was applied: the migration tool's own status command tells; then run again"
            }
            Self::Stopped => {
                "find out who stopped the task (CloudTrail, `StopTask`), look at what was applied, and run again"
            }
            Self::TimedOut | Self::Cancelled => "the task goes on: re-run this job to follow the same task to its end",
            Self::Lost => "look for the task in the ECS console, look at what was applied, and run again",
        }
    }
}
