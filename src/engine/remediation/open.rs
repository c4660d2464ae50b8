//! How the system proposes: a new remediation, or a heavier mode for the one that waits.

use super::super::lifecycle::{Verb, begin, transit};
use super::super::turn::Turn;
use crate::domain::check;
use crate::domain::{
    AlertId, AutoResolve, Identity, Instance, Mode, Remediation, RemediationId, Review, RuleId, State, Target,
    Timestamp, Trigger,
};
use crate::engine::SYSTEM;

/// What policy wants opened.
#[derive(Clone, Debug)]
pub struct Opening {
    /// What should be done.
    pub mode: Mode,
    /// Which rule decides.
    pub rule: RuleId,
    /// Whether that rule approves at once.
    pub is_auto: bool,
    /// What may resolve it.
    pub auto_resolve: AutoResolve,
    /// The alert that decides.
    pub alert: Identity,
    /// Why, in words.
    pub reason: String,
}

/// Opens a proposal for an instance, or an approved remediation where the rule says `auto`.
pub fn open(turn: &mut Turn<'_>, instance: &Instance, opening: &Opening) -> RemediationId {
    let alert = turn.memory().alerts().get(&opening.alert);
    // What a check found is named by its run.
    let opened_by = alert.filter(|alert| alert.source.as_str() != check::SOURCE).map(|alert| alert.id);
    let alerts = alert.into_iter().map(|alert| alert.name().to_owned()).collect();
    let mut row = blank(turn, instance, opening.mode, Trigger::Automated);
    row.state = State::PendingApproval;
    row.reason.clone_from(&opening.reason);
    row.rule = Some(opening.rule.clone());
    row.auto_resolve = opening.auto_resolve;
    row.opened_by = opened_by;
    let id = row.id;
    begin(turn, row, &format!("rule {}: {}", opening.rule, opening.reason), alerts);
    if opening.is_auto {
        let comment = format!("auto-approved: rule {}", opening.rule);
        let review = Review { by: "Auto-Approved".to_owned(), at: turn.now(), comment: comment.clone() };
        transit(turn, id, Verb::Approve, SYSTEM, &comment, |row| row.review = Some(Box::new(review)));
    }
    id
}

/// Raises the mode of a proposal that still waits for a person. False: it does not wait, or is heavy enough.
pub fn raise(turn: &mut Turn<'_>, id: RemediationId, opening: &Opening) -> bool {
    let Some(record) = turn.memory().remediations().get(&id) else { return false };
    let row = &record.remediation;
    if row.trigger != Trigger::Automated || !opening.mode.is_heavier_than(row.mode) {
        return false;
    }
    let auto_resolve = row.auto_resolve.max(opening.auto_resolve);
    let reason = format!("{} to {}, rule {}: {}", row.mode, opening.mode, opening.rule, opening.reason);
    let now = turn.now();
    transit(turn, id, Verb::Raise, SYSTEM, &reason, |row| {
        row.mode = opening.mode;
        row.rule = Some(opening.rule.clone());
        row.reason.clone_from(&opening.reason);
        row.raised_at = Some(now);
        row.auto_resolve = auto_resolve;
    })
}

/// A remediation of this instance with nothing but its identity and its mode.
pub(super) fn blank(turn: &mut Turn<'_>, instance: &Instance, mode: Mode, trigger: Trigger) -> Remediation {
    let now: Timestamp = turn.now();
    let opened_by: Option<AlertId> = None;
    Remediation {
        id: RemediationId::new(turn.new_id()),
        target: Target {
            cluster_id: instance.cluster_id.clone(),
            instance_id: instance.id.clone(),
            instance_name: instance.name.clone(),
            host_id: instance.host_id.clone(),
            provider_id: instance.provider_id.clone(),
            generation: instance.generation.clone(),
        },
        mode,
        trigger,
        state: State::Pending,
        version: 1,
        reason: String::new(),
        requested_by: SYSTEM.to_owned(),
        created_at: now,
        updated_at: now,
        review: None,
        started_at: None,
        ended_at: None,
        failure: None,
        note: None,
        rule: None,
        auto_resolve: AutoResolve::Never,
        opened_by,
        opened_by_run: None,
        alias: None,
        links_omitted: 0,
        raised_at: None,
        clear_since: None,
        validating_since: None,
        validated_at: None,
        attempt: None,
        awaits: None,
        waits_for: None,
        next_try: None,
        due: None,
    }
}
