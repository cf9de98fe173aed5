//! How far a push is, for who waits for it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::duration::human as time;
use crate::names::Digest;
use crate::policy::human;
use crate::runner::Runner;
use crate::stop::Stop;

/// From one line to the next.
const EVERY: Duration = Duration::from_secs(5);

/// How many of the biggest blobs are told.
const BIGGEST: usize = 3;

/// Blobs and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many.
    pub blobs: usize,
    /// Their bytes, as the registry stores them.
    pub bytes: u64,
}

/// What became of the blobs of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Sent.
    pub uploaded: Amount,
    /// Taken by the registry from another repository.
    pub mounted: Amount,
    /// There already.
    pub present: Amount,
    /// The biggest of all, the biggest first.
    pub biggest: Vec<(Digest, u64)>,
    /// The size of the repository's newest image before, in bytes, as the registry stores it; `None` without one for the same platform.
    pub before: Option<u64>,
}

/// What became of one blob.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Uploaded,
    Mounted,
    Present,
}

/// How far the push of one image is.
#[derive(Debug)]
pub(super) struct Progress {
    name: String,
    began: Instant,
    blobs: usize,
    packing: Cell<usize>,
    /// The bytes of all that has to be sent, as far as they are known.
    expected: Cell<u64>,
    tally: std::cell::RefCell<Tally>,
    /// The bytes that were sent.
    pub(super) moved: Arc<AtomicU64>,
}

impl Progress {
    pub(super) fn new(name: &str, blobs: usize) -> Self {
        Self {
            name: name.to_owned(),
            began: Instant::now(),
            blobs,
            packing: Cell::new(0),
            expected: Cell::new(0),
            tally: std::cell::RefCell::default(),
            moved: Arc::default(),
        }
    }

    pub(super) fn packing(&self, more: bool) {
        let count = self.packing.get();
        self.packing.set(if more { count + 1 } else { count.saturating_sub(1) });
    }

    pub(super) fn expect(&self, bytes: u64) {
        self.expected.set(self.expected.get() + bytes);
    }

    pub(super) fn settle(&self, digest: &Digest, bytes: u64, fate: Fate) {
        let mut tally = self.tally.borrow_mut();
        let amount = match fate {
            Fate::Uploaded => &mut tally.uploaded,
            Fate::Mounted => &mut tally.mounted,
            Fate::Present => &mut tally.present,
        };
        amount.blobs += 1;
        amount.bytes += bytes;
        let at = tally.biggest.partition_point(|(_, other)| *other >= bytes);
        tally.biggest.insert(at, (digest.clone(), bytes));
        tally.biggest.truncate(BIGGEST);
    }

    pub(super) fn tally(&self) -> Tally {
        self.tally.borrow().clone()
    }

    /// Says every few seconds how far it is, while the work goes on.
    pub(super) async fn told<T>(&self, runner: &Runner, stop: &Stop, work: impl Future<Output = T>) -> T {
        let telling = async {
            while crate::poll::pause(EVERY, stop).await {
                runner.say(self.line());
            }
            // Who is cancelled ends by itself.
            std::future::pending().await
        };
        tokio::select! {
            done = work => done,
            never = telling => never,
        }
    }

    fn line(&self) -> String {
        let tally = self.tally.borrow();
        let settled = tally.uploaded.blobs + tally.mounted.blobs + tally.present.blobs;
        let moved = self.moved.load(Ordering::Relaxed);
        let rate = moved as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let mut line = format!("{}: {settled} of {} blobs there", self.name, self.blobs);
        if moved > 0 {
            line += &format!(", {} sent at {}/s", human(moved), human(rate as u64));
        }
        // What broke off is sent again, so that more may have been sent than was expected.
        let left = self.expected.get().saturating_sub(moved);
        if left > 0 {
            line += &format!(", {} to go", human(left));
        }
        match self.packing.get() {
            0 if left > 0 && moved > 0 => {
                line += &format!(", about {}", time(Duration::from_secs_f64((left as f64 / rate.max(1.0)).ceil())));
            }
            0 => {}
            count => line += &format!(", {count} being compressed"),
        }
        line
    }
}

impl Tally {
    /// In a line: `blobs: 4 sent (120 MB), 7 there already (210 MB); 1.2 MB more than the image before`.
    pub fn line(&self) -> String {
        let part = |amount: Amount, word: &str| {
            (amount.blobs > 0).then(|| format!("{} {word} ({})", amount.blobs, human(amount.bytes)))
        };
        let parts = [part(self.uploaded, "sent"), part(self.mounted, "mounted"), part(self.present, "there already")];
        format!("blobs: {}{}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "), self.growth())
    }

    fn growth(&self) -> String {
        let now = [self.uploaded, self.mounted, self.present].map(|amount| amount.bytes).into_iter().sum::<u64>();
        match self.before {
            None => String::new(),
            Some(before) if now > before => format!("; {} more than the image before", human(now - before)),
            Some(before) if now < before => format!("; {} less than the image before", human(before - now)),
            Some(_) => "; as large as the image before".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_says_what_is_there_what_was_sent_and_what_is_left() {
        let progress = Progress::new("auth", 11);
        assert_eq!(progress.line(), "auth: 0 of 11 blobs there");
        progress.settle(&Digest::of_bytes(b"base"), 50_000_000, Fate::Present);
        progress.packing(true);
        progress.expect(300_000_000);
        progress.moved.store(100_000_000, Ordering::Relaxed);
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(
            progress.line(),
            "auth: 1 of 11 blobs there, 100 MB sent at 10 MB/s, 200 MB to go, 1 being compressed"
        );
        progress.packing(false);
        assert_eq!(progress.line(), "auth: 1 of 11 blobs there, 100 MB sent at 10 MB/s, 200 MB to go, about 20 s");
        progress.settle(&Digest::of_bytes(b"top"), 100_000_000, Fate::Uploaded);
        assert_eq!(progress.tally().line(), "blobs: 1 sent (100 MB), 1 there already (50 MB)");
        assert_eq!(progress.tally().biggest[0].1, 100_000_000);
        let beside = |before| Tally { before: Some(before), ..progress.tally() }.growth();
        assert_eq!(beside(148_800_000), "; 1.2 MB more than the image before");
        assert_eq!(beside(150_500_000), "; 500 kB less than the image before");
        assert_eq!(beside(150_000_000), "; as large as the image before");
    }
}
