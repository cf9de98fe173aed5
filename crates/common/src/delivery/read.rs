//! How a value of the delivery file becomes a value of the model.
//!
//! serde stops at the first mistake; whoever mends a file wants to hear of all of them. So every value is read here by its
//! own rules, a mistake is noted with its place, and reading goes on.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use toml::Spanned;
use toml::de::DeValue;

use super::notes::Notes;
use crate::inputs::nearest;

/// A value and its place in the text.
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// What can be read from a value of the delivery file.
pub(super) trait Read: Sized {
    /// Reads a value. Whatever is wrong with it is noted, and `None` means that something was.
    fn read(value: &Value<'_>, at: At<'_>) -> Option<Self>;

    /// What it means that the key is not there; `None` if it has to be.
    fn absent() -> Option<Self> {
        None
    }
}

/// Lets types be read from text by their `FromStr`.
macro_rules! read_text {
    ($($name:ident),+ $(,)?) => {$(
        impl $crate::delivery::read::Read for $name {
            fn read(
                value: &$crate::delivery::read::Value<'_>,
                at: $crate::delivery::read::At<'_>,
            ) -> Option<Self> {
                $crate::delivery::read::parse(value, at)
            }
        }
    )+};
}

/// Lets enums be read from the words that clap knows their variants by, so that inputs and the delivery file share them.
macro_rules! read_word {
    ($name:ident $(or $default:ident)?) => {
        impl $crate::delivery::read::Read for $name {
            fn read(
                value: &$crate::delivery::read::Value<'_>,
                at: $crate::delivery::read::At<'_>,
            ) -> Option<Self> {
                $crate::delivery::read::word(value, at)
            }

            $(fn absent() -> Option<Self> {
                Some(Self::$default)
            })?
        }
    };
}

pub(super) use {read_text, read_word};

/// The key that a value belongs to.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) section: &'a str,
    pub(super) key: &'a str,
    pub(super) offset: usize,
    pub(super) notes: &'a Notes,
}

impl<'a> At<'a> {
    /// The file itself.
    pub(super) fn root(notes: &'a Notes) -> Self {
        Self { section: "", key: "", offset: 0, notes }
    }

    /// Notes what is wrong with a value. It has no answer, whatever was asked for.
    pub(super) fn problem<T>(self, value: &Value<'_>, rule: impl fmt::Display) -> Option<T> {
        self.notes.problem(value.span().start, format!("{self}: {rule}"));
        None
    }

    pub(super) fn path(self) -> String {
        if self.section.is_empty() { self.key.to_owned() } else { format!("{}.{}", self.section, self.key) }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}`{}", self.key, place(self.section))
    }
}

/// Reads text.
pub(super) fn text<'v>(value: &'v Value<'_>, at: At<'_>) -> Option<&'v str> {
    match value.get_ref() {
        DeValue::String(text) if text.trim().is_empty() => {
            at.problem(value, "it is blank: give it a value or leave the key out")
        }
        DeValue::String(text) => Some(text),
        other => at.problem(value, format!("expected text in quotes, found {}", describe(other))),
    }
}

/// Reads text that has a rule.
pub(super) fn parse<T>(value: &Value<'_>, at: At<'_>) -> Option<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    match text(value, at)?.parse() {
        Ok(parsed) => Some(parsed),
        Err(error) => at.problem(value, error),
    }
}

/// Reads one word of several.
pub(super) fn word<T: clap::ValueEnum>(value: &Value<'_>, at: At<'_>) -> Option<T> {
    let text = text(value, at)?;
    T::from_str(text, false).ok().or_else(|| {
        let values = T::value_variants().iter().filter_map(clap::ValueEnum::to_possible_value);
        let known: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
        at.problem(value, format!("unknown word `{text}`: {}", suggest(text, known.iter().map(String::as_str))))
    })
}

/// What to say of something unknown: the nearest of what is known, or all of it.
pub(super) fn suggest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let same = known.iter().copied().find(|known| known.eq_ignore_ascii_case(unknown));
    match same.or_else(|| nearest(unknown, known.iter().copied())) {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if known.is_empty() => "nothing else is known".to_owned(),
        None => format!("known are `{}`", known.join("`, `")),
    }
}

/// A value as a person would call it.
pub(super) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text `{text}`"),
        DeValue::Integer(number) => format!("the number `{number}`"),
        DeValue::Float(number) => format!("the number `{number}`"),
        DeValue::Boolean(value) => format!("`{value}`"),
        DeValue::Datetime(date) => format!("the date `{date}`"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

impl Read for String {
    fn read(value: &Value<'_>, at: At<'_>) -> Option<Self> {
        text(value, at).map(str::to_owned)
    }
}

impl Read for bool {
    fn read(value: &Value<'_>, at: At<'_>) -> Option<Self> {
        let other = value.get_ref();
        other.as_bool().or_else(|| at.problem(value, format!("expected `true` or `false`, found {}", describe(other))))
    }
}

/// Reads a whole number that is not less than this one.
fn whole(value: &Value<'_>, at: At<'_>, least: u32) -> Option<u32> {
    let other = value.get_ref();
    let number = other.as_integer().and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok());
    let number = number.filter(|number| *number >= least);
    number.or_else(|| at.problem(value, format!("expected a whole number from {least}, found {}", describe(other))))
}

impl Read for u32 {
    fn read(value: &Value<'_>, at: At<'_>) -> Option<Self> {
        whole(value, at, 0)
    }
}

impl Read for NonZeroU32 {
    fn read(value: &Value<'_>, at: At<'_>) -> Option<Self> {
        whole(value, at, 1).and_then(Self::new)
    }
}

impl Read for f64 {
    fn read(value: &Value<'_>, at: At<'_>) -> Option<Self> {
        let number = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            DeValue::Integer(_) => return u32::read(value, at).map(Self::from),
            _ => None,
        };
        number.or_else(|| at.problem(value, format!("expected a number, found {}", describe(value.get_ref()))))
    }
}

impl<T: Read> Read for Option<T> {
    fn read(value: &Value<'_>, at: At<'_>) -> Option<Self> {
        T::read(value, at).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &Value<'_>, at: At<'_>) -> Option<Self> {
        let Some(items) = value.get_ref().as_array() else {
            return at.problem(value, format!("expected a list in `[ ]`, found {}", describe(value.get_ref())));
        };
        // Not `collect::<Option<_>>` at once: it would stop at the first mistake.
        let items: Vec<Option<T>> = items.iter().map(|item| T::read(item, at)).collect();
        items.into_iter().collect()
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

/// Where a key stands.
pub(super) fn place(section: &str) -> String {
    if section.is_empty() { " at the top".to_owned() } else { format!(" in [{section}]") }
}
