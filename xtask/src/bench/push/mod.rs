//! `cargo xtask bench push`: images into a registry on loopback, near and 40 ms away, by ecr-push's engine and by all who push
//! images today, in the same run.

mod delay;
mod images;
mod pusher;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use self::images::Images;
use self::pusher::{Programs, Pusher};
use crate::process::{Run, is_installed, program, say, target};
use crate::registry::Registry;
use crate::samples::Image;
use crate::{docker, tools};

/// From a client to the registry and back, for the half of the runs in which it is far away.
const FAR: Duration = Duration::from_millis(40);

/// How many images share a base.
const IMAGES: usize = 20;

/// What one tick of `/proc/PID/stat` is of a second (`getconf CLK_TCK`), on every architecture that Linux runs containers on.
const CLOCK_TICKS: f64 = 100.0;

/// What is pushed, onto what.
#[derive(Clone, Copy)]
enum Scene {
    /// Ten layers of 50 MB to an empty registry.
    Cold,
    /// The same image with another layer of 1 MB; who pushes has never pushed before. But for skopeo and buildah: they remember
    /// in `/var/lib/containers/cache` what they pushed from this machine, so that theirs is better here than on a new one.
    Changed,
    /// What is there already.
    Unchanged,
    /// Twenty images with one base of 50 MB, side by side where that can be asked for.
    Many,
    /// One layer of 2 GB to an empty registry.
    Huge,
}

impl Scene {
    const ALL: [Self; 5] = [Self::Cold, Self::Changed, Self::Unchanged, Self::Many, Self::Huge];

    fn name(self) -> &'static str {
        match self {
            Self::Cold => "cold, 10 × 50 MB",
            Self::Changed => "1 MB changed, on a fresh machine",
            Self::Unchanged => "unchanged",
            Self::Many => "20 images of one base",
            Self::Huge => "cold, one layer of 2 GB",
        }
    }

    /// How often each push of it is measured; the best counts, as whatever disturbs it makes it slower.
    fn runs(self) -> usize {
        match self {
            Self::Huge => 1,
            _ => 3,
        }
    }
}

/// What one push took.
struct Cost {
    wall: Duration,
    /// Seconds, of the client, and of the engine where one works for it.
    cpu: f64,
    /// The most memory that the client had, in MiB.
    memory: f64,
    /// The bytes that the registry has more than before.
    stored: u64,
}

/// Measures and prints the lines with these words in them or above them; all, if there are no words.
pub(super) fn run(only: &[String]) -> Result<()> {
    docker::require()?;
    let packages = ["skopeo", "buildah"];
    packages.into_iter().filter(|package| !is_installed(package)).try_for_each(tools::debian_package)?;
    let bench = Bench { programs: Programs::find()?, images: images::make(IMAGES)? };
    for (place, round_trip) in [("near", Duration::ZERO), ("40 ms away", FAR)] {
        for scene in Scene::ALL {
            let title = format!("{}, {place}", scene.name());
            let is_wanted = |pusher: &Pusher| {
                let line = format!("{title}, {}", pusher.name());
                only.iter().all(|word| line.contains(word.as_str()))
            };
            let mut pushers = Pusher::ALL.into_iter().filter(is_wanted).peekable();
            if pushers.peek().is_some() {
                say(format!("\n{title}:"));
                say(format!("{:<28} {:>9} {:>9} {:>9} {:>9}", "", "wall", "CPU", "memory", "stored"));
            }
            for pusher in pushers {
                let costs = (0..scene.runs()).map(|_| bench.measure(pusher, scene, round_trip));
                let costs: Vec<Option<Cost>> = costs.collect::<Result<_>>()?;
                let Some(best) = costs.into_iter().flatten().min_by_key(|cost| cost.wall) else { continue };
                say(format!("{:<28} {}", pusher.name(), best.line()));
            }
        }
    }
    Ok(())
}

impl Cost {
    fn line(&self) -> String {
        let (wall, megabytes) = (self.wall.as_secs_f64(), self.stored as f64 / 1e6);
        format!("{wall:>7.2} s {:>7.2} s {:>5.0} MiB {megabytes:>6.1} MB", self.cpu, self.memory)
    }
}

