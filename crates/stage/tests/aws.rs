//! The AWS clients against the simulated AWS: real requests, real answers.

use std::collections::BTreeSet;

use common::aws::{Aws, EcrImage, Place, SecretKeys};
use common::names::Secret;
use serde_json::{Value, json};
use stage::Stage;
use world::{ImageSeed, ServiceSeed, World};

pub(crate) const REGISTRY: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

pub(crate) async fn aws(stage: &Stage) -> Aws {
    stage.edges(&[]).aws(&Place::default()).await.unwrap()
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

/// The requests of this name that reached the world.
fn requests(world: &World, name: &str) -> Vec<Value> {
    world.calls().into_iter().filter(|call| call.name == name).map(|call| call.body).collect()
}

#[tokio::test(start_paused = true)]
async fn a_parameter_is_made_once_and_its_history_has_every_version() {
    let stage = Stage::new();
    let ssm = aws(&stage).await.ssm;
    assert_eq!(ssm.get_parameter("/shop/lock").await.unwrap(), None);
    assert_eq!(ssm.parameter_history("/shop/lock").await.unwrap(), []);
    assert_eq!(ssm.create_parameter("/shop/lock", "one", "a lock").await.unwrap(), Some(1));
    assert_eq!(ssm.create_parameter("/shop/lock", "two", "a lock").await.unwrap(), None);
    for version in 2..=60 {
        assert_eq!(ssm.put_parameter("/shop/lock", &version.to_string()).await.unwrap(), version);
    }
    let found = ssm.get_parameter("/shop/lock").await.unwrap().unwrap();
    assert_eq!((found.value.expose(), found.version, found.kind.as_str()), ("60", 60, "String"));
    assert!(found.modified_at.is_some());
    let history = ssm.parameter_history("/shop/lock").await.unwrap();
    assert_eq!(history.iter().map(|found| found.version).collect::<Vec<_>>(), (1..=60).collect::<Vec<_>>());
    assert_eq!(history[0].value.expose(), "one");
    assert!(ssm.delete_parameter("/shop/lock").await.unwrap());
    assert!(!ssm.delete_parameter("/shop/lock").await.unwrap());
    assert_eq!(ssm.get_parameter("/shop/lock").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn many_parameters_are_looked_for_ten_a_call() {
    let stage = Stage::new();
    let world = &stage.world;
    let mut wanted: BTreeSet<String> = (0..23).map(|number| format!("/shop/{number}")).collect();
    for name in wanted.iter().filter(|name| !name.ends_with('7')) {
        world.put_parameter(name, "x");
    }
    wanted.insert("arn:aws:ssm:eu-west-1:111122223333:parameter/shop/1".to_owned());
    let existing = aws(&stage).await.ssm.existing_parameters(&wanted).await.unwrap();
    let missing: Vec<&String> = wanted.difference(&existing).collect();
    assert_eq!(missing, ["/shop/17", "/shop/7"]);
    let requests = requests(world, "ssm:GetParameters");
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request["WithDecryption"] == json!(false)), "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rotated_parameter_keeps_its_key_and_can_go_back() {
    let stage = Stage::new();
    let world = &stage.world;
    world.put_secure_parameter("/shop/db", "old", Some("alias/shop"));
    let ssm = aws(&stage).await.ssm;
    let arn = "arn:aws:ssm:eu-west-1:111122223333:parameter/shop/db";
    let rotated = ssm.rotate_parameter(arn, &Secret::new("new")).await.unwrap();
    assert_eq!((rotated.name.as_str(), rotated.earlier, rotated.version), ("/shop/db", 1, 2));
    assert_eq!(world.parameter("/shop/db").unwrap(), "new");
    let back = ssm.restore_parameter("/shop/db", rotated.earlier).await.unwrap();
    assert_eq!((back.earlier, back.version), (2, 3));
    assert_eq!(world.parameter("/shop/db").unwrap(), "old");
    for request in requests(world, "ssm:PutParameter") {
        assert_eq!((&request["Type"], &request["KeyId"]), (&json!("SecureString"), &json!("alias/shop")), "{request}");
    }
    let failure = ssm.restore_parameter("/shop/db", 9).await.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "parameter `/shop/db` has no version 9\nhint: Parameter Store keeps the last hundred; there are 1, 2, 3"
    );
    let failure = ssm.rotate_parameter("/shop/nothing", &Secret::new("new")).await.unwrap_err();
    assert!(failure.to_string().starts_with("there is no parameter `/shop/nothing`"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_secret_gets_a_new_value_and_its_earlier_one_back() {
    let stage = Stage::new();
    let world = &stage.world;
    let arn = world.put_secret("shop/db", r#"{"password":"old"}"#);
    let secrets = aws(&stage).await.secrets;
    assert_eq!(secrets.describe_secret("shop/nothing").await.unwrap(), None);
    let before = secrets.describe_secret("shop/db").await.unwrap().unwrap();
    assert_eq!(before.arn, arn);
    let earlier = before.version_with("AWSCURRENT").unwrap().to_owned();
    let new = secrets.put_secret_value(&arn, &Secret::new(r#"{"user":"a"}"#)).await.unwrap();
    let json = |keys: [&str; 1]| SecretKeys::Json(names(keys));
    assert_eq!(secrets.secret_keys(&arn, None, None).await.unwrap(), json(["user"]));
    assert_eq!(secrets.secret_keys(&arn, Some("AWSPREVIOUS"), None).await.unwrap(), json(["password"]));
    assert_eq!(secrets.secret_keys(&arn, None, Some(&new)).await.unwrap(), json(["user"]));
    assert_eq!(secrets.secret_keys("shop/nothing", None, None).await.unwrap(), SecretKeys::NotFound);
    secrets.restore_previous(&arn, &earlier).await.unwrap();
    assert_eq!(world.secret("shop/db").unwrap(), r#"{"password":"old"}"#);
    secrets.restore_previous(&arn, &earlier).await.unwrap();
    assert_eq!(requests(world, "secretsmanager:UpdateSecretVersionStage").len(), 1, "nothing to do the second time");
    let failure = secrets.restore_previous(&arn, "never-was").await.unwrap_err();
    assert!(failure.to_string().contains("has no version `never-was` any more"), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn alarms_of_both_kinds_are_read_a_hundred_a_call() {
    let stage = Stage::new();
    let world = &stage.world;
    let mut wanted: BTreeSet<String> = (100..250).map(|number| format!("alarm-{number}")).collect();
    for name in &wanted {
        world.set_alarm(name, "OK");
    }
    world.set_composite_alarm("whole", "ALARM");
    wanted.extend(names(["whole", "nothing"]));
    let alarms = aws(&stage).await.cloudwatch.describe_alarms(&wanted).await.unwrap();
    assert_eq!(alarms.len(), 151);
    assert_eq!((alarms[0].name.as_str(), alarms[0].state.as_str()), ("alarm-100", "OK"));
    assert_eq!((alarms[150].name.as_str(), alarms[150].state.as_str()), ("whole", "ALARM"));
    assert_eq!(requests(world, "cloudwatch:DescribeAlarms").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn log_groups_target_groups_and_roles_exist_or_not() {
    let stage = Stage::new();
    let world = &stage.world;
    let aws = aws(&stage).await;
    world.create_log_group("/shop/auth-old");
    assert!(!aws.logs.log_group_exists("/shop/auth").await.unwrap());
    world.create_log_group("/shop/auth");
    assert!(aws.logs.log_group_exists("/shop/auth").await.unwrap());

    world.create_service(ServiceSeed {
        cluster: "shop".to_owned(),
        name: "auth".to_owned(),
        task_definition: definition("auth", &[]),
        target_group: Some("auth".to_owned()),
        ..ServiceSeed::default()
    });
    let services = aws.ecs.describe_services(&"shop".parse().unwrap(), &[&"auth".parse().unwrap()]).await.unwrap();
    let arn = &services[0].load_balancers[0].target_group;
    let group = aws.elb.describe_target_group(arn).await.unwrap().unwrap();
    assert_eq!((group.name.as_str(), group.target_type.as_deref()), ("auth", Some("ip")));
    assert!(group.port.is_some() && group.protocol.is_some() && group.health_check_path.is_some(), "{group:?}");
    let missing = arn.replace("targetgroup/auth", "targetgroup/nothing");
    assert_eq!(aws.elb.describe_target_group(&missing).await.unwrap(), None);

    let role = world.create_role("service-role/tasks");
    assert_eq!(aws.iam.get_role(&role).await.unwrap(), Some(role.clone()));
    assert_eq!(aws.iam.get_role("tasks").await.unwrap(), Some(role));
    for missing in ["arn:aws:iam::111122223333:role/tasks", "arn:aws:iam::444455556666:role/tasks", "nothing"] {
        assert_eq!(aws.iam.get_role(missing).await.unwrap(), None, "{missing}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_platforms_of_an_image_are_in_its_index_or_in_its_configuration() {
    let stage = Stage::new();
    let world = &stage.world;
    let aws = aws(&stage).await;
    let check = async |platforms: Vec<&'static str>| {
        let repository = "shop/auth".to_owned();
        let digest = world.push_image(ImageSeed { repository, platforms, ..ImageSeed::default() });
        let image = EcrImage::parse(&format!("{REGISTRY}/shop/auth@{digest}")).unwrap();
        let platforms = aws.ecr.platforms(&image).await.unwrap().unwrap();
        platforms.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(check(vec!["linux/arm64"]).await, ["linux/arm64"]);
    assert_eq!(check(vec!["linux/arm64", "linux/amd64"]).await, ["linux/amd64", "linux/arm64"]);
    let unknown = format!("shop/auth@sha256:{}", "0".repeat(64));
    for missing in [unknown.as_str(), "shop/auth:v9", "shop/nothing:v1"] {
        let image = EcrImage::parse(&format!("{REGISTRY}/{missing}")).unwrap();
        assert_eq!(aws.ecr.platforms(&image).await.unwrap(), None, "{missing}");
    }
}

/// A task definition on Fargate with an image that is not ECR's, and these secrets.
pub(crate) fn definition(family: &str, secrets: &[(&str, &str)]) -> Value {
    let secrets: Vec<Value> =
        secrets.iter().map(|(name, value_from)| json!({ "name": name, "valueFrom": value_from })).collect();
    json!({
        "family": family,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
        "containerDefinitions": [{
            "name": "app",
            "image": "public.ecr.aws/shop/auth:v1",
            "portMappings": [{ "containerPort": 3001 }],
            "secrets": secrets,
        }],
    })
}
