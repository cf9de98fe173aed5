//! How the image of one service is built, as the delivery file says.

use std::collections::BTreeMap;

/// One service. Its folders and files are relative to the repository's root, which is blank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// What it is called.
    pub key: String,
    /// The delivery file that says so.
    pub file: String,
    /// The folder of its sources.
    pub folder: String,
    /// Its Dockerfile.
    pub dockerfile: String,
    /// The folder that the Dockerfile copies from.
    pub context: String,
    /// What its image is called, without registry and tag.
    pub repository: String,
    /// The stage that is built; `None` is the last.
    pub target: Option<String>,
    /// The values of the Dockerfile's `ARG`s.
    pub arguments: BTreeMap<String, String>,
    /// What it is built for: `linux/arm64`.
    pub platform: Option<String>,
    /// Named contexts: a folder, `service:KEY` for another service's image, or whatever else BuildKit takes.
    pub contexts: BTreeMap<String, String>,
    /// Files and folders that it is made of beside what is known.
    pub paths: Vec<String>,
    /// The services whose change changes this one too.
    pub depends_on: Vec<String>,
}

impl Service {
    /// The services whose images it names as contexts.
    pub(crate) fn context_services(&self) -> impl Iterator<Item = &str> {
        self.contexts.values().filter_map(|context| context.strip_prefix("service:"))
    }
}
