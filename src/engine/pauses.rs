//! The kill switch (I26): while it is on, nothing opens and no act begins; what has begun goes on to its end.
//!
//! Alerts are taken, proposals that wait go on waiting, people approve, reject and cancel, and what is under way is asked
//! about, verified and undone. There is one switch for everything and one for each cluster; to turn one that is on once
//! more changes nothing, so that whoever turned it first is the one who is named.

use super::change::Change;
use super::memory::Memory;
use super::refusal::{Refusal, Reply};
use super::turn::Turn;
use super::{check_text, require};
use crate::domain::{ClusterId, HeldWhy, InstanceId, Pause, Principal, Resumed, Role};

/// The switch that keeps a cluster from anything new: the one for everything before its own.
pub fn on<'a>(memory: &'a Memory, cluster: &ClusterId) -> Option<&'a Pause> {
    memory.pauses().get(&None).or_else(|| memory.pauses().get(&Some(cluster.clone())))
}

/// May an act begin in this cluster? `Err` says in words why not.
pub fn may_begin(memory: &Memory, cluster: &ClusterId) -> Result<(), String> {
    match on(memory, cluster) {
        None => Ok(()),
        Some(pause) => {
            let Pause { paused_by, paused_at, reason, .. } = pause;
            Err(format!("{} is paused by {paused_by} since {paused_at}: {reason}", pause.place()))
        }
    }
}

/// An admin turns a switch on.
pub fn pause(
    turn: &mut Turn<'_>,
    principal: &Principal,
    cluster_id: Option<ClusterId>,
    reason: String,
) -> Result<Reply, Refusal> {
    if let Some(cluster) = cluster_id.as_ref().filter(|cluster| !turn.memory().clusters().contains_key(cluster)) {
        return Err(absent(cluster));
    }
    may_turn(principal, cluster_id.as_ref(), "pause")?;
    check_text("reason", &reason)?;
    if reason.trim().is_empty() {
        return Err(Refusal::Invalid { field: "reason", why: "say why nothing may begin".to_owned() });
    }
    if let Some(standing) = turn.memory().pauses().get(&cluster_id) {
        return Ok(Reply::Pause(Box::new(standing.clone())));
    }
    let (paused_by, paused_at) = (principal.name.clone(), turn.now());
    let pause = Pause { cluster_id, reason, paused_by, paused_at, resumed: None };
    turn.record(Change::Pause(Box::new(pause.clone())));
    Ok(Reply::Pause(Box::new(pause)))
}

/// An admin turns it off: policy looks again at what it kept from opening, and approved repairs ask again.
pub fn resume(
    turn: &mut Turn<'_>,
    principal: &Principal,
    cluster_id: Option<ClusterId>,
    reason: String,
) -> Result<Reply, Refusal> {
    let standing = turn.memory().pauses().get(&cluster_id).cloned();
    // A switch outlives its cluster's time in the configuration, so that nobody comes back paused for ever.
    if let Some(cluster) =
        cluster_id.as_ref().filter(|id| standing.is_none() && !turn.memory().clusters().contains_key(id))
    {
        return Err(absent(cluster));
    }
    may_turn(principal, cluster_id.as_ref(), "resume")?;
    check_text("reason", &reason)?;
    let Some(pause) = standing else {
        let everywhere = turn.memory().pauses().get(&None).map(|pause| pause.paused_by.clone());
        return Err(Refusal::NotPaused { cluster: cluster_id.map(|cluster| cluster.to_string()), everywhere });
    };
    let resumed = Some(Resumed { by: principal.name.clone(), at: turn.now(), reason });
    let pause = Pause { resumed, ..pause };
    turn.record(Change::Pause(Box::new(pause.clone())));
    let concerns = |cluster: &ClusterId| pause.cluster_id.as_ref().is_none_or(|paused| paused == cluster);
    let waiting = turn.memory().held().values();
    let waiting: Vec<InstanceId> = waiting
        .filter(|held| held.why == HeldWhy::Paused && concerns(&held.cluster_id))
        .map(|held| held.instance_id.clone())
        .collect();
    let clusters: Vec<ClusterId> = turn.memory().clusters().keys().filter(|id| concerns(id)).cloned().collect();
    turn.touched.extend(waiting);
    turn.freed.extend(clusters);
    Ok(Reply::Pause(Box::new(pause)))
}

/// Whose cluster it is may turn its switch; the one for everything takes somebody who may speak for everything.
fn may_turn(principal: &Principal, cluster: Option<&ClusterId>, verb: &'static str) -> Result<(), Refusal> {
    if let Some(cluster) = cluster.filter(|cluster| !principal.sees(cluster)) {
        return Err(absent(cluster));
    }
    require(principal, Role::Admin, verb)?;
    if cluster.is_none() && principal.clusters.is_some() {
        let why = "a token for some clusters cannot speak for all of them: name one".to_owned();
        return Err(Refusal::Invalid { field: "cluster_id", why });
    }
    Ok(())
}

fn absent(cluster: &ClusterId) -> Refusal {
    Refusal::NotFound { kind: "cluster", name: cluster.to_string() }
}
