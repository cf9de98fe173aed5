//! A consumer's workflows, run by `act` (<https://nektosact.com>): ten lines that call the reusable ones of a release, whose
//! actions are containers from a registry, by digest.
//!
//! act runs jobs, matrices, outputs and container actions as GitHub does. It knows nothing of concurrency, environments and
//! their reviewers, permissions and OpenID Connect: of those only what the linters say is known here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{open, pull_requests, releasing};
use crate::e2e::infrastructure::BOOTSTRAP;
use crate::e2e::monorepo::{BILLING, BROKEN_SERVICE, SERVICES, STAGING};
use crate::e2e::stage::{Stage, credentials, short};
use crate::process::{Run, create, is_installed, program, say, target};
use crate::release::Release;
use crate::{docker, poll, tools};

const VERSION: &str = "v1.0.0";
const RUNNER: &str = "delivery-runner:bookworm";

const DELIVER: &str = "name: deliver
on:
  push:
    branches: [main]
jobs:
  deliver:
    uses: org/actions/.github/workflows/deliver.yml@v1
    permissions: { contents: read, id-token: write, deployments: write }
    with:
      environment: production
  told:
    needs: deliver
    runs-on: ubuntu-24.04
    steps:
      - run: echo \"delivered $SERVICES ($RESULT, $HEALTH)\"
        env:
          SERVICES: ${{ needs.deliver.outputs.services }}
          RESULT: ${{ needs.deliver.outputs.result }}
          HEALTH: ${{ needs.deliver.outputs.health }}
";

const OPERATE: &str = "name: operate
on:
  workflow_dispatch:
    inputs:
      operation: { type: string, required: true }
      services: { type: string }
      to: { type: string }
      desired-count: { type: string }
jobs:
  operate:
    uses: org/actions/.github/workflows/operate.yml@v1
    permissions: { contents: read, id-token: write, deployments: write }
    with:
      operation: ${{ inputs.operation }}
      environment: production
      services: ${{ inputs.services }}
      to: ${{ inputs.to }}
      desired-count: ${{ inputs.desired-count }}
";

const PREFLIGHT: &str = "name: preflight
on: workflow_dispatch
jobs:
  preflight:
    uses: org/actions/.github/workflows/preflight.yml@v1
    permissions: { actions: read, contents: read, id-token: write }
    with:
      environment: production
";

const STAGED: &str = "name: staging
on: workflow_dispatch
jobs:
  deliver:
    uses: org/actions/.github/workflows/deliver.yml@v1
    permissions: { contents: read, id-token: write, deployments: write }
    with:
      environment: staging
";

const PROMOTE: &str = "name: promote
on: workflow_dispatch
jobs:
  promote:
    uses: org/actions/.github/workflows/promote.yml@v1
    permissions: { contents: read, id-token: write, deployments: write }
    with:
      from: staging
      environment: production
";

const PREVIEW: &str = "name: preview
on: pull_request
jobs:
  preview:
    uses: org/actions/.github/workflows/preview.yml@v1
    permissions: { contents: read, pull-requests: write }
";

