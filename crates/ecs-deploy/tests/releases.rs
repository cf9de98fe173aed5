//! Releases of several services: wave after wave, and back as a whole.

use insta::assert_snapshot;
use serde_json::Value;
use stage::{COMMIT, Ran, Stage};
use world::{CircuitBreaker, Fault};

use crate::fleet::{THREE, definition, fleet, image, next_commit, push, runs, somebody_updates, three, three_of};
use crate::shop::{called, deploy, ends, is_locked, last, ledger, told, until, written};

const CRASHES: &str = "exits 1 after 1 s: no such table";

const OLD: [&str; 3] = ["shop-auth:1 × 2", "shop-api:1 × 2", "shop-nginx:1 × 2"];
const NEW: [&str; 3] = ["shop-auth:2 × 2", "shop-api:2 × 2", "shop-nginx:2 × 2"];

/// What every release that has ended leaves behind.
#[track_caller]
fn has_ended(stage: &Stage, ran: &Ran, result: &str, exit_code: u8) {
    ends(ran, result, exit_code);
    assert_eq!(ledger(stage)["s"], result);
    assert!(!is_locked(stage), "somebody holds the lock");
    let is_over = |status: &String| status.starts_with("SUCC") || status.contains("ROLLBACK_") || status == "STOPPED";
    for name in THREE {
        let Some(service) = stage.world.service("shop", name) else { continue };
        assert!(service.service_deployments.iter().all(is_over), "{name}: {:?}", service.service_deployments);
    }
}

/// The writes to ECS, in order.
fn changes(stage: &Stage) -> Vec<String> {
    let is_change = |write: &String| ["update ", "stop ", "create "].iter().any(|verb| write.starts_with(verb));
    written(stage).into_iter().filter(is_change).collect()
}

/// Where in the calls a service deployment of this service is first told to be so.
fn told_at(stage: &Stage, service: &str, status: &str) -> Option<usize> {
    let is_told = |one: &Value| {
        let is_its = one["serviceDeploymentArn"].as_str().is_some_and(|arn| arn.contains(&format!("/{service}/")));
        is_its && one["status"] == status
    };
    let calls = stage.world.calls();
    calls.iter().position(|call| {
        call.name == "ecs:DescribeServiceDeployments"
            && call.answer["serviceDeployments"].as_array().is_some_and(|all| all.iter().any(is_told))
    })
}

/// Where in the calls a service is first updated to this revision.
fn updated_at(stage: &Stage, revision: &str) -> Option<usize> {
    let calls = stage.world.calls();
    calls.iter().position(|call| {
        call.name == "ecs:UpdateService"
            && call.body["taskDefinition"].as_str().is_some_and(|arn| last(arn) == revision)
    })
}

