//! The scenes of the sample: what is done, what the actions have to say, and what has to be true afterwards.

use std::time::Instant;

use anyhow::{Result, bail};
use world::{CircuitBreaker, ServiceSeed, World};

use crate::binaries::{ACTIONS, tree};
use crate::guest::placeholder;
use crate::pipeline::{Workflow, deliver};
use crate::repository::Repository;
use crate::runner::{Push, Step};
use crate::story::Story;
use crate::theatre::Theatre;

/// The sample's environment.
const CLUSTER: &str = "shop-staging";
const SERVICES: [&str; 3] = ["auth", "catalog", "web"];
/// What their containers listen on.
const PORTS: [u64; 3] = [3001, 3002, 3003];

/// What happens to the repository. Answers the message of the commit; `None` delivers the last one again.
type Change = Box<dyn Fn(&Repository) -> Result<Option<&'static str>>>;

/// Whether the world is as it should be; if not, why.
type Truth = Box<dyn Fn(&World, &Push) -> Result<(), String>>;

/// One scene.
pub(crate) struct Scene {
    pub(crate) title: &'static str,
    /// What happens, for the reader.
    pub(crate) told: &'static str,
    /// What happens, for git.
    pub(crate) change: Change,
    /// The steps that have to run and the word that each has to say.
    pub(crate) said: Vec<(&'static str, &'static str)>,
    /// What is true afterwards, in words, and whether it is.
    pub(crate) truth: &'static str,
    pub(crate) is_true: Truth,
    pub(crate) repository: Repository,
    pub(crate) workflow: Workflow,
}

impl Scene {
    /// Plays the scene; answers whether everything that was said is true. `last` is the push of the scene before.
    pub(crate) fn play(
        &self,
        number: usize,
        last: &mut Option<Push>,
        theatre: &Theatre,
        story: &mut Story,
    ) -> Result<bool> {
        let push = match ((self.change)(&self.repository)?, last.take()) {
            (Some(message), last) => {
                let before = last.map(|push| push.commit);
                Push {
                    commit: self.repository.commit(message)?,
                    before,
                    branch: "main".to_owned(),
                    run: number,
                    attempt: 1,
                }
            }
            (None, Some(last)) => Push { attempt: last.attempt + 1, ..last },
            (None, None) => bail!("there is no run to repeat"),
        };
        *last = Some(push.clone());
        story.scene(number, self, &push.commit);
        let started = Instant::now();
        let steps = deliver(theatre, self.repository.path(), &push, &self.workflow)?;
        let took = started.elapsed();
        steps.iter().for_each(|step| story.step(step));
        steps.iter().for_each(|step| story.summary(step));
        let mut lies = self.misstatements(&steps);
        lies.extend((self.is_true)(&theatre.world, &push).err());
        story.verdict(&lies, self.truth, took);
        if !lies.is_empty() {
            steps.iter().for_each(|step| story.log(step));
        }
        Ok(lies.is_empty())
    }

    /// What the steps said, against what they had to say.
    fn misstatements(&self, steps: &[Step]) -> Vec<String> {
        let said: Vec<(&str, &str)> = steps.iter().map(|step| (step.action, step.output("result"))).collect();
        if said == self.said {
            return Vec::new();
        }
        let text = |steps: &[(&str, &str)]| {
            steps.iter().map(|(action, word)| format!("{action} {word}")).collect::<Vec<_>>().join(", ")
        };
        vec![format!("it was said: {}; and should have been: {}", text(&said), text(&self.said))]
    }
}

/// The sample's scenes, on a cluster whose services run a placeholder. Each builds on what the one before left.
pub(crate) fn sample(theatre: &Theatre) -> Result<Vec<Scene>> {
    furnish(&theatre.world);
    let from = tree().join("crates/rehearse/sample");
    let shop = Repository::create(theatre.folder("shop"), &from, &theatre.runner.url)?;
    Ok(vec![
        first_release(&shop),
        one_service(&shop),
        shared_library(&shop),
        the_same_again(&shop),
        failing_migration(&shop),
        crashing_version(&shop),
    ])
}

