//! How a table of the delivery file becomes a struct of the model, field by field.

use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

use indexmap::IndexMap;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::notes::Notes;
use super::read::{At, Read, Value, describe, place, suggest};
use crate::inputs::nearest;

/// Lets a struct be read from a table, field by field: a field's key is its name in kebab case, and no other key is known.
/// `check` sees the table once its fields are read, and notes what no field can know by itself.
macro_rules! read_section {
    ($name:ident { $($field:ident),+ $(,)? } $(check $check:path)?) => {
        impl $crate::delivery::read::Read for $name {
            fn read(
                value: &$crate::delivery::read::Value<'_>,
                at: $crate::delivery::read::At<'_>,
            ) -> Option<Self> {
                let section = $crate::delivery::section::Section::open(value, at, &[$(stringify!($field)),+])?;
                $(let $field = section.field(stringify!($field), None);)+
                $($check(&section);)?
                Some(Self { $($field: $field?),+ })
            }
        }
    };
    ($name:ident or default { $($field:ident),+ $(,)? } $(check $check:path)?) => {
        impl $crate::delivery::read::Read for $name {
            fn read(
                value: &$crate::delivery::read::Value<'_>,
                at: $crate::delivery::read::At<'_>,
            ) -> Option<Self> {
                let default = Self::default();
                let section = $crate::delivery::section::Section::open(value, at, &[$(stringify!($field)),+])?;
                $(let $field = section.field(stringify!($field), Some(default.$field));)+
                $($check(&section);)?
                Some(Self { $($field: $field?),+ })
            }

            fn absent() -> Option<Self> {
                Some(Self::default())
            }
        }
    };
}

pub(super) use read_section;

/// A table that is being read.
pub(super) struct Section<'a> {
    table: &'a DeTable<'a>,
    /// The keys that are fields of the model. None for a table whose keys the file chooses.
    known: Vec<String>,
    name: String,
    offset: usize,
    notes: &'a Notes,
}

impl<'a> Section<'a> {
    /// The table that this value is, to be read field by field. Every key that is not a field's is noted.
    pub(super) fn open(value: &'a Value<'_>, at: At<'a>, fields: &[&str]) -> Option<Self> {
        let section = Self::any(value, at)?;
        let section = Self { known: fields.iter().copied().map(key_of).collect(), ..section };
        for key in section.unknown() {
            let advice = suggest(key.get_ref(), section.known.iter().map(String::as_str));
            let message = format!("unknown key `{}`{}: {advice}", key.get_ref(), place(&section.name));
            section.notes.problem(key.span().start, message);
        }
        Some(section)
    }

    /// The table that this value is, whatever its keys.
    fn any(value: &'a Value<'_>, at: At<'a>) -> Option<Self> {
        let (name, offset, notes) = (at.path(), at.offset, at.notes);
        match value.get_ref() {
            DeValue::Table(table) => Some(Self { table, known: Vec::new(), name, offset, notes }),
            other => at.problem(value, format!("expected a table, found {}", describe(other))),
        }
    }

