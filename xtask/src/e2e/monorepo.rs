//! The sample monorepo, made on the fly as a real git repository: three services that are deployed one after
//! the other, a shared library, one migration.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use super::aws_api::{ACCOUNT, REGION};
use super::ministack::URL;
use crate::process::{Run, program};

/// The services, in the order in which `delivery.toml` names them and wants them deployed.
pub(crate) const SERVICES: [&str; 3] = [AUTH, BILLING, CHECKOUT];
/// Has a migration.
pub(crate) const AUTH: &str = "auth-service";
pub(crate) const BILLING: &str = "billing-service";
pub(crate) const CHECKOUT: &str = "checkout-service";

pub(crate) const ENVIRONMENT: &str = "production";
/// Comes before it.
pub(crate) const STAGING: &str = "staging";

/// The role with which ECS starts the tasks.
pub(crate) const EXECUTION_ROLE: &str = "execution";

/// A file in a service's image that makes it crash at its start.
pub(crate) const BROKEN_SERVICE: &str = "broken-service";
/// A file in a service's image that makes its migration fail.
pub(crate) const BROKEN_MIGRATION: &str = "broken-migration";

/// A working copy on branch `main`, as a checkout leaves it.
pub(crate) struct Monorepo {
    pub(crate) path: PathBuf,
}

impl Monorepo {
    /// Makes the repository around the static binary that all services run. Its one commit holds nothing to deliver yet; the
    /// rest waits in the working copy.
    pub(crate) fn create(path: PathBuf, binary: &Path) -> Result<Self> {
        let repository = Self::blank(path)?;
        repository.write("delivery.toml", &delivery())?;
        repository.write_json(
            "package.json",
            &json!({
                "name": "payments", "private": true, "workspaces": ["apps/*", "libs/*"],
            }),
        )?;
        repository
            .write_json("libs/server/package.json", &json!({ "name": "@payments/server", "version": "1.0.0" }))?;
        std::fs::copy(binary, repository.path.join("libs/server/sample-service")).context("cannot copy the service")?;
        for service in SERVICES {
            repository.write_json(
                &format!("apps/{service}/package.json"),
                &json!({
                    "name": service, "version": "1.0.0", "dependencies": { "@payments/server": "1.0.0" },
                }),
            )?;
            repository.write(&format!("apps/{service}/Dockerfile"), &dockerfile(service))?;
            repository.write(&format!("apps/{service}/rootfs/about.txt"), "first version\n")?;
            repository.write_json(&format!("deploy/{service}.json"), &task_definition(service))?;
        }
        Ok(repository)
    }

    /// A repository whose one commit holds nothing to deliver.
    pub(crate) fn blank(path: PathBuf) -> Result<Self> {
        let repository = Self { path };
        std::fs::create_dir_all(&repository.path)?;
        repository.git(&["init", "--quiet", "--initial-branch", "main"])?;
        repository.write("README.md", "# payments\n")?;
        repository.commit("A new repository")?;
        Ok(repository)
    }

    /// Says where the repository is on the web.
    pub(crate) fn remote(&self, url: &str) -> Result<()> {
        self.git(&["remote", "add", "origin", url]).map(drop)
    }

    /// Writes a file into a service's image.
    pub(crate) fn write_into_image(&self, service: &str, file: &str, text: &str) -> Result<()> {
        self.write(&format!("apps/{service}/rootfs/{file}"), text)
    }

