//! `cargo xtask bench`: what the suite costs, beside what a user would take instead, in the same run.

mod affected;
mod health;
mod push;
mod start;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::process::{say, target};

/// Something to measure.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Race {
    /// The image's weight, and what one AWS call costs each binary.
    Start,
    /// What a change affects, in repositories of 10, 200 and 2,000 projects, beside Turborepo, pnpm and Nx.
    Affected,
    /// Pushing images to a registry, near and far, beside Docker, skopeo, buildah and crane.
    Push,
    /// What it costs to ask two hundred endpoints every five seconds, beside loops of curl.
    Health,
}

/// Measures what is named, or everything; of pushes and of what is affected, only the lines with these words.
pub(crate) fn run(races: &[Race], only: &[String]) -> Result<()> {
    let all = Race::value_variants();
    for race in if races.is_empty() { all } else { races } {
        match race {
            Race::Start => start::run()?,
            Race::Affected => affected::run(only)?,
            Race::Push => push::run(only)?,
            Race::Health => health::run()?,
        }
        say("");
    }
    Ok(())
}

fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations.get(durations.len() / 2).copied().unwrap_or_default()
}

/// GNU time, which tells what a program used, and those that it started and waited for.
struct Gauge(PathBuf);

/// What a program used, and those that it started and waited for.
struct Usage {
    /// The most memory that one of them had resident, in MiB.
    memory: f64,
    /// The processor's time, in the kernel and outside.
    processor: Duration,
    wall: Duration,
}

impl Gauge {
    fn new() -> Result<Self> {
        let folder = target().join("e2e");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder.join("memory")))
    }

    /// The words that start a program under it.
    fn starter(&self) -> Vec<PathBuf> {
        let words = ["/usr/bin/time", "--quiet", "--format", "%M %U %S %e", "--output"];
        words.into_iter().map(PathBuf::from).chain([self.0.clone()]).collect()
    }

    /// The most memory that it saw last, in MiB.
    fn read(&self) -> Result<f64> {
        Ok(self.usage()?.memory)
    }

    /// What it saw last.
    fn usage(&self) -> Result<Usage> {
        let said = std::fs::read_to_string(&self.0).context("memory is measured with GNU time (Debian: time)")?;
        let numbers: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [kibibytes, user, system, wall] = numbers[..] else { bail!("GNU time said `{said}`") };
        Ok(Usage {
            memory: kibibytes / 1024.0,
            processor: Duration::from_secs_f64(user + system),
            wall: Duration::from_secs_f64(wall),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        let milliseconds = |values: &[u64]| values.iter().map(|value| Duration::from_millis(*value)).collect();
        assert_eq!(median(milliseconds(&[9, 1, 5])), Duration::from_millis(5));
        assert_eq!(median(Vec::new()), Duration::ZERO);
    }
}