    pub(super) fn notes(&self) -> &'a Notes {
        self.notes
    }

    /// `services.auth`; blank for the file itself.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The key of this table in the table around it: `auth`.
    pub(super) fn key(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or_default()
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Reads a field of the model; `default` is what stands if the key is not there.
    pub(super) fn field<T: Read>(&self, field: &str, default: Option<T>) -> Option<T> {
        let key = key_of(field);
        let fallback = default.or_else(T::absent);
        match self.table.get_key_value(key.as_str()) {
            Some((spanned, value)) => T::read(value, self.at(&key, spanned.span().start)).or(fallback),
            None => {
                if fallback.is_none() {
                    self.missing(&key);
                }
                fallback
            }
        }
    }

    /// Notes that a key is not there, unless it is merely misspelt: that was noted already.
    pub(super) fn missing(&self, key: &str) {
        let known = || self.known.iter().map(String::as_str);
        if !self.unknown().any(|unknown| nearest(unknown.get_ref(), known()) == Some(key)) {
            self.notes.problem(self.offset, format!("missing key `{key}`{}", place(&self.name)));
        }
    }

    /// What a key holds, for a check; `None` if it is absent or was found wrong when its field was read.
    pub(super) fn peek<T: Read>(&self, key: &str) -> Option<T> {
        let value = self.table.get(key)?;
        T::read(value, At { section: &self.name, key, offset: 0, notes: &Notes::default() })
    }

    /// The texts of a list, each with its offset.
    pub(super) fn texts(&self, key: &str) -> Vec<(&'a str, usize)> {
        let items = self.table.get(key).and_then(|value| value.get_ref().as_array());
        let text = |item: &'a Value<'a>| item.get_ref().as_str().map(|text| (text, item.span().start));
        items.into_iter().flatten().filter_map(text).collect()
    }

    /// The keys of this table, each with its offset.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&'a str, usize)> {
        self.table.keys().map(|key| (key.get_ref().as_ref(), key.span().start))
    }

    /// The texts that the keys of this table hold, each with its offset.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'a str, usize)> {
        let values = self.table.iter().map(|(_, value)| value);
        values.filter_map(|value| Some((value.get_ref().as_str()?, value.span().start)))
    }

    /// The tables within the table under a key.
    pub(super) fn sections(&self, key: &str) -> Vec<Section<'a>> {
        let Some(tables) = self.section(key) else { return Vec::new() };
        tables.keys().filter_map(|(key, _)| tables.section(key)).collect()
    }

    /// The table under a key.
    pub(super) fn section(&self, key: &str) -> Option<Section<'a>> {
        let (spanned, value) = self.table.get_key_value(key)?;
        let table = value.get_ref().as_table()?;
        let name = self.at(key, 0).path();
        Some(Section { table, known: Vec::new(), name, offset: spanned.span().start, notes: self.notes })
    }

    /// Notes a mistake of a key that is there, or of this table if it is not.
    pub(super) fn problem(&self, key: &str, rule: &str) {
        match self.table.get_key_value(key) {
            Some((spanned, _)) => self.problem_at(spanned.span().start, key, rule),
            None => self.problem_at(self.offset, key, rule),
        }
    }

    /// Notes a mistake in a key's value.
    pub(super) fn problem_at(&self, offset: usize, key: &str, rule: &str) {
        self.notes.problem(offset, format!("`{key}`{}: {rule}", place(&self.name)));
    }

    /// Notes that not exactly one of two keys is there; `purpose` says what they are for.
    pub(super) fn exactly_one(&self, one: &str, other: &str, purpose: &str) {
        match (self.has(one), self.has(other)) {
            (true, true) => {
                self.notes.problem(self.offset, format!("[{}] has both `{one}` and `{other}`: keep one", self.name));
            }
            (false, false) => {
                let message = format!("[{}] has neither `{one}` nor `{other}`: {purpose}", self.name);
                self.notes.problem(self.offset, message);
            }
            _ => {}
        }
    }

    fn unknown(&self) -> impl Iterator<Item = &'a Spanned<DeString<'a>>> {
        self.table.keys().filter(|key| !self.known.iter().any(|known| known == key.get_ref()))
    }

    fn at<'b>(&'b self, key: &'b str, offset: usize) -> At<'b> {
        At { section: &self.name, key, offset, notes: self.notes }
    }
}

/// The key of a field.
fn key_of(field: &str) -> String {
    field.replace('_', "-")
}

/// A table whose keys the file chooses. An entry that cannot be read is left out: what is wrong with it was noted.
impl<K, V> Read for IndexMap<K, V>
where
    K: FromStr + Hash + Eq,
    K::Err: fmt::Display,
    V: Read,
{
    fn read(value: &Value<'_>, at: At<'_>) -> Option<Self> {
        let section = Section::any(value, at)?;
        let mut entries = Self::new();
        for (spanned, value) in section.table {
            let (key, offset) = (spanned.get_ref(), spanned.span().start);
            let parsed =
                key.parse().map_err(|error| section.notes.problem(offset, format!("[{}]: {error}", section.name)));
            if let (Ok(key), Some(value)) = (parsed, V::read(value, section.at(key, offset))) {
                entries.insert(key, value);
            }
        }
        Some(entries)
    }

    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}
