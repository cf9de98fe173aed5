//! Which services a change reaches, and why. Pure. What cannot be known is affected, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use common::failure::Failure;
use common::inputs::nearest;
use common::names::{CommitSha, ServiceKey};

use crate::config::Config;
use crate::facts::{Checkout, Facts, Service};
use crate::graph::{Reach, lies_in};
use crate::history::Base;
use crate::reason::Reason;

/// Files of the root that may reach everything: what is installed, how it is built, what the builder sees.
const EVERYTHING: [&str; 28] = [
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
    ".npmrc",
    ".yarnrc.yml",
    ".nvmrc",
    ".node-version",
    ".tool-versions",
    "nx.json",
    "turbo.json",
    "tsconfig.json",
    "tsconfig.base.json",
    "Cargo.toml",
    "Cargo.lock",
    "rust-toolchain.toml",
    "go.mod",
    "go.sum",
    "go.work",
    "go.work.sum",
    "pyproject.toml",
    "uv.lock",
    "poetry.lock",
    ".dockerignore",
];

/// Which services a change reaches. [`plan`] is its only mint.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) head: CommitSha,
    pub(crate) base: Base,
    /// The services that were asked about, in order.
    pub(crate) services: Vec<Candidate>,
    pub(crate) projects: Vec<String>,
    pub(crate) removed: Vec<String>,
    /// How many files differ, and those of them that reach no service at all.
    pub(crate) changed: usize,
    pub(crate) reaching_nothing: Vec<String>,
    /// What a reader should know, and what stops nothing.
    pub(crate) remarks: Vec<String>,
}

/// A service, and why it is affected.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) service: Service,
    /// None, if it is not.
    pub(crate) reasons: Vec<Reason>,
    /// Its place in the order of building, from 1: after the affected services that it depends on.
    pub(crate) wave: usize,
}

impl Plan {
    /// The affected services, in order.
    pub(crate) fn affected(&self) -> impl Iterator<Item = &Candidate> {
        self.services.iter().filter(|candidate| !candidate.reasons.is_empty())
    }

    /// The affected services in the order of building.
    pub(crate) fn waves(&self) -> Vec<Vec<&Candidate>> {
        let count = self.affected().map(|candidate| candidate.wave).max().unwrap_or(0);
        (1..=count).map(|wave| self.affected().filter(|candidate| candidate.wave == wave).collect()).collect()
    }
}

/// Decides which services are affected.
pub(crate) fn plan(config: &Config, facts: Facts) -> Result<Plan, Failure> {
    let asked = asked(config, &facts.services)?;
    let remarks = checkout_remarks(config, &facts)?;
    let change = Change::of(&facts);
    let mut reasons: BTreeMap<ServiceKey, Vec<Reason>> =
        facts.services.iter().map(|service| (service.key.clone(), change.reasons(config, service))).collect();
    hand_on(&facts.services, &mut reasons);
    let projects = change.projects();
    let is_reaching = |file: &String| facts.services.iter().any(|service| change.reaches(file, service));
    let reaching_nothing = facts.changed.iter().filter(|file| !is_reaching(file)).cloned().collect();
    let mut services: Vec<Candidate> = facts
        .services
        .iter()
        .filter(|service| asked.is_none_or(|asked| asked.contains(&service.key)))
        .map(|service| Candidate {
            service: service.clone(),
            reasons: reasons.remove(&service.key).unwrap_or_default(),
            wave: 1,
        })
        .collect();
    order(&mut services);
    let changed = facts.changed.len();
    let Facts { head, base, removed, .. } = facts;
    Ok(Plan { head, base, services, projects, removed, changed, reaching_nothing, remarks })
}

/// The services that were asked about, all of which exist.
fn asked<'a>(config: &'a Config, services: &[Service]) -> Result<Option<&'a [ServiceKey]>, Failure> {
    let known = || services.iter().map(|service| service.key.as_str());
    if services.is_empty() {
        return Err(Failure::input("there is no delivery.toml in the workspace, and no project with a Dockerfile")
            .hint("run actions/checkout before this step, and say in delivery.toml what the services are"));
    }
    let Some(asked) = &config.asked else { return Ok(None) };
    let unknown = asked.iter().filter(|key| !known().any(|known| known == key.as_str())).map(|key| {
        let failure = Failure::input(format!("there is no service `{key}`"));
        match nearest(key.as_str(), known()) {
            Some(nearest) => failure.hint(format!("did you mean `{nearest}`?")),
            None => failure.hint(format!("there are `{}`", known().collect::<Vec<_>>().join("`, `"))),
        }
    });
    Failure::all(unknown).map_or(Ok(Some(asked)), Err)
}

