//! What the commits hold: what each service's image is made of, then and now, and what differs. Reads git, and for some bases
//! the registry, ECS or GitHub.

mod services;

use std::collections::{BTreeMap, BTreeSet};

use common::delivery::Delivery;
use common::edges::Edges;
use common::failure::Failure;
use common::git::Git;
use common::names::{CommitSha, Digest, ServiceKey};
use monorepo::collect::Collected;
use monorepo::compare::{Difference, What, compare};
use monorepo::exclude::Exclusion;
use monorepo::service::Service as Source;
use monorepo::snapshot::{Affected, Cache, Snapshot};
use toml::{Table, Value};

use crate::config::Config;
use crate::deployed::{self, Placed};
use crate::history::{self, Base};
use crate::inputs::BaseFrom;
use crate::registry::{self, Keyed};

pub(crate) use services::Service;

/// What the commits hold.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) head: CommitSha,
    pub(crate) checkout: Checkout,
    /// What the commit as a whole is compared with.
    pub(crate) base: Base,
    /// The services of the head, in order.
    pub(crate) services: Vec<Service>,
    /// What came of comparing each.
    pub(crate) compared: BTreeMap<ServiceKey, Compared>,
    /// The services that the base had, and the head has no more.
    pub(crate) removed: Vec<String>,
    /// The projects that differ, and all that depend on them.
    pub(crate) projects: Vec<Affected>,
    /// How many files differ, and those of them that are in no image.
    pub(crate) changed: usize,
    pub(crate) reaching_nothing: Vec<String>,
    /// Why files that differ do not reach the service that was asked about.
    pub(crate) exclusions: Vec<Exclusion>,
    /// What a reader should know, and what stops nothing.
    pub(crate) remarks: Vec<String>,
}

/// What came of comparing a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// With a commit.
    pub(crate) base: Base,
    /// What differs; `None` if the base has no such service, or is unknown.
    pub(crate) differences: Option<Vec<Difference>>,
    /// With the registry, if that is asked: the image with its content key, if there is one.
    pub(crate) registry: Option<Option<Digest>>,
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

/// What one commit's services are made of.
struct Commit<'s> {
    snapshot: &'s Snapshot<'s>,
    sources: &'s [Source],
    collected: Collected<'s>,
}

impl Facts {
    pub(crate) async fn read(config: &Config, edges: &Edges) -> Result<Self, Failure> {
        let git = Git::open(&config.workspace)?;
        let head = history::head(config, &git)?;
        let mut cache = Cache::default();
        let snapshot = Snapshot::read(git.files(&head)?, &config.task, &mut cache);
        let mut services = match &config.delivery {
            Some(delivery) => services::declared(&config.delivery_file, delivery, &snapshot)?,
            None => services::with_dockerfile(&snapshot)?,
        };
        let sources: Vec<Source> = services.iter().map(|service| service.source.clone()).collect();
        let commit = Commit { snapshot: &snapshot, sources: &sources, collected: snapshot.collect(&sources) };
        services.iter_mut().try_for_each(|service| commit.complete(service))?;
        let mut facts = Self {
            checkout: checkout(&git, &head)?,
            base: history::base(config, edges, &git, &head).await?,
            head,
            services,
            compared: BTreeMap::new(),
            removed: Vec::new(),
            projects: snapshot.all(),
            changed: 0,
            reaching_nothing: Vec::new(),
            exclusions: Vec::new(),
            remarks: commit.remarks(),
        };
        let bases = facts.bases(config, edges, &git).await?;
        facts.compare(config, &git, &commit, bases, &mut cache)?;
        drop(commit);
        drop(snapshot);
        // The process ends soon, and gives back at once what was known of some ten thousand files. Piece by piece it would take as long
        // as a lockfile takes to read.
        std::mem::forget(cache);
        facts.ask_registry(config, edges).await?;
        Ok(facts)
    }

