//! Builds the daemon, starts it, keeps it configured, and stops it in reverse.
//!
//! Start: configuration, listeners, store, engine, writer, hands, then the first two inputs (what exists, and what was
//! pending), then the door opens. Stop: the door closes and what is under way ends, the hands let go, the writer commits
//! what is queued, the store closes. A task that ends unasked ends the daemon.

mod checks;
mod discovery;
mod effects;
mod end;
mod listeners;
mod live;
mod observe;
mod read_only;
mod upkeep;

use std::mem;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{info, warn};

use crate::clock::Clock;
use crate::config::watch::{Reload, ReloadError, Reloaded, Watch};
use crate::config::{self, Config, Loaded, Mistake, Overrides, Storage};
use crate::domain::Instance;
use crate::engine::{Configured, Engine, Input};
use crate::executors::Executors;
use crate::http::server::listener::{Inherited, Listener};
use crate::http::{self, Shared};
use crate::notices::Notices;
use crate::providers::http_client::HttpClient;
use crate::store::{self, Appender, Opened, Opening, Restored, RoomWanted, StoreError, UpkeepDone, UpkeepWanted};
use crate::telemetry::logs::SledAlarm;
use crate::telemetry::metrics::{Known, Metrics};
use crate::telemetry::service;
use crate::writer::{self, Cause, Unavailable, Writer};
use checks::Probing;
use effects::Hands;
use end::{chain, failed, unusable};
use listeners::listen;
use live::{Live, Signals, Tasks};
use observe::Telemetry;

/// The configuration has mistakes.
pub const EXIT_CONFIG: u8 = 3;

/// The store cannot be used (sysexits' EX_CONFIG, which systemd is told not to restart on).
pub const EXIT_STORE: u8 = 78;

/// What `remedyd serve` was asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--config.file`
    pub config_file: PathBuf,
    /// `--web.listen-address`, `--storage.path`
    pub overrides: Overrides,
    /// Hears what sled says of its own troubles.
    pub sled: SledAlarm,
}

/// Runs until a signal or a failure ends it. Logging is set up.
pub fn serve(options: &Options) -> ExitCode {
    store::set_aside();
    let loaded = match config::load_steady(&options.config_file, &options.overrides, None) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            mistakes.iter().for_each(|mistake| eprintln!("{mistake}"));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let inherited = Inherited::take();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("cannot start threads: {error}")),
    };
    let code = runtime.block_on(run(options, loaded, inherited));
    // Drivers' programs outlive us on purpose; nothing else is worth waiting for.
    runtime.shutdown_background();
    code
}

async fn run(options: &Options, loaded: Loaded, inherited: Inherited) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("cannot listen for signals: {error}")),
    };
    warn_about(&loaded.warnings);
    let listeners = match listeners::open(&options.config_file, &loaded.config, inherited).await {
        Ok(listeners) => listeners,
        Err(code) => return code,
    };
    let metrics_of_store: Arc<OnceLock<Arc<Metrics>>> = Arc::default();
    let (done, upkept) = mpsc::unbounded_channel();
    let opened = match open_store(&loaded.config.storage, Arc::clone(&metrics_of_store), done).await {
        Ok(Opening::Ready(opened)) => *opened,
        Ok(Opening::ReadOnly(store)) => return read_only::serve(&loaded.config, store, listeners, &mut signals).await,
        Err(error) => return unusable(&error),
    };
    match Daemon::build(options, loaded, opened, upkept, &metrics_of_store) {
        Ok(daemon) => daemon.run(listeners, &mut signals).await,
        Err(code) => code,
    }
}

/// Everything that runs.
struct Daemon {
    config_file: PathBuf,
    /// Of this process, whatever a later configuration says.
    storage: Storage,
    config: watch::Sender<Arc<Config>>,
    /// Those of the first configuration, until they are handed over.
    instances: Vec<Instance>,
    shared: Shared,
    restored: Option<Restored>,
    reload: Reload,
    watch: Watch,
    reloaded: mpsc::Receiver<Reloaded>,
    hands: Arc<Hands>,
    hand_tasks: JoinSet<()>,
    writer: JoinHandle<Result<Appender, StoreError>>,
    fatal: store::Fatal,
    stop_writer: oneshot::Sender<()>,
    sled: SledAlarm,
}

