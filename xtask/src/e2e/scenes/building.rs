//! Images that a real engine builds: of secrets, of each other, twice the same, and badly.

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::open;
use crate::docker::remove_images;
use crate::e2e::monorepo::{ENVIRONMENT, Monorepo};
use crate::e2e::runner::{Completed, errors};
use crate::e2e::stage::Stage;
use crate::process::{Run, program, say};

/// A secret that is in nothing but the step's environment and the build's mount.
const SECRET: &str = "workshop-token-6f1d";

const BASE: &str = r#"FROM scratch
COPY tool /tool
HEALTHCHECK CMD ["/tool", "healthcheck"]
"#;

/// Names the base as a registry would have it that nobody serves.
const APP: &str = r#"FROM registry.invalid/workshop/base:main
RUN --mount=type=secret,id=npm,target=/token,mode=0444 ["/tool", "read", "/token"]
COPY app/ /app/
USER 65532
"#;

pub(super) fn play(stage: &Stage) -> Result<()> {
    remove_images(&["workshop/*:*".to_owned()])?;
    let workshop = Workshop::open(stage)?;
    let played = workshop
        .one_of_the_other_with_a_secret()
        .and_then(|(commit, before)| workshop.twice_the_same(&commit, &before))
        .and_then(|()| workshop.a_step_fails())
        .and_then(|()| workshop.two_images_against_the_policy());
    played.and(remove_images(&["workshop/*:*".to_owned()]))
}

struct Workshop<'a> {
    stage: &'a Stage,
    repository: Monorepo,
}

impl<'a> Workshop<'a> {
    fn open(stage: &'a Stage) -> Result<Self> {
        let repository = Monorepo::blank(stage.place("workshop"))?;
        let binary = stage.repository.path.join("libs/server/sample-service");
        std::fs::copy(binary, repository.path.join("tool")).context("cannot copy the tool")?;
        repository.write("app/about.txt", "first version\n")?;
        repository.write("base/Dockerfile", BASE)?;
        repository.write("app/Dockerfile", APP)?;
        repository.write("delivery.toml", &delivery())?;
        Ok(Self { stage, repository })
    }

    fn one_of_the_other_with_a_secret(&self) -> Result<(String, String)> {
        open("an image made of another, with a secret");
        let before = self.repository.head()?;
        let commit = self.repository.commit("Two services")?;
        // An engine that has seen the step before would not run it.
        let built = self.build(&commit, &before, &[("cache", "none")], "affected")?;
        for service in ["base", "app"] {
            let reference = format!("workshop/{service}:{commit}");
            let told = docker(&["history", "--no-trunc", &reference])? + &docker(&["inspect", &reference])?;
            // The runner takes the line that has it mask a value for itself.
            let log: String = built.log.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
            if [&told, &log, &built.summary].into_iter().any(|text| text.contains(SECRET)) {
                bail!("the secret is told:\n{told}\n{}", built.log);
            }
        }
        if !built.log.contains(&format!("{} bytes", SECRET.len())) {
            bail!("the step did not see the secret:\n{}", built.log);
        }
        let (base, app) = (layers(&commit, "base")?, layers(&commit, "app")?);
        if !app.starts_with(&base) || app.len() <= base.len() {
            bail!("app is not made of base: {app:?} does not begin with {base:?}");
        }
        say("  app is made of the base of the same commit; the secret is nowhere");
        Ok((commit, before))
    }

    /// What a checkout and a clock make of it is no part of what is copied. (What a `RUN` writes has the time of its writing, and
    /// before Docker 23 so have the image itself and the folders that a `COPY` makes.)
    fn twice_the_same(&self, commit: &str, before: &str) -> Result<()> {
        open("the same commit twice");
        let first = layers(commit, "base")?;
        for file in ["tool", "app/about.txt", "app", "base/Dockerfile"] {
            program("touch").arg(self.repository.path.join(file)).read()?;
        }
        self.build(commit, before, &[("cache", "none"), ("parallel", "1")], "affected")?;
        let second = layers(commit, "base")?;
        if first != second {
            bail!("built twice, it is not the same: {first:?} and {second:?}");
        }
        say("  the same layers, built anew");
        Ok(())
    }

    fn a_step_fails(&self) -> Result<()> {
        open("a step of a build that fails");
        let before = self.repository.head()?;
        let broken = APP.replace("COPY app/", "RUN [\"/tool\", \"read\", \"/nowhere\"]\nCOPY app/");
        self.repository.write("app/Dockerfile", &broken)?;
        let commit = self.repository.commit("app: a step that fails")?;
        let failed = self.build(&commit, &before, &[], "failed")?;
        for words in ["app/Dockerfile:3: ", "cannot read /nowhere"] {
            expect(&failed, words)?;
        }
        self.repository.write("app/Dockerfile", APP)
    }

    fn two_images_against_the_policy(&self) -> Result<()> {
        open("two images against the policy");
        let before = self.repository.head()?;
        let root = "FROM scratch\nCOPY tool /tool\nENV DB_PASSWORD=hunter2\n";
        for service in ["base", "app"] {
            self.repository.write(&format!("{service}/Dockerfile"), root)?;
        }
        let commit = self.repository.commit("Two images against the policy")?;
        let refused = self.build(&commit, &before, &[], "failed")?;
        for words in ["`base`: ", "`app`: ", "no USER", "no HEALTHCHECK", "ENV DB_PASSWORD", "no file about.txt"] {
            expect(&refused, words)?;
        }
        if refused.log.contains("hunter2") || refused.summary.contains("hunter2") {
            bail!("the password is told:\n{}", refused.log);
        }
        Ok(())
    }

    fn build(&self, commit: &str, before: &str, more: &[(&str, &str)], result: &str) -> Result<Completed> {
        let workflow = self.stage.push_to(&self.repository, commit, before, &[("NPM_TOKEN", SECRET)])?;
        let inputs: Vec<(&str, &str)> = [("build", "true")].iter().chain(more).copied().collect();
        workflow.step("build-affected", &inputs, result)
    }
}

/// The words are in the one annotation that a failure has.
fn expect(completed: &Completed, words: &str) -> Result<()> {
    let told = errors(&completed.log).join("\n");
    if told.contains(words) { Ok(()) } else { bail!("`{words}` is not told: {told}\n{}", completed.log) }
}

fn layers(commit: &str, service: &str) -> Result<Vec<String>> {
    let text = docker(&["inspect", "--format", "{{json .RootFS.Layers}}", &format!("workshop/{service}:{commit}")])?;
    let layers: Value = serde_json::from_str(&text)?;
    Ok(serde_json::from_value(layers)?)
}

fn docker(arguments: &[&str]) -> Result<String> {
    program("docker").args(arguments).read()
}

fn delivery() -> String {
    let services: String = ["base", "app"]
        .map(|service| {
            format!(
                "[services.{service}]\npath = \"{service}\"\nrepository = \"workshop/{service}\"\ncontainer = \"app\"\n\
                 paths = [\"tool\"]\n\n"
            )
        })
        .concat();
    format!(
        "name = \"workshop\"\n\n[environments.{ENVIRONMENT}]\nbranch = \"main\"\ncluster = \"workshop\"\n\n{services}\
         [services.app.build]\nsecrets = {{ npm = \"NPM_TOKEN\" }}\n\n\
         [services.base.image-policy]\nrequire-non-root = false\nrequired-files = [\"tool\"]\n\n\
         [services.app.image-policy]\nrequired-files = [\"about.txt\"]\n"
    )
}
