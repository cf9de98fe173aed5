//! `cargo xtask release-tree`: the tree that a release's tag points to.
//!
//! An action names its image by digest, so that who pins the suite by commit has pinned the image too; and a reusable workflow
//! names its siblings by the same release. Nothing in it is computed at run time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::image::ACTIONS;
use crate::process::root;

/// The reusable workflows that consumers call.
pub(crate) const WORKFLOWS: [&str; 5] = ["deliver", "operate", "preflight", "preview", "promote"];

/// What a consumer reads beside the actions.
const FILES: [&str; 7] = [
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "LICENSE",
    "docs/migrating.md",
    "docs/notifications.md",
    "docs/permissions.md",
];

/// Links to what is of the development tree alone.
const DEVELOPMENT: [&str; 3] = ["](ARCHITECTURE.md", "](CONTRIBUTING.md", "](examples/"];

/// What the tree is made for.
#[derive(clap::Args)]
pub(crate) struct Release {
    /// The folder to write, which must not exist, or be empty.
    directory: PathBuf,
    /// The image, by digest: `ghcr.io/org/actions@sha256:…`.
    #[arg(long)]
    image: String,
    /// The version: `v1.2.3`.
    #[arg(long)]
    version: String,
    /// The repository on GitHub that the tree is of.
    #[arg(long, default_value = "org/actions")]
    repository: String,
}

impl Release {
    /// A release of the suite itself.
    pub(crate) fn new(directory: &Path, image: &str, version: &str) -> Self {
        let (directory, repository) = (directory.to_owned(), "org/actions".to_owned());
        Self { directory, image: image.to_owned(), version: version.to_owned(), repository }
    }

    /// Writes the tree.
    pub(crate) fn write(&self) -> Result<()> {
        self.check()?;
        for name in ACTIONS {
            let from = root().join("actions").join(name);
            self.put(&format!("{name}/action.yml"), &self.pinned(&read(&from.join("action.yml"))?)?)?;
            self.put(&format!("{name}/README.md"), &read(&from.join("README.md"))?.replace("](../../", "](../"))?;
        }
        for name in WORKFLOWS {
            let path = format!(".github/workflows/{name}.yml");
            self.put(&path, &self.versioned(&read(&root().join(&path))?))?;
        }
        for name in FILES {
            let text = read(&root().join(name))?.replace("](actions/", "](").replace("](../actions/", "](../");
            self.put(name, &DEVELOPMENT.into_iter().fold(text, |text, page| text.replace(page, &self.on_main(page))))?;
        }
        self.put("schema/delivery.schema.json", &read(&root().join("schema/delivery.schema.json"))?)?;
        self.links()
    }

    fn check(&self) -> Result<()> {
        let digest = self.image.split_once("@sha256:").map(|(_, digest)| digest).unwrap_or_default();
        let is_digest = digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        ensure!(is_digest, "`--image {}` names no digest: write it as REPOSITORY@sha256:DIGEST", self.image);
        let numbers: Vec<&str> = self.version.strip_prefix('v').unwrap_or_default().split('.').collect();
        let is_version = numbers.len() == 3 && numbers.iter().all(|number| number.parse::<u32>().is_ok());
        ensure!(is_version, "`--version {}` is no version: write it as v1.2.3", self.version);
        let is_repository = self.repository.split('/').filter(|part| !part.is_empty()).count() == 2;
        ensure!(is_repository, "`--repository {}` is no repository: write it as OWNER/NAME", self.repository);
        if self.directory.exists() && std::fs::read_dir(&self.directory)?.next().is_some() {
            bail!("{} is there and not empty", self.directory.display());
        }
        Ok(())
    }

    /// An `action.yml` with the image in the place of the Dockerfile.
    fn pinned(&self, action: &str) -> Result<String> {
        let is_image = |line: &&str| line.trim_start().starts_with("image: ");
        let line = action.lines().find(is_image).context("an action.yml without an image")?;
        ensure!(line.contains("../../Dockerfile"), "an action.yml with an image of its own: `{line}`");
        Ok(action.replace(line, &format!("  image: docker://{}", self.image)))
    }

    /// A workflow whose steps use this release of the suite.
    fn versioned(&self, workflow: &str) -> String {
        ACTIONS.into_iter().fold(workflow.to_owned(), |text, name| {
            text.replace(&format!("./actions/{name}\n"), &format!("{}/{name}@{}\n", self.repository, self.version))
        })
    }

    fn on_main(&self, link: &str) -> String {
        link.replace("](", &format!("](https://github.com/{}/blob/main/", self.repository))
    }

    fn put(&self, path: &str, text: &str) -> Result<()> {
        let path = self.directory.join(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Every relative link leads to a file of the tree, or to one that stays in the repository.
    fn links(&self) -> Result<()> {
        let pages = ACTIONS.iter().map(|name| format!("{name}/README.md")).chain(FILES.map(str::to_owned));
        let mut broken = Vec::new();
        for page in pages {
            let text = read(&self.directory.join(&page))?;
            let folder = Path::new(&page).parent().unwrap_or(Path::new(""));
            for link in relative_links(&text) {
                if !self.directory.join(folder).join(link).exists() {
                    broken.push(format!("{page}: {link}"));
                }
            }
        }
        ensure!(broken.is_empty(), "links that lead nowhere in the release:\n{}", broken.join("\n"));
        Ok(())
    }
}

/// The targets of Markdown's links that are paths, without what is behind `#`.
fn relative_links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let paths = targets.map(|target| target.split('#').next().unwrap_or_default());
    paths.filter(|path| !path.is_empty() && !path.contains("://") && !path.starts_with("mailto:"))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(directory: &Path) -> Release {
        Release::new(directory, &format!("ghcr.io/org/actions@sha256:{}", "a".repeat(64)), "v1.2.3")
    }

    #[test]
    fn a_pin_of_the_tree_pins_the_image_and_the_siblings() {
        let directory = tempfile::tempdir().unwrap();
        let release = release(&directory.path().join("tree"));
        release.write().unwrap();
        for name in ACTIONS {
            let action = read(&release.directory.join(name).join("action.yml")).unwrap();
            assert!(action.contains(&format!("\n  image: docker://{}\n", release.image)), "{action}");
            assert!(!action.contains("Dockerfile"), "{action}");
        }
        for name in WORKFLOWS {
            let workflow = read(&release.directory.join(format!(".github/workflows/{name}.yml"))).unwrap();
            let uses = workflow.lines().filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix("uses: "));
            for used in uses.map(|used| used.split(" #").next().unwrap()) {
                let version = used.split_once('@').unwrap().1;
                assert!(
                    version == "v1.2.3" && used.starts_with("org/actions/") || version.len() == 40,
                    "{name}: {used}"
                );
            }
        }
        let again = release.write().unwrap_err().to_string();
        assert!(again.ends_with("is there and not empty"), "{again}");
    }

    #[test]
    fn what_is_no_release_is_refused_before_anything_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        for (change, told) in [
            ((|release| release.image = "ghcr.io/org/actions:v1".to_owned()) as fn(&mut Release), "names no digest"),
            (|release| release.version = "v1".to_owned(), "is no version"),
            (|release| release.repository = "actions".to_owned(), "is no repository"),
        ] {
            let mut release = release(&tree);
            change(&mut release);
            let error = release.write().unwrap_err().to_string();
            assert!(error.contains(told) && !tree.exists(), "{error}");
        }
    }
}
