//! What a step changed: whole new rows, the only thing that memory and disk are ever made of.

use super::effect::Effect;
use crate::domain::{
    Alert, Alias, CheckId, Cluster, ClusterId, Condition, DeadLetter, EffectId, Execution, Held, Hold, Horizon,
    Instance, InstanceId, Link, NodeMemory, Pause, Remediation, Run, Transition,
};

/// One row that is written, or one key that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An episode.
    Alert(Box<Alert>),
    /// An alert that could not be read.
    DeadLetter(Box<DeadLetter>),
    /// A remediation's own row.
    Remediation(Box<Remediation>),
    /// An alert linked to a remediation.
    Link(Box<Link>),
    /// An entry of a remediation's history.
    Transition(Box<Transition>),
    /// A client's own name for a remediation.
    Alias(Box<Alias>),
    /// A hold, set or ended.
    Hold(Box<Hold>),
    /// A kill switch, turned on or off.
    Pause(Box<Pause>),
    /// What policy wants for an instance and why it waits.
    Held(Box<Held>),
    /// It waits no longer.
    HeldGone(InstanceId),
    /// An instance of the inventory.
    Instance(Box<Instance>),
    /// It left the inventory.
    InstanceGone(InstanceId),
    /// A configured cluster.
    Cluster(Box<Cluster>),
    /// It left the configuration.
    ClusterGone(ClusterId),
    /// An instance's last repairs.
    NodeMemory(Box<NodeMemory>),
    /// Whether this store may act.
    Execution(Box<Execution>),
    /// How far back the past reaches.
    Horizon(Box<Horizon>),
    /// A run of an active check.
    Run(Box<Run>),
    /// What is believed of an instance because of a check.
    Condition(Box<Condition>),
    /// Nothing is believed of it any more: the check or the instance left.
    ConditionGone(CheckId, InstanceId),
    /// An effect that is to happen.
    Pending(Box<Effect>),
    /// Its result is known.
    Settled(EffectId),
}

impl Change {
    /// Whether nobody has to see the row `before` once this one is there: the same episode, or the same remediation, in the
    /// same state. What passes from one state to the next is written with each of them.
    pub(super) fn is_instead_of(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Alert(now), Self::Alert(before)) => (now.id, now.state) == (before.id, before.state),
            (Self::Remediation(now), Self::Remediation(before)) => {
                (now.id, now.state, now.version) == (before.id, before.state, before.version)
            }
            (Self::Link(now), Self::Link(before)) => {
                (now.remediation_id, now.n, now.alert_id) == (before.remediation_id, before.n, before.alert_id)
            }
            _ => false,
        }
    }
}
