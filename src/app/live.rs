//! While the daemon is up: signals, configurations that change, and tasks that must not end.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::effects::Hands;
use super::end::{failed, store_failed, writer_ended};
use super::listeners::exposed;
use super::{checks, configured, known, warn_about};
use crate::config::watch::{Reload, Reloaded};
use crate::config::{Config, Listen, Loaded, Mistake, Storage};
use crate::http::Shared;
use crate::store::{self, Appender, Reader, StoreError};
use crate::telemetry::logs::SledAlarm;
use crate::telemetry::service;
use crate::writer::{Cause, Unavailable};

/// A commit that takes longer than this will not end well (S4): the disk hangs, and nobody can say what it holds.
const COMMIT_WITHIN: Duration = Duration::from_secs(10);

/// How often that is looked at.
const COMMIT_LOOK: Duration = Duration::from_secs(1);

/// How long a failure may take to show whose it was.
const CAUSE_WITHIN: Duration = Duration::from_secs(1);

/// What a writer's thread leaves.
type WriterEnd = Result<Result<Appender, StoreError>, JoinError>;

/// Ends the process where a commit hangs. Seen twice in a row: a process that was stopped and goes on is no hanging disk.
/// A task of its own, as everybody else may wait for the writer.
pub async fn commits_must_end(reader: Reader) {
    let (mut looks, mut slow) = (tokio::time::interval(COMMIT_LOOK), 0);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let took = reader.commit_under_way().filter(|took| *took > COMMIT_WITHIN);
        slow = took.map_or(0, |_| slow + 1);
        if let Some(took) = took.filter(|_| slow > 1) {
            error!("a commit has been under way for {took:?}: the disk hangs, and all that must be remembered with it");
            // The thread that hangs would hold up every orderly end.
            std::process::abort();
        }
    }
}

/// What runs while the daemon is up.
pub struct Live<'a> {
    /// In force; replaced by a reload.
    pub config: &'a watch::Sender<Arc<Config>>,
    /// What handlers share.
    pub shared: &'a Shared,
    /// Who carries effects out.
    pub hands: &'a Hands,
    /// What SIGHUP does.
    pub reload: &'a Reload,
    /// Which file it was started with.
    pub config_file: &'a Path,
    /// The store of this process, whatever a later configuration says.
    pub storage: &'a Storage,
    /// Where this process listens, whatever a later configuration says.
    pub bound: Vec<Listen>,
    /// Its sockets belong to systemd.
    pub is_activated: bool,
}

/// The signals that the daemon answers. It listens from its first moment: what comes while the store opens waits.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system says no.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

impl Signals {
    /// Waits for the one that says to stop, where there is nothing to load again.
    pub async fn stop(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return info!("SIGTERM: stopping"),
                _ = self.interrupt.recv() => return info!("SIGINT: stopping"),
                _ = self.hang_up.recv() => warn!("SIGHUP: read-only, so nothing is loaded"),
            }
        }
    }
}

/// Everything whose end is watched.
pub struct Tasks<'a> {
    /// What the operator says.
    pub signals: &'a mut Signals,
    /// Configurations that were found.
    pub reloaded: &'a mut mpsc::Receiver<Reloaded>,
    /// The writer's thread.
    pub writer: &'a mut JoinHandle<Result<Appender, StoreError>>,
    /// The store behind it.
    pub fatal: &'a mut store::Fatal,
    /// The listeners.
    pub servers: &'a mut JoinSet<usize>,
    /// The watch over the configuration.
    pub watching: &'a mut JoinHandle<()>,
    /// The carrying out of effects.
    pub hands: &'a mut JoinSet<()>,
    /// What sled says of its own troubles.
    pub sled: &'a SledAlarm,
}

