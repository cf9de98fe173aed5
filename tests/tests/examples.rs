//! The examples are what a team copies: the actions themselves read each one, find its environments ready, and deliver it to a
//! simulated AWS.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use common::delivery::{Delivery, Environment, StrategyKind};
use common::names::{EnvironmentName, ServiceKey};
use common::task_definition::Template;
use serde_json::Value;
use stage::{COMMIT, Stage};
use world::{CircuitBreaker, ImageSeed, ServiceSeed};

const EXAMPLES: [&str; 5] = ["four-services", "hardening", "payments-platform", "shop", "tracking-board"];

/// The account of the simulated AWS. An example may have several: each of its environments is played alone.
const ACCOUNT: &str = "111122223333";

/// An example's checkout, and one of its environments as it is before the first delivery: services that run something else,
/// and whatever they refer to.
struct Example {
    stage: Stage,
    delivery: Delivery,
    name: EnvironmentName,
}

impl Example {
    fn new(example: &str, name: &EnvironmentName) -> Self {
        let mut stage = Stage::new();
        stage.set(
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "https://token.actions.githubusercontent.com/_oidc/token?api-version=2",
        );
        stage.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer of the job");
        let folder = repository::root().join("examples").join(example);
        let mut delivery = fs::read_to_string(folder.join("delivery.toml")).unwrap();
        let accounts = Delivery::read(&delivery, "delivery.toml").unwrap();
        for account in accounts.environments.values().filter_map(|environment| environment.account.clone()) {
            delivery = delivery.replace(account.as_str(), ACCOUNT);
        }
        let keys = copy(&folder.join("deploy"), &stage);
        // The six characters at a secret's end are AWS's to choose.
        for secret in secrets(&delivery) {
            let made = stage.world.put_secret(name_of(&secret), &keys);
            delivery = delivery.replace(&secret, &made);
        }
        stage.file("delivery.toml", &delivery);
        let delivery = Delivery::read(&delivery, "delivery.toml").unwrap();
        let example = Self { stage, delivery, name: name.clone() };
        example.settle();
        example
    }

    fn environment(&self) -> &Environment {
        self.delivery.environment(&self.name).unwrap()
    }

    /// What the infrastructure is there for.
    fn settle(&self) {
        let environment = self.environment();
        let world = &self.stage.world;
        world.create_role(environment.role.as_ref().unwrap().as_str().rsplit('/').next().unwrap());
        for alarm in environment.strategy.iter().flat_map(|strategy| &strategy.alarms) {
            world.set_alarm(alarm, "OK");
        }
        let kind = environment.strategy.as_ref().map(|strategy| strategy.kind);
        for key in self.delivery.services.keys() {
            let running = self.definition(key);
            for parameter in parameters(&running) {
                world.put_parameter(&parameter, "a value");
            }
            world.create_service(ServiceSeed {
                cluster: environment.cluster.to_string(),
                name: key.to_string(),
                task_definition: running,
                desired_count: 2,
                circuit_breaker: Some(CircuitBreaker { rollback: true }),
                target_group: Some(key.to_string()),
                shifts_traffic: !matches!(kind, None | Some(StrategyKind::Rolling)),
                ..ServiceSeed::default()
            });
        }
    }

    /// A service's task definition with an image of an earlier day.
    fn definition(&self, key: &ServiceKey) -> Value {
        let service = &self.delivery.services[key];
        let image = format!("public.ecr.aws/docker/library/{key}:placeholder");
        let given = [
            ("COMMIT", "none"),
            ("IMAGE", &image),
            ("ENVIRONMENT", self.name.as_str()),
            ("SERVICE", key.as_str()),
            ("ACCOUNT", ACCOUNT),
            ("REGION", "eu-west-1"),
        ];
        let own = self.environment().variables.iter().map(|(name, value)| (name.to_string(), value.clone()));
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let variables: BTreeMap<String, String> = own.chain(given).collect();
        let file = service.task_definition.as_ref().unwrap();
        Template::read(&self.stage.workspace(), file.as_str(), &variables).unwrap().fill_in(&variables).unwrap()
    }

    fn push_images(&self) {
        for service in self.delivery.services.values() {
            self.stage.world.push_image(ImageSeed {
                repository: service.repository.to_string(),
                tag: COMMIT.to_owned(),
                ..ImageSeed::default()
            });
        }
    }
}

/// Copies a folder of task definitions into the checkout, and gives a secret that has every key they ask for.
fn copy(folder: &Path, stage: &Stage) -> String {
    let mut keys = serde_json::Map::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        for reference in text.split("\"${SECRETS}:").skip(1) {
            keys.insert(reference.split(':').next().unwrap().to_owned(), "a value".into());
        }
        stage.file(&format!("deploy/{}", entry.file_name().display()), text);
    }
    Value::Object(keys).to_string()
}

