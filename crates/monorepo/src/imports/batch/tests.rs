use std::collections::BTreeMap;

use super::super::TypeScript;
use super::*;
use crate::files::tests::Made;

fn sources<'f>(files: &'f Files<'_>) -> Vec<(&'f str, Entry)> {
    files.iter().collect()
}

#[test]
fn contents_are_scanned_once() {
    let mut made =
        Made::new(&[("a.ts", "import 'x'"), ("b.ts", "import 'x'"), ("c.tsx", "import 'y'"), ("d.md", "import 'z'")]);
    made.put("link.ts", Kind::Link, b"a.ts");
    let files = made.files();
    let mut cache = Cache::default();
    let scanned = scan_all(&files, &sources(&files), &mut cache);
    let names: Vec<_> = (0..5)
        .map(|place| scanned.imports(place).iter().map(|import| import.specifier.to_string()).collect::<String>())
        .collect();
    assert_eq!(names, ["x", "x", "y", "", ""]);
    // The next commit's contents are gone but for one: what was read is not read again.
    let other = Made::new(&[("new.ts", "import 'new'")]);
    let mut entries: Vec<_> = files.iter().map(|(path, entry)| (path.into(), entry)).collect();
    entries.extend(other.files().iter().map(|(path, entry)| (path.into(), entry)));
    let next = Files::new(entries, &other);
    let scanned = scan_all(&next, &sources(&next), &mut cache);
    assert_eq!(scanned.problems, []);
    assert_eq!((scanned.imports(0), scanned.imports(5)[0].specifier.as_ref()), (cache_first(&files).as_slice(), "new"));
}

fn cache_first(files: &Files<'_>) -> Vec<Import> {
    scan_all(files, &sources(files)[..1], &mut Cache::default()).imports(0).to_vec()
}

#[test]
fn all_imports_are_resolved_as_one_by_one() {
    let text = "import './b'; import 'pg'; import '../b/c.js'; import 'gone/x'; import './b.css'";
    let paths = ["a/a.ts", "a/b.ts", "a/b.css", "a/c.scss", "b/a.ts", "b/c.ts", "c.ts"];
    let texts: Vec<String> = paths.iter().map(|path| format!("{text} // {path}")).collect();
    let made = Made::new(&paths.iter().copied().zip(texts.iter().map(String::as_str)).collect::<Vec<_>>());
    let (files, packages) = (made.files(), BTreeMap::new());
    let (typescript, _) = TypeScript::read(&files, &packages);
    let resolver = Resolver::new(&files, &typescript, &packages);
    let scanned = scan_all(&files, &sources(&files), &mut Cache::default());
    let all = resolve_all(&resolver, &sources(&files), &scanned);
    assert_eq!(all.len(), paths.len());
    for (place, (path, _)) in sources(&files).iter().enumerate() {
        let one: Vec<_> =
            scanned.imports(place).iter().map(|import| resolver.resolve(path, &import.specifier)).collect();
        assert_eq!(all[place].iter().map(|resolution| resolution.as_ref().clone()).collect::<Vec<_>>(), one, "{path}");
    }
}

#[test]
fn trouble_is_told_with_the_file() {
    let large = format!("{}\nrequire('large')", "a;".repeat(1_100_000));
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain("import 'wide'".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let mut made = Made::new(&[
        ("a.ts", "import 'x'; const = 1; import 'y'"),
        ("b.min.js", "!function(){require('min')}()"),
        ("c.ts", &large),
        ("d.ts", "version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
    ]);
    made.put("e.ts", Kind::File, &utf16);
    made.put("f.ts", Kind::File, b"import 'x'\0");
    made.put("g.ts", Kind::File, b"import 'x'; // \xff");
    let files = made.files();
    let scanned = scan_all(&files, &sources(&files), &mut Cache::default());
    let names: Vec<Vec<_>> = (0..7)
        .map(|place| scanned.imports(place).iter().map(|import| import.specifier.to_string()).collect())
        .collect();
    assert_eq!(names, [vec!["x", "y"], vec!["min"], vec!["large"], vec![], vec!["wide"], vec![], vec!["x"]]);
    assert_eq!(
        scanned.problems,
        [
            Problem::new("a.ts", "Unexpected token").at(1),
            Problem::new("d.ts", "kept by Git LFS: what it imports is not in the repository"),
            Problem::new(
                "b.min.js",
                "minified or larger than 2 MiB, so it is searched for imports, not parsed; so are 1 more files like it"
            ),
        ]
    );
}

#[test]
fn a_content_that_cannot_be_read_is_a_problem() {
    let gone = Made::default();
    let made = Made::new(&[("a.ts", "import 'x'")]);
    let files = Files::new(made.files().iter().map(|(path, entry)| (path.into(), entry)).collect(), &gone);
    let scanned = scan_all(&files, &sources(&files), &mut Cache::default());
    assert_eq!(scanned.problems, [Problem::new("a.ts", "not in the clone")]);
}
