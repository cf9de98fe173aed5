//! Which services a change reaches, and why. Pure. What cannot be known is affected, with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use common::failure::Failure;
use common::inputs::nearest;
use common::names::{ClusterName, CommitSha, Digest, EnvironmentName, RepositoryName, ServiceKey};
use monorepo::exclude::Exclusion;
use monorepo::snapshot::Affected;

use crate::config::Config;
use crate::facts::{Checkout, Compared, Facts, Service};
use crate::history::Base;
use crate::reason::Reason;

/// Which services a change reaches. [`plan`] is its only mint.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) head: CommitSha,
    pub(crate) base: Base,
    /// How the services' own bases were found: a word of the output `history`.
    pub(crate) history: &'static str,
    /// The services that were asked about, in order.
    pub(crate) services: Vec<Candidate>,
    pub(crate) projects: Vec<Affected>,
    /// The targets that the affected projects are checked by, each with those that have it.
    pub(crate) checks: Vec<(String, Vec<String>)>,
    pub(crate) removed: Vec<String>,
    /// How many files differ, and those of them that reach no service at all.
    pub(crate) changed: usize,
    pub(crate) reaching_nothing: Vec<String>,
    /// Why files that differ do not reach the service that was asked about.
    pub(crate) exclusions: Vec<Exclusion>,
    /// The images that are as they would be built now, and get the head's tag.
    pub(crate) held: Vec<(RepositoryName, Digest)>,
    /// Where what is affected will go, if the delivery file says so of the branch.
    pub(crate) destination: Option<Destination>,
    /// What a reader should know, and what stops nothing.
    pub(crate) remarks: Vec<String>,
}

/// Where a branch is delivered to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Destination {
    pub(crate) branch: String,
    /// The commit is not on the branch yet: it is a pull request's.
    pub(crate) is_proposed: bool,
    pub(crate) environment: EnvironmentName,
    pub(crate) cluster: ClusterName,
}

/// A service, and why it is affected.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) service: Service,
    /// What it was compared with.
    pub(crate) compared: Compared,
    /// None, if it is not.
    pub(crate) reasons: Vec<Reason>,
    /// Its place in the order of building, from 1: after the affected services that it is made from.
    pub(crate) wave: usize,
}

impl Plan {
    /// The affected services, in order.
    pub(crate) fn affected(&self) -> impl Iterator<Item = &Candidate> {
        self.services.iter().filter(|candidate| !candidate.reasons.is_empty())
    }
}

/// Decides which services are affected.
pub(crate) fn plan(config: &Config, mut facts: Facts) -> Result<Plan, Failure> {
    let asked = asked(config, &facts.services)?;
    let mut remarks = checkout_remarks(config, &facts)?;
    remarks.extend(facts.base.remark().map(str::to_owned));
    remarks.append(&mut facts.remarks);
    let mut reasons = BTreeMap::new();
    for service in &facts.services {
        reasons.insert(service.key.clone(), because(service, facts.compared.get(&service.key))?);
    }
    hand_on(&facts, &mut reasons);
    let is_asked = |service: &Service| asked.is_none_or(|asked| asked.contains(&service.key));
    let mut services = Vec::new();
    let mut held = Vec::new();
    for service in facts.services.into_iter().filter(is_asked) {
        let reasons = reasons.remove(&service.key).unwrap_or_default();
        let Some(compared) = facts.compared.remove(&service.key) else {
            return Err(Failure::bug(format!("service `{}` was compared with nothing", service.key)));
        };
        if let (true, Some(Some(digest))) = (reasons.is_empty(), &compared.registry) {
            held.push((repository(&service)?, digest.clone()));
        }
        services.push(Candidate { service, compared, reasons, wave: 1 });
    }
    order(&mut services);
    Ok(Plan {
        destination: destination(config),
        history: config.history().unwrap_or(facts.base.word()),
        head: facts.head,
        base: facts.base,
        services,
        checks: checks(&config.checks, &facts.projects),
        projects: facts.projects,
        removed: facts.removed,
        changed: facts.changed,
        reaching_nothing: facts.reaching_nothing,
        exclusions: facts.exclusions,
        held,
        remarks,
    })
}

/// The targets that a project has, each with all projects that have it.
fn checks(targets: &[String], projects: &[Affected]) -> Vec<(String, Vec<String>)> {
    let having = |target: &String| {
        let having = projects.iter().filter(|project| project.targets.contains(target));
        having.map(|project| project.name.clone()).collect::<Vec<_>>()
    };
    let checks = targets.iter().map(|target| (target.clone(), having(target)));
    checks.filter(|(_, projects)| !projects.is_empty()).collect()
}

