//! Reading a condition. A mistake is shown with a caret under it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use common::duration;
use common::inputs::nearest;
use http::HeaderName;
use serde_json::Value;

use super::{Comparison, Condition, Literal, Subject};

/// What is wrong with a condition, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mistake {
    message: String,
    text: String,
    /// In characters, from zero.
    column: usize,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { message, text, column } = self;
        write!(formatter, "{message}\n  {text}\n  {:column$}^", "")
    }
}

impl FromStr for Condition {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let mut cursor = Cursor { text, offset: 0 };
        let subject = cursor.subject()?;
        let before_comparison = cursor.skip_blanks();
        let comparison = cursor.comparison()?;
        let before_value = cursor.skip_blanks();
        let value = cursor.value()?;
        let written = text[before_value..cursor.offset].to_owned();
        let after = cursor.skip_blanks();
        if after < text.len() {
            return Err(cursor.mistake(after, "nothing more is expected here: write one condition a line"));
        }
        check_types(&subject, comparison, &value).map_err(|(is_of_value, message)| {
            cursor.mistake(if is_of_value { before_value } else { before_comparison }, message)
        })?;
        Ok(Self { subject, comparison, value, written })
    }
}

impl FromStr for Subject {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        let mut cursor = Cursor { text, offset: 0 };
        let subject = cursor.subject()?;
        let after = cursor.skip_blanks();
        match after < text.len() {
            true => Err(cursor.mistake(after, "nothing more is expected here: name what to look at, and no more")),
            false => Ok(subject),
        }
    }
}

/// Refuses what could never hold. Says whether the value or the comparison is to blame.
fn check_types(subject: &Subject, comparison: Comparison, value: &Literal) -> Result<(), (bool, &'static str)> {
    let is_ordered =
        matches!(comparison, Comparison::Less | Comparison::AtMost | Comparison::More | Comparison::AtLeast);
    let (is_number, is_text) = match value {
        Literal::Json(value) => (value.is_number(), value.is_string()),
        Literal::Duration(_) => (false, false),
    };
    match (subject, comparison, value) {
        (Subject::Latency, _, _) if !is_ordered => Err((false, "a latency is compared by `<`, `<=`, `>` or `>=`")),
        (Subject::Latency, _, Literal::Duration(_)) => Ok(()),
        (Subject::Latency, ..) => Err((true, "a latency is compared with a duration, as in `1s` or `500ms`")),
        (Subject::Certificate, _, Literal::Duration(_)) if is_ordered => Ok(()),
        (Subject::Certificate, ..) => {
            Err((false, "what is left of a certificate is compared with a duration, as in `certificate > 14d`"))
        }
        (_, _, Literal::Duration(_)) => Err((true, "only `latency` and `certificate` are compared with a duration")),
        (Subject::Status, Comparison::Contains, _) => {
            Err((false, "a status is compared by `==`, `!=`, `<`, `<=`, `>` or `>=`"))
        }
        (Subject::Status, ..) if !is_number => Err((true, "a status is compared with a number, as in `200`")),
        (Subject::Body | Subject::Header(_), ..) if is_ordered => {
            Err((false, "a text is compared by `==`, `!=` or `contains`"))
        }
        (Subject::Body | Subject::Header(_), ..) if !is_text => {
            Err((true, "a text is compared with a text, as in `'ok'`"))
        }
        (Subject::Json(_), ..) if is_ordered && !is_number => Err((true, "only numbers have an order")),
        _ => Ok(()),
    }
}

/// A duration; certificates are counted in days.
fn time(text: &str) -> Result<Duration, String> {
    match text.strip_suffix('d').map(str::parse::<u32>) {
        Some(Ok(days)) => Ok(Duration::from_hours(24) * days),
        _ => duration::parse(text),
    }
}