/// An image is built from the files of the workspace and named after the head: they have to be the same.
fn checkout_remarks(config: &Config, facts: &Facts) -> Result<Vec<String>, Failure> {
    let head = facts.head.short();
    match &facts.checkout {
        _ if !config.build => Ok(Vec::new()),
        Checkout::Head => Ok(Vec::new()),
        Checkout::MergeOfHead(merge) => Ok(vec![format!(
            "the images are built from GitHub's merge of {head} into the base branch ({}), which is what actions/checkout took",
            merge.short()
        )]),
        Checkout::Other(other) => {
            Err(Failure::input(format!("{} is checked out, and images of {head} are to be built", other.short()))
                .hint(format!("give actions/checkout `ref: {}`, or leave out the input `commit`", facts.head)))
        }
    }
}

/// What changed, by what it reaches.
struct Change<'a> {
    facts: &'a Facts,
    /// The files that changed in each project.
    by_project: BTreeMap<&'a str, Vec<String>>,
    /// What each service's project depends on.
    reaches: BTreeMap<&'a ServiceKey, Reach<'a>>,
    everything: Option<&'a String>,
}

impl<'a> Change<'a> {
    fn of(facts: &'a Facts) -> Self {
        let mut by_project: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for file in &facts.changed {
            if let Some(project) = facts.graph.owner(file) {
                by_project.entry(project).or_default().push(file.clone());
            }
        }
        let reach = |service: &'a Service| {
            service.project.as_ref().map(|project| facts.graph.reach(project)).unwrap_or_default()
        };
        let reaches = facts.services.iter().map(|service| (&service.key, reach(service))).collect();
        Self {
            facts,
            by_project,
            reaches,
            everything: facts.changed.iter().find(|file| EVERYTHING.contains(&file.as_str())),
        }
    }

    /// Why a service is affected by what changed, apart from the services that it depends on.
    fn reasons(&self, config: &Config, service: &Service) -> Vec<Reason> {
        if let Base::Unknown { why } = &self.facts.base {
            return vec![Reason::Unknown { why: why.clone() }];
        }
        let mut reasons = Vec::new();
        if config.delivery.is_some() {
            reasons.extend(self.settings(config, service));
        }
        reasons.extend(self.everything.map(|file| Reason::Everything { file: file.clone() }));
        let dockerfile = self.files(|file| is_dockerfile(file, service)).into_iter().next();
        reasons.extend(dockerfile.map(|file| Reason::Dockerfile { file }));
        let own = self.files(|file| lies_in(file, &service.path) && !is_dockerfile(file, service));
        if !own.is_empty() {
            reasons.push(Reason::Own { files: own });
        }
        let extra = self.files(|file| is_extra(file, service));
        if !extra.is_empty() {
            reasons.push(Reason::Extra { files: extra });
        }
        reasons.extend(self.of_projects(service));
        reasons
    }

    fn settings(&self, config: &Config, service: &Service) -> Option<Reason> {
        let file = || config.delivery_file.clone();
        match &self.facts.settings {
            // The base has no delivery file, or one that cannot be read.
            None => Some(Reason::New),
            Some(settings) => match settings.get(service.key.as_str()) {
                None => Some(Reason::New),
                before if before != service.settings.as_ref() => Some(Reason::Settings { file: file() }),
                Some(_) => None,
            },
        }
    }

    /// The projects that the service depends on and that changed, the nearest first. Its own folder is told of already.
    fn of_projects(&self, service: &Service) -> Vec<Reason> {
        let Some(reach) = self.reaches.get(&service.key) else { return Vec::new() };
        let changed = self.by_project.iter().map(|(project, files)| (reach.way(project), files));
        let mut reached: Vec<(Vec<&str>, &Vec<String>)> = changed.filter(|(way, _)| way.len() > 1).collect();
        reached.sort_by_key(|(way, _)| way.len());
        let reason = |(way, files): (Vec<&str>, &Vec<String>)| Reason::Project {
            files: files.clone(),
            way: way.into_iter().map(str::to_owned).collect(),
        };
        reached.into_iter().map(reason).collect()
    }

    fn files(&self, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
        self.facts.changed.iter().filter(|file| is_meant(file)).cloned().collect()
    }

    /// Whether a changed file reaches a service by itself.
    fn reaches(&self, file: &str, service: &Service) -> bool {
        let is_in_project = || {
            self.facts
                .graph
                .owner(file)
                .zip(self.reaches.get(&service.key))
                .is_some_and(|(owner, reach)| reach.has(owner))
        };
        EVERYTHING.contains(&file)
            || lies_in(file, &service.path)
            || is_dockerfile(file, service)
            || is_extra(file, service)
            || is_in_project()
    }

    /// The affected projects: those that changed and all that depend on them.
    fn projects(&self) -> Vec<String> {
        let graph = &self.facts.graph;
        match self.everything.is_some() || matches!(self.facts.base, Base::Unknown { .. }) {
            true => graph.projects().map(|(name, _)| name.to_owned()).collect(),
            false => graph.dependents(self.by_project.keys().copied()).into_iter().map(str::to_owned).collect(),
        }
    }
}

