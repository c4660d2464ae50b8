//! Rows of our own API: the words of the domain, every key always there, `null` where there is nothing.

use serde::Serialize;
use serde_json::{Value, json};

use super::Shown;
use crate::domain::{
    Abort, Alert, Annotation, Attempt, DeadLetter, Held, HeldWhy, Hold, Instance, Labels, Link, Record, Remediation,
    Timestamp, Transition,
};

fn time(moment: Option<Timestamp>) -> Option<Shown> {
    moment.map(Shown)
}

fn pairs(labels: &Labels) -> Value {
    labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect::<serde_json::Map<_, _>>().into()
}

/// An alert; the keys are fixed (DESIGN §7).
pub(super) fn alert(row: &Alert) -> Value {
    let joined = row.joined.as_ref();
    json!({
        "id": row.id,
        "source": row.source,
        "cluster_id": joined.ok().map(|joined| &joined.cluster_id),
        "instance_id": joined.ok().map(|joined| &joined.instance_id),
        "unjoined_reason": joined.err(),
        "alert_name": row.name(),
        "severity": row.severity.as_str(),
        "state": row.state.as_str(),
        "muted": row.muted,
        "labels": pairs(&row.labels),
        "annotations": pairs(&row.annotations),
        "started_at": Shown(row.started_at),
        "resolved_at": time(row.resolved_at),
        "last_seen_at": Shown(row.last_seen_at),
        "remediation_id": row.remediation_id,
    })
}

/// An alert that could not be read.
pub(super) fn dead_letter(row: &DeadLetter) -> Value {
    json!({
        "id": row.id,
        "source": row.source,
        "reason": row.reason,
        "raw": row.raw,
        "received_at": Shown(row.received_at),
    })
}

/// An instance, with what policy wants for it and cannot have yet.
pub(super) fn instance(row: &Instance, waiting: Option<&Held>, sees_all: bool) -> Value {
    json!({
        "id": row.id,
        "name": row.name,
        "cluster_id": row.cluster_id,
        "host_id": row.host_id,
        "addresses": row.addresses,
        "provider_id": row.provider_id,
        "pool": row.pool,
        "generation": row.generation,
        "domains": row.domains,
        "auto_remediation_enabled": row.auto_remediation_enabled,
        "held": waiting.map(|waiting| held(waiting, sees_all)),
    })
}

fn held(row: &Held, sees_all: bool) -> Value {
    // What is in the way, where it has a name of its own.
    let by = match &row.why {
        HeldWhy::Hold(id) => Some(id.to_string()),
        // A host may be shared with a cluster that the asker does not see.
        HeldWhy::HostBusy(id) if sees_all => Some(id.to_string()),
        HeldWhy::HostBusy(_)
        | HeldWhy::For
        | HeldWhy::Cooldown
        | HeldWhy::Settle
        | HeldWhy::Paused
        | HeldWhy::OptedOut
        | HeldWhy::NoDriver
        | HeldWhy::ContactSupport => None,
    };
    json!({
        "rule": row.rule,
        "mode": row.mode.map(|mode| mode.as_str()),
        "why": row.why.as_str(),
        "by": by,
        "since": Shown(row.since),
        "until": time(row.until),
    })
}

/// A remediation with its links.
pub(super) fn record(record: &Record) -> Value {
    let mut shown = remediation(&record.remediation);
    shown["linked_alerts"] = record.links.iter().map(link).collect();
    shown
}

fn remediation(row: &Remediation) -> Value {
    json!({
        "id": row.id,
        "cluster_id": row.target.cluster_id,
        "instance_id": row.target.instance_id,
        "instance_name": row.target.instance_name,
        "host_id": row.target.host_id,
        "provider_id": row.target.provider_id,
        "generation": row.target.generation,
        "mode": row.mode.as_str(),
        "trigger": row.trigger.as_str(),
        "state": row.state.as_str(),
        "version": row.version,
        "reason": row.reason,
        "requested_by": row.requested_by,
        "created_at": Shown(row.created_at),
        "updated_at": Shown(row.updated_at),
        "review": row.review.as_ref().map(|review| {
            json!({"by": review.by, "at": Shown(review.at), "comment": review.comment})
        }),
        "started_at": time(row.started_at),
        "ended_at": time(row.ended_at),
        "failure": row.failure.as_ref().map(|why| json!({"code": why.code.as_str(), "detail": why.detail})),
        "note": row.note,
        "rule": row.rule,
        "auto_resolve": row.auto_resolve,
        "opened_by": row.opened_by,
        "alias": row.alias,
        "raised_at": time(row.raised_at),
        "clear_since": time(row.clear_since),
        "waits_for": row.waits_for,
        "attempt": row.attempt.as_ref().map(attempt),
        "due": row.due.map(|due| json!({"at": Shown(due.at), "why": due.why})),
        "links_omitted": row.links_omitted,
    })
}

