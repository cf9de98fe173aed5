//! What ECS checks and fills in when a task definition is registered.

use serde_json::{Map, Value, json};

use crate::wire::Refusal;

/// Refuses what ECS refuses, in its words.
pub(super) fn check(body: &Value) -> Result<(), Refusal> {
    let refuse = |message: &str| Err(Refusal::new("ClientException", message));
    if body["family"].as_str().is_none_or(str::is_empty) {
        return refuse("Family should not be null or empty.");
    }
    let containers = body["containerDefinitions"].as_array().map_or(&[][..], Vec::as_slice);
    if containers.is_empty() {
        return refuse("Container list cannot be empty.");
    }
    for container in containers {
        for member in ["name", "image"] {
            if container[member].as_str().is_none_or(str::is_empty) {
                return refuse(&format!("Container.{member} should not be null or empty."));
            }
        }
    }
    if containers.iter().all(|container| container["essential"] == false) {
        return refuse("Invalid setting for container. At least one container must be essential.");
    }
    // An empty list is not the same as none: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Tag.html
    if body["tags"].as_array().is_some_and(Vec::is_empty) {
        return Err(Refusal::new("InvalidParameterException", "Tags can not be empty."));
    }
    if is_fargate(body) { check_fargate(body) } else { Ok(()) }
}

/// What was sent, without what ECS does not keep, and with the defaults that it fills in.
pub(super) fn normalised(body: &Value) -> Map<String, Value> {
    let mut content = known(body, &MEMBERS);
    content.entry("volumes").or_insert_with(|| json!([]));
    content.entry("placementConstraints").or_insert_with(|| json!([]));
    let awsvpc = content.get("networkMode").is_some_and(|mode| mode == "awsvpc");
    let containers = content.get_mut("containerDefinitions").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        *container = Value::Object(normalised_container(container, awsvpc));
    }
    content
}

/// What the task definition can be launched on.
pub(super) fn compatibilities(content: &Map<String, Value>) -> Value {
    let awsvpc = content.get("networkMode").is_some_and(|mode| mode == "awsvpc");
    let sized = content.contains_key("cpu") && content.contains_key("memory");
    match (awsvpc, sized) {
        (true, true) => json!(["EC2", "FARGATE"]),
        (true, false) => json!(["EC2"]),
        (false, _) => json!(["EXTERNAL", "EC2"]),
    }
}

/// What a container instance would have to be able to do.
pub(super) fn required_attributes(content: &Map<String, Value>) -> Value {
    let containers = || content.get("containerDefinitions").and_then(Value::as_array).into_iter().flatten();
    let mut names = vec!["com.amazonaws.ecs.capability.docker-remote-api.1.18"];
    if containers().any(|container| container["logConfiguration"]["logDriver"] == "awslogs") {
        names.push("com.amazonaws.ecs.capability.logging-driver.awslogs");
    }
    if containers().any(|container| container["image"].as_str().is_some_and(|image| image.contains(".dkr.ecr."))) {
        names.push("com.amazonaws.ecs.capability.ecr-auth");
    }
    if content.contains_key("taskRoleArn") {
        names.push("com.amazonaws.ecs.capability.task-iam-role");
    }
    if content.get("networkMode").is_some_and(|mode| mode == "awsvpc") {
        names.push("ecs.capability.task-eni");
    }
    names.into_iter().map(|name| json!({ "name": name })).collect()
}

fn is_fargate(body: &Value) -> bool {
    body["requiresCompatibilities"].as_array().into_iter().flatten().any(|compatibility| compatibility == "FARGATE")
}

fn check_fargate(body: &Value) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new("ClientException", message));
    if body["networkMode"] != "awsvpc" {
        return refuse("Fargate only supports network mode ‘awsvpc’.".to_owned());
    }
    for member in ["cpu", "memory"] {
        if body[member].as_str().is_none_or(str::is_empty) {
            return refuse(format!("Fargate requires that '{member}' be defined at the task level."));
        }
    }
    let (cpu, memory) = (units(&body["cpu"], "vcpu"), units(&body["memory"], "gb"));
    if !cpu.zip(memory).is_some_and(|(cpu, memory)| is_fargate_size(cpu, memory)) {
        return refuse("No Fargate configuration exists for given values.".to_owned());
    }
    if body["executionRoleArn"].as_str().is_none_or(str::is_empty) {
        let containers = || body["containerDefinitions"].as_array().into_iter().flatten();
        let needs = "Fargate requires task definition to have execution role ARN to support";
        if containers().any(|container| container["image"].as_str().is_some_and(|image| image.contains(".dkr.ecr."))) {
            return refuse(format!("{needs} ECR images."));
        }
        if containers().any(|container| container["logConfiguration"]["logDriver"] == "awslogs") {
            return refuse(format!("{needs} log driver awslogs."));
        }
    }
    Ok(())
}

