//! `cargo run -p ecs-deploy --example requests`: how many requests a release makes, by operation, for more and more services.
//!
//! Counted on a simulated AWS with the clock paused: what is counted is what was sent, and no second is waited for. Each
//! service has what a preflight asks about: two secrets, two roles, a log group, an alarm, a load balancer.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a program for people, on a stage that is a test's furniture"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use serde_json::{Value, json};
use stage::{COMMIT, Ran, Stage};
use world::{CircuitBreaker, ImageSeed, ServiceSeed};

/// How many services the releases have.
const RELEASES: [usize; 4] = [1, 3, 10, 30];

/// Prints the table; with the name of a file, writes every request and its answer into it, as JSON lines.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> ExitCode {
    let mut transcript = String::new();
    let mut costs = Vec::new();
    for services in RELEASES {
        let stage = set(services);
        let ran = stage.run(&ecs_deploy::ACTION, ecs_deploy::run, &[("environment", "staging")]).await;
        if ran.output("result") != "deployed" {
            println!("{services} services: {} instead of deployed\n{}", ran.output("result"), ran.log);
            return ExitCode::FAILURE;
        }
        costs.push(Cost::of(&stage, &ran));
        transcript += &stage.world.transcript();
    }
    if let Some(file) = std::env::args().nth(1) {
        std::fs::write(file, transcript).expect("the file can be written");
    }
    print(&costs);
    ExitCode::SUCCESS
}

/// What a release cost.
struct Cost {
    /// Requests by operation.
    requests: BTreeMap<String, usize>,
    /// Those to ECS after the last service was updated, and how long that took.
    watching: (usize, f64),
    /// From the first write to the last.
    seconds: f64,
}

impl Cost {
    fn of(stage: &Stage, ran: &Ran) -> Self {
        let calls = stage.world.calls();
        let mut requests = BTreeMap::new();
        for call in &calls {
            // Layers are fetched from a storage beside AWS's APIs, each by an address of its own.
            let operation = if call.name.starts_with("GET ") { "a layer of an image" } else { &call.name };
            *requests.entry(operation.to_owned()).or_default() += 1;
        }
        let after = calls.iter().rev().take_while(|call| call.name != "ecs:UpdateService");
        let watching = after.filter(|call| call.name.starts_with("ecs:")).count();
        let report: Value = serde_json::from_str(ran.output("json")).expect("the report is JSON");
        let seconds = report["seconds"].as_f64().expect("a release takes a time");
        let phases = report["services"].as_array().expect("services").iter().flat_map(|service| {
            service["phases"].as_array().expect("phases").iter().filter(|phase| phase["phase"] == "updated")
        });
        let updated = phases.filter_map(|phase| phase["seconds"].as_f64()).fold(0.0, f64::max);
        Self { requests, watching: (watching, seconds - updated), seconds }
    }
}

/// A cluster in which this many services run an older version, each with two tasks.
fn set(services: usize) -> Stage {
    let stage = Stage::new();
    let mut delivery = r#"
name = "shop"

[environments.staging]
branch = "main"
region = "eu-west-1"
cluster = "shop"
"#
    .to_owned();
    for role in ["shop-execution", "shop-task"] {
        stage.world.create_role(role);
    }
    for number in 1..=services {
        let name = format!("service-{number}");
        delivery += &format!(
            r#"
[services.{name}]
path = "apps/{name}"
repository = "shop/{name}"
task-definition = "deploy/{name}.json"
container = "app"
"#
        );
        stage.file(&format!("deploy/{name}.json"), task_definition(&stage, &name, "${IMAGE}").to_string());
        settle(&stage, &name);
    }
    stage.file("delivery.toml", delivery);
    stage
}

fn settle(stage: &Stage, name: &str) {
    let push = |tag: &str| {
        stage.world.push_image(ImageSeed {
            repository: format!("shop/{name}"),
            tag: tag.to_owned(),
            // What tells the two images apart.
            labels: [("version".to_owned(), tag.to_owned())].into(),
            ..ImageSeed::default()
        })
    };
    push(COMMIT);
    let old = format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/{name}@{}", push("old"));
    stage.world.create_log_group(&format!("/shop/{name}"));
    stage.world.put_parameter(&format!("/shop/{name}/url"), "https://example.com");
    stage.world.set_alarm(&format!("{name}-errors"), "OK");
    stage.world.create_service(ServiceSeed {
        cluster: "shop".to_owned(),
        name: name.to_owned(),
        task_definition: task_definition(stage, name, &old),
        desired_count: 2,
        circuit_breaker: Some(CircuitBreaker { rollback: true }),
        target_group: Some(name.to_owned()),
        deployment_configuration: json!({
            "alarms": { "alarmNames": [format!("{name}-errors")], "enable": true, "rollback": true },
        }),
        ..ServiceSeed::default()
    });
}

fn task_definition(stage: &Stage, name: &str, image: &str) -> Value {
    let secret = stage.world.put_secret(&format!("shop/{name}/database"), r#"{"password":"example"}"#);
    json!({
        "family": format!("shop-{name}"),
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": "arn:aws:iam::111122223333:role/shop-execution",
        "taskRoleArn": "arn:aws:iam::111122223333:role/shop-task",
        "containerDefinitions": [{
            "name": "app",
            "image": image,
            "portMappings": [{ "containerPort": 8080 }],
            "secrets": [
                { "name": "URL", "valueFrom": format!("/shop/{name}/url") },
                { "name": "PASSWORD", "valueFrom": format!("{secret}:password::") },
            ],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": format!("/shop/{name}"),
                    "awslogs-region": "eu-west-1",
                    "awslogs-stream-prefix": "app",
                },
            },
        }],
    })
}

fn print(costs: &[Cost]) {
    row("requests of a release, by number of services", RELEASES.iter().map(ToString::to_string));
    let operations: BTreeSet<&String> = costs.iter().flat_map(|cost| cost.requests.keys()).collect();
    for operation in operations {
        row(
            operation,
            costs.iter().map(|cost| cost.requests.get(operation).map_or_else(String::new, usize::to_string)),
        );
    }
    row("in all", costs.iter().map(|cost| cost.requests.values().sum::<usize>().to_string()));
    row("seconds, from the first write to the last", costs.iter().map(|cost| format!("{:.0}", cost.seconds)));
    row(
        "watching, requests a minute",
        costs.iter().map(|Cost { watching: (requests, seconds), .. }| {
            format!("{:.0}", *requests as f64 * 60.0 / seconds.max(1.0))
        }),
    );
}

fn row(title: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.map(|cell| format!("{cell:>6}")).collect();
    println!("{title:<44} {}", cells.join(" "));
}
