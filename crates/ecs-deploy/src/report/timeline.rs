//! The release over time, as a picture: <https://mermaid.js.org/syntax/gantt.html>, which GitHub draws.

use std::fmt::Write as _;
use std::time::Duration;

use common::markdown::block;

use crate::effects::{DEPLOYED, Flight};

/// One section a service, one bar a phase. Nothing, if nothing was done.
pub(super) fn timeline(flights: &[Flight]) -> String {
    let touched: Vec<&Flight> = flights.iter().filter(|flight| flight.is_touched()).collect();
    if touched.is_empty() {
        return String::new();
    }
    let mut chart = "gantt\n  dateFormat X\n  axisFormat %M:%S\n".to_owned();
    for flight in touched {
        let _ = writeln!(chart, "  section {}", flight.change.key);
        let ends = flight.phases.iter().skip(1).map(|(at, _)| *at).chain([flight.ended]);
        let mut goes_back = false;
        for ((from, phase), to) in flight.phases.iter().zip(ends) {
            // Its end is a mark of its own.
            if phase == DEPLOYED && to == *from {
                continue;
            }
            goes_back |= phase == "going back";
            let style = if goes_back { "crit, " } else { "" };
            let _ = writeln!(chart, "  {} :{style}{}", bar(phase), seconds(*from, to));
        }
        let end = if flight.is_good() { "done" } else { crate::words::word(flight) };
        let style = if flight.is_good() { "milestone" } else { "crit, milestone" };
        let _ = writeln!(chart, "  {end} :{style}, {0}, {0}", flight.ended.as_secs());
    }
    format!("\n{}", block("mermaid", &chart))
}

/// A phase as people call it; ECS's own stages are words already.
fn bar(phase: &str) -> String {
    match phase {
        "updated" => "rolling out".to_owned(),
        other => other.to_lowercase().replace('_', " "),
    }
}

/// A bar that can be seen: at least a second.
fn seconds(from: Duration, to: Duration) -> String {
    format!("{}, {}", from.as_secs(), to.as_secs().max(from.as_secs() + 1))
}
