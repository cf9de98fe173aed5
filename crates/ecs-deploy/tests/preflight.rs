//! What speaks against deploying is told before anything is written, all of it at once.

use insta::assert_snapshot;
use serde_json::{Value, json};
use stage::{COMMIT, Ran, Stage};
use world::{Fault, ImageSeed, ServiceSeed};

use crate::shop::{DELIVERY, auth, deploy, ends, running, shop, shop_of, task_definition, told, written};

const ACCOUNT: &str = "111122223333";

/// A task definition file with what somebody writes into it.
fn file(stage: &Stage, write: impl FnOnce(&mut Value)) {
    let mut definition = task_definition("${IMAGE}", "${LOG_LEVEL}");
    write(&mut definition);
    stage.file("deploy/auth.json", definition.to_string());
}

fn secrets(values: &[(&str, &str)]) -> Value {
    values.iter().map(|(name, from)| json!({ "name": name, "valueFrom": from })).collect()
}

/// The answer is no, before anything is written.
async fn is_refused(stage: &Stage, inputs: &[(&str, &str)]) -> Ran {
    let ran = deploy(stage, inputs).await;
    assert_eq!(ran.output("result"), "refused", "{}", ran.log);
    assert!([1, 2].contains(&ran.exit_code), "{}", ran.exit_code);
    assert_eq!(written(stage), [""; 0], "nothing is written");
    assert_eq!(running(stage).0, if stage.world.service("shop", "auth").is_some() { "shop-auth:1" } else { "" });
    ran
}

