//! The right to act: lost when the store was copied or restored, given back by an admin (I14).
//!
//! Without it everything else goes on: alerts are taken, proposals open, people approve. What was approved waits, and
//! what was under way is asked about only after the right is back. What the store knew before that may be old: whatever
//! it remembers as not done may have been done since by the life that was copied, so that it is asked about first (I12).

use super::change::Change;
use super::memory::Memory;
use super::refusal::{Refusal, Reply};
use super::turn::Turn;
use super::{SYSTEM, lifecycle, require};
use crate::domain::{ClusterId, Execution, Principal, Remediation, RemediationId, Role};

/// May anything act? `Err` says in words why not.
pub fn may_act(memory: &Memory) -> Result<(), String> {
    match memory.execution().and_then(|execution| execution.disabled_because.as_ref()) {
        None => Ok(()),
        Some(why) => Err(format!("execution is disabled until an admin enables it: {why}")),
    }
}

/// The store is not the one that the last process left: a new life begins, without the right to act.
pub fn disable(turn: &mut Turn<'_>, epoch: u64, why: String) {
    write(turn, epoch, Some(why), SYSTEM);
    let live: Vec<RemediationId> = turn.memory().remediations().keys().copied().collect();
    for id in live {
        lifecycle::amend(turn, id, |row| {
            if let Some(attempt) = row.attempt.as_mut().filter(|attempt| attempt.is_open()) {
                attempt.must_ask = true;
            }
        });
    }
}

/// May this remediation have been carried out by another life of the store? So it is with each that is older than the
/// right to act.
pub fn may_be_done(memory: &Memory, remediation: &Remediation) -> bool {
    memory.execution().is_some_and(|execution| remediation.created_at <= execution.changed_at)
}

/// An admin who knows that nobody else acts for this store gives the right back.
pub fn enable(turn: &mut Turn<'_>, principal: &Principal) -> Result<Reply, Refusal> {
    require(principal, Role::Admin, "enable")?;
    if principal.clusters.is_some() {
        let why = "a token for some clusters cannot speak for the whole store".to_owned();
        return Err(Refusal::Invalid { field: "principal", why });
    }
    let Some(execution) = turn.memory().execution().filter(|execution| execution.disabled_because.is_some()) else {
        return Ok(Reply::Done);
    };
    write(turn, execution.epoch, None, &principal.name);
    let clusters: Vec<ClusterId> = turn.memory().clusters().keys().cloned().collect();
    turn.freed.extend(clusters);
    Ok(Reply::Done)
}

fn write(turn: &mut Turn<'_>, epoch: u64, disabled_because: Option<String>, changed_by: &str) {
    let changed_at = turn.now();
    let changed_by = changed_by.to_owned();
    turn.record(Change::Execution(Box::new(Execution { epoch, disabled_because, changed_at, changed_by })));
}
