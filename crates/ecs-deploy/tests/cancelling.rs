//! A run that is cancelled: one request that matters, and gone within five seconds.

use std::time::Duration;

use insta::assert_snapshot;
use serde_json::json;
use stage::{Ran, Stage};
use tokio::time::Instant;

use crate::shop::{
    auth, called, deploy, ends, image, is_locked, last, ledger, push, shop, shop_of, told, until, written,
};

/// The runner kills a step ten seconds after it was cancelled.
const GONE: Duration = Duration::from_secs(5);

/// Deploys, and is cancelled at this request. How long the run lasted from then on; `None` if it never came to that request.
async fn cancelled_at(stage: &Stage, request: usize, inputs: &[(&str, &str)]) -> (Ran, Option<Duration>) {
    let (stopper, moment) = (stage.stopper.clone(), std::sync::Arc::new(std::sync::Mutex::new(None)));
    let at = std::sync::Arc::clone(&moment);
    stage.on_request(move |number| {
        if number == request {
            *at.lock().expect("a moment") = Some(Instant::now());
            stopper.raise();
        }
    });
    let ran = deploy(stage, inputs).await;
    let moment: Option<Instant> = *moment.lock().expect("a moment");
    (ran, moment.map(|moment| moment.elapsed()))
}

/// How many requests a deployment takes that nobody cancels.
async fn requests(stage: &Stage) -> usize {
    ends(&deploy(stage, &[]).await, "deployed", 0);
    stage.world.calls().len()
}

/// Lets the world come to rest.
async fn rest(stage: &Stage) {
    tokio::time::advance(Duration::from_secs(1)).await;
    until(|| auth(stage).service_deployments[0].ends_with("SUCCESSFUL")).await;
}

/// What is true of every run that was cancelled, at whatever moment.
fn is_gone(request: usize, ran: &Ran, took: Duration) {
    assert!(took <= GONE, "request {request}: {took:?}\n{}", ran.log);
    let word = ran.output("result");
    let expected = match word {
        // Its end was known already.
        "deployed" => 0,
        "cancelled" => 130,
        _ => panic!("request {request}: {word}\n{}", ran.log),
    };
    assert_eq!(ran.exit_code, expected, "request {request}: {}", ran.log);
    assert!(!ran.output("json").is_empty(), "request {request}: {}", ran.log);
    assert!(!ran.summary.is_empty(), "request {request}");
}

#[tokio::test(start_paused = true)]
async fn at_every_request_it_goes_back_to_what_ran() {
    let all = requests(&shop("serves")).await;
    assert!(all > 60, "the deployment took only {all} requests");
    // Between the first looks and the last one look is like another.
    for request in (1..=all).filter(|request| *request < 40 || request % 9 == 0 || *request > all - 9) {
        let stage = shop("serves");
        let (ran, took) = cancelled_at(&stage, request, &[]).await;
        let took = took.expect("that many requests");
        is_gone(request, &ran, took);
        let post = stage.run_post(&ecs_deploy::ACTION, ecs_deploy::post).await;
        assert_eq!(post.exit_code, 0, "request {request}: {}", post.log);
        assert!(!is_locked(&stage), "request {request}: {}\n{}", ran.log, post.log);
        assert_ne!(ledger(&stage)["s"], "deploying", "request {request}: {}\n{}", ran.log, post.log);
        rest(&stage).await;
        let expected = if ran.output("result") == "deployed" { "shop-auth:2" } else { "shop-auth:1" };
        assert_eq!(last(&auth(&stage).task_definition), expected, "request {request}: {}", ran.log);
        let stops = written(&stage).iter().filter(|write| write.starts_with("stop ")).count();
        assert!(stops <= 1, "request {request}: {:?}", written(&stage));
    }
}

#[tokio::test(start_paused = true)]
async fn detached_it_lets_ecs_go_on() {
    let all = requests(&shop("serves")).await;
    for request in (1..=all).step_by(6) {
        let stage = shop("serves");
        let (ran, took) = cancelled_at(&stage, request, &[("on-cancel", "detach")]).await;
        let took = took.expect("that many requests");
        is_gone(request, &ran, took);
        let all = written(&stage);
        assert!(!all.iter().any(|write| write.starts_with("stop ")), "request {request}: {all:?}");
        rest(&stage).await;
        let was_updated = all.iter().any(|write| write.starts_with("update "));
        let expected = if was_updated { "shop-auth:2" } else { "shop-auth:1" };
        assert_eq!(last(&auth(&stage).task_definition), expected, "request {request}: {}", ran.log);
    }
}

