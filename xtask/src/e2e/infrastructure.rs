//! What stands before the first delivery, as a team's Terraform would leave it: cluster, a role, repositories, log groups,
//! load balancers, and services that run a bootstrap image.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::aws_api::AwsApi;
use super::monorepo::{ENVIRONMENT, EXECUTION_ROLE, SERVICES};
use super::registry_name;
use crate::process::{Run, program};

/// The version that a service answers before its first delivery.
pub(crate) const BOOTSTRAP: &str = "bootstrap";

/// Creates everything that a delivery expects to find.
pub(crate) fn create(aws: AwsApi, binary: &Path, folder: &Path) -> Result<()> {
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole", "Principal": { "Service": "ecs-tasks.amazonaws.com" },
    }] });
    let role = [("RoleName", EXECUTION_ROLE), ("AssumeRolePolicyDocument", &trust.to_string())];
    aws.iam("CreateRole", &role)?;
    let image = build_bootstrap_image(binary, folder)?;
    for service in SERVICES {
        create_repository(aws, &format!("payments/{service}"))?;
        aws.json("logs", "Logs_20140328.CreateLogGroup", &json!({ "logGroupName": format!("/ecs/{service}") }))?;
        let bootstrap = format!("{}/payments/{service}:{BOOTSTRAP}", registry_name::host());
        program("docker").args(["tag", &image, &bootstrap]).read()?;
        push(&bootstrap, folder)?;
    }
    create_environment(aws, ENVIRONMENT)
}

/// Creates an environment's cluster, and in it the services with their load balancers. They run the bootstrap image.
pub(crate) fn create_environment(aws: AwsApi, environment: &str) -> Result<()> {
    aws.ecs("CreateCluster", &json!({ "clusterName": cluster(environment) }))?;
    SERVICES.iter().try_for_each(|service| create_service(aws, environment, service))
}

pub(crate) fn create_repository(aws: AwsApi, name: &str) -> Result<()> {
    let request = json!({ "repositoryName": name, "imageTagMutability": "IMMUTABLE" });
    aws.json("ecr", "AmazonEC2ContainerRegistry_V20150921.CreateRepository", &request).map(drop)
}

/// Creates a service that no task of runs, for what borrows its network alone.
pub(crate) fn create_idle_service(aws: AwsApi, service: &str) -> Result<()> {
    let image = format!("{}/payments/{service}:{BOOTSTRAP}", registry_name::host());
    let containers = json!([{ "name": "app", "image": image, "essential": true }]);
    aws.ecs(
        "RegisterTaskDefinition",
        &json!({
            "family": service,
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": containers,
        }),
    )?;
    aws.ecs(
        "CreateService",
        &json!({
            "cluster": cluster(ENVIRONMENT),
            "serviceName": service,
            "taskDefinition": service,
            "desiredCount": 0,
            "launchType": "FARGATE",
            "networkConfiguration": network(),
        }),
    )?;
    Ok(())
}

fn network() -> Value {
    json!({ "awsvpcConfiguration": {
        "subnets": ["subnet-00000000000000001"],
        "securityGroups": ["sg-00000000000000001"],
        "assignPublicIp": "DISABLED",
    } })
}

pub(crate) fn cluster(environment: &str) -> String {
    format!("payments-{environment}")
}

/// The load balancer of a service. Its data plane is `/_alb/<name>/`.
pub(crate) fn load_balancer(environment: &str, service: &str) -> String {
    format!("{environment}-{service}")
}

fn build_bootstrap_image(binary: &Path, folder: &Path) -> Result<String> {
    let context = folder.join("bootstrap");
    std::fs::create_dir_all(&context)?;
    std::fs::copy(binary, context.join("sample-service")).context("cannot copy the service")?;
    std::fs::write(
        context.join("Dockerfile"),
        "FROM scratch\nCOPY sample-service /sample-service\nUSER 65532\nSTOPSIGNAL SIGKILL\nENTRYPOINT [\"/sample-service\"]\n",
    )?;
    let tag = "delivery-suite-e2e:bootstrap";
    program("docker").args(["build", "--quiet", "--tag", tag]).arg(&context).read()?;
    Ok(tag.to_owned())
}

/// Pushes with credentials of its own, so that the test leaves the person's `docker login` alone. ministack takes any.
pub(crate) fn push(image: &str, folder: &Path) -> Result<()> {
    let configuration = folder.join("docker");
    std::fs::create_dir_all(&configuration)?;
    let login = json!({ "auths": { registry_name::host(): { "auth": "QVdTOmFueQ==" } } });
    std::fs::write(configuration.join("config.json"), login.to_string())?;
    program("docker").arg("--config").arg(&configuration).args(["push", "--quiet", image]).read()?;
    Ok(())
}

fn create_service(aws: AwsApi, environment: &str, service: &str) -> Result<()> {
    let image = format!("{}/payments/{service}:{BOOTSTRAP}", registry_name::host());
    let target_group = create_load_balancer(aws, &load_balancer(environment, service))?;
    let registered = aws.ecs(
        "RegisterTaskDefinition",
        &json!({
            "family": service,
            "requiresCompatibilities": ["FARGATE"],
            "networkMode": "awsvpc",
            "cpu": "256",
            "memory": "512",
            "containerDefinitions": [{
                "name": "app",
                "image": image,
                "essential": true,
                "portMappings": [{ "containerPort": 8080, "protocol": "tcp" }],
                "environment": [{ "name": "COMMIT", "value": BOOTSTRAP }, { "name": "SERVICE", "value": service }],
            }],
        }),
    )?;
    let task_definition = registered.pointer("/taskDefinition/taskDefinitionArn").and_then(Value::as_str);
    aws.ecs(
        "CreateService",
        &json!({
            "cluster": cluster(environment),
            "serviceName": service,
            "taskDefinition": task_definition.context("RegisterTaskDefinition answered no ARN")?,
            "desiredCount": 2,
            "launchType": "FARGATE",
            "loadBalancers": [{ "targetGroupArn": target_group, "containerName": "app", "containerPort": 8080 }],
            "networkConfiguration": network(),
            // Without the breaker ministack starts a task that fails again and again, without a pause.
            "deploymentConfiguration": {
                "deploymentCircuitBreaker": { "enable": true, "rollback": true },
                "minimumHealthyPercent": 100,
                "maximumPercent": 200,
            },
        }),
    )?;
    Ok(())
}

/// A load balancer of this name; answers its target group.
fn create_load_balancer(aws: AwsApi, name: &str) -> Result<String> {
    let load_balancer = aws.elb("CreateLoadBalancer", &[("Name", name)], "LoadBalancerArn")?;
    let target_group = aws.elb(
        "CreateTargetGroup",
        &[
            ("Name", name),
            ("Protocol", "HTTP"),
            ("Port", "8080"),
            ("TargetType", "ip"),
            ("VpcId", "vpc-00000001"),
            ("HealthCheckPath", "/health"),
        ],
        "TargetGroupArn",
    )?;
    let listener = [
        ("LoadBalancerArn", load_balancer.as_str()),
        ("Protocol", "HTTP"),
        ("Port", "80"),
        ("DefaultActions.member.1.Type", "forward"),
        ("DefaultActions.member.1.TargetGroupArn", &target_group),
    ];
    aws.elb("CreateListener", &listener, "ListenerArn")?;
    Ok(target_group)
}