/// What the five actions say of a delivery that goes well.
const DELIVERED: [&str; 5] = ["affected", "pushed", "applied", "deployed", "healthy"];

/// A scene of the sample in which nothing is changed; `said` are the words of the actions in their order.
fn scene(
    shop: &Repository,
    title: &'static str,
    told: &'static str,
    said: &[&'static str],
    truth: &'static str,
) -> Scene {
    Scene {
        title,
        told,
        change: Box::new(|_| Ok(None)),
        said: ACTIONS.into_iter().zip(said.iter().copied()).collect(),
        truth,
        is_true: Box::new(|_, _| Ok(())),
        repository: shop.clone(),
        workflow: Workflow::default(),
    }
}

fn first_release(shop: &Repository) -> Scene {
    let told = "Three services, one of them with a database, go to a cluster that runs placeholders.";
    Scene {
        change: Box::new(|_| Ok(Some("The first version"))),
        is_true: Box::new(|world, push| runs(world, CLUSTER, &of_shop(&SERVICES), &push.commit)),
        ..scene(shop, "The first release", told, &DELIVERED, "all three services run this commit")
    }
}

fn one_service(shop: &Repository) -> Scene {
    let told = "Only `catalog` changed: the other two are neither built nor deployed.";
    let said = ["affected", "pushed", "skipped", "deployed", "healthy"];
    Scene {
        change: Box::new(|shop| {
            shop.replace("apps/catalog/server.js", "status: \"ok\"", "status: \"ok\", currency: \"EUR\"")?;
            Ok(Some("Show prices in euro"))
        }),
        is_true: Box::new(|world, push| {
            runs(world, CLUSTER, &of_shop(&["catalog"]), &push.commit)?;
            runs(world, CLUSTER, &of_shop(&["auth", "web"]), push.before.as_deref().unwrap_or_default())
        }),
        ..scene(
            shop,
            "A change of one service",
            told,
            &said,
            "`catalog` runs this commit, the other two run the one before",
        )
    }
}

fn shared_library(shop: &Repository) -> Scene {
    let told = "`auth` and `web` are built from `libs/session`; `catalog` is not.";
    Scene {
        change: Box::new(|shop| {
            shop.replace("libs/session/index.js", "30 * 60", "60 * 60")?;
            Ok(Some("Sessions live for an hour"))
        }),
        is_true: Box::new(|world, push| {
            runs(world, CLUSTER, &of_shop(&["auth", "web"]), &push.commit)?;
            runs(world, CLUSTER, &of_shop(&["catalog"]), push.before.as_deref().unwrap_or_default())
        }),
        ..scene(
            shop,
            "A change of a shared library",
            told,
            &DELIVERED,
            "`auth` and `web` run this commit, `catalog` does not",
        )
    }
}

fn the_same_again(shop: &Repository) -> Scene {
    let told = "Someone clicks *Re-run all jobs*. Nothing is pushed, migrated or deployed twice.";
    let said = ["affected", "unchanged", "applied", "unchanged", "healthy"];
    Scene {
        is_true: Box::new(|world, push| runs(world, CLUSTER, &of_shop(&["auth", "web"]), &push.commit)),
        ..scene(shop, "The same commit again", told, &said, "`auth` and `web` run what they ran")
    }
}

fn failing_migration(shop: &Repository) -> Scene {
    let told = "The new constraint meets duplicates in the data. The code that relies on it must not go live.";
    let fails = "exits 1 after 300 ms: applying 0002_email.sql | ERROR: could not create unique index, key (email) is duplicated";
    Scene {
        change: Box::new(move |shop| {
            shop.write("apps/auth/migrations/0002_email.sql", "ALTER TABLE accounts ADD UNIQUE (email);\n")?;
            shop.append("apps/auth/Dockerfile", &format!("LABEL world.runs=\"{fails}\""))?;
            Ok(Some("One account per e-mail address"))
        }),
        is_true: Box::new(|world, push| does_not_run(world, CLUSTER, &of_shop(&["auth"]), &push.commit)),
        ..scene(shop, "A migration that fails", told, &["affected", "pushed", "failed"], "no service was touched")
    }
}

fn crashing_version(shop: &Repository) -> Scene {
    let told =
        "`catalog` dies right after its start, again and again. ECS goes back to what ran before, and the run says so.";
    let said = ["affected", "pushed", "skipped", "rolled-back"];
    let crashes = "exits 137 after 300 ms: reading feature flags | FATAL: flags.json is not there";
    Scene {
        change: Box::new(move |shop| {
            shop.append("apps/catalog/Dockerfile", &format!("LABEL world.serves=\"{crashes}\""))?;
            Ok(Some("Read feature flags at the start"))
        }),
        is_true: Box::new(|world, push| does_not_run(world, CLUSTER, &of_shop(&["catalog"]), &push.commit)),
        ..scene(shop, "A version that crashes", told, &said, "`catalog` runs the version before, on all of its tasks")
    }
}

/// The ground that the sample deploys onto.
fn furnish(world: &World) {
    world.create_cluster(CLUSTER);
    world.create_role("shop-execution");
    for (service, port) in SERVICES.into_iter().zip(PORTS) {
        world.create_repository(&format!("shop/{service}"));
        world.create_log_group(&format!("/shop/staging/{service}"));
        world.put_parameter(&format!("/shop/staging/{service}/database-url"), "postgres://shop");
        world.create_service(ServiceSeed {
            cluster: CLUSTER.to_owned(),
            name: service.to_owned(),
            task_definition: placeholder("app", &format!("shop-{service}"), port),
            desired_count: 2,
            circuit_breaker: Some(CircuitBreaker { rollback: true }),
            target_group: Some(format!("shop-{service}")),
            ..ServiceSeed::default()
        });
    }
}

/// An ECS service and the repository of its image.
#[derive(Clone, Debug)]
pub(crate) struct Deployed {
    pub(crate) service: String,
    pub(crate) repository: String,
}

/// Whether these services run the image of this commit, on all of their tasks.
pub(crate) fn runs(world: &World, cluster: &str, services: &[Deployed], commit: &str) -> Result<(), String> {
    services.iter().try_for_each(|deployed| {
        let image = world.image_digest(&deployed.repository, commit);
        match (image, running(world, cluster, deployed).as_slice()) {
            (Some(digest), [image]) if image.ends_with(&digest) => Ok(()),
            (image, running) => Err(format!("`{}` runs {running:?}, and should run {image:?}", deployed.service)),
        }
    })
}

/// Whether these services run one image on all of their tasks, and not that of this commit.
pub(crate) fn does_not_run(world: &World, cluster: &str, services: &[Deployed], commit: &str) -> Result<(), String> {
    services.iter().try_for_each(|deployed| {
        let image = world.image_digest(&deployed.repository, commit);
        match (image, running(world, cluster, deployed).as_slice()) {
            (Some(digest), [image]) if !image.ends_with(&digest) => Ok(()),
            (image, running) => Err(format!("`{}` runs {running:?}, and should not run {image:?}", deployed.service)),
        }
    })
}

/// The images of a service's running tasks, each once.
fn running(world: &World, cluster: &str, deployed: &Deployed) -> Vec<String> {
    world.service(cluster, &deployed.service).map(|service| service.images).unwrap_or_default()
}

/// Services of the sample.
fn of_shop(services: &[&str]) -> Vec<Deployed> {
    let deployed = |service: &&str| Deployed { service: (*service).to_owned(), repository: format!("shop/{service}") };
    services.iter().map(deployed).collect()
}
