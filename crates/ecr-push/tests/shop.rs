//! A shop on the stage: a Docker engine with the images of a commit, and repositories to push them to.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use common::docker::{Build, Cache, KEY, LocalImage, REVISION};
use common::edges::Edges;
use common::report::{Report, Verdict};
use serde_json::{Value, json};
use stage::{COMMIT, Ran, Stage};
use tempfile::TempDir;
use world::{RepositorySeed, ServedDocker};

pub(crate) const DELIVERY: &str = r#"
name = "shop"

[environments.staging]
branch = "main"
region = "eu-west-1"
cluster = "shop"

[services.auth]
path = "apps/auth"
repository = "shop/auth"
container = "app"

[services.api]
path = "apps/api"
repository = "shop/api"
container = "app"

[repositories]
moving-tags = ["main", "latest", "stable"]
"#;

/// A repository as the delivery file wants it.
pub(crate) fn as_wanted(name: &str) -> RepositorySeed {
    let lifecycle = json!({ "rules": [
        { "rulePriority": 1, "selection": { "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7 },
          "action": { "type": "expire" } },
        { "rulePriority": 2, "selection": { "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 10 },
          "action": { "type": "expire" } },
    ] });
    RepositorySeed {
        name: name.to_owned(),
        tag_mutability: "IMMUTABLE_WITH_EXCLUSION".to_owned(),
        exclusions: ["main", "latest", "stable"].map(str::to_owned).to_vec(),
        scan_on_push: true,
        lifecycle_policy: Some(lifecycle.to_string()),
    }
}

const DOCKERFILE: &str = "FROM scratch\nCOPY app /app\nUSER 65532\nHEALTHCHECK CMD [\"/app\", \"health\"]\n";

/// A stage with an engine, which listens as long as this lives.
pub(crate) struct Shop {
    pub(crate) stage: Stage,
    _docker: ServedDocker,
    _folder: TempDir,
}

/// A shop with both repositories, and both images of the commit in the engine.
pub(crate) async fn shop() -> Shop {
    let mut stage = Stage::new();
    let folder = TempDir::new().unwrap();
    let docker = stage.world.serve_docker(&folder.path().join("docker.sock")).unwrap();
    stage.set("DOCKER_HOST", &format!("unix://{}", docker.path().display()));
    stage.file("delivery.toml", DELIVERY);
    let shop = Shop { stage, _docker: docker, _folder: folder };
    for service in ["auth", "api"] {
        shop.stage.world.set_up_repository(as_wanted(&format!("shop/{service}")));
        shop.build(service, "1", Some(COMMIT)).await;
    }
    shop
}

/// What build-affected labels an image with: its commit, and what it is made of.
fn labels(service: &str, content: &str, revision: Option<&str>) -> BTreeMap<String, String> {
    let revision = revision.map(|revision| (REVISION.to_owned(), revision.to_owned()));
    revision.into_iter().chain([(KEY.to_owned(), format!("{service}-{content}"))]).collect()
}

impl Shop {
    /// Has the engine build the commit's image of a service, labelled with the commit that it was built from.
    pub(crate) async fn build(&self, service: &str, content: &str, revision: Option<&str>) {
        self.build_by(service, content, revision, DOCKERFILE).await;
    }

    /// The same, by this Dockerfile.
    pub(crate) async fn build_by(&self, service: &str, content: &str, revision: Option<&str>, dockerfile: &str) {
        self.stage.file("context/app", format!("{service} {content}"));
        self.stage.file("context/Dockerfile", dockerfile);
        let context = self.stage.workspace().join("context");
        let build = Build {
            dockerfile: context.join("Dockerfile"),
            context,
            dockerfile_name: "Dockerfile".to_owned(),
            reference: format!("shop/{service}:{COMMIT}"),
            target: None,
            arguments: BTreeMap::new(),
            images: BTreeMap::new(),
            contexts: std::collections::BTreeSet::new(),
            secrets: BTreeMap::new(),
            labels: labels(service, content, revision),
            platform: None,
            epoch: None,
            cache: Cache::Engine,
        };
        let building = async |_: ecr_push::Inputs, edges: &Edges| {
            edges.docker().await?.build(&build, drop).await?;
            Ok(Report {
                result: "built",
                verdict: Verdict::Good,
                outputs: Vec::new(),
                json: Value::Null,
                summary: String::new(),
            })
        };
        let ran = self.stage.run(&ecr_push::ACTION, building, &[]).await;
        assert_eq!(ran.exit_code, 0, "{}", ran.log);
    }

    /// Has `delivery.toml` say this as well.
    pub(crate) fn add_to_delivery(&self, text: &str) {
        self.stage.file("delivery.toml", format!("{DELIVERY}\n{text}"));
    }

    /// The commit's image of a service, as the engine has it.
    pub(crate) async fn local(&self, service: &str) -> LocalImage {
        let docker = self.stage.edges(&[]).docker().await.unwrap();
        docker.inspect(&format!("shop/{service}:{COMMIT}")).await.unwrap().unwrap()
    }

    /// Leaves Trivy's report of a service's image in a file: what it found, each as severity, id, package and the version that
    /// mends it.
    pub(crate) async fn scan(&self, file: &str, service: &str, found: &[(&str, &str, &str, &str)]) {
        let image = self.local(service).await;
        let vulnerability = |(severity, id, package, fixed): &(&str, &str, &str, &str)| {
            json!({
                "VulnerabilityID": id, "PkgName": package, "InstalledVersion": "1.0", "FixedVersion": fixed, "Severity": severity,
            })
        };
        let report = json!({
            "SchemaVersion": 2,
            "CreatedAt": self.stage.world.now().to_string(),
            "ArtifactName": format!("shop/{service}:{COMMIT}"),
            "ArtifactType": "container_image",
            "Metadata": { "ImageID": image.id, "DiffIDs": image.layers },
            "Results": [{ "Target": "os", "Vulnerabilities": found.iter().map(vulnerability).collect::<Vec<_>>() }],
        });
        self.stage.file(file, report.to_string());
    }

    /// From the moment on at which the action asks for this, time passes only where the action waits. Before, it talks to the
    /// engine over a real socket, which takes real time.
    pub(crate) fn pause_at(&self, operation: &'static str) {
        let is_paused = AtomicBool::new(false);
        self.stage.on_answer(move |asked, _| {
            if asked == operation && !is_paused.swap(true, Ordering::SeqCst) {
                tokio::time::pause();
            }
        });
    }

    /// Runs the action; answers with it what it changed in AWS.
    pub(crate) async fn push(&self, inputs: &[(&str, &str)]) -> (Ran, Vec<String>) {
        push(&self.stage, inputs).await
    }

    /// The digest that the registry has for a tag; blank if it has none.
    pub(crate) fn digest(&self, repository: &str, tag: &str) -> String {
        self.stage.world.image_digest(repository, tag).unwrap_or_default()
    }
}

/// Runs the action; answers with it what it changed, in AWS and in the engine.
pub(crate) async fn push(stage: &Stage, inputs: &[(&str, &str)]) -> (Ran, Vec<String>) {
    let before = stage.world.writes().len();
    let ran = stage.run(&ecr_push::ACTION, ecr_push::run, inputs).await;
    (ran, stage.world.writes().split_off(before))
}
