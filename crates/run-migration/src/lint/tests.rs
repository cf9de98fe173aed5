use super::*;

fn script(path: &str, text: &str) -> Script {
    Script { path: path.to_owned(), text: text.to_owned(), is_edited: false }
}

/// The rules that a text breaks, in order.
fn broken(text: &str) -> Vec<&'static str> {
    lint(&[script("m.sql", text)]).iter().map(|finding| finding.rule.word()).collect()
}

#[test]
fn each_rule_sees_what_it_is_for_and_nothing_else() {
    for (text, expected) in [
        // What only adds.
        ("CREATE TABLE a (id int PRIMARY KEY);", &[][..]),
        ("ALTER TABLE a ADD COLUMN b text;", &[]),
        ("ALTER TABLE a ADD COLUMN b int NOT NULL DEFAULT 0;", &[]),
        ("ALTER TABLE a ADD COLUMN at timestamptz NOT NULL DEFAULT now();", &[]),
        ("ALTER TABLE a ALTER COLUMN b DROP NOT NULL;", &[]),
        ("CREATE INDEX CONCURRENTLY i ON a (b);", &[]),
        ("DROP INDEX CONCURRENTLY i;", &[]),
        ("ALTER TABLE a ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES c (id) NOT VALID;", &[]),
        ("ALTER TABLE a VALIDATE CONSTRAINT f;", &[]),
        ("INSERT INTO a (b) VALUES (1); UPDATE a SET b = 2 WHERE b = 1; DELETE FROM a WHERE b = 2;", &[]),
        ("ALTER TYPE mood ADD VALUE 'meh';", &[]),
        ("SET lock_timeout = '1s'; BEGIN; COMMIT;", &[]),
        ("COMMENT ON TABLE a IS 'x';", &[]),
        ("CREATE VIEW v AS SELECT 1;", &[]),
        ("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; DROP TABLE a; $$;", &[]),
        // What takes away.
        ("DROP TABLE a, b;", &["destructive", "destructive"]),
        ("ALTER TABLE a DROP COLUMN b;", &["destructive"]),
        ("DROP VIEW v;", &["destructive"]),
        ("DROP SCHEMA s CASCADE;", &["destructive"]),
        ("TRUNCATE a;", &["destructive"]),
        ("DELETE FROM a;", &["destructive"]),
        // What is called otherwise.
        ("ALTER TABLE a RENAME TO b;", &["renaming"]),
        ("ALTER TABLE a RENAME COLUMN b TO c;", &["renaming"]),
        ("ALTER TYPE mood RENAME VALUE 'meh' TO 'fine';", &["renaming"]),
        ("RENAME TABLE `a` TO `b`;", &["renaming"]),
        ("ALTER TABLE `a` CHANGE `b` `c` int;", &["renaming"]),
        // What is of another type.
        ("ALTER TABLE a ALTER COLUMN b TYPE bigint;", &["rewriting"]),
        ("ALTER TABLE a ALTER COLUMN b SET DATA TYPE bigint USING b::bigint;", &["rewriting"]),
        ("ALTER TABLE `a` MODIFY COLUMN `b` bigint;", &["rewriting"]),
        // What demands more.
        ("ALTER TABLE a ADD COLUMN b int NOT NULL;", &["not-null"]),
        ("ALTER TABLE a ALTER COLUMN b SET NOT NULL;", &["not-null"]),
        // What has others wait.
        ("CREATE INDEX i ON a (b);", &["index-without-concurrently"]),
        ("CREATE UNIQUE INDEX i ON a (b);", &["index-without-concurrently"]),
        ("ALTER TABLE a ADD CONSTRAINT f FOREIGN KEY (b) REFERENCES c (id);", &["locking"]),
        ("ALTER TABLE a ADD CONSTRAINT k CHECK (b > 0);", &["locking"]),
        ("ALTER TABLE a ADD CONSTRAINT u UNIQUE (b);", &["locking"]),
        ("ALTER TABLE a ADD COLUMN b uuid DEFAULT gen_random_uuid();", &["locking"]),
        ("UPDATE a SET b = 1;", &["locking"]),
        ("DROP INDEX i;", &["locking"]),
        ("LOCK TABLE a IN ACCESS EXCLUSIVE MODE;", &["locking"]),
        ("VACUUM FULL a;", &["locking"]),
        ("REINDEX TABLE a;", &["locking"]),
        // MySQL builds indexes beside the writes.
        ("CREATE INDEX `i` ON `a` (`b`);", &[]),
        // What nobody can tell.
        ("DO $$ BEGIN EXECUTE 'DROP TABLE a'; END $$;", &["unreadable"]),
        ("FROBNICATE a;", &["unreadable"]),
        ("SELECT 'no end", &["unreadable"]),
    ] {
        assert_eq!(broken(text), expected, "{text}");
    }
}

