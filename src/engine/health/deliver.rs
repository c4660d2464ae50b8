//! One chunk of a message: every report becomes a change of an episode, or nothing; every letter is kept once.

use std::collections::{BTreeMap, BTreeSet};

use super::super::input::{DeadReport, Delivery, Report, ReportStatus};
use super::super::memory::Memory;
use super::super::past::{Back, PastKey};
use super::super::refusal::Reply;
use super::super::settings::{Settings, Source};
use super::super::turn::Turn;
use super::episode::{self, Meaning};
use super::{check_alert, join};
use crate::domain::check;
use crate::domain::{
    Alert, AlertId, AlertState, ClusterId, DeadLetter, DeadLetterId, Episode, Identity, InstanceId, SourceId, Timestamp,
};
use crate::engine::Change;
use crate::engine::signs::{finding, severity};

/// Which stored rows the delivery names: closed episodes where there is no open one, or where the report may be about an
/// earlier one; letters that may be there already.
pub fn wanted(memory: &Memory, settings: &Settings, delivery: &Delivery, now: Timestamp) -> Vec<PastKey> {
    let Delivery { source, clusters, reports, dead } = delivery;
    let mut episodes: BTreeMap<Identity, Back> = BTreeMap::new();
    for (identity, report) in reports {
        if let Some(back) = back(memory.alerts().get(identity), report, now) {
            // What the first of two reports makes of it is not known yet.
            episodes.entry(*identity).and_modify(|known| *known = Back::Far).or_insert(back);
        }
    }
    let episodes = episodes.into_iter().map(|(identity, back)| PastKey::Episodes(identity, back));
    let letter = |dead: &DeadReport| PastKey::DeadLetter(DeadLetterId::of(source, &dead.reason, &dead.raw));
    let letters = dead.iter().map(letter);
    // Nothing changes before the delivery is taken, so there these are the foreign ones, too.
    let known = settings.sources.get(source);
    let foreign_letters = reports
        .iter()
        .filter(|(_, report)| is_foreign(memory, known, clusters.as_ref(), report))
        .map(|(_, report)| letter(&foreign(report)));
    let keys: BTreeSet<PastKey> = episodes.chain(letters).chain(foreign_letters).collect();
    keys.into_iter().collect()
}

/// How far back into the closed episodes a report has to be seen; nothing where the open one tells enough.
fn back(open: Option<&Alert>, report: &Report, now: Timestamp) -> Option<Back> {
    let (from, until) = episode::span(report, now);
    match (open, report.status) {
        (None, ReportStatus::Firing) => Some(Back::Covered),
        // Sources tell of an end again and again.
        (None, ReportStatus::Resolved) => Some(Back::During(from, until)),
        (Some(open), ReportStatus::Firing) => {
            let is_same = open.state == AlertState::Firing && report.started_at >= open.started_at;
            (!is_same).then_some(Back::Far)
        }
        // It ended after everything that was ever said of it: it is this episode that ends.
        (Some(open), ReportStatus::Resolved) => {
            let is_later = open.episode == 1 || open.previous_end.is_some_and(|previous| until > previous);
            let is_this = until >= open.newest_start && is_later;
            (!is_this).then_some(Back::Far)
        }
    }
}

/// An alert about a cluster that its sender may not speak of, as a letter.
fn foreign(report: &Report) -> DeadReport {
    let labels: Vec<String> = report.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let status = match report.status {
        ReportStatus::Firing => "firing",
        ReportStatus::Resolved => "resolved",
    };
    DeadReport {
        reason: "the token that delivered it may not speak of its cluster, or it names none".to_owned(),
        raw: format!("{status} {{{}}}", labels.join(", ")),
    }
}

/// Whether the sender may not speak of the report's cluster. Who may speak of some has to name one of them.
fn is_foreign(
    memory: &Memory,
    source: Option<&Source>,
    clusters: Option<&BTreeSet<ClusterId>>,
    report: &Report,
) -> bool {
    let Some(clusters) = clusters else { return false };
    let named = source.and_then(|source| join::cluster(memory, source, &report.labels).ok().flatten());
    !named.is_some_and(|cluster| clusters.contains(&cluster))
}

/// Takes a delivery over and counts what became of it.
pub fn deliver(turn: &mut Turn<'_>, delivery: Delivery) -> Reply {
    let Delivery { source, clusters, mut reports, mut dead } = delivery;
    let known = turn.settings().sources.get(&source);
    let foreign_reports =
        reports.extract_if(.., |(_, report)| is_foreign(turn.memory(), known, clusters.as_ref(), report));
    dead.extend(foreign_reports.map(|(_, report)| foreign(&report)));
    let dead_lettered = dead.len() as u64;
    let (mut stored, mut merged) = (0, 0);
    for (identity, report) in reports {
        if take(turn, &source, identity, report) {
            stored += 1;
        } else {
            merged += 1;
        }
    }
    for dead in dead {
        let id = DeadLetterId::of(&source, &dead.reason, &dead.raw);
        if turn.past.dead_letters.insert(id) {
            turn.record(Change::DeadLetter(Box::new(DeadLetter {
                id,
                source: source.clone(),
                reason: dead.reason,
                raw: dead.raw,
                received_at: turn.now(),
            })));
        }
    }
    Reply::Received { stored, merged, dead_lettered }
}

