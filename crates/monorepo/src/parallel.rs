//! Work on all cores.

use std::num::NonZero;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// The stack of a thread, for one that parses; memory that no source needs is never touched.
const STACK: usize = 256 * 1024 * 1024;

/// How many things a thread takes at a time, at least and at most. What comes after each other is best read by the same thread, and
/// no thread is to wait long for another in the end.
const PORTION: (usize, usize) = (64, 1024);

/// Does something on a stack that a parser cannot run out of; on this one if there is no memory for it.
pub(crate) fn with_stack<T: Send>(work: impl Fn() -> T + Sync) -> T {
    let done = thread::scope(|scope| {
        let worker = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, &work);
        worker.ok().map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)))
    });
    done.unwrap_or_else(work)
}

/// Does something for every place of a list, portion by portion, on all cores; a worker has a memory of its own.
pub fn in_parallel<M, T: Send>(
    length: usize,
    memory: impl Fn() -> M + Sync,
    work: impl Fn(&mut M, Range<usize>) -> Vec<T> + Sync,
) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let portion = (length / 64).clamp(PORTION.0, PORTION.1);
    let worker = || {
        let (mut memory, mut done) = (memory(), Vec::new());
        loop {
            let start = next.fetch_add(portion, Ordering::Relaxed);
            if start >= length {
                return done;
            }
            done.push((start, work(&mut memory, start..length.min(start + portion))));
        }
    };
    let cores = thread::available_parallelism().map_or(1, NonZero::get).min(length.div_ceil(portion));
    let mut portions = thread::scope(|scope| {
        let spawn = |_| thread::Builder::new().stack_size(STACK).spawn_scoped(scope, worker).ok();
        let workers: Vec<_> = (0..cores).filter_map(spawn).collect();
        let done = workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        let mut portions: Vec<_> = done.collect();
        // What no thread could be had for.
        portions.extend(worker());
        portions
    });
    portions.sort_unstable_by_key(|(start, _)| *start);
    portions.into_iter().flat_map(|(_, done)| done).collect()
}
