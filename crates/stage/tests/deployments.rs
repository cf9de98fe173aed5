//! GitHub's deployments, and how one commit lies to another.

use common::github::{Comparison, DeploymentState, DeploymentStatus, GitHub, NewDeployment, Refused};
use common::names::{CommitSha, Secret};
use serde_json::json;
use stage::{COMMIT, Stage};

fn github(stage: &Stage) -> GitHub {
    stage.edges(&[]).github(&Secret::new("ghs_token")).unwrap()
}

fn deployment(reference: &CommitSha) -> NewDeployment<'_> {
    NewDeployment {
        reference,
        environment: "staging/auth",
        task: "deploy",
        description: "release 42",
        production: false,
        payload: json!({ "release": 42 }),
    }
}

#[tokio::test(start_paused = true)]
async fn a_deployment_is_made_and_its_end_is_told() {
    let stage = Stage::new();
    let github = github(&stage);
    let id = github.create_deployment(&deployment(&COMMIT.parse().unwrap())).await.unwrap();
    let why = "é".repeat(200);
    for (state, log_url) in
        [(DeploymentState::InProgress, None), (DeploymentState::Success, Some("https://log.example.com"))]
    {
        let status = DeploymentStatus { state, description: &why, log_url, environment_url: None };
        github.create_deployment_status(id, status).await.unwrap();
    }
    let made = stage.world.deployments("org/shop").remove(0);
    assert_eq!((made.id, made.reference.as_str(), made.environment.as_str()), (id, COMMIT, "staging/auth"));
    let statuses: Vec<(&str, &str)> =
        made.statuses.iter().map(|status| (status.state.as_str(), status.log_url.as_str())).collect();
    assert_eq!(statuses, [("in_progress", ""), ("success", "https://log.example.com")]);
    assert_eq!(made.statuses[1].description.chars().count(), 140);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_may_not_deploy_is_told_the_missing_scope() {
    let stage = Stage::new();
    stage.world.read_only_token();
    let refused = github(&stage).create_deployment(&deployment(&COMMIT.parse().unwrap())).await.unwrap_err();
    let Refused::Forbidden(failure) = refused else { panic!("{refused:?}") };
    assert!(failure.to_string().ends_with("give the job `permissions: { deployments: write }`"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn commits_are_ordered_as_far_as_github_knows_them() {
    let stage = Stage::new();
    let [a, b, x, unknown] = ["a", "b", "1", "9"].map(|digit| digit.repeat(40));
    stage.world.commits("org/shop", &[&a, &b]);
    stage.world.commits("org/shop", &[&a, &x]);
    for (base, head, expected) in [
        (&a, &b, Comparison::Ahead),
        (&b, &a, Comparison::Behind),
        (&b, &b, Comparison::Identical),
        (&b, &x, Comparison::Diverged),
        (&b, &unknown, Comparison::Unknown),
    ] {
        let compared = github(&stage).compare(&base.parse().unwrap(), &head.parse().unwrap()).await.unwrap();
        assert_eq!(compared, expected, "{base}...{head}");
    }
}
