//! The rules of the house that no lint can hold (`ARCHITECTURE.md` lists them).

use std::fs;
use std::path::{Path, PathBuf};

const ACTIONS: [&str; 5] = ["build-affected", "ecr-push", "run-migration", "ecs-deploy", "health-gate"];

/// Every Rust file below a folder of the repository, and its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![repository::root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no sources below {folder}");
    found
}

/// Asserts that a text stands in no source below `folder`, but for those whose path contains one of `homes`.
fn lives_only_in(homes: &[&str], folder: &str, text: &str) {
    let is_home = |path: &Path| homes.iter().any(|home| path.display().to_string().contains(home));
    let strays: Vec<PathBuf> = sources(folder)
        .into_iter()
        .filter(|(path, source)| !is_home(path) && source.contains(text))
        .map(|(path, _)| path)
        .collect();
    assert!(strays.is_empty(), "`{text}` stands in {strays:?}, and belongs into {homes:?}");
}

#[test]
fn an_outside_world_has_one_home() {
    for library in ["aws_sdk_", "aws_config::"] {
        lives_only_in(&["common/src/aws/"], "crates", library);
    }
    lives_only_in(&["common/src/docker", "world/src/docker"], "crates", "bollard::");
    lives_only_in(&["common/src/git"], "crates", "gix::");
}

#[test]
fn no_action_depends_on_another() {
    for action in ACTIONS {
        let manifest = fs::read_to_string(repository::root().join(format!("crates/{action}/Cargo.toml"))).unwrap();
        let dependencies = manifest.split_once("[dependencies]").unwrap().1;
        for other in ACTIONS {
            let depends = dependencies.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(other));
            assert!(!depends, "{action} depends on {other}");
        }
    }
}

#[test]
fn an_action_has_its_rooms_and_plans_without_waiting() {
    for action in ACTIONS {
        let room = |name: &str| repository::root().join(format!("crates/{action}/src/{name}"));
        for name in ["inputs", "config", "facts", "plan", "effects", "report"] {
            let is_there = room(&format!("{name}.rs")).exists() || room(name).is_dir();
            assert!(is_there, "{action} has no room `{name}`");
        }
        let plan = fs::read_to_string(room("plan.rs")).unwrap();
        assert!(!plan.contains("async fn") && !plan.contains(".await"), "{action}: plan.rs waits for something");
    }
}

#[test]
fn production_does_not_know_that_it_is_tested() {
    let offenders: Vec<PathBuf> = sources("crates")
        .into_iter()
        .filter(|(_, source)| {
            let of_tests = ["mod tests", "pub(crate) mod tests"].map(|module| format!("#[cfg(test)]\n{module}"));
            let is_in_place = of_tests.iter().map(|text| source.matches(text).count()).sum::<usize>();
            source.matches("#[cfg(test)]").count() != is_in_place
        })
        .map(|(path, _)| path)
        .collect();
    assert!(offenders.is_empty(), "`#[cfg(test)]` outside of `mod tests`: {offenders:?}");
    let ignored: Vec<PathBuf> =
        sources("crates").into_iter().filter(|(_, source)| source.contains("#[ignore")).map(|(path, _)| path).collect();
    assert!(ignored.is_empty(), "a test that does not run: {ignored:?}");
}
