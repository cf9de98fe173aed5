//! Durations of the delivery file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use toml::de::DeValue;

use super::read::{At, Read, Value, parse};
use crate::duration;

/// A duration with its unit, `ms`, `s`, `m` or `h`: `30s`, `1.5h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String", extend("pattern" = r"^\d+(\.\d+)?(ms|s|m|h)$"))]
pub struct TimeSpan(Duration);

impl TimeSpan {
    /// So many seconds.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The minutes, if they are whole ones and at most a day: ECS counts the steps of a deployment so
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html>).
    pub fn whole_minutes(self) -> Option<i32> {
        let minutes = i32::try_from(self.0.as_secs() / 60).ok()?;
        (self.0 == Duration::from_mins(u64::try_from(minutes).ok()?) && minutes <= 1440).then_some(minutes)
    }
}

impl FromStr for TimeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        duration::parse(text).map(Self)
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        match milliseconds {
            0 => write!(formatter, "0s"),
            _ if milliseconds.is_multiple_of(3_600_000) => write!(formatter, "{}h", milliseconds / 3_600_000),
            _ if milliseconds.is_multiple_of(60_000) => write!(formatter, "{}m", milliseconds / 60_000),
            _ if milliseconds.is_multiple_of(1000) => write!(formatter, "{}s", milliseconds / 1000),
            _ => write!(formatter, "{milliseconds}ms"),
        }
    }
}

impl From<TimeSpan> for String {
    fn from(span: TimeSpan) -> Self {
        span.to_string()
    }
}

impl Read for TimeSpan {
    fn read(value: &Value<'_>, at: At<'_>) -> Option<Self> {
        match value.get_ref() {
            // A bare number gets the advice on units, not the one on quotes.
            DeValue::Integer(number) => at.problem(value, duration::parse(number.as_str()).err()?),
            _ => parse(value, at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_a_unit() {
        for text in ["500ms", "90s", "15m", "1h", "0s"] {
            assert_eq!(text.parse::<TimeSpan>().unwrap().to_string(), text);
        }
        assert_eq!("1.5h".parse::<TimeSpan>().unwrap().to_string(), "90m");
        assert_eq!("15".parse::<TimeSpan>().unwrap_err(), "`15` has no unit: write `15s` or `15m`");
    }

    #[test]
    fn ecs_counts_whole_minutes_of_one_day() {
        for (text, minutes) in
            [("5m", Some(5)), ("0s", Some(0)), ("24h", Some(1440)), ("90s", None), ("25h", None), ("60.5s", None)]
        {
            assert_eq!(text.parse::<TimeSpan>().unwrap().whole_minutes(), minutes, "{text}");
        }
    }
}
