//! What a statement does, and which rule that is a matter of.

use std::collections::BTreeSet;

use sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, AlterTypeOperation, ColumnDef, ColumnOption, CreateIndex,
    Expr, ObjectName, ObjectType, Statement as Parsed, TableConstraint,
};

use super::Rule;
use super::statements::Statement;

/// Judges statements in the order in which they are applied: what a table made meanwhile is nobody's yet.
#[derive(Debug, Default)]
pub(super) struct Judge {
    /// Tables that these migrations make.
    new: BTreeSet<String>,
}

type Found = Vec<(Rule, String)>;

/// Statements that the parser may not know, and that do nothing to what is there.
const HARMLESS: [&[&str]; 14] = [
    &["ALTER", "DEFAULT", "PRIVILEGES"],
    &["ALTER", "SEQUENCE"],
    &["ANALYZE"],
    &["BEGIN"],
    &["COMMENT"],
    &["COMMIT"],
    &["CREATE", "EXTENSION"],
    &["DROP", "INDEX", "CONCURRENTLY"],
    &["GRANT"],
    &["NOTIFY"],
    &["REINDEX", "INDEX", "CONCURRENTLY"],
    &["REINDEX", "TABLE", "CONCURRENTLY"],
    &["RESET"],
    &["SET"],
];

/// Statements that lock a whole table for as long as they take, whether the parser knows them or not.
const LOCKING: [&[&str]; 4] = [&["CLUSTER"], &["LOCK"], &["REINDEX"], &["VACUUM", "FULL"]];

impl Judge {
    /// What is to be said of a statement.
    pub(super) fn look(&mut self, statement: &Statement) -> Found {
        let begins = |words: &[&str]| {
            statement.words.len() >= words.len() && statement.words.iter().zip(words).all(|(one, other)| one == other)
        };
        if HARMLESS.iter().any(|words| begins(words)) {
            return Vec::new();
        }
        if let Some(words) = LOCKING.iter().find(|words| begins(words)) {
            return vec![(Rule::Locking, format!("`{}` has everybody else wait", words.join(" ")))];
        }
        match &statement.parsed {
            Some(parsed) => self.judge(parsed, statement.is_mysql),
            None => {
                let begin = statement.words.join(" ");
                vec![(Rule::Unreadable, format!("the statement that begins with `{begin}` cannot be read"))]
            }
        }
    }

