//! Where an image comes from, as a statement that tools read: in-toto's form, SLSA's words.
//!
//! It says what this run knows and no more. It is not signed; ECR can sign what is pushed
//! (<https://docs.aws.amazon.com/AmazonECR/latest/userguide/managed-signing.html>).

use bytes::Bytes;
use serde_json::{Value, json};

use crate::names::{CommitSha, Digest};
use crate::registry::Artifact;
use crate::runner::Environment;

/// The type of an in-toto statement (<https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md>).
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// Where an image comes from.
#[derive(Clone, Debug)]
pub struct Provenance {
    server: String,
    repository: String,
    workflow: String,
    run: String,
    attempt: String,
    runner: String,
    reference: String,
}

impl Provenance {
    /// What the runner tells of this run. `None` outside of a workflow.
    pub fn of_run(environment: &Environment) -> Option<Self> {
        let get = |name: &str| environment.get(name).map(str::to_owned);
        Some(Self {
            server: get("GITHUB_SERVER_URL")?,
            repository: get("GITHUB_REPOSITORY")?,
            run: get("GITHUB_RUN_ID")?,
            workflow: get("GITHUB_WORKFLOW_REF").unwrap_or_default(),
            attempt: get("GITHUB_RUN_ATTEMPT").unwrap_or_else(|| "1".to_owned()),
            runner: get("RUNNER_ENVIRONMENT").unwrap_or_else(|| "self-hosted".to_owned()),
            reference: get("GITHUB_REF").unwrap_or_default(),
        })
    }

    /// The statement of one image, as an artifact to attach to it.
    pub fn artifact(&self, image: &str, digest: &Digest, commit: &CommitSha) -> Artifact {
        let content = Bytes::from(self.statement(image, digest, commit).to_string());
        Artifact { media_type: IN_TOTO.to_owned(), content, title: "provenance.json".to_owned() }
    }

    /// By <https://slsa.dev/spec/v1.0/provenance>, with the build type that GitHub's own attestations have.
    fn statement(&self, image: &str, digest: &Digest, commit: &CommitSha) -> Value {
        let Self { server, repository, workflow, run, attempt, runner, reference } = self;
        let source = format!("git+{server}/{repository}@{reference}");
        json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": image, "digest": { "sha256": digest.hexadecimal() } }],
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {
                "buildDefinition": {
                    "buildType": "https://actions.github.io/buildtypes/workflow/v1",
                    "externalParameters": {
                        "workflow": {
                            "ref": reference,
                            "repository": format!("{server}/{repository}"),
                            "path": path(workflow, repository),
                        },
                    },
                    "resolvedDependencies": [{ "uri": source, "digest": { "gitCommit": commit } }],
                },
                "runDetails": {
                    "builder": { "id": format!("https://github.com/actions/runner/{runner}") },
                    "metadata": {
                        "invocationId": format!("{server}/{repository}/actions/runs/{run}/attempts/{attempt}"),
                    },
                },
            },
        })
    }
}

/// The file of `org/repository/.github/workflows/deliver.yml@refs/heads/main`.
fn path<'a>(workflow: &'a str, repository: &str) -> &'a str {
    let path = workflow.split('@').next().unwrap_or_default();
    path.strip_prefix(repository).unwrap_or(path).trim_start_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_says_of_which_image_from_which_commit_by_which_run() {
        let environment = [
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "org/shop"),
            ("GITHUB_RUN_ID", "42"),
            ("GITHUB_REF", "refs/heads/main"),
            ("GITHUB_WORKFLOW_REF", "org/shop/.github/workflows/deliver.yml@refs/heads/main"),
            ("RUNNER_ENVIRONMENT", "github-hosted"),
        ];
        let provenance = Provenance::of_run(&environment.into_iter().collect()).unwrap();
        let digest = Digest::of_bytes(b"image");
        let commit: CommitSha = "a1".repeat(20).parse().unwrap();
        let statement = provenance.statement("host/shop/auth", &digest, &commit);
        insta::assert_snapshot!(serde_json::to_string_pretty(&statement).unwrap());
        assert!(Provenance::of_run(&[("GITHUB_REPOSITORY", "org/shop")].into_iter().collect()).is_none());
    }
}
