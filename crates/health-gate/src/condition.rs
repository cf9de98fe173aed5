//! The little language of `expect`: `status == 200`, `json(/version) == 'abc'`, `header(x-version) contains 'v2'`,
//! `latency < 1s`, `certificate > 14d`, `body contains 'ok'`. Types are checked when it is read: what could never hold is a mistake, not a failure.

mod parse;

use std::fmt;
use std::time::Duration;

use common::duration::human;
use http::HeaderMap;
use serde_json::{Number, Value};

pub use self::parse::Mistake;

/// How much of a value is shown.
const SHOWN: usize = 120;

/// What certificates are counted in.
const DAY: Duration = Duration::from_hours(24);

/// Something that an answer has to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    subject: Subject,
    comparison: Comparison,
    value: Literal,
    /// The value as somebody wrote it: a limit that is rounded for people is another limit.
    written: String,
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Status,
    Latency,
    Body,
    /// How long its certificate is valid from now on.
    Certificate,
    /// RFC 6901.
    Json(String),
    Header(String),
}

/// How it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    AtMost,
    More,
    AtLeast,
    Contains,
}

/// What it is compared with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Json(Value),
    Duration(Duration),
}

/// What a service answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// As much of its body as is read.
    pub body: String,
    /// How long it took, to its last byte.
    pub latency: Duration,
    /// How long the certificate is valid from now on; `None` if none was seen.
    pub certificate: Option<Duration>,
}

/// Whether a condition holds, and what was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// Whether it holds.
    pub holds: bool,
    /// What was there, for people.
    pub observed: String,
}

impl Condition {
    /// What is looked at: `json(/version)`.
    pub fn subject(&self) -> String {
        self.subject.to_string()
    }

    /// What it has to be, as it was written: `== 'abc'`.
    pub fn expected(&self) -> String {
        format!("{} {}", self.comparison.sign(), self.written)
    }

    /// Whether it speaks of this text.
    pub(crate) fn mentions(&self, text: &str) -> bool {
        matches!(&self.value, Literal::Json(Value::String(value)) if value.contains(text))
    }

    /// Holds an answer against it.
    pub fn evaluate(&self, answer: &Answer) -> Evaluation {
        let found = self.subject.of(answer);
        match found {
            Ok(found) => Evaluation {
                holds: self.comparison.holds(&found, &self.value),
                observed: self.observed(&found, answer),
            },
            Err(missing) => Evaluation { holds: false, observed: missing },
        }
    }

    /// What was there, for people. A redirect says where to: it is most often a login page.
    fn observed(&self, found: &Literal, answer: &Answer) -> String {
        let location = answer.headers.get("location").filter(|_| (300..400).contains(&answer.status));
        match (&self.subject, location) {
            (Subject::Status, Some(to)) => format!("{found}, to {}", cut(&String::from_utf8_lossy(to.as_bytes()))),
            _ => found.to_string(),
        }
    }
}

impl Subject {
    /// What an answer has there, or why it has nothing.
    pub(crate) fn of(&self, answer: &Answer) -> Result<Literal, String> {
        match self {
            Self::Status => Ok(Literal::Json(answer.status.into())),
            Self::Latency => Ok(Literal::Duration(answer.latency)),
            Self::Body => Ok(Literal::Json(answer.body.clone().into())),
            Self::Certificate => answer
                .certificate
                .map(Literal::Duration)
                .ok_or_else(|| "no certificate was seen: the URL is not `https`, or a proxy stands between".to_owned()),
            Self::Json(pointer) => at(&answer.body, pointer).map(Literal::Json),
            Self::Header(name) => match answer.headers.get(name) {
                Some(value) => Ok(Literal::Json(String::from_utf8_lossy(value.as_bytes()).into())),
                None => Err(format!("no header `{name}`")),
            },
        }
    }
}

/// The value that a JSON pointer leads to.
fn at(body: &str, pointer: &str) -> Result<Value, String> {
    let json: Value = serde_json::from_str(body).map_err(|_| match body.trim() {
        "" => "not JSON: the body is empty".to_owned(),
        body => format!("not JSON: {}", cut(body)),
    })?;
    json.pointer(pointer).cloned().ok_or_else(|| format!("no `{pointer}` in {}", cut(&json.to_string())))
}

impl Comparison {
    const ALL: [(&'static str, Self); 7] = [
        ("==", Self::Equal),
        ("!=", Self::NotEqual),
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("<", Self::Less),
        (">", Self::More),
        ("contains", Self::Contains),
    ];

    fn sign(self) -> &'static str {
        Self::ALL.iter().find(|(_, comparison)| *comparison == self).map_or("", |(sign, _)| sign)
    }

    fn holds(self, found: &Literal, wanted: &Literal) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};

        match self {
            Self::Equal => is_equal(found, wanted),
            Self::NotEqual => !is_equal(found, wanted),
            Self::Less => found.compare(wanted) == Some(Less),
            Self::AtMost => matches!(found.compare(wanted), Some(Less | Equal)),
            Self::More => found.compare(wanted) == Some(Greater),
            Self::AtLeast => matches!(found.compare(wanted), Some(Greater | Equal)),
            Self::Contains => match (found, wanted) {
                (Literal::Json(Value::String(text)), Literal::Json(Value::String(part))) => {
                    text.contains(part.as_str())
                }
                (Literal::Json(Value::Array(items)), Literal::Json(part)) => items.contains(part),
                _ => false,
            },
        }
    }
}

