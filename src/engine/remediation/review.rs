//! What people decide about a remediation: approve, reject, cancel; exactly one of them wins. And abort, once it has begun.

use std::time::Duration;

use super::super::input::Selector;
use super::super::lifecycle::{Verb, next, transit};
use super::super::refusal::{Refusal, Reply};
use super::super::turn::Turn;
use super::super::{check_text, plan, require};
use super::again;
use crate::domain::{Abort, Mode, Principal, Record, RemediationId, Review, Role};

/// For how long after a mode was raised an approval has to name the new mode (DESIGN §4.5): the approver may have read
/// the old one.
const RAISE_NOTICE: Duration = Duration::from_secs(60);

/// The remediation that a path names. What the caller may not see does not exist.
pub fn find(turn: &Turn<'_>, principal: &Principal, selector: &Selector) -> Result<Record, Refusal> {
    let absent = || Refusal::NotFound { kind: "remediation", name: selector.remediation.chars().take(128).collect() };
    let fits = |record: &&Record| {
        let row = &record.remediation;
        principal.sees(row.cluster_id())
            && selector.cluster_id.as_ref().is_none_or(|cluster| cluster == row.cluster_id())
            && selector.instance_id.as_ref().is_none_or(|instance| instance == row.instance_id())
    };
    let by_id = RemediationId::parse(&selector.remediation).and_then(|id| turn.record_of(id)).filter(fits);
    // An id of somebody else's may be one's own name for something: what does not fit is as if it were not there.
    let by_alias = || {
        let cluster = selector.cluster_id.clone()?;
        let id = turn.past.aliases.get(&(cluster, selector.remediation.clone()))?;
        turn.record_of(*id).filter(fits)
    };
    by_id.or_else(by_alias).cloned().ok_or_else(absent)
}

/// An approver lets a proposal go ahead, in its mode or in another.
pub fn approve(
    turn: &mut Turn<'_>,
    principal: &Principal,
    selector: &Selector,
    mode: Option<Mode>,
    comment: &str,
    seen_version: Option<u64>,
) -> Result<Reply, Refusal> {
    let record = reviewable(turn, principal, selector, Verb::Approve, Role::Approver, comment, seen_version)?;
    let row = record.remediation;
    let was_raised = row.raised_at.is_some_and(|at| turn.now() < at.plus(RAISE_NOTICE));
    if mode.is_none() && seen_version.is_none() && was_raised {
        return Err(Refusal::ModeRaised { id: row.id, mode: row.mode });
    }
    let approved = mode.unwrap_or(row.mode);
    if mode == Some(Mode::HostPowerCycle) {
        let why = "host_power_cycle can be created, but is no override of an approval".to_owned();
        return Err(Refusal::Invalid { field: "mode", why });
    }
    check_mode(turn, row.cluster_id(), approved)?;
    let review = Review { by: principal.name.clone(), at: turn.now(), comment: comment.to_owned() };
    let reason = match mode.filter(|mode| *mode != row.mode) {
        Some(mode) => format!("approved as {mode} instead of {}: {comment}", row.mode),
        None => format!("approved as {}: {comment}", row.mode),
    };
    transit(turn, row.id, Verb::Approve, &principal.name, reason.trim_end_matches(": "), |row| {
        row.mode = approved;
        row.review = Some(Box::new(review));
    });
    Ok(reply(turn, row.id, record.links))
}

/// An approver turns a proposal down.
pub fn reject(
    turn: &mut Turn<'_>,
    principal: &Principal,
    selector: &Selector,
    comment: &str,
    seen_version: Option<u64>,
) -> Result<Reply, Refusal> {
    let record = reviewable(turn, principal, selector, Verb::Reject, Role::Approver, comment, seen_version)?;
    let review = Review { by: principal.name.clone(), at: turn.now(), comment: comment.to_owned() };
    let id = record.remediation.id;
    let note = again::rejected(principal);
    transit(turn, id, Verb::Reject, &principal.name, comment, |row| {
        row.review = Some(Box::new(review));
        row.note = Some(note);
    });
    Ok(reply(turn, id, record.links))
}

