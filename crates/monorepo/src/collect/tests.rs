//! What images are made of, with small workspaces that are made up.

use super::*;
use crate::compare::compare;
use crate::files::tests::Made;
use crate::snapshot::Cache;

/// A workspace of npm: `auth` uses `db`, nobody uses `ui`.
const FILES: [(&str, &str); 13] = [
    ("package.json", r#"{ "workspaces": ["apps/*", "libs/*"], "scripts": { "bundle": "x", "lint": "y" } }"#),
    ("package-lock.json", r#"{ "lockfileVersion": 3, "packages": { "": {} } }"#),
    ("apps/auth/package.json", r#"{ "name": "auth", "dependencies": { "db": "*" } }"#),
    ("apps/auth/src/main.ts", "import 'db';"),
    ("apps/auth/README.md", "1"),
    ("apps/auth/nginx.conf", "1"),
    ("libs/db/package.json", r#"{ "name": "db" }"#),
    ("libs/db/index.ts", "1"),
    ("libs/db/schema.sql", "1"),
    ("libs/ui/package.json", r#"{ "name": "ui" }"#),
    ("libs/ui/index.ts", "1"),
    ("tools/bundle.sh", "1"),
    ("docs/guide.md", "1"),
];

fn auth() -> Service {
    Service {
        key: "auth".into(),
        folder: "apps/auth".into(),
        dockerfile: "apps/auth/Dockerfile".into(),
        repository: "shop/auth".into(),
        ..Service::default()
    }
}

fn made(more: &[(&str, &str)]) -> Made {
    let mut made = Made::new(&FILES);
    more.iter().for_each(|(path, text)| made.put(path, crate::files::Kind::File, text.as_bytes()));
    made
}

/// What differs of the first service, as people read it.
fn differences(services: &[Service], before: &Made, after: &Made) -> Vec<String> {
    let mut cache = Cache::default();
    let old = Snapshot::read(before.files(), "build", &mut cache);
    let new = Snapshot::read(after.files(), "build", &mut cache);
    let (base, head) = (old.collect(services), new.collect(services));
    let beside = new.collect_beside(services, &old, &base);
    let keys =
        |collected: &Collected<'_>| -> Vec<Digest> { collected.inputs.values().map(|inputs| inputs.key).collect() };
    assert_eq!(keys(&beside), keys(&head));
    let key = &services[0].key;
    let differences = compare((&old, &base.inputs[key]), (&new, &head.inputs[key]));
    assert_eq!(differences.is_empty(), base.inputs[key].key == head.inputs[key].key, "{differences:?}");
    differences.iter().map(ToString::to_string).collect()
}

/// Which of some files, changed one at a time, reach `auth` with this Dockerfile.
fn reached(dockerfile: &str, more: &[(&str, &str)], changes: &[(&str, &str)]) -> Vec<String> {
    let before = [&[("apps/auth/Dockerfile", dockerfile)], more].concat();
    let is_reached = |change: &&(&str, &str)| {
        !differences(&[auth()], &made(&before), &made(&[before.clone(), vec![**change]].concat())).is_empty()
    };
    changes.iter().filter(is_reached).map(|(path, _)| (*path).to_owned()).collect()
}

const CHANGES: [(&str, &str); 9] = [
    ("apps/auth/src/main.ts", "import 'db'; 2"),
    ("apps/auth/README.md", "2"),
    ("apps/auth/nginx.conf", "2"),
    ("libs/db/index.ts", "2"),
    ("libs/db/schema.sql", "2"),
    ("libs/ui/index.ts", "2"),
    ("libs/ui/package.json", r#"{ "name": "ui", "version": "2" }"#),
    ("tools/bundle.sh", "2"),
    ("docs/guide.md", "2"),
];

#[test]
fn of_a_whole_context_counts_what_the_graph_reaches_and_nobody_ignores() {
    let all = ["apps/auth/src/main.ts", "apps/auth/nginx.conf", "libs/db/index.ts", "libs/db/schema.sql"];
    let ignore = [(".dockerignore", "**/*.md")];
    assert_eq!(reached("FROM x\nCOPY . .\n", &ignore, &CHANGES), all);
    assert_eq!(reached("FROM x AS build\nCOPY . .\nFROM y\nCOPY --from=build /a /a\n", &ignore, &CHANGES), all);
}

#[test]
fn what_git_does_not_have_was_built_before_from_all_that_is_reached() {
    let dockerfile = "FROM nginx\nCOPY apps/auth/nginx.conf /etc/nginx/\nCOPY dist/apps/auth /www\n";
    let ignore = [(".dockerignore", "**\n!dist\n!apps/auth/nginx.conf")];
    let all = [
        "apps/auth/src/main.ts",
        "apps/auth/README.md",
        "apps/auth/nginx.conf",
        "libs/db/index.ts",
        "libs/db/schema.sql",
    ];
    assert_eq!(reached(dockerfile, &ignore, &CHANGES), all);
}

#[test]
fn of_what_is_copied_by_name_nothing_else_counts() {
    let dockerfile = "FROM x\nCOPY apps/auth/src apps/auth/src\nCOPY libs/db/index.ts libs/db/\nCOPY docs/guide.md /\n";
    assert_eq!(reached(dockerfile, &[], &CHANGES), ["apps/auth/src/main.ts", "libs/db/index.ts", "docs/guide.md"]);
    // What is copied of no project that is reached counts all the same.
    let dockerfile = "FROM x\nCOPY apps/auth/src /src\nCOPY libs/ui /ui\n";
    let more =
        ["apps/auth/src/main.ts", "libs/db/index.ts", "libs/db/schema.sql", "libs/ui/index.ts", "libs/ui/package.json"];
    assert_eq!(reached(dockerfile, &[], &CHANGES), more);
}

#[test]
fn manifests_that_only_an_install_reads_count_by_what_is_installed() {
    let dockerfile = "FROM x AS build\nCOPY package.json package-lock.json ./\nCOPY libs/*/package.json libs/\nRUN npm ci\nCOPY apps/auth apps/auth\nCOPY libs/db libs/db\nFROM y\nCOPY --from=build /out /out\n";
    let changes = [
        ("package.json", r#"{ "workspaces": ["apps/*", "libs/*"], "scripts": { "bundle": "x", "lint": "z" } }"#),
        ("package-lock.json", "{ \"lockfileVersion\": 3,\n\"packages\": { \"\": {} } }\n"),
        ("libs/ui/package.json", r#"{ "name": "ui", "version": "2" }"#),
        ("libs/db/package.json", r#"{ "name": "db", "version": "2" }"#),
    ];
    assert_eq!(reached(dockerfile, &[], &changes), ["libs/db/package.json"]);
}

#[test]
fn a_command_s_scripts_count() {
    let dockerfile = "FROM x\nCOPY . .\nRUN ./tools/bundle.sh && npm run bundle\n";
    let root = |bundle: &str, lint: &str| {
        format!(r#"{{ "workspaces": ["apps/*", "libs/*"], "scripts": {{ "bundle": "{bundle}", "lint": "{lint}" }} }}"#)
    };
    assert_eq!(reached(dockerfile, &[], &[("tools/bundle.sh", "2")]), ["tools/bundle.sh"]);
    assert_eq!(reached(dockerfile, &[], &[("package.json", &root("2", "y"))]), ["package.json"]);
    assert!(reached(dockerfile, &[], &[("package.json", &root("x", "2"))]).is_empty());
}

#[test]
fn an_image_that_another_is_made_from_reaches_it() {
    let base = Service {
        key: "base".into(),
        folder: "base".into(),
        dockerfile: "base/Dockerfile".into(),
        repository: "shop/base".into(),
        ..Service::default()
    };
    let files = |text: &str| {
        made(&[
            ("apps/auth/Dockerfile", "ARG REGISTRY\nFROM ${REGISTRY}/shop/base:1\nCOPY apps/auth/src /src\n"),
            ("base/Dockerfile", "FROM x\nCOPY base/motd /etc/\n"),
            ("base/motd", text),
        ])
    };
    let services = [auth(), base];
    assert_eq!(differences(&services, &files("1"), &files("2")), ["the image of base"]);
    let (made, mut cache) = (files("1"), Cache::default());
    let snapshot = Snapshot::read(made.files(), "build", &mut cache);
    let collected = snapshot.collect(&services);
    assert_eq!(collected.made_from["auth"], BTreeSet::from(["base".to_owned()]));
}

#[test]
fn reasons_tell_the_way() {
    let dockerfile = ("apps/auth/Dockerfile", "FROM x\nCOPY . .\n");
    let before = made(&[dockerfile]);
    let told = |more: &[(&str, &str)]| differences(&[auth()], &before, &made(&[&[dockerfile], more].concat()));
    assert_eq!(told(&[("libs/db/index.ts", "2"), ("libs/db/new.ts", "")]), ["db ← libs/db/index.ts and 1 more"]);
    assert_eq!(told(&[("apps/auth/src/new.ts", "")]), ["apps/auth/src/new.ts (new)"]);
    let imports = [("apps/auth/src/main.ts", "import 'db'; import '../../../libs/ui';")];
    assert_eq!(told(&imports), ["apps/auth/src/main.ts", "ui ← a dependency that it did not have"]);
}

#[test]
fn an_image_is_known_by_its_repository() {
    let registry = "1.dkr.ecr.eu-west-1.amazonaws.com/shop/base:1@sha256:2";
    for image in
        ["shop/base", "shop/base:1", "shop/base@sha256:12", registry, "*/shop/base:*", "localhost:5000/shop/base"]
    {
        assert!(is_of(untagged(image), "shop/base"), "{image}");
    }
    for image in ["base", "other/shop/base", "other-shop/base", "shop/base/x", "localhost:5000/base", "shop/base-2:1"] {
        assert!(!is_of(untagged(image), "shop/base"), "{image}");
    }
}

#[test]
fn a_service_comes_after_those_that_it_is_made_from() {
    let services = ["a", "b", "c", "d"].map(|key| Service { key: key.to_owned(), ..Service::default() });
    let made_from = |edges: &[(&str, &str)]| {
        let mut made_from: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (key, before) in edges {
            made_from.entry((*key).to_owned()).or_default().insert((*before).to_owned());
        }
        made_from
    };
    assert_eq!(order(&services, &made_from(&[])), ["a", "b", "c", "d"]);
    assert_eq!(order(&services, &made_from(&[("a", "c"), ("c", "d")])), ["b", "d", "c", "a"]);
    assert_eq!(order(&services, &made_from(&[("b", "c"), ("c", "b")])), ["a", "d", "b", "c"]);
}
