//! What must hold after every turn, written anew from SAFETY §4.3 and without looking at the engine's own tables.
//!
//! Judged are the rows as they were stored, the effects as they leave, and the answers as callers get them; the engine's
//! memory only where the question is whether it agrees with the rows.

use remedyd::domain::{
    AlertState, ClusterId, HeldWhy, HostId, Identity, InstanceId, Link, Mode, Remediation, RemediationId, State,
    Timestamp, Transition, Trigger,
};
use remedyd::engine::memory::Memory;
use remedyd::engine::{CallVerb, Change, Configured, Delivery, Effect, EffectKind, Refusal, Reply, ReportStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::daemon::{Ack, Errand, SLOWEST_LOOK};
use super::rows::{Key, Rows};
use super::world::{SYNC_WITHIN, Turned, World};

/// What the judge remembers: no more than what can be read from the rows, what callers were told, and what
/// sources said.
#[derive(Default)]
pub struct Judge {
    live: BTreeMap<RemediationId, Live>,
    ended: BTreeMap<InstanceId, Vec<Ended>>,
    /// Which verb ended the wait of a proposal, as its caller was told.
    won: BTreeMap<RemediationId, &'static str>,
    /// The version that a caller was told of.
    told: BTreeMap<RemediationId, u64>,
    /// The newest start that a source ever asserted of an alert.
    asserted: BTreeMap<Identity, Timestamp>,
    /// Until when a node is held, as the one who holds it was told.
    held: BTreeMap<InstanceId, Timestamp>,
    /// Since when a kill switch is on, as the one who turned it was told.
    paused: BTreeMap<Option<ClusterId>, Timestamp>,
    /// When its sources truly stood by the evidence of a remediation.
    pub confirmed: BTreeMap<RemediationId, Timestamp>,
    /// Of which remediations the sources truly showed none of the alerts, when they were last asked.
    pub gone: BTreeSet<RemediationId>,
    /// Since when, in true time, a restored store waits for an admin.
    pub disabled_since: Option<Timestamp>,
    /// For how long it did so before.
    pub disabled_for: Duration,
}

struct Live {
    instance: InstanceId,
    host: HostId,
    cluster: ClusterId,
    state: State,
}

struct Ended {
    id: RemediationId,
    state: State,
    mode: Mode,
    at: Timestamp,
}

impl Judge {
    /// Hears what a source says, as the daemon does.
    pub fn hears(&mut self, delivery: &Delivery) {
        for report in delivery.reports().filter(|report| report.status == ReportStatus::Firing) {
            let identity = Identity::of(delivery.source(), &report.labels);
            let newest = self.asserted.entry(identity).or_insert(report.started_at);
            *newest = report.started_at.max(*newest);
        }
    }

    /// Reads everything again, after a crash took rows away.
    pub fn rebuild(&mut self, rows: &Rows) {
        self.live.clear();
        self.ended.clear();
        rows.remediations().for_each(|row| self.reads(row));
    }

    /// Another life begins on older rows: what callers were told since is void.
    pub fn restored(&mut self, rows: &Rows, now: Timestamp) {
        self.rebuild(rows);
        self.told.clear();
        self.won.clear();
        self.held = rows.holds().map(|hold| (hold.instance_id.clone(), hold.expires_at)).collect();
        self.paused = rows.pauses().map(|pause| (pause.cluster_id.clone(), now)).collect();
        self.disabled_since.get_or_insert(now);
    }

    /// Somebody turns a switch off: from here on it may be.
    pub fn resumes(&mut self, cluster: &Option<ClusterId>) {
        self.paused.remove(cluster);
    }

    /// An admin says so.
    pub fn may_act_again(&mut self, now: Timestamp) {
        self.disabled_for += self.disabled_since.take().map_or(Duration::ZERO, |since| now.since(since));
    }

    fn reads(&mut self, row: &Remediation) {
        if row.state.is_terminal() {
            self.live.remove(&row.id);
            let of_node = self.ended.entry(row.instance_id().clone()).or_default();
            if !of_node.iter().any(|ended| ended.id == row.id) {
                let at = row.ended_at.unwrap_or(row.updated_at);
                of_node.push(Ended { id: row.id, state: row.state, mode: row.mode, at });
            }
            return;
        }
        let (instance, host) = (row.instance_id().clone(), row.target.host_id.clone());
        let live = Live { instance, host, cluster: row.cluster_id().clone(), state: row.state };
        self.live.insert(row.id, live);
    }
}

/// The table of I1: which state may follow which, and by which words.
fn may_follow(row: &Transition, trigger: Trigger) -> bool {
    use State::{
        AutoResolved, Cancelled, Failed, Pending, PendingApproval, Quarantined, Quarantining, Running, Succeeded,
    };
    match (row.from, row.to) {
        (None, PendingApproval) => trigger == Trigger::Automated && &*row.verb == "create",
        (None, Pending) => trigger == Trigger::Manual && &*row.verb == "create",
        (Some(PendingApproval), Pending) => &*row.verb == "approve",
        (Some(PendingApproval), PendingApproval) => &*row.verb == "raise",
        (Some(PendingApproval), Cancelled) => ["reject", "cancel", "expire", "supersede"].contains(&&*row.verb),
        (Some(PendingApproval | Pending), AutoResolved) => trigger == Trigger::Automated && &*row.verb == "resolve",
        (Some(Pending), Cancelled) => &*row.verb == "cancel",
        (Some(Pending), Quarantining | Running) | (Some(Quarantining), Quarantined) | (Some(Quarantined), Running) => {
            true
        }
        (Some(Pending | Quarantining | Quarantined | Running), Failed) => &*row.verb == "fail",
        (Some(Running), Succeeded) => &*row.verb == "succeed",
        _ => false,
    }
}

type Written = [(Change, Key, Option<Change>)];

impl World {
    /// What the daemon is told of its configuration.
    pub fn told(&self) -> Configured {
        self.spoiled_settings(self.site.configured())
    }

    /// The rows that a turn wrote.
    pub fn check_turn(&mut self, written: &Written) -> Turned {
        let mut about = BTreeSet::new();
        for (change, _, before) in written {
            match change {
                Change::Remediation(row) => {
                    let before = match before {
                        Some(Change::Remediation(before)) => Some(&**before),
                        _ => None,
                    };
                    self.check_row(row, before)?;
                    about.insert(row.instance_id().clone());
                }
                Change::Transition(row) => {
                    self.must("I3", before.is_none(), || {
                        format!("version {} of {} twice", row.version, row.remediation_id)
                    })?;
                }
                Change::Link(row) => {
                    let is_same = match before {
                        Some(Change::Link(before)) => before.identity == row.identity,
                        _ => true,
                    };
                    self.must("I23", is_same, || format!("a link of {} names another alert", row.remediation_id))?;
                    if let Some(signal) = self.site.by_identity.get(&row.identity).copied() {
                        self.met(signal);
                    }
                }
                Change::Alert(row) => about.extend(row.instance().cloned()),
                Change::Held(row) => {
                    about.insert(row.instance_id.clone());
                    self.excused(&row.instance_id, row.why.as_str());
                }
                Change::HeldGone(id) => drop(about.insert(id.clone())),
                Change::NodeMemory(_)
                | Change::DeadLetter(_)
                | Change::Run(_)
                | Change::Condition(_)
                | Change::ConditionGone(..)
                | Change::Execution(_)
                | Change::Horizon(_)
                | Change::Alias(_)
                | Change::Hold(_)
                | Change::Pause(_)
                | Change::Instance(_)
                | Change::InstanceGone(_)
                | Change::Cluster(_)
                | Change::ClusterGone(_)
                | Change::Pending(_)
                | Change::Settled(_) => {}
            }
        }
        // Once all rows are there: what each transition says about the others.
        for (change, ..) in written {
            if let Change::Transition(row) = change {
                self.check_transition(row)?;
            }
        }
        let is_caught_up = self.daemon.has_begun && self.daemon.deadline().is_none_or(|due| due > self.clock());
        for instance in about.iter().filter(|_| is_caught_up) {
            self.check_node(instance, written)?;
        }
        if is_caught_up {
            self.check_reasons()?;
        }
        self.check_l3()?;
        self.check_goes_on()
    }

    /// What a row says that a node waits for is so.
    fn check_reasons(&self) -> Turned {
        let memory = self.daemon.engine.memory();
        for held in memory.held().values() {
            let is_so = match &held.why {
                HeldWhy::For | HeldWhy::Cooldown | HeldWhy::Settle => {
                    held.until.is_some_and(|until| until > self.clock())
                }
                HeldWhy::Hold(id) => memory.holds().contains_key(id),
                HeldWhy::Paused => {
                    let cluster = Some(held.cluster_id.clone());
                    memory.pauses().contains_key(&None) || memory.pauses().contains_key(&cluster)
                }
                HeldWhy::HostBusy(id) => memory.remediations().contains_key(id),
                HeldWhy::OptedOut => {
                    self.site.instance(&held.instance_id).is_some_and(|there| !there.auto_remediation_enabled)
                }
                HeldWhy::NoDriver | HeldWhy::ContactSupport => true,
            };
            self.must("L1", is_so, || format!("{} waits for {:?}, which is over", held.instance_id, held.why))?;
        }
        Ok(())
    }

    /// Whatever is live has a time at which it is looked at again, or waits for an answer that is to come.
    fn check_goes_on(&self) -> Turned {
        for record in self.daemon.engine.memory().remediations().values().filter(|_| self.daemon.has_begun) {
            let row = &record.remediation;
            let is_asked = row.awaits.is_some_and(|effect| self.daemon.out.contains(&effect));
            let invariant = if row.state.is_in_flight() { "L3" } else { "L4" };
            self.must(invariant, is_asked || row.due.is_some(), || {
                format!("{} is {}, and nothing will ever wake it", row.id, row.state.as_str())
            })?;
        }
        Ok(())
    }

    fn check_row(&mut self, row: &Remediation, before: Option<&Remediation>) -> Turned {
        let id = row.id;
        if let Some(before) = before {
            self.must("I2", !before.state.is_terminal(), || format!("{id} changed after {}", before.state.as_str()))?;
            let steps = (before.version + 1..=row.version).count();
            let moved = (before.state, before.mode) != (row.state, row.mode);
            self.must("I3", steps <= 1 && (steps == 1 || !moved), || {
                format!("{id} went from version {} to {}", before.version, row.version)
            })?;
            self.must("I3", row.updated_at >= before.updated_at, || format!("{id} went back in time"))?;
            self.must("I6", row.target == before.target, || format!("{id} is about another machine now"))?;
            let may_change = before.state == State::PendingApproval;
            self.must("I8", may_change || row.mode == before.mode, || {
                format!("{id} is {} and became {} instead of {}", before.state.as_str(), row.mode, before.mode)
            })?;
        }
        self.must("I2", row.ended_at.is_some() == row.state.is_terminal(), || {
            format!("{id} is {} and its end is {:?}", row.state.as_str(), row.ended_at)
        })?;
        let times = [Some(row.created_at), row.review.as_ref().map(|review| review.at), row.started_at, row.ended_at];
        self.must("I3", times.iter().flatten().is_sorted(), || format!("the times of {id} are {times:?}"))?;
        let is_approved = matches!(row.state, State::Pending | State::Running) && row.trigger == Trigger::Automated;
        self.must("I5", !is_approved || row.review.is_some(), || format!("{id} goes ahead, and nobody approved it"))?;
        self.judge.reads(row);
        if !row.state.is_terminal() {
            let places = self.judge.live.iter().filter(|(other, _)| **other != id);
            let twin = places
                .into_iter()
                .find(|(_, live)| live.instance == *row.instance_id() || live.host == row.target.host_id);
            let twin = twin.map(|(other, _)| *other);
            self.must("I9", twin.is_none(), || format!("{id} and {twin:?} are both live on {}", row.instance_id()))?;
        }
        Ok(())
    }

    fn check_transition(&mut self, step: &Transition) -> Turned {
        let id = step.remediation_id;
        let Some(row) = self.daemon.rows.remediation(id).cloned() else {
            return self.must("I3", false, || format!("{id} has a history and no row"));
        };
        self.must("I1", may_follow(step, row.trigger), || {
            format!("{id}: {} from {:?} to {:?} ({:?})", step.verb, step.from, step.to, row.trigger)
        })?;
        let is_resolve_late =
            step.to == State::AutoResolved && !matches!(step.from, Some(State::PendingApproval | State::Pending));
        self.must("I22", !is_resolve_late, || format!("{id} resolved by itself out of {:?}", step.from))?;
        let earlier = self.daemon.rows.transitions(id).find(|other| other.version + 1 == step.version);
        let is_chained =
            if step.version == 1 { step.from.is_none() } else { earlier.map(|earlier| earlier.to) == step.from };
        self.must("I3", is_chained, || format!("version {} of {id} does not follow the one before", step.version))?;
        if step.from.is_none() && row.trigger == Trigger::Automated {
            self.check_cooldown(&row)?;
            self.check_evidence(&row)?;
            self.check_hold(&row)?;
        }
        if step.from.is_none() || step.to == State::Running {
            self.check_pause(row.cluster_id(), || format!("{id} goes ahead"))?;
        }
        if step.to == State::Running {
            self.check_hold(&row)?;
            self.check_start(&row)?;
        }
        if step.to == State::AutoResolved {
            self.check_resolved(&row)?;
        }
        if step.to == State::Succeeded {
            self.check_succeeded(&row)?;
        }
        Ok(())
    }

    fn check_cooldown(&self, row: &Remediation) -> Turned {
        let cooldown = self.site.settings.policy.cooldown;
        let now = self.clock();
        let ended = self.judge.ended.get(row.instance_id());
        let cools = ended.into_iter().flatten().find(|ended| {
            matches!(ended.state, State::Succeeded | State::Failed | State::Cancelled)
                && now < ended.at.plus(cooldown)
                && !row.mode.is_heavier_than(ended.mode)
        });
        self.must("I24", cools.is_none(), || {
            format!("{} opened inside the cooldown of {:?}", row.id, cools.map(|one| one.id))
        })
    }

    /// Alerts that no source asserts to have begun after the last repair open nothing until that had time to help. What
    /// counts is the newest start that was asserted: the end of the time before may have been lost.
    fn check_evidence(&self, row: &Remediation) -> Turned {
        let ended = self.judge.ended.get(row.instance_id());
        let Some(last) = ended.into_iter().flatten().map(|ended| ended.at).max() else { return Ok(()) };
        let asserted = |link: &Link| {
            let said = self.judge.asserted.get(&link.identity).copied();
            let of_check = || self.daemon.rows.last_episode(link.identity).map(|alert| alert.newest_start);
            said.or_else(of_check).unwrap_or(link.started_at)
        };
        let is_new = self.daemon.rows.links(row.id).any(|link| asserted(link) > last);
        let is_settled = self.clock() >= last.plus(self.site.settings.policy.settle);
        self.must("I25", is_new || is_settled, || format!("{} opened on evidence from before {last}", row.id))
    }

    fn check_hold(&self, row: &Remediation) -> Turned {
        let until = self.judge.held.get(row.instance_id()).filter(|until| self.clock() < **until);
        self.must("I26", until.is_none(), || {
            format!("{} goes ahead on {}, held until {until:?}", row.id, row.instance_id())
        })
    }

    fn check_pause(&self, cluster: &ClusterId, what: impl FnOnce() -> String) -> Turned {
        let on = [None, Some(cluster.clone())].into_iter().find(|switch| self.judge.paused.contains_key(switch));
        self.must("I26", on.is_none(), || format!("{} in {cluster} while {on:?} is paused", what()))
    }

    fn check_start(&self, row: &Remediation) -> Turned {
        let in_flight =
            self.judge.live.values().filter(|live| live.cluster == *row.cluster_id() && live.state.is_in_flight());
        let (taken, cap) = (in_flight.count(), self.site.in_flight_cap(row.cluster_id()));
        self.must("I15", taken <= cap, || {
            format!("{taken} of {cap} are in flight in {} with {}", row.cluster_id(), row.id)
        })?;
        let there = self.site.instance(row.instance_id());
        let is_same = there.is_some_and(|there| {
            (&there.host_id, &there.generation, &there.cluster_id)
                == (&row.target.host_id, &row.target.generation, &row.target.cluster_id)
        });
        self.must("I11", is_same, || format!("{} starts on {there:?} instead of {:?}", row.id, row.target))?;
        let asks = self.site.settings.sources.values().all(|source| source.has_api);
        if row.trigger == Trigger::Automated && asks {
            let max_age = self.site.settings.policy.max_evidence_age;
            let at = self.judge.confirmed.get(&row.id);
            let is_fresh = at.is_some_and(|at| self.clock().since(*at) <= max_age);
            self.must("I13", is_fresh, || format!("{} starts on evidence that was confirmed at {at:?}", row.id))?;
        }
        Ok(())
    }

    /// SUCCEEDED means verified: another machine where one was promised, every alert clear for `soak` after the act, and
    /// their source shows none of them.
    fn check_succeeded(&self, row: &Remediation) -> Turned {
        let Some((attempt, done_at)) = row.attempt.as_ref().and_then(|attempt| Some((attempt, attempt.done_at?)))
        else {
            return self.must("proven", false, || format!("{} succeeded, and no driver said done", row.id));
        };
        let is_same = matches!(row.mode, Mode::VmOnly | Mode::HostAware)
            && attempt.generation.as_ref() == Some(&row.target.generation);
        self.must("proven", !is_same, || format!("{} succeeded on the machine of before", row.id))?;
        let (soak, within) = (self.site.settings.policy.soak, self.site.settings.policy.verify_within);
        let is_late = self.daemon.started_at < done_at
            && self.daemon.rows.links(row.id).next().is_some()
            && self.clock() > done_at.plus(within + SLOWEST_LOOK);
        self.must("proven", !is_late, || format!("{} succeeded long after {done_at}, when it was done", row.id))?;
        for link in self.daemon.rows.links(row.id) {
            let calm_since = link.cleared_at.map(|at| at.max(done_at));
            let is_calm = calm_since.is_some_and(|since| self.clock() >= since.plus(soak));
            self.must("proven", is_calm, || {
                format!("{} succeeded, {} is calm since {calm_since:?}", row.id, link.alert_name)
            })?;
        }
        let asks = self.site.settings.sources.values().all(|source| source.has_api);
        let is_gone = !asks || self.daemon.rows.links(row.id).next().is_none() || self.judge.gone.contains(&row.id);
        self.must("proven", is_gone, || format!("{} succeeded while its source shows its alerts", row.id))
    }

    fn check_resolved(&self, row: &Remediation) -> Turned {
        for link in self.daemon.rows.links(row.id) {
            let episode = self.daemon.rows.last_episode(link.identity);
            let is_closed = episode.is_some_and(|alert| alert.state == AlertState::Resolved);
            self.must("I21", is_closed, || format!("{} resolved while {} is open", row.id, link.alert_name))?;
            let ttl = self.site.settings.policy.compact_ttl;
            let cleared = episode.and_then(|alert| alert.cleared_at);
            // An end that came late may have been recorded as an episode of its own after the one that counts.
            let is_calm = link.cleared_at.or(cleared).is_some_and(|at| self.clock() >= at.plus(ttl));
            self.must("I21", is_calm, || {
                format!("{} resolved, and {} cleared at {cleared:?}", row.id, link.alert_name)
            })?;
        }
        Ok(())
    }

    /// Every alert of a node that calls for a repair is linked to the one that is live; without one, a row says why.
    fn check_node(&self, id: &InstanceId, written: &Written) -> Turned {
        if self.site.instance(id).is_none() {
            return Ok(());
        }
        let memory = self.daemon.engine.memory();
        let live = memory.live_on(id).map(|live| live.remediation.id);
        for alert in memory.alerts_of(id).filter(|alert| alert.state == AlertState::Firing && !alert.muted) {
            let hold_for = match self.site.by_identity.get(&alert.identity) {
                Some(signal) => self.site.calls(self.site.signals[*signal].sign),
                None => self.site.calls_for_checks().then_some(Duration::ZERO),
            };
            let Some(hold_for) = hold_for else { continue };
            let is_ripe = alert.opened_at.plus(hold_for) <= self.clock();
            if let Some(live) = live.filter(|_| is_ripe) {
                let is_linked = self.daemon.rows.links(live).any(|link| link.identity == alert.identity);
                self.must("I23", is_linked, || format!("{} on {id} fires and is not linked to {live}", alert.name()))?;
            } else {
                let ended_here = written.iter().any(|(change, ..)| {
                    matches!(change, Change::Remediation(row) if row.instance_id() == id && row.state.is_terminal())
                });
                let name = if ended_here { "L2" } else { "L1" };
                let is_said = self.daemon.rows.is_held(id);
                self.must(name, is_said, || {
                    format!("{} fires on {id}, and no row says what it waits for", alert.name())
                })?;
            }
        }
        Ok(())
    }

    /// An effect leaves for the world outside.
    pub fn check_leaving(&mut self, effect: &Effect) -> Turned {
        self.must("pending", self.daemon.rows.is_pending(effect.id), || {
            format!("effect {} has no pending row", effect.id)
        })?;
        let EffectKind::Call(call) = &effect.kind else { return Ok(()) };
        let id = call.remediation_id;
        let row = self.daemon.on_disk(id);
        let has_intent = row
            .as_ref()
            .is_some_and(|row| row.attempt.as_ref().is_some_and(|attempt| attempt.operation_key == call.operation_key));
        self.must("I10", has_intent, || format!("a call of {id} leaves before its intent is on disk"))?;
        self.must("I14", self.judge.disabled_since.is_none(), || {
            format!("a call of {id} leaves a restored store that no admin has enabled")
        })?;
        let Some(row) = row.filter(|_| call.verb == CallVerb::Act) else { return Ok(()) };
        // One that was decided before may leave with the same batch as the answer to whoever paused.
        let cluster = row.cluster_id().clone();
        let is_late = |since: &Timestamp| self.now > since.plus(SYNC_WITHIN);
        let on =
            [None, Some(cluster.clone())].into_iter().find(|switch| self.judge.paused.get(switch).is_some_and(is_late));
        self.must("I26", on.is_none(), || format!("an act of {id} leaves in {cluster} while {on:?} is paused"))?;
        let target = (&call.target.instance_id, &call.target.host_id, &call.target.generation);
        let approved = (&row.target.instance_id, &row.target.host_id, &row.target.generation);
        self.must("I19", target == approved, || format!("{id} is about {approved:?} and calls for {target:?}"))?;
        let word =
            self.daemon.rows.transitions(id).find(|step| matches!(&*step.verb, "approve") || step.to == State::Pending);
        let word = word.map(|step| step.mode);
        self.must("I8", word == Some(call.mode), || {
            format!("{id} was approved as {word:?} and calls for {}", call.mode)
        })
    }

    /// A caller gets an answer: what it says is on disk.
    pub fn answered(&mut self, ack: &Ack, reply: &Reply) -> Turned {
        match ack {
            Ack::Nobody | Ack::Source(..) => Ok(()),
            Ack::Alertmanager(message) => {
                let received = message.shown().len() as u64;
                let sum = match reply {
                    Reply::Received { stored, merged, dead_lettered } => stored + merged + dead_lettered,
                    Reply::Done
                    | Reply::Remediation(_)
                    | Reply::Hold(_)
                    | Reply::Pause(_)
                    | Reply::Probed(_)
                    | Reply::Refused(_) => 0,
                };
                self.must("I33", sum == received, || format!("{received} alerts were sent, {sum} are accounted for"))?;
                self.acknowledged(message);
                Ok(())
            }
            Ack::Person(errand) => self.person_answered(*errand, reply),
        }
    }

    fn person_answered(&mut self, Errand { verb, about, seen, mode }: Errand, reply: &Reply) -> Turned {
        match reply {
            Reply::Remediation(record) => {
                let row = &record.remediation;
                self.judge.told.insert(row.id, row.version);
                let is_seen = verb != "approve" || seen.is_none_or(|seen| row.version == seen + 1);
                self.must("I3", is_seen, || {
                    format!("{} was approved at version {seen:?} and is {}", row.id, row.version)
                })?;
                self.must("I8", mode.is_none_or(|mode| row.mode == mode), || {
                    format!("{}: {mode:?} was asked for, it is {}", row.id, row.mode)
                })?;
                if let (Some(id), "approve" | "reject") = (about, verb) {
                    self.tally.count("reviews that won");
                    let before = self.judge.won.insert(id, verb);
                    self.must("I4", before.is_none(), || format!("{id}: {before:?} won, and {verb} as well"))?;
                }
                Ok(())
            }
            Reply::Refused(Refusal::WrongState { id, state, .. }) => {
                self.tally.count("reviews that came too late");
                let names_winner = self.daemon.rows.transitions(*id).any(|step| step.to == *state);
                self.must("I4", names_winner, || format!("{id} was never {}", state.as_str()))
            }
            Reply::Hold(hold) => {
                match hold.ended {
                    None => drop(self.judge.held.insert(hold.instance_id.clone(), hold.expires_at)),
                    Some(_) => drop(self.judge.held.remove(&hold.instance_id)),
                }
                Ok(())
            }
            Reply::Pause(pause) => {
                if pause.resumed.is_none() {
                    self.judge.paused.entry(pause.cluster_id.clone()).or_insert(self.now);
                }
                Ok(())
            }
            Reply::Done | Reply::Received { .. } | Reply::Probed(_) => {
                self.must("I14", verb != "enable without the right", || "an approver enabled the store".to_owned())
            }
            Reply::Refused(_) => Ok(()),
        }
    }

    /// Somebody lifts a hold of this node: from here on it may be gone.
    pub fn lifts_hold(&mut self, instance: &InstanceId) {
        self.judge.held.remove(instance);
    }

    /// What callers were told of is still there.
    pub fn check_acknowledged(&self) -> Turned {
        for (id, version) in &self.judge.told {
            let stored = self.daemon.rows.remediation(*id).map(|row| row.version);
            self.must("I29", stored >= Some(*version), || format!("{id} was version {version} and is {stored:?}"))?;
        }
        Ok(())
    }

    /// After a crash: what was written together is there together, or not at all.
    pub fn check_untorn(&self) -> Turned {
        for row in self.daemon.rows.remediations() {
            let last = self.daemon.rows.transitions(row.id).last();
            let is_told =
                last.is_some_and(|last| (last.version, last.to, last.mode) == (row.version, row.state, row.mode));
            self.must("I30", is_told, || format!("{} is version {}, its history ends {last:?}", row.id, row.version))?;
            let is_pending = row.awaits.is_none_or(|effect| self.daemon.rows.is_pending(effect));
            self.must("I30", is_pending, || format!("{} waits for an effect that is not pending", row.id))?;
            let has_cause = row.trigger == Trigger::Manual || self.daemon.rows.links(row.id).next().is_some();
            self.must("I30", has_cause, || format!("{} was proposed, and no alert is linked to it", row.id))?;
        }
        Ok(())
    }

    /// Everything, whoever was touched.
    pub fn check_everything(&mut self) -> Turned {
        self.check_acknowledged()?;
        for row in self.daemon.rows.remediations() {
            let versions = self.daemon.rows.transitions(row.id).map(|step| step.version);
            self.must("I3", versions.eq(1..=row.version), || format!("the history of {} has a gap", row.id))?;
            let last = self.daemon.rows.transitions(row.id).last().map(|step| (step.to, step.mode));
            self.must("I3", last == Some((row.state, row.mode)), || {
                format!("history and state of {} disagree", row.id)
            })?;
            let places: Vec<u32> = self.daemon.rows.links(row.id).map(|link| link.n).collect();
            let is_whole = places.iter().copied().eq(0..places.len() as u32);
            self.must("I23", is_whole, || format!("the links of {} are {places:?}", row.id))?;
        }
        if self.daemon.is_up {
            let mut folded = Memory::default();
            self.daemon.rows.live().for_each(|change| folded.apply(change));
            let is_same = folded == *self.daemon.engine.memory();
            self.must("fold", is_same, || "memory is not the fold of the stored rows".to_owned())?;
            for instance in
                self.site.inventory.iter().filter(|_| self.daemon.deadline().is_none_or(|due| due > self.clock()))
            {
                self.check_node(&instance.id, &[])?;
            }
        }
        Ok(())
    }
}