    /// What to compare each service with.
    async fn bases(&self, config: &Config, edges: &Edges, git: &Git) -> Result<BTreeMap<ServiceKey, Base>, Failure> {
        let delivery = config.delivery.as_ref();
        let (Some(delivery), Some(cluster)) = (delivery, config.cluster.as_ref()) else {
            return Ok(self.services.iter().map(|service| (service.key.clone(), self.base.clone())).collect());
        };
        let placed = delivery.services.iter().map(|(key, service)| Placed {
            key: key.clone(),
            service: service.ecs_service(key),
            container: service.container.clone(),
        });
        let placed: Vec<Placed> = placed.collect();
        deployed::deployed(&edges.aws(&config.place).await?, cluster, &placed, git, &self.head).await
    }

    /// Compares every service with its base. Each commit is read once.
    fn compare(
        &mut self,
        config: &Config,
        git: &Git,
        head: &Commit<'_>,
        bases: BTreeMap<ServiceKey, Base>,
        cache: &mut Cache,
    ) -> Result<(), Failure> {
        let mut by_commit: BTreeMap<CommitSha, Vec<(ServiceKey, Base)>> = BTreeMap::new();
        if let Base::Known { commit, .. } = &self.base {
            by_commit.insert(commit.clone(), Vec::new());
        }
        for (key, base) in bases {
            match &base {
                Base::Known { commit, .. } => by_commit.entry(commit.clone()).or_default().push((key, base)),
                Base::Unknown { .. } => drop(self.compared.insert(key, Compared::with(base, None))),
            }
        }
        for (commit, services) in by_commit {
            let changes = git.changed(&commit, &self.head)?;
            let files = git.files_before(head.snapshot.files(), &changes);
            let snapshot = Snapshot::read(files, &config.task, cache);
            let sources = sources(config, &snapshot, head.sources)?;
            let collected = snapshot.collect_beside(&sources, head.snapshot, &head.collected);
            let base = Commit { snapshot: &snapshot, sources: &sources, collected };
            let tables = (tables(&config.delivery_file, &snapshot), tables(&config.delivery_file, head.snapshot));
            for (key, with) in services {
                let mut differences = head.compare(&base, key.as_str());
                let parts = changed_keys(&tables.0, &tables.1, key.as_str());
                if let Some(differences) = differences.as_mut().filter(|_| !parts.is_empty()) {
                    let what = What::Settings { file: config.delivery_file.clone(), parts };
                    differences.retain(
                        |known| !matches!(&known.what, What::Settings { file, .. } if *file == config.delivery_file),
                    );
                    differences.insert(0, Difference { way: Vec::new(), what });
                }
                self.compared.insert(key, Compared::with(with, differences));
            }
            if matches!(&self.base, Base::Known { commit: default, .. } if *default == commit) {
                let changed: Vec<String> = changes.iter().map(|change| change.path.clone()).collect();
                self.read_default(config, &base, head, &changed);
            }
        }
        Ok(())
    }

    /// Reads what is told of the commit as a whole, not of one service.
    fn read_default(&mut self, config: &Config, base: &Commit<'_>, head: &Commit<'_>, changed: &[String]) {
        self.projects = head.snapshot.affected_since(base.snapshot);
        let is_there = |key: &str| head.sources.iter().any(|source| source.key == key);
        let gone = base.sources.iter().filter(|source| !is_there(&source.key));
        self.removed = gone.map(|source| source.key.clone()).collect();
        let inputs = || base.collected.inputs.values().chain(head.collected.inputs.values());
        let reaches = |path: &str| inputs().any(|inputs| inputs.has(path)) || head.snapshot.is_configuration(path);
        self.changed = changed.len();
        self.reaching_nothing = changed.iter().filter(|path| !reaches(path)).cloned().collect();
        if let Some(why) = &config.why {
            let source = head.sources.iter().find(|source| source.key == why.as_str());
            if let Some((source, inputs)) = source.zip(head.collected.inputs.get(why.as_str())) {
                self.exclusions = head.snapshot.exclusions(source, inputs, changed);
            }
        }
    }

    /// Asks the registry which services it has an image of the same contents of.
    async fn ask_registry(&mut self, config: &Config, edges: &Edges) -> Result<(), Failure> {
        if config.base.is_some() || config.base_from != BaseFrom::Registry {
            return Ok(());
        }
        let keyed = self.services.iter().map(|service| {
            let repository = service.source.repository.parse().map_err(Failure::input)?;
            Ok(Keyed { service: service.key.clone(), repository, key: service.content_key.clone() })
        });
        let keyed: Vec<Keyed> = keyed.collect::<Result<_, Failure>>()?;
        let mut held = registry::images(&edges.aws(&config.place).await?.ecr, &keyed).await?;
        for (key, compared) in &mut self.compared {
            compared.registry = Some(held.remove(key));
        }
        Ok(())
    }
}