/// The ARNs of secrets in a delivery file.
fn secrets(delivery: &str) -> Vec<String> {
    let quoted = delivery.split('"');
    quoted.filter(|text| text.starts_with("arn:aws:secretsmanager:")).map(str::to_owned).collect()
}

/// `arn:…:secret:shop/auth-AbCdEf` is the secret `shop/auth`.
fn name_of(secret: &str) -> &str {
    secret.rsplit(':').next().unwrap().rsplit_once('-').unwrap().0
}

/// The parameters of Parameter Store that a task definition refers to, by name.
fn parameters(definition: &Value) -> Vec<String> {
    let containers = definition["containerDefinitions"].as_array().unwrap().iter();
    let secrets = containers.flat_map(|container| container["secrets"].as_array().into_iter().flatten());
    let values = secrets.filter_map(|secret| secret["valueFrom"].as_str());
    let names = values.filter_map(|value| match value.split_once(":parameter/") {
        Some((_, name)) => Some(format!("/{name}")),
        None => value.starts_with('/').then(|| value.to_owned()),
    });
    names.collect()
}

#[test]
fn no_example_is_left_out() {
    let folders = fs::read_dir(repository::root().join("examples")).unwrap();
    let mut found: Vec<String> = folders.map(|entry| entry.unwrap().file_name().display().to_string()).collect();
    found.sort();
    assert_eq!(found, EXAMPLES);
}

#[tokio::test(start_paused = true)]
async fn an_example_without_a_secret_of_it_is_not_ready() {
    let environment = "production".parse().unwrap();
    let played = Example::new("tracking-board", &environment);
    let definition = fs::read_to_string(played.stage.workspace().join("deploy/backend.json")).unwrap();
    played.stage.file("deploy/backend.json", definition.replace("redis-url", "redis-uri"));
    let inputs = [("environment", "production"), ("operation", "preflight")];
    let ran = played.stage.run(&ecs_deploy::ACTION, ecs_deploy::run, &inputs).await;
    assert_eq!(ran.output("result"), "refused", "{}", ran.log);
    assert!(ran.annotations()[0].contains("has no key `redis-uri`"), "{:?}", ran.annotations());
}

#[tokio::test(start_paused = true)]
async fn a_payments_platform_is_delivered_within_a_quarter_of_an_hour() {
    delivered("payments-platform", "payments", Duration::from_mins(15)).await;
}

#[tokio::test(start_paused = true)]
async fn a_hardened_service_is_delivered() {
    delivered("hardening", "hardening", Duration::from_mins(15)).await;
}

#[tokio::test(start_paused = true)]
async fn a_shop_is_delivered() {
    // Three waves, each of which waits until the load balancer has let go of the old tasks.
    delivered("shop", "shop", Duration::from_mins(20)).await;
}

#[tokio::test(start_paused = true)]
async fn four_services_are_delivered() {
    delivered("four-services", "four-services", Duration::from_mins(15)).await;
}

#[tokio::test(start_paused = true)]
async fn a_tracking_board_is_delivered_within_five_minutes() {
    delivered("tracking-board", "tracking-board", Duration::from_mins(5)).await;
}

/// Plays every environment of an example: it is ready, it is delivered in time, and the gate knows what to look at. `family` is what
/// the families of its task definitions begin with.
async fn delivered(example: &str, family: &str, at_most: Duration) {
    let file = repository::root().join("examples").join(example).join("delivery.toml");
    let delivery = Delivery::read(&fs::read_to_string(file).unwrap(), "delivery.toml").unwrap();
    for environment in delivery.environments.keys() {
        let played = Example::new(example, environment);
        let inputs = [("environment", environment.as_str())];

        let preflight = [inputs[0], ("operation", "preflight")];
        let ran = played.stage.run(&ecs_deploy::ACTION, ecs_deploy::run, &preflight).await;
        assert_eq!(ran.output("result"), "unchanged", "{environment}\n{}", ran.log);
        assert_eq!(ran.annotations(), [""; 0], "{environment}");

        played.push_images();
        let ran = played.stage.run(&ecs_deploy::ACTION, ecs_deploy::run, &inputs).await;
        assert_eq!(ran.output("result"), "deployed", "{environment}\n{}", ran.log);
        let report: Value = serde_json::from_str(ran.output("json")).unwrap();
        let took = Duration::from_secs(report["seconds"].as_u64().unwrap());
        assert!(took < at_most, "{environment}: {took:?}");
        for key in played.delivery.services.keys() {
            let service = played.stage.world.service(played.environment().cluster.as_str(), key.as_str()).unwrap();
            let revision = service.task_definition.rsplit('/').next().unwrap();
            assert_eq!((revision, service.running), (&*format!("{family}-{environment}-{key}:2"), 2));
        }

        let gate = [inputs[0], ("dry-run", "true")];
        let ran = played.stage.run(&health_gate::ACTION, health_gate::run, &gate).await;
        assert_eq!(ran.exit_code, 0, "{environment}\n{}", ran.log);
    }
}
