//! What the engine knows: every live row, and the few indexes that its questions need.
//!
//! [`Memory::apply`] is the only way to change it, while running and at start alike, so memory is always the fold of
//! what is on disk. Rows that can no longer matter to a decision (resolved alerts, ended remediations) leave it; an
//! input that names one gets it back as [`super::Past`].

mod resting;

use std::collections::{BTreeMap, BTreeSet};

use super::change::Change;
use super::conditions::Conditions;
use super::effect::Effect;
use super::few::{self, Few};
use super::names::NameIndex;
use super::retention;
use super::rows::Rows;
use crate::domain::{
    Alert, AlertState, CheckId, Cluster, ClusterId, Condition, EffectId, Execution, Held, Hold, HoldId, Horizon,
    Horizons, HostId, Identity, Instance, InstanceId, Link, NodeMemory, Pause, Record, Remediation, RemediationId,
    State, Timestamp, Trigger,
};

pub(super) use resting::Resting;

/// Who is due at a moment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A remediation; its row says why.
    Remediation(RemediationId),
    /// A hold expires.
    Hold(HoldId),
    /// Something that policy wants for an instance may be possible.
    Instance(InstanceId),
    /// What a check found there has been looked at long enough to be believed.
    Condition(Box<(CheckId, InstanceId)>),
    /// The horizons move.
    Horizons,
}

/// All live rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    clusters: BTreeMap<ClusterId, Cluster>,
    instances: Rows<InstanceId, Instance>,
    instances_in: BTreeMap<ClusterId, BTreeSet<InstanceId>>,
    names: NameIndex,
    alerts: Rows<Identity, Alert>,
    alerts_of: BTreeMap<InstanceId, Few<Identity>>,
    remediations: Rows<RemediationId, Record>,
    live_on_host: BTreeMap<HostId, Few<RemediationId>>,
    live_on: BTreeMap<InstanceId, Few<RemediationId>>,
    places_taken: BTreeMap<ClusterId, BTreeSet<RemediationId>>,
    /// Those that are PENDING: wanted by a person or a rule, and not begun.
    to_start: BTreeMap<ClusterId, BTreeSet<RemediationId>>,
    linked: BTreeMap<Identity, Few<RemediationId>>,
    holds: BTreeMap<HoldId, Hold>,
    holds_on: BTreeMap<InstanceId, Few<HoldId>>,
    held: BTreeMap<InstanceId, Held>,
    conditions: Conditions,
    nodes: Rows<InstanceId, NodeMemory>,
    /// The switches that are on.
    pauses: BTreeMap<Option<ClusterId>, Pause>,
    execution: Option<Execution>,
    horizons: Horizons,
    pending: BTreeMap<EffectId, Effect>,
    agenda: BTreeSet<(Timestamp, Subject)>,
}

impl Memory {
    /// How many large rows of a kind lie open; the others are packed, and nobody notices a difference.
    pub(super) fn keep_open(&mut self, most: usize) {
        self.instances.keep_open(most);
        self.alerts.keep_open(most);
        self.remediations.keep_open(most);
        self.nodes.keep_open(most);
    }

    /// Packs what was read in a step, beyond what may lie open.
    pub(super) fn make_room(&mut self) {
        self.instances.make_room();
        self.alerts.make_room();
        self.remediations.make_room();
        self.nodes.make_room();
    }

    /// How many of them lie open.
    pub(super) fn open_rows(&self) -> usize {
        let (instances, alerts) = (self.instances.open_rows(), self.alerts.open_rows());
        instances + alerts + self.remediations.open_rows() + self.nodes.open_rows()
    }

