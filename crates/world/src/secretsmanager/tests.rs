use std::time::Duration;

use super::*;
use crate::ecs;

const FIRST: &str = "11111111-1111-4111-a111-111111111111";
const SECOND: &str = "22222222-2222-4222-a222-222222222222";

fn ask(world: &World, operation: &str, body: Value) -> Result<Value, String> {
    world.with(|state| answer(state, operation, &body)).map_err(|refusal| refusal.code)
}

/// The stages of each version that has one.
fn stages(world: &World) -> Value {
    ask(world, "DescribeSecret", json!({ "SecretId": "shop/db" })).unwrap()["VersionIdsToStages"].clone()
}

fn put(world: &World, token: &str, value: &str) -> Result<Value, String> {
    ask(world, "PutSecretValue", json!({ "SecretId": "shop/db", "SecretString": value, "ClientRequestToken": token }))
}

/// A secret with a first and a second value.
fn world() -> World {
    let world = World::new();
    let body =
        json!({ "Name": "shop/db", "SecretString": "one", "ClientRequestToken": FIRST, "KmsKeyId": "alias/shop" });
    ask(&world, "CreateSecret", body).unwrap();
    put(&world, SECOND, "two").unwrap();
    world
}

#[test]
fn a_secret_is_found_by_name_arn_and_arn_without_suffix() {
    let world = World::new();
    let arn = world.put_secret("shop/db-main", "hunter2");
    let (without_suffix, suffix) = arn.rsplit_once('-').unwrap();
    assert_eq!(without_suffix, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/db-main");
    assert!(suffix.len() == 6 && suffix.chars().all(|letter| letter.is_ascii_alphanumeric()), "{suffix}");
    for id in ["shop/db-main", &arn, without_suffix] {
        let got = ask(&world, "GetSecretValue", json!({ "SecretId": id })).unwrap();
        assert_eq!((&got["SecretString"], &got["ARN"]), (&json!("hunter2"), &json!(arn)), "{id}");
    }
    for id in ["shop/db", &without_suffix.replace("eu-west-1", "us-east-1")] {
        let missing = ask(&world, "DescribeSecret", json!({ "SecretId": id }));
        assert_eq!(missing, Err("ResourceNotFoundException".to_owned()), "{id}");
    }
}

#[test]
fn a_new_value_makes_the_present_one_the_previous() {
    let world = world();
    assert_eq!(stages(&world), json!({ FIRST: ["AWSPREVIOUS"], SECOND: ["AWSCURRENT"] }));
    put(&world, &FIRST.replace('1', "3"), "three").unwrap();
    assert_eq!(stages(&world)[SECOND], json!(["AWSPREVIOUS"]));
    assert_eq!(stages(&world).get(FIRST), None);
    assert_eq!(world.secret("shop/db").as_deref(), Some("three"));
    let described = ask(&world, "DescribeSecret", json!({ "SecretId": "shop/db" })).unwrap();
    assert_eq!(described["KmsKeyId"], "alias/shop");
}

#[test]
fn a_value_put_twice_by_one_token_is_one_version() {
    let world = world();
    assert_eq!(put(&world, SECOND, "two").unwrap()["VersionStages"], json!(["AWSCURRENT"]));
    assert_eq!(stages(&world), json!({ FIRST: ["AWSPREVIOUS"], SECOND: ["AWSCURRENT"] }));
    assert_eq!(put(&world, SECOND, "other"), Err("ResourceExistsException".to_owned()));
    assert_eq!(put(&world, "short", "other"), Err("InvalidParameterException".to_owned()));
}

#[test]
fn the_current_stage_moves_back() {
    let world = world();
    let update = |body: Value| {
        let mut body = body;
        body["SecretId"] = json!("shop/db");
        body["VersionStage"] = json!("AWSCURRENT");
        ask(&world, "UpdateSecretVersionStage", body)
    };
    let refused = Err("InvalidParameterException".to_owned());
    assert_eq!(update(json!({ "MoveToVersionId": FIRST })), refused);
    assert_eq!(update(json!({ "MoveToVersionId": FIRST, "RemoveFromVersionId": FIRST })), refused);
    assert_eq!(update(json!({ "RemoveFromVersionId": SECOND })), refused);
    let nowhere = update(json!({ "MoveToVersionId": "nope", "RemoveFromVersionId": SECOND }));
    assert_eq!(nowhere, Err("ResourceNotFoundException".to_owned()));
    update(json!({ "MoveToVersionId": FIRST, "RemoveFromVersionId": SECOND })).unwrap();
    assert_eq!(stages(&world), json!({ FIRST: ["AWSCURRENT"], SECOND: ["AWSPREVIOUS"] }));
    assert_eq!(world.secret("shop/db").as_deref(), Some("one"));
}

#[test]
fn a_value_is_had_by_version_and_by_stage() {
    let world = world();
    let get = |version: Option<&str>, stage: Option<&str>| {
        let mut body = json!({ "SecretId": "shop/db" });
        version.into_iter().for_each(|version| body["VersionId"] = json!(version));
        stage.into_iter().for_each(|stage| body["VersionStage"] = json!(stage));
        ask(&world, "GetSecretValue", body).map(|answer| answer["SecretString"].as_str().unwrap().to_owned())
    };
    assert_eq!(get(None, Some("AWSPREVIOUS")).as_deref(), Ok("one"));
    assert_eq!(get(Some(FIRST), None).as_deref(), Ok("one"));
    assert_eq!(get(Some(FIRST), Some("AWSCURRENT")), Err("InvalidRequestException".to_owned()));
    assert_eq!(get(None, Some("AWSPENDING")), Err("ResourceNotFoundException".to_owned()));
}

#[test]
fn what_a_task_definition_names_is_fetched_or_said_to_be_missing() {
    let world = World::new();
    let first = world.put_secret("shop/db", "{\"user\":\"first\"}");
    world.put_secret("shop/db", "{\"user\":\"shop\",\"port\":5432}");
    world.put_secret("shop/plain", "hunter2");
    let plain = first.replace("shop/db", "shop/plain");
    let plain = plain.rsplit_once('-').unwrap().0;
    #[track_caller]
    fn check(world: &World, reference: &str, expected: Result<&str, &str>) {
        let found = world.with(|state| value_from(state, reference));
        match (&found, expected) {
            (Ok(value), Ok(expected)) => assert_eq!(value, expected),
            (Err(reason), Err(expected)) => assert!(reason.contains(expected), "{reason}"),
            _ => panic!("{reference}: {found:?}"),
        }
    }
    check(&world, plain, Ok("hunter2"));
    check(&world, &format!("{first}:user::"), Ok("shop"));
    check(&world, &format!("{first}:port::"), Ok("5432"));
    check(&world, &format!("{first}:user:AWSPREVIOUS:"), Ok("first"));
    check(&world, &format!("{first}:user::nope"), Err("ResourceNotFoundException: Secrets Manager can't find"));
    check(&world, &format!("{first}:host::"), Err("did not contain json key host"));
    check(&world, &format!("{plain}:host::"), Err("invalid character 'h'"));
    check(&world, &first.replace("shop/db", "shop/queue"), Err("can't find the specified secret."));
}

#[tokio::test(start_paused = true)]
async fn a_task_starts_only_if_its_secrets_are_there() {
    async fn check(value_from: impl Fn(&World) -> String, expected: Option<&str>) {
        let world = World::new();
        let secret = value_from(&world);
        world.create_cluster("shop");
        let task_definition = world.register_task_definition(&json!({
            "family": "auth", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
            "containerDefinitions": [{
                "name": "app", "image": "nginx", "secrets": [{ "name": "DATABASE_URL", "valueFrom": secret }],
            }],
        }));
        let network = json!({ "awsvpcConfiguration": { "subnets": ["subnet-0a1b2c3d4e5f60718"] } });
        let run = json!({
            "cluster": "shop", "taskDefinition": task_definition, "launchType": "FARGATE", "networkConfiguration": network,
        });
        world.with(|state| ecs::answer(state, "RunTask", &run)).expect("launched");
        tokio::time::advance(Duration::from_secs(60)).await;
        let task = world.tasks("shop").remove(0);
        match (&task.stopped_reason, expected) {
            (Some(reason), Some(expected)) => assert!(reason.contains(expected), "{reason}"),
            (reason, None) => assert_eq!(reason.as_deref(), Some("Essential container in task exited")),
            (None, Some(_)) => panic!("it runs without its secret {secret}"),
        }
    }
    let with_key = |key: &'static str| {
        move |world: &World| format!("{}:{key}::", world.put_secret("shop/db", "{\"url\":\"postgres://db\"}"))
    };
    check(with_key("url"), None).await;
    check(with_key("user"), Some("did not contain json key user")).await;
    let missing = |_: &World| "arn:aws:secretsmanager:eu-west-1:111122223333:secret:shop/db-AbCdEf".to_owned();
    check(missing, Some("shop/db-AbCdEf from secrets manager: ResourceNotFoundException")).await;
}
