//! A person stops what has begun: it is found out what stands of the act, that is undone, and it ends FAILED `ABORTED`.
//!
//! Only an act that is known to stand is undone. So a call that is out is waited for, and an outcome that is not known is
//! asked about, as without the abort; the act itself is never called again. What is undone is the operation, by its key:
//! which machine has the name by now does not matter to that. Wherever something stands in the end, or nobody can tell,
//! the node is held: a person stopped this, so a person looks before anything else touches the machine.

use std::time::Duration;

use super::super::effect::CallVerb;
use super::super::lifecycle::amend;
use super::super::turn::Turn;
use super::super::{execution, holds};
use super::act::{Answer, again, ask_later, back_off, put_off};
use super::fail;
use super::start::ASK_AGAIN;
use crate::domain::{Abort, Attempt, FailureCode, Outcome, Remediation, RemediationId, Undo};

/// Goes on from the moment at which a person's word was written into the row.
pub fn abort(turn: &mut Turn<'_>, id: RemediationId) {
    let Some((row, attempt, abort)) = read(turn, id) else { return };
    if attempt.done_at.is_some() {
        // A look that is out would prove the repair; its answer is for nobody any more.
        amend(turn, id, |row| row.awaits = None);
        go_on(turn, id);
    } else if row.awaits.is_some() {
        let why = format!("the driver's answer, to undo what it did: aborted by {}", abort.by);
        amend(turn, id, |row| row.waits_for = Some(why));
    } else if attempt.must_ask {
        let now = turn.now();
        amend(turn, id, |row| row.next_try = Some(now));
    } else {
        // Not done, not out, not unknown: the last word was that it did not happen.
        nothing_stands(turn, id, &abort, &attempt.detail);
    }
}

/// A driver answered a call about an operation that is aborted.
pub(super) fn answered(turn: &mut Turn<'_>, id: RemediationId, verb: CallVerb, answer: Answer) {
    let Some((_, attempt, abort)) = read(turn, id) else { return };
    let now = turn.now();
    match (verb, answer.outcome) {
        (CallVerb::Act | CallVerb::Query, Outcome::Done) => {
            amend_attempt(turn, id, |attempt| {
                attempt.must_ask = false;
                // Asked after an undoing, it stands still: it was done before.
                if attempt.done_at.is_none() {
                    attempt.done_at = Some(now);
                    attempt.generation = answer.generation;
                    attempt.boot_id = answer.boot_id;
                }
            });
            go_on(turn, id);
        }
        (CallVerb::Act, Outcome::Refused | Outcome::Transient)
        | (CallVerb::Query, Outcome::Refused | Outcome::Absent)
        | (CallVerb::Undo, Outcome::Done) => nothing_stands(turn, id, &abort, &answer.detail),
        (CallVerb::Undo, Outcome::Refused) => stands(turn, id, &abort, &answer.detail),
        (CallVerb::Undo, Outcome::Transient) => {
            let undo = abort.undo.unwrap_or_else(|| intent(turn, &attempt));
            let next_try = now.plus(back_off(undo.retries));
            if next_try >= undo.deadline {
                return stands(turn, id, &abort, &format!("not undone before the deadline: {}", answer.detail));
            }
            put_off(turn, id, next_try, format!("the driver is not ready to undo it: {}", answer.detail));
        }
        // `absent` answers only a question.
        (CallVerb::Act | CallVerb::Undo, Outcome::Unknown | Outcome::Absent) => {
            amend_attempt(turn, id, |attempt| attempt.must_ask = true);
            let retries = abort.undo.map_or(attempt.retries, |undo| undo.retries);
            let pause = retries.checked_sub(1).map_or(Duration::ZERO, back_off);
            put_off(turn, id, now.plus(pause), format!("the outcome is unknown: {}", answer.detail));
        }
        (CallVerb::Query, Outcome::Unknown | Outcome::Transient) => ask_later(turn, id, &attempt, &answer.detail),
    }
}

/// The act stands: it is undone, or undone once more; intent and call in one batch.
pub(super) fn go_on(turn: &mut Turn<'_>, id: RemediationId) {
    let Some((row, attempt, abort)) = read(turn, id) else { return };
    let now = turn.now();
    if let Err(why) = execution::may_act(turn.memory()) {
        return amend(turn, id, |row| {
            row.waits_for = Some(why);
            row.next_try = Some(now.plus(ASK_AGAIN));
        });
    }
    let undo = abort.undo.unwrap_or_else(|| intent(turn, &attempt));
    if now >= undo.deadline {
        return stands(turn, id, &abort, &format!("not undone before the deadline: {}", attempt.detail));
    }
    amend_attempt(turn, id, |attempt| {
        attempt.must_ask = false;
        if let Some(abort) = &mut attempt.abort {
            abort.undo = Some(undo);
        }
    });
    let why = format!("the driver to undo what it did: aborted by {}", abort.by);
    amend(turn, id, |row| row.waits_for = Some(why));
    again(turn, &row, None, &attempt, CallVerb::Undo, undo.deadline);
}

/// Undoing may take as long as the act might have.
fn intent(turn: &Turn<'_>, attempt: &Attempt) -> Undo {
    let now = turn.now();
    Undo { intended_at: now, deadline: now.plus(attempt.deadline.since(attempt.intended_at)), retries: 0 }
}

fn nothing_stands(turn: &mut Turn<'_>, id: RemediationId, abort: &Abort, detail: &str) {
    let what = if abort.undo.is_some() { "the act was undone" } else { "the act did not happen" };
    fail(turn, id, FailureCode::Aborted, format!("{}; {what}: {detail}", word(abort)));
}

fn stands(turn: &mut Turn<'_>, id: RemediationId, abort: &Abort, detail: &str) {
    let Some((row, ..)) = read(turn, id) else { return };
    let why = format!("{}; the act stands, it was not undone: {detail}", word(abort));
    holds::set_for_a_person(turn, row.target.cluster_id, &row.target.instance_id, format!("remediation {id}: {why}"));
    fail(turn, id, FailureCode::Aborted, why);
}

fn word(abort: &Abort) -> String {
    format!("aborted by {}: {}", abort.by, abort.reason)
}

fn read(turn: &Turn<'_>, id: RemediationId) -> Option<(Remediation, Attempt, Abort)> {
    let row = turn.memory().remediations().get(&id)?.remediation.clone();
    let attempt = row.attempt.as_deref()?.clone();
    let abort = attempt.abort.clone()?;
    Some((row, attempt, abort))
}

fn amend_attempt(turn: &mut Turn<'_>, id: RemediationId, edit: impl FnOnce(&mut Attempt)) {
    amend(turn, id, |row| {
        if let Some(attempt) = &mut row.attempt {
            edit(attempt);
        }
    });
}
