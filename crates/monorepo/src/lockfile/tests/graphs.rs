//! Graphs that are made up: what a real workspace shows but seldom.

use super::*;

/// A pnpm lockfile of `express → body-parser → qs`, with two versions of `qs` that are both used.
fn express(qs: &str) -> String {
    let entry = |id: &str| format!("  {id}:\n    resolution: {{integrity: sha512-{id}}}\n");
    let packages = ["express@4.0.0", "body-parser@1.0.0", "qs@6.11.0", "qs@6.13.0"].map(entry).concat();
    format!(
        "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      express: {{specifier: ^4, version: 4.0.0}}\n      \
         qs: {{specifier: ^6, version: 6.13.0}}\npackages:\n{packages}snapshots:\n  express@4.0.0:\n    dependencies: \
         {{body-parser: 1.0.0, qs: 6.11.0}}\n  body-parser@1.0.0:\n    dependencies: {{qs: {qs}}}\n  qs@6.11.0: {{}}\n  qs@6.13.0: {{}}\n"
    )
}

fn all_roots(lock: &Lock) -> Vec<PackageId> {
    lock.importers().iter().flat_map(|member| &member.dependencies).flat_map(|(_, to)| to.packages().to_vec()).collect()
}

fn told(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (lock(("pnpm-lock.yaml", old)), lock(("pnpm-lock.yaml", new)));
    let told = changes((&old, &all_roots(&old)), (&new, &all_roots(&new)));
    told.iter().map(Change::to_string).collect()
}

#[test]
fn an_edge_that_leads_elsewhere_counts_with_the_same_inventory() {
    let (old, new) = (express("6.11.0"), express("6.13.0"));
    assert_eq!(told(&old, &new), ["express → body-parser: now with qs 6.13.0 instead of 6.11.0"]);
    assert_eq!(told(&old, &old), [""; 0]);
    let direct = old.replace("version: 6.13.0", "version: 6.11.0").replace("{qs: 6.11.0}", "{qs: 6.13.0}");
    assert_eq!(told(&new, &direct), ["qs: now 6.11.0 instead of 6.13.0"], "of the importer itself");
}

#[test]
fn what_comes_and_goes_is_told_with_the_way_to_it() {
    let old = express("6.11.0");
    let without = old.replace("{body-parser: 1.0.0, qs: 6.11.0}", "{qs: 6.11.0}");
    assert_eq!(told(&old, &without), ["body-parser 1.0.0 (gone)"]);
    assert_eq!(told(&without, &old), ["body-parser 1.0.0 (new)"]);
    let (lock_old, lock_new) = (lock(("pnpm-lock.yaml", &without)), lock(("pnpm-lock.yaml", &old)));
    let change = changes((&lock_old, &all_roots(&lock_old)), (&lock_new, &all_roots(&lock_new))).remove(0);
    assert_eq!(change.way, ["express", "body-parser"]);
    assert_eq!((change.from, change.to), (vec![], vec!["1.0.0".to_owned()]));
}

#[test]
fn the_last_document_is_the_lockfile() {
    let environment = "---\nlockfileVersion: '9.0'\nimporters:\n  .:\n    packageManagerDependencies:\n      pnpm: {specifier: 12.0.0, version: 12.0.0}\n\n---\n";
    let (path, text) = PNPM_CATALOG;
    assert_eq!(compare(PNPM_CATALOG, (path, &format!("{environment}{text}"))).0, [""; 0]);
}

#[test]
fn cargo_knows_members_by_name() {
    let lock = lock(CARGO);
    let names: Vec<_> = lock.importers().iter().filter_map(|member| member.name.as_deref()).collect();
    assert_eq!(names, ["one", "two"]);
    let version = |member, name| match lock.resolve(Importer { folder: "crates/x", package: Some(member) }, name, "*") {
        Resolution::Package(id) => lock.package(id).unwrap().version.clone(),
        other => format!("{other:?}"),
    };
    assert_eq!((version("one", "memchr"), version("two", "memchr")), ("1.0.2".to_owned(), "2.8.3".to_owned()));
    assert_eq!(version("one", "two"), "Workspace(\"two\")");
    assert_eq!(version("two", "itoa"), "Missing");
    let of = |lock: &Lock, member: usize| -> Vec<Digest> {
        let dependencies = lock.importers()[member].dependencies.iter();
        dependencies.flat_map(|(_, to)| to.packages()).map(|id| lock.package(*id).unwrap().subtree).collect()
    };
    let bumped = CARGO.1.replace("version = \"0.2.191\"", "version = \"0.2.192\"");
    let bumped = read(CARGO.0, &bumped).unwrap();
    assert_ne!(of(&lock, 0), of(&bumped, 0));
    assert_eq!(of(&lock, 1), of(&bumped, 1));
    let windows = read(CARGO.0, &CARGO.1.replace('\n', "\r\n")).unwrap();
    assert_eq!(of(&lock, 0), of(&windows, 0));
}

