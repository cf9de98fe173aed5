//! The tools that tasks need beside Rust: installed once, pinned, below `target/tools`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{Run, cargo, is_installed, program, say, target};

const REQUIREMENTS: &str = include_str!("requirements.txt");
const ACT: &str = "0.2.87";
const ACTIONLINT: &str = "1.7.12";
const CRANE: &str = "0.22.1";
const OCTOKIT_OPENAPI: &str = "23.0.2";
const MIGRATE: &str = "4.18.1";
const CARGO_DENY: &str = "0.20.2";
const CARGO_CYCLONEDX: &str = "0.5.9";

/// A program of the Python environment, which is made if it is not there or was made from other requirements.
pub(crate) fn python(name: &str) -> Result<PathBuf> {
    let environment = folder().join("python");
    let stamp = environment.join("requirements.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == REQUIREMENTS) {
        return Ok(environment.join("bin").join(name));
    }
    say(format!("installs Python packages into {}", environment.display()));
    if environment.exists() {
        std::fs::remove_dir_all(&environment).with_context(|| format!("cannot remove {}", environment.display()))?;
    }
    program("python3")
        .args(["-m", "venv"])
        .arg(&environment)
        .read()
        .context("cannot make a Python environment; install Python 3.10 or newer with venv (Debian: python3-venv)")?;
    // The stamp is written last: an environment that was left half-made is made again.
    let wanted = folder().join("requirements.txt");
    std::fs::write(&wanted, REQUIREMENTS)?;
    program(environment.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(&wanted)
        .read()
        .context("cannot install the Python packages of xtask/src/requirements.txt")?;
    std::fs::rename(&wanted, &stamp)?;
    Ok(environment.join("bin").join(name))
}

/// Lints workflows. <https://github.com/rhysd/actionlint>
pub(crate) fn actionlint() -> Result<PathBuf> {
    of_go("actionlint", ACTIONLINT, "github.com/rhysd/actionlint/cmd/actionlint")
}

/// Runs workflows on this machine. <https://nektosact.com>
pub(crate) fn act() -> Result<PathBuf> {
    of_go("act", ACT, "github.com/nektos/act")
}

/// Pushes images. <https://github.com/google/go-containerregistry/tree/main/cmd/crane>
pub(crate) fn crane() -> Result<PathBuf> {
    of_go("crane", CRANE, "github.com/google/go-containerregistry/cmd/crane")
}

/// Installs a package of Debian or Ubuntu.
pub(crate) fn debian_package(name: &str) -> Result<()> {
    if !is_installed("apt-get") {
        bail!("`{name}` is not installed, and there is no apt-get to install it with");
    }
    let log = target().join("e2e/apt-get.log");
    program("apt-get").arg("update").log(&log)?;
    program("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "--yes", "--no-install-recommends", name])
        .log(&log)
}

/// The files of a package of Debian's, unpacked below `target/tools` and not installed: nothing of it starts by itself.
pub(crate) fn debian(package: &str) -> Result<PathBuf> {
    let unpacked = folder().join("debian").join(package);
    if !unpacked.is_dir() {
        say(format!("fetches {package} with apt-get"));
        let fetched = folder().join("debian").join(format!("{package}.fetched"));
        std::fs::create_dir_all(&fetched).with_context(|| format!("cannot make {}", fetched.display()))?;
        program("apt-get").arg("update").log(&target().join("e2e/apt-get.log"))?;
        program("apt-get").current_dir(&fetched).args(["download", package]).read()?;
        let archive = std::fs::read_dir(&fetched)?.next().context("apt-get has downloaded nothing")??;
        program("dpkg-deb").arg("--extract").arg(archive.path()).arg(fetched.join("files")).read()?;
        std::fs::rename(fetched.join("files"), &unpacked)?;
        std::fs::remove_dir_all(&fetched).with_context(|| format!("cannot remove {}", fetched.display()))?;
    }
    Ok(unpacked)
}

/// A program that is installed with Go.
fn of_go(name: &str, version: &str, package: &str) -> Result<PathBuf> {
    let binary = folder().join(format!("{name}-{version}/{name}"));
    if !binary.is_file() {
        if !is_installed("go") {
            bail!("{name} {version} is installed with Go, which is missing; install Go 1.24 or newer");
        }
        say(format!("installs {name} {version}"));
        program("go").env("GOBIN", directory(&binary)).args(["install", &format!("{package}@v{version}")]).read()?;
    }
    Ok(binary)
}

/// A migration tool that is one static binary. <https://github.com/golang-migrate/migrate>
pub(crate) fn migrate() -> Result<PathBuf> {
    let binary = folder().join(format!("migrate-{MIGRATE}/migrate"));
    if !binary.is_file() {
        if !is_installed("go") {
            bail!("golang-migrate {MIGRATE} is installed with Go, which is missing; install Go 1.24 or newer");
        }
        say(format!("installs golang-migrate {MIGRATE}"));
        program("go")
            .env("GOBIN", directory(&binary))
            .env("CGO_ENABLED", "0")
            .args(["install", "-tags", "postgres"])
            .arg(format!("github.com/golang-migrate/migrate/v4/cmd/migrate@v{MIGRATE}"))
            .read()?;
    }
    Ok(binary)
}

/// Checks licences, sources, bans and advisories of the dependencies. <https://embarkstudios.github.io/cargo-deny/>
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    of_cargo("cargo-deny", CARGO_DENY)
}

/// Writes the bill of materials of a Rust program. <https://github.com/CycloneDX/cyclonedx-rust-cargo>
pub(crate) fn cargo_cyclonedx() -> Result<PathBuf> {
    of_cargo("cargo-cyclonedx", CARGO_CYCLONEDX)
}

/// A program that is installed with cargo.
fn of_cargo(name: &str, version: &str) -> Result<PathBuf> {
    let home = folder().join(format!("{name}-{version}"));
    let binary = home.join("bin").join(name);
    if !binary.is_file() {
        say(format!("compiles {name} {version}, once (some minutes)"));
        // It runs for a second a day: compile time is all that counts.
        cargo()
            .args(["install", name, "--version", version, "--locked", "--quiet", "--root"])
            .arg(&home)
            .args(["--config", "profile.release.opt-level=1"])
            .args(["--config", "profile.release.lto='off'"])
            .args(["--config", "profile.release.codegen-units=16"])
            .read()?;
    }
    Ok(binary)
}

/// GitHub's own description of its REST API, as OpenAPI. <https://github.com/octokit/openapi>
pub(crate) fn github_description() -> Result<PathBuf> {
    let folder = folder().join(format!("github-{OCTOKIT_OPENAPI}"));
    let description = folder.join("api.github.com.json");
    if !description.is_file() {
        say(format!("fetches GitHub's description of its API, {OCTOKIT_OPENAPI}"));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let pack = ["pack", "--silent", "--pack-destination"];
        let package = format!("@octokit/openapi@{OCTOKIT_OPENAPI}");
        program("npm").args(pack).arg(&folder).arg(package).read().context("cannot fetch from npm")?;
        // Of the package, which describes every version of GitHub Enterprise Server as well, one file of twenty.
        let archive = folder.join(format!("octokit-openapi-{OCTOKIT_OPENAPI}.tgz"));
        let file = "package/generated/api.github.com.json";
        let unpack = ["--strip-components=2", file, "-xzf"];
        program("tar").arg("-C").arg(&folder).args(unpack).arg(&archive).read()?;
        std::fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))?;
    }
    Ok(description)
}

/// A folder for a purpose, with these npm packages, by `name@version`.
pub(crate) fn node_packages(purpose: &str, packages: &[&str]) -> Result<PathBuf> {
    let folder = folder().join("node").join(purpose);
    let stamp = folder.join("packages.txt");
    let wanted = packages.join("\n");
    if !std::fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        say(format!("installs {} with npm", packages.join(", ")));
        let quiet = ["install", "--silent", "--no-audit", "--no-fund", "--prefix"];
        program("npm").args(quiet).arg(&folder).args(packages).read().context("cannot install with npm")?;
        std::fs::write(&stamp, wanted)?;
    }
    Ok(folder)
}

fn folder() -> PathBuf {
    target().join("tools")
}

fn directory(file: &Path) -> &Path {
    file.parent().unwrap_or(file)
}
