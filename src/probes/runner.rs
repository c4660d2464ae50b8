//! Runs what the board says, and hands on what came of it.
//!
//! One task holds the board; every run is a task of its own that is over within its timeout and a moment, or is dropped: that
//! is a finding of its own, and holds up nobody. Nothing is decided here about what a run means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::board::{Board, Job, Planned, Start, Wanted};
use super::pulse::{LATE, Pulse};
use super::{Prober, Target};
use crate::clock::{Clock, Stopwatch, wall_clock};
use crate::config::checks::Probe;
use crate::domain::{CheckId, Finding, InstanceId, Observation, Probed, Timestamp, Verdict};

/// What a run may take beyond its timeout, which every probe keeps by itself.
const GRACE: Duration = Duration::from_secs(1);

/// How often it is looked whether the wall clock was set.
const CLOCK_LOOK: Duration = Duration::from_secs(5);

/// The finding of a run that had to be dropped or killed.
pub const HUNG: &str = "hung";

/// What is to be run where.
pub type Plan = Vec<(Arc<Planned>, Vec<Arc<Target>>)>;

/// Who is told of what happens.
pub trait Watcher: Send + Sync + 'static {
    /// A run that was due at a certain moment began so late.
    fn began(&self, late: Duration);
    /// A run of a check is over. `planned`: nobody waits for it, so it is to be reported.
    fn ended(&self, planned: &Planned, run: Probed, took: Duration, is_planned: bool);
    /// A run was skipped as the one before is not over.
    fn skipped(&self, check: &CheckId);
    /// So many runs are planned and under way.
    fn stands(&self, planned: usize, running: usize);
}

/// What can be asked of the runner.
#[derive(Debug)]
pub enum Order {
    /// From now on run this, so many at once.
    Plan(Plan, usize),
    /// Run checks of an instance now, and give back what they come to.
    Now(InstanceId, Which, oneshot::Sender<Result<Vec<Probed>, NoRun>>),
}

/// Which checks of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All that look at it.
    All,
    /// These.
    These(BTreeSet<CheckId>),
}

/// Why nothing is run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRun {
    /// No check looks at this instance, or there is none of that id.
    #[error("no check looks at instance {0}")]
    Unwatched(InstanceId),
    /// One that was named does not look at it, or does not exist.
    #[error("there is no check {0} that looks at instance {1}")]
    NoSuch(CheckId, InstanceId),
    /// The daemon is stopping.
    #[error("the checks are stopping")]
    Stopping,
}

/// Somebody waits for these runs.
struct Asked {
    missing: usize,
    runs: Vec<Probed>,
    reply: oneshot::Sender<Result<Vec<Probed>, NoRun>>,
}

