//! Four databases of a real PostgreSQL, migrated side by side by a real tool in real containers
//! (<https://github.com/golang-migrate/migrate>).

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::backups::{self, BACKUP};
use super::{expect_unchanged, open, running};
use crate::e2e::infrastructure::push;
use crate::e2e::monorepo::{AUTH, ENVIRONMENT};
use crate::e2e::moto::Moto;
use crate::e2e::postgres::Postgres;
use crate::e2e::registry_name;
use crate::e2e::stage::{Stage, short};
use crate::process::{Run, program, say};
use crate::{poll, tools};

/// Applied already.
const USERS: &str = "users";
/// Its migration fails.
const ORDERS: &str = "orders";
/// Somebody else holds its advisory lock.
const STOCK: &str = "stock";
/// Its migration is killed half-way.
const LEDGER: &str = "ledger";
const DATABASES: [&str; 4] = [USERS, ORDERS, STOCK, LEDGER];

const REPOSITORY: &str = "payments/databases";
const CONFIG: &str = "databases.toml";

const FIRST: &str = "CREATE TABLE things (id int PRIMARY KEY, name text);\n";

/// What each database's second migration does. PostgreSQL's own `pg_sleep` is what takes long.
const SECOND: [(&str, &str); 4] = [
    (USERS, "ALTER TABLE things ADD COLUMN note text;"),
    (ORDERS, "ALTER TABLE things ADD COLUMN name text;"),
    (STOCK, "ALTER TABLE things ADD COLUMN note text;"),
    (LEDGER, "SELECT pg_sleep(600);"),
];

pub(super) fn four_databases_side_by_side(stage: &Stage, folder: &Path) -> Result<()> {
    let postgres = Postgres::start(folder, &DATABASES)?;
    write(stage, &postgres)?;
    stage.create_repository(REPOSITORY)?;
    DATABASES.iter().try_for_each(|database| stage.create_idle_service(database))?;
    let moto = Moto::start()?;
    [stage.aws(), moto.api].into_iter().try_for_each(backups::create_instance)?;
    let before = stage.repository.head()?;
    let first = commit_and_push(stage, folder, "databases: the first migration", &["1"])?;
    open(&format!("four databases, nothing in them ({})", short(&first)));
    let with = [("config", CONFIG), ("timeout", "5m")];
    stage.push(&first, &before)?.step("run-migration", &with, "applied")?;
    expect_versions(&postgres, [(USERS, "1|f"), (ORDERS, "1|f"), (STOCK, "1|f"), (LEDGER, "1|f")])?;
    backups::expect_snapshot(stage.aws(), USERS, &first)?;

    let second = commit_and_push(stage, folder, "databases: the second migration", &["1", "2"])?;
    open(&format!("one applied already, one that fails, one locked, one killed ({})", short(&second)));
    let services = running(stage)?;
    let workflow = stage.push(&second, &first)?;
    workflow.step("run-migration", &[("config", CONFIG), ("services", USERS)], "applied")?;
    let lock = hold_the_lock(&postgres, folder)?;
    let ended = std::thread::scope(|scope| {
        let killer = scope.spawn(|| kill_half_way(&postgres));
        let ended = workflow.step("run-migration", &[("config", CONFIG), ("timeout", "45s")], "unknown");
        killer.join().map_err(|_| anyhow::anyhow!("the thread that kills has died"))?.and(ended)
    })?;
    // The tool waits for its lock without an end.
    let expected = [(USERS, "success"), (ORDERS, "app-exit"), (STOCK, "timed-out"), (LEDGER, "killed")];
    expect_classes(&ended.outputs, expected)?;
    let words = "column \"name\" of relation \"things\" already exists";
    if !ended.log.contains(words) {
        bail!("`{words}` is not in the log:\n{}", ended.log);
    }
    expect_versions(&postgres, [(USERS, "2|f"), (ORDERS, "2|t"), (STOCK, "2|t"), (LEDGER, "2|t")])?;
    // The job ends with the failed step: nothing is deployed.
    expect_unchanged(stage, &services)?;

    open("a re-run follows the task that still waits for the lock");
    let again = [("config", CONFIG), ("services", STOCK), ("timeout", "15s")];
    let followed = workflow.step("run-migration", &again, "unknown")?;
    if !followed.log.contains("which this run started before") {
        bail!("another task was started:\n{}", followed.log);
    }
    open("the lock is free again: a new start finds what the other process left");
    lock.give_back(&postgres)?;
    let dirty = workflow.step("run-migration", &[("config", CONFIG), ("services", STOCK)], "failed")?;
    expect_way_out(&dirty.summary)?;
    open("a new start finds what the tool has left");
    let dirty = workflow.step("run-migration", &[("config", CONFIG), ("services", ORDERS)], "failed")?;
    expect_way_out(&dirty.summary)?;
    snapshots_elsewhere(stage, &moto, folder, &second)
}