fn attempt(row: &Attempt) -> Value {
    json!({
        "operation_key": row.operation_key,
        "driver": row.driver,
        "step": row.step.as_str(),
        "intended_at": Shown(row.intended_at),
        "deadline": Shown(row.deadline),
        "retries": row.retries,
        "outcome": row.outcome.map(|outcome| outcome.as_str()),
        "detail": row.detail,
        "generation": row.generation,
        "boot_id": row.boot_id,
        "done_at": time(row.done_at),
        "abort": row.abort.as_ref().map(abort),
    })
}

fn abort(row: &Abort) -> Value {
    json!({
        "by": row.by,
        "at": Shown(row.at),
        "reason": row.reason,
        "undo": row.undo.map(|undo| json!({
            "intended_at": Shown(undo.intended_at),
            "deadline": Shown(undo.deadline),
            "retries": undo.retries,
        })),
    })
}

fn link(row: &Link) -> Value {
    json!({
        "alert_id": row.alert_id,
        "source": row.source,
        "alert_name": row.alert_name,
        "severity": row.severity.as_str(),
        "annotations": pairs(&row.annotations),
        "annotation": annotation(&row.annotation),
        "started_at": Shown(row.started_at),
        "resolved_at": time(row.resolved_at),
        "refires": row.refires,
    })
}

fn annotation(row: &Annotation) -> Value {
    json!({
        "title": row.title,
        "description": row.description,
        "summary_line": row.summary_line,
        "xids": row.xids,
        "slurm_reason": row.slurm_reason,
    })
}

/// One entry of a remediation's history.
#[derive(Serialize)]
pub(super) struct Entry {
    version: u64,
    time: Shown,
    from: Option<&'static str>,
    to: &'static str,
    mode: &'static str,
    principal: String,
    verb: Box<str>,
    reason: String,
}

impl Entry {
    pub(super) fn new(row: Transition) -> Self {
        Self {
            version: row.version,
            time: Shown(row.at),
            from: row.from.map(|state| state.as_str()),
            to: row.to.as_str(),
            mode: row.mode.as_str(),
            principal: row.principal,
            verb: row.verb,
            reason: row.reason,
        }
    }
}

/// A hold.
pub(super) fn hold(row: &Hold) -> Value {
    let ended = row.ended.as_ref();
    json!({
        "id": row.id,
        "cluster_id": row.cluster_id,
        "instance_id": row.instance_id,
        "reason": row.reason,
        "created_by": row.created_by,
        "created_at": Shown(row.created_at),
        "expires_at": Shown(row.expires_at),
        "ended_at": ended.map(|(at, _)| Shown(*at)),
        "ended_by": ended.map(|(_, by)| by),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests;

    #[test]
    fn an_alert_row_has_exactly_the_keys_that_scripts_rely_on() {
        let shown = alert(&tests::alert());
        let mut keys: Vec<&str> = "id source cluster_id instance_id unjoined_reason alert_name severity state muted \
            labels annotations started_at resolved_at last_seen_at remediation_id"
            .split_whitespace()
            .collect();
        keys.sort_unstable();
        assert_eq!(shown.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
        assert_eq!((&shown["cluster_id"], &shown["unjoined_reason"]), (&json!("c-1"), &Value::Null));
        assert_eq!((&shown["severity"], &shown["state"]), (&json!("critical"), &json!("FIRING")));
        assert_eq!(shown["labels"], json!({"alertname": "DmesgXidError"}));
    }

    #[test]
    fn an_unjoined_alert_says_why() {
        let mut row = tests::alert();
        row.joined = Err("no label names an instance".into());
        let shown = alert(&row);
        assert_eq!(
            (&shown["instance_id"], &shown["unjoined_reason"]),
            (&Value::Null, &json!("no label names an instance"))
        );
    }

    #[test]
    fn a_held_instance_says_what_it_waits_for() {
        let id = crate::domain::RemediationId::new(uuid::Uuid::from_u128(7));
        let waiting = Held {
            cluster_id: tests::instance().cluster_id,
            instance_id: tests::instance().id,
            rule: crate::domain::RuleId::parse("gpu-fell-off-bus").unwrap(),
            mode: Some(crate::domain::Mode::HostAware),
            why: HeldWhy::HostBusy(id),
            since: tests::at(1),
            until: None,
        };
        assert_eq!(
            instance(&tests::instance(), Some(&waiting), true)["held"],
            json!({"rule": "gpu-fell-off-bus", "mode": "host_aware", "why": "host_busy",
                "by": "00000000-0000-0000-0000-000000000007", "since": "1970-01-01T00:00:01.000000Z", "until": null})
        );
        assert_eq!(instance(&tests::instance(), Some(&waiting), false)["held"]["by"], Value::Null);
        assert_eq!(instance(&tests::instance(), None, true)["held"], Value::Null);
    }

    #[test]
    fn a_record_shows_its_links() {
        let shown = record(&tests::proposal());
        assert_eq!(shown["linked_alerts"][0]["alert_name"], "DmesgXidError");
        assert_eq!(shown["linked_alerts"][0]["annotation"]["xids"][0]["code"], 79);
        assert_eq!((&shown["review"], &shown["trigger"]), (&Value::Null, &json!("automated")));
    }
}
