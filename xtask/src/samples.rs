//! Images of random content: made once, the same every time, in every form that somebody pushes from.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::process::{Run, program, say};

/// As decimal as sizes are told.
pub(crate) const MEGABYTE: usize = 1_000_000;

/// An image in the engine, and in files.
pub(crate) struct Image {
    pub(crate) name: String,
    pub(crate) repository: String,
    pub(crate) tag: String,
    pub(crate) archive: PathBuf,
    pub(crate) layout: PathBuf,
}

impl Image {
    /// An image of layers of so many bytes each, by the seeds of their contents. It is made if it is not there yet.
    pub(crate) fn of(folder: &Path, repository: &str, tag: &str, layers: &[(u64, usize)]) -> Result<Self> {
        let name = format!("samples/{repository}:{tag}");
        let stem = folder.join(format!("{repository}-{tag}"));
        let (archive, layout) = (stem.with_extension("tar"), stem.with_extension("oci"));
        let is_known = program("docker").args(["image", "inspect", &name]).read().is_ok();
        if !is_known || !archive.exists() || !layout.join("index.json").exists() {
            say(format!("makes image {name}"));
            build(&stem.with_extension("context"), &name, layers)?;
            program("docker").args(["save", "--output"]).arg(&archive).arg(&name).read()?;
            if layout.exists() {
                fs::remove_dir_all(&layout)?;
            }
            let from = format!("docker-archive:{}", archive.display());
            program("skopeo").args(["copy", "--quiet", &from, &format!("oci:{}:{tag}", layout.display())]).read()?;
        }
        Ok(Self { name, repository: repository.to_owned(), tag: tag.to_owned(), archive, layout })
    }

    /// Its reference in the registry at an address.
    pub(crate) fn at(&self, address: &str) -> String {
        format!("{address}/shop/{}:{}", self.repository, self.tag)
    }

    /// Its archive, as most tools are told of one.
    pub(crate) fn archive_reference(&self) -> String {
        format!("docker-archive:{}", self.archive.display())
    }

    /// Its layout, as most tools are told of one.
    pub(crate) fn layout_reference(&self) -> String {
        format!("oci:{}", self.layout.display())
    }
}

fn build(context: &Path, name: &str, layers: &[(u64, usize)]) -> Result<()> {
    fs::create_dir_all(context)?;
    let mut dockerfile = "FROM scratch\n".to_owned();
    for (seed, length) in layers {
        write(&context.join(seed.to_string()), *seed, *length)?;
        dockerfile += &format!("COPY {seed} /{seed}\n");
    }
    fs::write(context.join("Dockerfile"), dockerfile)?;
    program("docker").args(["build", "--quiet", "--tag", name]).arg(context).read()?;
    Ok(fs::remove_dir_all(context)?)
}

/// Bytes of which 40 % do not compress, as in packages and pictures, and 60 % do, as in code: words in no order.
fn write(path: &Path, seed: u64, length: usize) -> Result<()> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        // xorshift64* (Vigna, 2016).
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    };
    let mut content = Vec::new();
    while content.len() < length.min(50 * MEGABYTE) {
        let is_text = next() % 10 < 6;
        for _ in 0..512 {
            let number = next();
            if is_text {
                write!(content, "{:x} const {}; ", number >> 52, number % 1000)?;
            } else {
                content.extend(number.to_le_bytes());
            }
        }
    }
    // What comes again after so much is as new to a compressor.
    let mut file = File::create(path)?;
    (0..length.div_ceil(content.len())).try_for_each(|_| file.write_all(&content))?;
    Ok(())
}
