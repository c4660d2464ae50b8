//! What a driver answered, and what follows: verify, give up, try again, or ask.
//!
//! `done` and `refused` are final. `transient` means that nothing happened, so the same operation may be called again
//! inside the step's deadline. `unknown` means that it may have happened: from then on the backend is only *asked*, by
//! the operation's key, and only its word that it knows of no such operation lets the act be called again. Once a person
//! has aborted it, what an answer leads to is for `undo` to say.

use std::time::Duration;

use super::super::effect::{Call, CallVerb, EffectKind};
use super::super::lifecycle::{Verb, amend, transit};
use super::super::turn::Turn;
use super::super::{execution, holds, pauses};
use super::start::{ASK_AGAIN, call, same_machine};
use super::{fail, undo};
use crate::domain::{Attempt, FailureCode, Instance, Mode, Outcome, Remediation, RemediationId, State, Timestamp};
use crate::engine::SYSTEM;

/// The first wait of a back-off and its cap (DESIGN §4.8): 5 s doubling to 5 m.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(300));

/// How long one question may take.
pub(super) const QUESTION: Duration = Duration::from_secs(60);

/// What a driver said of one call.
pub struct Answer {
    /// Its word.
    pub outcome: Outcome,
    /// Its words.
    pub detail: String,
    /// The machine's generation after the act.
    pub generation: Option<String>,
    /// The machine's boot id after the act.
    pub boot_id: Option<String>,
}

/// A driver answered the call that the remediation waits for.
pub fn acted(turn: &mut Turn<'_>, asked: &Call, answer: Answer) {
    let id = asked.remediation_id;
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let row = record.remediation.clone();
    let Some(attempt) = row.attempt.clone() else { return };
    let has_links = !record.links.is_empty();
    let detail = answer.detail.clone();
    let now = turn.now();
    amend(turn, id, |row| {
        row.awaits = None;
        if let Some(attempt) = &mut row.attempt {
            attempt.outcome = Some(answer.outcome);
            attempt.detail.clone_from(&answer.detail);
        }
    });
    if attempt.abort.is_some() {
        return undo::answered(turn, id, asked.verb, answer);
    }
    match (asked.verb, answer.outcome) {
        // Nothing is undone unless a person aborted it.
        (CallVerb::Undo, _) => {}
        (CallVerb::Act | CallVerb::Query, Outcome::Done) => done(turn, &row, answer, has_links),
        (CallVerb::Act | CallVerb::Query, Outcome::Refused) => fail(turn, id, FailureCode::Refused, detail),
        (CallVerb::Act, Outcome::Transient) => try_later(turn, id, &attempt, &detail),
        // `absent` answers only a question; from an act it tells nothing.
        (CallVerb::Act, Outcome::Unknown | Outcome::Absent) => {
            amend(turn, id, |row| {
                if let Some(attempt) = &mut row.attempt {
                    attempt.must_ask = true;
                }
            });
            // It is asked about at once the first time; a driver that dies in every act is left in peace for longer and longer.
            let pause = attempt.retries.checked_sub(1).map_or(Duration::ZERO, back_off);
            put_off(turn, id, now.plus(pause), format!("the outcome is unknown: {detail}"));
        }
        (CallVerb::Query, Outcome::Unknown | Outcome::Transient) => ask_later(turn, id, &attempt, &detail),
        (CallVerb::Query, Outcome::Absent) => {
            amend(turn, id, |row| {
                if let Some(attempt) = &mut row.attempt {
                    attempt.must_ask = false;
                }
                row.waits_for = Some("the driver knows of no such operation: it is called again".to_owned());
                row.next_try = Some(now);
            });
        }
    }
}

fn done(turn: &mut Turn<'_>, row: &Remediation, answer: Answer, has_links: bool) {
    let now = turn.now();
    let id = row.id;
    let makes_new_vm = matches!(row.mode, Mode::VmOnly | Mode::HostAware);
    let generation = answer.generation.filter(|generation| !generation.is_empty());
    if makes_new_vm && !row.target.generation.is_empty() && generation.as_ref() == Some(&row.target.generation) {
        let why = format!("the driver said done, and the machine still has generation {:?}", row.target.generation);
        return fail(turn, id, FailureCode::NotCleared, why);
    }
    turn.repaired.insert(row.instance_id().clone());
    amend(turn, id, |row| {
        if let Some(attempt) = &mut row.attempt {
            attempt.done_at = Some(now);
            attempt.generation = generation;
            attempt.boot_id = answer.boot_id;
        }
        row.waits_for = has_links.then(|| "its alerts to clear and stay clear".to_owned());
        row.next_try = None;
    });
    if !has_links {
        let note = "unverified: the driver said done, and no alert is linked that could prove it";
        transit(turn, id, Verb::Succeed, SYSTEM, note, |row| row.note = Some(note.to_owned()));
    }
}

fn try_later(turn: &mut Turn<'_>, id: RemediationId, attempt: &Attempt, detail: &str) {
    let next_try = turn.now().plus(back_off(attempt.retries));
    if next_try >= attempt.deadline {
        return fail(turn, id, FailureCode::NotReady, format!("not ready before the step's deadline: {detail}"));
    }
    put_off(turn, id, next_try, format!("the driver is not ready: {detail}"));
}

