//! What ends by itself when time passes: a remediation whose alerts cleared, a proposal that nobody reviewed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::effect::{ChecksOf, EffectKind, Look};
use super::super::input::LookPurpose;
use super::super::lifecycle::{Verb, amend, transit};
use super::super::said::Said;
use super::super::turn::Turn;
use crate::domain::{AutoResolve, CheckId, DueWhy, RemediationId};
use crate::engine::SYSTEM;

/// How soon checks that did not all pass are run again.
const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Its alerts stayed clear for `compact_ttl`. Where the rule wants a probe, the checks of the instance are run first.
pub fn resolve(turn: &mut Turn<'_>, id: RemediationId) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    if record.remediation.auto_resolve != AutoResolve::Probe {
        return resolved(turn, id, "every linked alert cleared and stayed clear");
    }
    let instance_id = record.remediation.instance_id().clone();
    let instance = turn.memory().instances().get(&instance_id);
    let checks: BTreeSet<CheckId> = turn
        .settings()
        .checks
        .iter()
        .filter(|(_, policy)| instance.is_some_and(|instance| policy.selects(instance)))
        .map(|(check, _)| check.clone())
        .collect();
    if checks.is_empty() {
        let why =
            "its alerts are clear; auto_resolve = \"probe\" wants a check to pass, and none looks at this instance";
        return wait(turn, id, why.to_owned());
    }
    let look = Look {
        remediation_id: id,
        purpose: LookPurpose::Resolve,
        wanted: Default::default(),
        checks: Some(ChecksOf { instance_id, checks }),
    };
    let effect = turn.want(EffectKind::Look(look));
    amend(turn, id, |row| row.awaits = Some(effect));
}

/// What the checks said that were run before it resolves itself.
pub fn probed(turn: &mut Turn<'_>, id: RemediationId, said: &Said) {
    amend(turn, id, |row| row.awaits = None);
    if let Some(why) = said.objection() {
        return wait(turn, id, format!("its alerts are clear, and its checks do not all pass: {why}"));
    }
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    // One of its alerts may have come back while the checks ran, and even cleared again.
    let is_due = |due: crate::domain::Due| due.why == DueWhy::Resolve && due.at <= turn.now();
    if record.remediation.due.is_some_and(is_due) {
        resolved(turn, id, "every linked alert cleared and stayed clear, and every check of the instance passed");
    }
}

fn resolved(turn: &mut Turn<'_>, id: RemediationId, reason: &str) {
    transit(turn, id, Verb::Resolve, SYSTEM, reason, |row| row.note = Some(reason.to_owned()));
}

fn wait(turn: &mut Turn<'_>, id: RemediationId, why: String) {
    let next_try = Some(turn.now().plus(ASK_AGAIN));
    amend(turn, id, |row| {
        row.waits_for = Some(why);
        row.next_try = next_try;
    });
}

/// Nobody approved or rejected it within `proposal_ttl`.
pub fn expire(turn: &mut Turn<'_>, id: RemediationId) {
    let reason = "expired: nobody approved or rejected it in time";
    transit(turn, id, Verb::Expire, SYSTEM, reason, |row| row.note = Some(reason.to_owned()));
}
