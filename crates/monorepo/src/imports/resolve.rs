//! Where a specifier leads, from the commit's files alone: as TypeScript, Node and bundlers look it up, in as far as they agree.
//! Whether a condition of `exports` or an extension is chosen does not matter here: which file of a project is meant matters
//! little, which project is meant matters.

use std::collections::BTreeMap;

use super::lookup::Lookup;
use super::paths::Match;
use super::place::{package_of, resolve};
use super::tsconfig::{Scope, TypeScript, absolute};
use crate::files::Files;
use crate::path;

/// Where a specifier leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolved {
    /// A file of the commit.
    File(String),
    /// Into a folder of the commit; which file is not known (it is chosen at run time, or made by a build).
    Folder(String),
    /// A package of the workspace.
    Workspace {
        /// Its name.
        package: String,
        /// Its folder.
        folder: String,
        /// The file of it, if that is in the commit (a package's `main` mostly is built).
        file: Option<String>,
    },
    /// A package from elsewhere, by its name.
    External(String),
    /// What comes with the runtime or the bundler, or from the network: `node:fs`, `virtual:x`, `https://…`.
    Builtin,
    /// Nothing that is known: it is put together by a bundler, or a mistake.
    Nowhere,
}

/// Where a specifier leads, and by which entry of `paths`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resolution {
    /// Where it leads.
    pub to: Resolved,
    /// The `tsconfig.json` and the entry of its `paths` that led there.
    pub through: Option<(String, String)>,
}

/// Looks specifiers up.
#[derive(Debug)]
pub struct Resolver<'a> {
    lookup: Lookup<'a>,
    typescript: &'a TypeScript,
    packages: &'a BTreeMap<String, String>,
}

/// Looks up the specifiers of a folder's scripts, or of its style sheets.
#[derive(Debug)]
pub struct Importer<'r> {
    resolver: &'r Resolver<'r>,
    folder: &'r str,
    is_style: bool,
    scopes: Vec<&'r Scope>,
}

/// The modules of Node that are there without `node:` (<https://nodejs.org/api/module.html#modulebuiltinmodules>).
const BUILTINS: [&str; 40] = [
    "assert",
    "async_hooks",
    "buffer",
    "child_process",
    "cluster",
    "console",
    "constants",
    "crypto",
    "dgram",
    "diagnostics_channel",
    "dns",
    "domain",
    "events",
    "fs",
    "http",
    "http2",
    "https",
    "inspector",
    "module",
    "net",
    "os",
    "path",
    "perf_hooks",
    "process",
    "punycode",
    "querystring",
    "readline",
    "repl",
    "stream",
    "string_decoder",
    "sys",
    "timers",
    "tls",
    "trace_events",
    "tty",
    "url",
    "util",
    "v8",
    "vm",
    "zlib",
];

impl<'a> Resolver<'a> {
    /// A resolver for a commit. `packages` are the folders of the workspace's packages, by name.
    pub fn new(files: &'a Files<'a>, typescript: &'a TypeScript, packages: &'a BTreeMap<String, String>) -> Self {
        Self { lookup: Lookup::new(files), typescript, packages }
    }

    /// Where a file's specifier leads.
    pub fn resolve(&self, from: &str, specifier: &str) -> Resolution {
        self.importer(from).resolve(specifier)
    }

    /// The same for many specifiers of one file: what all of them need is looked up once. For many files there is
    /// [`super::resolve_all`].
    pub fn importer<'r>(&'r self, from: &'r str) -> Importer<'r> {
        Importer::new(self, from)
    }
}

impl<'r> Importer<'r> {
    pub(super) fn new(resolver: &'r Resolver<'r>, from: &'r str) -> Self {
        let folder = path::folder(from);
        Self { resolver, folder, is_style: is_style(from), scopes: resolver.typescript.scopes_at(folder) }
    }

    /// Whether a file's specifiers lead where those of the same folder's other files do.
    pub(super) fn is_for(&self, from: &str) -> bool {
        path::folder(from) == self.folder && is_style(from) == self.is_style
    }