impl Compared {
    fn with(base: Base, differences: Option<Vec<Difference>>) -> Self {
        Self { base, differences, registry: None }
    }
}

impl Commit<'_> {
    /// Completes a service by what is known of its inputs.
    fn complete(&self, service: &mut Service) -> Result<(), Failure> {
        let key = service.key.as_str();
        service.content_key = self.collected.inputs.get(key).map(|inputs| inputs.key.to_string()).unwrap_or_default();
        let known = |key: &String| key.parse::<ServiceKey>().map_err(Failure::bug);
        let bases = self.collected.bases.get(key).into_iter().flatten();
        service.bases = bases.map(|(image, key)| Ok((image.clone(), known(key)?))).collect::<Result<_, Failure>>()?;
        let made_from = self.collected.made_from.get(key).into_iter().flatten();
        service.depends_on = made_from.map(known).collect::<Result<_, Failure>>()?;
        Ok(())
    }

    /// What differs of a service; `None` if the base does not have it.
    fn compare(&self, base: &Commit<'_>, key: &str) -> Option<Vec<Difference>> {
        let (old, new) = base.collected.inputs.get(key).zip(self.collected.inputs.get(key))?;
        Some(compare((base.snapshot, old), (self.snapshot, new)))
    }

    fn remarks(&self) -> Vec<String> {
        let problems = self.snapshot.problems().iter().chain(&self.collected.problems).map(ToString::to_string);
        let undeclared = self.snapshot.undeclared().into_iter();
        let undeclared = undeclared.map(|import| format!("{import}, and its package.json does not say so"));
        let cycles = self.snapshot.cycles().into_iter().map(|cycle| format!("projects depend on each other: {cycle}"));
        let services = self.collected.inputs.iter();
        let remarks =
            services.flat_map(|(key, inputs)| inputs.remarks.iter().map(move |remark| format!("{key}: {remark}")));
        problems.chain(undeclared).chain(cycles).chain(remarks).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The services of a base. Where its delivery file is one that this version does not read, those of the head stand in for
/// them: what their images were made of is compared all the same.
fn sources(config: &Config, base: &Snapshot<'_>, head: &[Source]) -> Result<Vec<Source>, Failure> {
    if config.delivery.is_none() {
        return Ok(services::with_dockerfile(base)?.into_iter().map(|service| service.source).collect());
    }
    let Ok(Some(text)) = base.files().text(&config.delivery_file) else { return Ok(Vec::new()) };
    Ok(match Delivery::read(&text, &config.delivery_file) {
        Ok(delivery) => services::known(&config.delivery_file, &delivery, base),
        Err(_) => head.to_vec(),
    })
}

/// What a commit's delivery file says of each service. Nothing, if it cannot be read: that is told elsewhere.
fn tables(file: &str, snapshot: &Snapshot<'_>) -> BTreeMap<String, Table> {
    let text = snapshot.files().text(file).ok().flatten().unwrap_or_default();
    let parsed: Table = text.parse().unwrap_or_default();
    let services = parsed.get("services").and_then(Value::as_table).into_iter().flatten();
    services.filter_map(|(key, table)| Some((key.clone(), table.as_table()?.clone()))).collect()
}

/// The keys of a service's table that differ: it is to be delivered anew, even where its image would be the same.
fn changed_keys(old: &BTreeMap<String, Table>, new: &BTreeMap<String, Table>, service: &str) -> Vec<String> {
    let Some((old, new)) = old.get(service).zip(new.get(service)) else { return Vec::new() };
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let changed = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    changed.map(|key| format!("services.{service}.{key}")).collect()
}

fn checkout(git: &Git, head: &CommitSha) -> Result<Checkout, Failure> {
    Ok(match git.head()? {
        checkout if checkout == *head => Checkout::Head,
        checkout => match git.parents(&checkout)?.as_slice() {
            [_, merged] if merged == head => Checkout::MergeOfHead(checkout),
            _ => Checkout::Other(checkout),
        },
    })
}
