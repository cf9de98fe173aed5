//! Bases of each service's own: what the registry has, and what runs.

use insta::assert_snapshot;
use serde_json::{Value, json};
use stage::{Ran, Stage};
use world::{ImageSeed, ServiceSeed};

use crate::shop::{commit, event, git, run, shop};

/// Content keys by service, of those that are affected.
fn keys(ran: &Ran) -> Vec<(String, String)> {
    let matrix: Value = serde_json::from_str(ran.output("matrix")).unwrap();
    let rows = matrix["include"].as_array().unwrap().iter();
    let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
    rows.map(|row| (text(row, "service"), text(row, "key"))).collect()
}

/// Pushes an image, as ecr-push would with this tag.
fn push(stage: &Stage, service: &str, tag: &str) -> String {
    let (repository, env) = (format!("shop/{service}"), vec![format!("SERVICE={service}")]);
    stage.world.push_image(ImageSeed { repository, tag: tag.to_owned(), env, ..ImageSeed::default() })
}

/// A service that runs what this tag stands for.
fn serve(stage: &Stage, service: &str, tag: &str) {
    let image = format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/{service}:{tag}");
    stage.world.create_service(ServiceSeed {
        cluster: "shop".into(),
        name: service.into(),
        task_definition: json!({
            "family": service,
            "cpu": "256",
            "memory": "512",
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
            "containerDefinitions": [{ "name": "app", "image": image }],
        }),
        ..ServiceSeed::default()
    });
}

#[tokio::test(start_paused = true)]
async fn what_the_registry_has_is_not_built_again_and_gets_the_commit_s_tag() {
    let mut stage = shop();
    let registry = [("base-from", "registry"), ("environment", "staging"), ("aws-region", "eu-west-1")];
    let first = run(&stage, &registry).await;
    assert_eq!(
        (first.output("services"), first.output("history")),
        (r#"["auth","api","site"]"#, "registry"),
        "{}",
        first.log
    );
    assert!(stage.world.writes().is_empty(), "there is nothing to tag");
    // The build of `api` is red: only the others come into the registry.
    let keys = keys(&first);
    let pushed: Vec<(String, String)> = keys
        .iter()
        .filter(|(service, _)| service != "api")
        .map(|(service, key)| (service.clone(), push(&stage, service, &format!("key-{key}"))))
        .collect();
    let head = commit(&mut stage, &[("README.md", "of no image\n")]);
    let dry = run(&stage, &[&registry[..], &[("dry-run", "true")]].concat()).await;
    assert_eq!((dry.output("services"), stage.world.writes().len()), (r#"["api"]"#, 0), "{}", dry.log);
    let ran = run(&stage, &registry).await;
    assert_eq!((ran.output("services"), ran.exit_code), (r#"["api"]"#, 0), "{}", ran.log);
    for (service, digest) in pushed {
        assert_eq!(stage.world.image_digest(&format!("shop/{service}"), &head), Some(digest), "{service}");
    }
    assert_eq!(stage.world.image_digest("shop/api", &head), None);
    assert_snapshot!("registry_log", ran.log);
    // A run that is done again has nothing left to do.
    let writes = stage.world.writes().len();
    assert_eq!(run(&stage, &registry).await.output("services"), r#"["api"]"#);
    assert_eq!(stage.world.writes().len(), writes);
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_depth_one_will_do_for_the_registry() {
    let origin = shop();
    let mut stage = Stage::new();
    git(&stage, &["clone", "--quiet", "--depth=1", &format!("file://{}", origin.workspace().display()), "."]);
    stage.set("GITHUB_SHA", &git(&stage, &["rev-parse", "HEAD"]));
    event(&mut stage, "push", r#"{ "before": "1111111111111111111111111111111111111111" }"#);
    let registry = [("base-from", "registry"), ("environment", "staging"), ("aws-region", "eu-west-1")];
    let keys = keys(&run(&stage, &registry).await);
    assert_eq!(keys.len(), 3);
    keys.iter().for_each(|(service, key)| drop(push(&stage, service, &format!("key-{key}"))));
    let ran = run(&stage, &registry).await;
    assert_eq!((ran.output("result"), ran.output("services"), ran.exit_code), ("none", "[]", 0), "{}", ran.log);
}

#[tokio::test(start_paused = true)]
async fn each_service_is_compared_with_the_commit_that_it_runs() {
    let mut stage = shop();
    let first = git(&stage, &["rev-parse", "HEAD"]);
    let second = commit(&mut stage, &[("apps/auth/src/main.ts", "2\n"), ("apps/api/src/main.ts", "2\n")]);
    commit(&mut stage, &[("README.md", "of no image\n")]);
    // `auth` runs the second commit, `api` still the first; `site` was never deployed.
    for (service, commit) in [("auth", &second), ("api", &first)] {
        push(&stage, service, commit);
        serve(&stage, service, commit);
    }
    let ran = run(&stage, &[("base-from", "deployed"), ("environment", "staging"), ("aws-region", "eu-west-1")]).await;
    assert_eq!(
        (ran.output("services"), ran.output("history"), ran.exit_code),
        (r#"["api","site"]"#, "deployed", 0),
        "{}",
        ran.log
    );
    assert!(stage.world.writes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_moved_since_is_not_what_runs() {
    let mut stage = shop();
    let first = git(&stage, &["rev-parse", "HEAD"]);
    let second = commit(&mut stage, &[("apps/auth/src/main.ts", "2\n"), ("apps/api/src/main.ts", "2\n")]);
    let pushed = |service: &str, tags: &[&str], commit: &str| {
        for tag in tags {
            stage.world.push_image(ImageSeed {
                repository: format!("shop/{service}"),
                tag: (*tag).to_owned(),
                labels: vec![("org.opencontainers.image.revision".into(), commit.to_owned())],
                ..ImageSeed::default()
            });
        }
    };
    // Both run the second commit's image by the tag `latest`: the one has the commit's tag, too, the other its label alone.
    for (service, tags) in [("auth", &["latest", &second][..]), ("api", &["latest"])] {
        pushed(service, tags, &second);
        serve(&stage, service, "latest");
        pushed(service, &["latest"], &first);
    }
    let ran = run(&stage, &[("base-from", "deployed"), ("environment", "staging"), ("aws-region", "eu-west-1")]).await;
    assert_eq!((ran.output("services"), ran.exit_code), (r#"["site"]"#, 0), "{}", ran.log);
}
