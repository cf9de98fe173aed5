//! The fixtures are what the package managers themselves wrote for one small workspace: two applications with different majors of
//! React (a peer of `use-sync-external-store`), a library that both depend on, an alias, an optional package for macOS, and, where
//! the package manager has them, an override and a patch.

mod broken;
mod graphs;

use std::collections::BTreeMap;

use super::*;

const NPM: (&str, &str) = ("package-lock.json", include_str!("fixtures/package-lock.json"));
const PNPM_5: (&str, &str) = ("pnpm-lock.yaml", include_str!("fixtures/pnpm-5.yaml"));
const PNPM_6: (&str, &str) = ("pnpm-lock.yaml", include_str!("fixtures/pnpm-6.yaml"));
const PNPM_9: (&str, &str) = ("pnpm-lock.yaml", include_str!("fixtures/pnpm-9.yaml"));
const PNPM_CATALOG: (&str, &str) = ("pnpm-lock.yaml", include_str!("fixtures/pnpm-catalog.yaml"));
const CLASSIC: (&str, &str) = ("yarn.lock", include_str!("fixtures/yarn-classic.lock"));
const BERRY: (&str, &str) = ("yarn.lock", include_str!("fixtures/yarn-berry.lock"));
const BUN: (&str, &str) = ("bun.lock", include_str!("fixtures/bun.lock"));
const CARGO: (&str, &str) = ("Cargo.lock", include_str!("fixtures/Cargo.lock"));

const JAVASCRIPT: [(&str, &str); 8] = [NPM, PNPM_5, PNPM_6, PNPM_9, PNPM_CATALOG, CLASSIC, BERRY, BUN];
const ALL: [(&str, &str); 9] = [NPM, PNPM_5, PNPM_6, PNPM_9, PNPM_CATALOG, CLASSIC, BERRY, BUN, CARGO];

/// A member's folder, name, and what it depends on.
type Manifest = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const MANIFESTS: [Manifest; 4] = [
    ("", "shop", &[("is-odd", "3.0.1")]),
    (
        "apps/api",
        "@acme/api",
        &[("once", "^1.4.0"), ("react", "17.0.2"), ("use-sync-external-store", "1.2.0"), ("debug", "~4.3.4")],
    ),
    (
        "apps/web",
        "@acme/web",
        &[
            ("older-ms", "npm:ms@2.0.0"),
            ("react", "18.2.0"),
            ("use-sync-external-store", "1.2.0"),
            ("fsevents", "~2.3.2"),
        ],
    ),
    ("libs/db", "@acme/db", &[("debug", "~4.3.4")]),
];

fn lock((path, text): (&str, &str)) -> Lock {
    read(path, text).unwrap_or_else(|problem| panic!("{problem}"))
}

fn problem((path, text): (&str, &str)) -> String {
    read(path, text).map(|_| ()).unwrap_err().to_string()
}

/// The direct dependencies of a member of the JavaScript workspace.
fn roots(lock: &Lock, folder: &str) -> Vec<PackageId> {
    let (folder, name, dependencies) = MANIFESTS.iter().find(|(known, ..)| *known == folder).unwrap();
    let importer = Importer { folder, package: Some(name) };
    let resolved =
        dependencies.iter().flat_map(|(name, range)| lock.resolve(importer, name, range).packages().to_vec());
    resolved.collect()
}

/// Names and versions of all that a member gets.
fn installed(lock: &Lock, folder: &str) -> Vec<String> {
    let reached = lock.reach(roots(lock, folder)).into_iter().filter_map(|id| lock.package(id));
    let mut names: Vec<_> = reached.map(|package| format!("{} {}", package.name, package.version)).collect();
    names.sort();
    names
}

fn subtrees(lock: &Lock) -> BTreeMap<&'static str, Vec<Digest>> {
    let of = |folder| roots(lock, folder).into_iter().map(|id| lock.package(id).unwrap().subtree).collect();
    MANIFESTS.iter().map(|(folder, ..)| (*folder, of(folder))).collect()
}