/// An operator calls off what has not begun.
pub fn cancel(
    turn: &mut Turn<'_>,
    principal: &Principal,
    selector: &Selector,
    comment: &str,
    seen_version: Option<u64>,
) -> Result<Reply, Refusal> {
    let record = reviewable(turn, principal, selector, Verb::Cancel, Role::Operator, comment, seen_version)?;
    let id = record.remediation.id;
    let note = again::cancelled(principal, comment);
    transit(turn, id, Verb::Cancel, &principal.name, &note, |row| row.note = Some(note.clone()));
    Ok(reply(turn, id, record.links))
}

/// An operator stops what has begun. To say it once more changes nothing.
pub fn abort(turn: &mut Turn<'_>, principal: &Principal, selector: &Selector, reason: &str) -> Result<Reply, Refusal> {
    let record = reviewable(turn, principal, selector, Verb::Abort, Role::Operator, "", None)?;
    check_text("reason", reason)?;
    if reason.trim().is_empty() {
        return Err(Refusal::Invalid { field: "reason", why: "say why it has to stop".to_owned() });
    }
    let row = &record.remediation;
    let id = row.id;
    if row.attempt.as_ref().is_some_and(|attempt| attempt.abort.is_some()) {
        return Ok(Reply::Remediation(Box::new(record)));
    }
    let abort = Abort { by: principal.name.clone(), at: turn.now(), reason: reason.to_owned(), undo: None };
    transit(turn, id, Verb::Abort, &principal.name, reason, |row| {
        if let Some(attempt) = &mut row.attempt {
            attempt.abort = Some(abort);
        }
    });
    plan::abort(turn, id);
    Ok(reply(turn, id, record.links))
}

/// What all of them ask first: it exists, the caller has the role, the text is not a book, the state allows it, and it is
/// what the caller saw.
fn reviewable(
    turn: &Turn<'_>,
    principal: &Principal,
    selector: &Selector,
    verb: Verb,
    role: Role,
    comment: &str,
    seen_version: Option<u64>,
) -> Result<Record, Refusal> {
    let record = find(turn, principal, selector)?;
    require(principal, role, verb.as_str())?;
    check_text("comment", comment)?;
    let row = &record.remediation;
    if next(row.state, verb).is_none() {
        let (verb, allowed) = (verb.participle(), verb.allowed());
        return Err(Refusal::WrongState { id: row.id, state: row.state, verb, allowed });
    }
    if let Some(seen) = seen_version.filter(|seen| *seen != row.version) {
        let (id, version, state, mode) = (row.id, row.version, row.state, row.mode);
        return Err(Refusal::VersionChanged { id, version, state, mode, seen });
    }
    Ok(record)
}

/// Whether the cluster's driver can do it.
pub(super) fn check_mode(turn: &Turn<'_>, cluster: &crate::domain::ClusterId, mode: Mode) -> Result<(), Refusal> {
    let policy = turn.settings().clusters.get(cluster);
    if policy.is_some_and(|policy| policy.modes.contains(&mode)) {
        return Ok(());
    }
    let why = match policy {
        Some(policy) => format!("driver {} of cluster {cluster} cannot do {mode}", policy.act),
        None => format!("cluster {cluster} left the configuration"),
    };
    Err(Refusal::Invalid { field: "mode", why })
}

/// The live record after a change; `links` stand in where it is no longer live.
pub(super) fn reply(turn: &Turn<'_>, id: RemediationId, links: Vec<crate::domain::Link>) -> Reply {
    let record = turn.memory().remediations().get(&id).cloned();
    match record {
        Some(record) => Reply::Remediation(Box::new(record)),
        None => turn
            .ended_row(id)
            .map_or(Reply::Done, |row| Reply::Remediation(Box::new(Record { remediation: row.clone(), links }))),
    }
}