/// Where the branch is delivered to that the commit is on, or is proposed for.
fn destination(config: &Config) -> Option<Destination> {
    let proposed = config.event.pull_request_base_branch();
    let own = config.run.reference.as_deref().filter(|_| !config.is_tag && config.event.pull_request().is_none());
    let branch = proposed.or(own)?;
    let delivery = config.delivery.as_ref()?;
    let environment = delivery.for_branch(branch)?;
    let cluster = delivery.environments.get(&environment)?.cluster.clone();
    Some(Destination { branch: branch.to_owned(), is_proposed: proposed.is_some(), environment, cluster })
}

/// The services that were asked about, all of which exist.
fn asked<'a>(config: &'a Config, services: &[Service]) -> Result<Option<&'a [ServiceKey]>, Failure> {
    let known = || services.iter().map(|service| service.key.as_str());
    if services.is_empty() {
        return Err(Failure::input("there is no delivery.toml in the workspace, and no project with a Dockerfile")
            .hint("run actions/checkout before this step, and say in delivery.toml what the services are"));
    }
    let named = config.asked.iter().flatten().chain(&config.why);
    let unknown = named.filter(|key| !known().any(|known| known == key.as_str())).map(|key| {
        let failure = Failure::input(format!("there is no service `{key}`"));
        match nearest(key.as_str(), known()) {
            Some(nearest) => failure.hint(format!("did you mean `{nearest}`?")),
            None => failure.hint(format!("there are `{}`", known().collect::<Vec<_>>().join("`, `"))),
        }
    });
    Failure::all(unknown).map_or(Ok(config.asked.as_deref()), Err)
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

/// Why a service is affected by itself.
fn because(service: &Service, compared: Option<&Compared>) -> Result<Vec<Reason>, Failure> {
    let Some(compared) = compared else { return Ok(vec![Reason::Unknown { why: "nobody compared it".to_owned() }]) };
    let differences = compared.differences.iter().flatten().cloned().map(Reason::Different);
    match &compared.registry {
        Some(Some(_)) => return Ok(Vec::new()),
        Some(None) => {
            let not_held = Reason::NotHeld { repository: repository(service)? };
            return Ok(std::iter::once(not_held).chain(differences).collect());
        }
        None => {}
    }
    Ok(match (&compared.base, &compared.differences) {
        (Base::Unknown { why, .. }, _) => vec![Reason::Unknown { why: why.clone() }],
        (Base::Known { .. }, None) => vec![Reason::New],
        (Base::Known { .. }, Some(_)) => differences.collect(),
    })
}

fn repository(service: &Service) -> Result<RepositoryName, Failure> {
    service.source.repository.parse().map_err(Failure::input)
}

/// Hands an affected service's state on to those that are made from it, however far. Their keys tell most of it; this is for
/// bases that differ from service to service, and for what changed of a service and is not in its image. An image that the
/// registry has is made of what it should be, whatever became of the others.
fn hand_on(facts: &Facts, reasons: &mut BTreeMap<ServiceKey, Vec<Reason>>) {
    let is_held =
        |key: &ServiceKey| facts.compared.get(key).is_some_and(|compared| matches!(compared.registry, Some(Some(_))));
    // As many rounds as there are services settle the longest chain.
    for _ in &facts.services {
        let is_affected = |key: &ServiceKey| reasons.get(key).is_some_and(|reasons| !reasons.is_empty());
        let reached = facts.services.iter().filter(|service| !is_affected(&service.key) && !is_held(&service.key));
        let reached = reached.filter_map(|service| {
            let before = service.depends_on.iter().find(|key| is_affected(key))?;
            Some((service.key.clone(), Reason::Service { key: before.clone() }))
        });
        let reached: Vec<(ServiceKey, Reason)> = reached.collect();
        if reached.is_empty() {
            return;
        }
        reached.into_iter().for_each(|(key, reason)| reasons.entry(key).or_default().push(reason));
    }
}

/// Gives each service its wave: after all affected ones that it is made from. In a circle, the last round decides.
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
            let before = candidate.service.depends_on.iter().filter(|key| affected.contains(*key));
            let before = before.filter_map(|key| waves.get(key));
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
        let head = self.head.short();
        match &self.base {
            Base::Known { commit, sentence, .. } => {
                writeln!(formatter, "{head} compared with {} ({sentence}): {}", commit.short(), differ(self.changed))?;
            }
            Base::Unknown { why, .. } => writeln!(formatter, "{head} compared with nothing: {why}")?,
        }
        for Candidate { service, reasons, .. } in &self.services {
            match reasons.as_slice() {
                [] => writeln!(formatter, "{}: not affected", service.key)?,
                reasons => {
                    writeln!(formatter, "{}: affected", service.key)?;
                    reasons.iter().try_for_each(|reason| writeln!(formatter, "  ← {reason}"))?;
                }
            }
        }
        self.removed.iter().try_for_each(|key| writeln!(formatter, "{key}: removed"))?;
        for exclusion in &self.exclusions {
            writeln!(formatter, "not by {}: {}", exclusion.path, exclusion.why)?;
        }
        self.remarks.iter().try_for_each(|remark| writeln!(formatter, "note: {remark}"))
    }
}
