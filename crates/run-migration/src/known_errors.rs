//! What migration tools say when they need a person: recognised in the log, answered with the way out. A hint, never a verdict.

/// What a tool said, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// What the tool said, in a sentence.
    pub(crate) means: String,
    /// The command that gets out of it, once a person has looked.
    pub(crate) command: Option<String>,
}

/// The way out of the first known error in a log.
pub(crate) fn recovery<'a>(lines: impl IntoIterator<Item = &'a str>) -> Option<Recovery> {
    let text = lines.into_iter().collect::<Vec<_>>().join("\n");
    KNOWN.iter().find(|(sign, _)| text.contains(sign)).map(|(_, explain)| explain(&text))
}

type Explain = fn(&str) -> Recovery;

/// By the sign that the tool prints. The cause comes before its consequence: P3018 leaves what P3009 complains of the next time.
/// <https://www.prisma.io/docs/orm/reference/error-reference>, <https://github.com/golang-migrate/migrate/blob/master/FAQ.md>
const KNOWN: [(&str, Explain); 11] = [
    ("P3018", |text| {
        let migration = after(text, "Migration name: ").unwrap_or("<migration>");
        Recovery {
            means: format!(
                "Prisma could not apply the migration `{migration}` (P3018). It applies no other one until this one is resolved: undo by hand what it did, and mark it as rolled back, or finish it by hand, and mark it as applied (`--applied`)."
            ),
            command: Some(format!("npx prisma migrate resolve --rolled-back {migration}")),
        }
    }),
    ("P3009", |text| {
        let migration = between_backticks_after(text, "P3009").unwrap_or("<migration>");
        Recovery {
            means: format!(
                "Prisma found that the migration `{migration}` failed before (P3009), and applies none until it is resolved: undo by hand what it did, and mark it as rolled back, or finish it by hand, and mark it as applied (`--applied`)."
            ),
            command: Some(format!("npx prisma migrate resolve --rolled-back {migration}")),
        }
    }),
    ("P3005", |_| {
        Recovery {
        means: "Prisma found a database with tables and without its own history (P3005): mark the migrations that made these tables as applied, once for each, and run again.".to_owned(),
        command: Some("npx prisma migrate resolve --applied <migration>".to_owned()),
    }
    }),
    ("P1001", |_| {
        Recovery {
        means: "Prisma cannot reach the database (P1001): check the host in its URL, and that the database's security group lets the task's in.".to_owned(),
        command: None,
    }
    }),
    ("P1002", |_| {
        Recovery {
        means: "Prisma reached the database and got no answer in time (P1002): another migration may hold the advisory lock 72707369, or the URL goes through a pooler, which cannot hold locks; use the direct one.".to_owned(),
        command: Some("SELECT pid, state, query FROM pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory' AND objid = 72707369;".to_owned()),
    }
    }),
    ("P1003", |_| {
        Recovery {
        means: "Prisma reached the server, and it has no database of this name (P1003): check the name in the URL, and create the database.".to_owned(),
        command: None,
    }
    }),
    ("Dirty database version", |text| {
        let version = after(text, "Dirty database version ")
            .and_then(|rest| rest.split(['.', ' ']).next())
            .unwrap_or("<version>");
        Recovery {
            means: format!(
                "golang-migrate found that version {version} was applied in part and stopped: undo by hand what it did, then set the version before it (or finish it by hand, and set {version})."
            ),
            command: Some(match version.parse::<u64>().ok().and_then(|number| number.checked_sub(1)) {
                Some(before) => format!("migrate -path migrations -database \"$DATABASE_URL\" force {before}"),
                None => "migrate -path migrations -database \"$DATABASE_URL\" force <version>".to_owned(),
            }),
        }
    }),
    ("contains a failed migration to version", |_| Recovery {
        means: "Flyway found a migration that failed before: undo by hand what it did, and repair its history."
            .to_owned(),
        command: Some("flyway repair".to_owned()),
    }),
    ("Migration checksum mismatch", |_| {
        Recovery {
        means: "Flyway found a migration that was applied and edited since: put the file back as it was, and write a new migration for the change; only if the edit changed nothing that matters, have the history repaired."
            .to_owned(),
        command: Some("flyway repair".to_owned()),
    }
    }),
    ("is partially applied; fix and remove row from `_sqlx_migrations` table", |text| {
        let version = before(text, " is partially applied").unwrap_or("<version>");
        Recovery {
            means: format!(
                "sqlx found that migration {version} was applied in part: undo by hand what it did, and remove its row."
            ),
            command: Some(format!("DELETE FROM _sqlx_migrations WHERE version = {version};")),
        }
    }),
    ("was previously applied but has been modified", |text| {
        let version = before(text, " was previously applied").unwrap_or("<version>");
        Recovery {
            means: format!(
                "sqlx found that migration {version} was applied and edited since: put the file back as it was, and write a new migration for the change."
            ),
            command: None,
        }
    }),
];

/// The rest of the line after a mark.
fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(mark)?;
    rest.lines().next().map(str::trim).filter(|rest| !rest.is_empty())
}

/// The word before a mark.
fn before<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark)?.0.split_whitespace().last()
}

fn between_backticks_after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark)?.1.split('`').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(log: &str, means: &str, command: Option<&str>) {
        let found = recovery(log.lines()).unwrap();
        assert!(found.means.contains(means), "{}", found.means);
        assert_eq!(found.command.as_deref(), command);
    }

    #[test]
    fn a_known_error_is_answered_with_the_way_out() {
        check(
            "Error: P3018\n\nA migration failed to apply. New migrations cannot be applied before the error is recovered from.\n\nMigration name: 20260105_add_email\n\nDatabase error code: 42703",
            "could not apply the migration `20260105_add_email`",
            Some("npx prisma migrate resolve --rolled-back 20260105_add_email"),
        );
        check(
            "Error: P3009\n\nmigrate found failed migrations in the target database, new migrations will not be applied.\nThe `20260105_add_email` migration started at 2026-01-05 09:00:00 UTC failed",
            "the migration `20260105_add_email` failed before",
            Some("npx prisma migrate resolve --rolled-back 20260105_add_email"),
        );
        check("Error: P1001: Can't reach database server at `db`:`5432`", "cannot reach the database", None);
        check(
            "error: Dirty database version 7. Fix and force version.",
            "version 7 was applied in part",
            Some("migrate -path migrations -database \"$DATABASE_URL\" force 6"),
        );
        check(
            "Error: P3005: The database schema is not empty.",
            "without its own history",
            Some("npx prisma migrate resolve --applied <migration>"),
        );
        check("Error: P1003: Database `shop` does not exist", "no database of this name", None);
        check(
            "ERROR: Migration checksum mismatch for migration version 2",
            "applied and edited since",
            Some("flyway repair"),
        );
        check(
            "error: migration 20260105 is partially applied; fix and remove row from `_sqlx_migrations` table",
            "migration 20260105 was applied in part",
            Some("DELETE FROM _sqlx_migrations WHERE version = 20260105;"),
        );
        check(
            "error: migration 20260105 was previously applied but has been modified",
            "migration 20260105 was applied and edited since",
            None,
        );
        assert_eq!(recovery(["all migrations have been applied"]), None);
    }
}