    /// Takes a file out of a service's image again.
    pub(crate) fn remove_from_image(&self, service: &str, file: &str) -> Result<()> {
        let file = self.path.join(format!("apps/{service}/rootfs/{file}"));
        std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))
    }

    /// Commits everything; answers the full commit hash.
    pub(crate) fn commit(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", message])?;
        // What a checkout of the pushed branch leaves beside the working copy.
        self.git(&["update-ref", "refs/remotes/origin/main", "HEAD"])?;
        // The owner of a workspace on a runner is not the root of the container that reads it, which git calls dubious.
        program("chown").args(["-R", "1001:1001"]).arg(&self.path).read()?;
        self.head()
    }

    /// Commits everything for a pull request: the branch that it goes to stays where it is.
    pub(crate) fn propose(&self, message: &str, base: &str) -> Result<String> {
        let head = self.commit(message)?;
        self.git(&["update-ref", "refs/remotes/origin/main", base])?;
        Ok(head)
    }

    /// The full hash of the last commit.
    pub(crate) fn head(&self) -> Result<String> {
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Writes a file.
    pub(crate) fn write(&self, file: &str, text: &str) -> Result<()> {
        let file = self.path.join(file);
        std::fs::create_dir_all(file.parent().unwrap_or(&self.path))?;
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    fn write_json(&self, file: &str, json: &serde_json::Value) -> Result<()> {
        self.write(file, &format!("{json:#}\n"))
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        let mut git: Command = program("git");
        git.current_dir(&self.path).args(["-c", "safe.directory=*"]);
        // Whoever runs the test may have configured hooks, signing or another identity.
        git.envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_SYSTEM", "/dev/null")]);
        for role in ["AUTHOR", "COMMITTER"] {
            git.env(format!("GIT_{role}_NAME"), "Sample").env(format!("GIT_{role}_EMAIL"), "sample@example.com");
        }
        git.args(arguments).read()
    }
}

fn delivery() -> String {
    let mut text = format!(
        r#"name = "payments"

[environments.{ENVIRONMENT}]
branch = "main"
region = "{REGION}"
account = "{ACCOUNT}"
cluster = "payments-{ENVIRONMENT}"

[environments.{STAGING}]
region = "{REGION}"
account = "{ACCOUNT}"
cluster = "payments-{STAGING}"
"#
    );
    let before = [None].into_iter().chain(SERVICES.map(Some));
    for (service, before) in SERVICES.into_iter().zip(before) {
        let after = before.map(|before| format!("after = [\"{before}\"]\n")).unwrap_or_default();
        text += &format!(
            r#"
[services.{service}]
path = "apps/{service}"
dockerfile = "apps/{service}/Dockerfile"
repository = "payments/{service}"
task-definition = "deploy/{service}.json"
container = "app"
{after}
[services.{service}.health]
url = "{URL}/_alb/${{ENVIRONMENT}}-${{SERVICE}}/health"
expect = ["status == 200", "json(/version) == '${{COMMIT}}'"]
"#
        );
    }
    text + &format!("\n[services.{AUTH}.migration]\ncommand = [\"migrate\"]\nsources = \"apps/{AUTH}/rootfs\"\n")
}

/// No base image: nothing is pulled, and the build needs no registry. SIGKILL, because a process 1 without a handler ignores
/// SIGTERM, and the test would wait out the grace period of every task that it replaces.
fn dockerfile(service: &str) -> String {
    format!(
        r#"FROM scratch
COPY libs/server/sample-service /sample-service
COPY apps/{service}/rootfs/ /
USER 65532
EXPOSE 8080
STOPSIGNAL SIGKILL
HEALTHCHECK CMD ["/sample-service", "healthcheck"]
ENTRYPOINT ["/sample-service"]
"#
    )
}

fn task_definition(service: &str) -> serde_json::Value {
    json!({
        "family": service,
        "requiresCompatibilities": ["FARGATE"],
        "networkMode": "awsvpc",
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": format!("arn:aws:iam::${{ACCOUNT}}:role/{EXECUTION_ROLE}"),
        "containerDefinitions": [{
            "name": "app",
            "image": "${IMAGE}",
            "essential": true,
            "portMappings": [{ "containerPort": 8080, "protocol": "tcp" }],
            "environment": [
                { "name": "COMMIT", "value": "${COMMIT}" },
                { "name": "SERVICE", "value": service },
            ],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": format!("/ecs/{service}"),
                    "awslogs-region": "${REGION}",
                    "awslogs-stream-prefix": "app",
                },
            },
        }],
    })
}
