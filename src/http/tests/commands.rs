//! What people ask for in our own dialect.

use super::*;
use crate::engine::Refusal;

fn path(rest: &str) -> String {
    format!("/api/v1/remediations/{}{rest}", remediation_id())
}

fn selector() -> Selector {
    Selector { cluster_id: None, instance_id: None, remediation: remediation_id().to_string() }
}

fn with(rows: &[Change], reply: impl Fn(&Command) -> Reply + Send + 'static) -> House {
    furnished(configured(&["main"], None), rows, Arc::new(|| Box::pin(async { Ok(()) })), reply)
}

#[tokio::test]
async fn a_remediation_is_created_in_the_cluster_of_its_instance() {
    let rows = [Change::Instance(Box::new(instance()))];
    let house = with(&rows, |_| Reply::Remediation(Box::new(proposal())));
    let body = r#"{"instance_id":"i-7","mode":"reboot_vm","reason":"hangs","remediation_id":"ticket-7"}"#;
    let made = house.post("/api/v1/remediations", body).await;
    assert_eq!((made.status.as_u16(), &made.json()["id"]), (201, &json!(remediation_id())));
    assert_eq!(made.json()["linked_alerts"][0]["alert_name"], "DmesgXidError");
    let body = r#"{"instance_id":"i-9","cluster_id":"c-2","mode":"vm_only"}"#;
    assert_eq!(house.post("/api/v1/remediations", body).await.status, 201);
    let create = |cluster: &str, instance: &str, mode, reason: &str, alias: Option<&str>| Command::Create {
        cluster_id: ClusterId::parse(cluster).unwrap(),
        instance_id: InstanceId::parse(instance).unwrap(),
        mode,
        reason: reason.to_owned(),
        alias: alias.map(str::to_owned),
        is_retry: false,
    };
    assert_eq!(
        house.commands(),
        [create("c-1", "i-7", Mode::RebootVm, "hangs", Some("ticket-7")), create("c-2", "i-9", Mode::VmOnly, "", None)]
    );
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_before_the_engine_hears_of_it() {
    let house = quiet();
    for (path, body, status) in [
        ("/api/v1/remediations".to_owned(), r#"{"instance_id":"i-7","mode":"REBOOT_VM"}"#, 400),
        ("/api/v1/remediations".to_owned(), r#"{"instance_id":"i-7","mode":"reboot_vm","force":true}"#, 400),
        ("/api/v1/remediations".to_owned(), r#"{"mode":"reboot_vm"}"#, 400),
        ("/api/v1/remediations".to_owned(), r#"{"instance_id":"*","mode":"reboot_vm"}"#, 404),
        ("/api/v1/remediations".to_owned(), r#"{"instance_id":"","mode":"reboot_vm"}"#, 404),
        ("/api/v1/remediations".to_owned(), r#"{"instance_id":"-","mode":"reboot_vm"}"#, 404),
        ("/api/v1/remediations".to_owned(), r#"{"instance_id":"i-none","mode":"reboot_vm"}"#, 404),
        ("/api/v1/remediations".to_owned(), r#"{"instance_id":["i-7","i-8"],"mode":"reboot_vm"}"#, 400),
        (path("/approve"), "{}", 400),
        (path("/approve"), r#"{"version":1,"mode":"anything"}"#, 400),
        (path("/approve"), r#"{"version":"1"}"#, 400),
        (path("/approve"), r#"{"version":1,"why":""}"#, 400),
        (path("/reject"), r#"{"mode":"vm_only"}"#, 400),
        (path("/cancel"), r#"{"reason":"x"}"#, 400),
        ("/api/v1/remediations/-/approve".to_owned(), r#"{"version":1}"#, 404),
        ("/api/v1/pause".to_owned(), "{}", 400),
        ("/api/v1/pause".to_owned(), r#"{"reason":"x","cluster_id":""}"#, 404),
        ("/api/v1/pause".to_owned(), r#"{"reason":"x","for":"1h"}"#, 400),
        ("/api/v1/resume".to_owned(), r#"{"why":"x"}"#, 400),
    ] {
        let answer = house.post(&path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {body}: {}", answer.json());
    }
    assert!(house.commands().is_empty());
}

#[tokio::test]
async fn a_word_on_a_proposal_carries_the_version_that_was_seen() {
    let house = with(&[], |_| Reply::Remediation(Box::new(proposal())));
    for (verb, body) in [
        ("approve", r#"{"version":3,"mode":"vm_only","comment":"go"}"#),
        ("reject", r#"{"version":3,"comment":"no"}"#),
        ("reject", "{}"),
        ("cancel", r#"{"version":3,"comment":"not needed"}"#),
        ("cancel", ""),
    ] {
        assert_eq!(house.post(&path(&format!("/{verb}")), body).await.status, 200, "{verb} {body}");
    }
    let (seen_version, mode) = (Some(3), Some(Mode::VmOnly));
    let reject = |comment: &str, seen_version| Command::Reject {
        selector: selector(),
        comment: comment.to_owned(),
        seen_version,
    };
    let cancel = |comment: &str, seen_version| Command::Cancel {
        selector: selector(),
        comment: comment.to_owned(),
        seen_version,
    };
    assert_eq!(
        house.commands(),
        [
            Command::Approve { selector: selector(), mode, comment: "go".to_owned(), seen_version },
            reject("no", seen_version),
            reject("", None),
            cancel("not needed", seen_version),
            cancel("", None),
        ]
    );
}

#[tokio::test]
async fn what_has_changed_since_is_said() {
    let refusal = || Refusal::VersionChanged {
        id: remediation_id(),
        version: 2,
        state: State::PendingApproval,
        mode: Mode::HostAware,
        seen: 1,
    };
    let house = with(&[], move |_| Reply::Refused(refusal()));
    let answer = house.post(&path("/approve"), r#"{"version":1}"#).await;
    assert_eq!(answer.status, 409);
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.ends_with("has changed since version 1: it is PENDING_APPROVAL as host_aware, version 2; look again"),
        "{detail}"
    );
}

#[tokio::test]
async fn switches_are_turned_and_shown() {
    let pause = |cluster: Option<&str>, resumed| Pause {
        cluster_id: cluster.map(|id| ClusterId::parse(id).unwrap()),
        reason: "power work".into(),
        paused_by: "local".into(),
        paused_at: at(1),
        resumed,
    };
    let resumed = Some(Resumed { by: "ben".into(), at: at(2), reason: "done".into() });
    let rows = [pause(None, resumed), pause(Some("c-1"), None)];
    let changes: Vec<Change> = rows.iter().cloned().map(|row| Change::Pause(Box::new(row))).collect();
    let [_, on] = rows;
    let house = with(&changes, move |_| Reply::Pause(Box::new(on.clone())));

    let turned = house.post("/api/v1/pause", r#"{"reason":"power work","cluster_id":"c-1"}"#).await;
    let shown = json!({"cluster_id": "c-1", "reason": "power work", "paused_by": "local",
        "paused_at": "1970-01-01T00:00:01.000000Z", "resumed_at": null, "resumed_by": null, "resume_reason": null});
    assert_eq!((turned.status.as_u16(), turned.json()), (200, shown.clone()));
    assert_eq!(house.post("/api/v1/resume", "").await.status, 200);
    let cluster_id = Some(ClusterId::parse("c-1").unwrap());
    assert_eq!(
        house.commands(),
        [
            Command::Pause { cluster_id, reason: "power work".into() },
            Command::Resume { cluster_id: None, reason: String::new() }
        ]
    );

    let list = house.get("/api/v1/pauses").await.json();
    assert_eq!(list, json!({"pauses": [shown], "has_next": false, "next_page_token": ""}));
    let list = house.get("/api/v1/pauses?ended=true").await.json();
    assert_eq!(list["pauses"][0]["resumed_by"], "ben");
    assert_eq!(list["pauses"].as_array().unwrap().len(), 2);
}
