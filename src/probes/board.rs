//! What is planned, what waits for a place, and what runs: the scheduler as plain data.
//!
//! It knows nothing of tasks and asks no clock; the runner tells it the time and what ended. A run begins where its host has
//! no other one under way and where its check and all checks together have a place free. What has to wait keeps its turn; one
//! that is still waiting or running when it is due again is skipped, so that there are never two of the same.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::{Target, plan};
use crate::config::checks::{Check, Schedule};
use crate::domain::{CheckId, HostId, InstanceId, Timestamp};

/// One check as the board knows it.
#[derive(Debug)]
pub struct Planned {
    /// Its id.
    pub id: CheckId,
    /// What it does and when.
    pub check: Check,
    /// After how many FAIL a node counts as failing.
    pub failures_before: u32,
}

/// Which of the planned runs: its place in the list.
pub type Slot = usize;

/// A run that may begin.
#[derive(Clone, Debug)]
pub struct Start {
    /// Which.
    pub job: Job,
    /// How long it was due already. Nothing where it waits for its turn by design: a round of `cron`, a run that was asked for.
    pub late: Option<Duration>,
}

/// A run that was planned, or that somebody asked for.
#[derive(Clone, Debug)]
pub struct Job {
    /// The check.
    pub planned: Arc<Planned>,
    /// The instance.
    pub target: Arc<Target>,
    /// Its slot, where the schedule wants it; else whoever asked gives it a number.
    pub wanted: Wanted,
    due: Timestamp,
}

/// Who wants a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The schedule.
    Planned(Slot),
    /// The request of that number.
    Asked(u64),
}

/// One check of one instance.
#[derive(Debug)]
struct Entry {
    planned: Arc<Planned>,
    target: Arc<Target>,
    is_busy: bool,
    silent_runs: u32,
    due: Option<Timestamp>,
    /// The last moment of a `cron` schedule that had its run, as clocks on walls showed it.
    told: Option<Timestamp>,
}

/// Everything that is planned, waits or runs.
#[derive(Debug, Default)]
pub struct Board {
    entries: Vec<Entry>,
    due: BinaryHeap<Reverse<(Timestamp, Slot)>>,
    /// Hosts with a run under way, and who waits for each.
    hosts: BTreeMap<HostId, VecDeque<Job>>,
    /// How many runs of each check are under way, and who waits for a place.
    checks: BTreeMap<CheckId, Places>,
    /// Checks that have somebody waiting for a place, in the order in which they get one.
    waiting: VecDeque<CheckId>,
    running: usize,
    limit: usize,
    /// How far the wall clock is ahead of engine time, in microseconds: `cron` is about what clocks on walls show.
    drift_us: i64,
}

/// A change of the drift below this is a clock that is slewed.
const JUMP_US: i64 = 1_000_000;

/// A wall clock that is set back by less than this does not repeat what had its run, as with cron(8); one that is set back by
/// more was wrong.
const REPEATED: Duration = Duration::from_secs(3 * 3_600);

#[derive(Debug, Default)]
struct Places {
    running: usize,
    waiting: VecDeque<Job>,
}

impl Board {
    /// Takes over a configuration: what stays as it was goes on as if nothing had happened.
    pub fn plan(&mut self, checks: &[(Arc<Planned>, Vec<Arc<Target>>)], limit: usize, now: Timestamp) {
        self.limit = limit.max(1);
        let mut before: BTreeMap<(CheckId, InstanceId), Entry> = self
            .entries
            .drain(..)
            .map(|entry| ((entry.planned.id.clone(), entry.target.instance_id.clone()), entry))
            .collect();
        // Jobs name their slots, which are others now: what waits is found again by its names.
        let waiting = self.take_waiting();
        let mut slots = BTreeMap::new();
        for (planned, targets) in checks {
            for target in targets {
                let key = (planned.id.clone(), target.instance_id.clone());
                let known = before.remove(&key);
                let is_same =
                    known.as_ref().is_some_and(|known| known.planned.check.schedule == planned.check.schedule);
                let (is_busy, silent_runs) =
                    known.as_ref().map_or((false, 0), |known| (known.is_busy, known.silent_runs));
                let known = known.filter(|_| is_same);
                let (due, told) = known.map_or((None, None), |known| (known.due, known.told));
                slots.insert(key, self.entries.len());
                self.entries.push(Entry {
                    planned: Arc::clone(planned),
                    target: Arc::clone(target),
                    is_busy,
                    silent_runs,
                    due,
                    told,
                });
            }
        }
        self.due.clear();
        for slot in 0..self.entries.len() {
            match self.entries[slot].due {
                Some(due) => self.due.push(Reverse((due, slot))),
                None => self.schedule(slot, now),
            }
        }
        for job in waiting {
            match job.wanted {
                Wanted::Asked(_) => self.queue(job),
                Wanted::Planned(_) => {
                    let slot = slots.get(&(job.planned.id.clone(), job.target.instance_id.clone()));
                    // What is planned no longer is not run either.
                    if let Some(slot) = slot {
                        let (planned, target) = (&self.entries[*slot].planned, &self.entries[*slot].target);
                        let (planned, target) = (Arc::clone(planned), Arc::clone(target));
                        self.queue(Job { planned, target, wanted: Wanted::Planned(*slot), due: job.due });
                    }
                }
            }
        }
    }

