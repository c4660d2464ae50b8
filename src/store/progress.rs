//! How far everybody is: what is committed, what sled has, and how much lies between.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Stopwatch;

/// What is committed and not yet in sled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// How many row changes.
    pub changes: usize,
    /// How long the oldest of them has been waiting.
    pub since: Option<Duration>,
}

/// Shared by the appender, the applier and every reader.
#[derive(Debug)]
pub struct Progress {
    committed: AtomicU64,
    applied: watch::Receiver<u64>,
    waiting: Mutex<VecDeque<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    seq: u64,
    changes: usize,
    since: Stopwatch,
}

impl Progress {
    /// Begins where sled has everything up to `seq`. The sender is the applier's: when it goes, so does the applier.
    pub fn new(seq: u64) -> (Self, watch::Sender<u64>) {
        let (sender, applied) = watch::channel(seq);
        (Self { committed: AtomicU64::new(seq), applied, waiting: Mutex::default() }, sender)
    }

    /// Notes a turn that is on disk.
    pub fn commit(&self, seq: u64, changes: usize) {
        self.waiting().push_back(Waiting { seq, changes, since: Stopwatch::start() });
        self.committed.store(seq, Ordering::Release);
    }

    /// The last turn on disk.
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// A view of the last turn that sled has.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.applied.clone()
    }

    /// What lies between.
    pub fn lag(&self) -> Lag {
        let applied = *self.applied.borrow();
        let mut waiting = self.waiting();
        while waiting.front().is_some_and(|turn| turn.seq <= applied) {
            waiting.pop_front();
        }
        let changes = waiting.iter().map(|turn| turn.changes).sum();
        Lag { changes, since: waiting.front().map(|turn| turn.since.elapsed()) }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        // A panic elsewhere leaves the queue whole: every change of it is one call.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
