//! `delivery.toml`, the task definitions, Dockerfiles and `.dockerignore`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::model::{Dockerfile, From, Model, Service, Take};
use crate::render::manifests::pretty;
use crate::render::{Blob, Tree};
use crate::shape::Tool;

const REGISTRY: &str = "111122223333.dkr.ecr.eu-west-1.amazonaws.com";

pub(crate) fn render(model: &Model, tree: &mut Tree) {
    tree.insert("delivery.toml".to_owned(), Blob::text(delivery(model)));
    tree.insert(".dockerignore".to_owned(), Blob::text(dockerignore(model)));
    for (key, service) in &model.services {
        let definition = serde_json::json!({
            "family": key,
            "containerDefinitions": [{ "name": service.container, "image": "${IMAGE}", "essential": true, "memory": 256 }],
        });
        tree.insert(format!("deploy/{key}.json"), Blob::text(pretty(&definition)));
        tree.insert(format!("{}/Dockerfile", service.home), Blob::text(dockerfile(model, service)));
    }
}

fn delivery(model: &Model) -> String {
    let mut text = String::from("name = \"acme\"\n");
    let _ = writeln!(text, "# Comment, edition {}.", model.settings.delivery_comment);
    text.push_str("\n[environments.staging]\nbranch = \"main\"\nregion = \"eu-west-1\"\naccount = \"111122223333\"\n");
    text.push_str("cluster = \"acme-staging\"\n");
    for (key, service) in &model.services {
        let _ = write!(text, "\n[services.{key}]\n");
        match model.projects.get(&service.home) {
            Some(project) if service.by_project => {
                let _ = writeln!(text, "project = {:?}", project.name);
            }
            _ => {
                let _ = writeln!(text, "path = {:?}", service.home);
            }
        }
        let _ = writeln!(text, "dockerfile = \"{}/Dockerfile\"", service.home);
        let _ = writeln!(text, "repository = {:?}", service.repository);
        let _ = writeln!(text, "task-definition = \"deploy/{key}.json\"");
        let _ = writeln!(text, "container = {:?}", service.container);
        list(&mut text, "depends-on", &service.depends_on);
        list(&mut text, "paths", &service.paths);
    }
    text
}

fn list(text: &mut String, key: &str, values: &BTreeSet<String>) {
    if !values.is_empty() {
        let _ = writeln!(text, "{key} = {values:?}", values = values.iter().collect::<Vec<_>>());
    }
}

fn dockerignore(model: &Model) -> String {
    let mut text = String::from("# What never reaches an image.\n.git\nnode_modules\n**/node_modules\n");
    text.push_str("docs\ndeploy\n**/*.md\n**/*.spec.ts\n**/*.spec.rs\n");
    if model.settings.ignores_fixtures {
        text.push_str("**/fixtures\n");
    }
    if model.settings.ignores_nothing_more {
        text.push_str("**/there-is-no-such-folder\n");
    }
    text
}

fn dockerfile(model: &Model, service: &Service) -> String {
    let Dockerfile { from, argument, manifests_first, takes } = &service.dockerfile;
    let mut text = String::from("# syntax=docker/dockerfile:1\n");
    let _ = writeln!(text, "ARG EDITION={argument}");
    text.push_str("FROM node:24-alpine AS build\nWORKDIR /app\n");
    if let (true, Some(lockfile)) = (manifests_first, model.tool.lockfile()) {
        let _ = writeln!(text, "COPY package.json {lockfile} ./");
    }
    copy_sources(model, service, &mut text);
    if let Some(command) = install(model.tool) {
        let _ = writeln!(text, "RUN {command}");
    }
    let _ = writeln!(text, "RUN make -C {} build\n", service.home);
    match from {
        From::Public(image) => _ = writeln!(text, "FROM {image}"),
        From::Service { key, registry } => {
            let repository = model.services.get(key).map_or("acme/gone", |service| &service.repository);
            let host = if *registry { format!("{REGISTRY}/") } else { String::new() };
            let _ = writeln!(text, "FROM {host}{repository}:latest");
        }
    }
    text.push_str("ARG EDITION\nENV EDITION=$EDITION\nWORKDIR /app\n");
    for take in takes {
        let _ = match take {
            Take::File(path) => writeln!(text, "COPY --chmod=755 {path} /opt/{path}"),
            Take::Glob { folder, suffix } => writeln!(text, "COPY {folder}/*{suffix} /opt/certs/"),
            Take::Folder(folder) => writeln!(text, "COPY {folder} /opt/{folder}"),
            Take::Bind(path) => {
                writeln!(text, "RUN --mount=type=bind,source={path},target=/tmp/bound \\\n    sh /tmp/bound")
            }
        };
    }
    let _ = writeln!(text, "COPY --from=build /app/{}/dist ./dist", service.home);
    text.push_str("USER 1000\nCMD [\"dist/main\"]\n");
    text
}

/// Where no workspace says what belongs together, `COPY . .` would be everything: there, the Dockerfile says it.
fn copy_sources(model: &Model, service: &Service, text: &mut String) {
    if model.tool != Tool::Plain {
        text.push_str("COPY . .\n");
        return;
    }
    for path in std::iter::once(&service.home).chain(&service.paths) {
        let _ = writeln!(text, "COPY {path} {path}");
    }
}

fn install(tool: Tool) -> Option<&'static str> {
    match tool {
        Tool::Nx | Tool::Turbo | Tool::Pnpm => Some("corepack enable && pnpm install --frozen-lockfile"),
        Tool::Npm => Some("npm ci"),
        Tool::Yarn => Some("yarn install --frozen-lockfile"),
        Tool::Bun => Some("bun install --frozen-lockfile"),
        Tool::Cargo | Tool::Plain => None,
    }
}
