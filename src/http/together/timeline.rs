//! What happened to a cluster's nodes, as far as the latest remediation of each tells (CONTRACT §2.4).
//!
//! The schema leaves the words of `reason` open; Together's own read like `TogetherScaledUp`, ours say what became of
//! the remediation.

use serde::Serialize;
use utoipa::ToSchema;

use super::lists::mode_name;
use crate::domain::{Remediation, State, Timestamp, Trigger};
use crate::http::Shown;

/// Something that happened to a node.
#[derive(Serialize, ToSchema)]
#[schema(as = TogetherNodeLifecycleEvent)]
pub(in crate::http) struct LifecycleEvent {
    node_id: String,
    reason: &'static str,
    message: String,
    timestamp: Shown,
}

/// The events of these remediations, oldest first.
pub(super) fn of<'a>(rows: impl Iterator<Item = &'a Remediation>) -> Vec<LifecycleEvent> {
    let mut events: Vec<(Timestamp, LifecycleEvent)> = rows.flat_map(steps).collect();
    events.sort_by_key(|(at, _)| *at);
    events.into_iter().map(|(_, event)| event).collect()
}

fn steps(row: &Remediation) -> impl Iterator<Item = (Timestamp, LifecycleEvent)> {
    let opened = match row.trigger {
        Trigger::Automated => "RemediationProposed",
        Trigger::Manual => "RemediationCreated",
    };
    let was_rejected = row.state == State::Cancelled && row.ended_at == row.review.as_ref().map(|review| review.at);
    let reviewed = if was_rejected { "RemediationRejected" } else { "RemediationApproved" };
    let steps = [
        Some((row.created_at, opened, row.reason.clone())),
        row.review.as_ref().map(|review| (review.at, reviewed, format!("by {}: {}", review.by, review.comment))),
        row.started_at.map(|at| (at, "RemediationStarted", String::new())),
        row.ended_at.zip(ended(row.state)).map(|(at, reason)| (at, reason, why(row))),
    ];
    let event = |(at, reason, more): (Timestamp, &'static str, String)| {
        let message = format!("remediation {} ({}): {more}", row.id, mode_name(row.mode));
        let message = message.trim_end_matches(": ").to_owned();
        (at, LifecycleEvent { node_id: row.instance_id().to_string(), reason, message, timestamp: Shown(at) })
    };
    steps.into_iter().flatten().map(event).collect::<Vec<_>>().into_iter()
}

fn why(row: &Remediation) -> String {
    let failure = row.failure.as_ref().map(|failure| format!("{}: {}", failure.code.as_str(), failure.detail));
    failure.or_else(|| row.note.clone()).unwrap_or_default()
}

const fn ended(state: State) -> Option<&'static str> {
    match state {
        State::Succeeded => Some("RemediationSucceeded"),
        State::Failed => Some("RemediationFailed"),
        State::Cancelled => Some("RemediationCancelled"),
        State::AutoResolved => Some("RemediationAutoResolved"),
        State::PendingApproval | State::Pending | State::Quarantining | State::Quarantined | State::Running => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{Failure, FailureCode, Review};
    use crate::http::tests::{at, proposal};

    fn told(row: &Remediation) -> Vec<Value> {
        of([row].into_iter()).iter().map(|event| serde_json::to_value(event).unwrap()).collect()
    }

    #[test]
    fn each_step_is_an_event() {
        let mut row = proposal().remediation;
        row.review = Some(Box::new(Review { by: "alice".into(), at: at(20), comment: String::new() }));
        row.started_at = Some(at(21));
        row.state = State::Running;
        let id = "remediation 00000000-0000-0000-0000-000000000007 (REMEDIATION_MODE_HOST_AWARE)";
        let event = |reason: &str, more: &str, second: u32| {
            let timestamp = format!("1970-01-01T00:00:{second}.000000Z");
            json!({"node_id": "i-7", "reason": reason, "message": format!("{id}{more}"), "timestamp": timestamp})
        };
        let mut expected = vec![
            event("RemediationProposed", ": Xid 79", 10),
            event("RemediationApproved", ": by alice", 20),
            event("RemediationStarted", "", 21),
        ];
        assert_eq!(told(&row), expected);
        row.state = State::Failed;
        row.ended_at = Some(at(30));
        row.failure = Some(Box::new(Failure { code: FailureCode::NotCleared, detail: "1 alert fires".into() }));
        expected.push(event("RemediationFailed", ": NOT_CLEARED: 1 alert fires", 30));
        assert_eq!(told(&row), expected);
    }

    #[test]
    fn a_rejection_is_no_approval() {
        let mut row = proposal().remediation;
        row.review = Some(Box::new(Review { by: "alice".into(), at: at(20), comment: "no".into() }));
        row.state = State::Cancelled;
        row.ended_at = Some(at(20));
        row.note = Some("rejected by alice".into());
        let reasons: Vec<Value> = told(&row).iter().map(|event| event["reason"].clone()).collect();
        assert_eq!(reasons, ["RemediationProposed", "RemediationRejected", "RemediationCancelled"]);
    }
}