/// The members whose subtree differs, and what is told of the first of them.
fn compare(old: (&str, &str), new: (&str, &str)) -> (Vec<&'static str>, Vec<String>) {
    let (old, new) = (lock(old), lock(new));
    let (before, after) = (subtrees(&old), subtrees(&new));
    let members: Vec<_> = before.keys().copied().filter(|folder| before[folder] != after[folder]).collect();
    for folder in before.keys() {
        let told = changes((&old, &roots(&old, folder)), (&new, &roots(&new, folder)));
        assert_eq!(told.is_empty(), !members.contains(folder), "{folder}: {told:?}");
    }
    let first = members.first().copied().unwrap_or_default();
    let told = changes((&old, &roots(&old, first)), (&new, &roots(&new, first)));
    (members, told.iter().map(Change::to_string).collect())
}

#[track_caller]
fn check(old: (&str, &str), replace: &[(&str, &str)], members: &[&str], told: &[&str]) {
    let new = replace.iter().fold(old.1.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "no `{from}` in {}", old.0);
        text.replace(from, to)
    });
    let found = compare(old, (old.0, &new));
    let expected = (members.to_vec(), told.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(found, expected, "{}", &old.1[..40]);
}

#[test]
fn every_format_tells_what_each_member_gets() {
    for file in JAVASCRIPT {
        let lock = lock(file);
        let head = &file.1[..40];
        assert_eq!(
            installed(&lock, "apps/api"),
            [
                "debug 4.3.7",
                "js-tokens 4.0.0",
                "loose-envify 1.4.0",
                "ms 2.1.3",
                "object-assign 4.1.1",
                "once 1.4.0",
                "react 17.0.2",
                "use-sync-external-store 1.2.0",
                "wrappy 1.0.2"
            ],
            "{head}"
        );
        let web = installed(&lock, "apps/web");
        for one in ["fsevents 2.3.3", "js-tokens 4.0.0", "loose-envify 1.4.0", "ms 2.0.0", "react 18.2.0"] {
            assert!(web.contains(&one.to_owned()), "{one} in {web:?} of {head}");
        }
        assert_eq!(installed(&lock, "libs/db"), ["debug 4.3.7", "ms 2.1.3"], "{head}");
        assert_eq!(installed(&lock, ""), ["is-number 6.0.0", "is-odd 3.0.1"], "{head}");
    }
}

#[test]
fn members_are_known_with_what_they_depend_on() {
    for file in JAVASCRIPT.into_iter().filter(|file| *file != CLASSIC) {
        let lock = lock(file);
        let folders: Vec<_> = lock.importers().iter().filter_map(|member| member.folder.as_deref()).collect();
        let mut sorted = folders.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ["", "apps/api", "apps/web", "libs/db"], "{}", &file.1[..40]);
        let web = lock.importers().iter().find(|member| member.folder.as_deref() == Some("apps/web")).unwrap();
        let mut dependencies: Vec<_> = web.dependencies.clone();
        dependencies.sort_by(|(one, _), (other, _)| one.cmp(other));
        let names: Vec<_> = dependencies.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["@acme/db", "fsevents", "older-ms", "react", "use-sync-external-store"]);
        assert_eq!(dependencies[0].1, Resolution::Workspace("libs/db".to_owned()));
        let importer = Importer { folder: "apps/web", package: Some("@acme/web") };
        assert_eq!(lock.resolve(importer, "older-ms", "npm:ms@2.0.0"), dependencies[2].1);
        assert_eq!(lock.resolve(importer, "left-pad", "1"), Resolution::Missing);
    }
}

#[test]
fn peers_tell_two_installations_apart_where_the_file_does() {
    for file in [PNPM_5, PNPM_6, PNPM_9, PNPM_CATALOG] {
        let lock = lock(file);
        let stores: Vec<_> = lock.packages.iter().filter(|package| package.name == "use-sync-external-store").collect();
        assert_eq!(stores.len(), 2);
        assert_ne!(stores[0].digest, stores[1].digest);
        assert_eq!(stores[0].content, stores[1].content);
    }
}

