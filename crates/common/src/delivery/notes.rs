//! What was noticed while a delivery file was read: all that is wrong with it, and which variables it uses.

use std::cell::RefCell;
use std::fmt::Display;

use crate::failure::Failure;

/// What was noticed, by the offset in the text that it is about.
#[derive(Debug, Default)]
pub(super) struct Notes {
    problems: RefCell<Vec<(usize, String)>>,
    uses: RefCell<Vec<VariableUse>>,
}

/// A `${VARIABLE}`. Whether it is known is only decided when the environments have been read as well.
#[derive(Clone, Debug)]
pub(super) struct VariableUse {
    pub(super) name: String,
    /// `` `url` in [services.auth.health] ``.
    pub(super) place: String,
    pub(super) offset: usize,
}

impl Notes {
    pub(super) fn problem(&self, offset: usize, message: impl Display) {
        self.problems.borrow_mut().push((offset, message.to_string()));
    }

    pub(super) fn uses(&self, variable: VariableUse) {
        self.uses.borrow_mut().push(variable);
    }

    pub(super) fn variables_used(&self) -> Vec<VariableUse> {
        self.uses.borrow().clone()
    }

    /// All problems in the order of the file, as one failure. `None` if there are none.
    pub(super) fn into_failure(self, text: &str, file: &str) -> Option<Failure> {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|(offset, _)| *offset);
        let located = problems.iter().map(|(offset, problem)| format!("{file}:{}: {problem}", line(text, *offset)));
        let failure = Failure::all(located.map(Failure::input))?;
        Some(failure.hint("mend the file: nothing was touched; the README describes every key"))
    }
}

/// The line, counted from one, that an offset is in.
pub(super) fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}

/// The column, counted in characters from one, that an offset is at.
pub(super) fn column(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    1 + before.chars().rev().take_while(|&character| character != '\n').count()
}