#[test]
fn a_table_that_the_same_release_makes_is_nobodys_yet() {
    let first = script("1/migration.sql", "CREATE TABLE \"Order\" (id int);");
    let second = script(
        "2/migration.sql",
        "CREATE INDEX i ON \"Order\" (id); ALTER TABLE \"Order\" ADD COLUMN b int NOT NULL; DROP TABLE \"Order\";",
    );
    assert_eq!(lint(&[first, second.clone()]), []);
    assert_eq!(lint(&[second]).len(), 3);
}

#[test]
fn what_is_acknowledged_with_a_reason_stands_in_nobodys_way() {
    let acknowledged = lint(&[script("m.sql", "-- allow: destructive unused since 1.4\nALTER TABLE a DROP COLUMN b;")]);
    assert_eq!(acknowledged[0].to_string(), "m.sql:2: drops column `a.b` (destructive), allowed: unused since 1.4");
    assert!(!acknowledged[0].blocks() && !is_rollback_safe(&acknowledged));

    for (comment, mistake) in [
        ("-- allow: destructive", Some("allows `destructive` without a reason")),
        ("-- allow: dropping it is old", Some("allows `dropping`, which is no rule")),
        ("-- allow: renaming it is old", None),
        ("-- we allow: destructive things here", None),
    ] {
        let findings = lint(&[script("m.sql", &format!("{comment}\nDROP TABLE a;"))]);
        assert!(findings.iter().any(|finding| finding.rule == Rule::Destructive && finding.blocks()), "{comment}");
        let told = findings.iter().find(|finding| finding.rule == Rule::Allow).map(|finding| finding.what.as_str());
        assert_eq!(told, mistake, "{comment}");
    }
    // An acknowledgement is the next statement's alone.
    let text = "-- allow: destructive unused\nDROP TABLE a;\nDROP TABLE b;";
    let blocks: Vec<bool> = lint(&[script("m.sql", text)]).iter().map(Finding::blocks).collect();
    assert_eq!(blocks, [false, true]);
}

#[test]
fn lines_are_those_of_the_statements() {
    let findings = lint(&[script("m.sql", "-- first\n\nSELECT 1;\n\n\n  DROP TABLE a;\nDROP\nTABLE b;")]);
    assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [6, 7]);
}

#[test]
fn the_way_back_is_not_looked_at() {
    assert_eq!(broken("-- +goose Up\nCREATE TABLE a (id int);\n-- +goose Down\nDROP TABLE b;"), Vec::<&str>::new());
    assert_eq!(broken("-- migrate:up\nDROP TABLE b;\n-- migrate:down\nDROP TABLE c;"), ["destructive"]);
    for (path, expected) in [
        ("db/20260105_add/migration.sql", true),
        ("db/V2__add.sql", true),
        ("db/U2__add.sql", false),
        ("db/R__view.sql", true),
        ("db/User_table.sql", true),
        ("db/000002_add.up.sql", true),
        ("db/000002_add.down.sql", false),
        ("db/migration_lock.toml", false),
    ] {
        assert_eq!(is_script(path), expected, "{path}");
    }
}

#[test]
fn scripts_come_in_the_order_in_which_they_are_applied() {
    let mut scripts: Vec<Script> =
        ["db/R__view.sql", "db/V10__c.sql", "db/V2__b.sql", "db/V1.1__a.sql"].map(|path| script(path, "")).into();
    in_order(&mut scripts);
    let paths: Vec<&str> = scripts.iter().map(|script| script.path.as_str()).collect();
    assert_eq!(paths, ["db/V1.1__a.sql", "db/V2__b.sql", "db/V10__c.sql", "db/R__view.sql"]);
}

#[test]
fn a_file_that_was_delivered_before_is_not_to_change() {
    let edited = |path: &str| Script { is_edited: true, ..script(path, "CREATE TABLE a (id int);") };
    let findings = lint(&[edited("db/V1__a.sql"), edited("db/R__view.sql")]);
    assert_eq!(
        findings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["db/V1__a.sql:1: was delivered before, and has another text now (edited)"]
    );
    assert!(is_rollback_safe(&findings) && !findings[0].blocks());
}
