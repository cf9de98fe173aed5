//! Restores: by somebody who typed in which database, to a new one.

use insta::assert_snapshot;
use stage::Stage;
use world::DatabaseSeed;

use crate::shop::{DELIVERY, act, add};

/// The shop after a migration that failed, with a backup from before.
async fn stage(is_cluster: bool) -> Stage {
    let stage = Stage::new();
    let kind = if is_cluster { "rds-cluster" } else { "rds-instance" };
    let backup = format!("command = [\"migrate\"], backup = {{ {kind} = \"shop-auth\" }} }}");
    stage.file(
        "delivery.toml",
        DELIVERY.replacen("command = [\"npx\", \"prisma\", \"migrate\", \"deploy\"] }", &backup, 1),
    );
    add(&stage, "auth", "exits 1 after 4 s");
    stage.world.create_database(DatabaseSeed { is_cluster, ..DatabaseSeed::default() });
    let ran = act(&stage, &[("services", "auth")]).await;
    assert_eq!((ran.output("result"), ran.output("snapshot")), ("failed", "auth-0123456-7"), "{}", ran.log);
    stage
}

const RESTORE: [(&str, &str); 3] = [("operation", "restore"), ("services", "auth"), ("confirm", "shop-auth")];

fn writes(stage: &Stage) -> Vec<String> {
    stage.world.writes().into_iter().skip_while(|write| write != "ssm:PutParameter").skip(1).collect()
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_is_restored_beside_the_database_with_its_settings() {
    let stage = stage(false).await;
    let ran = act(&stage, &[&RESTORE[..], &[("restore-to", "shop-auth-2")]].concat()).await;
    assert_eq!((ran.exit_code, ran.output("result")), (0, "restored"), "{}", ran.log);
    assert_eq!(ran.output("endpoint"), "shop-auth-2.c0a1b2c3d4e5.eu-west-1.rds.amazonaws.com:5432");
    assert_eq!(writes(&stage), ["rds:RestoreDBInstanceFromDBSnapshot"]);
    let databases = stage.world.databases();
    let [old, new] = databases.as_slice() else { panic!("{databases:?}") };
    assert_eq!(
        (&old.security_groups, &old.parameter_group, old.multi_az),
        (&new.security_groups, &new.parameter_group, new.multi_az)
    );
    assert_snapshot!(ran.summary);
}

#[tokio::test(start_paused = true)]
async fn a_restored_cluster_has_an_instance_to_connect_to() {
    let stage = stage(true).await;
    let ran = act(&stage, &[&RESTORE[..], &[("restore-to", "shop-auth-2")]].concat()).await;
    assert_eq!((ran.exit_code, ran.output("result")), (0, "restored"), "{}", ran.log);
    assert_eq!(writes(&stage), ["rds:RestoreDBClusterFromSnapshot", "rds:CreateDBInstance"]);
}

#[tokio::test(start_paused = true)]
async fn names_are_swapped_only_if_that_is_asked_for() {
    let stage = stage(false).await;
    let ran = act(&stage, &[&RESTORE[..], &[("swap-names", "true")]].concat()).await;
    assert_eq!((ran.exit_code, ran.output("result")), (0, "restored"), "{}", ran.log);
    assert_eq!(writes(&stage), ["rds:RestoreDBInstanceFromDBSnapshot", "rds:ModifyDBInstance", "rds:ModifyDBInstance"]);
    let ids: Vec<String> = stage.world.databases().into_iter().map(|database| database.id).collect();
    assert_eq!(ids[0], "shop-auth");
    assert!(ids[1].starts_with("shop-auth-before-restore-20260105-"), "{ids:?}");
    assert_eq!(ran.output("endpoint"), "shop-auth.c0a1b2c3d4e5.eu-west-1.rds.amazonaws.com:5432");
    assert_snapshot!(ran.summary);
}

#[tokio::test(start_paused = true)]
async fn names_of_clusters_are_swapped_the_same_way() {
    let stage = stage(true).await;
    let ran = act(&stage, &[&RESTORE[..], &[("swap-names", "true")]].concat()).await;
    assert_eq!((ran.exit_code, ran.output("result")), (0, "restored"), "{}", ran.log);
    let swapped =
        ["rds:RestoreDBClusterFromSnapshot", "rds:CreateDBInstance", "rds:ModifyDBCluster", "rds:ModifyDBCluster"];
    assert_eq!(writes(&stage), swapped);
}

#[tokio::test(start_paused = true)]
async fn a_restore_is_confirmed_or_not_begun() {
    let mut told = String::new();
    for inputs in [
        &[("operation", "restore"), ("services", "auth")][..],
        &[("operation", "restore"), ("services", "auth"), ("confirm", "yes")],
        &[("operation", "restore"), ("confirm", "shop-auth")],
        &[("operation", "restore"), ("services", "web"), ("confirm", "shop-auth")],
        &[&RESTORE[..], &[("snapshot", "nightly")]].concat(),
        &[&RESTORE[..], &[("restore-to", "shop-auth")]].concat(),
        &[("services", "auth"), ("confirm", "shop-auth")],
        &[("services", "auth"), ("swap-names", "true")],
    ] {
        let stage = stage(false).await;
        let ran = act(&stage, inputs).await;
        assert!(writes(&stage).is_empty(), "{inputs:?}");
        told += &format!("{}: {}\n", ran.exit_code, ran.annotations().join("\n"));
    }
    assert_snapshot!(told);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_a_restore_would_do() {
    let stage = stage(false).await;
    let ran = act(&stage, &[&RESTORE[..], &[("dry-run", "true"), ("swap-names", "true")]].concat()).await;
    assert_eq!((ran.exit_code, ran.output("result")), (0, "planned"), "{}", ran.log);
    assert!(writes(&stage).is_empty());
    assert_snapshot!(ran.summary);
}
