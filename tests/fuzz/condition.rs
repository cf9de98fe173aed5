//! The language of `expect`, given any text and held against any body: it is read or refused with a mark below it, what was read
//! says what was written, and nothing that holds holds the other way round.

#![no_main]
#![expect(clippy::expect_used, reason = "that is what the fuzzer looks for")]

use std::time::Duration;

use health_gate::condition::{Answer, Condition};
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &str| {
    let (text, body) = data.split_once('\0').unwrap_or((data, ""));
    let condition = match text.parse::<Condition>() {
        Ok(condition) => condition,
        Err(mistake) => return assert!(mistake.to_string().ends_with('^'), "no mark: {mistake}"),
    };
    let written = |comparison: &str| format!("{} {comparison}", condition.subject());
    let again: Condition = written(&condition.expected()).parse().expect("what was read can be written and read again");
    assert_eq!(condition, again);
    let answer = Answer {
        status: 200,
        headers: HeaderMap::new(),
        body: body.to_owned(),
        latency: Duration::from_millis(250),
        certificate: Some(Duration::from_hours(240)),
    };
    let evaluation = condition.evaluate(&answer);
    if let Some(value) = condition.expected().strip_prefix("== ") {
        let opposite: Condition = written(&format!("!= {value}")).parse().expect("what may be equal may be unequal");
        assert!(!(evaluation.holds && opposite.evaluate(&answer).holds), "both hold");
    }
});
