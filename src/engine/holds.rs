//! Holds: "do not touch this node", set by people or by the engine, each with a reason and an end.

use std::time::Duration;

use super::change::Change;
use super::refusal::{Refusal, Reply};
use super::turn::Turn;
use super::{SYSTEM, check_text, require};
use crate::domain::{ClusterId, Hold, HoldId, InstanceId, Principal, Role};

/// The longest hold: a node that needs more is better taken out of the inventory.
const LONGEST: Duration = Duration::from_secs(90 * 24 * 3600);

/// How long a hold lasts that the engine sets (DESIGN §4.8).
const ENGINE_HOLD: Duration = Duration::from_secs(24 * 3600);

/// A person holds a node.
pub fn set(
    turn: &mut Turn<'_>,
    principal: &Principal,
    instance_id: InstanceId,
    reason: String,
    span: Duration,
) -> Result<Reply, Refusal> {
    let instance = turn.memory().instances().get(&instance_id).filter(|row| principal.sees(&row.cluster_id));
    let Some(instance) = instance else {
        return Err(Refusal::NotFound { kind: "instance", name: instance_id.to_string() });
    };
    let cluster_id = instance.cluster_id.clone();
    require(principal, Role::Operator, "hold")?;
    check_text("reason", &reason)?;
    if reason.trim().is_empty() {
        return Err(Refusal::Invalid { field: "reason", why: "say why nobody may touch the node".to_owned() });
    }
    if span.is_zero() || span > LONGEST {
        return Err(Refusal::Invalid { field: "for", why: "more than 0s and at most 90d".to_owned() });
    }
    let hold = Hold {
        id: HoldId::new(turn.new_id()),
        cluster_id,
        instance_id: instance_id.clone(),
        reason,
        created_by: principal.name.clone(),
        created_at: turn.now(),
        expires_at: turn.now().plus(span),
        ended: None,
    };
    turn.record(Change::Hold(Box::new(hold.clone())));
    turn.touched.insert(instance_id);
    Ok(Reply::Hold(Box::new(hold)))
}

/// A person ends a hold early.
pub fn lift(turn: &mut Turn<'_>, principal: &Principal, id: HoldId) -> Result<Reply, Refusal> {
    let hold = turn.memory().holds().get(&id).filter(|hold| principal.sees(&hold.cluster_id)).cloned();
    let Some(hold) = hold else { return Err(Refusal::NotFound { kind: "hold", name: id.to_string() }) };
    require(principal, Role::Operator, "unhold")?;
    end(turn, id, &principal.name);
    let ended = Some((turn.now(), principal.name.clone()));
    Ok(Reply::Hold(Box::new(Hold { ended, ..hold })))
}

/// The engine holds a node because only a person can go on, unless it is held already.
pub fn set_for_a_person(turn: &mut Turn<'_>, cluster_id: ClusterId, instance_id: &InstanceId, reason: String) {
    if turn.memory().hold_on(instance_id).is_some() {
        return;
    }
    let id = HoldId::new(turn.new_id());
    let (created_by, created_at, expires_at) = (SYSTEM.to_owned(), turn.now(), turn.now().plus(ENGINE_HOLD));
    let instance_id = instance_id.clone();
    let hold = Hold { id, cluster_id, instance_id, reason, created_by, created_at, expires_at, ended: None };
    turn.record(Change::Hold(Box::new(hold)));
}

/// A hold ends, by itself or by a person; policy looks at the node again, and approved repairs ask again.
pub fn end(turn: &mut Turn<'_>, id: HoldId, principal: &str) {
    let Some(hold) = turn.memory().holds().get(&id).cloned() else { return };
    turn.touch(Some(&hold.instance_id));
    turn.freed.insert(hold.cluster_id.clone());
    let ended = Some((turn.now(), principal.to_owned()));
    turn.record(Change::Hold(Box::new(Hold { ended, ..hold })));
}
