//! `operation: rollback`: a release, or a service of it, goes back to what an earlier release ran.

use insta::assert_snapshot;
use stage::{COMMIT, Stage};
use world::Fault;

use crate::fleet::{THREE, next_commit, push, runs, three, three_of};
use crate::shop::{deploy, ends, is_locked, ledger, told, written};

const SECOND: &str = "2222222222222222222222222222222222222222";
const THIRD: &str = "3333333333333333333333333333333333333333";

const ROLLBACK: (&str, &str) = ("operation", "rollback");

/// Three releases, of three commits: what every service runs is 2, 3 and then 4.
async fn three_releases() -> Stage {
    let stage = three(["serves"; 3]);
    ends(&deploy(&stage, &[]).await, "deployed", 0);
    let stage = next_commit(&stage, SECOND, &THREE.map(|name| (name, "serves")));
    ends(&deploy(&stage, &[]).await, "deployed", 0);
    let stage = next_commit(&stage, THIRD, &THREE.map(|name| (name, "serves")));
    ends(&deploy(&stage, &[]).await, "deployed", 0);
    assert_eq!(runs(&stage, &THREE), all_at(4));
    stage.another_run()
}

fn all_at(revision: u32) -> [String; 3] {
    THREE.map(|name| format!("shop-{name}:{revision} × 2"))
}