    /// Where a specifier leads.
    pub fn resolve(&self, specifier: &str) -> Resolution {
        let specifier = plain(specifier);
        let is_relative =
            specifier == "." || specifier == ".." || specifier.starts_with("./") || specifier.starts_with("../");
        if is_relative {
            return self.relative(specifier).into();
        }
        if self.is_style
            && let Some(file) = self.beside(specifier)
        {
            return Resolved::File(file).into();
        }
        if specifier.starts_with('/') {
            return Resolved::Nowhere.into();
        }
        let mut expected = None;
        for scope in &self.scopes {
            if let Some(found) = self.through_paths(scope, specifier, &mut expected) {
                return found;
            }
            let based = scope.base_url.as_deref().and_then(|base| resolve(base, specifier));
            if let Some(file) = based.and_then(|path| self.resolver.lookup.file(&path)) {
                return Resolved::File(file).into();
            }
        }
        match self.package(specifier) {
            to @ (Resolved::Workspace { .. } | Resolved::File(_) | Resolved::Builtin) => to.into(),
            to => expected.unwrap_or(to.into()),
        }
    }

    fn relative(&self, specifier: &str) -> Resolved {
        let Some(path) = resolve(self.folder, specifier) else { return Resolved::Nowhere };
        let is_folder = specifier.ends_with('/');
        self.at(&path, is_folder).unwrap_or_else(|| {
            let elsewhere = self.scopes.iter().flat_map(|scope| rooted_elsewhere(scope, &path));
            let found = elsewhere.filter_map(|path| self.at(&path, is_folder)).next();
            found.unwrap_or_else(|| match self.resolver.lookup.nearest(&path) {
                // Out of its project, into what is not there: nobody knows whose it is.
                nearest if nearest.is_empty() && !self.folder.is_empty() => Resolved::Nowhere,
                nearest => Resolved::Folder(nearest),
            })
        })
    }

    /// What is at a path, if anything is.
    fn at(&self, path: &str, is_folder: bool) -> Option<Resolved> {
        let lookup = &self.resolver.lookup;
        let path = lookup.behind_links(path);
        let path = path.as_ref();
        let folder = || lookup.has_folder(path).then(|| Resolved::Folder(path.to_owned()));
        if is_folder && let Some(folder) = folder() {
            return Some(folder);
        }
        let file = lookup.file(path).or_else(|| self.is_style.then(|| lookup.partial(path)).flatten());
        file.map(Resolved::File).or_else(folder)
    }

    /// Style sheets look beside themselves first, even without `./`.
    fn beside(&self, specifier: &str) -> Option<String> {
        let path = resolve(self.folder, specifier)?;
        let extended = || self.resolver.lookup.extended(&path).or_else(|| self.resolver.lookup.partial(&path));
        self.resolver.lookup.tracked(&path).or_else(extended)
    }

    /// Where an entry of `paths` leads. One whose targets are not there (a build makes them) is what is `expected`.
    fn through_paths(&self, scope: &Scope, specifier: &str, expected: &mut Option<Resolution>) -> Option<Resolution> {
        let Match { entry, targets, star } = scope.paths().find(specifier)?;
        let through = || Some((scope.paths().file.clone(), entry.to_owned()));
        let targets = || {
            let places = targets
                .iter()
                .filter_map(|target| absolute(&scope.paths_base, &target.replacen('*', star, 1), &scope.folder));
            places.filter(|place| !place.split('/').any(|segment| segment == "node_modules"))
        };
        if let Some(to) = targets().find_map(|path| self.at(&path, specifier.ends_with('/'))) {
            return Some(Resolution { to, through: through() });
        }
        let is_any = entry.starts_with('*');
        let folder = targets().map(|path| self.resolver.lookup.nearest(&path)).find(|folder| !folder.is_empty());
        if let Some(folder) = folder.filter(|_| !is_any && expected.is_none()) {
            *expected = Some(Resolution { to: Resolved::Folder(folder), through: through() });
        }
        None
    }

