//! Killed at every single request: the next run, and the post step, make whole what was left behind.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stage::{Ran, Stage};
use world::{Timing, World};

use crate::fleet::{THREE, announced, chain, definition, image, launch, next_commit, push, runs};
use crate::shop::{is_locked, ledger, written};

/// A token, so that GitHub is told as well.
const TOKEN: (&str, &str) = ("github-token", "ghs_16C7e42F292c6912E7710c838347Ae178B4a");

const FIRST: &str = "1111111111111111111111111111111111111111";
const BAD: &str = "bad0bad0bad0bad0bad0bad0bad0bad0bad0bad0";
const CRASHES: &str = "exits 1 after 1 s: no such table";

const RELEASE: &str = "/delivery/shop/staging/release";

const OLD: [&str; 3] = ["shop-auth:2 × 2", "shop-api:2 × 2", "shop-nginx:2 × 2"];
const NEW: [&str; 3] = ["shop-auth:3 × 2", "shop-api:3 × 2", "shop-nginx:3 × 2"];

/// Runs the action, on the heap: these tests nest deeply.
async fn deploy(stage: &Stage, inputs: &[(&str, &str)]) -> Ran {
    Box::pin(crate::shop::deploy(stage, inputs)).await
}

/// Three services that run the release of an earlier commit, and a run that would deploy the next. Nothing takes long in their
/// world, so that few of the requests are those of somebody who waits.
fn released_once(ledger: &str) -> Stage {
    let mut stage = Stage::new();
    stage.world = World::starting_at("2026-01-05T09:00:00Z".parse().unwrap(), Timing::BRISK);
    for name in THREE {
        push(&stage, name, "older", "serves");
        stage.world.register_task_definition(&definition(name, &format!("public.ecr.aws/shop/{name}:older"), "info"));
    }
    launch(&stage, &chain(["serves"; 3]), |name, seed| {
        let digest = push(&stage, name, FIRST, "serves");
        seed.task_definition = definition(name, &image(name, &digest), "debug");
    });
    if !ledger.is_empty() {
        stage.world.put_parameter(RELEASE, ledger);
    }
    stage.world.commits("org/shop", &[FIRST, stage::COMMIT, BAD]);
    stage.set("GITHUB_RUN_ID", "8");
    stage
}

/// What the ledger says of the first release: what a deployment of that commit wrote.
async fn first_word() -> String {
    let mut stage = released_once("");
    stage.set("GITHUB_SHA", FIRST);
    let ran = deploy(&stage, &[("force", "true")]).await;
    assert_eq!(ran.output("result"), "deployed", "{}", ran.log);
    assert_eq!(runs(&stage, &THREE), OLD);
    stage.world.parameter(RELEASE).expect("a ledger")
}

/// Runs the deployment of the commit, and kills it once its call of this number is carried out. Whether it was killed.
async fn killed_at(stage: &Stage, call: usize) -> bool {
    let death = stage.world.dies_at(call);
    let is_killed = tokio::select! {
        biased;
        () = death => true,
        ran = Box::pin(deploy(stage, &[TOKEN])) => {
            assert_eq!(ran.output("result"), "deployed", "{}", ran.log);
            false
        }
    };
    stage.world.revive();
    is_killed
}

/// How many requests a deployment of three services makes, waiting included, and which of them change something.
async fn requests(ledger: &str) -> (usize, BTreeSet<usize>) {
    let stage = released_once(ledger);
    assert!(!killed_at(&stage, usize::MAX).await);
    assert_eq!(runs(&stage, &THREE), NEW);
    assert_eq!(announced(&stage), THREE.map(|name| format!("staging/{name}: in_progress → success")));
    let calls = stage.world.calls();
    assert!(calls.len() > 60, "{} requests are too few to be all", calls.len());
    let writes = calls.iter().enumerate().filter(|(_, call)| call.is_write()).map(|(index, _)| index + 1);
    (calls.len(), writes.collect())
}

