//! A line to a server that breaks.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;

/// What comes after the break.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// The line is as good as new.
    Mended,
    /// Nothing goes through any more.
    Dead,
}

struct Line {
    after: u64,
    sent: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

/// Listens on a free port of loopback until the process ends, and hands everything on to `to`. When so many bytes went there, it
/// breaks: all connections end at once.
pub(crate) fn breaking(to: &str, after: u64, then: Then) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let line = Arc::new(Line { after, sent: AtomicU64::new(0), open: Mutex::default() });
    let to = to.to_owned();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            if line.is_broken() && then == Then::Dead {
                continue;
            }
            if let Ok(far) = TcpStream::connect(&to) {
                // A pair that cannot be made is a connection that breaks off: whoever is tested says so.
                drop(line.join(&near, &far));
            }
        }
    });
    Ok(address)
}

impl Line {
    fn is_broken(&self) -> bool {
        self.sent.load(Ordering::SeqCst) > self.after
    }

    fn join(self: &Arc<Self>, near: &TcpStream, far: &TcpStream) -> Result<()> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).extend([near.try_clone()?, far.try_clone()?]);
        let (up, down) = ((near.try_clone()?, far.try_clone()?), (far.try_clone()?, near.try_clone()?));
        let line = Arc::clone(self);
        thread::spawn(move || line.carry(up));
        thread::spawn(move || std::io::copy(&mut &down.0, &mut &down.1).and(down.1.shutdown(Shutdown::Write)));
        Ok(())
    }

    /// Carries what goes to the server.
    fn carry(&self, (mut from, mut to): (TcpStream, TcpStream)) {
        let mut piece = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            let before = self.sent.fetch_add(count as u64, Ordering::SeqCst);
            if before <= self.after && self.is_broken() {
                let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
                // One that has ended already is as broken.
                open.iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
                return;
            }
            if to.write_all(&piece[..count]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Write));
    }
}
