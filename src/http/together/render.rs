//! Our records as Together's objects (CONTRACT §2.3). What is unset is left out: strict clients refuse empty times.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::lists::{mode_name, severity_name, trigger_name};
use crate::domain::{self, AlertId, Link, Record, RemediationId, RunId, XidEvent};
use crate::http::Shown;
use crate::http::openapi::words;

/// A repair of one instance, as Together's clients know it.
#[derive(Serialize, ToSchema)]
#[schema(as = TogetherRemediation)]
pub(in crate::http) struct Remediation {
    #[schema(value_type = String, read_only)]
    id: RemediationId,
    #[schema(read_only)]
    cluster_id: String,
    #[schema(read_only)]
    instance_id: String,
    /// The instance's host name when the remediation was created.
    #[schema(read_only)]
    #[serde(skip_serializing_if = "String::is_empty")]
    instance_name: String,
    #[schema(value_type = words::TogetherMode)]
    mode: &'static str,
    #[schema(value_type = words::TogetherTrigger, read_only)]
    trigger: &'static str,
    #[schema(value_type = words::State, read_only)]
    state: &'static str,
    /// Why, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    reason: String,
    /// Who asked for it; `remedyd` for the system.
    #[schema(read_only)]
    requested_by: String,
    #[schema(read_only)]
    create_time: Shown,
    #[schema(read_only)]
    update_time: Shown,
    /// Who approved or rejected it.
    #[schema(read_only, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    reviewed_by: Option<String>,
    #[schema(read_only, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    review_time: Option<Shown>,
    #[schema(read_only, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    review_comment: Option<String>,
    /// When the repair began.
    #[schema(read_only, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<Shown>,
    /// When it ended.
    #[schema(read_only, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Shown>,
    /// Why it FAILED: a code, a colon, and the circumstances.
    #[schema(read_only, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    /// The run of an active check that made the first of its findings believed.
    #[schema(value_type = Option<String>, read_only, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    active_health_check_run_id: Option<RunId>,
    /// The alert that opened it; left out where only checks did.
    #[schema(value_type = Option<String>, read_only, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    passive_health_check_event_id: Option<AlertId>,
    /// The alerts behind it, resolved ones included.
    #[schema(read_only, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    linked_alerts: Option<Vec<Alert>>,
}

impl Remediation {
    /// With its linked alerts.
    pub(super) fn whole(record: &Record) -> Self {
        let target = &record.remediation.target;
        let alerts = record.links.iter().map(|link| Alert::new(link, target)).collect();
        Self { linked_alerts: Some(alerts), ..Self::alone(&record.remediation) }
    }

    /// Without them, for lists of nodes.
    pub(super) fn alone(row: &domain::Remediation) -> Self {
        Self {
            id: row.id,
            cluster_id: row.target.cluster_id.to_string(),
            instance_id: row.target.instance_id.to_string(),
            instance_name: row.target.instance_name.clone(),
            mode: mode_name(row.mode),
            trigger: trigger_name(row.trigger),
            state: row.state.as_str(),
            reason: row.reason.clone(),
            requested_by: row.requested_by.clone(),
            create_time: Shown(row.created_at),
            update_time: Shown(row.updated_at),
            reviewed_by: row.review.as_ref().map(|review| review.by.clone()),
            review_time: row.review.as_ref().map(|review| Shown(review.at)),
            review_comment: row.review.as_ref().map(|review| review.comment.clone()).filter(|text| !text.is_empty()),
            start_time: row.started_at.map(Shown),
            end_time: row.ended_at.map(Shown),
            error_message: row.failure.as_ref().map(|why| format!("{}: {}", why.code.as_str(), why.detail)),
            active_health_check_run_id: row.opened_by_run,
            passive_health_check_event_id: row.opened_by,
            linked_alerts: None,
        }
    }
}

/// An alert that is linked to a remediation, as it stood last.
#[derive(Serialize, ToSchema)]
#[schema(as = PassiveHealthCheckAlert)]
struct Alert {
    #[schema(value_type = String, read_only)]
    passive_health_check_alert_id: AlertId,
    #[schema(read_only)]
    cluster_id: String,
    #[schema(read_only)]
    instance_id: String,
    /// The instance's host name.
    #[schema(read_only)]
    target_vm: String,
    #[schema(read_only)]
    alert_name: String,
    #[schema(value_type = words::TogetherSeverity, read_only)]
    severity: &'static str,
    /// As the source sent them.
    #[schema(value_type = words::Texts, read_only)]
    annotations: BTreeMap<String, String>,
    #[schema(read_only)]
    annotation: Annotation,
    #[schema(read_only)]
    started_at: Shown,
    /// When it ended; left out while it does not count as clear.
    #[schema(read_only, nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    resolved_at: Option<Shown>,
    /// The remediation that it is linked to.
    #[schema(value_type = String, read_only)]
    node_remediation_intent_id: RemediationId,
}

/// What a person reads about an alert.
#[derive(Serialize, ToSchema)]
#[schema(as = TogetherAnnotation)]
struct Annotation {
    /// From the annotation `summary`, else the alert's name.
    title: String,
    /// From the annotation `description`.
    description: String,
    /// From the annotation `evidence`, else one line made of what is known.
    summary_line: String,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    xid: Option<Xid>,
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    slurm_node_unavailable: Option<SlurmNodeUnavailable>,
}

/// The XIDs that an alert names.
#[derive(Serialize, ToSchema)]
#[schema(as = TogetherXid)]
struct Xid {
    events: Vec<Event>,
}

