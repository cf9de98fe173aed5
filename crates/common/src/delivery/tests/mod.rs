mod refusals;

use std::time::Duration;

use super::*;

/// The example of the documentation, whole.
pub(super) const EXAMPLE: &str = r#"
name = "payments"

[environments.staging]
branch = "develop"
region = "eu-west-1"
account = "111122223333"
cluster = "payments-staging"
role = "arn:aws:iam::111122223333:role/deliver-staging"
variables = { LOG_LEVEL = "debug" }

[environments.production]
branch = "main"
region = "eu-west-1"
account = "444455556666"
cluster = "payments-production"
role = "arn:aws:iam::444455556666:role/deliver-production"
variables = { LOG_LEVEL = "info" }
strategy = { kind = "canary", percent = 10, bake = "5m" }

[services.auth]
path = "apps/auth-service"
dockerfile = "apps/auth-service/Dockerfile"
repository = "payments/auth-service"
task-definition = "deploy/auth-service.json"
container = "app"
service = "auth-service"
after = []
[services.auth.migration]
command = ["npx", "prisma", "migrate", "deploy"]
sources = "apps/auth-service/prisma/migrations"
backup = { rds-instance = "payments-auth-${ENVIRONMENT}", when = "if-pending" }
[services.auth.health]
url = "https://auth.${ENVIRONMENT}.example.com/health"
expect = ["status == 200", "json(/version) == '${COMMIT}'"]

[image-policy]
max-size = "500MB"
require-non-root = true
require-healthcheck = true
fail-on = ["CRITICAL", "HIGH"]
ignore-unfixed = true
required-files = []
refuse-secrets = true
require-scan = false
max-report-age = "24h"
"#;

pub(super) fn read(text: &str) -> Delivery {
    Delivery::read(text, "delivery.toml").unwrap_or_else(|failure| panic!("{failure}"))
}

pub(super) fn refused(text: &str) -> String {
    Delivery::read(text, "delivery.toml").expect_err("the file should be refused").to_string()
}

fn key(text: &str) -> ServiceKey {
    text.parse().unwrap()
}

#[test]
fn the_example_reads_as_it_is_meant() {
    let delivery = read(EXAMPLE);
    assert_eq!(delivery.name.as_str(), "payments");
    let production = delivery.environment(&"production".parse().unwrap()).unwrap();
    let strategy = production.strategy.as_ref().unwrap();
    assert_eq!((strategy.kind, strategy.percent), (StrategyKind::Canary, Some(10.0)));
    assert_eq!(strategy.bake.unwrap().whole_minutes(), Some(5));
    assert_eq!(production.variables["LOG_LEVEL"], "info");

    let auth = &delivery.services[&key("auth")];
    assert_eq!(auth.path.as_ref().unwrap().as_str(), "apps/auth-service");
    assert_eq!(auth.ecs_service(&key("auth")).as_str(), "auth-service");
    let migration = auth.migration.as_ref().unwrap();
    assert_eq!(migration.command, ["npx", "prisma", "migrate", "deploy"]);
    let instance = migration.backup.as_ref().unwrap().rds_instance.as_ref().unwrap();
    let variable = |name: &str| (name == "ENVIRONMENT").then(|| "staging".to_owned());
    assert_eq!(instance.render(variable).unwrap(), "payments-auth-staging");
    assert_eq!(auth.health.expect[1].as_str(), "json(/version) == '${COMMIT}'");
}

#[test]
fn what_is_left_out_has_the_documented_default() {
    let delivery = read(&EXAMPLE.replace("service = \"auth-service\"\n", ""));
    assert_eq!(delivery.image_policy, ImagePolicy::default());
    assert_eq!(delivery.repositories, Repositories::default());
    let auth = &delivery.services[&key("auth")];
    assert_eq!(auth.ecs_service(&key("auth")).as_str(), "auth");
    assert_eq!((auth.health.passes.get(), auth.health.failures.get()), (2, 3));
    assert_eq!(auth.health.interval.get(), Duration::from_secs(30));
    assert_eq!(auth.health.timeout.get(), Duration::from_secs(5));
    assert_eq!(Health::default().expect, [Template::from("status == 200")]);
}

#[test]
fn an_unknown_environment_is_told_with_those_there_are() {
    let delivery = read(EXAMPLE);
    let unknown = |name: &str| delivery.environment(&name.parse().unwrap()).unwrap_err().to_string();
    insta::assert_snapshot!(unknown("prodution"), @"
    there is no environment `prodution` in the delivery file
    hint: did you mean `production`? it has `staging`, `production`
    ");
    insta::assert_snapshot!(unknown("qa"), @"
    there is no environment `qa` in the delivery file
    hint: it has `staging`, `production`
    ");
    assert_eq!(delivery.for_branch("main").unwrap().as_str(), "production");
    assert_eq!(delivery.for_branch("feature"), None);
}

/// Services with what each comes after, in this order.
fn services(of: &[(&str, &[&str])]) -> Delivery {
    let services = of.iter().map(|(key, after)| {
        format!("[services.{key}]\npath = '.'\nrepository = 'shop/{key}'\ncontainer = 'app'\nafter = {after:?}\n")
    });
    read(&format!("name = 'shop'\n[environments.a]\ncluster = 'shop'\n{}", services.collect::<String>()))
}

#[test]
fn services_are_selected_in_the_order_of_the_file() {
    let delivery = services(&[("web", &[]), ("auth", &[]), ("api", &[])]);
    let select = |asked: &[&str]| {
        let asked: Vec<ServiceKey> = asked.iter().map(|asked| key(asked)).collect();
        let selected = delivery.select(&asked).map(|keys| keys.iter().map(ToString::to_string).collect::<Vec<_>>());
        selected.map_err(|failure| failure.to_string())
    };
    assert_eq!(select(&[]).unwrap(), ["web", "auth", "api"]);
    assert_eq!(select(&["api", "web", "api"]).unwrap(), ["web", "api"]);
    insta::assert_snapshot!(select(&["api", "auht", "gateway"]).unwrap_err(), @"
    2 problems:
    - there is no service `auht` in the delivery file (did you mean `auth`?)
    - there is no service `gateway` in the delivery file (known are `web`, `auth`, `api`)
    ");
}

#[test]
fn dependents_come_in_a_later_wave() {
    let delivery =
        services(&[("gateway", &["web", "api"]), ("web", &["api"]), ("api", &["auth"]), ("auth", &[]), ("mail", &[])]);
    for (asked, expected) in [
        ("gateway web api auth mail", "auth mail | api | web | gateway"),
        ("mail auth", "mail auth"),
        ("gateway auth", "auth | gateway"),
        ("gateway mail", "gateway mail"),
        ("web gateway auth", "auth | web | gateway"),
        ("", ""),
    ] {
        let asked: Vec<ServiceKey> = asked.split_whitespace().map(key).collect();
        let waves = delivery.waves(&asked.iter().collect::<Vec<_>>());
        let wave = |wave: &Vec<&ServiceKey>| wave.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(" ");
        assert_eq!(waves.iter().map(wave).collect::<Vec<_>>().join(" | "), expected);
    }
}
