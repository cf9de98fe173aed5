//! Attending a container while it runs: reading along, and doing to it what the runner does to a step that is cancelled.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Fate;
use crate::process::{Run, program};

/// What the runner does to the client of a container whose run is cancelled, counted from the cancellation. The client
/// hands the first two on to the container.
/// <https://github.com/actions/runner/blob/main/src/Runner.Sdk/ProcessInvoker.cs>
const CANCELLATION: [(Duration, &str); 3] =
    [(Duration::ZERO, "INT"), (Duration::from_millis(7500), "TERM"), (Duration::from_secs(10), "KILL")];

/// More than any step here takes.
const LIMIT: Duration = Duration::from_secs(600);

/// How a container ended.
pub(super) struct Ended {
    pub(super) exit_code: i32,
    /// Everything that it printed.
    pub(super) log: String,
    /// How long it went on after its fate befell it.
    pub(super) lingered: Option<Duration>,
}

/// Runs a container by its client, and brings its fate upon it.
pub(super) fn attend(docker: &mut Command, container: &str, fate: Fate<'_>) -> Result<Ended> {
    let mut client = docker.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().context("cannot start `docker`")?;
    let lines = lines(&mut client)?;
    let started = Instant::now();
    let mut log = String::new();
    let mut befell: Option<Instant> = None;
    let mut signals = CANCELLATION.iter();
    let mut next = signals.next();
    loop {
        if let (Some(befell), Some((after, signal)), Fate::Cancelled { .. }) = (befell, next, fate)
            && befell.elapsed() >= *after
        {
            program("kill").args(["-s", signal, &client.id().to_string()]).read()?;
            next = signals.next();
        }
        match lines.recv_timeout(Duration::from_millis(20)) {
            Ok(line) => log.push_str(&line),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if started.elapsed() > LIMIT {
            client.kill()?;
            bail!("the step did not end within {} s:\n{log}", LIMIT.as_secs());
        }
        let (Fate::Cancelled { when } | Fate::Killed { when }) = fate else { continue };
        if befell.is_none() && log.contains(when) {
            befell = Some(Instant::now());
            if let Fate::Killed { .. } = fate {
                program("docker").args(["kill", "--signal", "KILL", container]).read()?;
            }
        }
    }
    let exit_code = exit_code(client.wait()?);
    match (fate, befell) {
        (Fate::Cancelled { when } | Fate::Killed { when }, None) => {
            bail!("the step ended with {exit_code} and never said `{when}`:\n{log}")
        }
        _ => Ok(Ended { exit_code, log, lingered: befell.map(|befell| befell.elapsed()) }),
    }
}

/// What the container prints, on either stream, line by line.
fn lines(client: &mut Child) -> Result<Receiver<String>> {
    let (sender, receiver) = channel();
    relay(client.stdout.take().context("no standard output")?, sender.clone());
    relay(client.stderr.take().context("no standard error")?, sender);
    Ok(receiver)
}

fn relay(stream: impl Read + Send + 'static, sender: Sender<String>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut line = Vec::new();
        // A stream that cannot be read has ended, as far as anybody can tell; the exit code says how.
        while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
}

/// A client that was killed by a signal has no exit code; the shell's word for it is 128 and the signal.
fn exit_code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attended(script: &str, fate: Fate<'_>) -> Result<Ended> {
        // Who is started in the background of a script ignores SIGINT, and a shell cannot trap what it was started to ignore.
        attend(program("env").args(["--default-signal=INT", "sh", "-c", script]), "no-container", fate)
    }

    #[test]
    fn both_streams_are_read_to_their_end() {
        let ended = attended("echo out; echo err >&2; exit 3", Fate::Undisturbed).unwrap();
        assert_eq!((ended.exit_code, ended.lingered), (3, None));
        assert!(ended.log.contains("out\n") && ended.log.contains("err\n"), "{}", ended.log);
    }

    #[test]
    fn a_cancellation_comes_when_it_should_and_begins_with_sigint() {
        let script = "trap 'echo interrupted; exit 130' INT; echo ready; while :; do :; done";
        let ended = attended(script, Fate::Cancelled { when: "ready" }).unwrap();
        assert_eq!(ended.exit_code, 130, "{}", ended.log);
        assert!(ended.log.ends_with("interrupted\n") && ended.lingered.is_some(), "{}", ended.log);
    }

    #[test]
    fn a_step_that_never_comes_to_the_point_is_a_mistake() {
        let error = attended("echo over", Fate::Killed { when: "ready" }).err().unwrap().to_string();
        assert!(error.starts_with("the step ended with 0 and never said `ready`"), "{error}");
    }
}