/// A preflight, a push that delivers, a bad version that goes back, dispatches, a pull request. `before` is what each service runs.
pub(super) fn play(stage: &Stage, before: [&str; 3]) -> Result<()> {
    let image = stage.push_suite(VERSION)?;
    releasing::play(&image)?;
    let act = Act::set_up(stage, &image)?;
    let workflows = [
        ("preflight", PREFLIGHT),
        ("deliver", DELIVER),
        ("operate", OPERATE),
        ("staging", STAGED),
        ("promote", PROMOTE),
        ("preview", PREVIEW),
    ];
    for (name, text) in workflows {
        stage.repository.write(&format!(".github/workflows/{name}.yml"), text)?;
    }
    // Whoever has no checkout of the runner's needs the certificate of the registry, which is of this machine alone.
    std::fs::copy(stage.certificate(), stage.repository.path.join(CERTIFICATE))?;
    stage.repository.commit("The workflows")?;
    open("is the environment ready?");
    let log = act.run("preflight", "workflow_dispatch", &[])?.good()?;
    expect(&log, "result=unchanged")?;
    open("a consumer's workflow delivers a push");
    stage.repository.write_into_image(BILLING, "about.txt", "delivered by a workflow\n")?;
    let commit = stage.repository.commit("billing, by a workflow")?;
    let log = act.run("deliver", "push", &[])?.good()?;
    expect(&log, &format!("delivered [\"{BILLING}\"] (deployed, healthy)"))?;
    let [auth, _, checkout] = before;
    let expected = [auth, &commit, checkout];
    SERVICES.iter().zip(expected).try_for_each(|(service, version)| stage.expect_version(service, version))?;

    open("a consumer's workflow with a bad version");
    stage.repository.write_into_image(BILLING, BROKEN_SERVICE, "crash\n")?;
    stage.repository.commit("billing: a version that crashes")?;
    let log = act.run("deliver", "push", &[])?.bad()?;
    expect(&log, "::error title=ecs-deploy::")?;
    SERVICES.iter().zip(expected).try_for_each(|(service, version)| stage.expect_version(service, version))?;
    stage.repository.remove_from_image(BILLING, BROKEN_SERVICE)?;

    dispatches(stage, &act, before)?;
    promotion(stage, &act)?;
    let base = stage.repository.head()?;
    let head = pull_requests::play(stage, &stage.folder("pull-requests")?, &base)?;
    open("a consumer's workflow previews the pull request");
    let event = target().join("e2e/pull-request.json");
    std::fs::write(&event, pull_requests::event(&head, &base).to_string())?;
    let log = act.run("preview", "pull_request", &[])?.good()?;
    expect(&log, "result=affected")
}

/// What a release manager does by hand. In the end the services run what they ran `before` the delivery.
fn dispatches(stage: &Stage, act: &Act<'_>, before: [&str; 3]) -> Result<()> {
    open("a release manager's dispatches");
    for inputs in [
        &[("operation", "restart")][..],
        &[("operation", "scale"), ("services", BILLING), ("desired-count", "2")],
        &[("operation", "scale"), ("services", BILLING), ("desired-count", "3")],
        &[("operation", "rollback"), ("to", "previous")],
    ] {
        let log = act.run("operate", "workflow_dispatch", inputs)?.good()?;
        expect(&log, "result=deployed")?;
    }
    let log = act.run("operate", "workflow_dispatch", &[("operation", "explain")])?.good()?;
    expect(&log, "result=unchanged")?;
    SERVICES.iter().zip(before).try_for_each(|(service, version)| stage.expect_version(service, version))
}

/// Two environments: what is delivered to the one goes to the other as it is.
fn promotion(stage: &Stage, act: &Act<'_>) -> Result<()> {
    open("a delivery to staging");
    stage.create_environment(STAGING)?;
    for service in SERVICES {
        stage.repository.write_into_image(service, "about.txt", "for staging first\n")?;
    }
    let commit = stage.repository.commit("All services, for staging first")?;
    SERVICES.iter().try_for_each(|service| wait_in_staging(stage, service, BOOTSTRAP))?;
    act.run("staging", "workflow_dispatch", &[])?.good()?;
    SERVICES.iter().try_for_each(|service| wait_in_staging(stage, service, &commit))?;
    open("a promotion to production");
    let log = act.run("promote", "workflow_dispatch", &[])?.good()?;
    expect(&log, "result=deployed")?;
    SERVICES.iter().try_for_each(|service| stage.expect_version(service, &commit))
}

fn wait_in_staging(stage: &Stage, service: &str, version: &str) -> Result<()> {
    poll::until(&format!("version {} of {service} in staging", short(version)), Duration::from_secs(60), || {
        let answered = stage.version_in(STAGING, service)?;
        if answered == version { Ok(()) } else { bail!("it answers with {answered}") }
    })
}

/// Where the registry's certificate lies in the consumer's repository.
const CERTIFICATE: &str = "registry.pem";

/// `act`, and the release that it takes the suite from.
struct Act<'a> {
    stage: &'a Stage,
    program: PathBuf,
    tree: PathBuf,
}

/// How a run ended, and what it said.
struct Ended {
    is_good: bool,
    log: String,
}