#[test]
fn a_member_below_a_package_is_told() {
    let text = "version = 4\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\ndependencies = [\"outer\"]\n\
        [[package]]\nname = \"outer\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\ndependencies = [\"patched\"]\n\
        [[package]]\nname = \"patched\"\nversion = \"1.0.0\"\n";
    assert_eq!(lock(("Cargo.lock", text)).packages[0].workspaces, ["patched"]);
}

#[test]
fn npm_looks_up_the_folders() {
    let text = r#"{ "lockfileVersion": 3, "packages": {
        "": { "dependencies": { "a": "1", "b": "2" } },
        "node_modules/a": { "version": "1.0.0", "dependencies": { "b": "1", "gone": "1" }, "bundleDependencies": ["b"] },
        "node_modules/a/node_modules/b": { "version": "1.0.0", "inBundle": true, "dependencies": { "c": "1" } },
        "node_modules/b": { "version": "2.0.0" },
        "node_modules/c": { "version": "1.0.0", "peerDependencies": { "b": "*" } }
    } }"#;
    let lock = lock(("sub/package-lock.json", text));
    let edges = |name: &str, version: &str| -> Vec<String> {
        let package = lock.packages.iter().find(|package| package.name == name && package.version == version).unwrap();
        let below =
            package.dependencies.iter().map(|(name, id)| format!("{name} {}", lock.package(*id).unwrap().version));
        below.collect()
    };
    assert_eq!(edges("a", "1.0.0"), ["b 1.0.0"]);
    assert_eq!(edges("b", "1.0.0"), ["c 1.0.0"]);
    assert_eq!(edges("c", "1.0.0"), ["b 2.0.0"]);
}

#[test]
fn yarn_takes_patches_and_overrides() {
    let text = "__metadata:\n  version: 8\n\n\"a@npm:1\":\n  version: 1.0.0\n  resolution: \"a@npm:1.0.0\"\n  dependencies:\n    b: \"npm:^1\"\n    c: \"npm:^3\"\n\n\
        \"b@npm:^1\":\n  version: 1.0.0\n  resolution: \"b@npm:1.0.0\"\n\n\
        \"b@patch:b@npm%3A%5E1#~/.yarn/patches/b.patch\":\n  version: 1.0.0\n  resolution: \"b@patch:b@npm%3A1.0.0#~/.yarn/patches/b.patch::version=1.0.0&hash=abc\"\n\n\
        \"c@npm:1\":\n  version: 1.0.0\n  resolution: \"c@npm:1.0.0\"\n\n\"c@npm:2\":\n  version: 2.0.0\n  resolution: \"c@npm:2.0.0\"\n";
    let lock = lock(("yarn.lock", text));
    let below: Vec<_> = lock.packages[0].dependencies.iter().map(|(_, PackageId(id))| *id).collect();
    assert_eq!(below, [2, 3, 4], "b with its patch, and either c, as no range is that of a");
    let importer = Importer { folder: "", package: None };
    assert_eq!(lock.resolve(importer, "b", "^1"), Resolution::Package(PackageId(2)));
    assert_eq!(lock.resolve(importer, "c", "^9"), Resolution::OneOf(vec![PackageId(3), PackageId(4)]));
}

/// A Cargo lockfile of packages that depend on one another.
fn chain(length: usize, is_circle: bool, last: &str) -> String {
    let package = |place: usize| {
        let next = if place + 1 < length { place + 1 } else { 0 };
        let below = if next > 0 || is_circle { format!("\"p{next}\"") } else { String::new() };
        let version = if place + 1 < length { "1.0.0" } else { last };
        format!("[[package]]\nname = \"p{place}\"\nversion = \"{version}\"\nsource = \"x\"\ndependencies = [{below}]\n")
    };
    format!("version = 4\n{}", (0..length).map(package).collect::<String>())
}

#[test]
fn a_long_chain_is_one_subtree() {
    let read = |last| lock(("Cargo.lock", &chain(10_000, false, last)));
    let (one, other) = (read("1.0.0"), read("2.0.0"));
    assert_ne!(one.packages[0].subtree, other.packages[0].subtree);
    assert_eq!(one.reach([PackageId(0)]).len(), 10_000);
    let told = changes((&one, &[PackageId(0)]), (&other, &[PackageId(0)]));
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].to_string().as_str(), told[0].way.len()), ("p9999 1.0.0 → 2.0.0", 10_000));
}

#[test]
fn a_circle_is_one_thing() {
    let read = |last| lock(("Cargo.lock", &chain(3, true, last)));
    let (one, other) = (read("1.0.0"), read("2.0.0"));
    for place in 0..3 {
        assert_ne!(one.packages[place].subtree, other.packages[place].subtree, "{place}");
        assert_eq!(one.packages[place].subtree, read("1.0.0").packages[place].subtree);
    }
    let text = chain(3, true, "1.0.0");
    let entries: Vec<_> = text.split("[[package]]").skip(1).collect();
    let turned = entries.iter().rev().fold("version = 4\n".to_owned(), |text, entry| text + "[[package]]" + entry);
    let turned = lock(("Cargo.lock", &turned));
    assert_eq!(turned.packages[2].subtree, one.packages[0].subtree, "wherever it stands");
}
