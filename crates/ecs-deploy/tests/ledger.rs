//! What outlives a run: the release ledger, the environment's lock, and what GitHub shows.

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;
use stage::{COMMIT, Stage};
use tokio::time::Instant;
use world::Fault;

use crate::fleet::{THREE, announced, next_commit, runs, somebody_updates, three};
use crate::shop::{called, deploy, ends, is_locked, ledger, told, until, written};

const CRASHES: &str = "exits 1 after 1 s: no such table";
const SECOND: &str = "2222222222222222222222222222222222222222";
const TOKEN: (&str, &str) = ("github-token", "ghs_16C7e42F292c6912E7710c838347Ae178B4a");

const NEW: [&str; 3] = ["shop-auth:2 × 2", "shop-api:2 × 2", "shop-nginx:2 × 2"];
const SECOND_NEW: [&str; 3] = ["shop-auth:3 × 2", "shop-api:3 × 2", "shop-nginx:3 × 2"];

const RELEASE: &str = "/delivery/shop/staging/release";
const LOCK: &str = "/delivery/shop/staging/lock";

/// Another run at the same time, about another commit.
fn another(stage: &Stage) -> Stage {
    next_commit(stage, SECOND, &THREE.map(|name| (name, "serves")))
}

/// The run that a ledger entry names.
fn run(number: u64) -> serde_json::Value {
    json!(format!("https://github.example.com/org/shop/actions/runs/{number}"))
}

/// A deployment and, as soon as it has begun its second wave, another.
async fn two_at_once(stage: &Stage, other: &Stage, inputs: &[(&str, &str)]) -> (stage::Ran, stage::Ran) {
    let second = async {
        until(|| written(stage).iter().any(|write| write.starts_with("update api"))).await;
        Box::pin(deploy(other, inputs)).await
    };
    tokio::join!(Box::pin(deploy(stage, &[TOKEN])), second)
}