/// The same of RDS as other people understand it: a snapshot, the next in its place, and a new database of that.
fn snapshots_elsewhere(stage: &Stage, moto: &Moto, folder: &Path, before: &str) -> Result<()> {
    let with = [("config", CONFIG), ("services", USERS)];
    let mut before = before.to_owned();
    for note in ["a note", "another note"] {
        stage.repository.write("databases/users/note.txt", note)?;
        let commit = commit_and_push(stage, folder, &format!("databases: {note}"), &["1", "2"])?;
        open(&format!("a snapshot before the migration, in another RDS ({})", short(&commit)));
        let workflow = stage.push_to(&stage.repository, &commit, &before, &backups::OF_MOTO)?;
        workflow.step("run-migration", &with, "applied")?;
        backups::expect_snapshot(moto.api, USERS, &commit)?;
        before = commit;
    }
    open("a restore of the snapshot");
    let snapshot = backups::expect_snapshot(moto.api, USERS, &before)?;
    let workflow = stage.push_to(&stage.repository, &before, &before, &backups::OF_MOTO)?;
    backups::restore(&workflow, moto, &with, &snapshot)
}

/// The tool's own way out of a migration that was left half-way.
fn expect_way_out(summary: &str) -> Result<()> {
    match summary.contains("force 1") {
        true => Ok(()),
        false => bail!("the tool's way out is not in the summary:\n{summary}"),
    }
}

/// The delivery file and the task definition of four databases. All of them borrow one service's network.
fn write(stage: &Stage, postgres: &Postgres) -> Result<()> {
    let mut text = format!(
        "name = \"databases\"\n\n[environments.{ENVIRONMENT}]\nbranch = \"main\"\nregion = \"eu-west-1\"\ncluster = \"payments-{ENVIRONMENT}\"\n"
    );
    for database in DATABASES {
        let url = postgres.url(database);
        let backup = if database == USERS { BACKUP } else { "" };
        text += &format!(
            "\n[services.{database}]\npath = \"databases/{database}\"\nrepository = \"{REPOSITORY}\"\ntask-definition = \"deploy/{AUTH}.json\"\ncontainer = \"app\"\n\n[services.{database}.migration]\ncommand = [\"/migrate\", \"-path\", \"/{database}\", \"-database\", \"{url}\", \"up\"]\nsources = \"databases/{database}\"\n{backup}"
        );
    }
    stage.repository.write(CONFIG, &text)?;
    for database in DATABASES {
        stage.repository.write(&format!("databases/{database}/1_first.up.sql"), FIRST)?;
    }
    Ok(())
}

