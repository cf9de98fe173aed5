//! What scenarios ask of GitHub, and are answered, is left for `cargo xtask check`, which holds it against GitHub's own description
//! of its API: neither the actions nor the simulated GitHub can drift into fiction.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;

use serde_json::json;
use world::{Call, World};

/// Where each scenario leaves its exchanges, a file each.
const EXCHANGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/scenarios/github");

/// Notes every exchange with GitHub since `from`.
pub(crate) fn note(world: &World, from: usize) {
    for call in world.calls().iter().skip(from).filter(|call| is_of_github(call)) {
        let exchange = json!({ "name": call.name, "request": call.body, "status": call.status, "answer": call.answer });
        let text = exchange.to_string();
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let file = Path::new(EXCHANGES).join(format!("{:016x}.json", hasher.finish()));
        let noted = std::fs::create_dir_all(EXCHANGES).and_then(|()| std::fs::write(&file, text));
        assert!(noted.is_ok(), "cannot note `{}` in {}: {noted:?}", call.name, file.display());
    }
}

/// GitHub's calls are named by method and path; so are those of registries, whose paths begin with `/v2/`.
fn is_of_github(call: &Call) -> bool {
    let path = call.name.split_once(' ').map_or("", |(_, path)| path);
    path == "/user" || path.starts_with("/repos/")
}
