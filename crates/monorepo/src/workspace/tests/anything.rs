//! Whatever is written in manifests and patterns, it is read without a panic.

use proptest::prelude::*;

use super::super::*;
use crate::files::tests::Made;

const NAMES: [&str; 10] = [
    "package.json",
    "nx.json",
    "turbo.json",
    "pnpm-workspace.yaml",
    "lerna.json",
    ".nxignore",
    "Cargo.toml",
    "a/package.json",
    "a/project.json",
    "a/Cargo.toml",
];

/// Pieces of manifests, in any order.
fn text() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\n",
        " ",
        "\"",
        "=",
        "null",
        "1",
        "- ",
        "\"a\"",
        "\"name\"",
        "\"workspaces\"",
        "\"nx\"",
        "\"targets\"",
        "\"inputs\"",
        "\"namedInputs\"",
        "\"default\"",
        "\"^default\"",
        "\"{projectRoot}/**/*\"",
        "\"!(a|\"",
        "\"[\"",
        "workspace",
        "members",
        "package",
        "packages",
        "path",
        "\"..\"",
        "\"dependsOn\"",
        "\"build\"",
        "\"tasks\"",
        "\"extends\"",
        "\"//\"",
        "\"dependencies\"",
        "\"file:..\"",
        "é",
        "\u{0}",
    ]);
    prop_oneof![any::<String>(), prop::collection::vec(pieces, 0..30).prop_map(|pieces| pieces.concat())]
}

proptest! {
    #[test]
    fn any_manifests_are_read(texts in prop::collection::vec(text(), NAMES.len()), task in ".{0,3}") {
        let files: Vec<_> = NAMES.iter().zip(&texts).map(|(name, text)| (*name, text.as_str())).collect();
        let made = Made::new(&files);
        let workspace = Workspace::read(&made.files());
        workspace.cycles();
        for place in 0..=workspace.projects.len() {
            let project = ProjectId(place);
            let reads = workspace.reads(Some(project), &task);
            for of in [Role::Own, Role::Dependency(reads)] {
                workspace.selection(project, of, "build").has("src/a.ts");
                workspace.shared(&made.files(), project, of, &task);
            }
            workspace.settings(project, "build");
        }
    }

    #[test]
    fn any_pattern_is_compiled(text in "[a(){}|,!?*+@/\\[\\]\\\\.]{0,24}") {
        let mut list = patterns::Patterns::default();
        list.push(&text);
        list.compile().has("a/b");
        patterns::complaint(&text);
        patterns::literal(&text);
    }
}