struct Cursor<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    fn mistake(&self, offset: usize, message: impl Into<String>) -> Mistake {
        let column = self.text[..offset].chars().count();
        Mistake { message: message.into(), text: self.text.to_owned(), column }
    }

    /// Answers where it came to.
    fn skip_blanks(&mut self) -> usize {
        self.offset = self.text.len() - self.rest().trim_start().len();
        self.offset
    }

    /// Takes characters as long as they are of a kind.
    fn take(&mut self, is_of_kind: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = &rest[..rest.find(|character| !is_of_kind(character)).unwrap_or(rest.len())];
        self.offset += taken.len();
        taken
    }

    fn subject(&mut self) -> Result<Subject, Mistake> {
        const KNOWN: [&str; 6] = ["status", "latency", "certificate", "body", "json", "header"];
        let start = self.skip_blanks();
        match self.take(|character| character.is_ascii_alphanumeric() || character == '_') {
            "status" => Ok(Subject::Status),
            "latency" => Ok(Subject::Latency),
            "certificate" => Ok(Subject::Certificate),
            "body" => Ok(Subject::Body),
            "json" => {
                let (offset, pointer) = self.in_parentheses("json(/version)")?;
                if pointer.is_empty() || pointer.starts_with('/') {
                    return Ok(Subject::Json(pointer.to_owned()));
                }
                Err(self.mistake(offset, "a JSON pointer begins with `/`, as in `json(/version)`"))
            }
            "header" => {
                let (offset, name) = self.in_parentheses("header(x-version)")?;
                match name.parse::<HeaderName>() {
                    Ok(name) => Ok(Subject::Header(name.as_str().to_owned())),
                    Err(_) => Err(self.mistake(offset, "this is not the name of a header, as in `header(x-version)`")),
                }
            }
            other => {
                let all =
                    "a condition begins with `status`, `latency`, `certificate`, `body`, `json(…)` or `header(…)`";
                Err(match nearest(other, KNOWN) {
                    Some(known) => self.mistake(start, format!("did you mean `{known}`? {all}")),
                    None => self.mistake(start, all),
                })
            }
        }
    }

    /// What is in parentheses, and where it begins.
    fn in_parentheses(&mut self, example: &str) -> Result<(usize, &'a str), Mistake> {
        let open = self.offset;
        let Some(rest) = self.rest().strip_prefix('(') else {
            return Err(self.mistake(open, format!("`(` is expected here, as in `{example}`")));
        };
        let Some(end) = rest.find(')') else {
            return Err(self.mistake(open, "this parenthesis is not closed"));
        };
        self.offset = open + 1 + end + 1;
        Ok((open + 1, rest[..end].trim()))
    }

    fn comparison(&mut self) -> Result<Comparison, Mistake> {
        let found = Comparison::ALL.iter().find(|(sign, _)| self.rest().starts_with(sign));
        match found {
            Some((sign, comparison)) => {
                self.offset += sign.len();
                Ok(*comparison)
            }
            None if self.rest().starts_with('=') => Err(self.mistake(self.offset, "write `==`")),
            None => Err(self.mistake(self.offset, "`==`, `!=`, `<`, `<=`, `>`, `>=` or `contains` is expected here")),
        }
    }

    fn value(&mut self) -> Result<Literal, Mistake> {
        let start = self.offset;
        if let Some(quote) = self.rest().chars().next().filter(|character| matches!(character, '\'' | '"')) {
            let rest = &self.rest()[1..];
            let end =
                rest.find(quote).ok_or_else(|| self.mistake(start, format!("this text has no closing `{quote}`")))?;
            self.offset = start + 1 + end + 1;
            return Ok(Literal::Json(Value::String(rest[..end].to_owned())));
        }
        let word = self.take(|character| !character.is_whitespace());
        let is_number = word.starts_with(|character: char| character.is_ascii_digit() || character == '-');
        match word {
            "" => Err(self.mistake(start, "a value is expected here")),
            "true" | "false" | "null" => Ok(Literal::Json(serde_json::from_str(word).unwrap_or_default())),
            number if is_number => match (serde_json::from_str(number), time(number)) {
                (Ok(Value::Number(number)), _) => Ok(Literal::Json(Value::Number(number))),
                (_, Ok(duration)) => Ok(Literal::Duration(duration)),
                (_, Err(_)) => Err(self.mistake(
                    start,
                    format!("`{number}` is neither a number nor a duration; a text needs quotes: `'{number}'`"),
                )),
            },
            text => Err(self.mistake(start, format!("a text needs quotes: `'{text}'`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::condition::Answer;

    #[test]
    fn blanks_make_no_difference() {
        let expected: Condition = "json(/version) == 'a b'".parse().unwrap();
        for text in ["json(/version)=='a b'", " json( /version )  ==  'a b' ", "json(/version)\t==\t'a b'"] {
            assert_eq!(text.parse().as_ref(), Ok(&expected), "{text}");
        }
        let other: Condition = "json(/version) == \"a b\"".parse().unwrap();
        assert_eq!((other.value, other.written.as_str()), (expected.value, "\"a b\""));
    }

    #[test]
    fn a_mistake_is_shown_where_it_is() {
        let mistakes: Vec<String> = [
            "stauts == 200",
            "cpu < 5",
            "status = 200",
            "status 200",
            "status ==",
            "status == ok",
            "status == '200'",
            "status contains 2",
            "latency < 500",
            "latency == 1s",
            "json(version) == 'a'",
            "json /version == 'a'",
            "json(/version == 'a'",
            "json(/größe) == 'a' 'b'",
            "json(/version) == 'a",
            "json(/count) > 'a'",
            "json(/count) > 1s",
            "header(x y) == 'a'",
            "header(x-version) < 'a'",
            "certificate > 14",
            "certificate == 14d",
            "body contains ok",
            "body contains 1",
            "json(/commit) == 0a1b2c3",
            "",
        ]
        .iter()
        .map(|text| text.parse::<Condition>().unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(mistakes.join("\n"));
    }

    /// Texts that look like conditions, and any others.
    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            Just(String::new()),
            "[a-z(/)=!<> '\"0-9.äs]{0,30}",
            "\\PC{0,40}",
            "(json|header|body|status)\\PC{0,20}"
        ]
    }

    fn condition() -> impl Strategy<Value = String> {
        prop_oneof![
            "status (==|!=|<|<=|>|>=) [1-5][0-9]{2}",
            "json\\((/[a-z0-9]{1,5}){0,3}\\) (==|!=) '[a-z0-9=<>]{0,10}'",
            "header\\([a-z][a-z-]{0,8}[a-z]\\) contains '[a-z0-9]{1,10}'",
        ]
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_with_a_mark_below_it(text in any_text()) {
            if let Err(mistake) = text.parse::<Condition>() {
                prop_assert!(mistake.column <= text.chars().count(), "{mistake:?}");
                prop_assert!(mistake.to_string().ends_with('^'));
            }
        }

        #[test]
        fn what_was_read_says_what_was_written(text in condition()) {
            let read: Condition = text.parse().unwrap();
            let again: Condition = format!("{} {}", read.subject(), read.expected()).parse().unwrap();
            prop_assert_eq!(read, again);
        }

        #[test]
        fn numbers_hold_exactly_what_is_true_of_them(one in any::<i64>(), other in any::<i64>()) {
            let answer = Answer {
                status: 200,
                headers: http::HeaderMap::new(),
                body: format!("{{\"n\": {one}}}"),
                latency: Duration::ZERO,
                certificate: None,
            };
            let holds = |sign: &str| format!("json(/n) {sign} {other}").parse::<Condition>().unwrap().evaluate(&answer).holds;
            let told = ["<", "<=", "==", "!=", ">=", ">"].map(holds);
            prop_assert_eq!(told, [one < other, one <= other, one == other, one != other, one >= other, one > other]);
        }

        #[test]
        fn a_text_is_taken_as_it_is(value in "[a-z0-9 =<>()\"-]{0,20}") {
            let read: Condition = format!("body contains '{value}'").parse().unwrap();
            prop_assert_eq!(read.value, Literal::Json(value.into()));
        }

        #[test]
        fn a_number_is_taken_as_it_is(number in any::<i64>()) {
            let read: Condition = format!("json(/count) <= {number}").parse().unwrap();
            prop_assert_eq!(read.value, Literal::Json(number.into()));
        }
    }
}
