//! Active checks: says what the configuration wants run, reports what runs come to, and has some run on demand.
//!
//! Runs are reported in batches, as many as came while the batch before was on its way to disk. Where nothing is taken for
//! long, only the last run of each check and instance is kept, and what is given up is counted.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::effects::Hands;
use crate::config::Config;
use crate::domain::{CheckId, Instance, InstanceId, Probed, RunId};
use crate::engine::{Input, Reply};
use crate::http::ProbeRefusal;
use crate::probes::board::Planned;
use crate::probes::runner::{self, NoRun, Order, Plan, Watcher, Which};
use crate::probes::{Prober, Target};
use crate::telemetry::metrics::Metrics;
use crate::writer::{Cause, Unavailable};

/// How many runs one input carries at most.
const BATCH: usize = 256;

/// How long a batch is gathered: a node is not dead for longer than that without us knowing.
const GATHER: Duration = Duration::from_millis(100);

/// From how many runs on that wait to be reported only the last of each check and instance is kept.
const KEPT: usize = 16_384;

/// How often it is looked whether the daemon takes anything, before the first run.
const DOOR_LOOK: Duration = Duration::from_millis(200);

/// How many requests to run something may wait.
const ORDERS: usize = 256;

/// The way to the prober, for everybody who wants something run now.
#[derive(Clone, Debug)]
pub struct Probing(mpsc::Sender<Order>);

impl Probing {
    /// The way, and its other end.
    pub fn new() -> (Self, mpsc::Receiver<Order>) {
        let (orders, taken) = mpsc::channel(ORDERS);
        (Self(orders), taken)
    }

    /// Runs checks of an instance now, and gives back what they come to, without reporting it.
    ///
    /// # Errors
    /// Nothing was run.
    pub async fn observe(&self, instance: InstanceId, which: Which) -> Result<Vec<Probed>, NoRun> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Order::Now(instance, which, reply)).await.map_err(|_| NoRun::Stopping)?;
        answer.await.unwrap_or(Err(NoRun::Stopping))
    }

    /// Has the prober follow a plan, from when it runs.
    pub async fn follow(&self, (plan, at_once): (Plan, usize)) {
        // Its end is the daemon's.
        let _ = self.0.send(Order::Plan(plan, at_once)).await;
    }
}

/// Runs checks of an instance because a person asked for it; says which runs are kept.
///
/// # Errors
/// Nothing was run, or what it came to was not taken.
pub async fn run_now(
    hands: &Hands,
    cause: Cause,
    instance: InstanceId,
    check: Option<CheckId>,
) -> Result<Vec<RunId>, ProbeRefusal> {
    let which = check.map_or(Which::All, |check| Which::These([check].into()));
    let runs = hands.probing.observe(instance, which).await.map_err(|why| match why {
        NoRun::Unwatched(_) | NoRun::NoSuch(..) => ProbeRefusal::NotSelected(why.to_string()),
        NoRun::Stopping => ProbeRefusal::Unavailable(why.to_string()),
    })?;
    let taken = hands.inlet.submit(cause, Input::Probed { runs, on_demand: true }).await;
    match taken.map_err(|why| match why {
        Unavailable::Closed(_) => ProbeRefusal::Closed(why.to_string()),
        Unavailable::Overloaded | Unavailable::Stopping => ProbeRefusal::Unavailable(why.to_string()),
    })? {
        Reply::Probed(kept) => Ok(kept),
        _ => Ok(Vec::new()),
    }
}

/// What a configuration wants run: every check with those of the instances that it selects; and how many runs at once.
pub fn plan(config: &Config, instances: &[Instance]) -> (Plan, usize) {
    let targets: Vec<Arc<Target>> = instances.iter().map(Target::of).map(Arc::new).collect();
    let checks = config.checks.iter().filter_map(|(id, check)| Some((id, check, config.settings.checks.get(id)?)));
    let plan = checks.map(|(id, check, policy)| {
        let planned = Planned { id: id.clone(), check: check.clone(), failures_before: policy.failures_before };
        let selected = instances.iter().zip(&targets).filter(|(instance, _)| policy.selects(instance));
        (Arc::new(planned), selected.map(|(_, target)| Arc::clone(target)).collect())
    });
    (plan.collect(), config.checks_limits.concurrency)
}

/// Runs what is planned and asked for, from when the daemon takes anything until it ends.
pub async fn follow(hands: Arc<Hands>, orders: mpsc::Receiver<Order>) {
    let reports =
        Arc::new(Reports { metrics: Arc::clone(&hands.metrics), runs: Mutex::default(), came: Notify::new() });
    let watcher: Arc<dyn Watcher> = Arc::<Reports>::clone(&reports);
    while hands.inlet.door().is_ready().is_err() {
        sleep(DOOR_LOOK).await;
    }
    let mut tasks = JoinSet::new();
    tasks.spawn(runner::run(Arc::new(Prober::default()), Arc::clone(&hands.clock), watcher, orders));
    tasks.spawn(report(Arc::clone(&hands), reports));
    // Neither of them ends before the daemon; its panic is ours.
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            std::panic::resume_unwind(error.into_panic());
        }
    }
    std::future::pending().await
}

/// Hands runs over to the writer, until the daemon ends.
async fn report(hands: Arc<Hands>, reports: Arc<Reports>) {
    loop {
        let runs = reports.take();
        if runs.is_empty() {
            reports.came.notified().await;
            sleep(GATHER).await;
            continue;
        }
        let input = Input::Probed { runs, on_demand: false };
        if hands.inlet.report(Cause::of("checks"), input).await == Err(Unavailable::Stopping) {
            return std::future::pending().await;
        }
    }
}

/// Runs that are over and not reported yet.
struct Reports {
    metrics: Arc<Metrics>,
    runs: Mutex<VecDeque<Probed>>,
    came: Notify,
}

/// Leaves only the last run of each check and instance; gives back the others.
fn thin_out(runs: &mut VecDeque<Probed>) -> Vec<Probed> {
    let mut known: BTreeSet<(CheckId, InstanceId)> = BTreeSet::new();
    let (mut kept, mut given_up) = (VecDeque::with_capacity(runs.len()), Vec::new());
    for run in std::mem::take(runs).into_iter().rev() {
        if known.insert((run.check.clone(), run.instance_id.clone())) {
            kept.push_front(run);
        } else {
            given_up.push(run);
        }
    }
    *runs = kept;
    given_up
}

impl Reports {
    fn take(&self) -> Vec<Probed> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let n = runs.len().min(BATCH);
        runs.drain(..n).collect()
    }
}

impl Watcher for Reports {
    fn began(&self, late: Duration) {
        self.metrics.check_began(late);
    }

    fn ended(&self, planned: &Planned, run: Probed, took: Duration, is_planned: bool) {
        self.metrics.check_ended(&run.check, planned.check.probe.kind(), run.observation.verdict, took);
        if !is_planned {
            return;
        }
        let given_up = {
            let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
            runs.push_back(run);
            // Again only after as many more, so that each push costs little.
            if runs.len() >= KEPT && runs.len().is_power_of_two() { thin_out(&mut runs) } else { Vec::new() }
        };
        given_up.iter().for_each(|run| self.metrics.check_unreported(&run.check));
        self.came.notify_one();
    }

    fn skipped(&self, check: &CheckId) {
        self.metrics.check_overrun(check);
    }

    fn stands(&self, planned: usize, running: usize) {
        self.metrics.set_checks(planned, running);
    }
}
