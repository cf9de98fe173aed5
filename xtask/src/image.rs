//! `cargo xtask image`: the suite as a container image, and the tree of files that it holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{Run, cargo, program, root, say, target};
use crate::tools;

/// The five actions: crate, folder, binary and entry point by one name.
pub(crate) const ACTIONS: [&str; 5] = ["build-affected", "ecr-push", "run-migration", "ecs-deploy", "health-gate"];

/// The entry points of what an action does when the job ends: each is its action's `post-entrypoint`.
const POSTS: [&str; 2] = ["run-migration-post", "ecs-deploy-post"];

/// The program that the image holds once, under the name of each entry point.
const PROGRAM: &str = "suite";

/// What a bill of materials is called where it is written first.
const BILL: &str = "suite.cdx";

/// The image of the suite as tasks call it.
pub(crate) const TAG: &str = "delivery-suite:development";

/// Where Debian, Fedora and Alpine keep the roots that TLS trusts, in this order.
const ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// How a binary is compiled.
#[derive(Clone, Copy)]
pub(crate) enum Build {
    /// As it is shipped: static.
    Shipped,
    /// As for development, out of what the tests have compiled; with the libraries of this machine that it is linked with.
    Quick,
}

/// Builds the image from binaries that are compiled here.
pub(crate) fn image(build: Build) -> Result<()> {
    rootfs(build)?;
    program("docker")
        .args(["build", "--quiet", "--target", "prebuilt", "--tag", TAG])
        // BuildKit knows the architecture by itself, the classic builder does not.
        .args(["--build-arg", &format!("TARGETARCH={}", architecture()?), "."])
        .read()?;
    say(format!("image {TAG}"));
    Ok(())
}

/// Lays out the image's files below `target/rootfs/<architecture>`.
pub(crate) fn rootfs(build: Build) -> Result<PathBuf> {
    let program = match build {
        Build::Shipped => compile(&[PROGRAM])?.join(PROGRAM),
        Build::Quick => for_development(PROGRAM)?,
    };
    let rootfs = target().join("rootfs").join(architecture()?);
    if rootfs.exists() {
        std::fs::remove_dir_all(&rootfs).with_context(|| format!("cannot clear {}", rootfs.display()))?;
    }
    check_machine(&program)?;
    copy(&program, &rootfs.join(PROGRAM))?;
    if let Build::Quick = build {
        for library in libraries(&program)? {
            copy(&library, &rootfs.join(library.strip_prefix("/")?))?;
        }
    }
    for name in ACTIONS.into_iter().chain(POSTS) {
        let link = rootfs.join(name);
        std::os::unix::fs::symlink(PROGRAM, &link).with_context(|| format!("cannot link {}", link.display()))?;
    }
    let Some(roots) = ROOTS.iter().map(Path::new).find(|roots| roots.is_file()) else {
        bail!("no CA roots at {}; install the ca-certificates package", ROOTS.join(" or "));
    };
    // The path that rustls' native roots read first. https://docs.rs/rustls-native-certs
    copy(roots, &rootfs.join("etc/ssl/certs/ca-certificates.crt"))?;
    Ok(rootfs)
}

/// What the image gives its program in the environment, for who runs the program outside of it.
pub(crate) fn environment() -> Result<BTreeMap<String, String>> {
    let dockerfile = std::fs::read_to_string(root().join("Dockerfile")).context("cannot read the Dockerfile")?;
    let settings = dockerfile.lines().filter_map(|line| line.strip_prefix("ENV ")?.split_once('='));
    Ok(settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// Writes what the image's program is made of. Beside it the image holds the CA roots, and nothing else.
pub(crate) fn bill_of_materials(file: &Path) -> Result<()> {
    let manifest = root().join("crates").join(PROGRAM).join("Cargo.toml");
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    program(tools::cargo_cyclonedx()?)
        // As cargo starts it: a program of its own knows itself by this word.
        .arg("cyclonedx")
        .args(["--quiet", "--format", "json", "--spec-version", "1.5", "--no-build-deps", "--target", &triple])
        .args(["--override-filename", BILL, "--manifest-path"])
        .arg(&manifest)
        .read()?;
    copy(&manifest.with_file_name(format!("{BILL}.json")), file)?;
    // It writes one beside each manifest of the workspace, and leaves no choice.
    for manifest in program("git").args(["ls-files", "*Cargo.toml"]).read()?.lines() {
        let bill = root().join(manifest).with_file_name(format!("{BILL}.json"));
        if bill.is_file() {
            std::fs::remove_file(&bill).with_context(|| format!("cannot remove {}", bill.display()))?;
        }
    }
    say(format!("bill of materials {}", file.display()));
    Ok(())
}

/// Compiles the program of the last of these packages as it is shipped, a static binary; answers its folder. Packages are named
/// before it for what they ask of the libraries that both are made of: these are compiled once then.
pub(crate) fn compile(packages: &[&str]) -> Result<PathBuf> {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = cargo();
    // An explicit target keeps the flag from build scripts and macros, which cannot be static.
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
    cargo.args(["build", "--quiet", "--locked", "--profile", "image", "--target", &triple]);
    cargo.args(packages.iter().flat_map(|package| ["--package", package]));
    cargo.args(packages.last().into_iter().flat_map(|name| ["--bin", name])).run()?;
    Ok(target().join(triple).join("image"))
}

/// Compiles a program for development. The rehearsal is named beside it as it asks for all that tests do of the libraries that
/// both are made of: what was compiled for the tests is linked.
pub(crate) fn for_development(name: &str) -> Result<PathBuf> {
    let packages = ["--package", "rehearse", "--package", name, "--bin", name];
    cargo().args(["build", "--quiet", "--locked"]).args(packages).run()?;
    Ok(target().join("debug").join(name))
}

/// The libraries of this machine that a program is linked with, the loader among them: `name => /path (address)`.
/// <https://man7.org/linux/man-pages/man1/ldd.1.html>
fn libraries(linked: &Path) -> Result<Vec<PathBuf>> {
    let listed = program("ldd").arg(linked).read()?;
    Ok(listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

/// The architecture by Docker's name.
pub(crate) fn architecture() -> Result<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Ok("amd64"),
        "aarch64" => Ok("arm64"),
        other => bail!("the image is made for amd64 and arm64, not for {other}"),
    }
}

/// An image whose index says arm64 and whose program is not has been published before, by others: the program itself tells
/// (`e_machine` of the ELF header, <https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html>).
fn check_machine(program: &Path) -> Result<()> {
    let bytes = std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let machine = match bytes.get(..20) {
        Some([0x7f, b'E', b'L', b'F', .., 0x3e, 0]) => "amd64",
        Some([0x7f, b'E', b'L', b'F', .., 0xb7, 0]) => "arm64",
        _ => "something else",
    };
    let wanted = architecture()?;
    if machine != wanted {
        bail!("{} is a program for {machine}, and the image is one for {wanted}", program.display());
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.parent().unwrap_or(root()))?;
    std::fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_for_another_machine_is_no_part_of_the_image() {
        check_machine(&std::env::current_exe().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("program");
        let mut header = [0u8; 64];
        header[..4].copy_from_slice(b"\x7fELF");
        header[18] = if architecture().unwrap() == "amd64" { 0xb7 } else { 0x3e };
        std::fs::write(&other, header).unwrap();
        let told = check_machine(&other).unwrap_err().to_string();
        assert!(told.contains("is a program for a"), "{told}");
    }
}
