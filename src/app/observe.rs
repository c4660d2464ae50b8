//! What the writer committed, as metrics, log lines and systemd's status line.

mod standing;

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use tracing::{info, warn};

use crate::domain::check;
use crate::domain::{
    Alert, AlertId, AlertState, Belief, ClusterId, EffectId, Execution, HeldWhy, Hold, HoldId, InstanceId, Link,
    NoticeId, Pause, Remediation, RemediationId, State, Timestamp, Transition, Trigger,
};
use crate::engine::memory::Memory;
use crate::engine::{Change, Decision, Effect, EffectKind, Engine, Settings};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::service;
use crate::writer::{Observer, Turned};
use standing::Standing;

/// Follows every commit. It keeps just enough of its own to know what a row was before; what grows with a fleet lies in one piece
/// each, apart from the rows that come and go beside it.
pub struct Telemetry {
    metrics: Arc<Metrics>,
    live: HashMap<RemediationId, State>,
    /// How many are in each state; a turn does not go through all of them.
    in_state: BTreeMap<State, usize>,
    /// Those that wait for a person, the oldest first, and some that no longer do.
    proposals: BinaryHeap<Reverse<(Timestamp, RemediationId)>>,
    held: BTreeMap<InstanceId, HeldWhy>,
    holds: BTreeSet<HoldId>,
    paused: BTreeSet<Option<ClusterId>>,
    alerts: HashMap<AlertId, AlertState>,
    unjoined: BTreeSet<AlertId>,
    notices: BTreeMap<EffectId, NoticeId>,
    /// How many of them wait for each receiver.
    waiting: BTreeMap<NoticeId, u64>,
    may_act: bool,
    /// The automated remediation that this step opened, and when: its first link tells how long detection took.
    opened: Option<(RemediationId, Timestamp)>,
    /// With which limits it was last counted.
    settings: Option<Arc<Settings>>,
    /// What the counts are made of, or the line for systemd, may have changed since.
    is_stale: bool,
    is_watched: bool,
    /// What systemd was told last.
    said: Option<Standing>,
    /// What seems to be wrong with the prober, as it was told when it began.
    prober_fault: Option<String>,
}

impl Telemetry {
    /// Begins with what the engine remembered at start. `live` are the rows that it was folded from, read here as they
    /// are since memory would have to unpack each of its own. `is_watched`: systemd waits for signs of life.
    pub fn new(metrics: Arc<Metrics>, memory: &Memory, live: &[Change], is_watched: bool) -> Self {
        let mut telemetry = Self {
            metrics,
            live: HashMap::new(),
            in_state: BTreeMap::new(),
            proposals: BinaryHeap::new(),
            held: BTreeMap::new(),
            holds: memory.holds().keys().copied().collect(),
            paused: BTreeSet::new(),
            alerts: HashMap::new(),
            unjoined: BTreeSet::new(),
            notices: BTreeMap::new(),
            waiting: BTreeMap::new(),
            may_act: true,
            opened: None,
            settings: None,
            is_stale: true,
            is_watched,
            said: None,
            prober_fault: None,
        };
        for change in live {
            match change {
                Change::Remediation(row) => telemetry.moved(row),
                Change::Alert(alert) => drop(telemetry.alert(alert)),
                _ => {}
            }
        }
        telemetry.metrics.set_holds(telemetry.holds.len() as u64);
        telemetry.execution(memory.execution());
        memory.pauses().values().for_each(|pause| telemetry.pause(pause));
        memory.held().iter().for_each(|(id, held)| telemetry.held(id, Some(&held.why)));
        memory.pending().values().for_each(|effect| telemetry.pending(effect));
        telemetry
    }

    fn execution(&mut self, execution: Option<&Execution>) {
        let disabled = execution.and_then(|execution| Some((execution, execution.disabled_because.as_ref()?)));
        self.is_stale = true;
        self.may_act = disabled.is_none();
        self.metrics.set_execution(self.may_act);
        if let Some((execution, why)) = disabled {
            warn!(
                store.epoch = execution.epoch,
                "nothing is acted upon until an admin enables it (`remedyd store enable`): {why}"
            );
        }
    }

