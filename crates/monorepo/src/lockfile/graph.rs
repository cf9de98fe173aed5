//! From what a file lists to packages that know what they are with all that is below them.

use foldhash::HashMap;

use super::{Package, PackageId, Resolution};
use crate::digest::{Digest, Hasher};

/// A package as a format's reader found it.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) version: String,
    /// All that tells its content, and whether it is installed at all.
    pub(super) content: Digest,
    /// What tells it from the same package with other peers; blank if nothing does.
    pub(super) peers: String,
    pub(super) patch: Option<String>,
    pub(super) dependencies: Vec<(String, Resolution)>,
}

/// The packages, with their subtrees.
pub(super) fn packages(drafts: Vec<Draft>) -> Vec<Package> {
    let mut packages: Vec<_> = drafts.into_iter().map(package).collect();
    let subtrees = Subtrees::new(&packages).all();
    packages.iter_mut().zip(subtrees).for_each(|(package, subtree)| package.subtree = subtree);
    packages
}

fn package(draft: Draft) -> Package {
    let Draft { name, version, content, peers, patch, dependencies } = draft;
    let content = Digest::of([name.as_bytes(), version.as_bytes(), content.as_ref()]);
    let mut edges = Vec::new();
    let mut workspaces = Vec::new();
    for (name, resolution) in dependencies {
        if let Resolution::Workspace(member) = &resolution {
            workspaces.push(member.clone());
        }
        edges.extend(resolution.packages().iter().map(|id| (name.clone(), *id)));
    }
    edges.sort_unstable();
    edges.dedup();
    workspaces.sort_unstable();
    workspaces.dedup();
    let digest = Digest::of([content.as_ref(), peers.as_bytes()]);
    Package { name, version, digest, dependencies: edges, workspaces, patch, subtree: content, content }
}

/// Subtrees by Tarjan's strongly connected components, which come out from the leaves up: what depends on itself, over whatever
/// way, is one thing. Without recursion: a chain may be as long as the file.
struct Subtrees<'p> {
    packages: &'p [Package],
    /// When each was found; 0 is not yet.
    found: Vec<usize>,
    /// The earliest that is reached from each and is not done.
    low: Vec<usize>,
    /// Found and not done.
    open: Vec<usize>,
    /// Done ones' subtrees.
    subtree: Vec<Option<Digest>>,
}

impl<'p> Subtrees<'p> {
    fn new(packages: &'p [Package]) -> Self {
        let count = packages.len();
        Self { packages, found: vec![0; count], low: vec![0; count], open: Vec::new(), subtree: vec![None; count] }
    }

    fn all(mut self) -> Vec<Digest> {
        let mut clock = 0;
        for root in 0..self.packages.len() {
            if self.found[root] == 0 {
                self.visit(root, &mut clock);
            }
        }
        let done = self.packages.iter().zip(self.subtree);
        done.map(|(package, subtree)| subtree.unwrap_or(package.digest)).collect()
    }

    fn visit(&mut self, root: usize, clock: &mut usize) {
        self.find(root, clock);
        let mut way = vec![(root, 0)];
        while let Some((package, next)) = way.last_mut() {
            let package = *package;
            if let Some((_, PackageId(below))) = self.packages[package].dependencies.get(*next) {
                *next += 1;
                if self.found[*below] == 0 {
                    self.find(*below, clock);
                    way.push((*below, 0));
                } else if self.subtree[*below].is_none() {
                    self.low[package] = self.low[package].min(self.found[*below]);
                }
            } else {
                way.pop();
                if let Some((above, _)) = way.last() {
                    self.low[*above] = self.low[*above].min(self.low[package]);
                }
                if self.low[package] == self.found[package] {
                    self.close(package);
                }
            }
        }
    }

    fn find(&mut self, package: usize, clock: &mut usize) {
        *clock += 1;
        self.found[package] = *clock;
        self.low[package] = *clock;
        self.open.push(package);
    }

    /// Gives the component that was entered at a package its subtrees.
    fn close(&mut self, first: usize) {
        let start = self.open.iter().rposition(|open| *open == first).unwrap_or_default();
        let component = self.open.split_off(start);
        // Twice, so that two packages of the same content that are wired in another way are told apart.
        let once: Vec<_> = component.iter().map(|package| (*package, self.with_edges(*package, &|_| None))).collect();
        if let [(package, subtree)] = once[..] {
            self.subtree[package] = Some(subtree);
            return;
        }
        let by_package: HashMap<_, _> = once.into_iter().collect();
        let inside = |package: usize| by_package.get(&package).copied();
        let twice: Vec<_> = component.iter().map(|package| (*package, self.with_edges(*package, &inside))).collect();
        let mut whole: Vec<_> = twice.iter().map(|(_, digest)| *digest).collect();
        whole.sort_unstable();
        let whole = Digest::of(&whole);
        for (package, own) in twice {
            self.subtree[package] = Some(Digest::of([own, whole]));
        }
    }

    /// A package with its edges to what is done; those to the others are told by `inside`, or else by their content.
    fn with_edges(&self, package: usize, inside: &dyn Fn(usize) -> Option<Digest>) -> Digest {
        let Package { digest, dependencies, workspaces, .. } = &self.packages[package];
        let below =
            |PackageId(id): PackageId| self.subtree[id].or_else(|| inside(id)).unwrap_or(self.packages[id].digest);
        let mut edges: Vec<_> = dependencies.iter().map(|(name, id)| (name.as_str(), below(*id))).collect();
        edges.sort_unstable();
        let mut hasher = Hasher::default();
        hasher.field(digest);
        hasher.field(edges.len().to_be_bytes());
        for (name, below) in edges {
            hasher.field(name);
            hasher.field(below);
        }
        workspaces.iter().for_each(|workspace| hasher.field(workspace));
        hasher.finish()
    }
}