/// Commits the migrations up to these versions, and pushes an image that holds them with the tool.
fn commit_and_push(stage: &Stage, folder: &Path, message: &str, versions: &[&str]) -> Result<String> {
    if versions.contains(&"2") {
        for (database, second) in SECOND {
            stage.repository.write(&format!("databases/{database}/2_second.up.sql"), second)?;
        }
    }
    let commit = stage.repository.commit(message)?;
    let context = folder.join("databases");
    std::fs::create_dir_all(&context)?;
    std::fs::copy(tools::migrate()?, context.join("migrate")).context("cannot copy the migration tool")?;
    program("cp").arg("-r").arg(stage.repository.path.join("databases/.")).arg(&context).read()?;
    std::fs::write(context.join("Dockerfile"), "FROM scratch\nCOPY . /\nUSER 65532\nENTRYPOINT []\n")?;
    let image = format!("{}/{REPOSITORY}:{commit}", registry_name::host());
    program("docker").args(["build", "--quiet", "--tag", &image]).arg(&context).read()?;
    push(&image, folder)?;
    Ok(commit)
}

/// Somebody else's session that holds the lock which the tool wants.
struct Lock(Child);

impl Lock {
    /// Ends the session: the server itself does not notice that nobody waits for its answer any more.
    fn give_back(self, postgres: &Postgres) -> Result<()> {
        let sleepers = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()";
        postgres.ask(STOCK, sleepers).map(drop)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Err(error) = self.0.kill().and_then(|()| self.0.wait()) {
            say(format!("the migration tool, process {}, could not be stopped: {error}", self.0.id()));
        }
    }
}

/// Another process of the tool, which is at work on the database for as long as this is there: it holds the tool's lock.
fn hold_the_lock(postgres: &Postgres, folder: &Path) -> Result<Lock> {
    let files = folder.join("at-work");
    std::fs::create_dir_all(&files)?;
    std::fs::write(files.join("1_first.up.sql"), FIRST)?;
    std::fs::write(files.join("2_long.up.sql"), "SELECT pg_sleep(600);")?;
    let session = program(tools::migrate()?)
        .arg("-path")
        .arg(&files)
        .args(["-database", &postgres.url(STOCK), "up"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the migration tool")?;
    let lock = Lock(session);
    is_at_work(postgres, STOCK)?;
    Ok(lock)
}

/// Waits until a migration that takes long has begun.
fn is_at_work(postgres: &Postgres, database: &str) -> Result<()> {
    let at_work = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()"
    );
    poll::until(&format!("a migration at work on `{database}`"), Duration::from_secs(120), || {
        match postgres.ask(database, &at_work)?.as_str() {
            "0" => bail!("it has not begun"),
            _ => Ok(()),
        }
    })
}

/// Kills the container of the migration that takes long, once the database is at it.
fn kill_half_way(postgres: &Postgres) -> Result<()> {
    is_at_work(postgres, LEDGER)?;
    let listed = program("docker").args(["ps", "--no-trunc", "--format", "{{.ID}} {{.Command}}"]).read()?;
    let container = listed.lines().find(|line| line.contains("/ledger")).and_then(|line| line.split(' ').next());
    program("docker").args(["kill", container.context("no container migrates `ledger`")?]).read().map(drop)
}

/// The version that the tool has written down in each database, and whether it was left half-way.
fn expect_versions(postgres: &Postgres, expected: [(&str, &str); 4]) -> Result<()> {
    for (database, expected) in expected {
        let found = postgres.ask(database, "SELECT version, dirty FROM schema_migrations")?;
        if found != expected {
            bail!("database `{database}` is at {found}, expected {expected}");
        }
    }
    Ok(())
}

fn expect_classes(outputs: &std::collections::BTreeMap<String, String>, expected: [(&str, &str); 4]) -> Result<()> {
    let report: Value = serde_json::from_str(outputs.get("json").context("there is no output `json`")?)?;
    let services = report.get("services").and_then(Value::as_array).context("the report names no services")?;
    for (database, class) in expected {
        let found = services.iter().find(|service| service.get("service").and_then(Value::as_str) == Some(database));
        let found = found.and_then(|service| service.get("class")?.as_str());
        if found != Some(class) {
            bail!("`{database}` ended as {found:?}, expected `{class}`: {report:#}");
        }
    }
    Ok(())
}