/// Cancels a run as soon as the world is so.
async fn cancelled_when(stage: &Stage, inputs: &[(&str, &str)], is_so: impl Fn() -> bool) -> Ran {
    let cancel = async {
        until(is_so).await;
        stage.stopper.raise();
        Instant::now()
    };
    let (ran, at) = tokio::join!(deploy(stage, inputs), cancel);
    assert!(at.elapsed() <= GONE, "{:?}\n{}", at.elapsed(), ran.log);
    ran
}

#[tokio::test(start_paused = true)]
async fn a_person_reads_what_was_asked_of_ecs() {
    let stage = shop("serves");
    let ran = cancelled_when(&stage, &[], || auth(&stage).running > 2).await;
    ends(&ran, "cancelled", 130);
    assert_eq!(
        written(&stage),
        [
            "lock",
            "ledger: release 1 deploying",
            "register shop-auth:2",
            "update auth to shop-auth:2",
            "stop the deployment of auth (ROLLBACK)",
            "ledger: release 1 cancelled",
            "unlock"
        ]
    );
    assert_snapshot!(told(&ran));
    rest(&stage).await;
    assert_eq!((last(&auth(&stage).task_definition), auth(&stage).running), ("shop-auth:1".to_owned(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_person_reads_that_the_deployment_goes_on() {
    let stage = shop("serves");
    let ran = cancelled_when(&stage, &[("on-cancel", "detach")], || auth(&stage).running > 2).await;
    ends(&ran, "cancelled", 130);
    assert_eq!(ledger(&stage)["s"], "cancelled");
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn before_anything_was_written_nothing_is() {
    let stage = shop("serves");
    stage.stopper.raise();
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "cancelled", 130);
    assert_eq!(written(&stage), [""; 0]);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn while_it_bakes() {
    let stage = shop_of("serves", |seed| {
        seed.target_group = Some("auth".to_owned());
        seed.deployment_configuration = json!({ "strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5 });
    });
    let ran = cancelled_when(&stage, &[], || auth(&stage).stage.as_deref() == Some("BAKE_TIME")).await;
    ends(&ran, "cancelled", 130);
    rest(&stage).await;
    assert_eq!((last(&auth(&stage).task_definition), auth(&stage).running), ("shop-auth:1".to_owned(), 2));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn while_it_is_on_its_way_back() {
    let stage = shop("exits 1 after 1 s: no such table");
    let is_going_back = || auth(&stage).service_deployments[0] == "ROLLBACK_IN_PROGRESS";
    let ran = cancelled_when(&stage, &[], is_going_back).await;
    // It had failed before anybody cancelled it.
    assert!(["failed", "cancelled", "rolled-back"].contains(&ran.output("result")), "{}", ran.log);
    assert_ne!(ran.exit_code, 0);
    rest(&stage).await;
    assert_eq!(last(&auth(&stage).task_definition), "shop-auth:1");
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn while_it_waits_for_a_deployment_that_is_not_ours() {
    let stage = shop("serves");
    let theirs = image(&push(&stage, "theirs", "serves"));
    let other = stage.another_run();
    let first = async {
        let inputs = [("image", theirs.as_str()), ("on-cancel", "detach")];
        let cancel = async {
            called(&other, "ecs:UpdateService").await;
            other.stopper.raise();
        };
        tokio::join!(deploy(&other, &inputs), cancel).0
    };
    ends(&first.await, "cancelled", 130);
    let before = written(&stage).len();
    let ran = cancelled_when(&stage, &[], || is_locked(&stage)).await;
    ends(&ran, "cancelled", 130);
    assert_eq!(written(&stage)[before..], ["lock", "unlock"]);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn an_ecs_that_does_not_answer_does_not_hold_it_up() {
    let stage = shop("serves");
    let silence = stage.world.clone();
    let cancel = async {
        called(&stage, "ecs:UpdateService").await;
        // From now on nobody hears an answer.
        let death = silence.dies_at(1);
        death.await;
        stage.stopper.raise();
        Instant::now()
    };
    let (ran, at) = tokio::join!(deploy(&stage, &[]), cancel);
    assert!(at.elapsed() <= GONE, "{:?}", at.elapsed());
    ends(&ran, "cancelled", 130);
    assert_snapshot!(told(&ran));
    stage.world.revive();
    let post = stage.run_post(&ecs_deploy::ACTION, ecs_deploy::post).await;
    assert_eq!(post.exit_code, 0, "{}", post.log);
    assert!(!is_locked(&stage));
    assert_snapshot!(post.log);
}
