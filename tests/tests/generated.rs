//! What is printed from code is what is in the tree.

use std::fs;

#[test]
fn printed_files_are_up_to_date() {
    let drifted: Vec<String> = repository::generated()
        .unwrap()
        .into_iter()
        .filter(|(path, text)| fs::read_to_string(repository::root().join(path)).ok().as_ref() != Some(text))
        .map(|(path, _)| path)
        .collect();
    assert!(drifted.is_empty(), "run `cargo xtask generate`: {drifted:?} changed");
}
