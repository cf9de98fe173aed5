//! The plan as a person reads it.

use std::fmt;

use common::aws::Network;

use super::{Migration, Plan, Start};
use crate::pending::Pending;

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.migrations.iter().try_for_each(|migration| write!(formatter, "{migration}"))?;
        self.remarks.iter().try_for_each(|remark| writeln!(formatter, "note: {remark}"))
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, container, command, .. } = self;
        match &self.start {
            Start::Follow(task) => {
                writeln!(formatter, "{key}: follow task {}, which this run started before", task.id())?
            }
            Start::Blocked(task) => writeln!(formatter, "{key}: nothing, for task {} is migrating already", task.id())?,
            Start::New { .. } => {
                let command =
                    if command.is_empty() { "its own command".to_owned() } else { format!("`{}`", command.join(" ")) };
                writeln!(formatter, "{key}: run {command} in container `{container}`")?;
            }
        }
        if !self.status.is_empty() && matches!(self.start, Start::New { .. }) {
            writeln!(formatter, "  unless `{}` says that nothing is pending", self.status.join(" "))?;
        }
        match &self.revision {
            Some(revision) => writeln!(formatter, "  task definition: {}", revision.short())?,
            None => writeln!(formatter, "  task definition: a new revision of {}", self.family)?,
        }
        writeln!(formatter, "  image: {}", self.image())?;
        if let Some(Network { subnets, security_groups, assign_public_ip }) = &self.network {
            let address = if *assign_public_ip == Some(true) { ", with a public address" } else { "" };
            writeln!(formatter, "  network: {}{address}", [subnets.as_slice(), security_groups].concat().join(", "))?;
        }
        match &self.pending {
            Pending::NotAsked => {}
            Pending::Unknown(why) => writeln!(formatter, "  pending: not known: {why}")?,
            Pending::Known(known) => {
                let since = known.base.short();
                let count = known.scripts.len() + known.programs.len();
                writeln!(
                    formatter,
                    "  pending since {since}: {}",
                    if count == 0 { "none".to_owned() } else { count.to_string() }
                )?;
                known.findings.iter().try_for_each(|finding| writeln!(formatter, "    {finding}"))?;
            }
        }
        if let Some(backup) = self.backup.as_ref().filter(|_| matches!(self.start, Start::New { .. })) {
            writeln!(formatter, "  backup: snapshot {} of {}", backup.snapshot, backup.database.name)?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(formatter, "  note: {remark}"))
    }
}
