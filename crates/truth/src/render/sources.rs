//! Sources: TypeScript and Rust that import what the model says, in the many ways that code does.

use std::fmt::Write as _;

use crate::model::{File, Kind};
use crate::render::Blob;
use crate::shape::Tool;

/// Sources are padded to about what one has in a monorepo that was measured (46 MB in 39,000 files).
const SIZE: usize = 1_150;

pub(crate) fn render(tool: Tool, path: &str, file: &File) -> Blob {
    let mode = if file.executable { "100755" } else { "100644" };
    let text = match &file.kind {
        Kind::Link(target) => return Blob { mode: "120000", text: target.clone() },
        Kind::Source | Kind::Spec if path.ends_with(".rs") => rust(path, file),
        Kind::Source | Kind::Spec => typescript(tool, path, file),
        Kind::Readme => format!("# {path}\n\nEdition {}. See `import '@acme/core'`.\n", file.revision),
        Kind::Fixture => format!("{{ \"edition\": {}, \"of\": \"a fixture\" }}\n", file.revision),
        Kind::Text => format!("# edition {} of {path:?}\n", file.revision),
    };
    Blob { mode, text }
}

fn typescript(tool: Tool, path: &str, file: &File) -> String {
    let mut text = String::with_capacity(SIZE + 256);
    for (nth, specifier) in file.imports.iter().enumerate() {
        let way = (specifier.len() + nth) % 6;
        let _ = match way {
            0 => writeln!(text, "import {{ value as value{nth} }} from '{specifier}';"),
            1 => writeln!(text, "import type {{ Value as Value{nth} }} from \"{specifier}\";"),
            2 => writeln!(text, "export * as again{nth} from '{specifier}';"),
            3 => writeln!(text, "import * as all{nth} from \"{specifier}\";"),
            4 => writeln!(text, "const later{nth} = () => import('{specifier}');"),
            _ => writeln!(text, "import {{\n  value as value{nth},\n}} from '{specifier}';"),
        };
    }
    if tool != Tool::Plain && path.ends_with("/src/index.ts") {
        text.push_str("import { part } from './part_01';\n");
    }
    if let Some(decoy) = &file.decoy {
        let _ = writeln!(text, "// formerly: import {{ value }} from '{decoy}';\n/* require('{decoy}') */");
        let _ = writeln!(text, "export const snippet = \"import x from '{decoy}'\" + `import('{decoy}')`;");
    }
    let _ = writeln!(text, "export interface Value {{ readonly edition: number }}");
    let _ = writeln!(text, "export const value: Value = {{ edition: {} }};", file.revision);
    let _ = writeln!(text, "export const part = {path:?};");
    pad(&mut text, "export const");
    text
}

fn rust(path: &str, file: &File) -> String {
    let mut text = format!("//! {path:?}, edition {}.\n", file.revision);
    for specifier in &file.imports {
        let _ = writeln!(text, "pub use {}::VALUE as _;", specifier.replace('-', "_"));
    }
    if let Some(decoy) = &file.decoy {
        let _ = writeln!(text, "// formerly: use {}::VALUE;", decoy.replace('-', "_"));
    }
    let _ = writeln!(text, "pub const VALUE: u32 = {};", file.revision);
    pad(&mut text, "pub const");
    text
}

fn pad(text: &mut String, keyword: &str) {
    let mut line = 0;
    while text.len() < SIZE {
        let _ = match keyword {
            "pub const" => writeln!(text, "pub const LINE_{line}: &str = \"one of the lines that a module has\";"),
            _ => writeln!(text, "{keyword} line{line} = (input: number): number => input * {line} + {};", line * 7),
        };
        line += 1;
    }
}
