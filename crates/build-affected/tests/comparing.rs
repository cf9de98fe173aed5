//! Which services a change reaches, and what is compared with what.

use insta::assert_snapshot;
use serde_json::Value;
use stage::{Ran, Stage};

use crate::shop::{DELIVERY, DOCKERFILE, LOCK, commit, event, git, repository, run, shop};

/// Commits a change to the shop; the services and projects that it affects.
async fn affected(change: &[(&str, &str)]) -> (String, String) {
    let mut stage = shop();
    commit(&mut stage, change);
    let ran = run(&stage, &[]).await;
    assert_eq!(ran.exit_code, 0, "{}", ran.log);
    let expected = if ran.output("services") == "[]" { ("none", "false") } else { ("affected", "true") };
    assert_eq!((ran.output("result"), ran.output("has-changes")), expected);
    assert!(stage.world.writes().is_empty());
    let projects: Vec<Value> = serde_json::from_str(ran.output("projects")).unwrap();
    let names: Vec<&Value> = projects.iter().map(|project| &project["project"]).collect();
    (ran.output("services").to_owned(), serde_json::to_string(&names).unwrap())
}

#[tokio::test]
async fn a_change_reaches_those_that_are_made_of_it_and_nobody_else() {
    for (path, services, projects) in [
        ("apps/auth/src/main.ts", r#"["auth"]"#, r#"["@shop/auth"]"#),
        ("apps/auth/Dockerfile", r#"["auth"]"#, r#"["@shop/auth"]"#),
        ("apps/api/src/main.ts", r#"["api","site"]"#, r#"["@shop/api"]"#),
        ("proto/api.proto", r#"["api","site"]"#, "[]"),
        ("libs/base/index.ts", r#"["auth","api","site"]"#, r#"["@shop/api","@shop/auth","@shop/base","@shop/core"]"#),
        ("libs/unused/index.ts", "[]", r#"["@shop/unused"]"#),
        ("libs/corexx/index.ts", "[]", "[]"),
        ("site/index.html", r#"["site"]"#, "[]"),
        ("README.md", "[]", "[]"),
    ] {
        assert_eq!(affected(&[(path, "changed\n")]).await, (services.to_owned(), projects.to_owned()), "{path}");
    }
}

#[tokio::test]
async fn of_a_lockfile_counts_what_is_installed_for_a_service() {
    let bumped = LOCK.replace("18.2.0", "18.3.1").replace("sha512-1", "sha512-2");
    assert_eq!(affected(&[("package-lock.json", &bumped)]).await.0, r#"["auth"]"#);
    assert_eq!(affected(&[("package-lock.json", &format!("{LOCK}\n"))]).await.0, "[]");
    // What cannot be read counts as a whole.
    assert_eq!(affected(&[("package-lock.json", "{")]).await.0, r#"["auth","api","site"]"#);
}

#[tokio::test]
async fn a_table_of_the_delivery_file_is_its_service_s_alone() {
    let delivery = DELIVERY
        .replace("paths = [\"proto\"]", "paths = [\"proto\", \"schema\"]")
        .replace("cluster = \"shop\"", "cluster = \"store\"");
    assert_eq!(affected(&[("delivery.toml", &delivery)]).await.0, r#"["api","site"]"#);
    let more = format!("{DELIVERY}[services.new]\npath = \"site\"\nrepository = \"shop/new\"\ncontainer = \"app\"\n");
    assert_eq!(affected(&[("delivery.toml", &more)]).await.0, r#"["new"]"#);
}

#[tokio::test]
async fn a_person_reads_why() {
    let mut stage = shop();
    commit(
        &mut stage,
        &[
            ("libs/base/index.ts", "2\n"),
            ("libs/base/b.ts", "2\n"),
            ("apps/auth/src/main.ts", "2\n"),
            ("docs/a.md", "2\n"),
        ],
    );
    let ran = run(&stage, &[("services", "auth, site")]).await;
    assert_snapshot!("why_log", ran.log);
    assert_snapshot!("why_summary", ran.summary);
    assert_snapshot!("why_matrix", ran.output("matrix"));
}

#[tokio::test]
async fn a_service_that_is_gone_is_told_apart() {
    let mut stage = shop();
    let without = DELIVERY.split("[services.site]").next().unwrap();
    std::fs::remove_dir_all(stage.workspace().join("site")).unwrap();
    commit(&mut stage, &[("delivery.toml", without)]);
    let ran = run(&stage, &[]).await;
    assert_eq!((ran.output("services"), ran.output("removed"), ran.exit_code), ("[]", r#"["site"]"#, 0), "{}", ran.log);
}

#[tokio::test]
async fn without_a_delivery_file_projects_with_a_dockerfile_are_services() {
    let mut stage = repository(&[
        ("pnpm-workspace.yaml", "packages:\n  - apps/*\n  - libs/**\n  - '!**/fixtures/**'\n"),
        ("package.json", r#"{ "name": "shop" }"#),
        ("apps/auth/package.json", r#"{ "name": "@shop/auth", "dependencies": { "@shop/core": "workspace:*" } }"#),
        ("apps/auth/Dockerfile", DOCKERFILE),
        ("apps/api/package.json", r#"{ "name": "@shop/api" }"#),
        ("apps/api/Dockerfile", DOCKERFILE),
        ("libs/deep/core/package.json", r#"{ "name": "@shop/core" }"#),
        ("libs/fixtures/core/package.json", r#"{ "name": "@shop/core" }"#),
    ]);
    commit(&mut stage, &[("libs/deep/core/index.ts", "2\n")]);
    let ran = run(&stage, &[]).await;
    assert_eq!((ran.output("services"), ran.exit_code), (r#"["auth"]"#, 0), "{}", ran.log);
}

#[tokio::test]
async fn nx_projects_depend_on_what_they_say_and_on_what_they_import() {
    let files = [
        ("nx.json", "{}"),
        ("package.json", r#"{ "name": "shop" }"#),
        (
            "apps/auth/project.json",
            "{ // the door\n \"name\": \"auth\", \"projectType\": \"application\", \"implicitDependencies\": [\"!tools\"] }",
        ),
        ("apps/auth/Dockerfile", DOCKERFILE),
        (
            "apps/api/project.json",
            r#"{ "name": "api", "projectType": "application", "implicitDependencies": ["auth"] }"#,
        ),
        ("apps/api/Dockerfile", DOCKERFILE),
        ("apps/auth/src/main.ts", "import '../../../libs/core/index';\nimport '../../../libs/tools/index';\n"),
        ("libs/core/project.json", r#"{ "name": "core", "projectType": "library" }"#),
        ("libs/core/index.ts", "1\n"),
        ("libs/tools/project.json", r#"{ "projectType": "library" }"#),
        ("libs/tools/index.ts", "1\n"),
    ];
    for (path, services) in [
        ("libs/core/index.ts", r#"["api","auth"]"#),
        ("libs/tools/index.ts", "[]"),
        ("apps/auth/src/other.ts", r#"["api","auth"]"#),
        ("apps/api/src/main.ts", r#"["api"]"#),
        ("nx.json", "[]"),
    ] {
        let mut stage = repository(&files);
        commit(&mut stage, &[(path, "{ }\n")]);
        let ran = run(&stage, &[]).await;
        assert_eq!((ran.output("services"), ran.exit_code), (services, 0), "{path}: {}", ran.log);
    }
}

/// What was compared with, how it was found, and who is affected.
fn compared(ran: &Ran) -> (String, String, String) {
    assert_eq!(ran.exit_code, 0, "{}", ran.log);
    (ran.output("base").to_owned(), ran.output("history").to_owned(), ran.output("services").to_owned())
}

/// A shop whose branch `topic` changed `auth` while `main` went on with `api`; `topic` is checked out.
fn diverged() -> (Stage, String, String) {
    let mut stage = shop();
    let fork = git(&stage, &["rev-parse", "HEAD"]);
    let main = commit(&mut stage, &[("apps/api/src/main.ts", "2\n")]);
    git(&stage, &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    git(&stage, &["checkout", "--quiet", "-b", "topic", &fork]);
    commit(&mut stage, &[("apps/auth/src/main.ts", "2\n")]);
    (stage, fork, main)
}

#[tokio::test]
async fn a_pull_request_is_compared_with_the_point_where_its_branch_left() {
    let (mut stage, fork, main) = diverged();
    let head = git(&stage, &["rev-parse", "HEAD"]);
    let payload = format!(
        r#"{{ "pull_request": {{ "number": 1, "base": {{ "sha": "{main}" }}, "head": {{ "sha": "{head}" }} }} }}"#
    );
    event(&mut stage, "pull_request", &payload);
    // What actions/checkout takes on a pull request, and what GITHUB_SHA is: a merge that is in nobody's history.
    git(&stage, &["merge", "--quiet", "--no-ff", "--message", "merge", "origin/main"]);
    stage.set("GITHUB_SHA", &git(&stage, &["rev-parse", "HEAD"]));
    let ran = run(&stage, &[("comment", "never")]).await;
    assert_eq!(compared(&ran), (fork, "merge-base".to_owned(), r#"["auth"]"#.to_owned()));
    assert_eq!(ran.output("head"), head);
}

#[tokio::test]
async fn a_base_that_is_named_is_compared_from_where_the_two_parted() {
    let (stage, fork, main) = diverged();
    let by_name = run(&stage, &[("base", "main")]).await;
    assert_eq!(compared(&by_name), (fork, "input".to_owned(), r#"["auth"]"#.to_owned()));
    let back = run(&stage, &[("base", "topic"), ("commit", &main)]).await;
    assert_eq!(compared(&back).2, r#"["api","site"]"#);
}

#[tokio::test]
async fn what_cannot_be_known_is_affected() {
    // The first commit of all.
    let ran = run(&shop(), &[]).await;
    assert_eq!(compared(&ran), (String::new(), "first-run".to_owned(), r#"["auth","api","site"]"#.to_owned()));
    assert_snapshot!("unknown_summary", ran.summary);
}

#[tokio::test]
async fn none_asked_for_is_none_affected() {
    let mut stage = shop();
    commit(&mut stage, &[("apps/auth/src/main.ts", "2\n")]);
    let ran = run(&stage, &[("services", "[]")]).await;
    assert_eq!(
        (ran.output("result"), ran.output("matrix"), ran.exit_code),
        ("none", r#"{"include":[]}"#, 0),
        "{}",
        ran.log
    );
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_is_told_and_loses_nobody() {
    let mut stage = shop();
    commit(&mut stage, &[("libs/core/package.json", "{ \"name\": \"@shop/core\", }")]);
    let ran = run(&stage, &[]).await;
    assert_eq!((ran.output("services"), ran.exit_code), (r#"["auth","api","site"]"#, 0), "{}", ran.log);
    assert!(ran.log.contains("note: libs/core/package.json:1: not JSON: trailing comma"), "{}", ran.log);
    // Still broken: nobody knows what it depends on, so any library reaches those that depend on it.
    commit(&mut stage, &[("libs/core/index.ts", "2\n")]);
    assert_eq!(run(&stage, &[]).await.output("services"), r#"["auth","api","site"]"#);
    commit(&mut stage, &[("libs/unused/index.ts", "2\n")]);
    assert_eq!(run(&stage, &[]).await.output("services"), r#"["auth","api","site"]"#);
}

#[tokio::test]
async fn two_projects_of_one_name_are_told_and_both_count() {
    let mut stage = shop();
    commit(&mut stage, &[("libs/unused/package.json", r#"{ "name": "@shop/base" }"#)]);
    let ran = run(&stage, &[]).await;
    assert_eq!(ran.exit_code, 0, "{}", ran.log);
    assert!(ran.log.contains("@shop/base") && ran.log.contains("libs/unused"), "{}", ran.log);
}

#[tokio::test]
async fn a_service_asks_why_it_is_not_affected() {
    let mut stage = shop();
    commit(
        &mut stage,
        &[
            ("libs/unused/index.ts", "2\n"),
            ("docs/a.md", "2\n"),
            ("apps/api/src/main.ts", "2\n"),
            ("package-lock.json", &format!("{LOCK}\n")),
        ],
    );
    let ran = run(&stage, &[("why", "auth")]).await;
    assert_eq!((ran.output("services"), ran.exit_code), (r#"["api","site"]"#, 0), "{}", ran.log);
    assert_snapshot!("why_not_log", ran.log);
    assert_snapshot!("why_not_summary", ran.summary);
}

#[tokio::test]
async fn the_affected_projects_are_checked_by_the_targets_that_they_have() {
    let files = [
        ("package.json", r#"{ "name": "shop", "workspaces": ["apps/*", "libs/*"] }"#),
        (
            "apps/auth/package.json",
            r#"{ "name": "auth", "dependencies": { "core": "*" }, "scripts": { "test": "x", "build": "x", "start": "x" } }"#,
        ),
        ("apps/auth/Dockerfile", DOCKERFILE),
        ("libs/core/package.json", r#"{ "name": "core", "scripts": { "test": "x", "lint": "x" } }"#),
        ("libs/other/package.json", r#"{ "name": "other", "scripts": { "test": "x", "typecheck": "x" } }"#),
    ];
    let checks = async |change: &[(&str, &str)], inputs: &[(&str, &str)]| {
        let mut stage = repository(&files);
        commit(&mut stage, change);
        run(&stage, inputs).await.output("checks").to_owned()
    };
    assert_eq!(
        checks(&[("libs/core/index.ts", "1\n")], &[]).await,
        r#"[{"target":"lint","projects":"core","filters":"--filter=core"},{"target":"test","projects":"auth,core","filters":"--filter=auth --filter=core"},{"target":"build","projects":"auth","filters":"--filter=auth"}]"#
    );
    assert_eq!(
        checks(&[("libs/core/index.ts", "1\n")], &[("checks", "start, e2e")]).await,
        r#"[{"target":"start","projects":"auth","filters":"--filter=auth"}]"#
    );
    assert_eq!(checks(&[("README.md", "1\n")], &[]).await, "[]");
}
