//! Rows as scripts know them.

use serde_json::{Value, json};

use super::*;
use crate::domain::{Abort, Attempt, DeadLetter, Held, Hold, Instance, Record, Transition};
use crate::http::tests;

fn shown(row: impl Serialize) -> Value {
    serde_json::to_value(row).unwrap()
}

fn alert(row: &domain::Alert) -> Value {
    shown(super::Alert::new(row))
}

fn instance(row: &Instance, waiting: Option<&Held>, sees_all: bool) -> Value {
    shown(super::Instance::new(row, waiting, sees_all))
}

fn record(record: &Record) -> Value {
    shown(super::Remediation::new(record))
}

fn dead_letter(row: &DeadLetter) -> Value {
    shown(super::DeadLetter::new(row))
}

fn hold(row: &Hold) -> Value {
    shown(super::Hold::new(row))
}

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

#[test]
fn a_run_and_a_condition_show_their_evidence() {
    let (run, condition) = (tests::run(), tests::condition());
    let finding = json!({"name": "xid", "device": "GPU-7", "xid": 79, "recovery_action": null, "is_sticky": true,
        "detail": "fell off the bus"});
    let mut standing = finding.clone();
    standing["trust"] = "believed".into();
    standing["is_believed"] = true.into();
    standing["since"] = "1970-01-01T00:00:01.000000Z".into();
    assert_eq!(
        shown(Run::new(&run)),
        json!({
            "id": run.id, "check": "gpus", "kind": "dcgm_exporter", "cluster_id": "c-1", "instance_id": "i-7",
            "generation": "1", "started_at": "1970-01-01T00:00:01.000000Z", "ended_at": "1970-01-01T00:00:02.000000Z",
            "verdict": "FAIL", "findings": [finding],
            "measurements": [{"name": "scrape_seconds", "device": "", "value": 0.25}],
            "evidence": "DCGM_FI_DEV_XID_ERRORS 79", "why": "flipped", "set_aside": null,
        })
    );
    assert_eq!(
        shown(Condition::new(&condition)),
        json!({
            "check": "gpus", "kind": "dcgm_exporter", "instance_id": "i-7", "cluster_id": "c-1",
            "generation": "1", "belief": "FAILING", "since": "1970-01-01T00:00:02.000000Z", "verdict": "FAIL",
            "verdict_at": "1970-01-01T00:00:02.000000Z", "run_id": run.id, "standing": [standing], "spent": [],
        })
    );
}

/// Everything that a row may hold, and nothing that it may lack, as scripts have known it from the first day.
#[test]
fn rows_look_as_they_always_did() {
    let hold_id = crate::domain::HoldId::new(uuid::Uuid::from_u128(9));
    let waiting = Held {
        cluster_id: tests::instance().cluster_id,
        instance_id: tests::instance().id,
        rule: crate::domain::RuleId::parse("gpu-fell-off-bus").unwrap(),
        mode: None,
        why: HeldWhy::Hold(hold_id),
        since: tests::at(1),
        until: Some(tests::at(2)),
    };
    let mut held_node = tests::instance();
    held_node.addresses = vec!["127.0.0.7".into()];
    held_node.domains = [("rack".to_owned(), "r7".to_owned())].into();
    let mut ended = tests::alert();
    ended.resolved_at = Some(tests::at(8));
    ended.remediation_id = Some(tests::proposal().remediation.id);
    ended.annotations = Labels::from_pairs([("summary", "Xid 79")]);
    let mut unjoined = tests::alert();
    unjoined.joined = Err("no label names an instance".into());
    let letter = DeadLetter {
        id: crate::domain::DeadLetterId::of(&tests::alert().source, "x", "y"),
        source: tests::alert().source,
        reason: "labels: none".into(),
        raw: "{}".into(),
        received_at: tests::at(3),
    };
    let open_hold = Hold {
        id: hold_id,
        cluster_id: tests::instance().cluster_id,
        instance_id: tests::instance().id,
        reason: "swap".into(),
        created_by: "ann".into(),
        created_at: tests::at(1),
        expires_at: tests::at(7201),
        ended: None,
    };
    let ended_hold = Hold { ended: Some((tests::at(9), "ben".into())), ..open_hold.clone() };
    let created = Transition {
        remediation_id: tests::proposal().remediation.id,
        version: 1,
        at: tests::at(10),
        from: None,
        to: crate::domain::State::PendingApproval,
        mode: crate::domain::Mode::HostAware,
        principal: "remedyd".into(),
        verb: "create".into(),
        reason: "Xid 79".into(),
    };
    let approved = Transition {
        from: Some(crate::domain::State::PendingApproval),
        to: crate::domain::State::Pending,
        ..created.clone()
    };
    let history: Vec<Value> = [created, approved].into_iter().map(|row| shown(Entry::new(row))).collect();
    let shown = json!({
        "alerts": [alert(&tests::alert()), alert(&ended), alert(&unjoined)],
        "dead-letters": [dead_letter(&letter)],
        "instances": [instance(&tests::instance(), None, true), instance(&held_node, Some(&waiting), true)],
        "remediations": [record(&tests::proposal()), record(&everything())],
        "history": history,
        "holds": [hold(&open_hold), hold(&ended_hold)],
    });
    let known: Value = serde_json::from_str(include_str!("../../../tests/wire/native/rows.json")).unwrap();
    for (kind, rows) in known.as_object().unwrap() {
        assert_eq!(&shown[kind], rows, "{kind}");
    }
}

/// A remediation of which everything is set.
fn everything() -> Record {
    let mut record = tests::proposal();
    record.links[0].resolved_at = Some(tests::at(19));
    record.links[0].annotation.slurm_reason = Some("kill task failed".into());
    let row = &mut record.remediation;
    row.state = crate::domain::State::Failed;
    row.review = Some(Box::new(crate::domain::Review { by: "ann".into(), at: tests::at(20), comment: "go".into() }));
    row.started_at = Some(tests::at(21));
    row.ended_at = Some(tests::at(30));
    row.failure = Some(Box::new(crate::domain::Failure {
        code: crate::domain::FailureCode::NotCleared,
        detail: "it fires".into(),
    }));
    row.note = Some("unverified".into());
    row.alias = Some("mine-1".into());
    row.raised_at = Some(tests::at(12));
    row.clear_since = Some(tests::at(13));
    row.waits_for = Some("a place in flight".into());
    row.due = Some(crate::domain::remediation::Due {
        at: tests::at(40),
        why: crate::domain::remediation::DueWhy::VerifyWithin,
    });
    row.links_omitted = 3;
    row.attempt = Some(Box::new(Attempt {
        operation_key: "k-act-1".into(),
        driver: crate::domain::DriverId::parse("vm").unwrap(),
        step: crate::domain::Step::Act,
        intended_at: tests::at(21),
        deadline: tests::at(621),
        retries: 2,
        must_ask: false,
        outcome: Some(crate::domain::Outcome::Done),
        detail: "migrated".into(),
        generation: Some("2".into()),
        boot_id: Some("b-2".into()),
        done_at: Some(tests::at(22)),
        abort: Some(Abort {
            by: "ben".into(),
            at: tests::at(23),
            reason: "wrong node".into(),
            undo: Some(crate::domain::Undo { intended_at: tests::at(24), deadline: tests::at(624), retries: 1 }),
        }),
    }));
    record
}
