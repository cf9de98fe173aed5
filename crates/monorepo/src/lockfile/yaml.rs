//! YAML as far as lockfiles go: text, lists and maps, each with its line.
//!
//! Built upon the parser's events: `saphyr`'s own tree takes twice the time, and turns versions such as `1.10` into numbers.

use std::borrow::Cow;

use foldhash::{HashSet, HashSetExt};
use saphyr_parser::{Event, Parser};

use crate::digest::Hasher;
use crate::problem::Problem;

/// How deep a lockfile may go; they go to six.
const DEEPEST: usize = 64;

#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) line: usize,
    pub(super) value: Value<'a>,
}

pub(super) type Entries<'a> = Vec<(Cow<'a, str>, Node<'a>)>;

#[derive(Debug)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Map(Entries<'a>),
}

/// The last document; `None` if there is none. The one before, if any, says which pnpm is to be used
/// (<https://pnpm.io/settings#packagemanager>).
pub(super) fn read<'a>(path: &str, text: &'a str) -> Result<Option<Node<'a>>, Problem> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event
            .map_err(|error| Problem::new(path, format!("not YAML: {}", error.info())).at(error.marker().line()))?;
        let line = span.start.line();
        tree.take(event, line).map_err(|(line, why)| Problem::new(path, why).at(line))?;
    }
    Ok(tree.document)
}

/// What is wrong, with the line.
type Wrong = (usize, String);

/// A tree on the way.
#[derive(Default)]
struct Tree<'a> {
    document: Option<Node<'a>>,
    /// What is not closed, from the outside in.
    open: Vec<Open<'a>>,
}

enum Open<'a> {
    List { line: usize, items: Vec<Node<'a>> },
    Map { line: usize, entries: Entries<'a>, key: Option<Cow<'a, str>> },
}

impl<'a> Tree<'a> {
    fn take(&mut self, event: Event<'a>, line: usize) -> Result<(), Wrong> {
        match event {
            Event::Scalar(text, ..) => self.put(Node { line, value: Value::Text(fitted(text)) }),
            Event::SequenceStart(..) => self.enter(line, Open::List { line, items: Vec::new() }),
            Event::MappingStart(..) => self.enter(line, Open::Map { line, entries: Vec::new(), key: None }),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List { line, mut items }) => {
                    items.shrink_to_fit();
                    self.put(Node { line, value: Value::List(items) })
                }
                Some(Open::Map { line, mut entries, .. }) => {
                    unique(&entries)?;
                    entries.shrink_to_fit();
                    self.put(Node { line, value: Value::Map(entries) })
                }
                None => Err((line, "an end without a start".to_owned())),
            },
            Event::Alias(_) => Err((line, "an alias, which no lockfile has".to_owned())),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {
                Ok(())
            }
        }
    }

    fn enter(&mut self, line: usize, open: Open<'a>) -> Result<(), Wrong> {
        self.open.push(open);
        if self.open.len() > DEEPEST { Err((line, format!("deeper than {DEEPEST} levels"))) } else { Ok(()) }
    }

    fn put(&mut self, node: Node<'a>) -> Result<(), Wrong> {
        match self.open.last_mut() {
            None => self.document = Some(node),
            Some(Open::List { items, .. }) => items.push(node),
            Some(Open::Map { entries, key, .. }) => match (key.take(), node.value) {
                (None, Value::Text(text)) => *key = Some(text),
                (None, _) => return Err((node.line, "a key that is no text".to_owned())),
                (Some(known), value) => entries.push((known, Node { line: node.line, value })),
            },
        }
        Ok(())
    }
}

/// A text without the room that the parser leaves in each: of a large lockfile that is half of the memory that it takes.
fn fitted(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text),
        Cow::Owned(text) => Cow::Owned(text.into_boxed_str().into_string()),
    }
}

fn unique(entries: &Entries<'_>) -> Result<(), Wrong> {
    let mut seen = HashSet::with_capacity(entries.len());
    match entries.iter().find(|(key, _)| !seen.insert(key.as_ref())) {
        Some((key, node)) => Err((node.line, format!("`{key}` twice"))),
        None => Ok(()),
    }
}

impl<'a> Node<'a> {
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(known, _)| known == key).map(|(_, node)| node)
    }

    /// What a map holds; nothing if it is none.
    pub(super) fn entries(&self) -> &[(Cow<'a, str>, Self)] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Text(_) | Value::List(_) => &[],
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The map at a key; nothing if there is no such key.
    pub(super) fn map(&self, key: &str, path: &str) -> Result<&[(Cow<'a, str>, Self)], Problem> {
        match self.get(key) {
            Some(Node { line, value: Value::List(_) }) => {
                Err(Problem::new(path, format!("`{key}` is no map")).at(*line))
            }
            Some(Node { line, value: Value::Text(text) }) if !matches!(text.as_ref(), "" | "~" | "null") => {
                Err(Problem::new(path, format!("`{key}` is no map")).at(*line))
            }
            node => Ok(node.map(Self::entries).unwrap_or_default()),
        }
    }

    /// Writes its meaning: the order of a map's keys does not count.
    pub(super) fn write(&self, hasher: &mut Hasher) {
        match &self.value {
            Value::Text(text) => hasher.field(text.as_ref()),
            Value::List(items) => {
                hasher.field(format!("list of {}", items.len()));
                items.iter().for_each(|item| item.write(hasher));
            }
            Value::Map(entries) => {
                hasher.field(format!("map of {}", entries.len()));
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| key.as_ref());
                for (key, node) in entries {
                    hasher.field(key.as_ref());
                    node.write(hasher);
                }
            }
        }
    }
}
