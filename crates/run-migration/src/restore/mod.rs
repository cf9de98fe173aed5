//! `operation: restore`: a new database from the snapshot that was taken before a migration, by somebody who typed in which
//! one. The old database stays as it is, unless the two are asked to swap their names.

mod steps;

use std::time::Duration;

use common::aws::{Aws, Database, DatabaseName, Place, Restore, Snapshot};
use common::edges::Edges;
use common::failure::Failure;
use common::ledger::Migrations;
use common::markdown::{block, code, prose};
use common::names::{DeliveryName, EnvironmentName, ServiceKey};
use common::report::{Report, Verdict};
use common::scope::Scope;
use serde_json::json;

use crate::ACTION;
use crate::backup::{Wanted, identifier};
use crate::config::database;
use crate::facts::FoundDatabase;
use crate::inputs::Inputs;
use steps::Done;

/// What the caller wants restored.
struct Config {
    place: Place,
    ledger: Option<(DeliveryName, EnvironmentName)>,
    key: ServiceKey,
    database: DatabaseName,
    snapshot: Option<String>,
    to: String,
    /// What the old database is called afterwards, if the two swap names.
    aside: Option<String>,
    dry_run: bool,
    timeout: Duration,
}

/// What will be done.
struct Plan {
    restore: Restore,
    aside: Option<String>,
    timeout: Duration,
}

/// Restores.
pub(crate) async fn restore(inputs: Inputs, edges: &Edges) -> Result<Report, Failure> {
    let config = Config::read(inputs, edges)?;
    let aws = edges.aws(&config.place).await?;
    let plan = Plan::make(&config, &aws).await?;
    edges.runner.group("Plan", plan.text());
    if config.dry_run {
        return Ok(planned(&plan));
    }
    let done = plan.carry_out(&aws, edges).await;
    Ok(report(&plan, &done))
}

impl Config {
    fn read(inputs: Inputs, edges: &Edges) -> Result<Self, Failure> {
        let scope = Scope::resolve(&inputs.common, edges)?;
        let keys = scope.targets(inputs.service.as_ref(), None)?;
        let [key] = keys.as_slice() else {
            return Err(Failure::input(format!(
                "one database is restored at a time, and there are {} services",
                keys.len()
            ))
            .hint("name the one service in the input `services`"));
        };
        let migration = scope.declared(key).and_then(|declared| declared.migration.as_ref());
        let variables = scope.variables(key);
        let database = match (
            database(inputs.rds_instance, inputs.rds_cluster)?,
            migration.and_then(|migration| migration.backup.as_ref()),
        ) {
            (Some(database), _) => database,
            (None, Some(declared)) => Wanted::declared(declared, None, |name| variables.get(name).cloned())?.database,
            (None, None) => {
                return Err(Failure::input(format!("nothing says which database `{key}` has")).hint(
                    "set the input `rds-instance` or `rds-cluster`, or `backup` of the migration in delivery.toml",
                ));
            }
        };
        if inputs.confirm.as_deref() != Some(database.id()) {
            return Err(Failure::input(format!("restoring {database} is not confirmed"))
                .hint(format!("type its name into the input `confirm`: `{}`", database.id())));
        }
        let now = edges.now().strftime("%Y%m%d-%H%M").to_string();
        let to = inputs.restore_to.unwrap_or_else(|| identifier(&format!("{}-restored-{now}", database.id())));
        let aside = inputs.swap_names.then(|| identifier(&format!("{}-before-restore-{now}", database.id())));
        let ledger = scope.delivery.as_ref().zip(scope.environment.as_ref());
        Ok(Self {
            ledger: ledger.map(|(delivery, (environment, _))| (delivery.name.clone(), environment.clone())),
            key: key.clone(),
            database,
            snapshot: inputs.snapshot,
            to,
            aside,
            place: scope.place,
            dry_run: inputs.common.dry_run,
            timeout: inputs.common.timeout,
        })
    }
}

impl Plan {
    /// Looks at what there is, and refuses what cannot be.
    async fn make(config: &Config, aws: &Aws) -> Result<Self, Failure> {
        let id = match &config.snapshot {
            Some(snapshot) => snapshot.clone(),
            None => last_snapshot(config, aws).await?,
        };
        let Some(like) = FoundDatabase::read(&config.database, aws).await?.require(&config.database)? else {
            return Err(Failure::bug("a database that nobody asked for"));
        };
        let snapshot = aws.rds.snapshot(&config.database, &id).await?.ok_or_else(|| {
            Failure::input(format!("there is no snapshot `{id}`"))
                .hint("check its name, the account and the region: `aws rds describe-db-snapshots` lists them")
        })?;
        usable(&snapshot, &config.database)?;
        let to = config.database.renamed(&config.to);
        if aws.rds.database(&to).await?.is_some() {
            return Err(Failure::input(format!("there is an {to} already"))
                .hint("name another one in the input `restore-to`; nothing is ever restored over a database"));
        }
        if config.aside.is_some() && like.status != "available" {
            return Err(Failure::refused(format!("{} is {}, and cannot be renamed", like.name, like.status))
                .hint("wait until it is available, or restore without `swap-names`"));
        }
        let restore = Restore { snapshot: snapshot.id, to, like };
        Ok(Self { restore, aside: config.aside.clone(), timeout: config.timeout })
    }