impl Live<'_> {
    /// Runs until a signal or a failure says how the daemon ends.
    pub async fn run(
        &mut self,
        tasks: &mut Tasks<'_>,
        begun: impl Future<Output = Result<(), Unavailable>>,
    ) -> ExitCode {
        let Signals { terminate, interrupt, hang_up } = tasks.signals;
        tokio::pin!(begun);
        let mut is_begun = false;
        loop {
            tokio::select! {
                // Whoever knows why comes first.
                biased;
                error = tasks.fatal.wait() => return store_failed(self.storage, self.is_activated, &error),
                ended = &mut *tasks.writer => return self.writer_ended(ended, tasks.fatal).await,
                said = tasks.sled.wait() => return store_failed(self.storage, self.is_activated, &StoreError::Said(said)),
                begun = &mut begun, if !is_begun => {
                    is_begun = true;
                    if begun.is_ok() {
                        self.shared.inlet.door().open();
                        info!("ready");
                    }
                }
                _ = terminate.recv() => { info!("SIGTERM: stopping"); return ExitCode::SUCCESS; }
                _ = interrupt.recv() => { info!("SIGINT: stopping"); return ExitCode::SUCCESS; }
                _ = hang_up.recv() => self.reload_soon(),
                Some(reloaded) = tasks.reloaded.recv() => self.take(reloaded).await,
                _ = tasks.servers.join_next() => return failed("a listener ended by itself"),
                _ = &mut *tasks.watching => return failed("the watch over the configuration ended by itself"),
                _ = tasks.hands.join_next() => {
                    // It ends when the writer lets go of its end: a moment before the writer has ended.
                    return match timeout(CAUSE_WITHIN, &mut *tasks.writer).await {
                        Ok(ended) => self.writer_ended(ended, tasks.fatal).await,
                        Err(_) => failed("the dispatch of effects ended by itself"),
                    };
                }
            }
        }
    }

    /// A writer whose store has stopped knows only that; the applier knows why.
    async fn writer_ended(&self, ended: WriterEnd, fatal: &mut store::Fatal) -> ExitCode {
        if let Ok(Err(StoreError::Stopped)) = &ended
            && let Ok(error) = timeout(CAUSE_WITHIN, fatal.wait()).await
        {
            return store_failed(self.storage, self.is_activated, &error);
        }
        writer_ended(self.storage, self.is_activated, ended)
    }

    fn reload_soon(&self) {
        info!("SIGHUP: reading the configuration again");
        let reload = self.reload.clone();
        // What came of it is logged where it is taken.
        tokio::spawn(async move { reload.reload().await });
    }

    /// Takes a configuration over, or keeps the one in force and says why.
    async fn take(&self, reloaded: Reloaded) {
        service::reloading();
        let outcome = match reloaded.outcome {
            Ok(loaded) => self.apply(*loaded).await,
            Err(mistakes) => Err(mistakes),
        };
        match &outcome {
            Ok(()) => self.shared.loads.taken(self.hands.clock.now()),
            Err(mistakes) => {
                self.shared.metrics.reload_failed();
                let said = mistakes.iter().map(ToString::to_string).collect();
                self.shared.loads.refused(self.hands.clock.now(), said);
                error!(mistakes = mistakes.len(), "the configuration was not taken; the one before stays in force");
                mistakes.iter().for_each(|mistake| error!("{mistake}"));
            }
        }
        service::reloaded();
        // The watch may have ended.
        let _ = reloaded.answer.send(outcome);
    }

    async fn apply(&self, loaded: Loaded) -> Result<(), Vec<Mistake>> {
        let before = self.config.borrow().clone();
        let next = Arc::new(loaded.config);
        if before.digest == next.digest {
            // What was refused in between is mended.
            self.shared.metrics.reload_succeeded(self.hands.clock.now());
            return Ok(());
        }
        self.check_exposure(&next)?;
        if let Err(why) = self.shared.inlet.door().is_ready() {
            return Err(self.mistake("storage.path", format!("no configuration is taken: {why}")));
        }
        if before.server.listen != next.server.listen || before.storage != next.storage {
            warn!("`server.listen` and `[storage]` take effect at the next start");
        }
        warn_about(&loaded.warnings);
        // Drivers and receivers first: a decision that the new policy makes must find them.
        self.hands.executors.replace_drivers(next.drivers.clone());
        self.hands.notices.replace_receivers(next.receivers.clone());
        self.config.send_replace(Arc::clone(&next));
        let plan = checks::plan(&next, &loaded.instances);
        match self.shared.inlet.submit(Cause::system(), configured(&next, loaded.instances)).await {
            Ok(_) => {
                // Not before: what the engine refuses must not be run. A look that this very turn wanted may still run by the
                // plan before; a machine that was replaced shows by its generation.
                self.hands.probing.follow(plan).await;
                self.shared.metrics.configured(known(&next), &next.digest, self.hands.clock.now());
                info!(rules = next.settings.rules.len(), instances = next.instance_count, "took a new configuration");
                Ok(())
            }
            Err(why) => {
                self.hands.executors.replace_drivers(before.drivers.clone());
                self.hands.notices.replace_receivers(before.receivers.clone());
                self.config.send_replace(before);
                Err(self.mistake("storage.path", format!("no configuration is taken: {why}")))
            }
        }
    }

    /// Without tokens everybody who connects is admin. The files alone cannot tell whether that is only this machine: they
    /// may name another address than the one that was taken at the start.
    fn check_exposure(&self, next: &Config) -> Result<(), Vec<Mistake>> {
        let Some(address) = exposed(next, &self.bound) else { return Ok(()) };
        let what =
            format!("cannot go while the daemon listens on {address}: everybody there would be admin; restart it");
        Err(self.mistake("auth.tokens_file", what))
    }

    /// A mistake that no line of a file is to blame for.
    fn mistake(&self, key: &str, what: String) -> Vec<Mistake> {
        vec![Mistake { file: self.config_file.to_owned(), line: 1, column: 1, key: key.to_owned(), what }]
    }
}
