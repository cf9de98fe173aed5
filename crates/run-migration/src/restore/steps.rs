//! Doing it, step by step. Total: how far it came is part of what is told.

use common::aws::{Aws, Database, DatabaseName};
use common::edges::Edges;
use common::failure::{Failure, Kind};
use common::poll::{Ended, Judged, Pace, poll};
use common::report::Verdict;
use tokio::time::Instant;

use super::Plan;

/// How far a restore came.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// What was done, in order, as sentences.
    pub(super) steps: Vec<String>,
    /// The new database, once it answers.
    pub(super) database: Option<Database>,
    /// What ended it before its end.
    pub(super) problem: Option<Problem>,
}

/// What ended a restore before its end.
#[derive(Debug)]
pub(super) struct Problem {
    kind: Kind,
    pub(super) why: String,
    pub(super) hint: String,
}

impl Problem {
    pub(super) fn verdict(&self) -> Verdict {
        let (why, hint) = (self.why.clone(), self.hint.clone());
        match self.kind {
            Kind::Cancelled => Verdict::Cancelled { why, hint },
            kind => Verdict::Broken { kind, why, hint },
        }
    }
}

/// How long between two looks: a restore takes many minutes.
const EVERY: std::time::Duration = std::time::Duration::from_secs(15);

impl Plan {
    /// Carries it out.
    pub(super) async fn carry_out(&self, aws: &Aws, edges: &Edges) -> Done {
        let mut done = Done::default();
        let steps = Steps { plan: self, aws, edges, began: Instant::now() };
        if let Err(failure) = steps.all(&mut done).await {
            let hint = failure
                .hint
                .unwrap_or_else(|| "look at the databases in the RDS console: what was begun goes on there".to_owned());
            done.problem = Some(Problem { kind: failure.kind, why: format!("{:#}", failure.error), hint });
        }
        done
    }
}

struct Steps<'a> {
    plan: &'a Plan,
    aws: &'a Aws,
    edges: &'a Edges,
    began: Instant,
}

impl Steps<'_> {
    async fn all(&self, done: &mut Done) -> Result<(), Failure> {
        let restore = &self.plan.restore;
        let to = &restore.to;
        self.aws.rds.restore(restore).await?;
        self.tell(done, format!("{to} is being made from snapshot `{}`", restore.snapshot));
        done.database = Some(self.available(to).await?);
        if let DatabaseName::Cluster(cluster) = to {
            let member = format!("{cluster}-1");
            self.aws.rds.create_instance_of(cluster, &member, &restore.like).await?;
            self.available(&DatabaseName::Instance(member)).await?;
        }
        self.tell(done, format!("{to} is available"));
        let Some(aside) = &self.plan.aside else { return Ok(()) };
        let old = &restore.like.name;
        self.rename(done, old, aside).await?;
        if let Err(failure) = self.rename(done, to, old.id()).await {
            // From here on nobody answers at the old address.
            return Err(Failure { hint: None, ..failure }.hint(format!(
                "nothing has the name `{}` now: rename {to} to it, or `{aside}` back, in the RDS console",
                old.id()
            )));
        }
        done.database = self.aws.rds.database(old).await?;
        Ok(())
    }

    async fn rename(&self, done: &mut Done, from: &DatabaseName, to: &str) -> Result<(), Failure> {
        self.aws.rds.rename(from, to).await?;
        self.available(&from.renamed(to)).await?;
        self.tell(done, format!("{from} is called `{to}`"));
        Ok(())
    }

    /// Waits until a database is there and available.
    async fn available(&self, name: &DatabaseName) -> Result<Database, Failure> {
        let look = async || {
            let Some(found) = self.aws.rds.database(name).await? else { return Ok(Judged::Wait) };
            Ok(match found.status.as_str() {
                "available" => Judged::Done(Ok(found)),
                status @ ("failed"
                | "incompatible-restore"
                | "incompatible-parameters"
                | "restore-error"
                | "deleting") => Judged::Done(Err(Failure::remote(format!("{name} is {status}"))
                    .hint("read its events in the RDS console; the old database is as it was"))),
                _ => Judged::Wait,
            })
        };
        let limit = self.plan.timeout.saturating_sub(self.began.elapsed());
        match poll(Pace { every: EVERY, limit, patience: 10 }, &self.edges.stop, look).await? {
            Ended::Done(found) => found,
            Ended::TimedOut => Err(Failure::remote(format!("{name} was not available in time"))
                .hint("RDS goes on with it: look at it in the console, or raise `timeout`")),
            Ended::Cancelled => Err(Failure::cancelled(format!("cancelled while {name} was being made"))
                .hint("RDS goes on with it: look at it in the console")),
        }
    }

    fn tell(&self, done: &mut Done, step: String) {
        self.edges.runner.say(format!("restore: {step}"));
        done.steps.push(step);
    }
}