/// Questions may go on for as long again as the act itself: an act that ran into its deadline leaves no other time.
pub(super) fn ask_later(turn: &mut Turn<'_>, id: RemediationId, attempt: &Attempt, detail: &str) {
    // The call's own lost answer was the first that came to nothing.
    let undo = attempt.abort.as_ref().and_then(|abort| abort.undo);
    let retries = undo.map_or(attempt.retries, |undo| undo.retries);
    let next_try = turn.now().plus(back_off(retries.saturating_sub(1)));
    if next_try >= asking_ends(attempt) {
        let Some(record) = turn.memory().remediations().get(&id) else { return };
        let target = record.remediation.target.clone();
        let what = if undo.is_some() { "was undone" } else { "happened" };
        let why = format!("whether operation {} {what} cannot be found out: {detail}", attempt.operation_key);
        holds::set_for_a_person(turn, target.cluster_id, &target.instance_id, format!("remediation {id}: {why}"));
        return fail(turn, id, FailureCode::OutcomeUnknown, why);
    }
    put_off(turn, id, next_try, format!("the driver is asked what became of it: {detail}"));
}

fn asking_ends(attempt: &Attempt) -> Timestamp {
    let undo = attempt.abort.as_ref().and_then(|abort| abort.undo);
    let (from, until) = undo.map_or((attempt.intended_at, attempt.deadline), |undo| (undo.intended_at, undo.deadline));
    until.plus(until.since(from))
}

pub(super) fn put_off(turn: &mut Turn<'_>, id: RemediationId, next_try: Timestamp, why: String) {
    amend(turn, id, |row| {
        if let Some(attempt) = &mut row.attempt {
            match attempt.abort.as_mut().and_then(|abort| abort.undo.as_mut()) {
                Some(undo) => undo.retries += 1,
                None => attempt.retries += 1,
            }
        }
        row.waits_for = Some(why);
        row.next_try = Some(next_try);
    });
}

pub(super) fn back_off(retries: u32) -> Duration {
    BACK_OFF.0.saturating_mul(1 << retries.min(16)).min(BACK_OFF.1)
}

/// The time for the next call has come: ask, or act again with the same key.
pub fn retry(turn: &mut Turn<'_>, id: RemediationId) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let row = record.remediation.clone();
    let Some(attempt) = row.attempt.clone() else { return };
    let is_aborted = attempt.abort.is_some();
    if row.state != State::Running || row.awaits.is_some() || (attempt.done_at.is_some() && !is_aborted) {
        return;
    }
    let now = turn.now();
    if let Err(why) = execution::may_act(turn.memory()) {
        let next_try = Some(now.plus(ASK_AGAIN));
        return amend(turn, id, |row| {
            row.waits_for = Some(why);
            row.next_try = next_try;
        });
    }
    if attempt.must_ask {
        return again(turn, &row, None, &attempt, CallVerb::Query, now.plus(QUESTION));
    }
    if is_aborted {
        return undo::go_on(turn, id);
    }
    if now >= attempt.deadline {
        return fail(turn, id, FailureCode::NotReady, "the step's deadline passed before the act happened".to_owned());
    }
    if let Err(why) = pauses::may_begin(turn.memory(), row.cluster_id()) {
        let next_try = Some(now.plus(ASK_AGAIN));
        return amend(turn, id, |row| {
            row.waits_for = Some(why);
            row.next_try = next_try;
        });
    }
    match same_machine(turn, &row.target).cloned() {
        Ok(instance) => again(turn, &row, Some(&instance), &attempt, CallVerb::Act, attempt.deadline),
        Err(why) => fail(turn, id, FailureCode::TargetChanged, why),
    }
}

pub(super) fn again(
    turn: &mut Turn<'_>,
    row: &Remediation,
    instance: Option<&Instance>,
    attempt: &Attempt,
    verb: CallVerb,
    deadline: Timestamp,
) {
    // A question names the operation; where the machine went since does not matter to it.
    let there = instance.or_else(|| turn.memory().instances().get(row.instance_id()));
    let addresses = there.map_or_else(Vec::new, |there| there.addresses.clone());
    let call = Call { addresses, ..call(row, attempt, verb, deadline) };
    let effect = turn.want(EffectKind::Call(call));
    amend(turn, row.id, |row| {
        row.awaits = Some(effect);
        row.next_try = None;
    });
}

/// A call was pending when the last process ended: it may have left or not, so the backend is asked first.
pub fn resume(turn: &mut Turn<'_>, id: RemediationId) {
    let now = turn.now();
    amend(turn, id, |row| {
        if let Some(attempt) = &mut row.attempt {
            attempt.must_ask = true;
        }
        row.awaits = None;
        row.waits_for = Some("the daemon was restarted: the driver is asked what became of it".to_owned());
        row.next_try = Some(now);
    });
}

/// The answer that it waits for can never come: what may have happened is asked about, what was only read is read again.
pub fn lost(turn: &mut Turn<'_>, id: RemediationId) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    if record.remediation.attempt.as_deref().is_some_and(Attempt::is_open) {
        return resume(turn, id);
    }
    let now = turn.now();
    amend(turn, id, |row| {
        row.awaits = None;
        row.next_try = Some(now);
    });
}
