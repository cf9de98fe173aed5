use super::*;
use crate::files::Kind;
use crate::files::tests::Made;

fn resolver_of(made: &Made, packages: &[(&str, &str)], check: impl Fn(&Resolver<'_>)) {
    let files = made.files();
    let packages: BTreeMap<String, String> =
        packages.iter().map(|(name, folder)| ((*name).into(), (*folder).into())).collect();
    let (typescript, problems) = TypeScript::read(&files, &packages);
    assert_eq!(problems, []);
    check(&Resolver::new(&files, &typescript, &packages));
}

#[track_caller]
fn check(files: &[(&str, &str)], packages: &[(&str, &str)], cases: &[(&str, &str, Resolved)]) {
    resolver_of(&Made::new(files), packages, |resolver| {
        for (from, specifier, expected) in cases {
            assert_eq!(resolver.resolve(from, specifier).to, *expected, "{from}: {specifier}");
        }
    });
}

fn file(path: &str) -> Resolved {
    Resolved::File(path.to_owned())
}

fn folder(path: &str) -> Resolved {
    Resolved::Folder(path.to_owned())
}

fn external(package: &str) -> Resolved {
    Resolved::External(package.to_owned())
}

fn workspace(package: &str, folder: &str, file: Option<&str>) -> Resolved {
    Resolved::Workspace { package: package.to_owned(), folder: folder.to_owned(), file: file.map(str::to_owned) }
}

#[test]
fn a_path_finds_its_file() {
    let files = [
        "a/m.ts",
        "a/x.tsx",
        "a/y/index.ts",
        "a/z.d.ts",
        "a/c.vue",
        "a/d.json",
        "a/locales/en.json",
        "b/main.mts",
        "m.ts",
    ];
    let files: Vec<_> = files
        .into_iter()
        .map(|path| (path, ""))
        .chain([("a/p/package.json", r#"{ "main": "lib/p" }"#), ("a/p/lib/p.js", "")])
        .collect();
    check(
        &files,
        &[],
        &[
            ("a/m.ts", "./x", file("a/x.tsx")),
            ("a/m.ts", "./x.js", file("a/x.tsx")),
            ("a/m.ts", "./x.jsx", file("a/x.tsx")),
            ("a/m.ts", "../b/main.mjs", file("b/main.mts")),
            ("a/m.ts", "./y", file("a/y/index.ts")),
            ("a/m.ts", "./y/", folder("a/y")),
            ("a/m.ts", "./z", file("a/z.d.ts")),
            ("a/m.ts", "./c.vue?raw", file("a/c.vue")),
            ("a/m.ts", "!!raw-loader!./d.json", file("a/d.json")),
            ("a/m.ts", "./locales/", folder("a/locales")),
            ("a/m.ts", "./p", file("a/p/lib/p.js")),
            ("a/y/index.ts", "..", folder("a")),
            ("a/y/index.ts", "../../m", file("m.ts")),
            ("a/m.ts", "./generated/client", folder("a")),
            ("a/m.ts", "../dist/x", Resolved::Nowhere),
            ("m.ts", "./generated", folder("")),
            ("a/m.ts", "../../x", Resolved::Nowhere),
            ("a/m.ts", "/x", Resolved::Nowhere),
        ],
    );
}

#[test]
fn a_name_finds_its_package() {
    check(
        &[
            ("libs/db/package.json", r#"{ "main": "dist/index.js", "source": "src/index.ts" }"#),
            ("libs/db/src/index.ts", ""),
            ("libs/db/src/pool.ts", ""),
            (
                "libs/ui/package.json",
                r#"{ "exports": { ".": "./dist/i.js", "./*": "./src/*.tsx", "./dist": "./dist/d.js" } }"#,
            ),
            ("libs/ui/src/button.tsx", ""),
            ("libs/ui/src/_theme.scss", ""),
            ("apps/a/main.ts", ""),
            ("apps/a/main.scss", ""),
        ],
        &[("@acme/db", "libs/db"), ("ui", "libs/ui"), ("gone", "libs/gone")],
        &[
            ("apps/a/main.ts", "@acme/db", workspace("@acme/db", "libs/db", Some("libs/db/src/index.ts"))),
            ("apps/a/main.ts", "@acme/db/src/pool.js", workspace("@acme/db", "libs/db", Some("libs/db/src/pool.ts"))),
            ("apps/a/main.ts", "@acme/db/dist/pool", workspace("@acme/db", "libs/db", None)),
            ("apps/a/main.ts", "ui", workspace("ui", "libs/ui", None)),
            ("apps/a/main.ts", "ui/button", workspace("ui", "libs/ui", Some("libs/ui/src/button.tsx"))),
            ("apps/a/main.scss", "ui/src/theme", workspace("ui", "libs/ui", Some("libs/ui/src/_theme.scss"))),
            ("apps/a/main.ts", "gone", workspace("gone", "libs/gone", None)),
            ("apps/a/main.ts", "@acme/other/x", external("@acme/other")),
            ("apps/a/main.ts", "pg", external("pg")),
            ("apps/a/main.ts", "lodash/fp", external("lodash")),
            ("apps/a/main.ts", "npm:pg", external("pg")),
            ("apps/a/main.ts", "buffer/", external("buffer")),
            ("apps/a/main.ts", "fs/promises", Resolved::Builtin),
            ("apps/a/main.ts", "node:test", Resolved::Builtin),
            ("apps/a/main.ts", "virtual:x", Resolved::Builtin),
            ("apps/a/main.ts", "https://esm.sh/x", Resolved::Builtin),
            ("apps/a/main.ts", "@/x", Resolved::Nowhere),
            ("apps/a/main.ts", "@acme/", Resolved::Nowhere),
            ("apps/a/main.ts", "", Resolved::Nowhere),
        ],
    );
    assert!(BUILTINS.is_sorted());
}

#[test]
fn paths_of_the_nearest_configuration_decide() {
    let made = Made::new(&[
        (
            "tsconfig.base.json",
            r#"{ "compilerOptions": { "baseUrl": ".", "paths": { "@acme/db": ["dist/db", "libs/db/src/index.ts"], "@acme/ui/*": ["libs/ui/src/*"], "@acme/proto/*": ["libs/proto/generated/*"], "react": ["node_modules/preact"], "*": ["types/*"] } } }"#,
        ),
        (
            "apps/a/tsconfig.json",
            r#"{ "extends": "../../tsconfig.base.json", "compilerOptions": { "paths": { "@/*": ["./src/*"], "~db": ["../../libs/db/src"] } } }"#,
        ),
        ("apps/a/src/x.ts", ""),
        ("apps/b/tsconfig.json", r#"{ "files": [], "references": [{ "path": "./tsconfig.app.json" }] }"#),
        ("apps/b/tsconfig.app.json", r#"{ "compilerOptions": { "paths": { "@/*": ["${configDir}/src/*"] } } }"#),
        ("apps/b/src/x.ts", ""),
        ("libs/db/src/index.ts", ""),
        ("libs/ui/src/button.tsx", ""),
        ("libs/proto/package.json", "{}"),
        ("types/untyped.d.ts", ""),
    ]);
    let base = |entry: &str| Some(("tsconfig.base.json".to_owned(), entry.to_owned()));
    let own = |file: &str| Some((file.to_owned(), "@/*".to_owned()));
    resolver_of(&made, &[], |resolver| {
        let check = |from: &str, specifier: &str, to, through| {
            assert_eq!(resolver.resolve(from, specifier), Resolution { to, through }, "{from}: {specifier}");
        };
        check("libs/ui/src/button.tsx", "@acme/db", file("libs/db/src/index.ts"), base("@acme/db"));
        check("libs/ui/src/button.tsx", "@acme/ui/button", file("libs/ui/src/button.tsx"), base("@acme/ui/*"));
        check("libs/ui/src/button.tsx", "@acme/proto/a/b", folder("libs/proto"), base("@acme/proto/*"));
        check("libs/ui/src/button.tsx", "@acme/ui/gone", folder("libs/ui/src"), base("@acme/ui/*"));
        check("libs/ui/src/button.tsx", "react", external("react"), None);
        check("libs/ui/src/button.tsx", "untyped", file("types/untyped.d.ts"), base("*"));
        check("libs/ui/src/button.tsx", "typed", external("typed"), None);
        check("libs/ui/src/button.tsx", "libs/db/src", file("libs/db/src/index.ts"), None);
        check("libs/ui/src/button.tsx", "fs", Resolved::Builtin, None);
        // The targets of `paths` are relative to `baseUrl` (the root, as the base says) where there is one.
        check("apps/a/src/x.ts", "~db", Resolved::Nowhere, None);
        check("apps/a/src/x.ts", "@acme/db", file("libs/db/src/index.ts"), base("@acme/db"));
        check("apps/b/src/x.ts", "@/x", file("apps/b/src/x.ts"), own("apps/b/tsconfig.app.json"));
    });
}

#[test]
fn own_names_and_other_roots_lead_inside() {
    check(
        &[
            ("a/package.json", r##"{ "imports": { "#x": "./src/x.ts", "#lib/*": "./lib/*", "#dep": "pg" } }"##),
            ("a/src/x.ts", ""),
            ("a/src/deep/y.ts", ""),
            ("a/tsconfig.json", r#"{ "compilerOptions": { "rootDirs": ["src", "generated"] } }"#),
            ("a/generated/deep/z.ts", ""),
            ("b.ts", ""),
        ],
        &[],
        &[
            ("a/src/deep/y.ts", "#x", file("a/src/x.ts")),
            ("a/src/deep/y.ts", "#lib/y.js", folder("a")),
            ("a/src/deep/y.ts", "#dep", external("pg")),
            ("a/src/deep/y.ts", "#other", Resolved::Nowhere),
            ("b.ts", "#x", Resolved::Nowhere),
            ("a/src/deep/y.ts", "./z", file("a/generated/deep/z.ts")),
        ],
    );
}

#[test]
fn links_are_followed() {
    let mut made = Made::new(&[("libs/shared/src/x.ts", ""), ("apps/a/main.ts", "")]);
    made.put("apps/a/shared", Kind::Link, b"../../libs/shared/src");
    made.put("apps/a/y.ts", Kind::Link, b"./shared/x.ts");
    made.put("apps/a/loop", Kind::Link, b"./loop");
    made.put("apps/a/out", Kind::Link, b"/etc");
    resolver_of(&made, &[], |resolver| {
        let check =
            |specifier: &str, to| assert_eq!(resolver.resolve("apps/a/main.ts", specifier).to, to, "{specifier}");
        check("./shared/x", file("libs/shared/src/x.ts"));
        check("./y.ts", file("libs/shared/src/x.ts"));
        check("./shared/", folder("libs/shared/src"));
        check("./loop", file("apps/a/loop"));
        check("./loop/x", folder("apps/a"));
        check("./out/passwd", folder("apps/a"));
    });
}