/// One report; says whether it changed a row.
fn take(turn: &mut Turn<'_>, source: &SourceId, identity: Identity, report: Report) -> bool {
    let open = turn.memory().alerts().get(&identity);
    let closed = turn.past.episodes.get(&identity).map_or(&[][..], Vec::as_slice);
    let meaning = episode::read(open, closed, &report, turn.settings().policy.refire_hold, turn.now());
    let numbers = closed.iter().map(|known| known.episode).chain(open.map(|open| open.episode));
    let next = 1 + numbers.max().unwrap_or(0);
    match (meaning, open) {
        (Meaning::Opens { state, started_at }, _) => {
            let previous_end = closed.iter().filter_map(Episode::last_end).max();
            let mut alert = new_episode(turn, source, report, (identity, next), state, started_at, None);
            alert.previous_end = previous_end;
            turn.touch(alert.instance());
            turn.record_alert(alert);
            true
        }
        (Meaning::Records { started_at, resolved_at }, _) => {
            let state = AlertState::Resolved;
            let alert = new_episode(turn, source, report, (identity, next), state, started_at, Some(resolved_at));
            turn.record_alert(alert);
            true
        }
        (Meaning::Asserts { state, started_at, newest_start, last_seen_at }, Some(before)) => {
            let said = Said { state, started_at, newest_start, last_seen_at, report };
            let Some(alert) = asserted(before, said) else { return false };
            if is_new(before, &alert) {
                turn.touch(alert.instance());
            }
            turn.record_alert(alert);
            true
        }
        (Meaning::Closes { resolved_at }, Some(before)) => {
            let mut alert = before.clone();
            alert.state = AlertState::Resolved;
            alert.resolved_at = Some(resolved_at);
            alert.cleared_at = Some(turn.now());
            turn.touch(alert.instance());
            turn.record_alert(alert);
            true
        }
        // `read` asserts and closes only what is open.
        (Meaning::Asserts { .. } | Meaning::Closes { .. }, None) | (Meaning::Repeats, _) => false,
    }
}

struct Said {
    state: AlertState,
    started_at: Timestamp,
    newest_start: Timestamp,
    last_seen_at: Timestamp,
    report: Report,
}

/// The alert as it is said now; nothing where that is how it is known. Most reports are repeats, so nothing is copied before
/// it is sure that something differs.
fn asserted(before: &Alert, said: Said) -> Option<Alert> {
    let Said { state, started_at, newest_start, last_seen_at, report } = said;
    // Alertmanager sends nothing about a silenced or inhibited alert: one that it sends is neither.
    let is_told_alike = before.annotations == report.annotations;
    let is_same = !before.muted
        && (before.state, before.started_at, before.newest_start) == (state, started_at, newest_start)
        && (before.last_seen_at, before.truncated) == (last_seen_at, report.truncated)
        && is_told_alike;
    if is_same {
        return None;
    }
    let xid = if is_told_alike { before.xid } else { finding(&before.labels, &report.annotations).xid };
    Some(Alert {
        state,
        started_at,
        newest_start,
        last_seen_at,
        muted: false,
        annotations: report.annotations,
        truncated: report.truncated,
        xid,
        ..before.clone()
    })
}

/// Whether it may call for something else: another state, another code or another verdict of the driver. So does a newer start:
/// the alert broke again, and is evidence from after a repair. When it was last seen calls for nothing.
fn is_new(before: &Alert, now: &Alert) -> bool {
    let stands = |alert: &Alert| (alert.state, alert.muted, alert.newest_start);
    let reads = |alert: &Alert| finding(&alert.labels, &alert.annotations);
    // The labels are the identity's, so they are the same.
    stands(now) != stands(before) || (now.annotations != before.annotations && reads(now) != reads(before))
}

fn new_episode(
    turn: &Turn<'_>,
    source: &SourceId,
    report: Report,
    (identity, episode): (Identity, u32),
    state: AlertState,
    started_at: Timestamp,
    resolved_at: Option<Timestamp>,
) -> Alert {
    Alert {
        id: AlertId::of(identity, episode),
        identity,
        episode,
        source: source.clone(),
        fingerprint: report.fingerprint,
        severity: severity(&report.labels),
        xid: finding(&report.labels, &report.annotations).xid,
        joined: joined(turn.memory(), turn.settings().sources.get(source), &report.labels),
        labels: report.labels,
        annotations: report.annotations,
        truncated: report.truncated,
        state,
        muted: false,
        started_at,
        newest_start: started_at,
        resolved_at,
        previous_end: None,
        opened_at: turn.now(),
        cleared_at: resolved_at.map(|_| turn.now()),
        last_seen_at: turn.now(),
        remediation_id: None,
        run_id: None,
    }
}

fn joined(
    memory: &Memory,
    source: Option<&Source>,
    labels: &crate::domain::Labels,
) -> Result<crate::domain::alert::Joined, String> {
    match source {
        Some(source) => join::join(memory, source, labels),
        None => Err("its source left the configuration".to_owned()),
    }
}

/// Joins every open episode again, after the inventory or the sources changed.
pub fn rejoin(turn: &mut Turn<'_>) {
    let alerts: Vec<Identity> = turn.memory().alerts().keys().copied().collect();
    for identity in alerts {
        let Some(alert) = turn.memory().alerts().get(&identity) else { continue };
        let joined = if alert.source.as_str() == check::SOURCE {
            check_alert::join(turn.memory(), turn.settings(), &alert.labels)
        } else {
            joined(turn.memory(), turn.settings().sources.get(&alert.source), &alert.labels)
        };
        if joined != alert.joined {
            let mut alert = alert.clone();
            let before: Option<InstanceId> = alert.instance().cloned();
            alert.joined = joined;
            turn.touch(before.as_ref());
            turn.touch(alert.instance());
            turn.record_alert(alert);
        }
    }
}
