//! One step while it is being made: what it changed, what it wants done, and who has to be looked at again.
//!
//! [`Turn::record`] is the only way to change anything: it applies the change to memory and keeps it for the journal in
//! one move, so the two cannot disagree. A commit that fails ends the process, so memory never runs ahead of a store
//! that will not follow.

use std::collections::BTreeSet;

use super::change::Change;
use super::effect::{Effect, EffectKind};
use super::ids::IdSource;
use super::memory::Memory;
use super::past::Past;
use super::settings::Settings;
use crate::domain::{
    Alert, AlertState, ClusterId, Decided, EffectId, Identity, InstanceId, Record, Remediation, RemediationId, RuleId,
    Timestamp,
};

/// What a rule decided, for the metric `decisions_total{rule,decision}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decision {
    /// Which rule.
    pub rule: RuleId,
    /// What.
    pub decided: Decided,
}

/// A step in the making.
pub struct Turn<'a> {
    memory: &'a mut Memory,
    settings: &'a Settings,
    ids: &'a mut IdSource,
    now: Timestamp,
    changes: Vec<Change>,
    effects: Vec<Effect>,
    decisions: Vec<Decision>,
    /// Stored rows that the input names; an episode that closes in this step joins them.
    pub past: Past,
    /// Instances for which policy has to decide again.
    pub touched: BTreeSet<InstanceId>,
    /// Remediations whose links or times changed.
    pub stirred: BTreeSet<RemediationId>,
    /// Instances whose repair was just done.
    pub repaired: BTreeSet<InstanceId>,
    /// Clusters in which a place in flight may be free.
    pub freed: BTreeSet<ClusterId>,
}

/// What came of a turn.
pub struct Made {
    /// In the order in which they were made.
    pub changes: Vec<Change>,
    /// To be let out once the changes are on disk.
    pub effects: Vec<Effect>,
    /// For the metrics.
    pub decisions: Vec<Decision>,
}

/// How many changes back it is looked whether a row is written again.
const LOOK_BACK: usize = 8;

impl<'a> Turn<'a> {
    /// Begins a step at `now`.
    pub fn new(
        memory: &'a mut Memory,
        settings: &'a Settings,
        ids: &'a mut IdSource,
        now: Timestamp,
        past: Past,
    ) -> Self {
        Self {
            memory,
            settings,
            ids,
            now,
            changes: Vec::new(),
            effects: Vec::new(),
            decisions: Vec::new(),
            past,
            touched: BTreeSet::new(),
            stirred: BTreeSet::new(),
            repaired: BTreeSet::new(),
            freed: BTreeSet::new(),
        }
    }

    /// Ends it.
    pub fn made(self) -> Made {
        Made { changes: self.changes, effects: self.effects, decisions: self.decisions }
    }

    /// What is known, this step's changes included. It lives as long as the turn borrows it.
    pub fn memory(&self) -> &Memory {
        self.memory
    }

    /// The configuration.
    pub fn settings(&self) -> &'a Settings {
        self.settings
    }

    /// The engine's time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// A new id.
    pub fn new_id(&mut self) -> uuid::Uuid {
        self.ids.next(self.now)
    }

    /// Applies a change and keeps it for the journal.
    pub fn record(&mut self, change: Change) {
        self.memory.apply(&change);
        // The same row once more in one step, as when a new alert is linked: only the last form is written.
        let last = self.changes.len().saturating_sub(LOOK_BACK);
        if let Some(at) = self.changes[last..].iter().rposition(|before| change.is_instead_of(before)) {
            self.changes.remove(last + at);
        }
        self.changes.push(change);
    }

    /// Records an episode; one that closed can be named by the rest of the same delivery.
    pub fn record_alert(&mut self, alert: Alert) {
        if alert.state == AlertState::Resolved {
            let episodes = self.past.episodes.entry(alert.identity).or_default();
            episodes.retain(|known| known.id != alert.id);
            episodes.insert(0, (&alert).into());
            episodes.truncate(Past::EPISODES);
        }
        // One that is only counted has no link, but it still says what it belongs to.
        self.stirred.extend(self.memory.linked_to(alert.identity).chain(alert.remediation_id));
        self.record(Change::Alert(Box::new(alert)));
    }

    /// Keeps whether a source shows an alert silenced or inhibited (R10).
    pub fn mute(&mut self, identity: Identity, muted: bool) {
        let Some(alert) = self.memory.alerts().get(&identity).filter(|alert| alert.muted != muted) else { return };
        let alert = Alert { muted, ..alert.clone() };
        self.touch(alert.instance());
        self.record_alert(alert);
    }

    /// Wants something done: a pending row, and an effect once that row is on disk.
    pub fn want(&mut self, kind: EffectKind) -> EffectId {
        let effect = Effect { id: EffectId::new(self.new_id()), created_at: self.now, kind };
        let id = effect.id;
        self.record(Change::Pending(Box::new(effect.clone())));
        self.effects.push(effect);
        id
    }

    /// Lets a pending effect out again, after a start.
    pub fn want_again(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// A pending effect has its result. False: it was not pending, so the result is a repeat.
    pub fn settle(&mut self, effect: EffectId) -> bool {
        let was_pending = self.memory.pending().contains_key(&effect);
        if was_pending {
            self.record(Change::Settled(effect));
        }
        was_pending
    }

    /// Policy has to look at this instance before the step ends.
    pub fn touch(&mut self, instance: Option<&InstanceId>) {
        if let Some(instance) = instance {
            self.touched.insert(instance.clone());
        }
    }

    /// Counts a decision.
    pub fn decide(&mut self, rule: &RuleId, decided: Decided) {
        self.decisions.push(Decision { rule: rule.clone(), decided });
    }

    /// The row of a remediation that ended in this step.
    pub fn ended_row(&self, id: RemediationId) -> Option<&Remediation> {
        self.changes.iter().rev().find_map(|change| match change {
            Change::Remediation(row) if row.id == id => Some(&**row),
            _ => None,
        })
    }

    /// A remediation that memory holds or that the input named.
    pub fn record_of(&self, id: RemediationId) -> Option<&Record> {
        self.memory.remediations().get(&id).or_else(|| self.past.remediations.get(&id))
    }
}
