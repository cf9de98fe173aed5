//! What is pushed by the benchmark.

use std::fs;

use anyhow::Result;

use crate::process::target;
use crate::samples::{Image, MEGABYTE};

/// What is pushed.
pub(super) struct Images {
    /// Ten layers of 50 MB and one of 1 MB, and the same with another one of 1 MB.
    pub(super) big: Vec<Image>,
    /// One layer of 50 MB that all have, and one of 1 MB each.
    pub(super) many: Vec<Image>,
    /// One layer of 2 GB.
    pub(super) huge: Image,
}

/// Makes the images that are not there yet.
pub(super) fn make(count: usize) -> Result<Images> {
    let folder = target().join("bench/images");
    fs::create_dir_all(&folder)?;
    let big = |tag: &str, top: u64| {
        let mut layers: Vec<(u64, usize)> = (1..=10).map(|seed| (seed, 50 * MEGABYTE)).collect();
        layers.push((top, MEGABYTE));
        Image::of(&folder, "big", tag, &layers)
    };
    let many = (0..count).map(|index| {
        let own = 100 + u64::try_from(index)?;
        Image::of(&folder, &format!("app{index}"), "v1", &[(50, 50 * MEGABYTE), (own, MEGABYTE)])
    });
    Ok(Images {
        big: vec![big("v1", 20)?, big("v2", 21)?],
        many: many.collect::<Result<_>>()?,
        huge: Image::of(&folder, "huge", "v1", &[(60, 2000 * MEGABYTE)])?,
    })
}
