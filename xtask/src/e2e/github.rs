//! GitHub's API: one that remembers (<https://emulate.dev>), behind a proxy that refuses what GitHub's own description does not allow
//! (<https://docs.stoplight.io/docs/prism>).

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::server::{Server, tied};
use crate::process::say;
use crate::tools;

/// Where the proxy answers, and what it stands before.
pub(crate) const URL: &str = "http://127.0.0.1:4011";
const REMEMBERS: &str = "http://127.0.0.1:4001";
pub(crate) const REPOSITORY: &str = "payments/payments";

const PACKAGES: [&str; 3] = ["emulate@0.12.2", "node@24", "@stoplight/prism-cli@5.14.2"];

/// What of GitHub's API is described to the proxy, by the beginnings of its paths: the whole of it takes half a minute to read.
const DESCRIBED: [&str; 3] = ["/user", "/repos/{owner}/{repo}/issues", "/repos/{owner}/{repo}/pulls"];

/// GitHub with one repository and one pull request. Stopped when dropped.
pub(crate) struct GitHub {
    _remembers: Server,
    _proxy: Server,
}

impl GitHub {
    /// Starts both.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let packages = tools::node_packages("github", &PACKAGES)?.join("node_modules");
        let node = packages.join("node/bin/node");
        let seed = folder.join("github.json");
        let (owner, name) = REPOSITORY.split_once('/').unwrap_or_default();
        let content =
            json!({ "github": { "users": [{ "login": owner }], "repos": [{ "owner": owner, "name": name }] } });
        std::fs::write(&seed, content.to_string()).context("cannot write what GitHub begins with")?;
        let mut command = tied(&node);
        command.arg(packages.join("emulate/dist/index.js"));
        command.args(["start", "--service", "github", "--port", "4001", "--seed"]).arg(&seed);
        let remembers = Server::start("github", &mut command, || answers(REMEMBERS))?;
        let description = describe(folder)?;
        let mut command = tied(&node);
        command.arg(packages.join("@stoplight/prism-cli/dist/index.js"));
        command.args(["proxy", "--host", "127.0.0.1", "--port", "4011", "--errors"]).arg(description).arg(REMEMBERS);
        let proxy = Server::start("prism", &mut command, || answers(URL))?;
        say(format!("GitHub's API answers on {URL}"));
        let github = Self { _remembers: remembers, _proxy: proxy };
        // Comments are of issues, and every pull request is one.
        let title = json!({ "title": "A change" });
        ureq::post(format!("{URL}/repos/{REPOSITORY}/issues")).header("authorization", "Bearer x").send_json(title)?;
        Ok(github)
    }

    /// The comments on the pull request.
    pub(crate) fn comments(&self) -> Result<Vec<String>> {
        let mut answer = ureq::get(format!("{URL}/repos/{REPOSITORY}/issues/1/comments")).call()?;
        let comments: Vec<Value> = answer.body_mut().read_json()?;
        let bodies = comments.iter().map(|comment| comment.get("body")?.as_str().map(str::to_owned));
        bodies.collect::<Option<_>>().context("a comment without a body")
    }
}

fn answers(url: &str) -> Result<()> {
    ureq::get(format!("{url}/repos/{REPOSITORY}/issues")).call()?;
    Ok(())
}

/// GitHub's description of what the actions ask it for.
fn describe(folder: &Path) -> Result<std::path::PathBuf> {
    let whole = std::fs::read_to_string(tools::github_description()?).context("cannot read GitHub's description")?;
    let mut description: Value = serde_json::from_str(&whole)?;
    let paths = description.get_mut("paths").and_then(Value::as_object_mut).context("a description without paths")?;
    paths.retain(|path, _| DESCRIBED.iter().any(|beginning| path.starts_with(beginning)));
    let file = folder.join("github-described.json");
    std::fs::write(&file, description.to_string()).context("cannot write what is left of GitHub's description")?;
    Ok(file)
}
