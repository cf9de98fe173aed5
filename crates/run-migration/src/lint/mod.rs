//! What pending SQL does to a database that the old version still uses. Pure: texts in, findings out.
//!
//! The SQL is parsed by a library, statement by statement, and what a parser does not understand is a finding of its own: it is
//! not known to be harmless.

mod rules;
mod statements;

use std::fmt;

use self::rules::Judge;
use self::statements::{Statement, statements};

/// A migration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) path: String,
    pub(crate) text: String,
    /// Whether an earlier version of it was delivered before.
    pub(crate) is_edited: bool,
}

/// What was found in a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    pub(crate) path: String,
    /// Counted from 1.
    pub(crate) line: u64,
    /// What the statement does, as a sentence without its end.
    pub(crate) what: String,
    /// Why that is as it should be, if the file says so.
    pub(crate) allowed: Option<String>,
}

/// What can be wrong with a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// Something goes that the old version may use, or data is lost.
    Destructive,
    /// Something gets another name.
    Renaming,
    /// A column gets another type.
    Rewriting,
    /// The old version may write nothing where something is demanded from now on.
    NotNull,
    /// Others have to wait.
    Locking,
    /// Writes wait until an index is built.
    IndexWithoutConcurrently,
    /// A file that was delivered before has another text.
    Edited,
    /// The parser does not understand it.
    Unreadable,
    /// An acknowledgement that acknowledges nothing.
    Allow,
}

/// The rules that can be acknowledged.
const RULES: [Rule; 8] = [
    Rule::Destructive,
    Rule::Renaming,
    Rule::Rewriting,
    Rule::NotNull,
    Rule::Locking,
    Rule::IndexWithoutConcurrently,
    Rule::Edited,
    Rule::Unreadable,
];

impl Rule {
    /// The word for it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Destructive => "destructive",
            Self::Renaming => "renaming",
            Self::Rewriting => "rewriting",
            Self::NotNull => "not-null",
            Self::Locking => "locking",
            Self::IndexWithoutConcurrently => "index-without-concurrently",
            Self::Edited => "edited",
            Self::Unreadable => "unreadable",
            Self::Allow => "allow",
        }
    }

    /// Whether the version that runs may break by it: the "contract" of expand and contract
    /// (<https://martinfowler.com/bliki/ParallelChange.html>). Going back to that version is not safe afterwards.
    pub(crate) const fn is_contract(self) -> bool {
        matches!(self, Self::Destructive | Self::Renaming | Self::Rewriting | Self::NotNull)
    }

    /// Whether it has to be acknowledged before anything is run.
    pub(crate) const fn blocks(self) -> bool {
        self.is_contract() || matches!(self, Self::Allow)
    }

    /// What to do instead.
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            Self::Destructive => "deliver the code that does without it first, and this in a later release",
            Self::Renaming => {
                "add the new one, fill it, deliver the code that uses it, and drop the old one in a later release"
            }
            Self::Rewriting => {
                "add a column of the new type, fill it, deliver the code that uses it, and drop the old one in a later release"
            }
            Self::NotNull => {
                "give it a default, or deliver the code that always writes it first; `NOT VALID` and `VALIDATE CONSTRAINT` check without a long lock"
            }
            Self::Locking => {
                "do it in steps that lock shortly (`NOT VALID`, then `VALIDATE CONSTRAINT`; rows in batches), with a `lock_timeout`"
            }
            Self::IndexWithoutConcurrently => {
                "use `CREATE INDEX CONCURRENTLY`, alone in its file and outside of a transaction"
            }
            Self::Edited => "put the file back as it was, and write a new migration for the change",
            Self::Unreadable => "look at what it does: it is not known to be harmless",
            Self::Allow => {
                "write it as `-- allow: rule reason` before the statement, with a rule of this list and a reason"
            }
        }
    }

    fn of(word: &str) -> Option<Self> {
        RULES.into_iter().find(|rule| rule.word() == word)
    }
}

