//! From PENDING to the act: the machine must still be the same one and its evidence must still stand.

use std::time::Duration;

use super::super::effect::{Call, CallVerb, EffectKind, Look};
use super::super::execution;
use super::super::input::{LookPurpose, Sighting};
use super::super::lifecycle::{Verb, amend, transit};
use super::super::said::Said;
use super::super::turn::Turn;
use super::act::QUESTION;
use super::{checks, evidence, fail};
use crate::domain::{
    Attempt, DueWhy, FailureCode, Instance, Remediation, RemediationId, State, Step, Target, Timestamp, Trigger,
};
use crate::engine::SYSTEM;

/// How soon an approved repair asks again whether it may go on, where nothing else wakes it.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(30);

/// Tries to start an approved repair. `may_start` is the guard's answer.
pub fn start(turn: &mut Turn<'_>, id: RemediationId, may_start: Result<(), String>) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let row = record.remediation.clone();
    // All its alerts may have cleared while its evidence was being confirmed: then it waits to resolve.
    if row.state != State::Pending || row.awaits.is_some() || row.due.is_some_and(|due| due.why == DueWhy::Resolve) {
        return;
    }
    let instance = match same_machine(turn, &row.target) {
        Ok(instance) => instance.clone(),
        Err(why) => return fail(turn, id, FailureCode::TargetChanged, why),
    };
    if let Some(elsewhere) = turn.memory().moved_to(record).cloned() {
        let why = format!("its alerts are about instance {elsewhere} now");
        return fail(turn, id, FailureCode::EvidenceGone, why);
    }
    let policy = turn.settings().clusters.get(row.cluster_id());
    if !policy.is_some_and(|policy| policy.modes.contains(&row.mode)) {
        let why = format!("no driver of cluster {} can do {} any more", row.cluster_id(), row.mode);
        return fail(turn, id, FailureCode::NoDriver, why);
    }
    if let Err(why) = may_start {
        // Time in a queue is no doubt about the evidence.
        amend(turn, id, |row| row.validating_since = None);
        return wait(turn, id, why, ASK_AGAIN);
    }
    let (wanted, checks) = match needs_validation(turn, &row) {
        true => (evidence(turn, &row, true), checks(turn, &row, true)),
        false => Default::default(),
    };
    if !wanted.is_empty() || checks.is_some() {
        let look = Look { remediation_id: id, purpose: LookPurpose::Validate, wanted, checks };
        let effect = turn.want(EffectKind::Look(look));
        let now = turn.now();
        return amend(turn, id, |row| {
            row.awaits = Some(effect);
            row.next_try = None;
            row.validating_since.get_or_insert(now);
        });
    }
    begin(turn, &row, &instance);
}

/// An alert is evidence of an AUTOMATED repair only as long as its source stands by it; a person who creates one has
/// evidence of their own.
fn needs_validation(turn: &Turn<'_>, row: &Remediation) -> bool {
    let is_fresh = row.validated_at.is_some_and(|at| turn.now().since(at) <= turn.settings().policy.max_evidence_age);
    row.trigger == Trigger::Automated && !is_fresh
}

/// What the sources said about the evidence. True: it stands, and the repair may be tried to start at once.
pub fn validated(turn: &mut Turn<'_>, look: &Look, found: Result<Vec<Sighting>, String>, said: &Said) -> bool {
    let (id, now) = (look.remediation_id, turn.now());
    amend(turn, id, |row| row.awaits = None);
    let sighted = match found {
        Ok(sighted) => sighted,
        Err(why) => {
            doubt(turn, id, format!("its evidence could not be confirmed: {why}"));
            return false;
        }
    };
    for sighting in &sighted {
        turn.mute(sighting.identity, sighting.muted);
    }
    if sighted.is_empty() && said.confirming.is_empty() {
        let why = match (look.wanted.is_empty(), said.objection()) {
            (_, Some(why)) if said.failing.is_empty() => format!("its evidence could not be confirmed: {why}"),
            (_, Some(why)) => format!("its evidence could not be confirmed: other things were found: {why}"),
            (true, None) => "its checks pass".to_owned(),
            (false, None) => "its sources show none of its alerts".to_owned(),
        };
        doubt(turn, id, why);
        return false;
    }
    if said.confirming.is_empty() && sighted.iter().all(|sighting| sighting.muted) {
        // A person silenced it: that is a wish, not a doubt, so its patience has no end (R10).
        amend(turn, id, |row| row.validating_since = None);
        wait(turn, id, "its alerts are silenced or inhibited at their source".to_owned(), ASK_AGAIN);
        return false;
    }
    amend(turn, id, |row| {
        row.validated_at = Some(now);
        row.validating_since = None;
    });
    true
}

