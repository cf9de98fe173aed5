//! Findings that are let through for a while, with a reason.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::Serialize;
use toml::de::DeValue;

use super::read::{At, Read, Value, parse};
use super::section::read_section;

/// A finding that is let through until a day, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FindingException {
    /// The finding, as scan reports call it: `CVE-2026-1234`, `GHSA-…`.
    pub id: String,
    /// Why it may stay. It is repeated wherever the exception is used.
    pub reason: String,
    /// The last day on which it holds (UTC), as `2026-12-31`.
    pub expires: Day,
}

read_section!(FindingException { id, reason, expires });

/// A day of the calendar, UTC: `2026-12-31`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(into = "String")]
#[schemars(with = "String", extend("format" = "date"))]
pub struct Day(Date);

impl Day {
    /// The date.
    pub const fn get(self) -> Date {
        self.0
    }
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // The calendar's parser would take a moment of a day as well.
        let day = text.parse().ok().filter(|day: &Date| day.to_string() == text);
        day.map(Self).ok_or_else(|| format!("`{text}` is not a day: write it as `2026-12-31`"))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

impl Read for Day {
    fn read(value: &Value<'_>, at: At<'_>) -> Option<Self> {
        match value.get_ref() {
            // TOML has dates of its own, without quotes.
            DeValue::Datetime(date) => match date.to_string().parse() {
                Ok(day) => Some(day),
                Err(error) => at.problem(value, error),
            },
            _ => parse(value, at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_day_of_the_calendar_and_nothing_more() {
        assert_eq!("2026-12-31".parse::<Day>().unwrap().to_string(), "2026-12-31");
        for text in ["2026-02-30", "31.12.2026", "2026-12-31T00:00:00", "tomorrow", "20261231"] {
            let told = text.parse::<Day>().unwrap_err();
            assert_eq!(told, format!("`{text}` is not a day: write it as `2026-12-31`"));
        }
    }
}