struct Bench {
    programs: Programs,
    images: Images,
}

impl Bench {
    /// One push. `None` where there is nothing to compare.
    fn measure(&self, pusher: Pusher, scene: Scene, round_trip: Duration) -> Result<Option<Cost>> {
        let is_compared = match pusher {
            Pusher::Floor => matches!(scene, Scene::Cold | Scene::Huge),
            Pusher::Export => matches!(scene, Scene::Cold | Scene::Changed) && round_trip.is_zero(),
            _ => true,
        };
        if !is_compared {
            return Ok(None);
        }
        let registry = Registry::start()?;
        let images = &self.images;
        let (before, pushed): (&[Image], &[Image]) = match scene {
            Scene::Cold => (&[], &images.big[..1]),
            Scene::Changed => (&images.big[..1], &images.big[1..2]),
            Scene::Unchanged => (&images.big[..1], &images.big[..1]),
            Scene::Many => (&[], &images.many),
            Scene::Huge => (&[], std::slice::from_ref(&images.huge)),
        };
        let known = before.first().map(|image| image.tag.as_str());
        for image in before {
            match scene {
                // To push again is to push what one pushed oneself.
                Scene::Unchanged => {
                    pusher.prepare(&registry.address, std::slice::from_ref(image))?;
                    self.push(pusher, std::slice::from_ref(image), &registry.address, None)?;
                }
                _ => registry.seed(image)?,
            }
        }
        let address = match round_trip {
            Duration::ZERO => registry.address.clone(),
            _ => delay::listen(&registry.address, round_trip)?,
        };
        pusher.prepare(&address, pushed)?;
        let before = registry.stored()?;
        let cost = self.push(pusher, pushed, &address, known)?;
        Ok(Some(Cost { stored: registry.stored()?.saturating_sub(before), ..cost }))
    }

    fn push(&self, pusher: Pusher, images: &[Image], address: &str, known: Option<&str>) -> Result<Cost> {
        let engine = if pusher.uses_engine() { Some(process_of("dockerd")?) } else { None };
        let engine_cpu = || engine.map(cpu_of).transpose().map(Option::unwrap_or_default);
        let commands = pusher.commands(&self.programs, images, address, known);
        let (before, began) = (engine_cpu()?, Instant::now());
        let mut cost = Cost { wall: Duration::ZERO, cpu: 0.0, memory: 0.0, stored: 0 };
        for command in &commands {
            let (cpu, memory) = timed(command)?;
            cost.cpu += cpu;
            cost.memory = cost.memory.max(memory);
        }
        cost.wall = began.elapsed();
        cost.cpu += engine_cpu()? - before;
        Ok(cost)
    }
}

/// Runs a command; its CPU seconds, children included, and the most memory that it had, in MiB.
fn timed(command: &Command) -> Result<(f64, f64)> {
    let report = target().join("bench/time");
    let mut timed = program("/usr/bin/time");
    timed.args(["--quiet", "--format", "%U %S %M", "--output"]).arg(&report).arg(command.get_program());
    timed.args(command.get_args());
    for (name, value) in command.get_envs() {
        timed.env(name, value.unwrap_or_default());
    }
    timed.read().context("costs are measured with GNU time (Debian: time)")?;
    let said = std::fs::read_to_string(&report)?;
    let numbers: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [user, system, memory] => Ok((user + system, memory / 1024.0)),
        _ => bail!("GNU time said `{said}`"),
    }
}

/// The process of this name that was started first.
fn process_of(name: &str) -> Result<u32> {
    let found = program("pgrep").args(["--oldest", "--exact", name]).read()?;
    found.trim().parse().with_context(|| format!("no process `{name}`"))
}

/// The CPU seconds that a process has used.
fn cpu_of(process: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("stat"))?;
    // The name, in parentheses, may hold spaces; user and system time are the 14th and 15th field (proc_pid_stat(5)).
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / CLOCK_TICKS)
}