/// Numbers are equal by value: `1`, `1.0` and `1e0` are.
fn is_equal(found: &Literal, wanted: &Literal) -> bool {
    match (found, wanted) {
        (Literal::Json(Value::Number(_)), Literal::Json(Value::Number(_))) => {
            found.compare(wanted) == Some(std::cmp::Ordering::Equal)
        }
        (found, wanted) => found == wanted,
    }
}

impl Literal {
    /// The order of numbers and durations. Nothing else has one.
    fn compare(&self, other: &Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Duration(one), Self::Duration(other)) => Some(one.cmp(other)),
            (Self::Json(Value::Number(one)), Self::Json(Value::Number(other))) => compare(one, other),
            _ => None,
        }
    }
}

/// Whole numbers as such: an `f64` has no room for all of them.
fn compare(one: &Number, other: &Number) -> Option<std::cmp::Ordering> {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status => formatter.write_str("status"),
            Self::Latency => formatter.write_str("latency"),
            Self::Body => formatter.write_str("body"),
            Self::Certificate => formatter.write_str("certificate"),
            Self::Json(pointer) => write!(formatter, "json({pointer})"),
            Self::Header(name) => write!(formatter, "header({name})"),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duration(duration) if *duration >= DAY => {
                write!(formatter, "{} d", duration.as_secs() / DAY.as_secs())
            }
            Self::Duration(duration) => formatter.write_str(&human(*duration)),
            Self::Json(Value::String(text)) => write!(formatter, "'{}'", cut(text)),
            Self::Json(value) => formatter.write_str(&cut(&value.to_string())),
        }
    }
}

/// The beginning of a text, on one line.
fn cut(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("x-version", "v2-abc".parse().unwrap());
        Answer {
            status: 200,
            headers,
            body: r#"{"version": "abc", "ratio": 0.9, "count": 3, "ok": true, "none": null, "tags": ["a", "b"], "deep": {"a/b": 1}}"#.into(),
            latency: Duration::from_millis(420),
            certificate: Some(80 * DAY),
        }
    }

    fn check(condition: &str, holds: bool, observed: &str) {
        let evaluated = condition.parse::<Condition>().unwrap().evaluate(&answer());
        assert_eq!(evaluated, Evaluation { holds, observed: observed.into() }, "{condition}");
    }

    #[test]
    fn an_answer_is_held_against_a_condition_by_type() {
        check("status == 200", true, "200");
        check("status != 200", false, "200");
        check("status < 400", true, "200");
        check("latency < 1s", true, "420 ms");
        check("latency <= 0.42s", true, "420 ms");
        check("latency > 500ms", false, "420 ms");
        check("certificate > 14d", true, "80 d");
        check("certificate >= 90d", false, "80 d");
        check("json(/version) == 'abc'", true, "'abc'");
        check("json(/version) != 'abc'", false, "'abc'");
        check("json(/version) contains \"b\"", true, "'abc'");
        check("json(/tags) contains 'b'", true, r#"["a","b"]"#);
        check("json(/tags/0) == 'a'", true, "'a'");
        check("json(/deep/a~1b) == 1", true, "1");
        check("json(/ok) == true", true, "true");
        check("json(/none) == null", true, "null");
        check("header(X-Version) contains 'abc'", true, "'v2-abc'");
        check("body contains '\"ok\": true'", true, &format!("'{}'", cut(&answer().body)));
    }

    #[test]
    fn numbers_are_compared_by_value_and_never_cut() {
        check("json(/ratio) == 0.9", true, "0.9");
        check("json(/ratio) > 0.89", true, "0.9");
        check("json(/ratio) == 0", false, "0.9");
        check("json(/count) == 3.0", true, "3");
        check("json(/count) == '3'", false, "3");
        check("json(/version) > 1", false, "'abc'");
    }

    #[test]
    fn what_is_not_there_is_said() {
        check(
            "json(/commit) == 'abc'",
            false,
            &format!("no `/commit` in {}", cut(&serde_json::from_str::<Value>(&answer().body).unwrap().to_string())),
        );
        check(
            "json(/commit) != 'abc'",
            false,
            &format!("no `/commit` in {}", cut(&serde_json::from_str::<Value>(&answer().body).unwrap().to_string())),
        );
        check("header(x-commit) == 'abc'", false, "no header `x-commit`");
    }

    #[test]
    fn an_answer_that_is_not_what_was_asked_for_is_shown() {
        let login = Answer { status: 302, body: "<html>\n  <h1>Sign in</h1>".into(), ..answer() };
        let observed =
            |condition: &str, answer: &Answer| condition.parse::<Condition>().unwrap().evaluate(answer).observed;
        assert_eq!(observed("json(/version) == 'abc'", &login), "not JSON: <html> <h1>Sign in</h1>");
        assert_eq!(observed("status == 200", &login), "302");
        let mut redirect = login;
        redirect.headers.insert("location", "/login".parse().unwrap());
        assert_eq!(observed("status == 200", &redirect), "302, to /login");
    }
}
