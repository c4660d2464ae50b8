//! What is believed of every instance because of active checks, and the two counts by which a prober shows that it is at
//! fault itself.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Belief, CheckId, Condition, InstanceId};

/// Every condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    of: BTreeMap<InstanceId, Vec<Condition>>,
    /// Instances of which some check found what is not believed yet.
    suspects: BTreeSet<InstanceId>,
    /// How many conditions there are of each belief.
    believed: BTreeMap<Belief, usize>,
}

impl Conditions {
    pub(super) fn insert(&mut self, condition: Condition) {
        let id = condition.instance_id.clone();
        *self.believed.entry(condition.belief).or_default() += 1;
        let there = self.of.entry(id.clone()).or_default();
        // In order of their checks, so that memory is the same however it came about.
        let at = there.partition_point(|known| known.check < condition.check);
        there.insert(at, condition);
        self.judge(&id);
    }

    pub(super) fn remove(&mut self, check: &CheckId, instance: &InstanceId) -> Option<Condition> {
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
        self.judge(instance);
        Some(before)
    }

    fn judge(&mut self, instance: &InstanceId) {
        if self.of(instance).any(Condition::is_suspect) {
            self.suspects.insert(instance.clone());
        } else {
            self.suspects.remove(instance);
        }
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

    /// Whether an instance is among those that count against the prober.
    pub fn is_suspect(&self, instance: &InstanceId) -> bool {
        self.suspects.contains(instance)
    }

    /// How many nodes were probed, and of how many of them something was found that is not believed yet.
    pub fn probed_and_suspect(&self) -> (usize, usize) {
        (self.of.len(), self.suspects.len())
    }
}