    /// Takes over one row. A row that is no longer live leaves.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Alert(alert) => self.apply_alert(alert),
            Change::Remediation(row) => self.apply_remediation(row),
            Change::Link(link) => self.apply_link(link),
            Change::Hold(hold) => self.apply_hold(hold),
            Change::Pause(pause) => self.apply_pause(pause),
            Change::Held(held) => self.apply_held(&held.instance_id, Some(held)),
            Change::HeldGone(instance) => self.apply_held(instance, None),
            Change::Instance(instance) => self.apply_instance(&instance.id, Some(instance)),
            Change::InstanceGone(instance) => self.apply_instance(instance, None),
            Change::Cluster(cluster) => {
                self.clusters.insert(cluster.id.clone(), (**cluster).clone());
            }
            Change::ClusterGone(cluster) => {
                self.clusters.remove(cluster);
            }
            Change::NodeMemory(node) => {
                self.nodes.insert(node.instance_id.clone(), (**node).clone());
            }
            Change::Execution(execution) => self.execution = Some((**execution).clone()),
            Change::Horizon(horizon) => self.apply_horizon(**horizon),
            Change::Pending(effect) => {
                self.pending.insert(effect.id, (**effect).clone());
            }
            Change::Settled(effect) => {
                self.pending.remove(effect);
            }
            Change::Condition(condition) => self.apply_condition(condition),
            Change::ConditionGone(check, instance) => self.forget_condition(check, instance),
            // Rows that only readers ask for.
            Change::Run(_) | Change::DeadLetter(_) | Change::Transition(_) | Change::Alias(_) => {}
        }
    }

    fn apply_alert(&mut self, alert: &Alert) {
        if let Some(before) = self.alerts.get(&alert.identity) {
            // A closed episode that is recorded late leaves the open one alone.
            if before.id != alert.id && alert.state == AlertState::Resolved {
                return;
            }
            if let Some(instance) = before.instance().cloned() {
                few::take(&mut self.alerts_of, &instance, &alert.identity);
            }
        }
        match alert.state {
            AlertState::Resolved => {
                self.alerts.remove(&alert.identity);
            }
            AlertState::Firing | AlertState::RefiredUnconfirmed => {
                if let Some(instance) = alert.instance() {
                    few::put(&mut self.alerts_of, instance.clone(), alert.identity);
                }
                self.alerts.insert(alert.identity, alert.clone());
            }
        }
    }

    fn apply_remediation(&mut self, row: &Remediation) {
        let links = match self.remediations.remove(&row.id) {
            Some(before) => {
                if let Some(due) = before.remediation.due {
                    self.agenda.remove(&(due.at, Subject::Remediation(row.id)));
                }
                few::take(&mut self.live_on_host, &before.remediation.target.host_id, &row.id);
                few::take(&mut self.live_on, before.remediation.instance_id(), &row.id);
                remove_from(&mut self.places_taken, before.remediation.cluster_id(), &row.id);
                remove_from(&mut self.to_start, before.remediation.cluster_id(), &row.id);
                before.links
            }
            None => Vec::new(),
        };
        if row.state.is_terminal() {
            for link in &links {
                few::take(&mut self.linked, &link.identity, &row.id);
            }
            return;
        }
        if let Some(due) = row.due {
            self.agenda.insert((due.at, Subject::Remediation(row.id)));
        }
        few::put(&mut self.live_on_host, row.target.host_id.clone(), row.id);
        few::put(&mut self.live_on, row.instance_id().clone(), row.id);
        // One whose evidence is being confirmed is about to start: it keeps its place meanwhile.
        if row.state.is_in_flight() || (row.state == State::Pending && row.awaits.is_some()) {
            self.places_taken.entry(row.cluster_id().clone()).or_default().insert(row.id);
        }
        if row.state == State::Pending {
            self.to_start.entry(row.cluster_id().clone()).or_default().insert(row.id);
        }
        self.remediations.insert(row.id, Record { remediation: row.clone(), links });
    }

    fn apply_link(&mut self, link: &Link) {
        let Some(record) = self.remediations.get_mut(&link.remediation_id) else { return };
        few::put(&mut self.linked, link.identity, link.remediation_id);
        match record.links.binary_search_by_key(&link.n, |known| known.n) {
            Ok(at) => record.links[at] = link.clone(),
            Err(at) => {
                // Most remediations have one, and a list that grows by itself begins with room for four.
                record.links.reserve_exact(1);
                record.links.insert(at, link.clone());
            }
        }
    }

    fn apply_hold(&mut self, hold: &Hold) {
        if let Some(before) = self.holds.remove(&hold.id) {
            self.agenda.remove(&(before.expires_at, Subject::Hold(hold.id)));
            few::take(&mut self.holds_on, &before.instance_id, &hold.id);
        }
        if hold.ended.is_none() {
            self.agenda.insert((hold.expires_at, Subject::Hold(hold.id)));
            few::put(&mut self.holds_on, hold.instance_id.clone(), hold.id);
            self.holds.insert(hold.id, hold.clone());
        }
    }

    fn apply_pause(&mut self, pause: &Pause) {
        match pause.resumed {
            None => self.pauses.insert(pause.cluster_id.clone(), pause.clone()),
            Some(_) => self.pauses.remove(&pause.cluster_id),
        };
    }

    fn apply_held(&mut self, instance: &InstanceId, held: Option<&Held>) {
        if let Some(until) = self.held.remove(instance).and_then(|before| before.until) {
            self.agenda.remove(&(until, Subject::Instance(instance.clone())));
        }
        if let Some(held) = held {
            if let Some(until) = held.until {
                self.agenda.insert((until, Subject::Instance(instance.clone())));
            }
            self.held.insert(instance.clone(), held.clone());
        }
    }

    fn apply_condition(&mut self, condition: &Condition) {
        self.forget_condition(&condition.check, &condition.instance_id);
        if let Some(at) = condition.ripe_at {
            let whose = (condition.check.clone(), condition.instance_id.clone());
            self.agenda.insert((at, Subject::Condition(Box::new(whose))));
        }
        self.conditions.insert(condition.clone());
    }

    fn forget_condition(&mut self, check: &CheckId, instance: &InstanceId) {
        if let Some(at) = self.conditions.remove(check, instance).and_then(|before| before.ripe_at) {
            self.agenda.remove(&(at, Subject::Condition(Box::new((check.clone(), instance.clone())))));
        }
    }

    fn apply_horizon(&mut self, horizon: Horizon) {
        if let Some(before) = self.horizons.moved_at() {
            self.agenda.remove(&(before.plus(retention::STEP), Subject::Horizons));
        }
        self.horizons.set(horizon);
        if let Some(moved) = self.horizons.moved_at() {
            self.agenda.insert((moved.plus(retention::STEP), Subject::Horizons));
        }
    }

    fn apply_instance(&mut self, id: &InstanceId, instance: Option<&Instance>) {
        if let Some(before) = self.instances.remove(id) {
            self.names.remove(&before);
            remove_from(&mut self.instances_in, &before.cluster_id, id);
        }
        if let Some(instance) = instance {
            self.names.insert(instance);
            self.instances_in.entry(instance.cluster_id.clone()).or_default().insert(id.clone());
            self.instances.insert(id.clone(), instance.clone());
        }
    }

    /// Every configured cluster.
    pub fn clusters(&self) -> &BTreeMap<ClusterId, Cluster> {
        &self.clusters
    }

    /// Every instance of the inventory.
    pub fn instances(&self) -> &Rows<InstanceId, Instance> {
        &self.instances
    }

    /// How many of them a cluster has.
    pub fn instances_in(&self, cluster: &ClusterId) -> usize {
        self.instances_in.get(cluster).map_or(0, BTreeSet::len)
    }

    /// Instances that a label's value names, of one cluster or of all.
    pub fn named(&self, value: &str, cluster: Option<&ClusterId>) -> BTreeSet<InstanceId> {
        let is_in = |id: &InstanceId, cluster| self.instances_in.get(cluster).is_some_and(|there| there.contains(id));
        self.names.find(value, |id| cluster.is_none_or(|cluster| is_in(id, cluster)))
    }

    /// Every open episode.
    pub fn alerts(&self) -> &Rows<Identity, Alert> {
        &self.alerts
    }

    /// The open episodes of one instance, in order of their identities.
    pub fn alerts_of(&self, instance: &InstanceId) -> impl Iterator<Item = &Alert> {
        few::of(&self.alerts_of, instance).filter_map(|identity| self.alerts.get(identity))
    }

    /// Instances with an open episode.
    pub fn troubled(&self) -> impl Iterator<Item = &InstanceId> {
        self.alerts_of.keys()
    }

    /// Every live remediation with its links.
    pub fn remediations(&self) -> &Rows<RemediationId, Record> {
        &self.remediations
    }

    /// The live remediations on a host, whichever instance they are about.
    pub fn live_on_host(&self, host: &HostId) -> impl Iterator<Item = &Record> {
        few::of(&self.live_on_host, host).filter_map(|id| self.remediations.get(id))
    }

    /// The live remediation of an instance.
    pub fn live_on(&self, instance: &InstanceId) -> Option<&Record> {
        let id = few::of(&self.live_on, instance).next()?;
        self.remediations.get(id)
    }

    /// How many remediations of a cluster are in flight or about to be.
    pub fn places_taken(&self, cluster: &ClusterId) -> usize {
        self.places_taken.get(cluster).map_or(0, BTreeSet::len)
    }

    /// The remediations of a cluster that are PENDING, the oldest first.
    pub fn to_start(&self, cluster: &ClusterId) -> impl Iterator<Item = &Record> {
        let ids = self.to_start.get(cluster).into_iter().flatten();
        ids.filter_map(|id| self.remediations.get(id))
    }

    /// The live remediations that an identity is linked to: two where its alert moved to another instance meanwhile.
    pub fn linked_to(&self, identity: Identity) -> impl Iterator<Item = RemediationId> {
        self.linked.get(&identity).into_iter().flat_map(Few::iter).copied()
    }

    /// The instance that the open linked alerts are about, where the inventory moved all of them away from the machine that
    /// an AUTOMATED remediation would repair.
    pub fn moved_to(&self, record: &Record) -> Option<&InstanceId> {
        let row = &record.remediation;
        let mut open = record.links.iter().filter_map(|link| self.alerts.get(&link.identity));
        let elsewhere = open.next()?.instance().filter(|there| *there != row.instance_id())?;
        let is_all = open.all(|alert| alert.instance().is_some_and(|there| there != row.instance_id()));
        (row.trigger == Trigger::Automated && is_all).then_some(elsewhere)
    }

    /// The hold on an instance that lasts longest.
    pub fn hold_on(&self, instance: &InstanceId) -> Option<&Hold> {
        let there = few::of(&self.holds_on, instance);
        there.filter_map(|id| self.holds.get(id)).max_by_key(|hold| hold.expires_at)
    }

    /// Every hold that has not ended.
    pub fn holds(&self) -> &BTreeMap<HoldId, Hold> {
        &self.holds
    }

    /// What policy wants for an instance and why it waits.
    pub fn held(&self) -> &BTreeMap<InstanceId, Held> {
        &self.held
    }

    /// What is believed because of active checks.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// An instance's last repairs.
    pub fn node(&self, instance: &InstanceId) -> Option<&NodeMemory> {
        self.nodes.get(instance)
    }

    /// The kill switches that are on, by where; the one for everything is under nothing.
    pub fn pauses(&self) -> &BTreeMap<Option<ClusterId>, Pause> {
        &self.pauses
    }

    /// What was last said about the right to act; nothing where it was never lost.
    pub fn execution(&self) -> Option<&Execution> {
        self.execution.as_ref()
    }

    /// How far back the past reaches.
    pub fn horizons(&self) -> &Horizons {
        &self.horizons
    }

    /// Every effect without a result.
    pub fn pending(&self) -> &BTreeMap<EffectId, Effect> {
        &self.pending
    }

    /// What is due next.
    pub fn agenda(&self) -> &BTreeSet<(Timestamp, Subject)> {
        &self.agenda
    }
}

fn remove_from<K: Ord + Clone, V: Ord>(index: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(values) = index.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            index.remove(key);
        }
    }
}
