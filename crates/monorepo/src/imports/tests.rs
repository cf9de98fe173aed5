use proptest::prelude::*;

use super::*;
use crate::files::tests::Made;

fn specifiers(path: &str, text: &str) -> Vec<String> {
    scan(path, text).imports.iter().map(|import| import.specifier.to_string()).collect()
}

#[track_caller]
fn check(path: &str, text: &str, expected: &[&str]) {
    let scan = scan(path, text);
    let specifiers: Vec<&str> = scan.imports.iter().map(|import| import.specifier.as_ref()).collect();
    assert_eq!((specifiers.as_slice(), scan.trouble), (expected, None), "{path}: {text}");
}

#[test]
fn every_form_of_import_counts() {
    for text in [
        "import 'x'",
        "import x from \"x\";",
        "import * as x from 'x'",
        "import { a, b as c } from 'x'",
        "import y, { a } from 'x' with { type: 'json' }",
        "import source y from 'x'",
        "import defer * as y from 'x'",
        "export * from 'x'",
        "export * as y from 'x'",
        "export { a, default as b } from 'x'",
        "import('x')",
        "import(/* webpackChunkName: \"y\" */ 'x')",
        "import('x', { with: { type: 'json' } })",
        "import(`x`)",
        "import.source('x')",
        "import.defer('x')",
        "async function f() { const { a } = await import('x'); }",
        "const a = require('x')",
        "const a = require(`x`).b",
        "if (a) { require(\n  'x'\n); }",
        "require.resolve('x', { paths: [] })",
        "module.require('x')",
        "import.meta.resolve('x')",
    ] {
        for path in ["a.js", "a.mjs", "a.jsx", "a.ts", "a.mts", "a.tsx"] {
            check(path, text, &["x"]);
            check(path, &format!("\u{feff}#!/usr/bin/env node\r\n'use strict';\r\n{text}\r\n"), &["x"]);
        }
    }
    for text in [
        "import x = require('x')",
        "export import x = require('x')",
        "import type { A } from 'x'",
        "import { type A, b } from 'x'",
        "export type { A } from 'x'",
        "export type * from 'x'",
        "type A = import('x').B",
        "let a: typeof import('x')",
        "declare module 'y' { import a from 'x'; }",
        "/// <reference types=\"x\" />\nexport {}",
    ] {
        check("a.ts", text, &["x"]);
        check("a.d.ts", text, &["x"]);
        check("a.tsx", text, &["x"]);
    }
}

#[test]
fn files_beside_count() {
    check("a.ts", "new URL('./x.png', import.meta.url)", &["./x.png"]);
    check("a.ts", "new URL('x.png', import.meta.url)", &["./x.png"]);
    check("a.ts", "new Worker(new URL('./w.ts', import.meta.url), { type: 'module' })", &["./w.ts"]);
    check("a.ts", "new Worker('./w.js')", &["./w.js"]);
    check("a.ts", "new SharedWorker('../w.js')", &["../w.js"]);
    check("a.ts", "new URL('/api', location.href); new URL('./x', base); new Worker('w.js')", &[]);
    check(
        "a.ts",
        "#!/bin/x\n/* a\n*/\n// b\n/// <reference path='x.d.ts'/>\nlet a\n/// <reference path='y.d.ts'/>",
        &["./x.d.ts"],
    );
    check("a.ts", "import.meta.glob('./a/*.ts', { eager: true })", &["./a/"]);
    check("a.ts", "import.meta.glob<{ default: () => void }>(['./a/*.ts', '../b/**/c.ts'])", &["./a/", "../b/"]);
    check("a.ts", "import.meta.glob('./a/b.ts')", &["./a/"]);
    check("a.ts", "require.context('./a/b', true, /x/)", &["./a/"]);
}

#[test]
fn a_name_that_is_put_together_counts_as_its_folder() {
    check("a.ts", "import(`./locales/${name}.json`)", &["./locales/"]);
    check("a.ts", "import(`../x/y-${name}`)", &["../x/"]);
    check("a.ts", "import('./locales/' + name)", &["./locales/"]);
    check("a.ts", "require('@acme/locales/' + name + '.json')", &["@acme/locales/"]);
    check("a.ts", "import(`${name}/x`); import(name); require(a + './x')", &[]);
    check("a.ts", "new URL(`./a/${name}.png`, import.meta.url)", &["./a/"]);
}

