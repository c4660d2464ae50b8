//! SUCCEEDED means verified: every linked alert and check clear for `soak` within `verify_within`, and its source agrees.

use std::time::Duration;

use super::super::effect::{EffectKind, Look};
use super::super::input::{LookPurpose, Sighting};
use super::super::lifecycle::{Verb, amend, transit};
use super::super::said::Said;
use super::super::turn::Turn;
use super::{checks, evidence, fail};
use crate::domain::{DueWhy, FailureCode, RemediationId, State};
use crate::engine::SYSTEM;

/// How soon a source that could not be read, or that still shows an alert, is read again.
const LOOK_AGAIN: Duration = Duration::from_secs(15);

/// Every linked alert stayed clear for `soak`: the sources are read once, silenced alerts included.
pub fn soaked(turn: &mut Turn<'_>, id: RemediationId) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let row = record.remediation.clone();
    if row.state != State::Running || row.awaits.is_some() || row.clear_since.is_none() {
        return;
    }
    let (wanted, checks) = (evidence(turn, &row, false), checks(turn, &row, false));
    if wanted.is_empty() && checks.is_none() {
        return succeed(turn, id);
    }
    let look = Look { remediation_id: id, purpose: LookPurpose::Verify, wanted, checks };
    let effect = turn.want(EffectKind::Look(look));
    amend(turn, id, |row| {
        row.awaits = Some(effect);
        row.next_try = None;
    });
}

/// A check that its schedule runs once a day would not clear in time: what has not cleared is run again.
pub fn recheck(turn: &mut Turn<'_>, id: RemediationId) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let row = record.remediation.clone();
    let Some(checks) = checks(turn, &row, true).filter(|_| row.state == State::Running && row.awaits.is_none()) else {
        // None of them can be run any more.
        return put_off(turn, id);
    };
    let look =
        Look { remediation_id: id, purpose: LookPurpose::Recheck, wanted: Default::default(), checks: Some(checks) };
    let effect = turn.want(EffectKind::Look(look));
    amend(turn, id, |row| row.awaits = Some(effect));
}

/// What they said; where they passed, that is known already.
pub fn rechecked(turn: &mut Turn<'_>, id: RemediationId, said: &Said) {
    let why = said.objection();
    amend(turn, id, |row| {
        row.awaits = None;
        row.waits_for = why;
    });
    put_off(turn, id);
}

fn put_off(turn: &mut Turn<'_>, id: RemediationId) {
    let next_try = Some(turn.now().plus(LOOK_AGAIN));
    amend(turn, id, |row| row.next_try = next_try);
}

/// What the sources and the checks said after the soak. A silenced alert is still there.
pub fn verified(turn: &mut Turn<'_>, id: RemediationId, found: Result<Vec<Sighting>, String>, said: &Said) {
    amend(turn, id, |row| row.awaits = None);
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let why = match found {
        Ok(sighted) if sighted.is_empty() && said.objection().is_none() => {
            // One of its alerts may have come back while the question was out, and even cleared again: then it soaks anew.
            let now = turn.now();
            let is_soaked = record.remediation.due.is_some_and(|due| due.why == DueWhy::Soak && due.at <= now);
            return if is_soaked {
                succeed(turn, id)
            };
        }
        Ok(sighted) if sighted.is_empty() => said.objection().unwrap_or_default(),
        Ok(sighted) => format!("{} of its alerts still stand at their source", sighted.len()),
        Err(why) => format!("its alerts cleared, and that could not be confirmed: {why}"),
    };
    let next_try = Some(turn.now().plus(LOOK_AGAIN));
    amend(turn, id, |row| {
        row.waits_for = Some(why);
        row.next_try = next_try;
    });
}

fn succeed(turn: &mut Turn<'_>, id: RemediationId) {
    let reason = "every linked alert cleared and stayed clear";
    transit(turn, id, Verb::Succeed, SYSTEM, reason, |_| {});
}

/// `verify_within` passed.
pub fn too_late(turn: &mut Turn<'_>, id: RemediationId) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let firing: Vec<&str> =
        record.links.iter().filter(|link| link.cleared_at.is_none()).map(|link| link.alert_name.as_str()).collect();
    let what = match (firing.len(), &record.remediation.waits_for) {
        (0, Some(waits)) => waits.clone(),
        (0, None) => "its alerts did not stay clear long enough".to_owned(),
        (n, _) => format!("{n} of {} linked alerts did not clear: {}", record.links.len(), names(&firing)),
    };
    fail(turn, id, FailureCode::NotCleared, format!("the driver said done, and {what}"));
}

fn names(firing: &[&str]) -> String {
    let shown: Vec<&str> = firing.iter().take(5).copied().collect();
    let more = firing.len().saturating_sub(shown.len());
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}
