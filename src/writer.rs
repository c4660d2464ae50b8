//! The one writer: takes what is queued, steps the engine, commits once, and only then lets effects and replies out.
//!
//! It is one thread and the only caller of [`Engine::step`]. A turn takes what is there and never waits for more; what
//! came while a turn was on its way to disk is the next turn, so the load itself makes the batches. A commit that fails
//! ends the process: start-up, which folds memory from disk, is the recovery that is tested every day.

mod inlet;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::clock::{Clock, Stopwatch};
use crate::domain::{Role, Timestamp};
use crate::engine::{Change, Decision, Effect, Engine, Input, Reply};
use crate::store::{Port, StoreError};

pub use inlet::{Answer, Door, Envelope, Inlet, LANE, Receivers, Refused, Unavailable, inlet};

/// When a turn stops to step and commits (SAFETY S2).
const TURN_TIME: Duration = Duration::from_millis(2);

/// How many alerts a turn steps at most; one chunk of a webhook body has no more.
pub const TURN_ALERTS: usize = 256;

/// The longest silence of the writer: an empty tick proves to systemd's watchdog that it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// How long nothing has come each time that memory is tidied a little.
const QUIET: Duration = Duration::from_millis(10);

/// How soon it is looked again whether the store has caught up.
const BEHIND_LOOK: Duration = Duration::from_millis(2);

/// How often the disk is looked at again while it has no room.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Who caused an input, as the journal records it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// A token's name, a source, a driver, or `remedyd`.
    pub principal: String,
    /// The request's id, where there is a request.
    pub request_id: Option<Arc<str>>,
    /// What a person or a client was let in as.
    pub role: Option<Role>,
    /// Where they asked from: an address, or nothing on a socket file.
    pub address: Option<IpAddr>,
}

impl Cause {
    /// What the daemon does by itself.
    pub fn system() -> Self {
        Self::of(crate::engine::SYSTEM)
    }

    /// What a part of the daemon does without anybody's request.
    pub fn of(principal: impl Into<String>) -> Self {
        Self { principal: principal.into(), request_id: None, role: None, address: None }
    }
}

/// Who is told of every turn that is on disk: the metrics.
pub trait Observer: Send {
    /// The changes of one committed step, in order, and what rules decided in it.
    fn committed(&mut self, changes: &[Change], decisions: &[Decision]);
    /// A turn is over, or a wait for room on the disk goes on: the writer lives.
    fn turned(&mut self, turned: &Turned<'_>);
}

/// How it stands after a turn.
pub struct Turned<'a> {
    /// What is remembered, and what the limits are.
    pub engine: &'a Engine,
    /// How much room the disk lacks, in words; nothing is taken until it is there.
    pub shortage: Option<&'a str>,
    /// Engine time.
    pub now: Timestamp,
}

/// Everything that the writer's thread owns.
pub struct Writer<P> {
    engine: Engine,
    port: P,
    clock: std::sync::Arc<Clock>,
    lanes: Receivers,
    door: Door,
    /// Results that came while the disk had no room: taken first once it has.
    kept: VecDeque<Envelope>,
    /// When memory is tidied if nothing comes until then.
    rests_at: Option<Timestamp>,
    effects: mpsc::UnboundedSender<Effect>,
    observer: Box<dyn Observer>,
}

/// One step's results while they are not on disk: nobody outside can reach them.
#[derive(Default)]
struct Turn {
    steps: Vec<(Vec<Change>, Vec<Decision>)>,
    effects: Vec<Effect>,
    replies: Vec<(oneshot::Sender<Answer>, Reply)>,
    alerts: usize,
}

/// A turn that is on disk: the only place from which effects and replies get out.
struct Committed(Turn);

impl Committed {
    fn by(port: &mut impl Port, turn: Turn, at: Timestamp) -> Result<Self, StoreError> {
        port.commit(at)?;
        Ok(Self(turn))
    }

    fn release(self, effects: &mpsc::UnboundedSender<Effect>, observer: &mut dyn Observer) {
        for (changes, decisions) in &self.0.steps {
            observer.committed(changes, decisions);
        }
        for effect in self.0.effects {
            // Nobody to carry it out any more: it is pending on disk, and the next start asks for it.
            let _ = effects.send(effect);
        }
        for (sender, reply) in self.0.replies {
            // Who asked may have gone; what they asked for is done.
            let _ = sender.send(Ok(reply));
        }
    }
}

impl<P: Port> Writer<P> {
    /// A writer over this engine and this store. Effects leave through `effects`: as many as there are pending rows, so
    /// that channel needs no bound of its own.
    pub fn new(
        engine: Engine,
        port: P,
        clock: std::sync::Arc<Clock>,
        lanes: Receivers,
        door: Door,
        effects: mpsc::UnboundedSender<Effect>,
        observer: Box<dyn Observer>,
    ) -> Self {
        let rests_at = Some(clock.now());
        Self { engine, port, clock, lanes, door, kept: VecDeque::new(), rests_at, effects, observer }
    }

    /// Runs until `stop` says so and everything queued is on disk; gives the store back to be closed.
    ///
    /// # Errors
    /// The store failed. Nothing that was not on disk has left, and nothing more must be done with this process.
    pub fn run(mut self, runtime: &tokio::runtime::Handle, mut stop: oneshot::Receiver<()>) -> Result<P, StoreError> {
        loop {
            let woken = runtime.block_on(self.wait(&mut stop));
            let first = match woken {
                Woken::Input(envelope) => Some(*envelope),
                Woken::Time => None,
                Woken::Quiet => {
                    self.rest();
                    continue;
                }
                Woken::Stop => {
                    self.lanes.commands.close();
                    self.lanes.signals.close();
                    while let Some(envelope) = self.queued(true) {
                        self.turn(Some(envelope))?;
                    }
                    return Ok(self.port);
                }
            };
            // Looked at right before the turn: what waited for an input may have waited for long.
            if let Err(shortage) = self.port.room()? {
                self.door.set_room(Err(&shortage));
                self.kept.extend(first.and_then(|envelope| envelope.refuse(&shortage)));
                if runtime.block_on(self.wait_for_room(&shortage, &mut stop)) {
                    return Ok(self.port);
                }
                continue;
            }
            self.door.set_room(Ok(()));
            self.turn(first)?;
        }
    }

