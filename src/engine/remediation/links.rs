//! The alerts of a remediation: linked once per identity, never taken away, kept in step with their episodes.

use super::super::lifecycle::{Verb, amend, transit};
use super::super::signs::annotation;
use super::super::turn::Turn;
use crate::domain::{Alert, AlertState, Identity, Link, Remediation, RemediationId, Timestamp};
use crate::engine::{Change, SYSTEM};

/// Links an open episode. False: it is linked already, or does not exist.
pub fn link(turn: &mut Turn<'_>, id: RemediationId, identity: Identity) -> bool {
    let Some(record) = turn.memory().remediations().get(&id) else { return false };
    if record.links.iter().any(|link| link.identity == identity) {
        return false;
    }
    let Some(alert) = turn.memory().alerts().get(&identity).cloned() else { return false };
    let n = record.links.len();
    if n >= Link::KEPT {
        if alert.remediation_id != Some(id) {
            turn.record_alert(Alert { remediation_id: Some(id), ..alert });
            amend(turn, id, |row| row.links_omitted += 1);
        }
        return false;
    }
    let link = Link {
        remediation_id: id,
        n: u32::try_from(n).expect("at most Link::KEPT links are kept"),
        identity,
        alert_id: alert.id,
        source: alert.source.clone(),
        alert_name: alert.name().to_owned(),
        severity: alert.severity,
        annotations: alert.annotations.clone(),
        annotation: annotation(&alert, &turn.settings().catalogue),
        started_at: alert.started_at,
        resolved_at: None,
        cleared_at: None,
        refires: 0,
    };
    turn.record(Change::Link(Box::new(link)));
    if alert.run_id.is_some() {
        amend(turn, id, |row| row.opened_by_run = row.opened_by_run.or(alert.run_id));
    }
    turn.record_alert(Alert { remediation_id: Some(id), ..alert });
    turn.stirred.insert(id);
    true
}

/// Brings the links in step with the episodes, and with them the time since which all are clear.
pub fn sync_links(turn: &mut Turn<'_>, id: RemediationId) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let stale: Vec<Link> = record.links.iter().filter_map(|link| synced(turn, link)).collect();
    for link in stale {
        let open = turn.memory().alerts().get(&link.identity).filter(|alert| alert.remediation_id != Some(id)).cloned();
        turn.record(Change::Link(Box::new(link)));
        if let Some(alert) = open {
            turn.record_alert(Alert { remediation_id: Some(id), ..alert });
        }
    }
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let clear_since = clear_since(&record.links).and_then(|since| with_omitted(turn, &record.remediation, since));
    amend(turn, id, |row| row.clear_since = clear_since);
    withdraw(turn, id);
}

/// A proposal for a machine that its alerts turned out not to be about, or that is another one by now, must not wait for
/// an approval.
fn withdraw(turn: &mut Turn<'_>, id: RemediationId) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let target = &record.remediation.target;
    let there = turn.memory().instances().get(&target.instance_id);
    let elsewhere = || turn.memory().moved_to(record).map(|there| format!("its alerts are about instance {there} now"));
    // The table lets only a proposal be superseded; what is approved already is looked at before its act.
    if let Some(note) = there.and_then(|there| target.changed_in(there)).or_else(elsewhere) {
        let reason = note.clone();
        transit(turn, id, Verb::Supersede, SYSTEM, &reason, |row| row.note = Some(note));
    }
}

/// Since when the alerts are clear too that are only counted: they have no link that says when, so it is since we noticed.
fn with_omitted(turn: &Turn<'_>, row: &Remediation, since: Timestamp) -> Option<Timestamp> {
    if row.links_omitted == 0 {
        return Some(since);
    }
    let is_open = turn.memory().alerts_of(row.instance_id()).any(|alert| alert.remediation_id == Some(row.id));
    (!is_open).then(|| row.clear_since.unwrap_or(turn.now()).max(since))
}

/// The link as it should be, where it is not.
fn synced(turn: &Turn<'_>, link: &Link) -> Option<Link> {
    let mut fresh = link.clone();
    match turn.memory().alerts().get(&link.identity) {
        Some(alert) => {
            if alert.id != link.alert_id {
                fresh.alert_id = alert.id;
                fresh.started_at = alert.started_at;
                fresh.refires += 1;
            }
            if alert.state == AlertState::Firing {
                fresh.annotations = alert.annotations.clone();
                fresh.annotation = annotation(alert, &turn.settings().catalogue);
            }
            fresh.resolved_at = None;
            fresh.cleared_at = None;
        }
        None if link.cleared_at.is_none() => {
            let closed = turn.past.episodes.get(&link.identity)?.iter().find(|alert| alert.id == link.alert_id)?;
            fresh.resolved_at = closed.resolved_at;
            fresh.cleared_at = closed.cleared_at;
        }
        None => {}
    }
    (fresh != *link).then_some(fresh)
}

/// Since when every link is clear; nothing while one is not, and nothing where there are none.
fn clear_since(links: &[Link]) -> Option<Timestamp> {
    links.iter().map(|link| link.cleared_at).try_fold(None, |latest: Option<Timestamp>, cleared| {
        cleared.map(|cleared| Some(latest.map_or(cleared, |latest| latest.max(cleared))))
    })?
}
