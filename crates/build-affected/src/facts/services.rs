//! The services of a commit: those of its delivery file, else its projects with a Dockerfile.

use std::collections::BTreeMap;

use common::delivery::{self, Delivery, ImageBuild};
use common::failure::Failure;
use common::inputs::nearest;
use common::names::ServiceKey;
use monorepo::service::Service as Source;
use monorepo::snapshot::Snapshot;

/// One service of a commit.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) key: ServiceKey,
    /// Where it is made from, and how.
    pub(crate) source: Source,
    /// How its image is built, where its Dockerfile alone does not say it.
    pub(crate) build: ImageBuild,
    /// What the image is made of, whatever the commit, in hexadecimal digits.
    pub(crate) content_key: String,
    /// The images that its Dockerfile names and that are other services'.
    pub(crate) bases: BTreeMap<String, ServiceKey>,
    /// The services that come before it: it is made from their images, or says that it depends on them.
    pub(crate) depends_on: Vec<ServiceKey>,
}

/// The services of the delivery file at `file`, all of whose places are in the commit.
pub(super) fn declared(file: &str, delivery: &Delivery, snapshot: &Snapshot<'_>) -> Result<Vec<Service>, Failure> {
    let mut failures = Vec::new();
    let mut services = Vec::new();
    for (key, service) in &delivery.services {
        match place(service, snapshot).map(|place| source(file, key, service, place)) {
            Ok(source) if !snapshot.files().has(&source.dockerfile) => failures.push(missing(key, &source.dockerfile)),
            Ok(source) => services.push(Service::new(key.clone(), source, service.build.clone())),
            Err(failure) => failures.push(failure.context(format!("service `{key}`"))),
        }
    }
    Failure::all(failures).map_or(Ok(services), Err)
}

/// Those services of a base's delivery file whose places are in the commit. The others were not built either.
pub(super) fn known(file: &str, delivery: &Delivery, snapshot: &Snapshot<'_>) -> Vec<Source> {
    let services = delivery.services.iter();
    let sources =
        services.filter_map(|(key, service)| Some(source(file, key, service, place(service, snapshot).ok()?)));
    sources.filter(|source| snapshot.files().has(&source.dockerfile)).collect()
}

/// Without a delivery file, every project with a Dockerfile is a service.
pub(super) fn with_dockerfile(snapshot: &Snapshot<'_>) -> Result<Vec<Service>, Failure> {
    let mut services: Vec<Service> = Vec::new();
    for project in &snapshot.workspace().projects {
        let dockerfile = within(&project.root, "Dockerfile");
        if !snapshot.files().has(&dockerfile) {
            continue;
        }
        let name = project.name.rsplit('/').next().unwrap_or(&project.name);
        let key = name.replace(|character: char| !character.is_ascii_alphanumeric() && character != '_', "-");
        let source = Source {
            folder: project.root.clone(),
            dockerfile,
            repository: key.to_lowercase(),
            key: key.clone(),
            ..Source::default()
        };
        let service = Service::new(key.parse().map_err(Failure::input)?, source, ImageBuild::default());
        if let Some(known) = services.iter().find(|known| known.key == service.key) {
            let (one, other) = (&known.source.folder, &service.source.folder);
            return Err(Failure::input(format!(
                "the projects in `{one}` and `{other}` would both be the service `{key}`"
            ))
            .hint("say in delivery.toml what the services are called"));
        }
        services.push(service);
    }
    Ok(services)
}

impl Service {
    fn new(key: ServiceKey, source: Source, build: ImageBuild) -> Self {
        Self { key, source, build, content_key: String::new(), bases: BTreeMap::new(), depends_on: Vec::new() }
    }
}

fn source(file: &str, key: &ServiceKey, service: &delivery::Service, place: String) -> Source {
    let build = &service.build;
    let arguments = build.arguments.iter().map(|(name, value)| (name.to_string(), value.as_str().to_owned()));
    let contexts = build.contexts.iter().map(|(name, context)| (name.to_string(), context.to_string()));
    Source {
        key: key.to_string(),
        file: file.to_owned(),
        dockerfile: service.dockerfile.as_ref().map_or_else(|| within(&place, "Dockerfile"), ToString::to_string),
        folder: place,
        context: service.context.as_ref().map(|context| folder(context.as_str())).unwrap_or_default(),
        repository: service.repository.to_string(),
        target: build.target.clone(),
        arguments: arguments.collect(),
        platform: build.platform.map(|platform| platform.to_string()),
        contexts: contexts.collect(),
        paths: service.paths.iter().map(|path| folder(path.as_str())).collect(),
        depends_on: service.depends_on.iter().map(ToString::to_string).collect(),
    }
}

/// The folder of a service's sources.
fn place(service: &delivery::Service, snapshot: &Snapshot<'_>) -> Result<String, Failure> {
    match (&service.path, &service.project) {
        (Some(path), _) => Ok(folder(path.as_str())),
        (None, Some(project)) => find(snapshot, project),
        (None, None) => Err(Failure::bug("a service without a place was read")),
    }
}

fn find(snapshot: &Snapshot<'_>, project: &str) -> Result<String, Failure> {
    let workspace = snapshot.workspace();
    if let Some(found) = workspace.find(project).and_then(|found| workspace.project(found)) {
        return Ok(found.root.clone());
    }
    let failure = Failure::input(format!("the workspace has no project `{project}`"));
    Err(match nearest(project, workspace.projects.iter().map(|project| project.name.as_str())) {
        Some(name) => failure.hint(format!("did you mean `{name}`?")),
        None => failure.hint("name its folder by `path` instead"),
    })
}

fn missing(key: &ServiceKey, dockerfile: &str) -> Failure {
    Failure::input(format!("service `{key}`: the commit has no file `{dockerfile}`"))
        .hint("say where it is: `dockerfile` in delivery.toml, else it is looked for in the service's folder")
}

/// A folder of the delivery file; the root is blank here.
fn folder(path: &str) -> String {
    if path == "." { String::new() } else { path.to_owned() }
}

fn within(folder: &str, file: &str) -> String {
    if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") }
}