    fn judge(&mut self, parsed: &Parsed, is_mysql: bool) -> Found {
        match parsed {
            Parsed::CreateTable(table) => {
                self.new.insert(bare(&table.name));
                Vec::new()
            }
            Parsed::AlterTable(alter) if !self.is_new(&alter.name) => altered(alter),
            Parsed::Drop { object_type, names, .. } => self.dropped(*object_type, names, is_mysql),
            Parsed::Truncate(truncate) => {
                let old = truncate.table_names.iter().filter(|table| !self.is_new(&table.name));
                old.map(|table| (Rule::Destructive, format!("empties table `{}`", table.name))).collect()
            }
            Parsed::Delete(delete) if delete.selection.is_none() && delete.limit.is_none() => {
                vec![(Rule::Destructive, "deletes every row of a table".to_owned())]
            }
            Parsed::Update(update) if update.selection.is_none() => {
                vec![(Rule::Locking, "writes every row of a table, and locks each until the end".to_owned())]
            }
            Parsed::CreateIndex(index) if !is_mysql => self.indexed(index),
            Parsed::RenameTable(renamed) => {
                renamed.iter().map(|rename| renaming("table", &rename.old_name, &rename.new_name)).collect()
            }
            Parsed::AlterType(alter) => match &alter.operation {
                AlterTypeOperation::Rename(rename) => vec![renaming("type", &alter.name, &rename.new_name)],
                AlterTypeOperation::RenameValue(rename) => vec![renaming("value", &rename.from, &rename.to)],
                AlterTypeOperation::AddValue(_) => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    fn is_new(&self, table: &ObjectName) -> bool {
        self.new.contains(&bare(table))
    }

    fn dropped(&self, kind: ObjectType, names: &[ObjectName], is_mysql: bool) -> Found {
        let rule = match kind {
            ObjectType::Index if is_mysql => return Vec::new(),
            ObjectType::Index => Rule::Locking,
            ObjectType::Role | ObjectType::User => return Vec::new(),
            _ => Rule::Destructive,
        };
        let kind = kind.to_string().to_lowercase();
        let old = names.iter().filter(|name| !self.is_new(name));
        old.map(|name| (rule, format!("drops {kind} `{name}`"))).collect()
    }

    fn indexed(&self, index: &CreateIndex) -> Found {
        if index.concurrently || self.is_new(&index.table_name) {
            return Vec::new();
        }
        let what = format!("builds an index on `{}`, and writes to it wait meanwhile", index.table_name);
        vec![(Rule::IndexWithoutConcurrently, what)]
    }
}

fn altered(alter: &AlterTable) -> Found {
    alter.operations.iter().filter_map(|operation| operated(&alter.name, operation)).collect()
}

/// What one operation does to a table that is in use.
fn operated(table: &ObjectName, operation: &AlterTableOperation) -> Option<(Rule, String)> {
    use AlterTableOperation as Operation;

    match operation {
        Operation::DropColumn { column_names, .. } => {
            let names: Vec<String> = column_names.iter().map(|name| format!("`{table}.{name}`")).collect();
            Some((Rule::Destructive, format!("drops column {}", names.join(", "))))
        }
        Operation::DropPartitions { .. } => Some((Rule::Destructive, format!("drops partitions of `{table}`"))),
        Operation::RenameColumn { old_column_name, new_column_name } => {
            Some(renaming("column", old_column_name, new_column_name))
        }
        Operation::RenameTable { table_name } => {
            Some((Rule::Renaming, format!("renames table `{table}` ({table_name})")))
        }
        Operation::ChangeColumn { old_name, new_name, .. } if old_name.value != new_name.value => {
            Some(renaming("column", old_name, new_name))
        }
        Operation::ChangeColumn { new_name: column, data_type, .. }
        | Operation::ModifyColumn { col_name: column, data_type, .. } => {
            Some((Rule::Rewriting, format!("makes column `{table}.{column}` {data_type}")))
        }
        Operation::AlterColumn { column_name, op } => match op {
            AlterColumnOperation::SetNotNull => {
                Some((Rule::NotNull, format!("demands a value in `{table}.{column_name}`, which could be without")))
            }
            AlterColumnOperation::SetDataType { data_type, .. } => {
                Some((Rule::Rewriting, format!("makes column `{table}.{column_name}` {data_type}")))
            }
            _ => None,
        },
        Operation::AddColumn { column_def, .. } => added(table, column_def),
        Operation::AddConstraint { constraint, not_valid } => constrained(table, constraint, *not_valid),
        Operation::DropPrimaryKey { .. } => Some((Rule::Locking, format!("drops the primary key of `{table}`"))),
        _ => None,
    }
}

fn added(table: &ObjectName, column: &ColumnDef) -> Option<(Rule, String)> {
    let name = format!("`{table}.{}`", column.name);
    let has = |is: fn(&ColumnOption) -> bool| column.options.iter().any(|option| is(&option.option));
    let is_serial = column.data_type.to_string().to_lowercase().contains("serial");
    let fills_itself = is_serial
        || has(|option| {
            matches!(option, ColumnOption::Default(_) | ColumnOption::Generated { .. } | ColumnOption::Identity(_))
        });
    if has(|option| matches!(option, ColumnOption::NotNull)) && !fills_itself {
        let what = format!("adds column {name} that demands a value, which the version that runs does not write");
        return Some((Rule::NotNull, what));
    }
    // A default that differs from row to row has every row written at once:
    // https://www.postgresql.org/docs/current/ddl-alter.html#DDL-ALTER-ADDING-A-COLUMN
    let is_volatile = has(|option| match option {
        ColumnOption::Default(Expr::Function(function)) => {
            let called = function.name.to_string().to_lowercase();
            !["now", "current_timestamp", "current_date", "localtimestamp"].contains(&called.as_str())
        }
        ColumnOption::Generated { .. } => true,
        _ => false,
    });
    if is_volatile || is_serial {
        return Some((Rule::Locking, format!("adds column {name} with a value of its own for every row")));
    }
    let is_unique = has(|option| matches!(option, ColumnOption::Unique(_) | ColumnOption::PrimaryKey(_)));
    is_unique.then(|| (Rule::Locking, format!("adds column {name} with an index, and builds that")))
}

fn constrained(table: &ObjectName, constraint: &TableConstraint, not_valid: bool) -> Option<(Rule, String)> {
    let what = match constraint {
        TableConstraint::ForeignKey(_) | TableConstraint::Check(_) if not_valid => return None,
        TableConstraint::ForeignKey(_) => "adds a foreign key, and holds all rows against it",
        TableConstraint::Check(_) => "adds a check, and holds all rows against it",
        TableConstraint::Unique(_) => "adds a unique constraint, and builds its index",
        TableConstraint::PrimaryKey(_) => "adds a primary key, and builds its index",
        _ => return None,
    };
    Some((Rule::Locking, format!("`{table}`: {what}")))
}

fn renaming(kind: &str, from: impl std::fmt::Display, to: impl std::fmt::Display) -> (Rule, String) {
    (Rule::Renaming, format!("renames {kind} `{from}` to `{to}`"))
}

/// The last part of a name, as a database compares it.
fn bare(name: &ObjectName) -> String {
    let last = name.0.last().and_then(|part| part.as_ident());
    last.map(|ident| ident.value.to_lowercase()).unwrap_or_default()
}
