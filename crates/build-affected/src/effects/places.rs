//! How many images are built at a time.

use common::docker::Docker;
use common::edges::Edges;

use crate::inputs::Parallel;

/// The memory that a build is expected to take: that of a bundler.
const MEMORY: u64 = 2_000_000_000;

/// The number. What the machine does not tell is no reason to stop: then they are built one after the other.
pub(super) async fn places(parallel: Parallel, docker: &Docker, edges: &Edges) -> usize {
    match parallel {
        Parallel::Fixed(number) => number.get(),
        Parallel::Auto => match docker.processors().await {
            Ok(processors) => fitting(processors, free_memory()),
            Err(failure) => {
                edges.runner.say(format!("builds one image at a time: {:#}", failure.error));
                1
            }
        },
    }
}

fn fitting(processors: usize, free: Option<u64>) -> usize {
    let by_memory = free.map_or(1, |free| usize::try_from(free / MEMORY).unwrap_or(usize::MAX));
    processors.min(by_memory).max(1)
}

/// The bytes that are free on the runner's host: a container sees its host's numbers. `None` where it is not told.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_and_free_memory_bound_what_is_built_at_a_time() {
        for (processors, free, expected) in [
            (4, Some(16_000_000_000), 4),
            (4, Some(5_000_000_000), 2),
            (4, Some(1_000_000_000), 1),
            (1, Some(16_000_000_000), 1),
            (8, None, 1),
        ] {
            assert_eq!(fitting(processors, free), expected);
        }
    }
}
