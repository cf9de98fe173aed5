//! What the two commits hold: which files differ, which projects and services there are. Reads git alone.

use std::collections::BTreeMap;

use common::delivery::Delivery;
use common::failure::Failure;
use common::git::{Git, Tree};
use common::inputs::nearest;
use common::names::{CommitSha, ServiceKey};
use toml::{Table, Value};

use crate::config::Config;
use crate::graph::Graph;
use crate::history::{self, Base};

/// What the two commits hold.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) head: CommitSha,
    pub(crate) base: Base,
    /// The files that differ; none if the base is unknown.
    pub(crate) changed: Vec<String>,
    /// The projects of the head.
    pub(crate) graph: Graph,
    /// The services of the head, in order.
    pub(crate) services: Vec<Service>,
    /// What the delivery file of the base says of each service; `None` if the base is unknown or has no such file.
    pub(crate) settings: Option<BTreeMap<String, Value>>,
    /// The services that the base had, and the head has no more.
    pub(crate) removed: Vec<String>,
    pub(crate) checkout: Checkout,
}

/// One service of the head.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) key: ServiceKey,
    /// The folder of its sources; blank is the root.
    pub(crate) path: String,
    /// Its project in the graph.
    pub(crate) project: Option<String>,
    pub(crate) dockerfile: String,
    /// The folder that the Dockerfile copies from; blank is the root.
    pub(crate) context: String,
    /// What its image is called, without a tag.
    pub(crate) repository: String,
    pub(crate) depends_on: Vec<ServiceKey>,
    pub(crate) paths: Vec<String>,
    /// What the delivery file says of it.
    pub(crate) settings: Option<Value>,
}

/// What the workspace's files are those of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Checkout {
    /// The head.
    Head,
    /// GitHub's merge of the head into the base branch, which actions/checkout takes on a pull request.
    MergeOfHead(CommitSha),
    /// Another commit.
    Other(CommitSha),
}

impl Facts {
    pub(crate) fn read(config: &Config) -> Result<Self, Failure> {
        let git = Git::open(&config.workspace)?;
        let checkout = git.head()?;
        let head = config.head.clone().unwrap_or_else(|| checkout.clone());
        let tree = git.tree(&head)?;
        let base = history::base(config, &git, &head)?;
        let graph = Graph::read(&tree)?;
        let services = match &config.delivery {
            Some(delivery) => declared(config, delivery, &tree, &graph)?,
            None => with_dockerfile(&tree, &graph)?,
        };
        let mut facts = Self {
            checkout: self::checkout(&git, checkout, &head)?,
            head,
            base,
            changed: Vec::new(),
            graph,
            services,
            settings: None,
            removed: Vec::new(),
        };
        if let Base::Known { commit, .. } = facts.base.clone() {
            facts.changed = git.changed_paths(&commit, &facts.head)?;
            facts.read_base(config, &git.tree(&commit)?)?;
        }
        Ok(facts)
    }

    /// Reads which services the base had.
    fn read_base(&mut self, config: &Config, base: &Tree<'_>) -> Result<(), Failure> {
        let had: Vec<String> = match &config.delivery {
            Some(_) => {
                self.settings = base.text(&config.delivery_file)?.and_then(|text| settings(&text));
                self.settings.iter().flat_map(BTreeMap::keys).cloned().collect()
            }
            None => {
                with_dockerfile(base, &Graph::read(base)?)?.into_iter().map(|service| service.key.to_string()).collect()
            }
        };
        self.removed =
            had.into_iter().filter(|key| !self.services.iter().any(|service| service.key.as_str() == key)).collect();
        Ok(())
    }
}

fn checkout(git: &Git, checkout: CommitSha, head: &CommitSha) -> Result<Checkout, Failure> {
    Ok(match checkout {
        checkout if checkout == *head => Checkout::Head,
        checkout => match git.parents(&checkout)?.as_slice() {
            [_, merged] if merged == head => Checkout::MergeOfHead(checkout),
            _ => Checkout::Other(checkout),
        },
    })
}