/// The sizes that Fargate sells.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html>
fn is_fargate_size(cpu: u64, memory: u64) -> bool {
    let gigabytes = |least: u64, most: u64, step: u64| {
        memory.is_multiple_of(1024)
            && (least..=most).contains(&(memory / 1024))
            && (memory / 1024 - least).is_multiple_of(step)
    };
    match cpu {
        256 => [512, 1024, 2048].contains(&memory),
        512 => gigabytes(1, 4, 1),
        1024 => gigabytes(2, 8, 1),
        2048 => gigabytes(4, 16, 1),
        4096 => gigabytes(8, 30, 1),
        8192 => gigabytes(16, 60, 4),
        16384 => gigabytes(32, 120, 8),
        _ => false,
    }
}

/// `256`, `.25 vCPU`, `512`, `1 GB`: in CPU units or MiB.
fn units(value: &Value, unit: &str) -> Option<u64> {
    let text = value.as_str()?.to_ascii_lowercase();
    match text.strip_suffix(unit) {
        None => text.trim().parse().ok(),
        Some(number) => {
            let thousandths: f64 = number.trim().parse().ok()?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a Fargate size is a small positive number"
            )]
            Some((thousandths * 1024.0).round() as u64)
        }
    }
}

fn normalised_container(container: &Value, awsvpc: bool) -> Map<String, Value> {
    let mut container = known(container, &CONTAINER_MEMBERS);
    for (member, default) in [
        ("cpu", json!(0)),
        ("portMappings", json!([])),
        ("essential", json!(true)),
        ("environment", json!([])),
        ("mountPoints", json!([])),
        ("volumesFrom", json!([])),
        ("systemControls", json!([])),
    ] {
        container.entry(member).or_insert(default);
    }
    if let Some(logging) = container.get_mut("logConfiguration").and_then(Value::as_object_mut) {
        logging.entry("secretOptions").or_insert_with(|| json!([]));
    }
    for port in container.get_mut("portMappings").and_then(Value::as_array_mut).into_iter().flatten() {
        if awsvpc && port["hostPort"].is_null() && !port["containerPort"].is_null() {
            port["hostPort"] = port["containerPort"].clone();
        }
        if port["protocol"].is_null() {
            port["protocol"] = json!("tcp");
        }
    }
    container
}

/// The members that the API knows; it ignores others, and nulls.
fn known(body: &Value, members: &[&str]) -> Map<String, Value> {
    let sent = body.as_object().into_iter().flatten();
    sent.filter(|(member, value)| members.contains(&member.as_str()) && !value.is_null())
        .map(|(member, value)| (member.clone(), value.clone()))
        .collect()
}

/// RegisterTaskDefinition's members, but for `tags`.
const MEMBERS: [&str; 18] = [
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "volumes",
    "placementConstraints",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "inferenceAccelerators",
    "ephemeralStorage",
    "runtimePlatform",
    "enableFaultInjection",
    "trustedExecutionConfiguration",
];

/// ContainerDefinition's members.
const CONTAINER_MEMBERS: [&str; 42] = [
    "name",
    "image",
    "repositoryCredentials",
    "cpu",
    "memory",
    "memoryReservation",
    "links",
    "portMappings",
    "essential",
    "restartPolicy",
    "entryPoint",
    "command",
    "environment",
    "environmentFiles",
    "mountPoints",
    "volumesFrom",
    "linuxParameters",
    "secrets",
    "dependsOn",
    "startTimeout",
    "stopTimeout",
    "versionConsistency",
    "hostname",
    "user",
    "workingDirectory",
    "disableNetworking",
    "privileged",
    "readonlyRootFilesystem",
    "dnsServers",
    "dnsSearchDomains",
    "extraHosts",
    "dockerSecurityOptions",
    "interactive",
    "pseudoTerminal",
    "dockerLabels",
    "ulimits",
    "logConfiguration",
    "healthCheck",
    "systemControls",
    "resourceRequirements",
    "firelensConfiguration",
    "credentialSpecs",
];