impl Daemon {
    fn build(
        options: &Options,
        loaded: Loaded,
        opened: Opened,
        upkept: mpsc::UnboundedReceiver<UpkeepDone>,
        metrics_of_store: &OnceLock<Arc<Metrics>>,
    ) -> Result<Self, ExitCode> {
        let (reloaded_out, reloaded) = mpsc::channel(1);
        let (watch, reload) = Watch::new(&options.config_file, options.overrides.clone(), &loaded, reloaded_out);
        let first = Arc::new(loaded.config);
        let clock = Arc::new(Clock::start(opened.last.at));
        let metrics = Arc::new(Metrics::new(clock.now()));
        metrics.configured(known(&first), &first.digest, clock.now());
        // Set once, here: what was measured before is the start's own.
        let _ = metrics_of_store.set(Arc::clone(&metrics));
        let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
        let engine = Engine::new(&opened.live, seed);
        info!(
            live_remediations = engine.memory().remediations().len(),
            open_alerts = engine.memory().alerts().len(),
            sequence = opened.last.seq,
            "the store is open"
        );
        let telemetry = Telemetry::new(Arc::clone(&metrics), engine.memory(), &opened.live, service::is_watched());
        let (inlet, receivers) = writer::inlet(writer::LANE);
        let door = inlet.door().clone();
        door.close("starting");
        let (effects_out, effects) = mpsc::unbounded_channel();
        let (stop_writer, stopped) = oneshot::channel();
        let clock_of_writer = Arc::clone(&clock);
        let observer = Box::new(telemetry);
        let writer = Writer::new(engine, opened.appender, clock_of_writer, receivers, door, effects_out, observer);
        let runtime = Handle::current();
        let writer = tokio::task::spawn_blocking(move || writer.run(&runtime, stopped));

        let (config, config_out) = watch::channel(Arc::clone(&first));
        let client = HttpClient::new().map_err(|error| failed(&chain(&error)))?;
        let operations = first.storage.path.join("operations");
        let io = |source| unusable(&StoreError::Io { action: "use", path: operations.clone(), source });
        let executors = Executors::new(first.drivers.clone(), operations.clone()).map_err(io)?;
        let (notices, told) = Notices::new(client.clone(), Arc::clone(&clock), first.receivers.clone());
        let (probing, orders) = Probing::new();
        let hands = Arc::new(Hands {
            probing: probing.clone(),
            executors: Arc::new(executors),
            notices: Arc::new(notices),
            client,
            inlet: inlet.clone(),
            config: config_out.clone(),
            clock: Arc::clone(&clock),
            metrics: Arc::clone(&metrics),
        });
        let mut hand_tasks = JoinSet::new();
        hand_tasks.spawn(effects::dispatch(Arc::clone(&hands), effects));
        hand_tasks.spawn(effects::report_notices(Arc::clone(&hands), told));
        hand_tasks.spawn(upkeep::report(Arc::clone(&hands), upkept));
        hand_tasks.spawn(checks::follow(Arc::clone(&hands), orders));

        let rehearse = rehearsal(options.config_file.clone(), options.overrides.clone());
        hand_tasks.spawn(discovery::follow(Arc::clone(&hands), reload.clone(), rehearse));
        let prober = Arc::clone(&hands);
        let probe: http::ProbeNow = Arc::new(move |cause, instance, check| {
            let hands = Arc::clone(&prober);
            Box::pin(async move { checks::run_now(&hands, cause, instance, check).await })
        });
        let reload_now = reload_hook(reload.clone());
        let shared = Shared::new(inlet, opened.reader, config_out, metrics, reload_now, Some(probe));
        shared.loads.started(clock.now());
        let fatal = opened.fatal;
        let config_file = options.config_file.clone();
        let storage = first.storage.clone();
        Ok(Self {
            config_file,
            storage,
            config,
            instances: loaded.instances,
            shared,
            restored: opened.restored,
            reload,
            watch,
            reloaded,
            hands,
            hand_tasks,
            writer,
            fatal,
            stop_writer,
            sled: options.sled.clone(),
        })
    }