/// One XID of an alert.
#[derive(Serialize, ToSchema)]
#[schema(as = TogetherXidEvent)]
struct Event {
    /// NVIDIA's number.
    xid_code: String,
    /// NVIDIA's name; empty where the catalogue lacks the code.
    mnemonic: String,
    /// How often.
    count: u32,
}

/// A node that Slurm cannot use.
#[derive(Serialize, ToSchema)]
struct SlurmNodeUnavailable {
    /// The reason that Slurm gives.
    reason: String,
}

impl Alert {
    fn new(link: &Link, target: &domain::Target) -> Self {
        let annotations = link.annotations.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let typed = &link.annotation;
        let events: Vec<Event> = typed.xids.iter().map(Event::new).collect();
        Self {
            passive_health_check_alert_id: link.alert_id,
            cluster_id: target.cluster_id.to_string(),
            instance_id: target.instance_id.to_string(),
            target_vm: target.instance_name.clone(),
            alert_name: link.alert_name.clone(),
            severity: severity_name(link.severity),
            annotations,
            annotation: Annotation {
                title: typed.title.clone(),
                description: typed.description.clone(),
                summary_line: typed.summary_line.clone(),
                xid: (!events.is_empty()).then_some(Xid { events }),
                slurm_node_unavailable: typed.slurm_reason.clone().map(|reason| SlurmNodeUnavailable { reason }),
            },
            started_at: Shown(link.started_at),
            resolved_at: link.resolved_at.map(Shown),
            node_remediation_intent_id: link.remediation_id,
        }
    }
}

impl Event {
    fn new(event: &XidEvent) -> Self {
        Self { xid_code: event.code.to_string(), mnemonic: event.mnemonic.clone(), count: event.count }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::tests::{at, linked, proposal};

    #[test]
    fn a_proposal_shows_what_is_set_and_nothing_else() {
        let shown = serde_json::to_value(Remediation::whole(&proposal())).unwrap();
        assert_eq!(
            shown,
            json!({
                "id": "00000000-0000-0000-0000-000000000007", "cluster_id": "c-1", "instance_id": "i-7",
                "instance_name": "gpu-node-7", "mode": "REMEDIATION_MODE_HOST_AWARE",
                "trigger": "REMEDIATION_TRIGGER_AUTOMATED", "state": "PENDING_APPROVAL", "reason": "Xid 79",
                "requested_by": "remedyd", "create_time": "1970-01-01T00:00:10.000000Z",
                "update_time": "1970-01-01T00:00:10.000000Z",
                "passive_health_check_event_id": "00000000-0000-0000-0000-0000000000a1",
                "linked_alerts": [{
                    "passive_health_check_alert_id": "00000000-0000-0000-0000-0000000000a1", "cluster_id": "c-1",
                    "instance_id": "i-7", "target_vm": "gpu-node-7", "alert_name": "DmesgXidError",
                    "severity": "PHC_SEVERITY_CRITICAL", "annotations": {"summary": "Xid 79"},
                    "annotation": {"title": "Xid 79", "description": "", "summary_line": "xid 79 x1",
                        "xid": {"events": [{"xid_code": "79", "mnemonic": "GPU_LOST", "count": 1}]}},
                    "started_at": "1970-01-01T00:00:05.000000Z",
                    "node_remediation_intent_id": "00000000-0000-0000-0000-000000000007",
                }],
            })
        );
    }

    #[test]
    fn one_that_a_check_opened_names_its_run_and_no_alert() {
        let mut record = proposal();
        let run = RunId::new(uuid::Uuid::from_u128(5));
        record.remediation.opened_by = None;
        record.remediation.opened_by_run = Some(run);
        record.links[0].source = domain::SourceId::parse(domain::check::SOURCE).unwrap();
        let shown = serde_json::to_value(Remediation::whole(&record)).unwrap();
        assert_eq!(shown["active_health_check_run_id"], json!(run));
        assert_eq!(shown.get("passive_health_check_event_id"), None);
        assert_eq!(shown["linked_alerts"][0]["annotation"]["summary_line"], "xid 79 x1");
    }

    #[test]
    fn a_failed_one_says_why_who_and_when() {
        let mut record = proposal();
        let row = &mut record.remediation;
        row.state = domain::State::Failed;
        row.review = Some(Box::new(domain::Review { by: "alice".into(), at: at(20), comment: "go".into() }));
        row.started_at = Some(at(21));
        row.ended_at = Some(at(30));
        row.failure =
            Some(Box::new(domain::Failure { code: domain::FailureCode::NotCleared, detail: "1 alert fires".into() }));
        let shown = serde_json::to_value(Remediation::whole(&record)).unwrap();
        assert_eq!(shown["error_message"], "NOT_CLEARED: 1 alert fires");
        assert_eq!(shown["reviewed_by"], "alice");
        assert_eq!(shown["review_comment"], "go");
        assert_eq!(shown["review_time"], "1970-01-01T00:00:20.000000Z");
        assert_eq!(shown["start_time"], "1970-01-01T00:00:21.000000Z");
        assert_eq!(shown["end_time"], "1970-01-01T00:00:30.000000Z");
    }

    #[test]
    fn a_slurm_reason_has_a_place_of_its_own() {
        let mut record = proposal();
        let mut link = linked();
        link.annotation.xids.clear();
        link.annotation.slurm_reason = Some("kill task failed".into());
        link.resolved_at = Some(at(9));
        record.links = vec![link];
        let shown = serde_json::to_value(Remediation::whole(&record)).unwrap();
        let alert = &shown["linked_alerts"][0];
        assert_eq!(alert["annotation"]["slurm_node_unavailable"]["reason"], "kill task failed");
        assert_eq!(alert["annotation"].get("xid"), None);
        assert_eq!(alert["resolved_at"], "1970-01-01T00:00:09.000000Z");
    }
}