    fn pause(&mut self, row: &Pause) {
        self.is_stale = true;
        let (place, by) = (row.place(), &row.paused_by);
        let cluster = row.cluster_id.as_ref().map(tracing::field::display);
        match &row.resumed {
            None => {
                self.paused.insert(row.cluster_id.clone());
                let reason = &row.reason;
                warn!(cluster.id = cluster, principal = by, "nothing begins: {place} is paused by {by}: {reason}");
            }
            Some(resumed) => {
                self.paused.remove(&row.cluster_id);
                let (by, reason) = (&resumed.by, &resumed.reason);
                warn!(cluster.id = cluster, principal = by, "{place} is resumed by {by}: {reason}");
            }
        }
        let clusters = self.paused.iter().flatten().count();
        self.metrics.set_paused(self.paused.contains(&None), clusters as u64);
    }

    fn remediation(&mut self, row: &Remediation) {
        self.is_stale = true;
        let before = self.live.get(&row.id).copied();
        if before == Some(row.state) {
            return;
        }
        self.moved(row);
        if before.is_none() {
            self.metrics.remediation_opened(row.trigger, row.mode);
            self.opened = (row.trigger == Trigger::Automated).then_some((row.id, row.created_at));
        }
        if let Some(review) = row.review.as_ref().filter(|_| before == Some(State::PendingApproval)) {
            self.metrics.reviewed(review.at.since(row.created_at));
        }
        if row.state.is_terminal() {
            let began = row.started_at.unwrap_or(row.created_at);
            let took = row.ended_at.map(|ended| ended.since(began)).unwrap_or_default();
            let failure = row.failure.as_ref().map(|failure| failure.code);
            self.metrics.remediation_ended(row.mode, row.state, failure, took);
        }
    }

    /// A remediation is new, or in another state than it was.
    fn moved(&mut self, row: &Remediation) {
        let is_live = !row.state.is_terminal();
        let before = if is_live { self.live.insert(row.id, row.state) } else { self.live.remove(&row.id) };
        if let Some(n) = before.and_then(|before| self.in_state.get_mut(&before)) {
            *n -= 1;
        }
        if is_live {
            *self.in_state.entry(row.state).or_default() += 1;
        }
        if row.state == State::PendingApproval && before != Some(row.state) {
            self.proposals.push(Reverse((row.created_at, row.id)));
        }
        self.metrics.remediation_moved(before, row.state);
    }

    /// When the oldest proposal was made that waits for a person.
    fn oldest_proposal(&mut self) -> Option<Timestamp> {
        let waits = |id: &RemediationId| self.live.get(id) == Some(&State::PendingApproval);
        // An old one may wait for long, with many behind it that do not.
        if self.proposals.len() > 2 * self.live.len() + 64 {
            self.proposals.retain(|Reverse((_, id))| waits(id));
        }
        while let Some(oldest) = self.proposals.peek_mut() {
            let Reverse((created, id)) = *oldest;
            if waits(&id) {
                return Some(created);
            }
            PeekMut::pop(oldest);
        }
        None
    }

    fn link(&mut self, link: &Link) {
        if let Some((_, opened_at)) = self.opened.take_if(|(id, _)| *id == link.remediation_id) {
            self.metrics.detected(opened_at.since(link.started_at));
        }
    }

    fn held(&mut self, instance: &InstanceId, why: Option<&HeldWhy>) {
        self.is_stale = true;
        if let Some(before) = self.held.remove(instance) {
            self.metrics.unheld(&before);
        }
        if let Some(why) = why {
            self.metrics.held(why);
            self.held.insert(instance.clone(), why.clone());
        }
    }

    fn hold(&mut self, hold: &Hold) {
        if hold.ended.is_none() {
            self.holds.insert(hold.id)
        } else {
            self.holds.remove(&hold.id)
        };
        self.metrics.set_holds(self.holds.len() as u64);
    }

