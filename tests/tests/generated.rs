//! What is printed from code is what is in the tree.

#[test]
fn printed_files_are_up_to_date() {
    let drifted = repository::drifted().unwrap();
    assert!(drifted.is_empty(), "run `cargo xtask generate`: {drifted:?} would change");
}
