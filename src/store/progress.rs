//! How far everybody is: what is committed, what sled has, and how much lies between.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::{self, Thread};
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

/// The lag beyond which no new message is taken (DESIGN §3): reads would wait too long for what they must not miss.
const MOST: Lag = Lag { changes: 20_000, since: Some(Duration::from_millis(500)) };

/// From here on the writer waits for sled before it takes more, so that what is sent comes as fast as sled takes it, and is
/// refused only where that is not fast enough for long.
const MUCH: Lag = Lag { changes: 4_000, since: Some(Duration::from_millis(150)) };

impl Lag {
    /// Whether sled should catch up before more is taken.
    pub fn is_much(&self) -> bool {
        self.changes > MUCH.changes || self.since > MUCH.since
    }

    /// Whether new messages have to wait outside until sled has caught up.
    pub fn is_too_far(&self) -> bool {
        self.changes > MOST.changes || self.since > MOST.since
    }
}

/// Shared by the appender, the applier and every reader.
#[derive(Debug)]
pub struct Progress {
    committed: AtomicU64,
    applied: watch::Receiver<u64>,
    /// The last turn that a reader waits for, or waited for.
    wanted: AtomicU64,
    applier: OnceLock<Thread>,
    waiting: Mutex<Queue>,
    commit: Mutex<Option<Stopwatch>>,
    /// sled stands still for those who read, and is changed by one who writes.
    still: RwLock<()>,
}

/// The turns that sled does not have yet.
#[derive(Debug, Default)]
struct Queue {
    turns: VecDeque<Waiting>,
    /// Of all of them.
    changes: usize,
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
        let progress = Self {
            committed: AtomicU64::new(seq),
            applied,
            wanted: AtomicU64::new(seq),
            applier: OnceLock::new(),
            waiting: Mutex::default(),
            commit: Mutex::default(),
            still: RwLock::default(),
        };
        (progress, sender)
    }

    /// The calling thread applies, and is to be woken where somebody waits for it.
    pub fn applied_by_me(&self) {
        // One store has one applier.
        let _ = self.applier.set(thread::current());
    }

    /// Somebody waits for turn `seq`.
    pub fn want(&self, seq: u64) {
        self.wanted.fetch_max(seq, Ordering::AcqRel);
        if let Some(applier) = self.applier.get() {
            applier.unpark();
        }
    }

    /// Whether somebody waits for a turn that sled does not have.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Acquire) > *self.applied.borrow()
    }

    /// Nothing is applied while this is held. A page is read so: it walks several ranges, and a row that moved from one to
    /// another meanwhile would be missed or come twice. Who holds it must not ask for it again.
    pub fn hold_still(&self) -> RwLockReadGuard<'_, ()> {
        // It guards no value that a panic could leave half changed.
        self.still.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for those who read, and keeps others out while a batch is applied.
    pub fn change(&self) -> RwLockWriteGuard<'_, ()> {
        self.still.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A commit begins.
    pub fn begin_commit(&self) {
        *self.commit_began() = Some(Stopwatch::start());
    }

    /// How long the commit that is under way has been so; nothing where none is.
    pub fn commit_under_way(&self) -> Option<Duration> {
        self.commit_began().map(|began| began.elapsed())
    }

    fn commit_began(&self) -> MutexGuard<'_, Option<Stopwatch>> {
        self.commit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a turn that is on disk.
    pub fn commit(&self, seq: u64, changes: usize) {
        {
            let mut waiting = self.still_waiting();
            waiting.changes += changes;
            waiting.turns.push_back(Waiting { seq, changes, since: Stopwatch::start() });
        }
        self.committed.store(seq, Ordering::Release);
        *self.commit_began() = None;
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
        let waiting = self.still_waiting();
        Lag { changes: waiting.changes, since: waiting.turns.front().map(|turn| turn.since.elapsed()) }
    }

    fn still_waiting(&self) -> MutexGuard<'_, Queue> {
        let applied = *self.applied.borrow();
        // Nothing that can panic happens under this lock.
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(turn) = waiting.turns.front().filter(|turn| turn.seq <= applied) {
            waiting.changes -= turn.changes;
            waiting.turns.pop_front();
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_changes_or_an_old_one_are_too_far() {
        let lag = |changes, since_ms: Option<u64>| Lag { changes, since: since_ms.map(Duration::from_millis) };
        assert!(!lag(0, None).is_too_far() && !lag(4_000, Some(150)).is_much());
        assert!(lag(4_001, Some(1)).is_much() && lag(1, Some(151)).is_much());
        assert!(!lag(20_000, Some(500)).is_too_far());
        assert!(lag(20_001, Some(1)).is_too_far());
        assert!(lag(1, Some(501)).is_too_far());
    }
}
