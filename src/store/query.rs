//! The questions that readers may ask, and how an answer is paged.

use std::collections::BTreeSet;

use crate::domain::{AlertState, Belief, CheckId, ClusterId, InstanceId, Mode, Severity, State, Trigger, Verdict};

/// Where the last page ended: the key of its last row, opaque to everybody else. The next page begins after it, so rows
/// that come in between neither repeat nor vanish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub Vec<u8>);

/// One page of an answer.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// At most as many as were asked for; fewer does not mean that there are no more.
    pub rows: Vec<T>,
    /// Where the next page begins; nothing on the last.
    pub next: Option<Cursor>,
}

/// Which clusters the asker sees; nothing means all.
pub type Visible = Option<BTreeSet<ClusterId>>;

/// How much and from where.
#[derive(Clone, Debug)]
pub struct Paging {
    /// How many rows at most.
    pub size: usize,
    /// Where the page before ended.
    pub after: Option<Cursor>,
}

/// In which order remediations come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// By the time of the last change instead of the creation.
    pub by_update: bool,
    /// Oldest first instead of newest first.
    pub ascending: bool,
}

/// Which remediations. An empty set filters nothing.
#[derive(Clone, Debug, Default)]
pub struct RemediationFilter {
    /// What the asker sees.
    pub visible: Visible,
    /// Only of this cluster.
    pub cluster_id: Option<ClusterId>,
    /// Only of this instance.
    pub instance_id: Option<InstanceId>,
    /// Only in these states.
    pub states: BTreeSet<State>,
    /// Only with these modes.
    pub modes: BTreeSet<Mode>,
    /// Only with these triggers.
    pub triggers: BTreeSet<Trigger>,
}

/// Which alerts.
#[derive(Clone, Debug, Default)]
pub struct AlertFilter {
    /// What the asker sees; who does not see all clusters sees no unjoined alert.
    pub visible: Visible,
    /// Only of this cluster.
    pub cluster_id: Option<ClusterId>,
    /// Only of this instance.
    pub instance_id: Option<InstanceId>,
    /// Only in this state.
    pub state: Option<AlertState>,
    /// Only of this severity.
    pub severity: Option<Severity>,
    /// Only with this name.
    pub alert_name: Option<String>,
    /// Only joined, or only unjoined.
    pub joined: Option<bool>,
}

/// Which instances.
#[derive(Clone, Debug, Default)]
pub struct InstanceFilter {
    /// What the asker sees.
    pub visible: Visible,
    /// Only of this cluster.
    pub cluster_id: Option<ClusterId>,
}

/// Which holds.
#[derive(Clone, Debug, Default)]
pub struct HoldFilter {
    /// What the asker sees.
    pub visible: Visible,
    /// Only on this instance.
    pub instance_id: Option<InstanceId>,
    /// Those that have ended too.
    pub ended: bool,
}

/// Which runs of checks.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// What the asker sees.
    pub visible: Visible,
    /// Only of this cluster.
    pub cluster_id: Option<ClusterId>,
    /// Only on this instance.
    pub instance_id: Option<InstanceId>,
    /// Only of this check.
    pub check: Option<CheckId>,
    /// Only with this verdict.
    pub verdict: Option<Verdict>,
}

/// Which conditions.
#[derive(Clone, Debug, Default)]
pub struct ConditionFilter {
    /// What the asker sees.
    pub visible: Visible,
    /// Only of this cluster.
    pub cluster_id: Option<ClusterId>,
    /// Only of this instance.
    pub instance_id: Option<InstanceId>,
    /// Only because of this check.
    pub check: Option<CheckId>,
    /// Only where this is believed.
    pub belief: Option<Belief>,
}