/// Evidence that nobody confirms is asked for again, and given up after `validate_within`.
fn doubt(turn: &mut Turn<'_>, id: RemediationId, why: String) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let since = record.remediation.validating_since.unwrap_or(turn.now());
    let patience = turn.settings().policy.validate_within;
    if turn.now() >= since.plus(patience) {
        return fail(turn, id, FailureCode::EvidenceGone, why);
    }
    let pause = since.plus(patience).since(turn.now()).min(ASK_AGAIN);
    wait(turn, id, why, pause);
}

fn wait(turn: &mut Turn<'_>, id: RemediationId, why: String, pause: Duration) {
    let next_try = Some(turn.now().plus(pause.max(Duration::from_millis(1))));
    amend(turn, id, |row| {
        row.waits_for = Some(why);
        row.next_try = next_try;
    });
}

/// Whether an instance is still the machine that was approved (I11): a name that came to stand for another one is not.
pub(super) fn same_machine<'a>(turn: &'a Turn<'_>, target: &Target) -> Result<&'a Instance, String> {
    let id = &target.instance_id;
    let Some(there) = turn.memory().instances().get(id) else {
        return Err(format!("instance {id} left the inventory"));
    };
    match target.changed_in(there) {
        Some(why) => Err(why),
        None => Ok(there),
    }
}

/// The act begins: state, intent and call in one batch. Where it may have been done before, the call is a question.
fn begin(turn: &mut Turn<'_>, row: &Remediation, instance: &Instance) {
    let Some(policy) = turn.settings().clusters.get(row.cluster_id()) else { return };
    let now = turn.now();
    let must_ask = execution::may_be_done(turn.memory(), row);
    let attempt = Attempt {
        operation_key: format!("{}-{}-1", row.id, Step::Act.as_str()),
        driver: policy.act.clone(),
        step: Step::Act,
        intended_at: now,
        deadline: now.plus(policy.act_deadline),
        retries: 0,
        must_ask,
        outcome: None,
        detail: String::new(),
        generation: None,
        boot_id: None,
        done_at: None,
        abort: None,
    };
    let addresses = instance.addresses.clone();
    let (verb, deadline) =
        if must_ask { (CallVerb::Query, now.plus(QUESTION)) } else { (CallVerb::Act, attempt.deadline) };
    let call = Call { addresses, ..call(row, &attempt, verb, deadline) };
    let effect = turn.want(EffectKind::Call(call));
    let reason = format!("{} by driver {}", row.mode, attempt.driver);
    transit(turn, row.id, Verb::Start, SYSTEM, &reason, |row| {
        row.attempt = Some(Box::new(attempt));
        row.awaits = Some(effect);
        row.waits_for =
            must_ask.then(|| "the store was restored: the driver is asked whether it was done before".to_owned());
        row.next_try = None;
    });
}

pub(super) fn call(row: &Remediation, attempt: &Attempt, verb: CallVerb, deadline: Timestamp) -> Call {
    Call {
        remediation_id: row.id,
        driver: attempt.driver.clone(),
        verb,
        operation_key: attempt.operation_key.clone(),
        step: attempt.step,
        mode: row.mode,
        target: row.target.clone(),
        addresses: Vec::new(),
        reason: row.reason.clone(),
        deadline,
    }
}
