//! What is wrong with a file, and stops nothing: what the file would have told is taken from its bytes instead.

use std::fmt;

/// Something wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file.
    pub path: String,
    /// The line, from 1, if it is known.
    pub line: Option<usize>,
    /// What is wrong, as a fragment: "not JSON: expected `,`".
    pub message: String,
}

impl Problem {
    /// Something wrong with a file as a whole.
    pub fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: None, message: message.into() }
    }

    /// The same, with the line, from 1.
    pub fn at(self, line: usize) -> Self {
        Self { line: Some(line), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, message } = self;
        match line {
            Some(line) => write!(formatter, "{path}:{line}: {message}"),
            None => write!(formatter, "{path}: {message}"),
        }
    }
}
