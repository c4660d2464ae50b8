//! What the writer committed, as metrics and log lines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::warn;

use crate::domain::{
    ClusterId, Execution, HeldWhy, InstanceId, Link, Pause, Remediation, RemediationId, State, Timestamp, Transition,
    Trigger,
};
use crate::engine::memory::Memory;
use crate::engine::{Change, Decision};
use crate::telemetry::metrics::Metrics;
use crate::writer::Observer;

/// Follows every commit. It keeps just enough of its own to know what a row was before.
pub struct Telemetry {
    metrics: Arc<Metrics>,
    live: BTreeMap<RemediationId, State>,
    held: BTreeMap<InstanceId, HeldWhy>,
    paused: BTreeSet<Option<ClusterId>>,
    /// The automated remediation that this step opened, and when: its first link tells how long detection took.
    opened: Option<(RemediationId, Timestamp)>,
    watchdog: bool,
}

impl Telemetry {
    /// Begins with what the engine remembered at start.
    pub fn new(metrics: Arc<Metrics>, memory: &Memory, watchdog: bool) -> Self {
        let live = memory.remediations().iter().map(|(id, record)| (*id, record.remediation.state)).collect();
        let held = memory.held().iter().map(|(id, held)| (id.clone(), held.why.clone())).collect();
        let paused = BTreeSet::new();
        let mut telemetry = Self { metrics, live, held, paused, opened: None, watchdog };
        telemetry.execution(memory.execution());
        memory.pauses().values().for_each(|pause| telemetry.pause(pause));
        telemetry.held.values().for_each(|why| telemetry.metrics.held(why));
        for state in State::ALL.into_iter().filter(|state| !state.is_terminal()) {
            let count = telemetry.live.values().filter(|live| **live == state).count();
            telemetry.metrics.set_remediations(state, count as u64);
        }
        telemetry
    }

    fn execution(&self, execution: Option<&Execution>) {
        let disabled = execution.and_then(|execution| Some((execution, execution.disabled_because.as_ref()?)));
        self.metrics.set_execution(disabled.is_none());
        if let Some((execution, why)) = disabled {
            warn!(
                store.epoch = execution.epoch,
                "nothing is acted upon until an admin enables it (`remedyd store enable`): {why}"
            );
        }
    }

    fn pause(&mut self, row: &Pause) {
        let (place, by) = (row.place(), &row.paused_by);
        match &row.resumed {
            None => {
                self.paused.insert(row.cluster_id.clone());
                warn!(principal = by, "nothing begins: {place} is paused by {by}: {}", row.reason);
            }
            Some(resumed) => {
                self.paused.remove(&row.cluster_id);
                warn!(principal = resumed.by, "{place} is resumed by {}: {}", resumed.by, resumed.reason);
            }
        }
        let clusters = self.paused.iter().flatten().count();
        self.metrics.set_paused(self.paused.contains(&None), clusters as u64);
    }

    fn remediation(&mut self, row: &Remediation) {
        let before = self.live.get(&row.id).copied();
        if before == Some(row.state) {
            return;
        }
        if before.is_none() {
            self.metrics.remediation_opened(row.trigger, row.mode);
            self.opened = (row.trigger == Trigger::Automated).then_some((row.id, row.created_at));
        }
        if let Some(review) = row.review.as_ref().filter(|_| before == Some(State::PendingApproval)) {
            self.metrics.reviewed(review.at.since(row.created_at));
        }
        self.metrics.remediation_moved(before, row.state);
        if row.state.is_terminal() {
            self.live.remove(&row.id);
            let began = row.started_at.unwrap_or(row.created_at);
            let took = row.ended_at.map(|ended| ended.since(began)).unwrap_or_default();
            self.metrics.remediation_ended(row.mode, row.state, took);
        } else {
            self.live.insert(row.id, row.state);
        }
    }

    fn link(&mut self, link: &Link) {
        if let Some((_, opened_at)) = self.opened.take_if(|(id, _)| *id == link.remediation_id) {
            self.metrics.detected(opened_at.since(link.started_at));
        }
    }

    fn held(&mut self, instance: &InstanceId, why: Option<&HeldWhy>) {
        if let Some(before) = self.held.remove(instance) {
            self.metrics.unheld(&before);
        }
        if let Some(why) = why {
            self.metrics.held(why);
            self.held.insert(instance.clone(), why.clone());
        }
    }
}

impl Observer for Telemetry {
    fn committed(&mut self, changes: &[Change], decisions: &[Decision]) {
        for change in changes {
            match change {
                Change::Remediation(row) => self.remediation(row),
                Change::Link(link) => self.link(link),
                Change::Transition(step) => log(step),
                Change::Held(held) => self.held(&held.instance_id, Some(&held.why)),
                Change::HeldGone(instance) => self.held(instance, None),
                Change::Execution(row) => self.execution(Some(row)),
                Change::Pause(row) => self.pause(row),
                Change::Horizon(_)
                | Change::Alert(_)
                | Change::DeadLetter(_)
                | Change::Alias(_)
                | Change::Hold(_)
                | Change::Instance(_)
                | Change::InstanceGone(_)
                | Change::Cluster(_)
                | Change::ClusterGone(_)
                | Change::NodeMemory(_)
                | Change::Pending(_)
                | Change::Settled(_) => {}
            }
        }
        self.opened = None;
        for decision in decisions {
            self.metrics.decided(&decision.rule, decision.decided);
        }
    }

    fn turned(&mut self, lag_changes: u64) {
        self.metrics.set_lag(lag_changes);
        if self.watchdog {
            // Without systemd there is nobody to tell.
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        }
    }
}

fn log(step: &Transition) {
    tracing::info!(
        remediation.id = %step.remediation_id, state = step.to.as_str(), mode = step.mode.as_str(),
        principal = step.principal, verb = &*step.verb,
        "{} {} remediation {}: now {}, {}",
        step.principal, step.verb, step.remediation_id, step.to.as_str(), step.reason
    );
}