/// Follows the schedule until the last sender of orders is gone.
pub async fn run(prober: Arc<Prober>, clock: Arc<Clock>, watcher: Arc<dyn Watcher>, mut orders: mpsc::Receiver<Order>) {
    let mut board = Board::default();
    let mut running: JoinSet<(Job, Timestamp, Observation, Duration)> = JoinSet::new();
    let mut asked: BTreeMap<u64, Asked> = BTreeMap::new();
    let mut number = 0;
    let pulse = Pulse::start();
    loop {
        let now = clock.now();
        board.drifts(wall_clock().as_micros().saturating_sub(now.as_micros()), now);
        board.turn(now).iter().for_each(|check| watcher.skipped(check));
        while let Some(Start { job, late }) = board.start(now) {
            late.into_iter().for_each(|late| watcher.began(late));
            running.spawn(one(Arc::clone(&prober), Arc::clone(&pulse), job, now));
        }
        watcher.stands(board.planned(), board.running());
        let pause = board.next_due().map_or(Duration::MAX, |due| due.since(now)).min(CLOCK_LOOK);
        tokio::select! {
            order = orders.recv() => match order {
                None => return,
                Some(Order::Plan(plan, limit)) => board.plan(&plan, limit, clock.now()),
                Some(Order::Now(instance, which, reply)) => {
                    number += 1;
                    match ask(&mut board, &instance, which, number, now) {
                        Ok(missing) => drop(asked.insert(number, Asked { missing, runs: Vec::new(), reply })),
                        // Who asked may have gone.
                        Err(why) => drop(reply.send(Err(why))),
                    }
                }
            },
            Some(ended) = running.join_next() => {
                over(&mut board, &clock, watcher.as_ref(), &mut asked, ended);
                while let Some(ended) = running.try_join_next() {
                    over(&mut board, &clock, watcher.as_ref(), &mut asked, ended);
                }
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn ask(board: &mut Board, id: &InstanceId, which: Which, number: u64, now: Timestamp) -> Result<usize, NoRun> {
    let checks = match which {
        Which::All => board.checks_of(id),
        Which::These(checks) => checks,
    };
    if checks.is_empty() {
        return Err(NoRun::Unwatched(id.clone()));
    }
    let found: Result<Vec<_>, NoRun> = checks
        .into_iter()
        .map(|check| board.find(&check, id).ok_or_else(|| NoRun::NoSuch(check, id.clone())))
        .collect();
    let found = found?;
    let n = found.len();
    for (planned, target) in found {
        board.ask(planned, target, number, now);
    }
    Ok(n)
}

/// One run, over in time whatever the probe does.
async fn one(
    prober: Arc<Prober>,
    pulse: Arc<Pulse>,
    job: Job,
    began: Timestamp,
) -> (Job, Timestamp, Observation, Duration) {
    let (watch, missed) = (Stopwatch::start(), pulse.missed());
    let (check, target) = (job.planned.check.clone(), Arc::clone(&job.target));
    let timeout = check.timeout;
    // A program is killed at the timeout, and that takes a moment; everything else ends by itself.
    let has_program = matches!(check.probe, Probe::Command(_) | Probe::Nvml(_));
    let longest = if has_program { timeout + GRACE } else { timeout } + LATE;
    // In a task of its own: whatever goes wrong in a probe, there is a result. A set, as its end ends the task.
    let mut probe = JoinSet::new();
    probe.spawn(async move { prober.run(&check.probe, &target, timeout).await });
    let observation = match tokio::time::timeout(timeout + GRACE, probe.join_next()).await {
        Ok(Some(Ok(observation))) => observation,
        Ok(Some(Err(error))) => Observation::error(format!("the probe ended badly: {error}")),
        Ok(None) => Observation::error("the probe never began"),
        Err(_) => {
            let detail = format!("not over within {timeout:?}, and dropped");
            Observation::fail(vec![Finding::new(HUNG, detail.clone())], detail)
        }
    };
    let observation = pulse.judge(missed, watch.elapsed() > longest, observation).await;
    (job, began, observation, watch.elapsed())
}

fn over(
    board: &mut Board,
    clock: &Clock,
    watcher: &dyn Watcher,
    asked: &mut BTreeMap<u64, Asked>,
    ended: Result<(Job, Timestamp, Observation, Duration), tokio::task::JoinError>,
) {
    // A task that is cancelled is one of a runner that ends; a panic inside a probe was caught above.
    let Ok((job, started_at, observation, took)) = ended else { return };
    let is_silent = observation.verdict == Verdict::Fail
        && observation.findings.iter().any(|finding| matches!(finding.name.as_str(), "timeout" | HUNG));
    board.ended(&job, is_silent, clock.now());
    let run = Probed {
        check: job.planned.id.clone(),
        instance_id: job.target.instance_id.clone(),
        generation: job.target.generation.to_string(),
        started_at,
        ended_at: clock.now().max(started_at),
        observation,
    };
    match job.wanted {
        Wanted::Planned(_) => watcher.ended(&job.planned, run, took, true),
        Wanted::Asked(number) => {
            watcher.ended(&job.planned, run.clone(), took, false);
            let Some(waiting) = asked.get_mut(&number) else { return };
            waiting.runs.push(run);
            waiting.missing -= 1;
            if waiting.missing == 0
                && let Some(Asked { runs, reply, .. }) = asked.remove(&number)
            {
                // Who asked may have gone.
                let _ = reply.send(Ok(runs));
            }
        }
    }
}
