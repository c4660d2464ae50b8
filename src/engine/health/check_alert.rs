//! Findings as alerts: what a check believes is an episode of the built-in source `checks`, so that rules, links, guard and
//! verification read it as they read any alert.

use super::super::memory::Memory;
use super::super::settings::{CheckPolicy, Settings};
use super::super::turn::Turn;
use super::episode::LAST_SEEN_STEP;
use crate::domain::alert::Joined;
use crate::domain::check::SOURCE;
use crate::domain::{
    Alert, AlertId, AlertState, CheckId, Condition, Finding, Identity, Instance, InstanceId, Labels, Probed, RunId,
    SourceId, Timestamp,
};
use crate::engine::signs::finding as read_texts;

/// Where findings come from, as alerts name it.
fn source() -> SourceId {
    SourceId::parse(SOURCE).expect("a constant")
}

/// The circumstances of a finding.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    pub policy: &'a CheckPolicy,
    pub instance: &'a Instance,
    /// The run that found it; nothing where only time passed.
    pub run: Option<&'a Probed>,
}

/// What the alert of a finding is told apart by. The severity is none of it: it may be configured otherwise tomorrow.
fn labels(condition: &Condition, finding: &Finding) -> Labels {
    let xid = finding.xid.map(|code| code.to_string());
    let pairs = [
        ("alertname", condition.check.as_str()),
        ("check", condition.check.as_str()),
        ("kind", condition.kind.as_str()),
        ("finding", finding.name.as_str()),
        ("cluster", condition.cluster_id.as_str()),
        ("instance_id", condition.instance_id.as_str()),
    ];
    let xid = xid.as_deref().map(|code| ("xid", code));
    let device = Some(("device", &*finding.device)).filter(|(_, device)| !device.is_empty());
    Labels::from_pairs(pairs.into_iter().chain(xid).chain(device))
}

/// The identity of a finding's alert.
pub fn identity(condition: &Condition, finding: &Finding) -> Identity {
    Identity::of(&source(), &labels(condition, finding))
}

/// What a person reads of it.
fn annotations(found: Found<'_>, condition: &Condition, finding: &Finding, run_id: Option<RunId>) -> Labels {
    let check = &condition.check;
    let on = if finding.device.is_empty() { String::new() } else { format!(" ({})", finding.device) };
    let summary = format!("{check} fails on {}{on}: {}", found.instance.name, finding.name);
    let recovery_action = finding.recovery_action.map(|action| ("recovery_action", action.to_string()));
    let evidence = found.run.map(|run| ("description", run.observation.evidence.clone()));
    let run_id = run_id.map(|id| ("run_id", id.to_string()));
    let pairs = [("summary", summary), ("evidence", finding.detail.to_string())];
    Labels::from_pairs(pairs.into_iter().chain(evidence).chain(recovery_action).chain(run_id))
}

/// The code that the check found, else the one that its texts name.
fn xid(finding: &Finding, labels: &Labels, annotations: &Labels) -> Option<u32> {
    finding.xid.or_else(|| read_texts(labels, annotations).xid)
}

