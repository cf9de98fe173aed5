//! `cargo xtask bench health`: two hundred endpoints asked every five seconds, by one health-gate and by the loops of curl that
//! people write instead; and how soon the verdict is there once it is certain.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Gauge, Usage};
use crate::image::{self, Build};
use crate::process::{program, say};

const ENDPOINTS: usize = 200;

/// How many times each endpoint is asked: a look every five seconds for a minute, the first at once.
const ROUNDS: usize = 13;

/// How many rounds a service is well for before it fails, where it does.
const WELL: usize = 2;

/// Measures and prints.
pub(super) fn run() -> Result<()> {
    let gate = image::rootfs(Build::Shipped)?.join("health-gate");
    let gauge = Gauge::new()?;
    say(format!("{:<40} {:>9} {:>9}", format!("{ENDPOINTS} endpoints, every 5 s for a minute"), "of a core", "memory"));
    for contestant in contestants(&gate)? {
        let server = Server::start(usize::MAX)?;
        let usage = contestant.run(&server, &gauge)?;
        let (asked, expected) = (server.answered.load(Ordering::Relaxed), ENDPOINTS * ROUNDS);
        if asked != expected {
            bail!("{} asked {asked} times, and not {expected}", contestant.name);
        }
        let share = usage.processor.as_secs_f64() / usage.wall.as_secs_f64() * 100.0;
        say(format!("{:<40} {share:>7.1} % {:>5.1} MiB", contestant.name, usage.memory));
    }
    let after = verdict(&gate)?;
    say(format!("unhealthy, once the deciding answer was given: {:.0} ms", after.as_secs_f64() * 1e3));
    Ok(())
}

/// From the last answer of the look that decides to the end of the process.
fn verdict(gate: &Path) -> Result<Duration> {
    let server = Server::start(ENDPOINTS * WELL)?;
    let folder = tempfile::tempdir()?;
    let mut command = program(gate);
    let status = command.env_clear().envs(inputs(&server, folder.path())).stdout(Stdio::null()).status()?;
    let ended = Instant::now();
    if status.code() != Some(1) {
        bail!("health-gate ended with {status}, expected exit code 1");
    }
    let last = server.last.lock().unwrap_or_else(PoisonError::into_inner).context("nothing was asked")?;
    Ok(ended - last)
}

/// Who asks.
struct Contestant {
    name: &'static str,
    asker: Asker,
}

enum Asker {
    /// This program of ours.
    Gate(PathBuf),
    /// A shell with this round, of the URLs in the file `$1`.
    Shell(&'static str),
}

fn contestants(gate: &Path) -> Result<Vec<Contestant>> {
    program("curl").arg("--version").stdout(Stdio::null()).status().context("the peer is curl (Debian: curl)")?;
    let one_by_one =
        r#"while read -r url; do curl --silent --fail --max-time 5 --output /dev/null "$url" || exit 1; done < "$1""#;
    let at_once = r#"sed 's/.*/url = "&"\noutput = "\/dev\/null"/' "$1" | curl --silent --fail --max-time 5 --parallel --parallel-max 200 --config - 2> /dev/null"#;
    Ok(vec![
        Contestant { name: "health-gate", asker: Asker::Gate(gate.to_owned()) },
        Contestant { name: "a loop of curl, one URL each", asker: Asker::Shell(one_by_one) },
        Contestant { name: "a loop of curl --parallel", asker: Asker::Shell(at_once) },
    ])
}

impl Contestant {
    fn run(&self, server: &Server, gauge: &Gauge) -> Result<Usage> {
        let folder = tempfile::tempdir()?;
        let starter = gauge.starter();
        let (time, words) = starter.split_first().context("nothing to start it with")?;
        let mut command = program(time);
        command.args(words).stdout(Stdio::null());
        match &self.asker {
            Asker::Gate(gate) => command.arg(gate).env_clear().envs(inputs(server, folder.path())),
            Asker::Shell(round) => {
                let urls = folder.path().join("urls");
                std::fs::write(&urls, server.urls().join("\n") + "\n")?;
                let rounds = format!("for round in $(seq {}); do {round}; sleep 5; done; {round}", ROUNDS - 1);
                command.args(["sh", "-euc", &rounds, "sh"]).arg(urls)
            }
        };
        let status = command.status().with_context(|| format!("cannot start {}", self.name))?;
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        gauge.usage()
    }
}

/// A gate of all endpoints: they have to hold for a minute, or fail three times in a row.
fn inputs(server: &Server, folder: &Path) -> BTreeMap<String, String> {
    let urls = server.urls();
    let file = |name: &str| folder.join(name).display().to_string();
    BTreeMap::from([
        ("GITHUB_WORKSPACE".to_owned(), folder.display().to_string()),
        ("GITHUB_OUTPUT".to_owned(), file("output")),
        ("GITHUB_STEP_SUMMARY".to_owned(), file("summary")),
        ("INPUT_URL".to_owned(), urls[0].clone()),
        ("INPUT_SMOKE".to_owned(), urls[1..].join("\n")),
        ("INPUT_INTERVAL".to_owned(), "5s".to_owned()),
        ("INPUT_PASSES".to_owned(), "1".to_owned()),
        ("INPUT_BAKE".to_owned(), "1m".to_owned()),
        ("INPUT_TIMEOUT".to_owned(), "3m".to_owned()),
        ("INPUT_COMMENT".to_owned(), "never".to_owned()),
    ])
}

/// All endpoints. They are well for so many answers, and then answer with 503.
struct Server {
    base: String,
    answered: Arc<AtomicUsize>,
    last: Arc<Mutex<Option<Instant>>>,
}

impl Server {
    fn start(well: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let base = format!("http://{}", listener.local_addr()?);
        let (answered, last) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None)));
        let server = Self { base, answered: Arc::clone(&answered), last: Arc::clone(&last) };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answered, last) = (Arc::clone(&answered), Arc::clone(&last));
                std::thread::spawn(move || {
                    // Who hangs up before the answer is missed in the count of answers.
                    if answer(stream, answered.load(Ordering::Relaxed) < well).is_ok() {
                        answered.fetch_add(1, Ordering::Relaxed);
                        *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                    }
                });
            }
        });
        Ok(server)
    }

    fn urls(&self) -> Vec<String> {
        (0..ENDPOINTS).map(|number| format!("{}/{number}", self.base)).collect()
    }
}

fn answer(mut stream: TcpStream, is_well: bool) -> std::io::Result<()> {
    let mut request = [0; 4096];
    let mut read = 0;
    while !request[..read].ends_with(b"\r\n\r\n") {
        match stream.read(&mut request[read..])? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            more => read += more,
        }
    }
    let status = if is_well { "200 OK" } else { "503 Service Unavailable" };
    stream.write_all(format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").as_bytes())
}
