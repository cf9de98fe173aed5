//! The preflight against the simulated AWS: what a person reads, and how often AWS is asked.

use common::names::ServiceKey;
use common::preflight::{self, FindingKind};
use serde_json::{Value, json};
use stage::Stage;
use world::{Fault, ImageSeed};

use crate::aws::{REGISTRY, aws, definition};

fn service(name: &str) -> ServiceKey {
    name.parse().unwrap()
}

/// What blocks and what warns, as people read it.
async fn preflight(stage: &Stage, definitions: &[(ServiceKey, Value)]) -> (Vec<String>, Vec<String>) {
    let findings = preflight::check(&aws(stage).await, definitions).await;
    let texts = |kind: FindingKind| {
        findings.iter().filter(|found| found.kind == kind).map(|found| found.failure.to_string()).collect()
    };
    (texts(FindingKind::Blocks), texts(FindingKind::Warns))
}

#[tokio::test(start_paused = true)]
async fn everything_that_a_task_would_not_start_without_is_told_at_once() {
    let stage = Stage::new();
    let world = &stage.world;
    world.create_role("execution");
    world.put_parameter("/shop/DATABASE_URL", "x");
    world.put_parameter("/shop/denied", "x");
    world.deny("execution", "ssm:GetParameters", "*:parameter/shop/denied");
    let secret = world.put_secret("shop/db", r#"{"username":"a","password":"b"}"#);
    let anew = format!("{}ZZZZZZ", &secret[..secret.len() - 6]);
    let digest = world.push_image(ImageSeed {
        repository: "shop/auth".to_owned(),
        platforms: vec!["linux/arm64"],
        ..ImageSeed::default()
    });
    let mut auth = definition(
        "auth",
        &[
            ("DATABASE_URL", "/shop/DATABASE_UR"),
            ("PASSWORD", &format!("{secret}:pasword::")),
            ("OLD", &anew),
            ("PREVIOUS", &format!("{secret}::AWSPREVIOUS:")),
            ("DENIED", "/shop/denied"),
        ],
    );
    auth["taskRoleArn"] = json!("arn:aws:iam::111122223333:role/auth");
    auth["containerDefinitions"][0]["image"] = json!(format!("{REGISTRY}/shop/auth@{digest}"));
    auth["containerDefinitions"][0]["logConfiguration"] =
        json!({ "logDriver": "awslogs", "options": { "awslogs-group": "/shop/auth", "awslogs-region": "eu-west-1" } });
    let web = definition("web", &[("DATABASE_URL", "/shop/DATABASE_UR")]);
    let (blocks, warns) = preflight(&stage, &[(service("auth"), auth), (service("web"), web)]).await;
    let blocks: Vec<String> = blocks
        .iter()
        .map(|text| text.replace(&anew, "ANEW").replace(&secret, "SECRET").replace(&digest[..19], "DIGEST"))
        .collect();
    assert_eq!(
        blocks,
        [
            "parameter `/shop/DATABASE_UR` does not exist; needed by `auth` at `containers.app.secrets.DATABASE_URL`, `web` at \
             `containers.app.secrets.DATABASE_URL`\nhint: did you mean `/shop/DATABASE_URL`? otherwise create it in eu-west-1, or \
             correct `valueFrom`",
            "secret `SECRET` has no version with the label `AWSPREVIOUS`; needed by `auth` at \
             `containers.app.secrets.PREVIOUS`\nhint: put a value into it, or correct `valueFrom` (`…:<json \
             key>:<label>:<version>`)",
            "secret `ANEW` does not exist; needed by `auth` at `containers.app.secrets.OLD`\nhint: it was made anew, with another \
             ending: correct `valueFrom` to `SECRET`",
            "secret `SECRET` has no key `pasword`; needed by `auth` at `containers.app.secrets.PASSWORD`\nhint: did you mean \
             `password`? it has `password`, `username`",
            "role `arn:aws:iam::111122223333:role/auth` does not exist in this account; needed by `auth` at `taskRoleArn`\nhint: \
             create it, or correct the task definition: its path is part of an ARN (`role/path/name`)",
            "execution role `arn:aws:iam::111122223333:role/execution` may not `ssm:GetParameters` on \
             `arn:aws:ssm:eu-west-1:111122223333:parameter/shop/denied`; needed by `auth` at `containers.app.secrets.DENIED`\nhint: \
             allow it in a policy of that role: its tasks would stop with `ResourceInitializationError`",
            "log group `/shop/auth` does not exist in eu-west-1; needed by `auth` at \
             `containers.app.logConfiguration.options.awslogs-group`\nhint: create it (`aws logs create-log-group --log-group-name \
             /shop/auth`), or set the option `awslogs-create-group` to `true` and allow the execution role `logs:CreateLogGroup`",
            "image `shop/auth@DIGEST` is built for `linux/arm64`, and its tasks run on `linux/amd64`; needed by `auth` at \
             `containers.app.image`\nhint: build it with `--platform linux/amd64`, or correct `runtimePlatform` in the task \
             definition: its tasks would end with `exec format error`",
        ]
    );
    assert_eq!(warns, [""; 0]);
    assert_eq!(world.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_thirty_services_share_is_looked_at_once() {
    let stage = Stage::new();
    let world = &stage.world;
    world.create_role("execution");
    world.put_parameter("/shop/db", "x");
    let secret = world.put_secret("shop/key", r#"{"a":"1","b":"2"}"#);
    let (a, b) = (format!("{secret}:a::"), format!("{secret}:b::"));
    let definitions: Vec<(ServiceKey, Value)> = (0..30)
        .map(|number| {
            let name = format!("s{number}");
            (service(&name), definition(&name, &[("DB", "/shop/db"), ("A", &a), ("B", &b)]))
        })
        .collect();
    assert_eq!(preflight(&stage, &definitions).await, (vec![], vec![]));
    let mut calls: Vec<String> = world.calls().into_iter().map(|call| call.name).collect();
    calls.sort();
    assert_eq!(
        calls,
        [
            "iam:GetRole",
            "iam:SimulatePrincipalPolicy",
            "iam:SimulatePrincipalPolicy",
            "secretsmanager:DescribeSecret",
            "secretsmanager:GetSecretValue",
            "ssm:GetParameters",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_looked_at_is_one_warning_that_names_the_permission() {
    let stage = Stage::new();
    let world = &stage.world;
    world.create_role("execution");
    world.put_parameter("/shop/db", "x");
    let digest = world.push_image(ImageSeed { repository: "shop/auth".to_owned(), ..ImageSeed::default() });
    let secrets = [world.put_secret("shop/one", "x"), world.put_secret("shop/two", "x")];
    for call in ["ssm:GetParameters", "secretsmanager:DescribeSecret", "iam:GetRole", "ecr:BatchGetImage"] {
        world.script(call, Fault::Denied, 9);
    }
    let mut definition = definition("auth", &[("A", "/shop/db"), ("B", &secrets[0]), ("C", &secrets[1])]);
    definition["containerDefinitions"][0]["image"] = json!(format!("{REGISTRY}/shop/auth@{digest}"));
    let (blocks, warns) = preflight(&stage, &[(service("auth"), definition)]).await;
    assert_eq!(blocks, [""; 0]);
    let told = |question: &str, permission: &str| {
        let begins = format!("it is not known whether {question} (for `auth` at ");
        let ends = format!("\nhint: allow `{permission}` in the policy of the role that this job assumes");
        assert!(warns.iter().any(|text| text.starts_with(&begins) && text.ends_with(&ends)), "{question}: {warns:#?}");
    };
    told("the parameters exist", "ssm:GetParameters");
    told("the secrets exist", "secretsmanager:DescribeSecret");
    told("the roles exist", "iam:GetRole");
    told("the images exist and for which processor they are built", "ecr:BatchGetImage");
    assert_eq!(warns.len(), 4, "{warns:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_warns_and_never_blocks() {
    let stage = Stage::new();
    let world = &stage.world;
    world.create_role("execution");
    world.put_parameter("/shop/db", "x");
    world.script("iam:SimulatePrincipalPolicy", Fault::Unavailable, 99);
    let (blocks, warns) = preflight(&stage, &[(service("auth"), definition("auth", &[("A", "/shop/db")]))]).await;
    assert_eq!(blocks, [""; 0]);
    assert_eq!(warns.len(), 1, "{warns:#?}");
    assert!(warns[0].starts_with("it is not known whether the execution roles may read the secrets"), "{warns:#?}");
}
