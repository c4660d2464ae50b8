//! The one way to change a remediation: every change of state or mode is a version, a line of history and a notice.

use super::super::effect::{EffectKind, Notice, NoticeEvent};
use super::super::turn::Turn;
use super::{Verb, due, next};
use crate::domain::{NodeMemory, Remediation, RemediationId, Repair, State, Transition};
use crate::engine::Change;

/// How many alert names a notice carries.
const NOTICE_ALERTS: usize = 10;

/// Moves a live remediation by `verb` and lets `edit` set what goes with it. False: the table does not allow it, and
/// nothing was changed.
pub fn transit(
    turn: &mut Turn<'_>,
    id: RemediationId,
    verb: Verb,
    principal: &str,
    reason: &str,
    edit: impl FnOnce(&mut Remediation),
) -> bool {
    let Some(record) = turn.memory().remediations().get(&id) else { return false };
    let from = record.remediation.state;
    let Some(to) = next(from, verb) else { return false };
    let mut row = record.remediation.clone();
    let alerts: Vec<String> = record.links.iter().take(NOTICE_ALERTS).map(|link| link.alert_name.clone()).collect();
    row.state = to;
    row.version += 1;
    if to.is_in_flight() && row.started_at.is_none() {
        row.started_at = Some(turn.now());
    }
    edit(&mut row);
    if to.is_terminal() {
        row.ended_at = Some(turn.now());
        row.awaits = None;
        row.waits_for = None;
        row.next_try = None;
    }
    write(turn, &mut row);
    tell(turn, &row, Some(from), verb, principal, reason, alerts);
    if to.is_terminal() {
        remember(turn, &row);
    }
    true
}

/// The first version of a new remediation, about these alerts, which are linked next. The caller has made sure that none
/// is in the way.
pub fn begin(turn: &mut Turn<'_>, mut row: Remediation, reason: &str, mut alerts: Vec<String>) {
    alerts.truncate(NOTICE_ALERTS);
    write(turn, &mut row);
    let principal = row.requested_by.clone();
    tell(turn, &row, None, Verb::Create, &principal, reason, alerts);
}

/// Changes what is neither state nor mode: no version, no history.
pub fn amend(turn: &mut Turn<'_>, id: RemediationId, edit: impl FnOnce(&mut Remediation)) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let before = &record.remediation;
    let mut row = before.clone();
    edit(&mut row);
    row.due = due(&row, &record.links, &turn.settings().policy);
    if row != *before {
        write(turn, &mut row);
    }
}

fn write(turn: &mut Turn<'_>, row: &mut Remediation) {
    row.updated_at = turn.now();
    let links = turn.memory().remediations().get(&row.id).map_or(&[][..], |record| record.links.as_slice());
    row.due = due(row, links, &turn.settings().policy);
    turn.record(Change::Remediation(Box::new(row.clone())));
}

fn tell(
    turn: &mut Turn<'_>,
    row: &Remediation,
    from: Option<State>,
    verb: Verb,
    principal: &str,
    reason: &str,
    alerts: Vec<String>,
) {
    turn.record(Change::Transition(Box::new(Transition {
        remediation_id: row.id,
        version: row.version,
        at: turn.now(),
        from,
        to: row.state,
        mode: row.mode,
        principal: principal.to_owned(),
        verb: verb.as_str().into(),
        reason: reason.to_owned(),
    })));
    let event = match (from, row.state.is_terminal()) {
        (None, _) => NoticeEvent::Opened,
        (Some(_), true) => NoticeEvent::Ended,
        (Some(_), false) => NoticeEvent::Changed,
    };
    let summary = format!("{} {}: {reason}", verb.participle(), row.target.instance_name);
    for receiver in &turn.settings().notices {
        turn.want(EffectKind::Notify(Notice {
            receiver: receiver.clone(),
            event,
            remediation_id: row.id,
            target: row.target.clone(),
            state: row.state,
            mode: row.mode,
            trigger: row.trigger,
            version: row.version,
            reason: row.reason.clone(),
            summary: summary.clone(),
            alerts: alerts.clone(),
        }));
    }
}

/// Keeps the ended repair for cooldown and settle, and lets everybody who waited for it look again.
fn remember(turn: &mut Turn<'_>, row: &Remediation) {
    let instance_id = row.instance_id().clone();
    let mut repairs = turn.memory().node(&instance_id).map_or_else(Vec::new, |node| node.repairs.clone());
    repairs.insert(
        0,
        Repair {
            remediation_id: row.id,
            host_id: row.target.host_id.clone(),
            mode: row.mode,
            state: row.state,
            acted: row.attempt.is_some(),
            ended_at: turn.now(),
        },
    );
    repairs.truncate(NodeMemory::KEPT);
    turn.record(Change::NodeMemory(Box::new(NodeMemory { instance_id: instance_id.clone(), repairs })));
    turn.touched.insert(instance_id);
    let waiting: Vec<_> = turn
        .memory()
        .held()
        .values()
        .filter(|held| held.why == crate::domain::HeldWhy::HostBusy(row.id))
        .map(|held| held.instance_id.clone())
        .collect();
    turn.touched.extend(waiting);
    turn.freed.insert(row.cluster_id().clone());
}