#[test]
fn what_only_looks_like_an_import_does_not_count() {
    for text in [
        "// import 'x'\n/* require('x') */",
        "const a = \"import 'x'\"; const b = `import 'x'; ${c} require('x')`;",
        "a.require('x'); a?.require('x'); requires('x'); a.import('x');",
        "const a = /import 'x'/g; b = c / require / d;",
        "Array.from('x'); const from = 'x'; a.from('x');",
        "import.meta.url; import.meta.env.X; foo('x');",
        "const from = { from: 'x', import: 'x', require: 'x' };",
        "export const a = 'x'; export { a as b };",
    ] {
        check("a.ts", text, &[]);
        check("a.js", text, &[]);
    }
    check("a.tsx", "const a = <p>import 'x' from \"x\" require('x') don't</p>; import('y')", &["y"]);
    check("a.jsx", "export default () => <a b=\"import 'x'\">{require('y')} it's</a>", &["y"]);
}

#[test]
fn imports_are_in_order_once_with_their_lines() {
    let scan = scan("a.ts", "import 'b';\r\nimport a from 'a'; // x\r\n\r\nrequire('b');\r\nimport('c');");
    let lines: Vec<_> = scan.imports.iter().map(|import| (import.specifier.as_ref(), import.line)).collect();
    assert_eq!(lines, [("b", 1), ("a", 2), ("c", 5)]);
}

#[test]
fn dialects_are_understood() {
    check(
        "a.ts",
        "import { A } from 'x';\n@A({ a: 1 }) export class B<T> { @A() private c!: T; constructor(@A() d) {} }",
        &["x"],
    );
    check("a.ts", "const a = <T>b; import 'x'", &["x"]);
    check("a.tsx", "const a = <T,>(b: T) => <div {...b}>{`${b}`}</div>; import('x')", &["x"]);
    check(
        "a.js",
        "// @flow\nimport type { A } from 'x'; export function f(a: A): ?string { return null; } require('y')",
        &["x", "y"],
    );
    check("a.cjs", "return require('x')", &["x"]);
    check(
        "a.ts",
        "enum A { B } namespace C { export const d = require('x'); } declare global { interface E {} }",
        &["x"],
    );
    check("a.js", "await import('x'); for await (const a of b) {}", &["x"]);
}

#[test]
fn what_comes_after_the_last_import_is_not_needed() {
    check("a.ts", "import 'x';\nthis is } no code", &["x"]);
    check("a.ts", "import 'x';\n{ await `no code", &["x"]);
}

#[test]
fn a_syntax_error_loses_no_import() {
    let scan = scan(
        "src/a.ts",
        "import 'a';\nconst = ;\nconst b = require(\"b\");\nexport * from './c';\nimport(`./d/${e}`); don't",
    );
    let specifiers: Vec<_> = scan.imports.iter().map(|import| (import.specifier.as_ref(), import.line)).collect();
    assert_eq!(specifiers, [("a", 1), ("b", 3), ("./c", 4), ("./d/", 5)]);
    let (line, message) = scan.trouble.unwrap();
    assert_eq!((line, message.as_str()), (Some(2), "Unexpected token"));
    assert_eq!(specifiers_of_conflict(), ["a", "b", "c"]);
}

#[test]
fn a_string_without_end_loses_nothing() {
    for text in ["a = 'b\nimport('x')", "a = `b\nimport('x')", "a = /b\nimport('x')", "/* b\nimport('x')"] {
        let scan = scan("a.ts", text);
        let names: Vec<_> = scan.imports.iter().map(|import| import.specifier.as_ref()).collect();
        assert_eq!(names, ["x"], "{text}");
        assert!(scan.trouble.is_some(), "{text}");
    }
}

fn specifiers_of_conflict() -> Vec<String> {
    specifiers(
        "a.ts",
        "<<<<<<< HEAD\nimport 'a'\n=======\nimport 'b'\n>>>>>>> x\nimport { c } /* d */ from /* e */ 'c'",
    )
}

#[test]
fn scripts_of_components_count() {
    let vue = "<template>\n<p>import 'no'</p>\n</template>\n<!-- <script>import 'no'</script> -->\n\
        <script setup lang=\"ts\" generic=\"T extends Record<string, U>\">\nimport a from 'a';\nconst b = <T>c;\nrequire('b')\n</script>\n\
        <script src=\"./c.js\"></script>\n<style lang='scss'>@use '../d';</style>";
    check("a.vue", vue, &["a", "b", "./c.js", "../d"]);
    assert_eq!(scan("a.vue", vue).imports[1].line, 8);
    check(
        "a.svelte",
        "<script context='module'>import 'a'</script>\n<SCRIPT>import 'b'</SCRIPT>{#if x}<p/>{/if}",
        &["a", "b"],
    );
    check("a.svelte", "<script>let a: string = 'x'; import b from 'b'</script>", &["b"]);
    check(
        "a.astro",
        "---\nimport A from '../A.astro';\nconst b: X = 1;\n---\n<A/><script>import './c'</script>",
        &["../A.astro", "./c"],
    );
    check("a.astro", "<p>---</p><style>@import 'x.css'</style>", &["x.css"]);
    check("a.vue", "<scripted>import 'x'</scripted><script", &[]);
}

