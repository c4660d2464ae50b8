//! The thread that carries committed turns into sled, off the way of the acknowledgement.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use tokio::sync::{oneshot, watch};

use super::StoreError;
use super::batch::Nobody;
use super::database::{Group, Turn};
use super::overlay::Overlay;

/// How many turns may wait. The door refuses new work long before (the lag's bound); beyond this the writer waits.
const QUEUE: usize = 256;

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
    /// Waits for the failure. [`StoreError::Stopped`] where the applier ended without one: it was closed, or it panicked.
    pub async fn wait(&mut self) -> StoreError {
        (&mut self.0).await.unwrap_or(StoreError::Stopped)
    }
}

impl Applier {
    /// Starts the thread. It alone changes `db` from here on.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(db: sled::Db, overlay: Arc<Overlay>, done: watch::Sender<u64>) -> std::io::Result<(Self, Fatal)> {
        let (turns, taken) = sync_channel(QUEUE);
        let (failed, fatal) = oneshot::channel();
        let thread = thread::Builder::new().name("applier".to_owned()).spawn(move || {
            if let Err(error) = follow(&taken, &db, &overlay, &done) {
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
        // A panic of the thread was told as the fatal error; sled then lacks the tail, which the next start applies.
        let _ = self.thread.join();
    }
}

fn follow(
    taken: &Receiver<Turn>,
    db: &sled::Db,
    overlay: &Overlay,
    done: &watch::Sender<u64>,
) -> Result<(), StoreError> {
    while let Ok(turn) = taken.recv() {
        let mut group = Group::default();
        group.add(turn);
        while !group.is_full() {
            match taken.try_recv() {
                Ok(turn) => group.add(turn),
                Err(_) => break,
            }
        }
        group.apply(db, overlay, done, &mut Nobody)?;
    }
    Ok(())
}
