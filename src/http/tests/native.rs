//! Our own dialect, and what operators ask.

use super::*;

#[tokio::test]
async fn a_misspelt_parameter_is_refused_and_not_ignored() {
    let house = quiet();
    for path in [
        "alerts?stat=FIRING",
        "alerts?state=firing",
        "alerts?joined=yes",
        "alerts?cluster_id=a%20b",
        "dead-letters?x=1",
        "instances?pool=x",
        "remediations?mode=REMEDIATION_MODE_VM_ONLY",
        "holds?ended=1",
        "holds?page_size=-1",
        "alerts?page_token=AAAA",
    ] {
        let answer = house.get(&format!("/api/v1/{path}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (400, &json!(400)), "{path}");
    }
    for path in ["remediations/x", "remediations/00000000-0000-0000-0000-000000000009/history"] {
        assert_eq!(house.get(&format!("/api/v1/{path}")).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn holds_are_set_and_ended() {
    let hold = Hold {
        id: HoldId::new(Uuid::from_u128(9)),
        cluster_id: instance().cluster_id,
        instance_id: instance().id,
        reason: "swap".into(),
        created_by: "local".into(),
        created_at: at(1),
        expires_at: at(7201),
        ended: None,
    };
    let house = house(configured(&["main"], None), move |_| Reply::Hold(Box::new(hold.clone())));
    let set = house.post("/api/v1/holds", r#"{"instance_id":"i-7","reason":"swap","for":"2h"}"#).await;
    assert_eq!((set.status.as_u16(), &set.json()["expires_at"]), (201, &json!("1970-01-01T02:00:01.000000Z")));
    let path = format!("/api/v1/holds/{}", Uuid::from_u128(9));
    assert_eq!(house.call("DELETE", &path, &[], Body::empty()).await.status, 200);
    assert_eq!(
        house.commands(),
        [
            Command::Hold {
                instance_id: instance().id,
                reason: "swap".into(),
                span: std::time::Duration::from_secs(7200),
            },
            Command::Unhold { hold_id: HoldId::new(Uuid::from_u128(9)) },
        ]
    );
    for (body, status) in [
        (r#"{"instance_id":"i-7","reason":"swap","for":"soon"}"#, 400),
        (r#"{"instance_id":"i-7","reason":"swap"}"#, 400),
        (r#"{"instance_id":"i-7","reason":"swap","for":"2h","why":1}"#, 400),
        (r#"{"instance_id":"i/7","reason":"swap","for":"2h"}"#, 404),
    ] {
        assert_eq!(house.post("/api/v1/holds", body).await.status, status, "{body}");
    }
    assert_eq!(house.call("DELETE", "/api/v1/holds/x", &[], Body::empty()).await.status, 404);
}

#[tokio::test]
async fn an_abort_says_why_and_answers_with_the_remediation() {
    let house = house(configured(&["main"], None), |_| Reply::Remediation(Box::new(proposal())));
    let id = "00000000-0000-0000-0000-000000000007";
    let path = format!("/api/v1/remediations/{id}/abort");
    let answer = house.post(&path, r#"{"reason":"wrong node"}"#).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["id"]), (200, &json!(proposal().remediation.id)));
    let selector = Selector { cluster_id: None, instance_id: None, remediation: id.to_owned() };
    assert_eq!(house.commands(), [Command::Abort { selector, reason: "wrong node".into() }]);
    for body in ["{}", r#"{"reason":1}"#, r#"{"reason":"x","mode":"y"}"#, "x"] {
        assert_eq!(house.post(&path, body).await.status, 400, "{body}");
    }
    let answer = house.post("/api/v1/remediations/n-1/abort", r#"{"reason":"x"}"#).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (404, &json!(404)));
    assert_eq!(house.commands().len(), 1);
}

#[tokio::test]
async fn operators_get_their_answers() {
    let house = quiet();
    for path in ["/-/healthy", "/-/ready"] {
        assert_eq!(house.get(path).await.status, 200, "{path}");
        let head = house.call(Method::HEAD.as_str(), path, &[], Body::empty()).await;
        assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""), "{path}");
    }
    let reload = house.post("/-/reload", "").await;
    assert_eq!((reload.status.as_u16(), &reload.json()["detail"]), (400, &json!("a:1:1: x: wrong\nb:2:2: y: too")));
    let metrics = house.get("/metrics").await;
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    assert!(metrics.text.contains("remedyd_build_info{version="));
}