/// How often each family was registered.
fn registrations(stage: &Stage) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for write in written(stage) {
        if let Some((family, _)) = write.strip_prefix("register ").and_then(|revision| revision.split_once(':')) {
            *counts.entry(family.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Nothing is left that says that something still goes on.
#[track_caller]
fn nothing_goes_on(stage: &Stage, what: &str) {
    assert!(!is_locked(stage), "{what}: somebody holds the lock");
    assert_ne!(ledger(stage)["s"], "deploying", "{what}: {}", ledger(stage));
}

/// What the ledger says that each service runs.
fn placed(entry: &Value) -> [String; 3] {
    THREE.map(|name| format!("{} × 2", entry["p"][name]["t"].as_str().unwrap_or_default()))
}

/// At which requests a deployment is killed.
enum Kills {
    /// At every one.
    Every,
    /// At those that change something, and at the next: what dies between two of them leaves the same behind.
    AtWrites,
}

/// Kills a deployment at request after request, has the next run do its work, and looks at what became of it.
async fn after_every_kill(kills: Kills, next: impl AsyncFn(&Stage) -> Ran, look: impl Fn(&Stage, &Ran, &str)) {
    let first = first_word().await;
    let (requests, writes) = requests(&first).await;
    for call in 1..=requests {
        let is_at_a_write = writes.contains(&call) || writes.contains(&(call - 1));
        if matches!(kills, Kills::AtWrites) && !is_at_a_write {
            continue;
        }
        let stage = released_once(&first);
        assert!(killed_at(&stage, call).await, "killed at {call} of {requests}");
        let died = stage.world.calls()[call - 1].name.clone();
        let again = stage.another_run();
        let ran = Box::pin(next(&again)).await;
        let what = format!("killed at {call}, {died}\n{}", ran.log);
        let placed = placed(&ledger(&again));
        assert_eq!(placed, runs(&again, &THREE)[..], "{what}\nthe ledger tells the truth");
        look(&again, &ran, &what);
        // Who has nothing to do leaves the lock of a run that died alone: it runs out by itself.
        if ran.output("result") != "unchanged" {
            nothing_goes_on(&again, &what);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_commit_is_brought_to_its_end_by_the_next_run() {
    after_every_kill(
        Kills::Every,
        async |stage| deploy(stage, &[TOKEN]).await,
        |stage, ran, what| {
            assert!(["deployed", "unchanged"].contains(&ran.output("result")), "{what}");
            assert_eq!(ran.exit_code, 0, "{what}");
            assert_eq!(runs(stage, &THREE), NEW, "{what}");
            assert!(registrations(stage).values().all(|count| *count == 1), "{what}\n{:?}", written(stage));
            let entry = ledger(stage);
            assert!(["deployed", "unchanged"].contains(&entry["s"].as_str().unwrap()), "{what}\n{entry}");
            assert_eq!(entry["c"], stage::COMMIT, "{what}\n{entry}");
            for name in THREE {
                let (digest, placed) =
                    (stage.world.image_digest(&format!("shop/{name}"), stage::COMMIT), &entry["p"][name]);
                assert_eq!(placed["i"], digest.unwrap()["sha256:".len()..], "{what}\n{entry}");
                assert_eq!(placed.get("c"), None, "{what}\n{entry}: it is the release's");
            }
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_version_of_the_last_service_that_follows_leaves_all_on_one_release() {
    a_bad_version_that_follows(["serves", "serves", CRASHES]).await;
}

#[tokio::test(start_paused = true)]
async fn a_bad_version_of_the_first_service_that_follows_leaves_all_on_one_release() {
    a_bad_version_that_follows([CRASHES, "serves", "serves"]).await;
}

async fn a_bad_version_that_follows(behaviours: [&str; 3]) {
    let [auth, api, nginx] = behaviours;
    after_every_kill(
        Kills::AtWrites,
        async |stage| {
            let bad = next_commit(stage, BAD, &[("auth", auth), ("api", api), ("nginx", nginx)]);
            deploy(&bad, &[TOKEN]).await
        },
        |stage, ran, what| {
            assert_eq!((ran.output("result"), ran.exit_code), ("rolled-back", 1), "{what}");
            let runs = runs(stage, &THREE);
            assert!(runs == OLD || runs == NEW, "{what}\n{runs:?}");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_follows_leaves_all_services_on_the_old_release() {
    after_every_kill(
        Kills::AtWrites,
        async |stage| deploy(stage, &[TOKEN, ("operation", "rollback"), ("to", "1")]).await,
        |stage, ran, what| {
            assert_eq!(ran.exit_code, 0, "{what}");
            assert_eq!(runs(stage, &THREE), OLD, "{what}");
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_post_step_tidies_up_at_once() {
    let first = first_word().await;
    let (requests, _) = requests(&first).await;
    for call in 1..=requests {
        let stage = released_once(&first);
        assert!(killed_at(&stage, call).await);
        let died = stage.world.calls().last().map(|call| call.name.clone());
        let changes = |stage: &Stage| written(stage).iter().filter(|write| write.starts_with("update")).count();
        let before = changes(&stage);
        let ran = stage.run_post(&ecs_deploy::ACTION, ecs_deploy::post).await;
        let what = format!("killed at {call}, {died:?}\n{}", ran.log);
        assert_eq!(ran.exit_code, 0, "{what}");
        nothing_goes_on(&stage, &what);
        let left: Vec<String> = announced(&stage).into_iter().filter(|one| is_open(one)).collect();
        assert!(left.is_empty(), "{what}\n{left:?}");
        assert_eq!(changes(&stage), before, "{what}: it only tells");
    }
}

/// Whether GitHub shows a deployment as one that goes on.
fn is_open(announced: &str) -> bool {
    announced.ends_with("in_progress") || announced.ends_with(": ")
}
