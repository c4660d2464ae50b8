//! What is believed of every instance because of active checks, and the two counts by which a prober shows that it is at
//! fault itself.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use super::rows::tighten;
use crate::domain::{Belief, CheckId, Condition, InstanceId, Timestamp, Trust, Verdict};

/// For how long what was found counts against the prober (I20) once runs no longer FAIL: that one run comes to nothing does not
/// excuse it, and that none ever says anything again does not hold it for ever.
pub const SUSPICION: Duration = Duration::from_secs(600);

/// Until when a condition counts against the prober: something stands there that is not believed yet, whatever else is believed.
pub fn suspect_until(condition: &Condition) -> Option<Timestamp> {
    let stands = condition.standing.iter().any(|standing| standing.trust == Trust::Suspected);
    match condition.verdict {
        Verdict::Fail => (stands || condition.belief != Belief::Failing).then_some(Timestamp::MAX),
        Verdict::Pass | Verdict::Inconclusive | Verdict::Error | Verdict::Skipped => {
            stands.then(|| condition.verdict_at.plus(SUSPICION))
        }
    }
}

/// Every condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    of: BTreeMap<InstanceId, Vec<Condition>>,
    /// Instances of which some check found what is not believed yet, and until when that counts.
    suspects: BTreeMap<InstanceId, Timestamp>,
    /// How many of them count until each moment.
    suspects_until: BTreeMap<Timestamp, usize>,
    /// How many instances have a check that says something.
    probed: usize,
    /// How many conditions there are of each belief.
    believed: BTreeMap<Belief, usize>,
}

impl Conditions {
    pub(super) fn insert(&mut self, condition: Condition) {
        let id = condition.instance_id.clone();
        let was_probed = self.is_probed(&id);
        *self.believed.entry(condition.belief).or_default() += 1;
        let there = self.of.entry(id.clone()).or_default();
        // In order of their checks, so that memory is the same however it came about.
        let at = there.partition_point(|known| known.check < condition.check);
        there.insert(at, condition);
        self.judge(&id, was_probed);
    }

    pub(super) fn remove(&mut self, check: &CheckId, instance: &InstanceId) -> Option<Condition> {
        let was_probed = self.is_probed(instance);
        let there = self.of.get_mut(instance)?;
        let at = there.iter().position(|known| known.check == *check)?;
        let before = there.remove(at);
        if let Some(n) = self.believed.get_mut(&before.belief) {
            *n -= 1;
        }
        self.believed.retain(|_, n| *n > 0);
        if there.is_empty() {
            self.of.remove(instance);
        }
        self.judge(instance, was_probed);
        Some(before)
    }

    fn judge(&mut self, instance: &InstanceId, was_probed: bool) {
        let until = self.of(instance).filter_map(suspect_until).max();
        if let Some(before) = self.suspects.remove(instance)
            && let Some(n) = self.suspects_until.get_mut(&before)
        {
            *n -= 1;
            if *n == 0 {
                self.suspects_until.remove(&before);
            }
        }
        if let Some(until) = until {
            self.suspects.insert(instance.clone(), until);
            *self.suspects_until.entry(until).or_default() += 1;
        }
        self.probed = self.probed + usize::from(self.is_probed(instance)) - usize::from(was_probed);
    }

    /// Lays the tree that grows with a fleet out anew, without room for more.
    pub(super) fn tighten(&mut self) {
        tighten(&mut self.of);
    }

    /// What one check makes us believe of an instance.
    pub fn get(&self, check: &CheckId, instance: &InstanceId) -> Option<&Condition> {
        self.of(instance).find(|known| known.check == *check)
    }

    /// What is believed of an instance.
    pub fn of(&self, instance: &InstanceId) -> impl Iterator<Item = &Condition> {
        self.of.get(instance).into_iter().flatten()
    }

    /// All of them, by instance.
    pub fn all(&self) -> impl Iterator<Item = &Condition> {
        self.of.values().flatten()
    }

    /// How many there are of a belief.
    pub fn count_of(&self, belief: Belief) -> usize {
        self.believed.get(&belief).copied().unwrap_or_default()
    }

    /// Whether a check of this instance says anything: a run that comes to nothing is no look at it.
    pub fn is_probed(&self, instance: &InstanceId) -> bool {
        self.of(instance).any(|condition| matches!(condition.verdict, Verdict::Pass | Verdict::Fail))
    }

    /// Whether an instance is among those that count against the prober.
    pub fn is_suspect(&self, instance: &InstanceId, now: Timestamp) -> bool {
        self.suspects.get(instance).is_some_and(|until| *until > now)
    }

    /// Of how many nodes something was found that is not believed yet.
    pub fn suspects(&self, now: Timestamp) -> usize {
        self.suspects_until.range((Bound::Excluded(now), Bound::Unbounded)).map(|(_, n)| n).sum()
    }

    /// How many nodes are probed: those of which a check says something.
    pub fn probed(&self) -> usize {
        self.probed
    }
}