    fn text(&self) -> String {
        let Restore { snapshot, to, like } = &self.restore;
        let swap = match &self.aside {
            Some(aside) => format!(
                "then rename {} to `{aside}`, and {to} to `{}`\n  what was written since the snapshot stays in `{aside}`\n",
                like.name,
                like.name.id()
            ),
            None => format!("{} stays as it is\n", like.name),
        };
        format!(
            "restore snapshot {snapshot} to {to}\n  subnet group: {}\n  security groups: {}\n  parameter group: {}\n  Multi-AZ: {}\n{swap}",
            like.subnet_group.as_deref().unwrap_or("RDS's default"),
            like.security_groups.join(", "),
            like.parameter_group.as_deref().unwrap_or("RDS's default"),
            if like.multi_az { "yes" } else { "no" },
        )
    }
}

/// The snapshot that was taken before the service's last migration.
async fn last_snapshot(config: &Config, aws: &Aws) -> Result<String, Failure> {
    let unknown = |why: &str| {
        Failure::input(format!("which snapshot to restore is not known: {why}"))
            .hint("name one in the input `snapshot`: `aws rds describe-db-snapshots --snapshot-type manual` lists them")
    };
    let Some((product, environment)) = &config.ledger else { return Err(unknown("there is no delivery.toml")) };
    let migrated = Migrations::of(&aws.ssm, product, environment).latest().await?;
    let migration = migrated.get(&config.key).ok_or_else(|| unknown("no migration of the service was written down"))?;
    let backup = migration.backup.as_ref().ok_or_else(|| unknown("the service's last migration took no backup"))?;
    Ok(backup.snapshot.clone())
}

fn usable(snapshot: &Snapshot, database: &DatabaseName) -> Result<(), Failure> {
    if snapshot.of != *database {
        return Err(Failure::input(format!("snapshot `{}` is of {}, not of {database}", snapshot.id, snapshot.of))
            .hint("check the inputs `snapshot` and `services`"));
    }
    match snapshot.status.as_str() {
        "available" => Ok(()),
        status => Err(Failure::refused(format!("snapshot `{}` is {status}", snapshot.id))
            .hint("wait until it is available, or name another one")),
    }
}

fn planned(plan: &Plan) -> Report {
    Report {
        result: "planned",
        verdict: Verdict::Good,
        outputs: vec![("class", "planned".to_owned()), ("snapshot", plan.restore.snapshot.clone())],
        json: json!({ "result": "planned", "snapshot": plan.restore.snapshot, "to": plan.restore.to.id() }),
        summary: format!("### 📋 {}: what a restore would do\n\n{}", ACTION.name, block("", &plan.text())),
    }
}

fn report(plan: &Plan, done: &Done) -> Report {
    let (snapshot, endpoint) = (&plan.restore.snapshot, done.endpoint());
    let (result, sign, verdict) = match &done.problem {
        None => ("restored", "✅", Verdict::Good),
        Some(problem) => ("failed", "❌", problem.verdict()),
    };
    let steps: String = done.steps.iter().map(|step| format!("- {}\n", prose(step))).collect();
    let where_it_is = match (&endpoint, &done.problem) {
        (Some(endpoint), None) => format!("\nIt answers at {}.\n", code(endpoint)),
        _ => String::new(),
    };
    let problem = match &done.problem {
        Some(problem) => format!("\n{}\n\n**Next step:** {}\n", prose(&problem.why), prose(&problem.hint)),
        None => String::new(),
    };
    Report {
        result,
        verdict,
        outputs: vec![
            ("class", result.to_owned()),
            ("snapshot", snapshot.clone()),
            ("endpoint", endpoint.clone().unwrap_or_default()),
        ],
        json: json!({ "result": result, "snapshot": snapshot, "endpoint": endpoint, "steps": done.steps }),
        summary: format!(
            "### {sign} {}: {result} from {}\n\n{steps}{where_it_is}{problem}",
            ACTION.name,
            code(snapshot)
        ),
    }
}

/// A database as a sentence names it, with its settings out of the way.
impl Done {
    fn endpoint(&self) -> Option<String> {
        self.database.as_ref().and_then(|database: &Database| database.endpoint.clone())
    }
}
