//! Which ranges of an index answer a question: those of the most selective one.
//!
//! A question that leaves the cluster open has one range for each cluster of which the index has keys, and its pages are merged
//! from them.

use std::collections::BTreeSet;

use super::index::{self, Index, LIVE, RESOLVED, UNJOINED};
use super::keys::Kind;
use super::query::{AlertFilter, ConditionFilter, InstanceFilter, RemediationFilter, RunFilter, Visible};
use super::reader::ReadError;
use super::scan;
use crate::domain::{AlertState, Belief, ClusterId, State};

/// What the keys of each range begin with.
pub type Prefixes = Vec<Vec<u8>>;

/// Whether somebody who sees these sees that cluster.
pub fn sees(visible: &Visible, cluster: &ClusterId) -> bool {
    visible.as_ref().is_none_or(|visible| visible.contains(cluster))
}

/// By creation: the instance's, else those of clusters in each phase.
///
/// # Errors
/// sled failed; so for every range.
pub fn remediations(db: &sled::Db, filter: &RemediationFilter) -> Result<Prefixes, ReadError> {
    if let Some(instance) = &filter.instance_id {
        return Ok(vec![Index::InstanceCreated.prefix(&[instance.as_str()])]);
    }
    let clusters = of_clusters(db, Index::ClusterPhase, &filter.visible, filter.cluster_id.as_ref())?;
    let phases: BTreeSet<&str> = filter.states.iter().copied().map(index::phase).collect();
    in_phases(db, clusters, &Vec::from_iter(phases))
}

/// By last change: the ranges that are in that order, which are of those that have ended, and those that have to be sorted: the
/// instance's, else of what is live. Ended ones in different states are not told apart; the filter passes over those that are
/// not wanted.
pub fn remediations_by_update(db: &sled::Db, filter: &RemediationFilter) -> Result<(Prefixes, Prefixes), ReadError> {
    if filter.instance_id.is_some() {
        return Ok((Vec::new(), remediations(db, filter)?));
    }
    let of = |index| of_clusters(db, index, &filter.visible, filter.cluster_id.as_ref());
    let has = |is_wanted: fn(&State) -> bool| filter.states.is_empty() || filter.states.iter().any(is_wanted);
    let ended = if has(|state| state.is_terminal()) { of(Index::ClusterEnded)? } else { Vec::new() };
    let live = if has(|state| !state.is_terminal()) { of(Index::ClusterPhase)? } else { Vec::new() };
    Ok((ended, in_phases(db, live, &[LIVE])?))
}

/// The instance's, else those of clusters (the unjoined have one of their own) in each phase.
pub fn alerts(db: &sled::Db, filter: &AlertFilter) -> Result<Prefixes, ReadError> {
    if let Some(instance) = &filter.instance_id {
        return Ok(vec![Index::InstanceAlert.prefix(&[instance.as_str()])]);
    }
    let clusters = match filter.joined {
        Some(false) => vec![Index::ClusterAlert.prefix(&[UNJOINED])],
        Some(true) | None => of_clusters(db, Index::ClusterAlert, &filter.visible, filter.cluster_id.as_ref())?,
    };
    let phases: &[&str] = match filter.state {
        None => &[],
        Some(AlertState::Firing | AlertState::RefiredUnconfirmed) => &[LIVE],
        Some(AlertState::Resolved) => &[RESOLVED],
    };
    in_phases(db, clusters, phases)
}

/// The instance's, else the check's, else those of clusters.
pub fn runs(db: &sled::Db, filter: &RunFilter) -> Result<Prefixes, ReadError> {
    if let Some(instance) = &filter.instance_id {
        return Ok(vec![Index::InstanceRun.prefix(&[instance.as_str()])]);
    }
    if let Some(check) = &filter.check {
        return Ok(vec![Index::CheckRun.prefix(&[check.as_str()])]);
    }
    of_clusters(db, Index::ClusterRun, &filter.visible, filter.cluster_id.as_ref())
}

/// Those of clusters, else the rows themselves.
pub fn instances(filter: &InstanceFilter) -> Prefixes {
    match clusters(&filter.visible, filter.cluster_id.as_ref()) {
        None => vec![vec![Kind::Instance.byte()]],
        Some(names) => names.iter().map(|name| Index::ClusterInstance.prefix(&[name])).collect(),
    }
}

/// The instance's, else that of the failing, which are few, else those of clusters, else the rows themselves.
pub fn conditions(filter: &ConditionFilter) -> Prefixes {
    if let Some(instance) = &filter.instance_id {
        return vec![Index::InstanceCondition.prefix(&[instance.as_str()])];
    }
    if filter.belief == Some(Belief::Failing) {
        return vec![Index::ConditionFailing.prefix(&[])];
    }
    match clusters(&filter.visible, filter.cluster_id.as_ref()) {
        None => vec![vec![Kind::Condition.byte()]],
        Some(names) => names.iter().map(|name| Index::ClusterCondition.prefix(&[name])).collect(),
    }
}

/// The clusters that are both visible and asked for; nothing where that is no restriction.
fn clusters<'a>(visible: &'a Visible, wanted: Option<&'a ClusterId>) -> Option<Vec<&'a str>> {
    match (visible, wanted) {
        (None, None) => None,
        (_, Some(wanted)) if sees(visible, wanted) => Some(vec![wanted.as_str()]),
        (_, Some(_)) => Some(Vec::new()),
        (Some(visible), None) => Some(visible.iter().map(ClusterId::as_str).collect()),
    }
}

/// Those of each cluster; where that is left open, of all that there are.
fn of_clusters(
    db: &sled::Db,
    index: Index,
    visible: &Visible,
    wanted: Option<&ClusterId>,
) -> Result<Prefixes, ReadError> {
    match clusters(visible, wanted) {
        None => Ok(scan::longer(db, &index.prefix(&[]))?),
        Some(names) => Ok(names.iter().map(|name| index.prefix(&[name])).collect()),
    }
}

/// Of each range the parts in these phases; where none is named, in all that there are.
fn in_phases(db: &sled::Db, prefixes: Prefixes, phases: &[&str]) -> Result<Prefixes, ReadError> {
    let mut parts = Vec::new();
    for prefix in prefixes {
        match phases {
            [] => parts.append(&mut scan::longer(db, &prefix)?),
            phases => parts.extend(phases.iter().map(|phase| Index::longer(&prefix, phase.as_bytes()))),
        }
    }
    Ok(parts)
}