#[test]
fn a_direct_bump_reaches_its_importer_alone() {
    let told = ["once 1.4.0 → 1.4.1"];
    let npm = "    \"node_modules/once\": {\n      \"version\": \"1.4.0\"";
    check(NPM, &[(npm, &npm.replace("1.4.0", "1.4.1"))], &["apps/api"], &told);
    check(PNPM_5, &[("once: 1.4.0", "once: 1.4.1"), ("/once/1.4.0", "/once/1.4.1")], &["apps/api"], &told);
    check(
        PNPM_6,
        &[("version: 1.4.0\n      react", "version: 1.4.1\n      react"), ("/once@1.4.0", "/once@1.4.1")],
        &["apps/api"],
        &told,
    );
    check(
        PNPM_9,
        &[("version: 1.4.0\n      react", "version: 1.4.1\n      react"), ("once@1.4.0", "once@1.4.1")],
        &["apps/api"],
        &told,
    );
    let classic = "once@^1.4.0:\n  version \"1.4.0\"";
    check(CLASSIC, &[(classic, &classic.replace("\"1.4.0\"", "\"1.4.1\""))], &["apps/api"], &told);
    let berry = "  version: 1.4.0\n  resolution: \"once@npm:1.4.0\"";
    check(BERRY, &[(berry, &berry.replace("1.4.0", "1.4.1"))], &["apps/api"], &told);
    check(BUN, &[("\"once@1.4.0\"", "\"once@1.4.1\"")], &["apps/api"], &told);
}

#[test]
fn a_bump_below_reaches_all_that_depend_on_it() {
    let (members, told) = (["apps/api", "libs/db"], ["ms 2.1.3 → 2.1.4"]);
    let npm = "\"node_modules/ms\": {\n      \"version\": \"2.1.3\"";
    check(NPM, &[(npm, &npm.replace("2.1.3", "2.1.4"))], &members, &told);
    check(PNPM_5, &[("ms: 2.1.3", "ms: 2.1.4"), ("/ms/2.1.3", "/ms/2.1.4")], &members, &told);
    check(PNPM_6, &[("ms: 2.1.3", "ms: 2.1.4"), ("/ms@2.1.3", "/ms@2.1.4")], &members, &told);
    check(PNPM_9, &[("ms: 2.1.3", "ms: 2.1.4"), ("ms@2.1.3", "ms@2.1.4")], &members, &told);
    check(CLASSIC, &[("version \"2.1.3\"", "version \"2.1.4\"")], &members, &told);
    check(BERRY, &[("version: 2.1.3", "version: 2.1.4"), ("ms@npm:2.1.3", "ms@npm:2.1.4")], &members, &told);
    check(BUN, &[("\"ms@2.1.3\"", "\"ms@2.1.4\"")], &members, &told);
}

#[test]
fn other_content_of_the_same_version_counts() {
    let integrity = "sha512-lNaJgI+2Q5URQBkccEKHTQOPaXdUxnZZElQTZY0MFUAuaEqe1E";
    for file in [NPM, PNPM_5, PNPM_6, PNPM_9, PNPM_CATALOG, CLASSIC, BUN] {
        check(file, &[(integrity, "sha512-X")], &["apps/api"], &["once 1.4.0: other content"]);
    }
    check(BERRY, &[("10c0/5d48aca287", "10c0/X")], &["apps/api"], &["once 1.4.0: other content"]);
}

#[test]
fn another_patch_is_other_content() {
    let told = ["ms 2.0.0: other content"];
    for file in [PNPM_5, PNPM_6] {
        check(file, &[("fp3s6y4vdebl4sd5rlthjr5dsi", "other")], &["apps/web"], &told);
    }
    for file in [PNPM_9, PNPM_CATALOG] {
        check(file, &[("029ad2ff055402b40283ba797fc44ca034c83a6438093ae70cfb15ad3b12c87b", "0")], &["apps/web"], &told);
    }
    check(BERRY, &[("&hash=df0bf1", "&hash=000000")], &["apps/web"], &["fsevents 2.3.3: other content"]);
    let patched = "  \"patchedDependencies\": { \"ms@2.0.0\": \"patches/ms.patch\" },\n  \"packages\": {";
    check(BUN, &[("  \"packages\": {", patched)], &["apps/web"], &told);
    let patched = lock((BUN.0, &BUN.1.replace("  \"packages\": {", patched)));
    let patches: Vec<_> = patched.packages.iter().filter_map(|package| package.patch.as_deref()).collect();
    assert_eq!(patches, ["patches/ms.patch"]);
}

