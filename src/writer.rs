//! The one writer: takes what is queued, steps the engine, commits once, and only then lets effects and replies out.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::engine::{Input, Reply};

/// Who caused an input, as the journal records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// A token's name, a source, a driver, or `remedyd`.
    pub principal: String,
    /// The request's id, where there is a request.
    pub request_id: Option<String>,
}

/// An input with its cause and the way back.
#[derive(Debug)]
pub struct Envelope {
    /// Who caused it.
    pub cause: Cause,
    /// What happened.
    pub input: Input,
    /// Where the reply goes, once it is on disk.
    pub reply: oneshot::Sender<Reply>,
}

/// The door in, for everybody: bounded, so that a storm waits outside.
#[derive(Clone, Debug)]
pub struct Inlet {
    commands: mpsc::Sender<Envelope>,
    signals: mpsc::Sender<Envelope>,
}

/// The other end of the [`Inlet`], for whoever takes what comes in.
#[derive(Debug)]
pub struct Receivers {
    /// Requests of people and results of effects; taken first.
    pub commands: mpsc::Receiver<Envelope>,
    /// What sources tell.
    pub signals: mpsc::Receiver<Envelope>,
}

/// A door with room for `capacity` envelopes in each lane.
pub fn inlet(capacity: usize) -> (Inlet, Receivers) {
    let (commands, asked) = mpsc::channel(capacity);
    let (signals, told) = mpsc::channel(capacity);
    (Inlet { commands, signals }, Receivers { commands: asked, signals: told })
}

/// The writer is too busy or is gone; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The queue is full or the store lags behind; trying again soon will help.
    #[error("overloaded: try again in a moment")]
    Overloaded,
    /// The daemon is stopping. What was sent may have been taken or not.
    #[error("shutting down")]
    Stopping,
}

impl Inlet {
    /// Sends an input and waits until what it changed is on disk.
    ///
    /// Commands of people and results of effects have a lane of their own, which the writer takes first.
    pub async fn submit(&self, cause: Cause, input: Input) -> Result<Reply, Unavailable> {
        let lane = match input {
            Input::Delivered(_) => &self.signals,
            _ => &self.commands,
        };
        let (reply, answer) = oneshot::channel();
        let envelope = Envelope { cause, input, reply };
        lane.try_send(envelope).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Unavailable::Overloaded,
            mpsc::error::TrySendError::Closed(_) => Unavailable::Stopping,
        })?;
        answer.await.map_err(|_| Unavailable::Stopping)
    }
}
