//! Shops of several services on the stage.

use common::aws::{Place, Update};
use stage::{COMMIT, Stage};
use world::{CircuitBreaker, ImageSeed, ServiceSeed};

use crate::shop::{last, task_definition};

/// The services of [`three`], in the order in which they are deployed.
pub(crate) const THREE: [&str; 3] = ["auth", "api", "nginx"];

/// A service of a fleet: its name, the services that it comes after, and how the commit's image of it behaves.
pub(crate) type Ship<'a> = (&'a str, &'a [&'a str], &'a str);

/// `auth`, then `api`, then `nginx`, which behave as said.
pub(crate) fn three(behaviours: [&str; 3]) -> Stage {
    three_of(behaviours, |_, _| {})
}

/// The same, with services that are set up differently.
pub(crate) fn three_of(behaviours: [&str; 3], differently: impl Fn(&str, &mut ServiceSeed)) -> Stage {
    fleet(&chain(behaviours), differently)
}

/// The ships of [`three`].
pub(crate) fn chain(behaviours: [&str; 3]) -> [Ship<'_>; 3] {
    let [auth, api, nginx] = behaviours;
    [("auth", &[], auth), ("api", &["auth"], api), ("nginx", &["api"], nginx)]
}

/// A checkout and a world of these services; each runs two tasks of an older image.
pub(crate) fn fleet(ships: &[Ship<'_>], differently: impl Fn(&str, &mut ServiceSeed)) -> Stage {
    let stage = Stage::new();
    launch(&stage, ships, differently);
    stage
}

/// What [`fleet`] begins with, in a world that has nothing yet.
pub(crate) fn launch(stage: &Stage, ships: &[Ship<'_>], differently: impl Fn(&str, &mut ServiceSeed)) {
    stage.file("delivery.toml", delivery(ships));
    for (name, _, behaviour) in ships {
        stage.file(&format!("deploy/{name}.json"), definition(name, "${IMAGE}", "${LOG_LEVEL}").to_string());
        push(stage, name, COMMIT, behaviour);
        let old = push(stage, name, "old", "serves");
        let mut seed = ServiceSeed {
            cluster: "shop".to_owned(),
            name: (*name).to_owned(),
            task_definition: definition(name, &image(name, &old), "info"),
            desired_count: 2,
            circuit_breaker: Some(CircuitBreaker { rollback: true }),
            ..ServiceSeed::default()
        };
        differently(name, &mut seed);
        stage.world.create_service(seed);
    }
}

/// The delivery file of these services.
pub(crate) fn delivery(ships: &[Ship<'_>]) -> String {
    let mut text = r#"
name = "shop"

[environments.staging]
branch = "main"
region = "eu-west-1"
cluster = "shop"
variables = { LOG_LEVEL = "debug" }
"#
    .to_owned();
    for (name, after, _) in ships {
        text += &format!(
            r#"
[services.{name}]
path = "apps/{name}"
repository = "shop/{name}"
task-definition = "deploy/{name}.json"
container = "app"
after = {after:?}
"#
        );
    }
    text
}

/// The task definition of a service.
pub(crate) fn definition(name: &str, image: &str, log_level: &str) -> serde_json::Value {
    let mut definition = task_definition(image, log_level);
    definition["family"] = format!("shop-{name}").into();
    let options = &mut definition["containerDefinitions"][0]["logConfiguration"]["options"];
    options["awslogs-group"] = format!("/shop/{name}").into();
    options["awslogs-stream-prefix"] = name.into();
    definition
}

/// Pushes an image of a service, and gives its digest.
pub(crate) fn push(stage: &Stage, name: &str, tag: &str, behaviour: &str) -> String {
    stage.world.push_image(ImageSeed {
        repository: format!("shop/{name}"),
        tag: tag.to_owned(),
        labels: [("world.serves", behaviour), ("org.opencontainers.image.revision", tag)]
            .map(|(label, value)| (label.to_owned(), value.to_owned()))
            .into(),
        ..ImageSeed::default()
    })
}

/// The next run, about another commit, whose images behave as said.
pub(crate) fn next_commit(stage: &Stage, commit: &str, behaviours: &[(&str, &str)]) -> Stage {
    let mut next = stage.another_run();
    next.set("GITHUB_SHA", commit);
    for (name, behaviour) in behaviours {
        push(stage, name, commit, behaviour);
    }
    next
}

pub(crate) fn image(name: &str, digest: &str) -> String {
    format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/{name}@{digest}")
}

/// Somebody else, at a console, has a service run another revision.
pub(crate) async fn somebody_updates(stage: &Stage, name: &str, revision: &str) {
    let aws = stage.edges(&[]).aws(&Place::default()).await.expect("an account");
    let update = Update { task_definition: Some(revision.parse().expect("a revision")), ..Update::default() };
    aws.ecs.update_service(&"shop".parse().unwrap(), &name.parse().unwrap(), &update).await.expect("an update");
}

/// What runs of these services: the revision, and how many of its tasks; and that no other image runs.
pub(crate) fn runs(stage: &Stage, names: &[&str]) -> Vec<String> {
    let one = |name: &&str| {
        let Some(service) = stage.world.service("shop", name) else { return "nothing".to_owned() };
        let others = if service.images.len() > 1 { format!(", and {:?}", service.images) } else { String::new() };
        format!("{} × {}{others}", last(&service.task_definition), service.running)
    };
    names.iter().map(one).collect()
}

/// Every GitHub deployment: its environment, and its statuses in order.
pub(crate) fn announced(stage: &Stage) -> Vec<String> {
    let one = |deployment: &world::Deployment| {
        let states: Vec<&str> = deployment.statuses.iter().map(|status| status.state.as_str()).collect();
        format!("{}: {}", deployment.environment, states.join(" → "))
    };
    stage.world.deployments("org/shop").iter().map(one).collect()
}
