//! Calendar time, for people and for comparing with AWS's timestamps. Durations are measured by tokio's clock instead.

use jiff::Timestamp;

/// The present moment.
#[expect(clippy::disallowed_methods, reason = "the one home of the calendar")]
pub fn now() -> Timestamp {
    Timestamp::now()
}
