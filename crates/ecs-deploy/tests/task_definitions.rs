//! What is registered: what the file says, as it says it, and nothing twice.

use insta::assert_snapshot;
use serde_json::{Value, json};
use stage::{COMMIT, Stage};

use crate::shop::{DELIVERY, deploy, ends, image, running, shop, shop_of, task_definition, told, written};

/// A task definition file with what somebody writes into it.
fn file(stage: &Stage, write: impl FnOnce(&mut Value)) {
    let mut definition = task_definition("${IMAGE}", "${LOG_LEVEL}");
    write(&mut definition);
    stage.file("deploy/auth.json", serde_json::to_string_pretty(&definition).expect("JSON"));
}

/// What RegisterTaskDefinition was last asked for.
fn registered(stage: &Stage) -> Value {
    let calls = stage.world.calls();
    let call = calls.iter().rev().find(|call| call.name == "ecs:RegisterTaskDefinition");
    call.map_or(Value::Null, |call| call.body.clone())
}

fn registrations(stage: &Stage) -> usize {
    written(stage).iter().filter(|write| write.starts_with("register")).count()
}

#[tokio::test(start_paused = true)]
async fn what_the_file_says_reaches_ecs_as_it_says_it() {
    let stage = shop("serves");
    file(&stage, |definition| {
        // Members that are newer than any SDK, and values that look like nothing.
        definition["quantumMode"] = json!({ "entangled": true, "with": ["orders"] });
        definition["pidMode"] = json!("task");
        definition["enableFaultInjection"] = json!(false);
        definition["ephemeralStorage"] = json!({ "sizeInGiB": 30 });
        definition["tags"] = json!([{ "key": "team", "value": "payments" }, { "key": "cost", "value": "" }]);
        let container = &mut definition["containerDefinitions"][0];
        container["futureProof"] = json!({ "level": 3.5 });
        container["environment"] = json!([{ "name": "EMPTY", "value": "" }, { "name": "LOG_LEVEL", "value": "debug" }]);
        container["command"] = json!([]);
    });
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    let digest = stage.world.image_digest("shop/auth", COMMIT).expect("an image");
    let mut expected: Value =
        serde_json::from_str(&std::fs::read_to_string(stage.workspace().join("deploy/auth.json")).expect("a file"))
            .expect("JSON");
    expected["containerDefinitions"][0]["image"] = json!(image(&digest));
    assert_eq!(registered(&stage), expected);
}

