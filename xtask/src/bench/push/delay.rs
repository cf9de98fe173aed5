//! A registry that is far away: everything to and from it comes later, and as fast.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

/// Listens on a free port of loopback, and hands everything on to `to`, half of the round trip later. It listens until the
/// process ends.
pub(super) fn listen(to: &str, round_trip: Duration) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    let to = to.to_owned();
    thread::spawn(move || {
        for near in listener.incoming().flatten() {
            if let Ok(far) = TcpStream::connect(&to) {
                // A pair that cannot be made is a connection that breaks off: whoever is measured says so.
                drop(join(&near, &far, round_trip / 2));
            }
        }
    });
    Ok(address)
}

fn join(near: &TcpStream, far: &TcpStream, delay: Duration) -> Result<()> {
    for stream in [near, far] {
        stream.set_nodelay(true)?;
    }
    carry(near.try_clone()?, far.try_clone()?, delay);
    carry(far.try_clone()?, near.try_clone()?, delay);
    Ok(())
}

/// Carries one direction: one thread reads and notes when, one writes when it is time.
fn carry(mut from: TcpStream, to: TcpStream, delay: Duration) {
    // As much is on its way as a fast line holds for that long.
    let (sender, receiver) = mpsc::sync_channel(512);
    thread::spawn(move || deliver(&receiver, to));
    thread::spawn(move || {
        let mut piece = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            if sender.send((Instant::now() + delay, piece[..count].to_vec())).is_err() {
                break;
            }
        }
    });
}

fn deliver(receiver: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    while let Some((due, piece)) = waiting.pop_front().or_else(|| receiver.recv().ok()) {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&piece).is_err() {
            return;
        }
        waiting.extend(receiver.try_iter().take(64));
    }
    // The other side learns of the end in its turn.
    drop(to.shutdown(Shutdown::Write));
}