/// What a delivery file says of each service. `None` if it cannot be read, which is no reason to stop: it is the base's.
fn settings(text: &str) -> Option<BTreeMap<String, Value>> {
    let file: Table = text.parse().ok()?;
    let services = file.get("services")?.as_table()?;
    Some(services.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// The services of the delivery file.
fn declared(config: &Config, delivery: &Delivery, tree: &Tree<'_>, graph: &Graph) -> Result<Vec<Service>, Failure> {
    let text = tree.text(&config.delivery_file)?;
    let settings = text.and_then(|text| settings(&text)).unwrap_or_default();
    let mut failures = Vec::new();
    let mut services = Vec::new();
    for (key, service) in &delivery.services {
        let folder = |path: &str| if path == "." { String::new() } else { path.to_owned() };
        let found = match (&service.path, &service.project) {
            (Some(path), _) => Ok((folder(path.as_str()), graph.at(&folder(path.as_str())).map(str::to_owned))),
            (None, Some(project)) => find(graph, project),
            (None, None) => Err(Failure::bug("a service without a place was read")),
        };
        let (path, project) = match found {
            Ok(found) => found,
            Err(failure) => {
                failures.push(failure.context(format!("service `{key}`")));
                continue;
            }
        };
        let dockerfile = service.dockerfile.as_ref().map_or_else(|| within(&path, "Dockerfile"), ToString::to_string);
        if !tree.has(&dockerfile) {
            failures.push(missing(key, &dockerfile));
        }
        services.push(Service {
            key: key.clone(),
            path,
            project,
            dockerfile,
            context: service.context.as_ref().map(|context| folder(context.as_str())).unwrap_or_default(),
            repository: service.repository.to_string(),
            depends_on: service.depends_on.clone(),
            paths: service.paths.iter().map(|path| folder(path.as_str())).collect(),
            settings: settings.get(key.as_str()).cloned(),
        });
    }
    Failure::all(failures).map_or(Ok(services), Err)
}

fn find(graph: &Graph, project: &str) -> Result<(String, Option<String>), Failure> {
    if let Some((name, found)) = graph.find(project) {
        return Ok((found.root.clone(), Some(name.to_owned())));
    }
    let failure = Failure::input(format!("the workspace has no project `{project}`"));
    Err(match nearest(project, graph.projects().map(|(name, _)| name)) {
        Some(name) => failure.hint(format!("did you mean `{name}`?")),
        None => failure.hint("name its folder by `path` instead"),
    })
}

fn missing(key: &ServiceKey, dockerfile: &str) -> Failure {
    Failure::input(format!("service `{key}`: the commit has no file `{dockerfile}`"))
        .hint("say where it is: `dockerfile` in delivery.toml, else it is looked for in the service's folder")
}

/// Without a delivery file, every project with a Dockerfile is a service.
fn with_dockerfile(tree: &Tree<'_>, graph: &Graph) -> Result<Vec<Service>, Failure> {
    let projects = graph.projects().filter(|(_, project)| tree.has(&within(&project.root, "Dockerfile")));
    let services = projects.map(|(name, project)| {
        let key: String = name
            .rsplit('/')
            .next()
            .unwrap_or(name)
            .replace(|character: char| !character.is_ascii_alphanumeric() && character != '_', "-");
        Ok(Service {
            key: key.parse().map_err(Failure::input)?,
            path: project.root.clone(),
            project: Some(name.to_owned()),
            dockerfile: within(&project.root, "Dockerfile"),
            context: String::new(),
            repository: key.to_lowercase(),
            depends_on: Vec::new(),
            paths: Vec::new(),
            settings: None,
        })
    });
    services.collect()
}

fn within(folder: &str, file: &str) -> String {
    if folder.is_empty() { file.to_owned() } else { format!("{folder}/{file}") }
}