impl<'a> Act<'a> {
    fn set_up(stage: &'a Stage, image: &str) -> Result<Self> {
        let program = tools::act()?;
        runner_image()?;
        let tree = target().join("e2e/release");
        if tree.exists() {
            std::fs::remove_dir_all(&tree).with_context(|| format!("cannot clear {}", tree.display()))?;
        }
        Release::new(&tree, image, VERSION).write()?;
        for name in crate::release::WORKFLOWS {
            without_what_act_does_not_know(&tree.join(format!(".github/workflows/{name}.yml")))?;
        }
        stage.repository.remote("https://github.com/payments/payments")?;
        Ok(Self { stage, program, tree })
    }

    /// One run of a workflow. What act itself tells of an event is enough, but for a pull request.
    fn run(&self, workflow: &str, event: &str, inputs: &[(&str, &str)]) -> Result<Ended> {
        let repository = &self.stage.repository.path;
        let file = target().join(format!("e2e/act-{workflow}.log"));
        let mut act = program(&self.program);
        act.current_dir(repository).arg(event).args(["--platform", &format!("ubuntu-24.04={RUNNER}")]);
        if event == "pull_request" {
            act.arg("--eventpath").arg(target().join("e2e/pull-request.json"));
        }
        act.args(["--workflows", &format!(".github/workflows/{workflow}.yml")]);
        act.args(["--pull=false", "--action-offline-mode", "--rm", "--secret", "GITHUB_TOKEN="]);
        for version in ["v1", VERSION] {
            act.arg("--local-repository").arg(format!("org/actions@{version}={}", self.tree.display()));
        }
        let certificate = repository.join(CERTIFICATE).display().to_string();
        let environment = credentials().into_iter().chain([("AWS_CA_BUNDLE".to_owned(), certificate)]);
        act.args(environment.flat_map(|(name, value)| ["--env".to_owned(), format!("{name}={value}")]));
        act.args(inputs.iter().flat_map(|(name, value)| ["--input".to_owned(), format!("{name}={value}")]));
        let output = create(&file)?;
        let status = act.stdout(output.try_clone()?).stderr(output).status().context("cannot start act")?;
        Ok(Ended { is_good: status.success(), log: std::fs::read_to_string(&file)? })
    }
}

impl Ended {
    fn good(self) -> Result<String> {
        if self.is_good { Ok(self.log) } else { bail!("the workflow failed:\n{}", self.log) }
    }

    fn bad(self) -> Result<String> {
        if self.is_good { bail!("the workflow did not fail:\n{}", self.log) } else { Ok(self.log) }
    }
}

fn expect(log: &str, words: &str) -> Result<()> {
    if !log.contains(words) {
        bail!("the workflow does not say `{words}`:\n{log}");
    }
    say(format!("  says: {words}"));
    Ok(())
}

/// act holds workflows against a description that is older than these two keys.
fn without_what_act_does_not_know(workflow: &Path) -> Result<()> {
    let text = std::fs::read_to_string(workflow)?;
    let is_known = |line: &&str| !matches!(line.trim(), "queue: max" | "deployment: false");
    let known: String = text.lines().filter(is_known).map(|line| format!("{line}\n")).collect();
    Ok(std::fs::write(workflow, known)?)
}

/// What jobs run in: Debian with git and Node, for no image can be had from GitHub's.
fn runner_image() -> Result<()> {
    if docker::has_image(RUNNER)? {
        return Ok(());
    }
    let root = target().join("e2e/runner-root");
    say("  makes an image for the jobs, once (some minutes)");
    if root.exists() {
        std::fs::remove_dir_all(&root).with_context(|| format!("cannot clear {}", root.display()))?;
    }
    if !is_installed("debootstrap") {
        tools::debian_package("debootstrap")?;
    }
    program("debootstrap")
        .args(["--variant=minbase", "--include=nodejs,git,ca-certificates", "bookworm"])
        .arg(&root)
        .arg("https://deb.debian.org/debian")
        .log(&target().join("e2e/debootstrap.log"))?;
    let archive = target().join("e2e/runner.tar");
    program("tar").arg("-C").arg(&root).arg("-cf").arg(&archive).arg(".").read()?;
    program("docker").arg("import").arg(&archive).arg(RUNNER).read()?;
    std::fs::remove_file(&archive)?;
    std::fs::remove_dir_all(&root).with_context(|| format!("cannot remove {}", root.display()))
}
