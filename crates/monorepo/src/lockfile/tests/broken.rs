//! What is read at all, and what is told of what cannot be.

use proptest::prelude::*;

use super::*;
use crate::files::tests::Made;

#[test]
fn known_are_those_that_a_package_manager_reads() {
    let paths = [
        "a/package-lock.json",
        "a/npm-shrinkwrap.json",
        "b/package-lock.json",
        "b/node_modules/x/yarn.lock",
        "bun.lockb",
        "c/bun.lock",
        "c/bun.lockb",
        "Cargo.lock",
        "pnpm-lock.yaml",
        "poetry.lock",
    ];
    let mut made = Made::new(&paths.map(|path| (path, "")));
    made.put("bun.lockb", crate::files::Kind::Executable, &[0xff, 0]);
    let files = made.files();
    let expected =
        ["Cargo.lock", "a/npm-shrinkwrap.json", "b/package-lock.json", "bun.lockb", "c/bun.lock", "pnpm-lock.yaml"];
    assert_eq!(known(&files), expected);
    let told = open(&files, "bun.lockb").unwrap_err().to_string();
    assert_eq!(told, "bun.lockb: binary: `bun install --save-text-lockfile` writes a bun.lock that can be read");
    assert_eq!(open(&files, "yarn.lock").unwrap_err().to_string(), "yarn.lock: no such file");
}

#[test]
fn what_cannot_be_read_is_told_with_its_line() {
    for (path, text, told) in [
        ("package-lock.json", "{\n \"lockfileVersion\": 3,\n ]", "package-lock.json:3: not a lockfile of npm: "),
        (
            "package-lock.json",
            "{ \"lockfileVersion\": 1 }",
            "package-lock.json: lockfileVersion 1: `npm install` of npm 7 or later",
        ),
        (
            "package-lock.json",
            "{ \"lockfileVersion\": 4, \"packages\": {} }",
            "package-lock.json: lockfileVersion 4 is not known",
        ),
        ("pnpm-lock.yaml", "lockfileVersion: '9.0'\npackages:\n  a: [", "pnpm-lock.yaml:4: not YAML: "),
        (
            "pnpm-lock.yaml",
            "settings: {}\nlockfileVersion: '12.0'\n",
            "pnpm-lock.yaml:2: lockfileVersion 12.0 is not known",
        ),
        ("pnpm-lock.yaml", "lockfileVersion: '9.0'\na: 1\na: 2\n", "pnpm-lock.yaml:3: `a` twice"),
        ("pnpm-lock.yaml", "", "pnpm-lock.yaml: empty"),
        (
            "pnpm-lock.yaml",
            "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a:\n        specifier: 1\n        version: 1.0.0\n",
            "pnpm-lock.yaml:6: `a: 1.0.0` is in no package",
        ),
        (
            "yarn.lock",
            "# yarn lockfile v1\n\n\na@1:\n  resolved \"x\"\n",
            "yarn.lock:4: not an entry of a lockfile of yarn 1",
        ),
        ("yarn.lock", "__metadata:\n  version: 99\n", "yarn.lock:2: version `99` is not known"),
        ("yarn.lock", "a@1:\n<<<<<<< ours\n", "yarn.lock:2: a merge conflict that is not resolved"),
        ("bun.lock", "{\n  \"lockfileVersion\": 1,\n  nonsense\n}", "bun.lock:4: not JSON: "),
        ("bun.lock", "{ \"lockfileVersion\": 7 }", "bun.lock: lockfileVersion 7 is not known"),
        ("Cargo.lock", "version = 4\n[[package]\n", "Cargo.lock:2: not a lockfile of Cargo: "),
        ("Cargo.lock", "version = 5\n", "Cargo.lock: version 5 is not known"),
        (
            "Cargo.lock",
            "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\n \"b\",\n]\n",
            "Cargo.lock:6: `b` is no package",
        ),
        ("poetry.lock", "", "poetry.lock: not a lockfile that is known: "),
    ] {
        let found = problem((path, text));
        assert!(found.starts_with(told), "{found}");
    }
}

/// Text that is nearly a lockfile: one with a part cut out or doubled.
fn torn() -> impl Strategy<Value = (&'static str, String)> {
    (0..ALL.len(), any::<prop::sample::Index>(), any::<prop::sample::Index>(), ".{0,8}").prop_map(
        |(file, from, to, put)| {
            let (path, text) = ALL[file];
            let (from, to) = (from.index(text.len()), to.index(text.len()));
            let text = format!("{}{put}{}", text.get(..from).unwrap_or_default(), text.get(to..).unwrap_or_default());
            (path, text)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_text_is_a_lockfile_or_a_problem(file in 0..ALL.len(), text in "[\\PC\n]{0,200}") {
        let path = ALL[file].0;
        let _: Result<Lock, Problem> = read(path, &text);
        let _: Result<Lock, Problem> = read(path, &format!("__metadata:\n  version: 8\n{text}"));
    }

    #[test]
    fn a_torn_lockfile_is_one_or_a_problem((path, text) in torn()) {
        if let Ok(lock) = read(path, &text) {
            let ids = lock.packages.iter().flat_map(|package| &package.dependencies).map(|(_, PackageId(id))| *id);
            prop_assert!(ids.into_iter().all(|id| id < lock.packages.len()));
        }
    }
}