    fn take_waiting(&mut self) -> Vec<Job> {
        self.waiting.clear();
        let of_checks = self.checks.values_mut().flat_map(|places| places.waiting.drain(..));
        let of_hosts = self.hosts.values_mut().flat_map(|waiting| waiting.drain(..));
        of_checks.chain(of_hosts).collect()
    }

    /// The wall clock is so far ahead of engine time. Where it was set, what is planned by it is planned anew.
    pub fn drifts(&mut self, drift_us: i64, now: Timestamp) {
        if drift_us.saturating_sub(self.drift_us).saturating_abs() <= JUMP_US {
            return;
        }
        self.drift_us = drift_us;
        for slot in 0..self.entries.len() {
            if matches!(self.entries[slot].planned.check.schedule, Schedule::Cron(_)) {
                self.schedule(slot, now);
            }
        }
    }

    /// How many runs are planned.
    pub fn planned(&self) -> usize {
        self.entries.len()
    }

    /// How many are under way.
    pub fn running(&self) -> usize {
        self.running
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// Puts what is due where it gets its turn; says which checks had a run skipped because the one before is not over.
    pub fn turn(&mut self, now: Timestamp) -> Vec<CheckId> {
        let mut skipped = Vec::new();
        while let Some(Reverse((due, slot))) = self.due.peek().copied().filter(|Reverse((due, _))| *due <= now) {
            self.due.pop();
            let drift = self.drift_us;
            let entry = &mut self.entries[slot];
            if entry.due != Some(due) {
                // It was planned anew since.
                continue;
            }
            entry.told = matches!(entry.planned.check.schedule, Schedule::Cron(_)).then(|| moved(due, drift));
            if entry.is_busy {
                skipped.push(entry.planned.id.clone());
            } else {
                entry.is_busy = true;
                let (planned, target) = (Arc::clone(&entry.planned), Arc::clone(&entry.target));
                self.queue(Job { planned, target, wanted: Wanted::Planned(slot), due });
            }
            self.schedule(slot, now);
        }
        skipped
    }

    /// A run that somebody asked for: it goes before what its check has waiting.
    pub fn ask(&mut self, planned: Arc<Planned>, target: Arc<Target>, number: u64, now: Timestamp) {
        self.queue_first(Job { planned, target, wanted: Wanted::Asked(number), due: now });
    }

    /// The check and the instance, where they are planned.
    pub fn find(&self, check: &CheckId, instance: &InstanceId) -> Option<(Arc<Planned>, Arc<Target>)> {
        let is_it = |entry: &&Entry| entry.planned.id == *check && entry.target.instance_id == *instance;
        self.entries.iter().find(is_it).map(|entry| (Arc::clone(&entry.planned), Arc::clone(&entry.target)))
    }

    /// The checks that look at an instance.
    pub fn checks_of(&self, instance: &InstanceId) -> BTreeSet<CheckId> {
        let theirs = self.entries.iter().filter(|entry| entry.target.instance_id == *instance);
        theirs.map(|entry| entry.planned.id.clone()).collect()
    }

    fn schedule(&mut self, slot: Slot, now: Timestamp) {
        let entry = &mut self.entries[slot];
        let (check, instance) = (&entry.planned.id, &entry.target.instance_id);
        let schedule = &entry.planned.check.schedule;
        let stretch = match schedule {
            Schedule::Every(every) => plan::stretch(*every, entry.silent_runs, entry.planned.failures_before),
            Schedule::Cron(_) => 1,
        };
        let drift = match schedule {
            Schedule::Every(_) => 0,
            Schedule::Cron(_) => self.drift_us,
        };
        let after = moved(now, drift);
        // What had its run is not repeated.
        let after = entry.told.filter(|told| told.since(after) < REPEATED).map_or(after, |told| after.max(told));
        entry.due = plan::next(schedule, check, instance, after, stretch).map(|due| moved(due, -drift));
        if let Some(due) = entry.due {
            self.due.push(Reverse((due, slot)));
        }
    }

    fn queue(&mut self, job: Job) {
        let places = self.checks.entry(job.planned.id.clone()).or_default();
        if places.waiting.is_empty() {
            self.waiting.push_back(job.planned.id.clone());
        }
        places.waiting.push_back(job);
    }

    fn queue_first(&mut self, job: Job) {
        let places = self.checks.entry(job.planned.id.clone()).or_default();
        if places.waiting.is_empty() {
            self.waiting.push_front(job.planned.id.clone());
        }
        places.waiting.push_front(job);
    }

    /// The next run that may begin.
    pub fn start(&mut self, now: Timestamp) -> Option<Start> {
        for _ in 0..self.waiting.len() {
            if self.running >= self.limit {
                return None;
            }
            let check = self.waiting.pop_front()?;
            let Some(places) = self.checks.get_mut(&check) else { continue };
            let limit = places.waiting.front().map_or(1, |job| job.planned.check.concurrency.max(1));
            let mut begun = None;
            while places.running < limit {
                let Some(job) = places.waiting.pop_front() else { break };
                match self.hosts.get_mut(&job.target.host_id) {
                    Some(waiting) => waiting.push_back(job),
                    None => {
                        self.hosts.insert(job.target.host_id.clone(), VecDeque::new());
                        places.running += 1;
                        begun = Some(job);
                        break;
                    }
                }
            }
            if !places.waiting.is_empty() {
                self.waiting.push_back(check);
            }
            if let Some(job) = begun {
                self.running += 1;
                let is_timed =
                    matches!((&job.planned.check.schedule, job.wanted), (Schedule::Every(_), Wanted::Planned(_)));
                return Some(Start { late: is_timed.then(|| now.since(job.due)), job });
            }
        }
        None
    }

    /// A run is over. `is_silent`: the node did not answer in time. One that answers is looked at as planned again at once.
    pub fn ended(&mut self, job: &Job, is_silent: bool, now: Timestamp) {
        self.running -= 1;
        if let Some(places) = self.checks.get_mut(&job.planned.id) {
            places.running -= 1;
        }
        // Whoever waited for the host goes before those who are due later.
        for waiting in self.hosts.remove(&job.target.host_id).into_iter().flatten().rev() {
            self.queue_first(waiting);
        }
        let Some(slot) = self.slot_of(job) else { return };
        let entry = &mut self.entries[slot];
        if matches!(job.wanted, Wanted::Planned(_)) {
            entry.is_busy = false;
        }
        let was_silent = entry.silent_runs > entry.planned.failures_before;
        entry.silent_runs = if is_silent { entry.silent_runs.saturating_add(1) } else { 0 };
        if was_silent && !is_silent {
            self.schedule(slot, now);
        }
    }

    /// Where the check and the instance of a job are planned. A configuration that came since may have moved them.
    fn slot_of(&self, job: &Job) -> Option<Slot> {
        let is_it =
            |entry: &Entry| entry.planned.id == job.planned.id && entry.target.instance_id == job.target.instance_id;
        let known = match job.wanted {
            Wanted::Planned(slot) => self.entries.get(slot).filter(|entry| is_it(entry)).map(|_| slot),
            Wanted::Asked(_) => None,
        };
        known.or_else(|| self.entries.iter().position(is_it))
    }
}

/// This moment and so many microseconds later, or earlier.
fn moved(at: Timestamp, by_us: i64) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_add(by_us))
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