/// Whether a file is the service's Dockerfile, or says what of the context the builder sees.
fn is_dockerfile(file: &str, service: &Service) -> bool {
    let ignore = if service.context.is_empty() {
        ".dockerignore".to_owned()
    } else {
        format!("{}/.dockerignore", service.context)
    };
    file.strip_prefix(&service.dockerfile).is_some_and(|rest| matches!(rest, "" | ".dockerignore")) || file == ignore
}

fn is_extra(file: &str, service: &Service) -> bool {
    service.paths.iter().any(|path| lies_in(file, path))
}

/// Hands an affected service's state on to those that depend on it, however far.
fn hand_on(services: &[Service], reasons: &mut BTreeMap<ServiceKey, Vec<Reason>>) {
    // As many rounds as there are services settle the longest chain.
    for _ in services {
        for service in services {
            let is_affected = |key: &&ServiceKey| reasons.get(*key).is_some_and(|reasons| !reasons.is_empty());
            let affected: Vec<Reason> =
                service.depends_on.iter().filter(is_affected).map(|key| Reason::Service { key: key.clone() }).collect();
            let Some(known) = reasons.get_mut(&service.key) else { continue };
            if !matches!(known.as_slice(), [Reason::Unknown { .. }]) {
                let new: Vec<Reason> = affected.into_iter().filter(|reason| !known.contains(reason)).collect();
                known.extend(new);
            }
        }
    }
}

/// Gives each service its wave: after all affected ones that it depends on. Reading the delivery file refused cycles.
fn order(services: &mut [Candidate]) {
    let affected: BTreeSet<ServiceKey> = services
        .iter()
        .filter(|candidate| !candidate.reasons.is_empty())
        .map(|candidate| candidate.service.key.clone())
        .collect();
    for _ in 0..services.len() {
        let waves: BTreeMap<ServiceKey, usize> =
            services.iter().map(|candidate| (candidate.service.key.clone(), candidate.wave)).collect();
        for candidate in services.iter_mut() {
            let before = candidate
                .service
                .depends_on
                .iter()
                .filter(|key| affected.contains(*key))
                .filter_map(|key| waves.get(key));
            candidate.wave = before.max().map_or(1, |wave| wave + 1);
        }
    }
}

/// So many files, in words.
pub(crate) fn differ(count: usize) -> String {
    match count {
        0 => "no file differs".to_owned(),
        1 => "1 file differs".to_owned(),
        count => format!("{count} files differ"),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.base {
            Base::Known { commit, sentence, .. } => {
                writeln!(
                    formatter,
                    "{} compared with {} ({sentence}): {}",
                    self.head.short(),
                    commit.short(),
                    differ(self.changed)
                )?;
            }
            Base::Unknown { why } => writeln!(formatter, "{} compared with nothing: {why}", self.head.short())?,
        }
        for Candidate { service, reasons, .. } in &self.services {
            match reasons.as_slice() {
                [] => writeln!(formatter, "{}: not affected", service.key)?,
                reasons => {
                    writeln!(formatter, "{}: affected", service.key)?;
                    reasons.iter().try_for_each(|reason| writeln!(formatter, "  {reason}"))?;
                }
            }
        }
        self.removed.iter().try_for_each(|key| writeln!(formatter, "{key}: removed"))?;
        self.remarks.iter().try_for_each(|remark| writeln!(formatter, "note: {remark}"))
    }
}