    /// Counts it; says in which state it was before.
    fn alert(&mut self, alert: &Alert) -> Option<AlertState> {
        let is_open = alert.state != AlertState::Resolved;
        let before = if is_open { self.alerts.insert(alert.id, alert.state) } else { self.alerts.remove(&alert.id) };
        self.metrics.alert_moved(before, alert.state);
        let has_changed = if is_open && alert.joined.is_err() {
            self.unjoined.insert(alert.id)
        } else {
            self.unjoined.remove(&alert.id)
        };
        if has_changed {
            self.metrics.set_unjoined(self.unjoined.len() as u64);
        }
        before
    }

    fn pending(&mut self, effect: &Effect) {
        let EffectKind::Notify(notice) = &effect.kind else { return };
        if self.notices.insert(effect.id, notice.receiver.clone()).is_none() {
            let waiting = self.waiting.entry(notice.receiver.clone()).or_default();
            *waiting += 1;
            self.metrics.set_notices_waiting(&notice.receiver, *waiting);
        }
    }

    fn settled(&mut self, effect: EffectId) {
        let Some(receiver) = self.notices.remove(&effect) else { return };
        if let Some(waiting) = self.waiting.get_mut(&receiver) {
            *waiting -= 1;
            self.metrics.set_notices_waiting(&receiver, *waiting);
        }
    }

    /// Counts what only the whole memory tells.
    fn count(&mut self, engine: &Engine) {
        for cluster in engine.memory().clusters().keys() {
            let (taken, limit) = engine.places(cluster);
            self.metrics.set_cluster(cluster, engine.memory().instances_in(cluster), limit, taken);
        }
        let oldest = self.oldest_proposal();
        self.metrics.set_oldest_proposal(oldest);
    }