    async fn run(mut self, listeners: Vec<Listener>, signals: &mut Signals) -> ExitCode {
        let (stop_servers, stopping) = watch::channel(false);
        let mut watching = tokio::spawn(self.watch.run());
        let is_activated = listeners.iter().any(Listener::is_inherited);
        let (mut servers, bound) = listen(listeners, &self.shared, &stopping);
        // Reads are answered from here on. What is missing may be room on the disk, for which nobody should start us anew.
        service::ready("starting");
        let mut live = Live {
            config: &self.config,
            shared: &self.shared,
            hands: &self.hands,
            reload: &self.reload,
            config_file: &self.config_file,
            storage: &self.storage,
            bound,
            is_activated,
        };
        let mut tasks = Tasks {
            signals,
            reloaded: &mut self.reloaded,
            writer: &mut self.writer,
            fatal: &mut self.fatal,
            servers: &mut servers,
            watching: &mut watching,
            hands: &mut self.hand_tasks,
            sled: &self.sled,
        };
        // Before the loop: a borrow inside would last as long as the daemon, and no reload could replace it.
        let first = self.config.borrow().clone();
        let instances = mem::take(&mut self.instances);
        let begun = begin(&self.hands, self.restored.take(), &first, instances);
        self.sled.hush();
        let commits = tokio::spawn(live::commits_must_end(self.shared.reader.clone()));
        let code = live.run(&mut tasks, begun).await;
        commits.abort();
        self.shared.inlet.door().stop();
        service::stopping();
        watching.abort();
        if code != ExitCode::SUCCESS {
            // Something broke: no further effect, and nobody is waited for (I34).
            self.hand_tasks.shutdown().await;
            servers.shutdown().await;
        }
        stop_servers.send_replace(true);
        while let Some(cut_off) = servers.join_next().await {
            if let Ok(cut_off @ 1..) = cut_off {
                warn!("{cut_off} requests did not end in time and were cut off");
            }
        }
        self.hand_tasks.shutdown().await;
        if self.writer.is_finished() {
            return code;
        }
        let _ = self.stop_writer.send(());
        end::close(&self.storage, self.writer.await, code).await
    }
}

fn configured(config: &Config, instances: Vec<Instance>) -> Input {
    let (settings, clusters) = (Arc::clone(&config.settings), config.clusters.clone());
    Input::Configured(Box::new(Configured { settings, clusters, instances }))
}

/// The first inputs: that the store was restored, if it was; what exists and by which rules; and what was pending when the
/// last process ended. They wait for room on the disk. An error only where the writer is gone, whose own end says why.
async fn begin(
    hands: &Hands,
    restored: Option<Restored>,
    config: &Config,
    instances: Vec<Instance>,
) -> Result<(), Unavailable> {
    // First in line: no effect is out yet that could ask for a run, and nobody takes orders before the door opens.
    hands.probing.follow(checks::plan(config, &instances)).await;
    let inlet = &hands.inlet;
    if let Some(Restored { epoch, why }) = restored {
        inlet.report(Cause::system(), Input::Restored { epoch, why }).await?;
    }
    inlet.report(Cause::system(), configured(config, instances)).await?;
    inlet.report(Cause::system(), Input::Started).await?;
    Ok(())
}

/// The names of the configuration that are label values.
fn known(config: &Config) -> Known {
    Known {
        clusters: config.clusters.iter().map(|cluster| cluster.id.clone()).collect(),
        drivers: config.drivers.keys().cloned().collect(),
        sources: config.settings.sources.keys().cloned().collect(),
        discoveries: config.http_sd.keys().cloned().collect(),
        rules: config.settings.rules.keys().cloned().collect(),
        receivers: config.receivers.keys().cloned().collect(),
        checks: config.checks.keys().cloned().collect(),
        principals: config.tokens.iter().flat_map(|tokens| tokens.names()).map(str::to_owned).collect(),
    }
}

async fn open_store(
    storage: &Storage,
    metrics: Arc<OnceLock<Arc<Metrics>>>,
    done: mpsc::UnboundedSender<UpkeepDone>,
) -> Result<Opening, StoreError> {
    let observe = move |took: Duration| {
        if let Some(metrics) = metrics.get() {
            metrics.fsync(took);
        }
    };
    let room = RoomWanted { min_free: storage.min_free, ballast: storage.ballast };
    let upkeep = UpkeepWanted {
        every: storage.checkpoint_every,
        after: storage.checkpoint_after,
        min_free: storage.min_free,
        // At the end of the daemon nobody listens any more.
        told: Box::new(move |what| drop(done.send(what))),
    };
    let options = store::Options { synced: Box::new(observe), room, upkeep: Some(upkeep) };
    let path = storage.path.clone();
    let opened = tokio::task::spawn_blocking(move || store::open(&path, options)).await;
    opened.unwrap_or_else(|error| Err(StoreError::Unreadable(format!("opening it ended badly: {error}"))))
}

fn reload_hook(reload: Reload) -> http::Reload {
    Arc::new(move || {
        let reload = reload.clone();
        Box::pin(async move {
            reload.reload().await.map_err(|error| match error {
                ReloadError::Mistakes(mistakes) => mistakes.iter().map(ToString::to_string).collect(),
                ReloadError::Stopping => vec!["shutting down".to_owned()],
            })
        })
    })
}

/// What the configuration would have against an answer.
fn rehearsal(file: PathBuf, overrides: Overrides) -> discovery::Rehearse {
    Arc::new(move |of, answer| config::rehearse(&file, &overrides, of, answer))
}

fn warn_about(warnings: &[Mistake]) {
    warnings.iter().for_each(|warning| warn!("{warning}"));
}