/// A finding is believed: an episode opens, or one that was doubted fires again.
pub fn open(turn: &mut Turn<'_>, found: Found<'_>, condition: &Condition, finding: &Finding) {
    let Found { policy, instance, .. } = found;
    let labels = labels(condition, finding);
    let identity = Identity::of(&source(), &labels);
    let since = condition.standing.iter().find(|one| one.finding.is_same(finding)).map(|standing| standing.since);
    let since = since.unwrap_or(turn.now()).min(turn.now());
    let annotations = annotations(found, condition, finding, condition.run_id);
    turn.touch(Some(&instance.id));
    if let Some(doubted) = turn.memory().alerts().get(&identity).cloned() {
        let last_seen_at = turn.now();
        let state = AlertState::Firing;
        let newest_start = doubted.newest_start.max(since);
        let run_id = condition.run_id;
        let xid = xid(finding, &labels, &annotations);
        return turn.record_alert(Alert { state, newest_start, last_seen_at, annotations, xid, run_id, ..doubted });
    }
    let closed = turn.past.episodes.get(&identity).map_or(&[][..], Vec::as_slice);
    let episode = 1 + closed.iter().map(|known| known.episode).max().unwrap_or(0);
    let xid = xid(finding, &labels, &annotations);
    turn.record_alert(Alert {
        id: AlertId::of(identity, episode),
        identity,
        episode,
        source: source(),
        fingerprint: String::new(),
        labels,
        annotations,
        truncated: false,
        state: AlertState::Firing,
        muted: false,
        severity: policy.severity,
        xid,
        joined: Ok(Joined { cluster_id: instance.cluster_id.clone(), instance_id: instance.id.clone() }),
        started_at: since,
        newest_start: since,
        resolved_at: None,
        previous_end: None,
        opened_at: turn.now(),
        cleared_at: None,
        last_seen_at: turn.now(),
        remediation_id: None,
        run_id: condition.run_id,
    });
}

/// It was found again: once a minute that is written down, with what was seen.
pub fn assert_again(turn: &mut Turn<'_>, found: Found<'_>, condition: &Condition, finding: &Finding) {
    let Some(alert) = turn.memory().alerts().get(&identity(condition, finding)) else { return };
    let annotations = annotations(found, condition, finding, alert.run_id);
    // Another verdict of the driver may call for something else, and does not wait for the minute.
    let is_new = read_texts(&alert.labels, &annotations) != read_texts(&alert.labels, &alert.annotations);
    if is_new || turn.now().since(alert.last_seen_at) >= LAST_SEEN_STEP {
        let xid = xid(finding, &alert.labels, &annotations);
        let alert = Alert { last_seen_at: turn.now(), annotations, xid, ..alert.clone() };
        if is_new {
            turn.touch(alert.instance());
        }
        turn.record_alert(alert);
    }
}

/// It is cleared, or nobody looks any more and nobody waits for it: the episode ends.
pub fn close(turn: &mut Turn<'_>, condition: &Condition, finding: &Finding, ended_at: Timestamp) {
    let Some(mut alert) = turn.memory().alerts().get(&identity(condition, finding)).cloned() else { return };
    alert.state = AlertState::Resolved;
    alert.resolved_at = Some(ended_at.min(turn.now()).max(alert.started_at));
    alert.cleared_at = Some(turn.now());
    turn.touch(alert.instance());
    turn.record_alert(alert);
}

/// It was found on the machine that was here before: it neither opens anything nor counts as clear.
pub fn doubt(turn: &mut Turn<'_>, condition: &Condition, finding: &Finding) {
    let Some(alert) = turn.memory().alerts().get(&identity(condition, finding)).cloned() else { return };
    turn.touch(alert.instance());
    turn.record_alert(Alert { state: AlertState::RefiredUnconfirmed, ..alert });
}

/// Where the alert of a finding belongs, after the inventory or the checks changed.
pub fn join(memory: &Memory, settings: &Settings, labels: &Labels) -> Result<Joined, String> {
    let get = |name| labels.get(name).unwrap_or("");
    let check = CheckId::parse(get("check")).ok().and_then(|check| settings.checks.get(&check));
    let Some(policy) = check else { return Err(format!("check {} left the configuration", get("check"))) };
    let instance = InstanceId::parse(get("instance_id")).ok().and_then(|id| memory.instances().get(&id));
    let Some(instance) = instance.filter(|one| one.cluster_id.as_str() == get("cluster")) else {
        return Err(format!("instance {} left cluster {}", get("instance_id"), get("cluster")));
    };
    if !policy.selects(instance) {
        return Err(format!("check {} does not look at instance {} any more", get("check"), instance.id));
    }
    Ok(Joined { cluster_id: instance.cluster_id.clone(), instance_id: instance.id.clone() })
}