#[test]
fn an_override_counts_by_what_it_leads_to() {
    check(PNPM_9, &[("overrides:\n  is-number: 6.0.0\n", "")], &[], &[]);
    let (one, other) = (["is-number: 6.0.0", "is-number@6.0.0"], ["is-number: 7.0.0", "is-number@7.0.0"]);
    check(PNPM_9, &[(one[0], other[0]), (one[1], other[1])], &[""], &["is-number 6.0.0 → 7.0.0"]);
}

#[test]
fn what_follows_from_others_or_from_the_registry_counts_nothing() {
    check(NPM, &[("\"dev\": true,", "\"dev\": true, \"deprecated\": \"x\",")], &[], &[]);
    check(
        NPM,
        &[("\"dev\": true,", ""), ("\"optional\": true,", ""), ("\"license\": \"MIT\"", "\"license\": \"ISC\"")],
        &[],
        &[],
    );
    check(PNPM_6, &[("    dev: true\n", ""), ("    dev: false\n", ""), ("    requiresBuild: true\n", "")], &[], &[]);
    check(
        PNPM_9,
        &[("autoInstallPeers: true", "autoInstallPeers: false"), ("specifier: ^1.4.0", "specifier: ~1.4.0")],
        &[],
        &[],
    );
    check(CLASSIC, &[("https://registry.yarnpkg.com/", "https://mirror.example.com/")], &[], &[]);
}

#[test]
fn platforms_count() {
    check(NPM, &[("\"darwin\"", "\"linux\"")], &["apps/web"], &["fsevents 2.3.3: other content"]);
    check(PNPM_9, &[("os: [darwin]", "os: [linux]")], &["apps/web"], &["fsevents 2.3.3: other content"]);
    check(BUN, &[("\"os\": \"darwin\"", "\"os\": \"linux\"")], &["apps/web"], &["fsevents 2.3.3: other content"]);
}

#[test]
fn formatting_counts_nothing() {
    for (path, text) in JAVASCRIPT {
        let ends = text.replace('\n', "\r\n");
        assert_eq!(compare((path, text), (path, &ends)).0, [""; 0], "{path}");
        let more = format!("{text}\n\n");
        assert_eq!(compare((path, text), (path, &more)).0, [""; 0], "{path}");
        assert_eq!(compare((path, text), (path, text.trim_end())).0, [""; 0], "{path}");
    }
    let dense = serde_json::to_string(&sorted(serde_json::from_str(NPM.1).unwrap())).unwrap();
    assert_eq!(compare(NPM, (NPM.0, &dense)).0, [""; 0]);
    assert_eq!(compare(PNPM_9, (PNPM_9.0, &PNPM_9.1.replace("\n\n", "\n# a comment\n"))).0, [""; 0]);
    assert_eq!(compare(BUN, (BUN.0, &format!("// a comment\n{}", BUN.1.replace("  ", "\t")))).0, [""; 0]);
    // The order of entries.
    let (head, entries) = CLASSIC.1.split_once("\n\n\n").unwrap();
    let turned: Vec<_> = entries.trim_end().split("\n\n").collect::<Vec<_>>().into_iter().rev().collect();
    assert_eq!(compare(CLASSIC, (CLASSIC.0, &format!("{head}\n\n\n{}\n", turned.join("\n\n")))).0, [""; 0]);
}

/// An object with its keys in the other order.
fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => map.into_iter().map(|(key, value)| (key, sorted(value))).rev().collect(),
        value => value,
    }
}