#[tokio::test(start_paused = true)]
async fn a_release_goes_back_to_the_one_before_without_registering_anything() {
    let stage = three_releases().await;
    let before = written(&stage).len();
    let ran = deploy(&stage, &[ROLLBACK]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(
        written(&stage)[before..],
        [
            "lock",
            "ledger: release 4 deploying",
            "update auth to shop-auth:3",
            "update api to shop-api:3",
            "update nginx to shop-nginx:3",
            "ledger: release 4 deployed",
            "unlock",
        ]
    );
    assert_eq!(runs(&stage, &THREE), all_at(3));
    let entry = ledger(&stage);
    assert_eq!((&entry["r"], &entry["s"], &entry["o"]), (&4.into(), &"deployed".into(), &"rollback".into()), "{entry}");
    assert_eq!(entry["c"], SECOND, "{entry}");
    assert_eq!(ran.output("release"), "4");
    assert!(!is_locked(&stage));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn two_rollbacks_in_a_row_go_back_two_releases() {
    let stage = three_releases().await;
    ends(&deploy(&stage, &[ROLLBACK]).await, "deployed", 0);
    let stage = stage.another_run();
    ends(&deploy(&stage, &[ROLLBACK]).await, "deployed", 0);
    assert_eq!(runs(&stage, &THREE), all_at(2));
    assert_eq!(ledger(&stage)["c"], COMMIT);
    // There is none before the first.
    let before = written(&stage).len();
    let ran = deploy(&stage.another_run(), &[ROLLBACK]).await;
    assert_ne!(ran.exit_code, 0);
    assert_eq!(ran.output("result"), "refused", "{}", ran.log);
    assert_eq!(written(&stage).len(), before);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_release_is_named_by_its_number_or_its_commit() {
    for to in ["1", COMMIT, &COMMIT[..7]] {
        let stage = three_releases().await;
        let ran = deploy(&stage, &[ROLLBACK, ("to", to)]).await;
        ends(&ran, "deployed", 0);
        assert_eq!(runs(&stage, &THREE), all_at(2), "{to}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_can_be_planned() {
    let stage = three_releases().await;
    let before = written(&stage).len();
    let ran = deploy(&stage, &[ROLLBACK, ("to", "1"), ("dry-run", "true")]).await;
    ends(&ran, "planned", 0);
    assert_eq!(written(&stage).len(), before, "it writes nothing");
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn one_service_of_several_goes_back() {
    let stage = three_releases().await;
    let ran = deploy(&stage, &[ROLLBACK, ("services", "api"), ("to", "1")]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(runs(&stage, &THREE), ["shop-auth:4 × 2", "shop-api:2 × 2", "shop-nginx:4 × 2"]);
    let entry = ledger(&stage);
    let of = |name: &str| entry["p"][name]["t"].clone();
    assert_eq!(THREE.map(of), ["shop-auth:4", "shop-api:2", "shop-nginx:4"], "{entry}");
    // The next deploy of the commit brings it forward again, and only it.
    let again = stage.another_run();
    let ran = deploy(&again, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(ran.output("services"), r#"{"auth":"unchanged","api":"deployed","nginx":"unchanged"}"#);
    assert_eq!(runs(&again, &THREE), all_at(4), "and nothing is registered anew");
}

#[tokio::test(start_paused = true)]
async fn a_rollback_after_a_release_that_failed_goes_back_before_what_runs() {
    let stage = three_releases().await;
    let fourth = "4444444444444444444444444444444444444444";
    let bad = [("auth", "serves"), ("api", "serves"), ("nginx", "exits 1 after 1 s")];
    let stage = next_commit(&stage, fourth, &bad);
    ends(&deploy(&stage, &[]).await, "rolled-back", 1);
    assert_eq!(runs(&stage, &THREE), all_at(4));
    let stage = stage.another_run();
    ends(&deploy(&stage, &[ROLLBACK]).await, "deployed", 0);
    assert_eq!(runs(&stage, &THREE), all_at(3));
}

#[tokio::test(start_paused = true)]
async fn a_release_that_nobody_knows_is_told_with_those_that_there_are() {
    let stage = three_releases().await;
    let before = written(&stage).len();
    let ran = deploy(&stage, &[ROLLBACK, ("to", "17")]).await;
    assert_eq!(ran.output("result"), "refused", "{}", ran.log);
    assert!(matches!(ran.exit_code, 1 | 2), "{}", ran.exit_code);
    assert_eq!(written(&stage).len(), before);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_to_what_runs_changes_nothing() {
    let stage = three_releases().await;
    let before = written(&stage).len();
    let ran = deploy(&stage, &[ROLLBACK, ("to", "3")]).await;
    ends(&ran, "unchanged", 0);
    assert_eq!(written(&stage).len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_rollback_to_an_image_that_is_gone_is_refused_before_anything_changes() {
    let stage = three_releases().await;
    let digest = stage.world.image_digest("shop/api", SECOND).expect("an image");
    stage.world.delete_image("shop/api", &digest);
    let before = written(&stage).len();
    let ran = deploy(&stage, &[ROLLBACK, ("to", "2")]).await;
    assert_eq!(ran.output("result"), "refused", "{}", ran.log);
    assert_eq!(written(&stage).len(), before);
    assert_eq!(runs(&stage, &THREE), all_at(4));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_rollback_that_fails_is_taken_back_itself() {
    let stage = three_of(["serves"; 3], |name, seed| {
        // Its image is a tag that somebody moves to a broken image meanwhile.
        seed.task_definition["containerDefinitions"][0]["image"] =
            format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/{name}:old").into();
    });
    // Without a ledger it is ECS that remembers what ran before.
    stage.world.script("ssm:PutParameter", Fault::Denied, 2);
    ends(&deploy(&stage, &[]).await, "deployed", 0);
    assert!(ledger(&stage).is_null());
    push(&stage, "nginx", "old", "exits 1 after 1 s: no such table");
    let stage = stage.another_run();
    let before = written(&stage).len();
    let ran = deploy(&stage, &[ROLLBACK]).await;
    ends(&ran, "rolled-back", 1);
    assert_eq!(runs(&stage, &THREE), all_at(2));
    assert!(!is_locked(&stage));
    assert_eq!(ledger(&stage)["p"]["nginx"]["t"], "shop-nginx:2");
    assert_snapshot!(written(&stage)[before..].join("\n"));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn without_a_ledger_what_ecs_remembers_is_gone_back_to() {
    let stage = three(["serves"; 3]);
    stage.world.script("ssm:PutParameter", Fault::Denied, 20);
    ends(&deploy(&stage, &[]).await, "deployed", 0);
    assert!(ledger(&stage).is_null());
    let stage = stage.another_run();
    let ran = deploy(&stage, &[ROLLBACK]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(runs(&stage, &THREE), THREE.map(|name| format!("shop-{name}:1 × 2")));
    assert_snapshot!(told(&ran));
    // A number is of the ledger alone.
    let ran = deploy(&stage.another_run(), &[ROLLBACK, ("to", "1")]).await;
    assert_eq!(ran.output("result"), "refused", "{}", ran.log);
    assert_snapshot!(told(&ran));
}