#[tokio::test(start_paused = true)]
async fn services_go_in_waves_each_when_the_one_before_is_there() {
    let stage = three(["serves"; 3]);
    let ran = deploy(&stage, &[]).await;
    has_ended(&stage, &ran, "deployed", 0);
    let order = [
        "lock",
        "ledger: release 1 deploying",
        "register shop-auth:2",
        "register shop-api:2",
        "register shop-nginx:2",
        "update auth to shop-auth:2",
        "update api to shop-api:2",
        "update nginx to shop-nginx:2",
        "ledger: release 1 deployed",
        "unlock",
    ];
    let mut writes = written(&stage);
    // Which of a burst of registrations is answered first is nobody's business.
    writes[2..5].sort_by_key(|write| order.iter().position(|one| one == write));
    assert_eq!(writes, order);
    assert!(told_at(&stage, "auth", "SUCCESSFUL") < updated_at(&stage, "shop-api:2"));
    assert!(told_at(&stage, "api", "SUCCESSFUL") < updated_at(&stage, "shop-nginx:2"));
    assert_eq!(runs(&stage, &THREE), NEW);
    assert_eq!(ran.output("services"), r#"{"auth":"deployed","api":"deployed","nginx":"deployed"}"#);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn inside_a_wave_services_go_side_by_side() {
    let stage = fleet(
        &[
            ("auth", &[], "serves"),
            ("api", &["auth"], "serves"),
            ("web", &["auth"], "serves"),
            ("nginx", &["api", "web"], "serves"),
        ],
        |_, _| {},
    );
    let ran = deploy(&stage, &[]).await;
    has_ended(&stage, &ran, "deployed", 0);
    assert!(told_at(&stage, "auth", "SUCCESSFUL") < updated_at(&stage, "shop-api:2"));
    assert!(updated_at(&stage, "shop-api:2") < told_at(&stage, "web", "SUCCESSFUL"));
    assert!(updated_at(&stage, "shop-web:2") < told_at(&stage, "api", "SUCCESSFUL"));
    assert!(told_at(&stage, "web", "SUCCESSFUL") < updated_at(&stage, "shop-nginx:2"));
    assert!(told_at(&stage, "api", "SUCCESSFUL") < updated_at(&stage, "shop-nginx:2"));
}

#[tokio::test(start_paused = true)]
async fn when_the_last_one_fails_all_go_back_in_reverse() {
    let stage = three(["serves", "serves", CRASHES]);
    let ran = deploy(&stage, &[]).await;
    has_ended(&stage, &ran, "rolled-back", 1);
    assert_eq!(
        changes(&stage),
        [
            "update auth to shop-auth:2",
            "update api to shop-api:2",
            "update nginx to shop-nginx:2",
            "update api to shop-api:1",
            "update auth to shop-auth:1",
        ],
        "ECS takes back nginx by itself"
    );
    assert!(told_at(&stage, "nginx", "ROLLBACK_SUCCESSFUL") < updated_at(&stage, "shop-api:1"));
    for name in THREE {
        assert_eq!(stage.world.service("shop", name).unwrap().rollout, "COMPLETED", "{name} was watched to its end");
    }
    assert_eq!(runs(&stage, &THREE), OLD);
    assert_eq!(ran.output("services"), r#"{"auth":"rolled-back","api":"rolled-back","nginx":"rolled-back"}"#);
    assert_eq!(ledger(&stage)["p"]["auth"]["t"], "shop-auth:1");
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn without_a_circuit_breaker_this_run_takes_back_the_one_that_fails_too() {
    let stage = three_of(["serves", "serves", CRASHES], |_, seed| seed.circuit_breaker = None);
    let ran = deploy(&stage, &[]).await;
    has_ended(&stage, &ran, "rolled-back", 1);
    assert_eq!(
        changes(&stage),
        [
            "update auth to shop-auth:2",
            "update api to shop-api:2",
            "update nginx to shop-nginx:2",
            "stop the deployment of nginx (ROLLBACK)",
            "update api to shop-api:1",
            "update auth to shop-auth:1",
        ]
    );
    assert_eq!(runs(&stage, &THREE), OLD);
}

#[tokio::test(start_paused = true)]
async fn when_one_in_the_middle_fails_later_waves_are_not_begun() {
    let stage = three(["serves", CRASHES, "serves"]);
    let ran = deploy(&stage, &[]).await;
    has_ended(&stage, &ran, "rolled-back", 1);
    assert_eq!(
        changes(&stage),
        ["update auth to shop-auth:2", "update api to shop-api:2", "update auth to shop-auth:1"]
    );
    assert_eq!(runs(&stage, &THREE), OLD);
    assert_eq!(stage.world.service("shop", "nginx").unwrap().service_deployments, ["SUCCESSFUL"]);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn the_one_beside_a_failure_is_taken_back_while_it_is_on_its_way() {
    let stage = fleet(
        &[("auth", &[], "serves"), ("api", &["auth"], CRASHES), ("nginx", &["auth"], "is unhealthy")],
        // Only that of api is there to trip.
        |name, seed| {
            seed.circuit_breaker = (name == "api").then_some(CircuitBreaker { rollback: true });
            seed.target_group = (name == "nginx").then(|| "nginx".to_owned());
        },
    );
    let ran = deploy(&stage, &[]).await;
    has_ended(&stage, &ran, "rolled-back", 1);
    assert_eq!(runs(&stage, &THREE), OLD);
    assert_snapshot!(changes(&stage).join("\n"));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_another_replaced_is_left_alone() {
    let stage = three(["serves"; 3]);
    let another = async {
        until(|| updated_at(&stage, "shop-api:2").is_some()).await;
        let digest = push(&stage, "api", "hotfix", "serves");
        let revision = stage.world.register_task_definition(&definition("api", &image("api", &digest), "warn"));
        somebody_updates(&stage, "api", &revision).await;
    };
    let (ran, ()) = tokio::join!(deploy(&stage, &[]), another);
    ends(&ran, "superseded", 1);
    assert_eq!(ledger(&stage)["s"], "superseded");
    assert!(!is_locked(&stage));
    let api = stage.world.service("shop", "api").unwrap();
    assert_eq!(last(&api.task_definition), "shop-api:3", "what the other one wants goes on");
    assert_eq!(
        stage.world.service("shop", "nginx").unwrap().service_deployments,
        ["SUCCESSFUL"],
        "the next wave is not begun"
    );
    assert_snapshot!(changes(&stage).join("\n"));
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_fails_for_one_is_told_for_that_one() {
    let stage = three_of(["serves", "serves", CRASHES], |name, seed| {
        // Its image is a tag that somebody moves to a broken image meanwhile.
        if name == "auth" {
            seed.task_definition["containerDefinitions"][0]["image"] =
                "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth:old".into();
        }
    });
    push(&stage, "auth", "old", "exits 3 after 2 s: the queue is gone");
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "rollback-failed", 1);
    assert_eq!(ledger(&stage)["s"], "rollback-failed");
    assert!(!is_locked(&stage));
    assert_eq!(runs(&stage, &["api", "nginx"]), OLD[1..]);
    assert_eq!(ran.output("services"), r#"{"auth":"rollback-failed","api":"rolled-back","nginx":"rolled-back"}"#);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn services_that_already_run_it_are_left_alone() {
    let stage = three(["serves"; 3]);
    let ran = deploy(&stage, &[("services", "auth")]).await;
    has_ended(&stage, &ran, "deployed", 0);
    let ran = deploy(&stage, &[]).await;
    has_ended(&stage, &ran, "deployed", 0);
    assert_eq!(
        changes(&stage),
        ["update auth to shop-auth:2", "update api to shop-api:2", "update nginx to shop-nginx:2"]
    );
    assert_eq!(ran.output("services"), r#"{"auth":"unchanged","api":"deployed","nginx":"deployed"}"#);
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_release_that_fails_leaves_what_it_did_not_touch() {
    let stage = three(["serves"; 3]);
    deploy(&stage, &[]).await;
    // auth stays as it is: its image is the same.
    let commit = "89abcdef89abcdef89abcdef89abcdef89abcdef";
    let next = next_commit(&stage, commit, &[("api", "serves"), ("nginx", CRASHES)]);
    let inputs = [("services", "api, nginx")];
    let ran = deploy(&next, &inputs).await;
    has_ended(&next, &ran, "rolled-back", 1);
    assert_eq!(runs(&next, &THREE), NEW, "the release before");
    assert_eq!(ledger(&next)["p"]["auth"]["t"], "shop-auth:2");
    assert_eq!(ledger(&next)["p"]["nginx"]["t"], "shop-nginx:2");
}

/// The services of each call, by looks: a look is over when a service is asked for again.
fn looks(describes: &[&world::Call]) -> Vec<Vec<Vec<String>>> {
    let mut looks: Vec<Vec<Vec<String>>> = Vec::new();
    for call in describes {
        let names = call.body["services"].as_array().into_iter().flatten();
        let names: Vec<String> = names.map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
        match looks.last_mut() {
            Some(look) if !look.iter().flatten().any(|name| names.contains(name)) => look.push(names),
            _ => looks.push(vec![names]),
        }
    }
    looks
}

#[tokio::test(start_paused = true)]
async fn thirty_services_are_one_release() {
    let names: Vec<String> = (1..=30).map(|number| format!("worker-{number}")).collect();
    let ships: Vec<_> = names.iter().map(|name| (name.as_str(), [].as_slice(), "serves")).collect();
    let stage = fleet(&ships, |_, _| {});
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(ran.annotations(), Vec::<String>::new());
    let calls = stage.world.calls();
    let named = |name: &str| calls.iter().filter(|call| call.name == name).collect::<Vec<_>>();
    let describes = named("ecs:DescribeServices");
    let sizes: Vec<Vec<usize>> = looks(&describes).iter().map(|look| look.iter().map(Vec::len).collect()).collect();
    let is_batched = |look: &Vec<usize>| look.len() == look.iter().sum::<usize>().div_ceil(10);
    assert!(sizes.len() > 10 && sizes.iter().all(is_batched), "{sizes:?}");
    assert_eq!(named("ecs:UpdateService").iter().filter(|call| call.status == 200).count(), 30);
    let registered = named("ecs:RegisterTaskDefinition");
    assert_eq!(registered.iter().filter(|call| call.status == 200).count(), 30);
    // The world refuses what comes too fast: a burst, and then one a second.
    let refused = registered.iter().filter(|call| call.status != 200).count();
    assert!(refused <= 3, "{refused} of {} registrations came too fast", registered.len());
    assert!(!is_locked(&stage));
    assert_eq!(ledger(&stage)["s"], "deployed");
    let new: Vec<String> = names.iter().map(|name| format!("shop-{name}:2 × 2")).collect();
    assert_eq!(runs(&stage, &names.iter().map(String::as_str).collect::<Vec<_>>()), new);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_throttled_by_others_still_gets_its_thirty_services() {
    let names: Vec<String> = (1..=30).map(|number| format!("worker-{number}")).collect();
    let ships: Vec<_> = names.iter().map(|name| (name.as_str(), [].as_slice(), "serves")).collect();
    let stage = fleet(&ships, |_, _| {});
    let trouble = async {
        called(&stage, "ssm:PutParameter").await;
        for call in ["RegisterTaskDefinition", "UpdateService", "DescribeServices", "DescribeServiceDeployments"] {
            stage.world.script(&format!("ecs:{call}"), Fault::Throttled, 25);
        }
    };
    let (ran, ()) = tokio::join!(deploy(&stage, &[]), trouble);
    ends(&ran, "deployed", 0);
    assert_eq!(ledger(&stage)["c"], COMMIT);
    let updates = written(&stage).iter().filter(|write| write.starts_with("update") && write.ends_with(":2")).count();
    assert_eq!(updates, 30, "each once");
}

#[tokio::test(start_paused = true)]
async fn a_task_definition_that_ecs_refuses_is_known_before_any_service_changes() {
    let stage = three(["serves"; 3]);
    let mut impossible = definition("nginx", "${IMAGE}", "${LOG_LEVEL}");
    impossible["cpu"] = "300".into();
    stage.file("deploy/nginx.json", impossible.to_string());
    let ran = deploy(&stage, &[]).await;
    has_ended(&stage, &ran, "failed", 2);
    assert_eq!(changes(&stage), Vec::<String>::new());
    assert_eq!(runs(&stage, &THREE), OLD);
    assert!(!is_locked(&stage));
    assert_ne!(ledger(&stage)["s"], "deploying");
    assert_snapshot!(told(&ran));
}
