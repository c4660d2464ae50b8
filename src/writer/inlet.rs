//! The door in: two bounded lanes to the writer, and whether anything is taken at all.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::Cause;
use crate::engine::{Input, Reply};

/// How many inputs may wait in each lane of the daemon. A webhook chunk is one input, so this bounds what a storm can pile up.
pub const LANE: usize = 1024;

/// An input with its cause and the way back.
#[derive(Debug)]
pub struct Envelope {
    /// Who caused it.
    pub cause: Cause,
    /// What happened.
    pub input: Input,
    /// Where the reply goes, once it is on disk.
    pub reply: oneshot::Sender<Answer>,
    /// Whoever sent it cannot send it again: it waits rather than being refused.
    must_wait: bool,
}

/// What comes back: the engine's reply, or why there is none.
pub type Answer = Result<Reply, Unavailable>;

impl Envelope {
    /// Refuses it for `why`; given back where it must not be lost.
    pub(super) fn refuse(self, why: &str) -> Option<Self> {
        if self.must_wait {
            return Some(self);
        }
        // Who asked may have gone.
        let _ = self.reply.send(Err(Unavailable::Closed(why.into())));
        None
    }
}

/// The door in, for everybody: bounded, so that a storm waits outside.
#[derive(Clone, Debug)]
pub struct Inlet {
    commands: mpsc::Sender<Envelope>,
    signals: mpsc::Sender<Envelope>,
    door: Door,
}

/// The writer's end of the [`Inlet`].
#[derive(Debug)]
pub struct Receivers {
    /// Commands of people and results of effects: taken first.
    pub commands: mpsc::Receiver<Envelope>,
    /// Deliveries of alerts.
    pub signals: mpsc::Receiver<Envelope>,
}

/// The door and its other side, with room for `capacity` envelopes in each lane.
pub fn inlet(capacity: usize) -> (Inlet, Receivers) {
    let (commands, asked) = mpsc::channel(capacity);
    let (signals, told) = mpsc::channel(capacity);
    let door = Door::default();
    (Inlet { commands, signals, door }, Receivers { commands: asked, signals: told })
}

/// The writer is too busy or is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Nothing is taken at all for the time being, and why.
    #[error("{0}")]
    Closed(Arc<str>),
    /// The queue is full or the store lags behind; nothing was taken, and trying again soon will help.
    #[error("overloaded: try again in a moment")]
    Overloaded,
    /// The daemon is stopping. What was sent may have been taken or not.
    #[error("shutting down")]
    Stopping,
}

/// An input that was not queued, and why.
#[derive(Debug)]
pub struct Refused {
    /// What was in the way.
    pub why: Unavailable,
    /// As it was.
    pub input: Box<Input>,
}

impl Inlet {
    /// Sends an input and waits until what it changed is on disk.
    ///
    /// # Errors
    /// [`Unavailable::Closed`] where nothing is taken, [`Unavailable::Overloaded`] where the lane is full,
    /// [`Unavailable::Stopping`] where the writer is gone.
    pub async fn submit(&self, cause: Cause, input: Input) -> Answer {
        self.try_submit(cause, input).await.unwrap_or_else(|refused| Err(refused.why))
    }

    /// The same; an input that was not even queued comes back.
    ///
    /// # Errors
    /// [`Refused`], with the errors of [`Inlet::submit`] that come before anything is queued.
    pub async fn try_submit(&self, cause: Cause, input: Input) -> Result<Answer, Refused> {
        let place = match self.place(&input) {
            Ok(place) => place,
            Err(why) => return Err(Refused { why, input: Box::new(input) }),
        };
        let (envelope, answer) = envelope(cause, input, false);
        place.send(envelope);
        Ok(answer.await.unwrap_or(Err(Unavailable::Stopping)))
    }

    fn place(&self, input: &Input) -> Result<mpsc::Permit<'_, Envelope>, Unavailable> {
        self.door.takes()?;
        self.lane(input).try_reserve().map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(()) => Unavailable::Overloaded,
            mpsc::error::TrySendError::Closed(()) => Unavailable::Stopping,
        })
    }

    /// The same for the results of effects, which must not be lost to a full lane: it waits for a place.
    ///
    /// # Errors
    /// [`Unavailable::Stopping`] where the writer is gone.
    pub async fn report(&self, cause: Cause, input: Input) -> Answer {
        let (envelope, answer) = envelope(cause, input, true);
        self.lane(&envelope.input).send(envelope).await.map_err(|_| Unavailable::Stopping)?;
        answer.await.unwrap_or(Err(Unavailable::Stopping))
    }

    /// Whether anything is taken, for those who decide and those who show it.
    pub fn door(&self) -> &Door {
        &self.door
    }

    pub(super) fn lane(&self, input: &Input) -> &mpsc::Sender<Envelope> {
        match input {
            Input::Delivered(_) | Input::Probed { .. } => &self.signals,
            Input::Restored { .. }
            | Input::Checkpointed { .. }
            | Input::Configured(_)
            | Input::Started
            | Input::Asked(..)
            | Input::Acted { .. }
            | Input::Looked { .. }
            | Input::Notified { .. }
            | Input::Tick => &self.commands,
        }
    }
}

pub(super) fn envelope(cause: Cause, input: Input, must_wait: bool) -> (Envelope, oneshot::Receiver<Answer>) {
    let (reply, answer) = oneshot::channel();
    (Envelope { cause, input, reply, must_wait }, answer)
}

/// Why nothing is taken, if nothing is. Results of effects pass all the same: they wait inside.
#[derive(Clone, Debug, Default)]
pub struct Door(watch::Sender<Closed>);

#[derive(Clone, Debug, Default)]
struct Closed {
    /// The daemon is starting, or reads only.
    by_daemon: Option<Arc<str>>,
    /// The disk has no room.
    by_disk: Option<Arc<str>>,
    is_stopping: bool,
}

impl Door {
    /// Nothing is taken until [`Door::open`].
    pub fn close(&self, why: &str) {
        self.0.send_modify(|closed| closed.by_daemon = Some(why.into()));
    }

    /// From now on, where there is room.
    pub fn open(&self) {
        self.0.send_modify(|closed| closed.by_daemon = None);
    }

    /// We are ready for nothing more, though what comes is still taken: who asks is on the way out anyhow.
    pub fn stop(&self) {
        self.0.send_modify(|closed| closed.is_stopping = true);
    }

    /// The writer looked at the disk.
    pub fn set_room(&self, room: Result<(), &str>) {
        self.0.send_if_modified(|closed| {
            let by_disk = room.err().map(Arc::from);
            // The number of free bytes in the words is from when it became short.
            let is_change = by_disk.is_some() != closed.by_disk.is_some();
            if is_change {
                closed.by_disk = by_disk;
            }
            is_change
        });
    }

    /// Whether we can do our work.
    ///
    /// # Errors
    /// What is in the way.
    pub fn is_ready(&self) -> Result<(), Arc<str>> {
        let closed = self.0.borrow();
        let stopping = closed.is_stopping.then(|| Arc::from("stopping"));
        match stopping.or_else(|| closed.why()) {
            Some(why) => Err(why),
            None => Ok(()),
        }
    }

    fn takes(&self) -> Result<(), Unavailable> {
        self.0.borrow().why().map_or(Ok(()), |why| Err(Unavailable::Closed(why)))
    }
}

impl Closed {
    fn why(&self) -> Option<Arc<str>> {
        // A start that waits for room says so.
        self.by_disk.clone().or_else(|| self.by_daemon.clone())
    }
}