    /// Waits for an input or for the next deadline: what was kept first, then commands. Signals are taken as fast as the store
    /// takes what becomes of them.
    async fn wait(&mut self, stop: &mut oneshot::Receiver<()>) -> Woken {
        if let Some(kept) = self.kept.pop_front() {
            return Woken::Input(Box::new(kept));
        }
        let pause = match self.engine.next_deadline() {
            Some(deadline) => deadline.since(self.clock.now()).min(HEARTBEAT),
            None => HEARTBEAT,
        };
        let is_behind = self.port.is_behind();
        let quiet = self.rests_at.map(|at| at.since(self.clock.now())).filter(|quiet| *quiet < pause && !is_behind);
        let (sleep, woken) = match quiet {
            Some(quiet) => (quiet, Woken::Quiet),
            None if is_behind => (pause.min(BEHIND_LOOK), Woken::Time),
            None => (pause, Woken::Time),
        };
        tokio::select! {
            biased;
            _ = stop => Woken::Stop,
            Some(envelope) = self.lanes.commands.recv() => Woken::Input(Box::new(envelope)),
            () = tokio::time::sleep(Duration::ZERO), if pause.is_zero() => Woken::Time,
            Some(envelope) = self.lanes.signals.recv(), if !is_behind => Woken::Input(Box::new(envelope)),
            () = tokio::time::sleep(sleep) => woken,
        }
    }

    /// Tidies memory for a moment.
    fn rest(&mut self) {
        let more = self.engine.rest(self.clock.now());
        self.rests_at = more.map(|at| at.max(self.clock.now().plus(QUIET)));
    }

    /// A moment without room: who can ask again is refused, what must not be lost is kept, and nothing is stepped. Says
    /// whether it is time to stop; what is kept is then still pending on disk.
    async fn wait_for_room(&mut self, shortage: &str, stop: &mut oneshot::Receiver<()>) -> bool {
        self.turned(Some(shortage));
        let pause = tokio::time::sleep(LOOK_AGAIN);
        tokio::pin!(pause);
        loop {
            let came = tokio::select! {
                biased;
                _ = &mut *stop => return true,
                () = &mut pause => return false,
                Some(envelope) = self.lanes.commands.recv() => envelope,
                Some(envelope) = self.lanes.signals.recv() => envelope,
            };
            if let Some(kept) = came.refuse(shortage) {
                self.kept.push_back(kept);
            }
        }
    }

    /// What waits, without signals where the store is behind.
    fn queued(&mut self, takes_signals: bool) -> Option<Envelope> {
        let command = self.lanes.commands.try_recv().ok();
        command.or_else(|| takes_signals.then(|| self.lanes.signals.try_recv().ok()).flatten())
    }

    /// One turn: what is due, what woke us, and what else is queued, up to the turn's bounds; then one commit.
    fn turn(&mut self, first: Option<Envelope>) -> Result<(), StoreError> {
        let watch = Stopwatch::start();
        let mut turn = Turn::default();
        let mut next = first;
        if self.engine.next_deadline().is_some_and(|deadline| deadline <= self.clock.now()) {
            self.step(&mut turn, Cause::system(), Input::Tick, None)?;
        }
        while let Some(Envelope { cause, input, reply, .. }) = next {
            self.step(&mut turn, cause, input, Some(reply))?;
            let is_full = turn.alerts >= TURN_ALERTS || watch.elapsed() >= TURN_TIME;
            next = if is_full { None } else { self.queued(!self.port.is_behind()) };
        }
        Committed::by(&mut self.port, turn, self.clock.now())?.release(&self.effects, self.observer.as_mut());
        self.turned(None);
        self.rests_at = Some(self.clock.now().plus(QUIET));
        if let Some(drift) = self.clock.wall_drift() {
            tracing::warn!(drift_us = drift, "the wall clock jumped; engine time goes on as if it had not");
        }
        Ok(())
    }

    fn turned(&mut self, shortage: Option<&str>) {
        self.observer.turned(&Turned { engine: &self.engine, shortage, now: self.clock.now() });
    }

    fn step(
        &mut self,
        turn: &mut Turn,
        cause: Cause,
        input: Input,
        reply: Option<oneshot::Sender<Answer>>,
    ) -> Result<(), StoreError> {
        match &input {
            Input::Delivered(delivery) => turn.alerts += delivery.reports().len() + delivery.dead.len(),
            Input::Probed { runs, .. } => turn.alerts += runs.len(),
            _ => {}
        }
        let now = self.clock.now();
        let past = self.port.past(&self.engine.wanted(now, &input))?;
        let kind = input.kind();
        let step = self.engine.step(now, input, past);
        self.port.stage(&cause, kind, &step.changes);
        turn.steps.push((step.changes, step.decisions));
        turn.effects.extend(step.effects);
        turn.replies.extend(reply.map(|sender| (sender, step.reply)));
        Ok(())
    }
}

/// What ended the writer's wait.
enum Woken {
    Input(Box<Envelope>),
    Time,
    Quiet,
    Stop,
}

#[cfg(test)]
mod tests;
