//! What a `package.json` says of where its modules are: `exports`, `imports`, `main` and their like
//! (<https://nodejs.org/api/packages.html>).

use serde_json::Value;

/// The fields that name a package's module, in the order in which they are tried.
const MAINS: [&str; 7] = ["types", "typings", "module", "browser", "main", "source", "svelte"];

/// A `package.json`, as far as it tells of modules.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    exports: Value,
    imports: Value,
    mains: Vec<String>,
    /// What `extends` takes from a package of `tsconfig.json` files.
    pub(super) tsconfig: Option<String>,
}

impl Manifest {
    /// Reads a manifest; one that is broken says nothing.
    pub(super) fn read(text: &str) -> Self {
        let Ok(Value::Object(mut package)) = serde_json::from_str(text) else { return Self::default() };
        let text = |field: &str| package.get(field).and_then(Value::as_str).map(str::to_owned);
        let (mains, tsconfig) = (MAINS.iter().filter_map(|field| text(field)).collect(), text("tsconfig"));
        let mut take = |field: &str| package.remove(field).unwrap_or_default();
        Self { exports: take("exports"), imports: take("imports"), mains, tsconfig }
    }

    /// Where a module of the package may be, relative to its folder: all that some condition chooses, as it is not known under
    /// which conditions an image is built. `subpath` is what comes after the package's name and `/`.
    pub(super) fn modules(&self, subpath: &str) -> Vec<String> {
        let key = if subpath.is_empty() { ".".to_owned() } else { format!("./{subpath}") };
        let mut modules = chosen(&self.exports, &key);
        if subpath.is_empty() {
            modules.extend(self.mains.iter().cloned());
        }
        modules
    }

    /// What a specifier that begins with `#` may stand for in the package.
    pub(super) fn own(&self, specifier: &str) -> Vec<String> {
        chosen(&self.imports, specifier)
    }
}

/// The targets of a key.
fn chosen(table: &Value, key: &str) -> Vec<String> {
    let mut targets = Vec::new();
    let is_table = |entries: &serde_json::Map<String, Value>| entries.keys().any(|key| key.starts_with(['.', '#']));
    match table {
        Value::Object(entries) if is_table(entries) => match entries.get(key) {
            Some(value) => collect(value, "", &mut targets),
            None => {
                let fits = entries.iter().filter_map(|(pattern, value)| Some((pattern, star(pattern, key)?, value)));
                if let Some((_, star, value)) = fits.max_by_key(|(pattern, ..)| pattern.find('*')) {
                    collect(value, star, &mut targets);
                }
            }
        },
        Value::Null => {}
        value if key == "." => collect(value, "", &mut targets),
        _ => {}
    }
    targets
}

fn star<'k>(pattern: &str, key: &'k str) -> Option<&'k str> {
    let (prefix, suffix) = pattern.split_once('*')?;
    key.strip_prefix(prefix)?.strip_suffix(suffix)
}

/// All that a target's conditions choose from, in order.
fn collect(value: &Value, star: &str, targets: &mut Vec<String>) {
    match value {
        Value::String(target) => targets.push(target.replace('*', star)),
        Value::Array(values) => values.iter().for_each(|value| collect(value, star, targets)),
        Value::Object(conditions) => conditions.values().for_each(|value| collect(value, star, targets)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_where_exports_or_main_say() {
        let check = |package: &str, subpath: &str, expected: &[&str]| {
            assert_eq!(Manifest::read(package).modules(subpath), expected, "{package}");
        };
        check(r#"{ "main": "lib/index.js", "types": "lib/index.d.ts" }"#, "", &["lib/index.d.ts", "lib/index.js"]);
        check(r#"{ "exports": "./src/index.ts" }"#, "", &["./src/index.ts"]);
        check(r#"{ "exports": { "types": "./a.ts", "default": ["./b.js", null] } }"#, "", &["./a.ts", "./b.js"]);
        check(r#"{ "exports": { ".": { "import": { "node": "./a.mjs" } } } }"#, "", &["./a.mjs"]);
        check(r#"{ "exports": { "./x": "./src/x.ts", "./*": "./src/*/index.ts" } }"#, "x", &["./src/x.ts"]);
        check(r#"{ "exports": { "./*": "./src/*.ts", "./a/*": "./a/src/*.ts" } }"#, "a/b", &["./a/src/b.ts"]);
        check(r#"{ "exports": { "./x": null }, "main": "a.js" }"#, "x", &[]);
        check("{ broken", "", &[]);
    }

    #[test]
    fn a_package_may_name_its_own_modules() {
        let package =
            Manifest::read(r##"{ "imports": { "#db": "./src/db.ts", "#lib/*": { "default": "./lib/*.js" } } }"##);
        assert_eq!(
            (package.own("#db"), package.own("#lib/a/b")),
            (vec!["./src/db.ts".into()], vec!["./lib/a/b.js".into()])
        );
        assert_eq!(package.own("#other"), [""; 0]);
    }
}
