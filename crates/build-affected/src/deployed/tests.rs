#![expect(clippy::disallowed_methods, reason = "the repository is made by git itself")]

use std::process::Command;

use common::aws::Place;
use serde_json::json;
use stage::Stage;
use world::{ImageSeed, ServiceSeed};

use super::*;

const ELSEWHERE: &str = "2222222222222222222222222222222222222222";

/// A checkout of three commits in a line, oldest first, and one of a branch beside them.
struct Repository {
    stage: Stage,
    line: Vec<String>,
    beside: String,
}

fn repository() -> Repository {
    let stage = Stage::new();
    git(&stage, &["init", "--quiet", "--initial-branch=main"]);
    let line: Vec<String> = (0..3).map(|_| commit(&stage)).collect();
    git(&stage, &["checkout", "--quiet", "-b", "beside", &line[0]]);
    let beside = commit(&stage);
    git(&stage, &["checkout", "--quiet", "main"]);
    Repository { stage, line, beside }
}

fn git(stage: &Stage, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Someone", "-c", "user.email=someone@example.com", "-c", "commit.gpgSign=false"])
        .args(arguments)
        .current_dir(stage.workspace())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn commit(stage: &Stage) -> String {
    // Another message each, for commits that are made within one second.
    let message = git(stage, &["rev-list", "--all", "--count"]);
    git(stage, &["commit", "--quiet", "--allow-empty", "--message", &message]);
    git(stage, &["rev-parse", "HEAD"])
}

impl Repository {
    /// Pushes an image of `auth` with these tags, and answers its digest.
    fn push(&self, tags: &[&str], revision: Option<&str>) -> String {
        let labels: Vec<(String, String)> =
            revision.iter().map(|revision| (REVISION.to_owned(), (*revision).to_owned())).collect();
        let push = |tag: &&str| {
            let (repository, labels) = ("shop/auth".to_owned(), labels.clone());
            self.stage.world.push_image(ImageSeed {
                repository,
                tag: (*tag).to_owned(),
                labels,
                ..ImageSeed::default()
            })
        };
        tags.iter().map(push).last().unwrap()
    }

    /// Has `auth` run an image.
    fn run(&self, image: &str) {
        self.stage.world.create_service(ServiceSeed {
            cluster: "shop".to_owned(),
            name: "auth".to_owned(),
            task_definition: json!({
                "family": "auth",
                "cpu": "256",
                "memory": "512",
                "networkMode": "awsvpc",
                "requiresCompatibilities": ["FARGATE"],
                "executionRoleArn": "arn:aws:iam::111122223333:role/execution",
                "containerDefinitions": [
                    { "name": "proxy", "image": "nginx:1" },
                    { "name": "app", "image": image },
                ],
            }),
            ..ServiceSeed::default()
        });
    }

    /// What `auth` is compared with.
    async fn base(&self) -> Base {
        self.stage.world.create_cluster("shop");
        let place = Place { region: None, role: None, allowed_accounts: Vec::new() };
        let aws = self.stage.edges(&[]).aws(&place).await.unwrap();
        let git = Git::open(&self.stage.workspace()).unwrap();
        let placed = Placed {
            key: "auth".parse().unwrap(),
            service: "auth".parse().unwrap(),
            container: "app".parse().unwrap(),
        };
        let cluster = "shop".parse().unwrap();
        let bases = deployed(&aws, &cluster, &[placed], &git, &git.head().unwrap()).await.unwrap();
        assert!(self.stage.world.writes().is_empty());
        bases.into_values().next().unwrap()
    }

    async fn assert_known(&self, commit: &str) {
        match self.base().await {
            Base::Known { commit: found, word: "deployed", .. } => assert_eq!(found.as_str(), commit),
            base => panic!("{base:?}"),
        }
    }

    async fn assert_unknown(&self, word: &str, told: &str) {
        match self.base().await {
            Base::Unknown { word: found, why, .. } => assert!(found == word && why.contains(told), "{found}: {why}"),
            base => panic!("{base:?}"),
        }
    }
}

fn address(version: &str) -> String {
    format!("111122223333.dkr.ecr.eu-west-1.amazonaws.com/shop/auth{version}")
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_traced_to_the_nearest_commit_that_it_was_pushed_for() {
    let repository = repository();
    let [first, second, _] = repository.line.as_slice() else { panic!("three commits") };
    let digest = repository.push(&[first, "key-0", second, "main", ELSEWHERE], None);
    repository.run(&address(&format!("@{digest}")));
    repository.assert_known(second).await;
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_is_a_commit_says_so_itself() {
    let repository = repository();
    repository.push(&[&repository.line[0]], None);
    repository.run(&address(&format!(":{}", repository.line[0])));
    repository.assert_known(&repository.line[0]).await;
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_moved_is_what_the_tasks_pulled() {
    let repository = repository();
    repository.push(&[&repository.line[0], "latest"], None);
    repository.run(&address(":latest"));
    // Another image has the tag now, and nobody runs it.
    let env = vec!["NEW=1".to_owned()];
    for tag in ["latest", repository.line[2].as_str()] {
        let seed =
            ImageSeed { repository: "shop/auth".into(), tag: tag.into(), env: env.clone(), ..ImageSeed::default() };
        repository.stage.world.push_image(seed);
    }
    repository.assert_known(&repository.line[0]).await;
}

#[tokio::test(start_paused = true)]
async fn an_image_without_a_commit_s_tag_has_a_label() {
    let repository = repository();
    let digest = repository.push(&["v1"], Some(&repository.line[1]));
    repository.run(&address(&format!("@{digest}")));
    repository.assert_known(&repository.line[1]).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_deployed_from_another_branch_is_compared_as_it_is() {
    let repository = repository();
    let digest = repository.push(&[ELSEWHERE, &repository.beside], None);
    repository.run(&address(&format!("@{digest}")));
    repository.assert_known(&repository.beside).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_never_deployed_is_a_first_run() {
    repository().assert_unknown("first-run", "never deployed to cluster `shop`").await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_trace_is_unknown() {
    let not_in_the_clone = repository();
    let digest = not_in_the_clone.push(&[ELSEWHERE], None);
    not_in_the_clone.run(&address(&format!("@{digest}")));
    not_in_the_clone.assert_unknown("unknown", "it runs 2222222, which the clone does not have").await;

    let nameless = repository();
    let digest = nameless.push(&["v1"], None);
    nameless.run(&address(&format!("@{digest}")));
    nameless.assert_unknown("unknown", "says of no commit").await;

    let gone = repository();
    let digest = gone.push(&[&gone.line[0]], None);
    gone.run(&address(&format!("@{digest}")));
    gone.stage.world.delete_image("shop/auth", &digest);
    gone.assert_unknown("unknown", "is gone from the registry").await;

    let foreign = repository();
    foreign.run("ghcr.io/shop/auth:v1");
    foreign.assert_unknown("unknown", "is none of ECR").await;
}
