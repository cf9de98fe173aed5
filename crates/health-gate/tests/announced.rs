//! What GitHub shows of a verdict, where somebody wants it to.

use common::github::NewDeployment;
use common::names::Secret;

use super::*;

const INPUTS: [(&str, &str); 4] =
    [("services", "auth"), ("deployment-status", "true"), ("github-token", "ghs_token"), ("comment", "never")];

/// More than GitHub has room for.
const LONG: &str = "header(content-type) == 'application/json; charset=utf-8; profile=the-one-that-was-agreed-upon-in-the-spring-of-the-year-before'";

/// A deployment of a commit to `environment`, as ecs-deploy makes it.
pub(crate) async fn deployed(stage: &Stage, environment: &str, commit: &str) {
    let edges = stage.edges(&[]);
    let token = Secret::new("ghs_token");
    let deployment = NewDeployment {
        reference: &commit.parse().expect("a commit"),
        environment,
        task: "deploy",
        description: "",
        production: true,
        payload: serde_json::json!({}),
    };
    edges.github(&token).expect("a repository").create_deployment(&deployment).await.expect("a deployment");
}

async fn gate(stage: &Stage, inputs: &[(&str, &str)]) -> Ran {
    let inputs: Vec<_> = INPUTS.iter().chain(inputs).copied().collect();
    stage.run(&ACTION, run, &inputs).await
}

/// What GitHub shows of the deployments to `production/auth`: the commit, and each status.
pub(crate) fn shown(stage: &Stage) -> Vec<String> {
    let deployments = stage.world.deployments("org/shop");
    let line = |deployment: &world::Deployment| {
        let status = |status: &world::DeploymentStatus| {
            let links = [&status.log_url, &status.environment_url].map(String::as_str).join(" ");
            format!("\n  {}: {}\n  {links}", status.state, status.description)
        };
        let statuses: String = deployment.statuses.iter().map(status).collect();
        format!("{} to {}{statuses}", &deployment.reference[..7], deployment.environment)
    };
    deployments.iter().map(line).collect()
}

#[tokio::test(start_paused = true)]
async fn the_verdict_is_the_deployments_newest_status() {
    let mut told = String::new();
    for inputs in [
        &[][..],
        &[("expect", "json(/status) == 'excellent'\nstatus == 201")],
        &[("expect", "json(/status) == 'excellent'\nstatus == 200"), ("optional", "json(/status)")],
        &[
            ("expect", "json(/status) == 'excellent'\nstatus == 200"),
            ("optional", "json(/status)"),
            ("fail-on", "warn"),
        ],
        &[("url", "https://shop.example.com:1/nowhere")],
        &[("expect", LONG)],
    ] {
        let stage = stage();
        deployed(&stage, "production/auth", &"a".repeat(40)).await;
        deployed(&stage, "production/auth", COMMIT).await;
        deployed(&stage, "production/web", COMMIT).await;
        let ran = gate(&stage, inputs).await;
        let [before, ours, other] = shown(&stage).try_into().expect("three deployments");
        assert!(!before.contains('\n') && !other.contains('\n'), "{before}\n{other}");
        told += &format!("{} {}\n{ours}\n", ran.exit_code, ran.output("result"));
    }
    assert_snapshot!(stable(&told));
}

#[tokio::test(start_paused = true)]
async fn what_github_cannot_be_told_changes_no_verdict() {
    let mut told = String::new();
    let other = "b".repeat(40);
    for (deployments, may_write, token) in [
        (&[][..], true, "ghs_token"),
        (&[COMMIT, &other], true, "ghs_token"),
        (&[COMMIT], false, "ghs_token"),
        (&[COMMIT], true, "${{ github.token }}"),
    ] {
        let stage = stage();
        for commit in deployments {
            deployed(&stage, "production/auth", commit).await;
        }
        if !may_write {
            stage.world.forbid_deployments();
        }
        let ran = stage.run(&ACTION, run, &[INPUTS[0], INPUTS[1], INPUTS[3], ("github-token", token)]).await;
        assert_eq!((ran.exit_code, ran.output("result")), (0, "healthy"), "{}", ran.log);
        assert!(shown(&stage).iter().all(|deployment| !deployment.contains('\n')), "{:?}", shown(&stage));
        told += &format!("{}\n", ran.annotations().join("\n"));
    }
    assert_snapshot!(stable(&told));
}

#[tokio::test(start_paused = true)]
async fn nobody_who_does_not_ask_for_it_tells_github() {
    let stage = stage();
    deployed(&stage, "production/auth", COMMIT).await;
    let ran = watch(&stage, &[("services", "auth"), ("github-token", "ghs_token")]).await;
    assert_eq!(ending(&ran).1, "healthy", "{}", ran.log);
    assert!(!stage.world.calls().iter().any(|call| call.name.starts_with("GET /repos/org/shop/deployments")));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cancelled_tells_nothing() {
    let stage = stage();
    deployed(&stage, "production/auth", COMMIT).await;
    stage.stopper.raise();
    let ran = gate(&stage, &[]).await;
    assert_eq!(ran.exit_code, 130, "{}", ran.log);
    assert_eq!(shown(&stage), [format!("{} to production/auth", &COMMIT[..7])]);
}