    /// Counts what is believed, and tells when the prober seems to be at fault.
    fn believe(&mut self, engine: &Engine, now: Timestamp) {
        let conditions = engine.memory().conditions();
        for belief in Belief::ALL {
            self.metrics.set_conditions(belief, conditions.count_of(belief) as u64);
        }
        let suspect = conditions.suspects(now);
        let fault = engine.prober_fault(now);
        self.metrics.set_suspect(suspect as u64, fault.is_some());
        match (&self.prober_fault, &fault) {
            (None, Some(why)) => {
                warn!(nodes.suspect = suspect, "prober fault: {why}; until it is over no failure counts")
            }
            (Some(_), None) => info!(nodes.suspect = suspect, "prober fault: over; what fails is counted anew"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        self.prober_fault = fault;
    }

    fn standing(&self, shortage: Option<&str>) -> Standing {
        let count = |is: fn(State) -> bool| self.in_state.iter().filter(|(state, _)| is(**state)).map(|(_, n)| n).sum();
        Standing {
            waiting: count(|state| state == State::PendingApproval),
            approved: count(|state| state == State::Pending),
            in_flight: count(State::is_in_flight),
            held: self.held.len(),
            is_paused: self.paused.contains(&None),
            paused_clusters: self.paused.iter().flatten().count(),
            may_not_act: !self.may_act,
            shortage: shortage.map(str::to_owned),
        }
    }
}

impl Observer for Telemetry {
    fn committed(&mut self, changes: &[Change], decisions: &[Decision]) {
        let mut row_before = None;
        for change in changes {
            match change {
                Change::Remediation(row) => {
                    self.remediation(row);
                    row_before = Some(&**row);
                }
                Change::Link(link) => self.link(link),
                // A transition's row comes right before it.
                Change::Transition(step) => log(step, row_before.filter(|row| row.id == step.remediation_id)),
                Change::Held(held) => self.held(&held.instance_id, Some(&held.why)),
                Change::HeldGone(instance) => self.held(instance, None),
                Change::Hold(hold) => self.hold(hold),
                Change::Execution(row) => self.execution(Some(row)),
                Change::Pause(row) => self.pause(row),
                Change::Alert(alert) => {
                    let before = self.alert(alert);
                    told(alert, before);
                }
                Change::Pending(effect) => self.pending(effect),
                Change::Settled(effect) => self.settled(*effect),
                Change::Instance(_) | Change::InstanceGone(_) | Change::Cluster(_) | Change::ClusterGone(_) => {
                    self.is_stale = true;
                }
                Change::Run(_) => {}
                Change::Condition(_) | Change::ConditionGone(..) => self.is_stale = true,
                Change::Horizon(_) | Change::DeadLetter(_) | Change::Alias(_) | Change::NodeMemory(_) => {}
            }
        }
        self.opened = None;
        for decision in decisions {
            self.metrics.decided(&decision.rule, decision.decided);
        }
    }

    fn turned(&mut self, turned: &Turned<'_>) {
        let is_same = match (&self.settings, turned.engine.settings()) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (before, now) => before.is_none() && now.is_none(),
        };
        if is_same
            && !self.is_stale
            // A fault of the prober ends by itself as well.
            && self.prober_fault.is_some() == turned.engine.prober_fault(turned.now).is_some()
            && self.said.as_ref().is_some_and(|said| turned.shortage == said.shortage.as_deref())
        {
            return service::turned(self.is_watched, None);
        }
        self.is_stale = false;
        self.settings = turned.engine.settings().cloned();
        self.count(turned.engine);
        self.believe(turned.engine, turned.now);
        let standing = self.standing(turned.shortage);
        let line = (self.said.as_ref() != Some(&standing)).then(|| standing.to_string());
        service::turned(self.is_watched, line.as_deref());
        self.said = Some(standing);
    }
}

/// Tells that a finding of a check came to be believed, or was cleared.
fn told(alert: &Alert, before: Option<AlertState>) {
    let Some(check) = alert.labels.get("check").filter(|_| alert.source.as_str() == check::SOURCE) else { return };
    let what = match (before, alert.state) {
        (None | Some(AlertState::RefiredUnconfirmed), AlertState::Firing) => "believed",
        (Some(_), AlertState::Resolved) => "cleared",
        _ => return,
    };
    let get = |name: &str| alert.annotations.get(name).unwrap_or_default();
    let joined = alert.joined.as_ref().ok();
    let instance = joined.map(|joined| tracing::field::display(&joined.instance_id));
    let cluster = joined.map(|joined| tracing::field::display(&joined.cluster_id));
    let run = alert.run_id.map(tracing::field::display);
    info!(
        check.id = check,
        run.id = run,
        instance.id = instance,
        cluster.id = cluster,
        "{what}: {}: {}",
        get("summary"),
        get("evidence")
    );
}

fn log(step: &Transition, row: Option<&Remediation>) {
    let instance = row.map(|row| tracing::field::display(row.instance_id()));
    let cluster = row.map(|row| tracing::field::display(row.cluster_id()));
    info!(
        remediation.id = %step.remediation_id, instance.id = instance, cluster.id = cluster, state = step.to.as_str(),
        mode = step.mode.as_str(), principal = step.principal, verb = &*step.verb,
        "{} {} remediation {}: now {}, {}",
        step.principal, step.verb, step.remediation_id, step.to.as_str(), step.reason
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples;

    #[test]
    fn the_oldest_proposal_is_known_whichever_of_them_still_wait() {
        let mut telemetry = Telemetry::new(Arc::new(Metrics::new(samples::at(0))), &Memory::default(), &[], false);
        let mut waiting = BTreeSet::new();
        let mut dice = 1;
        for step in 0..5000_u32 {
            let mut row = samples::remediation(step);
            // Some are as old as others.
            row.created_at = samples::at(i64::try_from(samples::dice(&mut dice, 1000)).unwrap());
            row.state = State::PendingApproval;
            telemetry.moved(&row);
            waiting.insert((row.created_at, step));
            if waiting.len() > 20 {
                // Nearly always one that is not the oldest.
                let at = if samples::dice(&mut dice, 500) == 0 { 0 } else { 1 + samples::dice(&mut dice, 20) };
                let (created_at, step) = *waiting.iter().nth(at).unwrap();
                waiting.remove(&(created_at, step));
                let ends_as = if at % 2 == 0 { State::Pending } else { State::Cancelled };
                for state in [ends_as, State::Cancelled] {
                    telemetry.moved(&Remediation { created_at, state, ..samples::remediation(step) });
                }
            }
            assert_eq!(telemetry.oldest_proposal(), waiting.first().map(|(created, _)| *created));
            assert!(telemetry.proposals.len() < 150, "what ended does not stay");
        }
    }
}