#[test]
fn style_sheets_count() {
    check("a.css", "@import 'a.css'; @import url(b.css) screen; @import url(\"c.css\");", &["a.css", "b.css", "c.css"]);
    check(
        "a.css",
        "/* @import 'x'; */ a { background: url('./y.png'), url(data:z) } b { color: red }",
        &["./y.png", "data:z"],
    );
    check(
        "a.scss",
        "// @use 'x';\n@use '~@acme/ui/y' as *;\n@forward \"z\" show a;\n@use 'w' with ($a: 'no');",
        &["@acme/ui/y", "z", "w"],
    );
    check("a.scss", "@import 'a', 'b';\n$url: 'http://x'; @use 'pkg:c';", &["a", "b", "c"]);
    check(
        "a.css",
        "@import 'tailwindcss'; @source '../../libs/ui/**/*.html'; @source inline('underline'); @config '../t.js';",
        &["tailwindcss", "../../libs/ui/", "../t.js"],
    );
    check("a.less", "@import (reference) 'x'; @x: 'no'; @media print { }", &["x"]);
}

#[test]
fn a_source_is_known_by_its_name() {
    for path in [
        "a.ts", "b/a.tsx", "a.d.ts", "a.mts", "a.cts", "a.js", "a.jsx", "a.mjs", "a.cjs", "a.vue", "a.svelte",
        "a.astro", "a.scss",
    ] {
        assert!(is_source(path), "{path}");
    }
    for path in ["ts", "a.json", "a.rs", "js/README", "a.ts/README.md", ""] {
        assert!(!is_source(path), "{path}");
    }
}

#[test]
fn deep_sources_are_searched_rather_than_parsed() {
    for (open, close) in
        [("(", ")"), ("[", "]"), ("a=>{", "}"), ("!", ""), ("a?b:", ""), ("`${", "}`"), ("<a>", "</a>")]
    {
        for depth in [300, 200_000] {
            let text = format!("let a = {}1{}; require('x')", open.repeat(depth), close.repeat(depth));
            assert_eq!(specifiers("a.tsx", &text), ["x"], "{open} {depth}");
        }
    }
}

const WORDS: [&str; 44] = [
    "import",
    "from",
    "export",
    "require",
    "Worker",
    "new",
    "URL",
    "(",
    ")",
    "{",
    "}",
    "'",
    "\"",
    "`",
    "${",
    "x",
    "./a/",
    ",",
    ";",
    "\n",
    "\r\n",
    "//",
    "/*",
    "*/",
    "<script>",
    "</script>",
    "<style>",
    "<",
    ">",
    "@import",
    "url(",
    "---",
    "=",
    ".",
    "meta",
    "/// <reference path=",
    "é",
    "\u{feff}",
    " ",
    "\\",
    "!",
    "?",
    "#",
    "version https://git-lfs.github.com/spec/",
];

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*", name in "a\\.(ts|tsx|js|vue|astro|scss)") {
        scan(&name, &text);
    }

    #[test]
    fn no_source_panics(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 0..40), name in "a\\.(ts|tsx|js|vue|astro|scss)") {
        scan(&name, &words.concat());
    }

    #[test]
    fn an_import_is_found_whatever_comes_after_it(after in "\\PC*") {
        let found = specifiers("a.ts", &format!("import 'x';\n{after}"));
        prop_assert!(found.contains(&"x".to_owned()), "{:?}", found);
    }

    #[test]
    fn no_specifier_panics(words in prop::collection::vec("(\\.|/|@|#|\\*|!|\\?|:|a|é|b/c|\\.\\.|node|\\.js)", 0..12)) {
        let made = Made::new(&[("a/b/c.ts", ""), ("tsconfig.json", r#"{ "compilerOptions": { "baseUrl": ".", "paths": { "a*b": ["*"], "é*": ["a/*"] } } }"#)]);
        let (files, packages) = (made.files(), std::collections::BTreeMap::new());
        let (typescript, _) = TypeScript::read(&files, &packages);
        Resolver::new(&files, &typescript, &packages).resolve("a/b/c.ts", &words.concat());
    }
}
