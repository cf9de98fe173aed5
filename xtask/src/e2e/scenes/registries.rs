//! The registry that others are measured by, distribution's, as Debian has it: images out of every form, whole; and a line to it
//! that breaks. Whether an image is whole is what skopeo says, who checks each digest of what it copies out.

use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::open;
use crate::e2e::cut::{Then, breaking};
use crate::image;
use crate::process::{Run, is_installed, program, say};
use crate::registry::Registry;
use crate::samples::{Image, MEGABYTE};
use crate::tools;

/// After so many bytes the line breaks: amid the biggest layer.
const BREAK: u64 = 4_000_000;

pub(super) fn play(folder: &Path) -> Result<()> {
    if !is_installed("skopeo") {
        tools::debian_package("skopeo")?;
    }
    let registry = Registry::start()?;
    let base = [(1, 16 * MEGABYTE), (2, 2 * MEGABYTE)];
    let first = Image::of(folder, "sample", "v1", &base)?;
    let second = Image::of(folder, "sample", "v2", &[base[0], base[1], (3, MEGABYTE)])?;
    let scene = Scene { folder, binary: image::for_development("pusher")?, registry };
    open("a registry: an image out of an engine, an archive and a layout, and again");
    scene.every_form(&first)?;
    open("a registry: a version with one more layer, from a machine that has pushed nothing before");
    scene.what_is_new(&first, &second)?;
    open("a registry: the line breaks while a layer is sent, once and for good");
    scene.broken_lines(&first)
}

struct Scene<'a> {
    folder: &'a Path,
    /// The engine of ecr-push as a program of its own.
    binary: PathBuf,
    registry: Registry,
}

impl Scene<'_> {
    fn every_form(&self, image: &Image) -> Result<()> {
        let forms = [
            ("engine", image.name.clone()),
            ("archive", image.archive_reference()),
            ("layout", image.layout_reference()),
        ];
        for (form, source) in forms {
            let to = format!("{}/shop/{form}:v1", self.registry.address);
            self.push(&source, &to, "")?.says("sent (")?;
            self.expect_whole(&to, image)?;
            self.push(&source, &to, "")?.says("unchanged")?;
        }
        // What one repository has, another one of the same run takes from there.
        let twice = ["one", "other"].map(|name| format!("{}/shop/{name}:v1", self.registry.address));
        let layout = image.layout_reference();
        self.push(&format!("{layout} {layout}"), &twice.join(" "), "")?.says("mounted (")?;
        twice.iter().try_for_each(|to| self.expect_whole(to, image))
    }

    fn what_is_new(&self, first: &Image, second: &Image) -> Result<()> {
        let to = |tag: &str| format!("{}/shop/new:{tag}", self.registry.address);
        self.push(&first.layout_reference(), &to("v1"), "")?;
        // The added layer and the configuration are new, whoever compressed the others.
        let pushed = self.push(&second.name, &to("v2"), "v1")?;
        pushed.says("2 sent (")?.says("2 there already (")?.says("more than the image before")?;
        self.expect_whole(&to("v2"), second)
    }

    fn broken_lines(&self, image: &Image) -> Result<()> {
        let address = &self.registry.address;
        let source = image.layout_reference();
        let once = breaking(address, BREAK, Then::Mended)?;
        self.push(&source, &format!("{once}/shop/once:v1"), "")?.says("attempt 2 of ")?;
        self.expect_whole(&format!("{address}/shop/once:v1"), image)?;
        let dead = breaking(address, BREAK, Then::Dead)?;
        let told = self.run(&source, &format!("{dead}/shop/dead:v1"), "")?;
        ensure!(!told.succeeded, "a push over a dead line succeeded: {}", told.text);
        told.says("times in a row")?.says("run again: what arrived is not sent twice")?;
        ensure!(!self.has("shop/dead", "v1")?, "a tag names an image that never arrived");
        self.push(&source, &format!("{address}/shop/dead:v1"), "")?.says("sent (")?;
        self.expect_whole(&format!("{address}/shop/dead:v1"), image)?;
        ensure!(self.has("shop/dead", "v1")?, "the registry does not have what was copied out of it");
        Ok(())
    }

    /// Pushes; `known` is the tag of an image that the repository has.
    fn push(&self, source: &str, to: &str, known: &str) -> Result<Told> {
        let told = self.run(source, to, known)?;
        ensure!(told.succeeded, "the push of {source} to {to} failed:\n{}", told.text);
        Ok(told)
    }

    fn run(&self, source: &str, to: &str, known: &str) -> Result<Told> {
        let mut pusher = program(&self.binary);
        pusher.env("IMAGE", source).env("TO", to).env("KNOWN", known).env("RUNNER_TEMP", self.folder);
        let Output { status, stdout, stderr } = pusher.output().context("cannot start the pusher")?;
        let text = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
        text.lines().for_each(|line| say(format!("  {line}")));
        Ok(Told { succeeded: status.success(), text })
    }

    /// All of an image can be had from where it was pushed to, and it is the image that was built.
    fn expect_whole(&self, at: &str, image: &Image) -> Result<()> {
        let copy = self.folder.join("copy");
        if copy.exists() {
            std::fs::remove_dir_all(&copy)?;
        }
        let from = format!("docker://{at}");
        program("skopeo")
            .args(["copy", "--quiet", "--src-tls-verify=false", &from])
            .arg(format!("dir:{}", copy.display()))
            .read()?;
        let manifest = self.manifest(at)?;
        let found = manifest["config"]["digest"].as_str().context("a manifest without a configuration")?;
        let built = program("docker").args(["image", "inspect", "--format", "{{.Id}}", &image.name]).read()?;
        if layout_config(image)? != found && built.trim() != found {
            bail!("{at} is {found}, and the image that was built is {built}");
        }
        Ok(())
    }

    /// Whether there is something at a tag, as the registry itself says.
    fn has(&self, repository: &str, tag: &str) -> Result<bool> {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.registry.address);
        match ureq::get(url).header("Accept", "application/vnd.oci.image.manifest.v1+json").call() {
            Ok(_) => Ok(true),
            Err(ureq::Error::StatusCode(404)) => Ok(false),
            Err(error) => Err(error).context("the registry does not say what it has"),
        }
    }

    fn manifest(&self, at: &str) -> Result<Value> {
        let from = format!("docker://{at}");
        let text = program("skopeo").args(["inspect", "--raw", "--tls-verify=false", &from]).read()?;
        Ok(serde_json::from_str(&text)?)
    }
}

/// The configuration that an image's layout leads to: skopeo, who made it, wrote it anew.
fn layout_config(image: &Image) -> Result<String> {
    let text = program("skopeo").args(["inspect", "--raw", &image.layout_reference()]).read()?;
    let manifest: Value = serde_json::from_str(&text)?;
    Ok(manifest["config"]["digest"].as_str().unwrap_or_default().to_owned())
}

/// What a push said.
struct Told {
    succeeded: bool,
    text: String,
}

impl Told {
    fn says(&self, words: &str) -> Result<&Self> {
        ensure!(self.text.contains(words), "the push does not say `{words}`:\n{}", self.text);
        Ok(self)
    }
}
