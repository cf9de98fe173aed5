//! Bad input, by the real programs: each ends soon, with one annotation, a next step, and its kind as the exit code; and
//! nothing is changed, for nothing is reached.

#![expect(clippy::disallowed_methods, reason = "this test starts processes")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const DELIVERY: &str = r#"
name = "shop"

[environments.staging]
branch = "main"
cluster = "shop"

[services.auth]
path = "apps/auth"
repository = "shop/auth"
task-definition = "deploy/auth.json"
container = "app"
"#;

/// A checkout, and the environment of a job in it.
struct Job {
    folder: TempDir,
    environment: BTreeMap<String, String>,
}

impl Job {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let variables = [
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
            // Nobody listens on the discard port.
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("GITHUB_SHA", COMMIT),
            ("GITHUB_REF_NAME", "main"),
            ("GITHUB_WORKSPACE", folder.path().to_str().unwrap()),
        ];
        let environment = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let job = Self { folder, environment };
        job.file("delivery.toml", DELIVERY);
        job.file("deploy/auth.json", r#"{ "family": "auth", "containerDefinitions": [{ "name": "app" }] }"#);
        job
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn set(&mut self, name: &str, value: &str) {
        self.environment.insert(name.to_owned(), value.to_owned());
    }

    /// Asserts how a run of this action ends, and that it says this.
    fn check(&self, action: &str, exit_code: i32, says: &str) {
        let output_file = self.folder.path().join("output");
        let started = Instant::now();
        let output = Command::new(program(action))
            .env_clear()
            .envs(&self.environment)
            .env("GITHUB_OUTPUT", &output_file)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let took = started.elapsed();
        let log = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let annotations: Vec<&str> = log.lines().filter(|line| line.starts_with("::error ")).collect();
        assert_eq!(annotations.len(), 1, "{action}: {log}");
        assert!(
            annotations[0].contains(says) && annotations[0].contains("%0Ahint: "),
            "{action} does not say `{says}`: {log}"
        );
        assert_eq!(output.status.code(), Some(exit_code), "{action}: {log}");
        assert!(took < Duration::from_secs(5), "{action} took {took:?}: {log}");
        assert!(fs::read_to_string(output_file).unwrap().contains("result<<"), "{action} wrote no result");
    }
}

/// One of the five programs, which `cargo test --workspace` builds beside this test.
fn program(action: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().and_then(Path::parent).unwrap().join(action);
    assert!(program.exists(), "{} is not built: run `cargo test --workspace`", program.display());
    program
}

fn git(folder: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
    let output = Command::new("git").args(identity).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn no_delivery_file() {
    let job = Job::new();
    fs::remove_file(job.folder.path().join("delivery.toml")).unwrap();
    for action in ["ecr-push", "run-migration", "ecs-deploy", "health-gate"] {
        job.check(action, 2, "delivery.toml");
    }
    // It works without one, but not without git.
    job.check("build-affected", 2, "is not a git repository");
}

#[test]
fn a_delivery_file_that_is_not_toml() {
    let job = Job::new();
    job.file("delivery.toml", "name = \"shop\"\n[environments.staging\n");
    job.check("ecs-deploy", 2, "delivery.toml:2:");
}

#[test]
fn an_unknown_key() {
    let job = Job::new();
    job.file("delivery.toml", &DELIVERY.replace("repository =", "repositry ="));
    job.check("ecs-deploy", 2, "repositry");
    job.check("health-gate", 2, "did you mean `repository`?");
}

#[test]
fn a_service_that_does_not_exist() {
    let mut job = Job::new();
    job.set("INPUT_SERVICES", "atuh");
    for action in ["ecr-push", "run-migration", "ecs-deploy", "health-gate"] {
        job.check(action, 2, "atuh");
    }
}

#[test]
fn a_task_definition_that_is_not_json() {
    let job = Job::new();
    job.file("deploy/auth.json", "family: auth");
    job.check("ecs-deploy", 2, "deploy/auth.json:1:");
}

#[test]
fn no_credentials() {
    let mut job = Job::new();
    job.set("AWS_ACCESS_KEY_ID", "");
    job.set("AWS_EC2_METADATA_DISABLED", "true");
    job.check("ecs-deploy", 3, "no AWS credentials were found");
}

#[test]
fn a_wrong_region() {
    let mut job = Job::new();
    job.set("INPUT_AWS-REGION", "Ireland");
    job.check("ecs-deploy", 2, "`Ireland` is not an AWS region");
    // It looks like one, and there is none: its endpoint has no address.
    job.set("INPUT_AWS-REGION", "eu-west-99");
    job.set("AWS_ENDPOINT_URL", "https://ecs.eu-west-99.invalid");
    job.check("ecs-deploy", 4, "ecs:DescribeServices");
}

#[test]
fn an_endpoint_that_cannot_be_reached() {
    let job = Job::new();
    for (action, call) in
        [("ecr-push", "ecr:"), ("ecs-deploy", "ecs:DescribeServices"), ("health-gate", "ecs:DescribeServices")]
    {
        job.check(action, 4, call);
    }
}

#[test]
fn no_docker_socket() {
    let mut job = Job::new();
    job.file("apps/auth/Dockerfile", "FROM scratch\n");
    job.set("DOCKER_HOST", "unix:///nowhere/docker.sock");
    job.set("INPUT_BUILD", "true");
    git(job.folder.path(), &["init", "--quiet", "--initial-branch", "main"]);
    git(job.folder.path(), &["add", "--all"]);
    git(job.folder.path(), &["commit", "--quiet", "--message", "one"]);
    job.set("GITHUB_SHA", "");
    job.check("build-affected", 4, "/nowhere/docker.sock");
}

#[test]
fn a_shallow_clone() {
    let origin = Job::new();
    let folder = origin.folder.path();
    origin.file("apps/auth/Dockerfile", "FROM scratch\n");
    git(folder, &["init", "--quiet", "--initial-branch", "main"]);
    for message in ["one", "two"] {
        git(folder, &["add", "--all"]);
        git(folder, &["commit", "--quiet", "--allow-empty", "--message", message]);
    }
    let mut job = Job::new();
    let clone = job.folder.path().join("clone");
    let url = format!("file://{}", folder.display());
    git(job.folder.path(), &["clone", "--quiet", "--depth", "1", &url, clone.to_str().unwrap()]);
    job.set("GITHUB_WORKSPACE", clone.to_str().unwrap());
    job.set("GITHUB_SHA", "");
    job.set("INPUT_BASE", COMMIT);
    job.check("build-affected", 2, "its history is cut off");
}
