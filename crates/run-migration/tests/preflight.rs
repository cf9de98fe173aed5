//! What the migration's task needs is looked for before it is started.

use insta::assert_snapshot;
use serde_json::{Value, json};
use stage::{COMMIT, Stage};
use world::{ImageSeed, ServiceSeed};

use crate::shop::{DELIVERY, ending, migrate_auth, task_definition};

/// `auth`, whose tasks are given these secrets.
fn stage(secrets: &[(&str, &str)]) -> Stage {
    let stage = Stage::new();
    stage.file("delivery.toml", DELIVERY);
    let mut definition = task_definition("auth");
    definition["containerDefinitions"][0]["secrets"] =
        secrets.iter().map(|(name, from)| json!({ "name": name, "valueFrom": from })).collect::<Value>();
    stage.world.create_service(ServiceSeed {
        cluster: "shop".into(),
        name: "auth".into(),
        task_definition: definition,
        ..ServiceSeed::default()
    });
    stage.world.push_image(ImageSeed {
        repository: "shop/auth".into(),
        tag: COMMIT.into(),
        labels: vec![("world.runs".into(), "exits 0 after 4 s".into())],
        ..ImageSeed::default()
    });
    stage
}

#[tokio::test(start_paused = true)]
async fn secrets_that_are_not_there_are_told_before_anything_is_touched() {
    let stage = stage(&[
        ("DATABASE_URL", "/shop/auth/databse-url"),
        ("PASSWORD", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/gone-AbCdEf"),
    ]);
    stage.world.put_parameter("/shop/auth/database-url", "postgres://");
    let ran = migrate_auth(&stage).await;
    assert_eq!((ran.exit_code, ran.output("result")), (1, "failed"), "{}", ran.log);
    assert!(stage.world.writes().is_empty());
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn secrets_that_are_there_are_no_finding() {
    let secret = Stage::new().world.put_secret("shop/auth", r#"{"password":"hunter2"}"#);
    let stage = stage(&[("DATABASE_URL", "/shop/auth/database-url"), ("PASSWORD", &format!("{secret}:password::"))]);
    stage.world.put_parameter("/shop/auth/database-url", "postgres://");
    assert_eq!(stage.world.put_secret("shop/auth", r#"{"password":"hunter2"}"#), secret);
    let ran = migrate_auth(&stage).await;
    assert_eq!(ending(&ran), (0, "applied", "success", "0"), "{}", ran.log);
    assert_eq!(ran.annotations(), [""; 0]);
    assert!(!ran.log.contains("hunter2"));
}