impl Finding {
    /// Whether it stands in the way.
    pub(crate) fn blocks(&self) -> bool {
        self.rule.blocks() && self.allowed.is_none()
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, path, line, what, allowed } = self;
        write!(formatter, "{path}:{line}: {what} ({})", rule.word())?;
        allowed.iter().try_for_each(|reason| write!(formatter, ", allowed: {reason}"))
    }
}

/// Whether the version that ran before can run on the database afterwards.
pub(crate) fn is_rollback_safe(findings: &[Finding]) -> bool {
    !findings.iter().any(|finding| finding.rule.is_contract() || finding.rule == Rule::Unreadable)
}

/// Looks at pending migrations, in the order in which they are applied.
pub(crate) fn lint(scripts: &[Script]) -> Vec<Finding> {
    let mut judge = Judge::default();
    let mut findings = Vec::new();
    for script in scripts {
        let finding = |rule, line, what: String| Finding { rule, path: script.path.clone(), line, what, allowed: None };
        if script.is_edited && !is_repeatable(&script.path) {
            findings.push(finding(Rule::Edited, 1, "was delivered before, and has another text now".to_owned()));
        }
        match statements(&script.text) {
            Err((line, why)) => findings.push(finding(Rule::Unreadable, line, format!("cannot be read: {why}"))),
            Ok(statements) => {
                for statement in &statements {
                    let (allowed, mistakes) = acknowledged(statement);
                    findings.extend(mistakes.into_iter().map(|what| finding(Rule::Allow, statement.line, what)));
                    findings.extend(judge.look(statement).into_iter().map(|(rule, what)| Finding {
                        allowed: allowed.iter().find(|(allowed, _)| *allowed == rule).map(|(_, reason)| reason.clone()),
                        ..finding(rule, statement.line, what)
                    }));
                }
            }
        }
    }
    findings
}

/// The rules that a statement's comments acknowledge, with their reasons; and what is wrong with such comments.
fn acknowledged(statement: &Statement) -> (Vec<(Rule, String)>, Vec<String>) {
    let (mut allowed, mut mistakes) = (Vec::new(), Vec::new());
    for comment in &statement.comments {
        let Some(text) = comment.trim().strip_prefix("allow:").map(str::trim) else { continue };
        let (word, reason) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        match (Rule::of(word), reason.trim()) {
            (None, _) => mistakes.push(format!("allows `{word}`, which is no rule")),
            (Some(_), "") => mistakes.push(format!("allows `{word}` without a reason")),
            (Some(rule), reason) => allowed.push((rule, reason.to_owned())),
        }
    }
    (allowed, mistakes)
}

/// Whether a file is a migration that is applied on the way forward, by the names that the tools know: Prisma's
/// `…/migration.sql`, Flyway's `V1__…` and `R__…`, `….up.sql` of golang-migrate and sqlx, or any other SQL.
pub(crate) fn is_script(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_undo = name
        .strip_prefix('U')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()) && rest.contains("__"));
    name.to_ascii_lowercase().ends_with(".sql")
        && !is_undo
        && ![".down.sql", ".undo.sql", ".rollback.sql"].iter().any(|end| name.ends_with(end))
}

/// Flyway applies `R__….sql` anew whenever it changes.
fn is_repeatable(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with("R__"))
}

/// The order in which migrations are applied: by version where the name begins with one, else by name.
pub(crate) fn in_order(scripts: &mut [Script]) {
    scripts.sort_by(|one, other| order(&one.path).cmp(&order(&other.path)));
}

fn order(path: &str) -> (bool, Vec<u128>, &str) {
    let name = path.rsplit('/').next().unwrap_or(path);
    // Prisma's version is the folder's.
    let name = if name == "migration.sql" { path.rsplit('/').nth(1).unwrap_or(name) } else { name };
    let version = name.strip_prefix('V').unwrap_or(name).split("__").next().unwrap_or_default();
    let numbers = version.split(['.', '_', '-']).map_while(|part| part.parse().ok()).collect();
    (is_repeatable(path), numbers, path)
}

#[cfg(test)]
mod tests;
