//! A monorepo on the stage: two services, a site, two shared libraries; in a real git repository whose commits are the same
//! on every machine.

use stage::{Ran, Stage};
pub(crate) use stage::{commit, git};

pub(crate) const DELIVERY: &str = r#"name = "shop"

[environments.staging]
branch = "main"
cluster = "shop"

[services.auth]
path = "apps/auth"
repository = "shop/auth"
container = "app"

[services.api]
project = "@shop/api"
repository = "shop/api"
container = "app"
paths = ["proto"]

[services.site]
path = "site"
repository = "shop/site"
container = "app"
depends-on = ["api"]
"#;

pub(crate) const DOCKERFILE: &str =
    "FROM scratch\nCOPY package.json /\nUSER 65532\nHEALTHCHECK CMD [\"/app\", \"health\"]\nENTRYPOINT [\"/app\"]\n";

/// React is installed, for `auth` alone.
pub(crate) const LOCK: &str = r#"{ "lockfileVersion": 3, "packages": {
  "": { "workspaces": ["apps/*", "libs/*"] },
  "apps/auth": { "name": "@shop/auth", "dependencies": { "@shop/core": "*", "react": "^18" } },
  "apps/api": { "name": "@shop/api" },
  "libs/core": { "name": "@shop/core" },
  "libs/base": { "name": "@shop/base" },
  "node_modules/@shop/core": { "resolved": "libs/core", "link": true },
  "node_modules/@shop/base": { "resolved": "libs/base", "link": true },
  "node_modules/react": { "version": "18.2.0", "integrity": "sha512-1" }
} }"#;

/// A workspace of npm: `auth` and `api` use `core`, which uses `base`; nobody uses `unused`.
pub(crate) const FILES: [(&str, &str); 17] = [
    ("README.md", "# Shop\n"),
    ("delivery.toml", DELIVERY),
    ("package.json", r#"{ "name": "shop", "private": true, "workspaces": ["apps/*", "libs/*"] }"#),
    ("package-lock.json", LOCK),
    ("proto/api.proto", "syntax = \"proto3\";\n"),
    ("apps/auth/package.json", r#"{ "name": "@shop/auth", "dependencies": { "@shop/core": "*", "react": "^18" } }"#),
    ("apps/auth/Dockerfile", DOCKERFILE),
    ("apps/auth/src/main.ts", "1\n"),
    ("apps/api/package.json", r#"{ "name": "@shop/api", "devDependencies": { "@shop/core": "workspace:*" } }"#),
    ("apps/api/Dockerfile", DOCKERFILE),
    ("apps/api/src/main.ts", "1\n"),
    ("libs/core/package.json", r#"{ "name": "@shop/core", "dependencies": { "@shop/base": "*" } }"#),
    ("libs/core/index.ts", "1\n"),
    ("libs/base/package.json", r#"{ "name": "@shop/base" }"#),
    ("libs/unused/package.json", r#"{ "name": "@shop/unused" }"#),
    ("site/Dockerfile", DOCKERFILE),
    ("site/index.html", "<p>\n"),
];

/// A stage whose workspace is a git repository with these files in its first commit.
pub(crate) fn repository(files: &[(&str, &str)]) -> Stage {
    let mut stage = Stage::new();
    event(&mut stage, "workflow_dispatch", "{}");
    commit(&mut stage, files);
    stage
}

/// The shop after its first commit.
pub(crate) fn shop() -> Stage {
    repository(&FILES)
}

/// Sets the event and its payload.
pub(crate) fn event(stage: &mut Stage, name: &str, payload: &str) {
    let path = stage.workspace().with_file_name("event.json");
    std::fs::write(&path, payload).unwrap();
    stage.set("GITHUB_EVENT_NAME", name);
    stage.set("GITHUB_EVENT_PATH", &path.display().to_string());
}

/// Runs the action.
pub(crate) async fn run(stage: &Stage, inputs: &[(&str, &str)]) -> Ran {
    stage.run(&build_affected::ACTION, build_affected::run, inputs).await
}