#[tokio::test(start_paused = true)]
async fn the_ledger_says_who_brought_what_when() {
    let mut stage = three(["serves"; 3]);
    stage.set("GITHUB_ACTOR", "octocat");
    let begun = async {
        called(&stage, "ecs:UpdateService").await;
        ledger(&stage)
    };
    let (ran, begun) = tokio::join!(deploy(&stage, &[]), begun);
    ends(&ran, "deployed", 0);
    assert_eq!((&begun["s"], &begun["p"]["auth"]["t"]), (&json!("deploying"), &json!("shop-auth:1")), "{begun}");
    let entry = ledger(&stage);
    assert_eq!((&entry["r"], &entry["o"], &entry["s"]), (&json!(1), &json!("deploy"), &json!("deployed")), "{entry}");
    assert_eq!((&entry["c"], &entry["b"], &entry["u"]), (&json!(COMMIT), &json!("octocat"), &run(7)), "{entry}");
    for name in THREE {
        let digest = stage.world.image_digest(&format!("shop/{name}"), COMMIT).unwrap();
        let placed = json!({ "t": format!("shop-{name}:2"), "i": digest["sha256:".len()..] });
        assert_eq!(entry["p"][name], placed, "{entry}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_is_not_ours_stops_nothing_and_is_not_written_over() {
    for foreign in ["hunter2", r#"{"v":9}"#] {
        let stage = three(["serves"; 3]);
        stage.world.put_parameter(RELEASE, foreign);
        let ran = deploy(&stage, &[]).await;
        ends(&ran, "deployed", 0);
        assert_eq!(runs(&stage, &THREE), NEW);
        assert_eq!(stage.world.parameter(RELEASE).as_deref(), Some(foreign));
        assert!(!told(&ran).contains("hunter2"));
        assert!(told(&ran).contains(RELEASE), "{}", told(&ran));
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_permissions_there_is_no_ledger_and_no_lock_and_a_warning_names_them() {
    let stage = three(["serves"; 3]);
    for call in ["GetParameter", "GetParameterHistory", "PutParameter", "DeleteParameter"] {
        stage.world.script(&format!("ssm:{call}"), Fault::Denied, 99);
    }
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(runs(&stage, &THREE), NEW);
    assert_eq!((stage.world.parameter(RELEASE), stage.world.parameter(LOCK)), (None, None));
    let read = told(&ran);
    assert!(read.contains("ssm:GetParameter") && read.contains("ssm:PutParameter"), "{read}");
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_last_word_that_may_not_be_written_is_one_warning() {
    let stage = three(["serves"; 3]);
    let denied = async {
        called(&stage, "ecs:UpdateService").await;
        stage.world.script("ssm:PutParameter", Fault::Denied, 99);
    };
    let (ran, ()) = tokio::join!(deploy(&stage, &[]), denied);
    ends(&ran, "deployed", 0);
    assert_eq!(runs(&stage, &THREE), NEW);
    let warnings = ran.annotations();
    let of_ledger: Vec<&String> = warnings.iter().filter(|one| one.contains("ledger")).collect();
    assert!(of_ledger.len() == 1 && of_ledger[0].contains("ssm:PutParameter"), "{warnings:?}");
    // Renewals are writes as well. Who could renew the lock no more still gives it back.
    assert!(!is_locked(&stage));
}

#[tokio::test(start_paused = true)]
async fn of_two_runs_at_once_one_waits_and_then_sees_what_is_true() {
    let stage = three(["serves"; 3]);
    let other = another(&stage);
    let (first, second) = two_at_once(&stage, &other, &[TOKEN]).await;
    ends(&first, "deployed", 0);
    ends(&second, "deployed", 0);
    let writes = written(&stage);
    let position = |text: &str| writes.iter().position(|write| write == text).unwrap_or_else(|| panic!("{writes:?}"));
    assert!(position("update nginx to shop-nginx:2") < position("update auth to shop-auth:3"), "{writes:?}");
    assert_eq!(runs(&stage, &THREE), SECOND_NEW);
    assert_eq!((&ledger(&stage)["r"], &ledger(&stage)["u"]), (&json!(2), &run(8)));
    assert!(!is_locked(&stage));
    assert_snapshot!(told(&second));
}

#[tokio::test(start_paused = true)]
async fn a_second_run_of_the_same_commit_finds_it_done() {
    let stage = three(["serves"; 3]);
    let other = stage.another_run();
    let (first, second) = two_at_once(&stage, &other, &[]).await;
    ends(&first, "deployed", 0);
    ends(&second, "unchanged", 0);
    let writes = written(&stage);
    assert_eq!(writes.iter().filter(|write| write.starts_with("update ")).count(), 3, "{writes:?}");
    assert_eq!(writes.iter().filter(|write| write.starts_with("register ")).count(), 3, "{writes:?}");
    assert_eq!(runs(&stage, &THREE), NEW);
    assert!(!is_locked(&stage));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_does_not_want_to_wait_refuses() {
    let stage = three(["serves"; 3]);
    let other = another(&stage);
    let (first, second) = two_at_once(&stage, &other, &[("on-conflict", "refuse")]).await;
    ends(&first, "deployed", 0);
    ends(&second, "refused", 1);
    assert_eq!(runs(&stage, &THREE), NEW);
    assert_eq!(ledger(&stage)["r"], 1);
    assert_snapshot!(told(&second));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_in_vain_says_for_whom() {
    let stage = three(["serves"; 3]);
    let other = another(&stage);
    let (first, second) = two_at_once(&stage, &other, &[("timeout", "1m")]).await;
    ends(&first, "deployed", 0);
    ends(&second, "timed-out", 1);
    assert_eq!(runs(&stage, &THREE), NEW);
    assert_snapshot!(told(&second));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_over_is_seen_by_the_one_that_loses() {
    let stage = three(["serves"; 3]);
    let other = another(&stage);
    let (first, second) = two_at_once(&stage, &other, &[TOKEN, ("on-conflict", "supersede")]).await;
    ends(&second, "deployed", 0);
    ends(&first, "superseded", 1);
    let writes = written(&stage);
    let taken_over = writes.iter().rposition(|write| write.starts_with("update api to shop-api:2")).unwrap();
    let late: Vec<&String> = writes[taken_over + 1..].iter().filter(|write| write.ends_with(":2")).collect();
    assert!(late.is_empty(), "the loser writes nothing more: {writes:?}");
    assert_eq!(runs(&stage, &THREE), SECOND_NEW);
    let entry = ledger(&stage);
    assert_eq!((&entry["s"], &entry["u"]), (&json!("deployed"), &run(8)), "the last word is the winner's: {entry}");
    assert!(!is_locked(&stage));
    assert_snapshot!(told(&first));
    assert_snapshot!(second.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn the_lock_of_a_run_that_died_is_taken_over_when_it_has_run_out() {
    let stage = three(["serves"; 3]);
    let death = stage.world.dies_at(40);
    tokio::select! {
        biased;
        () = death => {}
        ran = Box::pin(deploy(&stage, &[])) => panic!("{}", ran.log),
    }
    stage.world.revive();
    assert!(is_locked(&stage));
    let started = Instant::now();
    let ran = deploy(&stage.another_run(), &[("timeout", "15m")]).await;
    ends(&ran, "deployed", 0);
    assert!(started.elapsed() < Duration::from_secs(10 * 60), "{:?}", started.elapsed());
    assert!(ran.annotations()[0].contains("taken over from https://github.example.com/org/shop/actions/runs/7"));
    assert_eq!(runs(&stage, &THREE), NEW);
    assert!(!is_locked(&stage));
}

#[tokio::test(start_paused = true)]
async fn github_shows_one_deployment_for_each_service_of_the_environment() {
    let stage = three(["serves"; 3]);
    let ran = deploy(&stage, &[TOKEN]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(announced(&stage), THREE.map(|name| format!("staging/{name}: in_progress → success")));
    for deployment in stage.world.deployments("org/shop") {
        assert_eq!((deployment.reference.as_str(), deployment.task.as_str()), (COMMIT, "deploy"));
        assert!(deployment.statuses.iter().all(|status| run(7) == status.log_url.as_str()));
        assert!(!deployment.statuses[1].description.is_empty());
    }
    let other = another(&stage);
    ends(&deploy(&other, &[TOKEN]).await, "deployed", 0);
    let before = THREE.map(|name| format!("staging/{name}: in_progress → success → inactive"));
    let now = THREE.map(|name| format!("staging/{name}: in_progress → success"));
    assert_eq!(announced(&other), [before, now].concat());
    assert!(!told(&ran).contains("ghs_"));
}

#[tokio::test(start_paused = true)]
async fn github_is_told_what_failed_and_nothing_of_what_was_not_begun() {
    let stage = three(["serves", CRASHES, "serves"]);
    let ran = deploy(&stage, &[TOKEN]).await;
    ends(&ran, "rolled-back", 1);
    assert_eq!(announced(&stage), ["staging/auth: in_progress → failure", "staging/api: in_progress → failure"]);
    let said: Vec<String> =
        stage.world.deployments("org/shop").iter().map(|one| one.statuses[1].description.clone()).collect();
    assert_snapshot!(said.join("\n"));
}

#[tokio::test(start_paused = true)]
async fn github_is_told_who_was_superseded_and_who_was_cancelled() {
    let stage = three(["serves"; 3]);
    let somebody = async {
        until(|| written(&stage).iter().any(|write| write.starts_with("update auth"))).await;
        somebody_updates(&stage, "auth", "shop-auth:1").await;
    };
    let (ran, ()) = tokio::join!(deploy(&stage, &[TOKEN]), somebody);
    ends(&ran, "superseded", 1);
    assert_eq!(announced(&stage), ["staging/auth: in_progress → inactive"]);
    let stage = three(["serves"; 3]);
    let cancel = async {
        until(|| written(&stage).iter().any(|write| write.starts_with("update api"))).await;
        until(|| announced(&stage).len() == 2).await;
        stage.stopper.raise();
    };
    let (ran, ()) = tokio::join!(deploy(&stage, &[TOKEN]), cancel);
    ends(&ran, "cancelled", 130);
    stage.run_post(&ecs_deploy::ACTION, ecs_deploy::post).await;
    let open: Vec<String> = announced(&stage).into_iter().filter(|one| one.ends_with("in_progress")).collect();
    assert!(open.is_empty(), "{open:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_may_not_deploy_is_one_warning() {
    let stage = three(["serves"; 3]);
    stage.world.forbid_deployments();
    let ran = deploy(&stage, &[TOKEN]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(runs(&stage, &THREE), NEW);
    let annotations = ran.annotations();
    assert_eq!(annotations.len(), 1, "{annotations:?}");
    assert!(annotations[0].contains("deployments: write"), "{annotations:?}");
}

#[tokio::test(start_paused = true)]
async fn what_github_was_told_of_is_closed_even_if_it_refuses_more() {
    let stage = three(["serves"; 3]);
    let outage = async {
        until(|| !announced(&stage).is_empty()).await;
        stage.world.script("POST /repos/org/shop/deployments", Fault::Unavailable, 9);
    };
    let (ran, ()) = tokio::join!(deploy(&stage, &[TOKEN]), outage);
    ends(&ran, "deployed", 0);
    assert_eq!(announced(&stage), ["staging/auth: in_progress → success"]);
    assert_eq!(ran.annotations().len(), 1, "{:?}", ran.annotations());
}