#[tokio::test(start_paused = true)]
async fn everything_that_is_missing_is_told_at_once() {
    let stage = shop("serves");
    stage.world.put_parameter("/shop/auth/database-url", "postgres://");
    let secret = stage.world.put_secret("shop/auth", r#"{"stripe-key":"sk_live","pepper":"abc"}"#);
    file(&stage, |definition| {
        definition["executionRoleArn"] = json!(format!("arn:aws:iam::{ACCOUNT}:role/shop-exceution"));
        definition["taskRoleArn"] = json!(format!("arn:aws:iam::{ACCOUNT}:role/shop-task"));
        let container = &mut definition["containerDefinitions"][0];
        container["secrets"] = secrets(&[
            ("DATABASE_URL", "/shop/auth/database-url"),
            ("DATABASE_USER", "/shop/auth/databse-user"),
            ("QUEUE_URL", &format!("arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/shop/queue-url")),
            ("STRIPE_KEY", &format!("{secret}:stripe-key::")),
            ("STRIPE_SECRET", &format!("{secret}:stripe-secret::")),
            ("GONE", &format!("arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:shop/gone-AbCdEf")),
        ]);
        container["logConfiguration"]["options"]["awslogs-group"] = json!("/shop/aut");
    });
    let ran = is_refused(&stage, &[]).await;
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_no_finding() {
    let stage = shop("serves");
    stage.world.put_parameter("/shop/auth/database-url", "postgres://");
    let secret = stage.world.put_secret("shop/auth", r#"{"stripe-key":"sk_live"}"#);
    stage.world.create_role("shop-task");
    file(&stage, |definition| {
        definition["taskRoleArn"] = json!(format!("arn:aws:iam::{ACCOUNT}:role/shop-task"));
        definition["containerDefinitions"][0]["secrets"] = secrets(&[
            ("DATABASE_URL", "/shop/auth/database-url"),
            ("STRIPE_KEY", &format!("{secret}:stripe-key::")),
            ("ALL", &secret),
        ]);
    });
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "deployed", 0);
    assert_eq!(ran.annotations(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_finds_the_same() {
    let stage = shop("serves");
    file(&stage, |definition| {
        definition["containerDefinitions"][0]["secrets"] = secrets(&[("DATABASE_URL", "/shop/auth/database-url")]);
    });
    let ran = is_refused(&stage, &[("dry-run", "true")]).await;
    assert!(ran.annotations()[0].contains("/shop/auth/database-url"), "{:?}", ran.annotations());
}

#[tokio::test(start_paused = true)]
async fn an_execution_role_that_may_not_read_the_secrets() {
    let stage = shop("serves");
    stage.world.put_parameter("/shop/auth/database-url", "postgres://");
    stage.world.deny("shop-execution", "ssm:GetParameters", "*");
    file(&stage, |definition| {
        definition["containerDefinitions"][0]["secrets"] = secrets(&[("DATABASE_URL", "/shop/auth/database-url")]);
    });
    let ran = is_refused(&stage, &[]).await;
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn an_image_that_was_built_for_another_processor() {
    let stage = shop("serves");
    let digest = stage.world.push_image(ImageSeed {
        repository: "shop/auth".to_owned(),
        tag: "89abcdef0123456789abcdef0123456789abcdef".to_owned(),
        platforms: vec!["linux/arm64"],
        ..ImageSeed::default()
    });
    assert!(!digest.is_empty());
    let ran = is_refused(&stage, &[("commit", "89abcdef0123456789abcdef0123456789abcdef")]).await;
    assert_snapshot!(ran.annotations().join("\n"));
    file(&stage, |definition| definition["runtimePlatform"] = json!({ "cpuArchitecture": "ARM64" }));
    let ran = deploy(&stage, &[("commit", "89abcdef0123456789abcdef0123456789abcdef")]).await;
    ends(&ran, "deployed", 0);
}

#[tokio::test(start_paused = true)]
async fn an_image_for_several_processors_fits_both() {
    let stage = shop("serves");
    stage.world.push_image(ImageSeed {
        repository: "shop/auth".to_owned(),
        tag: "89abcdef0123456789abcdef0123456789abcdef".to_owned(),
        platforms: vec!["linux/amd64", "linux/arm64"],
        ..ImageSeed::default()
    });
    for processor in ["X86_64", "ARM64"] {
        file(&stage, |definition| definition["runtimePlatform"] = json!({ "cpuArchitecture": processor }));
        let ran = deploy(&stage, &[("commit", "89abcdef0123456789abcdef0123456789abcdef")]).await;
        ends(&ran, "deployed", 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_that_the_load_balancer_does_not_find() {
    let stage = shop_of("serves", |seed| seed.target_group = Some("auth".to_owned()));
    file(&stage, |definition| definition["containerDefinitions"][0]["portMappings"][0]["containerPort"] = json!(8080));
    let ran = is_refused(&stage, &[]).await;
    assert_snapshot!(ran.annotations().join("\n"));
    file(&stage, |definition| definition["containerDefinitions"][0]["portMappings"] = json!([]));
    let ran = is_refused(&stage, &[]).await;
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn controllers_that_are_not_ours_are_refused_with_the_way_out() {
    for controller in ["CODE_DEPLOY", "EXTERNAL"] {
        let stage = shop_of("serves", |seed| seed.controller = controller.to_owned());
        let ran = deploy(&stage, &[]).await;
        ends(&ran, "refused", 2);
        assert!(written(&stage).is_empty(), "{:?}", written(&stage));
        assert_snapshot!(ran.annotations().join("\n"));
    }
}

#[tokio::test(start_paused = true)]
async fn services_that_are_not_there_or_go_away() {
    let stage = shop("serves");
    stage.world.delete_service("shop", "auth");
    assert_eq!(auth(&stage).status, "DRAINING");
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "refused", 2);
    assert_snapshot!(ran.annotations().join("\n"));
    crate::shop::until(|| stage.world.service("shop", "auth").is_none_or(|service| service.status == "INACTIVE")).await;
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "refused", 2);
    assert_snapshot!(ran.annotations().join("\n"));
    stage.file("delivery.toml", DELIVERY.replace("container = \"app\"", "container = \"app\"\nservice = \"login\""));
    let ran = deploy(&stage, &[]).await;
    ends(&ran, "refused", 2);
    assert_snapshot!(ran.annotations().join("\n"));
    assert!(written(&stage).is_empty());
}

#[tokio::test(start_paused = true)]
async fn one_service_that_may_not_be_deployed_keeps_back_all_of_them() {
    let stage = shop("serves");
    stage.file(
        "delivery.toml",
        DELIVERY.to_owned()
            + "\n[services.orders]\npath = \"apps/orders\"\nrepository = \"shop/auth\"\ncontainer = \"app\"\n",
    );
    let mut definition = task_definition("public.ecr.aws/shop/placeholder:1", "info");
    definition["family"] = json!("shop-orders");
    stage.world.create_service(ServiceSeed {
        cluster: "shop".to_owned(),
        name: "orders".to_owned(),
        task_definition: definition,
        controller: "EXTERNAL".to_owned(),
        ..ServiceSeed::default()
    });
    let ran = is_refused(&stage, &[]).await;
    assert_eq!(ran.annotations().len(), 1, "{:?}", ran.annotations());
    let ran = deploy(&stage, &[("services", "auth")]).await;
    ends(&ran, "deployed", 0);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_our_role_may_not_make_is_one_warning_and_the_deployment_goes_on() {
    for (call, permission) in [
        ("ssm:GetParameters", "ssm:GetParameters"),
        ("secretsmanager:DescribeSecret", "secretsmanager:DescribeSecret"),
        ("secretsmanager:GetSecretValue", "secretsmanager:GetSecretValue"),
        ("iam:GetRole", "iam:GetRole"),
        ("iam:SimulatePrincipalPolicy", "iam:SimulatePrincipalPolicy"),
        ("logs:DescribeLogGroups", "logs:DescribeLogGroups"),
        ("ecr:BatchGetImage", "ecr:BatchGetImage"),
        ("ecr:GetDownloadUrlForLayer", "ecr:GetDownloadUrlForLayer"),
        ("ecs:ListServiceDeployments", "ecs:ListServiceDeployments"),
        ("ecs:DescribeServiceDeployments", "ecs:DescribeServiceDeployments"),
        ("ecs:DescribeServiceRevisions", "ecs:DescribeServiceRevisions"),
        ("ssm:PutParameter", "ssm:PutParameter"),
        ("ssm:GetParameter", "ssm:GetParameter"),
        ("cloudwatch:DescribeAlarms", "cloudwatch:DescribeAlarms"),
        ("elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetGroups"),
    ] {
        let stage = shop_of("serves", |seed| {
            seed.target_group = Some("auth".to_owned());
            seed.deployment_configuration =
                json!({ "alarms": { "alarmNames": ["auth-5xx"], "enable": true, "rollback": true } });
        });
        stage.world.set_alarm("auth-5xx", "OK");
        stage.world.put_parameter("/shop/auth/database-url", "postgres://");
        let secret = stage.world.put_secret("shop/auth", r#"{"stripe-key":"sk_live"}"#);
        file(&stage, |definition| {
            definition["containerDefinitions"][0]["secrets"] = secrets(&[
                ("DATABASE_URL", "/shop/auth/database-url"),
                ("STRIPE_KEY", &format!("{secret}:stripe-key::")),
            ]);
        });
        stage.world.script(call, Fault::Denied, 1000);
        let ran = deploy(&stage, &[]).await;
        assert_eq!((ran.output("result"), ran.exit_code), ("deployed", 0), "{call}: {}", ran.log);
        let was_asked = stage.world.calls().iter().any(|one| one.name == call);
        let warnings: Vec<String> = ran.annotations().into_iter().filter(|one| one.contains(permission)).collect();
        // Who may not write a parameter can keep neither lock nor ledger: that is two things to know.
        let expected = if call == "ssm:PutParameter" { 2 } else { usize::from(was_asked) };
        assert_eq!(warnings.len(), expected, "{call}: {:?}\n{}", ran.annotations(), ran.log);
        assert!(warnings.iter().all(|one| one.starts_with("::warning ")), "{warnings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_deployment_needs_is_denied() {
    for call in [
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "ecr:DescribeImages",
        "ecs:RegisterTaskDefinition",
        "ecs:UpdateService",
    ] {
        let stage = shop("serves");
        stage.world.script(call, Fault::Denied, 1000);
        let ran = deploy(&stage, &[]).await;
        assert_eq!(ran.exit_code, 3, "{call}: {}", ran.log);
        assert!(ran.annotations()[0].contains(call), "{:?}", ran.annotations());
        assert_eq!(running(&stage), ("shop-auth:1".to_owned(), 2));
        assert!(!crate::shop::is_locked(&stage));
        assert_snapshot!(format!("{}\n\n{}", written(&stage).join("\n"), ran.annotations().join("\n")));
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_nowhere_to_be_seen() {
    let stage = shop("exits 1 after 1 s: no such table");
    stage.world.put_secure_parameter("/shop/auth/database-url", "postgres://hunter2hunter2", None);
    let secret = stage.world.put_secret("shop/auth", r#"{"stripe-key":"sk_live_51hunter2"}"#);
    file(&stage, |definition| {
        definition["containerDefinitions"][0]["secrets"] = secrets(&[
            ("DATABASE_URL", "/shop/auth/database-url"),
            ("STRIPE_KEY", &format!("{secret}:stripe-key::")),
            ("OTHER_KEY", &format!("{secret}:stripe-key::")),
        ]);
    });
    let token = ("github-token", "ghs_hunter2hunter2");
    let ran = deploy(&stage, &[token]).await;
    ends(&ran, "rolled-back", 1);
    let bodies: String = stage.world.calls().iter().map(|call| call.body.to_string()).collect();
    let github = format!("{:?}", stage.world.deployments("org/shop"));
    let log: String = ran.log.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
    let everything = format!("{log}{}{:?}{:?}{bodies}{github}", ran.summary, ran.outputs, ran.state);
    assert!(!everything.contains("hunter2"), "{everything}");
}

#[tokio::test(start_paused = true)]
async fn an_unpushed_commit_is_told_with_what_to_do() {
    let stage = shop("serves");
    let ran = is_refused(&stage, &[("commit", &COMMIT.replace('0', "f"))]).await;
    assert_snapshot!(ran.annotations().join("\n"));
}

const PREFLIGHT: (&str, &str) = ("operation", "preflight");

/// An environment whose first delivery is to come: the service is there, the commit's image is not.
fn before_the_first_delivery() -> Stage {
    let mut stage = shop("serves");
    stage.set("GITHUB_SHA", "89abcdef0123456789abcdef0123456789abcdef");
    stage.set("ACTIONS_ID_TOKEN_REQUEST_URL", "https://token.actions.githubusercontent.com/_oidc/token?api-version=2");
    stage.set("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer of the job");
    stage.world.create_role("deliver");
    stage
}

fn as_the_role(inputs: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    [&[PREFLIGHT, ("role-to-assume", "arn:aws:iam::111122223333:role/deliver")], inputs].concat()
}

#[tokio::test(start_paused = true)]
async fn an_environment_is_ready_before_there_is_an_image() {
    let stage = before_the_first_delivery();
    let ran = deploy(&stage, &as_the_role(&[])).await;
    ends(&ran, "unchanged", 0);
    assert_eq!(written(&stage), [""; 0], "a preflight writes nothing");
    assert_snapshot!(told(&ran));
}

#[tokio::test(start_paused = true)]
async fn a_preflight_tells_all_that_is_missing_and_what_the_role_may_not_do() {
    let stage = before_the_first_delivery();
    stage.world.deny("deliver", "ecs:UpdateService", "*");
    stage.world.deny("deliver", "ssm:PutParameter", "*/lock");
    file(&stage, |definition| {
        definition["containerDefinitions"][0]["secrets"] = secrets(&[("DATABASE_URL", "/shop/auth/database-url")]);
    });
    let ran = is_refused(&stage, &as_the_role(&[])).await;
    assert_snapshot!(ran.annotations().join("\n"));
}

#[tokio::test(start_paused = true)]
async fn a_preflight_without_a_role_cannot_tell_what_it_may_do_and_says_so() {
    let stage = shop("serves");
    let ran = deploy(&stage, &[PREFLIGHT]).await;
    ends(&ran, "unchanged", 0);
    assert_snapshot!(ran.annotations().join("\n"));
}
