//! How a store that fails behind everybody's back is heard of: by the first who notices, once.

use tokio::sync::mpsc;

use super::StoreError;
use super::applier;

/// Tells when the store has failed, which must end the process.
#[derive(Debug)]
pub struct Fatal {
    applier: applier::Fatal,
    rung: mpsc::Receiver<StoreError>,
}

/// The other end, for those who read.
#[derive(Clone, Debug)]
pub struct Alarm(mpsc::Sender<StoreError>);

impl Fatal {
    /// Listens to the applier and to whoever has the alarm.
    pub(super) fn new(applier: applier::Fatal) -> (Self, Alarm) {
        let (alarm, rung) = mpsc::channel(1);
        (Self { applier, rung }, Alarm(alarm))
    }

    /// Waits for the failure. [`StoreError::Stopped`] where the applier ended without one: it was closed, or it panicked.
    pub async fn wait(&mut self) -> StoreError {
        tokio::select! {
            error = self.applier.wait() => error,
            Some(error) = self.rung.recv() => error,
        }
    }
}

impl Alarm {
    /// One that nobody hears.
    pub(super) fn mute() -> Self {
        Self(mpsc::channel(1).0)
    }

    /// Says what failed. Only the first is heard.
    pub fn ring(&self, error: StoreError) {
        // It was rung already, or nobody listens: the store is only read.
        let _ = self.0.try_send(error);
    }
}
