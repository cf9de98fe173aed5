//! The manifests and root configuration of the Node tools.

use serde_json::{Map, Value, json};

use crate::model::{Model, Project};
use crate::render::{Blob, Tree, way_up};
use crate::shape::Tool;

/// Where the workspace's packages are.
const GLOBS: [&str; 5] = ["apps/*", "services/*", "libs/*", "libs/shared/*", "libs/core/plugins/*"];

pub(crate) fn root(model: &Model, tree: &mut Tree) {
    let mut add = |path: &str, text: String| tree.insert(path.to_owned(), Blob::text(text));
    add("package.json", pretty(&root_manifest(model)));
    add("tsconfig.base.json", tsconfig(model));
    add(".gitignore", "node_modules\ndist\n.nx\n.turbo\n".to_owned());
    if model.tool.is_pnpm() {
        add("pnpm-workspace.yaml", pnpm_workspace(model));
    }
    if model.tool == Tool::Nx {
        add("nx.json", pretty(&nx(model)));
    }
    if matches!(model.tool, Tool::Nx | Tool::Turbo) {
        add("turbo.json", pretty(&turbo(model)));
    }
}

pub(crate) fn project(model: &Model, folder: &str, project: &Project, tree: &mut Tree) {
    let mut dependencies = Map::new();
    for name in &project.declares {
        dependencies.insert(name.clone(), workspace_range(model.tool).into());
    }
    for (name, major) in &project.wants {
        dependencies.insert(name.clone(), wanted(model, name, *major).into());
    }
    let mut manifest = json!({
        "name": project.name,
        "version": "1.0.0",
        "private": true,
        "main": "src/index.ts",
        "exports": { ".": "./src/index.ts", "./package.json": "./package.json" },
        "scripts": { "build": "tsc -p tsconfig.json", "test": "vitest run", "lint": "eslint ." },
        "dependencies": dependencies,
    });
    // Nx reads implicit dependencies from either file; both are in every estate.
    let in_manifest = project.name.len().is_multiple_of(2);
    if in_manifest && !project.implicit.is_empty() {
        manifest["nx"] = json!({ "implicitDependencies": project.implicit });
    }
    tree.insert(format!("{folder}/package.json"), Blob::text(pretty(&manifest)));
    if model.tool == Tool::Nx {
        let mut configuration = json!({ "name": project.name, "sourceRoot": format!("{folder}/src") });
        if !in_manifest && !project.implicit.is_empty() {
            configuration["implicitDependencies"] = json!(project.implicit);
        }
        tree.insert(format!("{folder}/project.json"), Blob::text(pretty(&configuration)));
    }
    let tsconfig = json!({ "extends": format!("{}tsconfig.base.json", way_up(folder)), "include": ["src"] });
    tree.insert(format!("{folder}/tsconfig.json"), Blob::text(pretty(&tsconfig)));
}

/// What a manifest writes for a package of the workspace.
pub(crate) fn workspace_range(tool: Tool) -> &'static str {
    if tool.is_pnpm() || tool == Tool::Bun { "workspace:*" } else { "1.0.0" }
}

/// What a manifest writes for an external.
pub(crate) fn wanted(model: &Model, name: &str, major: u32) -> String {
    if major == 1 && model.settings.catalog.contains_key(name) {
        "catalog:".to_owned()
    } else {
        format!("^{major}.0.0")
    }
}

pub(crate) fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn root_manifest(model: &Model) -> Value {
    let settings = &model.settings;
    let mut manifest = json!({
        "name": "acme",
        "version": "0.0.0",
        "private": true,
        "scripts": { "format": format!("prettier --write . --log-level {}", settings.root_script) },
        "engines": { "node": format!(">={}", settings.engine) },
    });
    match model.tool {
        Tool::Npm | Tool::Yarn | Tool::Bun => manifest["workspaces"] = json!(GLOBS),
        _ => {}
    }
    match model.tool {
        Tool::Nx | Tool::Turbo | Tool::Pnpm => manifest["packageManager"] = "pnpm@10.20.0".into(),
        Tool::Npm => manifest["packageManager"] = "npm@10.8.2".into(),
        Tool::Yarn => manifest["packageManager"] = "yarn@1.22.22".into(),
        Tool::Bun => manifest["packageManager"] = "bun@1.3.0".into(),
        Tool::Cargo | Tool::Plain => {}
    }
    if model.tool == Tool::Nx {
        // Nx looks at imports only where the root manifest has a package of this family.
        manifest["devDependencies"] = json!({ "@nx/js": "24.0.6" });
    }
    manifest
}

fn tsconfig(model: &Model) -> String {
    let settings = &model.settings;
    let paths: Map<String, Value> =
        settings.aliases.iter().map(|(alias, target)| (alias.clone(), json!([target]))).collect();
    let options = json!({
        "target": format!("ES{}", settings.target),
        "module": "ESNext",
        "moduleResolution": "bundler",
        "strict": true,
        "baseUrl": ".",
        "paths": paths,
    });
    format!("// Shared by every project.\n{}", pretty(&json!({ "compilerOptions": options })))
}

fn pnpm_workspace(model: &Model) -> String {
    let mut text = String::from("packages:\n");
    for glob in GLOBS {
        text.push_str(&format!("  - '{glob}'\n"));
    }
    text.push_str("catalog:\n");
    for (name, specifier) in &model.settings.catalog {
        text.push_str(&format!("  '{name}': '{specifier}'\n"));
    }
    text
}

fn nx(model: &Model) -> Value {
    json!({
        "$schema": "./node_modules/nx/schemas/nx-schema.json",
        "defaultBase": "main",
        "parallel": model.settings.nx_parallel,
        "namedInputs": {
            "default": ["{projectRoot}/**/*", "sharedGlobals"],
            "production": ["default", "!{projectRoot}/**/*.spec.ts", "!{projectRoot}/**/*.md"],
            "sharedGlobals": [],
        },
        "targetDefaults": {
            "build": { "dependsOn": ["^build"], "inputs": ["production", "^production"], "cache": true },
            "test": { "inputs": ["default", "^production"], "cache": true },
        },
    })
}

fn turbo(model: &Model) -> Value {
    let mut tasks = json!({
        "build": {
            "dependsOn": ["^build"],
            "inputs": ["$TURBO_DEFAULT$", "!**/*.spec.ts", "!**/*.md"],
            "outputs": ["dist/**"],
        },
        "test": { "dependsOn": ["^build"] },
    });
    if model.settings.turbo_task {
        tasks["storybook"] = json!({ "cache": false, "persistent": true });
    }
    json!({ "$schema": "https://turborepo.com/schema.json", "tasks": tasks })
}
