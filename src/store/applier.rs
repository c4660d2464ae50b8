//! The thread that carries committed turns into sled, off the way of the acknowledgement.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::StoreError;
use super::batch::Highest;
use super::database::{Group, Turn, guarded};
use super::keys::Kind;
use super::overlay::Overlay;
use super::progress::Progress;
use super::upkeep::Upkeep;
use crate::clock::Stopwatch;

/// How many turns may wait. The door refuses new work long before (the lag's bound); beyond this the writer waits.
const QUEUE: usize = 4096;

/// How long turns are gathered while nobody waits for them. Applied after every commit they would get in the writer's way each
/// time; together, what is written again is applied once, and what sled does for each batch, among it a write and the waking of
/// its threads, is done for more rows. Measured with churn on one CPU, beside 4 ms: with 1 ms 1 to 9 % fewer alerts are taken,
/// with 8 ms as many, and with 16 ms the writer waits for longer at a time: p99 of posts of one alert is a sixth higher.
const GATHER: Duration = Duration::from_millis(4);

/// The writer's end: turns go in, and closing it waits until all are in sled.
#[derive(Debug)]
pub struct Applier {
    turns: SyncSender<Turn>,
    thread: JoinHandle<()>,
}

/// Tells when the applier has failed, which must end the process.
#[derive(Debug)]
pub struct Fatal(oneshot::Receiver<StoreError>);

impl Fatal {
    /// Waits for the failure. [`StoreError::Stopped`] where the applier ended without one: it was closed.
    pub async fn wait(&mut self) -> StoreError {
        (&mut self.0).await.unwrap_or(StoreError::Stopped)
    }
}

impl Applier {
    /// Starts the thread. It alone changes `db` from here on.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        db: sled::Db,
        overlay: Arc<Overlay>,
        progress: Arc<Progress>,
        done: watch::Sender<u64>,
        mut upkeep: Upkeep,
    ) -> std::io::Result<(Self, Fatal)> {
        let (turns, taken) = sync_channel(QUEUE);
        let (failed, fatal) = oneshot::channel();
        let thread = thread::Builder::new().name("applier".to_owned()).spawn(move || {
            progress.applied_by_me();
            if let Err(error) = guarded(|| follow(&taken, &db, &overlay, &progress, &done, &mut upkeep)) {
                // Nobody listens where the store is only read by a tool; the next commit fails all the same.
                let _ = failed.send(error);
            }
        })?;
        Ok((Self { turns, thread }, Fatal(fatal)))
    }

    /// Whether the thread is gone.
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Hands over a turn that is on disk.
    ///
    /// # Errors
    /// The applier has ended.
    pub fn send(&self, turn: Turn) -> Result<(), StoreError> {
        self.turns.send(turn).map_err(|_| StoreError::Stopped)
    }

    /// Waits until everything that was handed over is in sled.
    pub fn close(self) {
        drop(self.turns);
        // A failure of the thread was told as the fatal error; sled then lacks the tail, which the next start applies.
        let _ = self.thread.join();
    }
}

/// The turn with those that follow it: until somebody waits for one of them, there are enough, or it took long enough.
fn gather(first: Turn, taken: &Receiver<Turn>, progress: &Progress) -> (Group, u64) {
    let (watch, mut bytes, mut group) = (Stopwatch::start(), first.bytes(), Group::default());
    group.add(first);
    while !group.is_full() {
        match taken.try_recv() {
            Ok(turn) => {
                bytes += turn.bytes();
                group.add(turn);
            }
            Err(TryRecvError::Empty) => {
                let left = GATHER.saturating_sub(watch.elapsed());
                if left.is_zero() || progress.is_wanted() {
                    break;
                }
                thread::park_timeout(left);
            }
            Err(TryRecvError::Disconnected) => break,
        }
    }
    (group, bytes)
}

fn follow(
    taken: &Receiver<Turn>,
    db: &sled::Db,
    overlay: &Overlay,
    progress: &Progress,
    done: &watch::Sender<u64>,
    upkeep: &mut Upkeep,
) -> Result<(), StoreError> {
    upkeep.begin(db)?;
    let mut highest = Highest::default();
    loop {
        let next = match upkeep.pause() {
            Some(pause) => taken.recv_timeout(pause),
            None => taken.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(turn) => {
                let (group, bytes) = gather(turn, taken, progress);
                let (reaches, has_horizon) = (group.reaches(), group.has(Kind::Horizon));
                group.apply(db, overlay, progress, done, upkeep, &mut highest)?;
                if let Some(applied) = reaches {
                    upkeep.applied(db, applied, bytes, has_horizon)?;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        upkeep.go_on(db)?;
    }
}