#[tokio::test(start_paused = true)]
async fn what_ecs_alone_may_say_is_left_out() {
    let stage = shop("serves");
    file(&stage, |definition| {
        definition["taskDefinitionArn"] = json!("arn:aws:ecs:eu-west-1:111122223333:task-definition/shop-auth:1");
        definition["revision"] = json!(1);
        definition["status"] = json!("ACTIVE");
        definition["requiresAttributes"] = json!([{ "name": "com.amazonaws.ecs.capability.task-eni" }]);
        definition["compatibilities"] = json!(["EC2", "FARGATE"]);
        definition["registeredAt"] = json!(1_767_603_600.0);
        definition["registeredBy"] = json!("arn:aws:sts::111122223333:assumed-role/deliver/run");
        definition["deregisteredAt"] = json!(null);
        definition["deleteRequestedAt"] = json!(1_767_603_600.0);
        definition["tags"] = json!([]);
        definition["volumes"] = json!(null);
    });
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    let mut members: Vec<String> = registered(&stage).as_object().expect("an object").keys().cloned().collect();
    members.sort();
    assert_eq!(
        members,
        [
            "containerDefinitions",
            "cpu",
            "executionRoleArn",
            "family",
            "memory",
            "networkMode",
            "requiresCompatibilities"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_describe_task_definition_answers_is_a_file_too() {
    let stage = shop("serves");
    let digest = stage.world.image_digest("shop/auth", COMMIT).expect("an image");
    let definition = task_definition(&image(&digest), "debug");
    stage.file("deploy/auth.json", json!({ "taskDefinition": definition, "tags": [] }).to_string());
    let ran = deploy(&stage, &[]).await;
    // Either it is understood, or it is said what is wrong: never an empty task definition.
    ends(&ran, "refused", 2);
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn without_a_file_the_running_one_gets_the_new_image_and_keeps_everything_else() {
    let stage = shop_of("serves", |seed| {
        seed.task_definition["tags"] = json!([{ "key": "team", "value": "payments" }]);
        seed.task_definition["containerDefinitions"][0]["environment"] =
            json!([{ "name": "EMPTY", "value": "" }, { "name": "LOG_LEVEL", "value": "info" }]);
        let sidecar = json!({ "name": "proxy", "image": "public.ecr.aws/shop/proxy:3", "essential": false });
        seed.task_definition["containerDefinitions"].as_array_mut().expect("containers").push(sidecar);
    });
    stage.file("delivery.toml", DELIVERY.replace("task-definition = \"deploy/auth.json\"\n", ""));
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    let asked = registered(&stage);
    let digest = stage.world.image_digest("shop/auth", COMMIT).expect("an image");
    assert_eq!(asked["tags"], json!([{ "key": "team", "value": "payments" }]));
    assert_eq!(asked["containerDefinitions"][0]["image"], json!(image(&digest)));
    assert_eq!(asked["containerDefinitions"][1]["image"], "public.ecr.aws/shop/proxy:3");
    assert_eq!(asked["containerDefinitions"][0]["environment"][0], json!({ "name": "EMPTY", "value": "" }));
    for read_only in ["taskDefinitionArn", "revision", "status", "registeredAt", "registeredBy", "compatibilities"] {
        assert!(asked.get(read_only).is_none(), "{read_only}");
    }
    assert_snapshot!(told(&ran));
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "unchanged", 0);
}

#[tokio::test(start_paused = true)]
async fn another_order_and_what_ecs_adds_by_itself_are_no_difference() {
    let stage = shop("serves");
    let base = |definition: &mut Value| {
        definition["tags"] = json!([{ "key": "a", "value": "1" }, { "key": "b", "value": "2" }]);
        definition["containerDefinitions"][0]["environment"] =
            json!([{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }]);
    };
    file(&stage, base);
    ends(&deploy(&stage, &[]).await, "deployed", 0);
    type Write = fn(&mut Value);
    let same: [Write; 4] = [
        |_| {},
        |definition| definition["tags"].as_array_mut().expect("tags").reverse(),
        |definition| {
            definition["containerDefinitions"][0]["environment"].as_array_mut().expect("variables").reverse();
        },
        |definition| {
            definition["containerDefinitions"][0]["essential"] = json!(true);
            definition["containerDefinitions"][0]["mountPoints"] = json!([]);
            definition["containerDefinitions"][0]["portMappings"][0]["protocol"] = json!("tcp");
            definition["containerDefinitions"][0]["portMappings"][0]["hostPort"] = json!(3001);
            definition["volumes"] = json!([]);
        },
    ];
    for (place, write) in same.into_iter().enumerate() {
        file(&stage, |definition| {
            base(definition);
            write(definition);
        });
        let ran = deploy(&stage, &[]).await;
        assert_eq!(ran.output("result"), "unchanged", "{place}: {}", ran.log);
    }
    assert_eq!(registrations(&stage), 1);
}

#[tokio::test(start_paused = true)]
async fn every_difference_that_counts_is_deployed() {
    type Write = fn(&mut Value);
    let different: [Write; 6] = [
        |definition| definition["tags"] = json!([{ "key": "team", "value": "payments" }]),
        |definition| definition["memory"] = json!("1024"),
        |definition| definition["containerDefinitions"][0]["command"] = json!(["serve", "--fast"]),
        |definition| {
            definition["containerDefinitions"][0]["environment"] =
                json!([{ "name": "LOG_LEVEL", "value": "debug" }, { "name": "EMPTY", "value": "" }]);
        },
        |definition| definition["containerDefinitions"][0]["essential"] = json!(true),
        |definition| definition["runtimePlatform"] = json!({ "cpuArchitecture": "X86_64" }),
    ];
    for (place, write) in different.into_iter().enumerate() {
        let stage = shop("serves");
        file(&stage, |_| {});
        ends(&deploy(&stage, &[]).await, "deployed", 0);
        file(&stage, write);
        let ran = deploy(&stage, &[]).await;
        let expected = if place == 4 { "unchanged" } else { "deployed" };
        assert_eq!(ran.output("result"), expected, "{place}: {}", ran.log);
    }
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_is_registered_and_runs_nowhere_is_used() {
    let stage = shop("serves");
    let digest = stage.world.image_digest("shop/auth", COMMIT).expect("an image");
    stage.world.register_task_definition(&task_definition(&image(&digest), "debug"));
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(registrations(&stage), 0, "{:?}", written(&stage));
    assert_eq!(running(&stage).0, "shop-auth:2");
}

#[tokio::test(start_paused = true)]
async fn every_delivery_has_its_own_variables() {
    let stage = shop("serves");
    file(&stage, |definition| {
        definition["containerDefinitions"][0]["environment"] = json!([
            { "name": "COMMIT", "value": "${COMMIT}" },
            { "name": "PLACE", "value": "${SERVICE}.${ENVIRONMENT}.${REGION}.${ACCOUNT}" },
            { "name": "IMAGE", "value": "${IMAGE}" },
            { "name": "SHELL", "value": "$${HOME}/$HOME" },
            { "name": "QUOTED", "value": "say \"${LOG_LEVEL}\"" },
        ]);
    });
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    let digest = stage.world.image_digest("shop/auth", COMMIT).expect("an image");
    let values: Vec<String> = registered(&stage)["containerDefinitions"][0]["environment"]
        .as_array()
        .expect("variables")
        .iter()
        .map(|variable| variable["value"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(
        values,
        [COMMIT, "auth.staging.eu-west-1.111122223333", &image(&digest), "${HOME}/$HOME", "say \"debug\""]
    );
}

#[tokio::test(start_paused = true)]
async fn an_unknown_variable_is_told_with_its_line_and_the_nearest_known_one() {
    let stage = shop("serves");
    file(&stage, |definition| definition["containerDefinitions"][0]["environment"][0]["value"] = json!("${LOG_LEVLE}"));
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "refused", 2);
    assert_snapshot!(ran.annotations().join("\n"));
    assert!(written(&stage).is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_difference_shows_no_value_that_may_be_secret() {
    let stage = shop("serves");
    file(&stage, |definition| {
        definition["containerDefinitions"][0]["environment"] = json!([
            { "name": "DATABASE_PASSWORD", "value": "correct-horse-battery-staple" },
            { "name": "DATABASE_URL", "value": "postgres://shop:hunter2hunter2@db/shop" },
            { "name": "LOG_LEVEL", "value": "trace" },
        ]);
    });
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    let everything = format!(
        "{}{:?}{}",
        told(&ran),
        ran.outputs,
        stage.world.parameter("/delivery/shop/staging/release").unwrap_or_default()
    );
    assert!(!everything.contains("correct-horse"), "{everything}");
    assert!(!everything.contains("hunter2"), "{everything}");
    assert_snapshot!(ran.log.lines().filter(|line| line.contains("environment")).collect::<Vec<_>>().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_task_definition_is_refused_with_its_place() {
    let stage = shop("serves");
    for text in [
        "[]",
        "{}",
        r#"{ "family": "shop-auth" }"#,
        r#"{ "family": "shop-auth", "containerDefinitions": [{ "name": "web", "image": "${IMAGE}" }] }"#,
        r#"{ "family": "shop-auth", "containerDefinitions": [{ "name": "app" }], }"#,
    ] {
        stage.file("deploy/auth.json", text);
        let ran = deploy(&stage, &[]).await;
        ends(&ran, "refused", 2);
        assert!(written(&stage).is_empty());
        assert_snapshot!(ran.annotations().join("\n"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_does_not_exist_is_refused() {
    let stage = shop("serves");
    let ran = deploy(&stage, &[("task-definition", "shop-auth:7")]).await;
    assert_eq!(ran.output("result"), "refused", "{}", ran.log);
    assert!(written(&stage).is_empty());
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn an_image_without_a_digest_is_refused() {
    let stage = shop("serves");
    let ran = deploy(&stage, &[("image", "111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth:latest")]).await;
    ends(&ran, "refused", 2);
    assert_snapshot!(ran.annotations().join("\n"));
}