    fn package(&self, specifier: &str) -> Resolved {
        if specifier.starts_with('#') {
            return self.own(specifier);
        }
        let specifier = match specifier.split_once(':') {
            Some(("npm", package)) => package,
            Some((scheme, _)) if !scheme.contains('/') => return Resolved::Builtin,
            _ => specifier,
        };
        let Some((package, subpath)) = package_of(specifier) else { return Resolved::Nowhere };
        if let Some(folder) = self.resolver.packages.get(package) {
            let file = self.in_package(folder, subpath);
            return Resolved::Workspace { package: package.to_owned(), folder: folder.clone(), file };
        }
        let is_builtin = BUILTINS.binary_search(&package).is_ok() && !specifier.ends_with('/');
        if is_builtin { Resolved::Builtin } else { Resolved::External(package.to_owned()) }
    }

    fn in_package(&self, folder: &str, subpath: &str) -> Option<String> {
        let lookup = &self.resolver.lookup;
        let modules = lookup.manifest(folder).map(|manifest| manifest.modules(subpath)).unwrap_or_default();
        let module = modules.iter().filter_map(|module| resolve(folder, module)).find_map(|module| {
            lookup.tracked(&module).or_else(|| lookup.substitute(&module)).or_else(|| lookup.extended(&module))
        });
        module
            .or_else(|| lookup.file(&resolve(folder, subpath)?))
            .or_else(|| self.is_style.then(|| lookup.partial(&resolve(folder, subpath)?)).flatten())
    }

    /// What a package's own `imports` stand for (<https://nodejs.org/api/packages.html#subpath-imports>).
    fn own(&self, specifier: &str) -> Resolved {
        let mut folder = self.folder;
        let manifest = loop {
            match self.resolver.lookup.manifest(folder) {
                Some(manifest) => break manifest,
                None if folder.is_empty() => return Resolved::Nowhere,
                None => folder = path::folder(folder),
            }
        };
        let targets = manifest.own(specifier);
        let (own, others): (Vec<_>, Vec<_>) = targets.iter().partition(|target| target.starts_with('.'));
        let places = || own.iter().filter_map(|target| resolve(folder, target));
        if let Some(to) = places().find_map(|place| self.at(&place, false)) {
            return to;
        }
        let other = others.iter().find(|target| !target.starts_with('#')).map(|target| self.package(target));
        other
            .or_else(|| places().next().map(|place| Resolved::Folder(self.resolver.lookup.nearest(&place))))
            .unwrap_or(Resolved::Nowhere)
    }
}

fn is_style(path: &str) -> bool {
    [".css", ".scss", ".sass", ".less"].iter().any(|extension| path.ends_with(extension))
}

/// The places of a path under the other `rootDirs` (<https://www.typescriptlang.org/tsconfig/#rootDirs>).
fn rooted_elsewhere(scope: &Scope, path: &str) -> Vec<String> {
    let below = |root: &str| match root {
        "" => Some(path),
        root => path.strip_prefix(root)?.strip_prefix('/'),
    };
    let roots = || scope.root_dirs.iter();
    let inner = roots().filter_map(|root| below(root)).min_by_key(|rest| rest.len());
    inner.map(|rest| roots().map(|root| path::join(root, rest)).collect()).unwrap_or_default()
}

/// A specifier without what bundlers read from it: webpack's loaders, Vite's `?raw`, the `#part` of a URL.
fn plain(specifier: &str) -> &str {
    let specifier = specifier.rsplit('!').next().unwrap_or(specifier);
    let end = specifier.find(['?', '#']).filter(|end| *end > 0).unwrap_or(specifier.len());
    &specifier[..end]
}

impl From<Resolved> for Resolution {
    fn from(to: Resolved) -> Self {
        Self { to, through: None }
    }
}

#[cfg(test)]
mod tests;
