//! What a container does once it is asked to run.

use std::str::FromStr;
use std::time::Duration;

/// What a container does once it is asked to run. Written as a person would say it, see [`Behaviour::from_str`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Runs until it is stopped, answers requests, passes its health checks.
    Serves,
    /// Runs until it is stopped, answers requests with 503, never passes a health check.
    Unhealthy,
    /// Runs, then ends with this exit code; the lines are what it logs before.
    Exits {
        /// The process's exit code.
        code: i32,
        /// From RUNNING until the exit.
        after: Duration,
        /// What it writes to its log.
        says: Vec<String>,
    },
    /// Is killed for lack of memory.
    OutOfMemory {
        /// From RUNNING until the kill.
        after: Duration,
    },
    /// The image cannot be pulled.
    CannotBePulled,
    /// The container cannot be started: what it is to execute is not in the image.
    CannotBeExecuted,
    /// A secret of the task definition cannot be fetched.
    SecretCannotBeFetched,
    /// No capacity can be found (RunTask refuses, a service's task is never placed).
    NoCapacity,
}

impl FromStr for Behaviour {
    type Err = String;

    /// Reads `serves`, `is unhealthy`, `exits 137 after 3 s`, `exits 1 after 500 ms: first line | second line`,
    /// `runs out of memory after 2 s`, `image cannot be pulled`, `cannot be executed`, `has the wrong format`,
    /// `secret cannot be fetched`, `no capacity`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (act, says) = match text.split_once(':') {
            Some((act, lines)) => (act.trim(), lines.split('|').map(|line| line.trim().to_owned()).collect()),
            None => (text.trim(), Vec::new()),
        };
        let words: Vec<&str> = act.split_whitespace().collect();
        match words.as_slice() {
            ["serves"] => Ok(Self::Serves),
            ["is", "unhealthy"] => Ok(Self::Unhealthy),
            ["image", "cannot", "be", "pulled"] => Ok(Self::CannotBePulled),
            ["cannot", "be", "executed"] => Ok(Self::CannotBeExecuted),
            // Built for another kind of machine: to ECS a container like any other that ends with 1.
            // https://repost.aws/knowledge-center/ecs-task-exec-format-error
            ["has", "the", "wrong", "format"] => Ok(Self::Exits {
                code: 1,
                after: Duration::ZERO,
                says: vec!["exec /app: exec format error".to_owned()],
            }),
            ["secret", "cannot", "be", "fetched"] => Ok(Self::SecretCannotBeFetched),
            ["no", "capacity"] => Ok(Self::NoCapacity),
            ["exits", code, "after", amount, unit] => Ok(Self::Exits {
                code: code.parse().map_err(|_| format!("`{code}` is not an exit code"))?,
                after: duration(amount, unit)?,
                says,
            }),
            ["runs", "out", "of", "memory", "after", amount, unit] => {
                Ok(Self::OutOfMemory { after: duration(amount, unit)? })
            }
            _ => Err(format!("`{text}` is not a behaviour, for example `exits 137 after 3 s`")),
        }
    }
}

fn duration(amount: &str, unit: &str) -> Result<Duration, String> {
    let amount: u64 = amount.parse().map_err(|_| format!("`{amount}` is not a whole number"))?;
    match unit {
        "s" => Ok(Duration::from_secs(amount)),
        "ms" => Ok(Duration::from_millis(amount)),
        _ => Err(format!("`{unit}` is not a unit, use `s` or `ms`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_person_would_say() {
        let exits = |code, after, says: &[&str]| Behaviour::Exits {
            code,
            after: Duration::from_millis(after),
            says: says.iter().map(ToString::to_string).collect(),
        };
        for (text, expected) in [
            ("serves", Ok(Behaviour::Serves)),
            ("exits 137 after 3 s", Ok(exits(137, 3000, &[]))),
            ("exits 1 after 500 ms: no such column | giving up", Ok(exits(1, 500, &["no such column", "giving up"]))),
            ("image cannot be pulled", Ok(Behaviour::CannotBePulled)),
            ("cannot be executed", Ok(Behaviour::CannotBeExecuted)),
            ("has the wrong format", Ok(exits(1, 0, &["exec /app: exec format error"]))),
            ("dances", Err("`dances` is not a behaviour, for example `exits 137 after 3 s`".to_owned())),
        ] {
            assert_eq!(text.parse::<Behaviour>(), expected, "{text}");
        }
    }
}
