//! Together's dialect.

use super::*;
use crate::engine::{Refusal, Selector};

#[tokio::test]
async fn commands_carry_what_the_client_sent() {
    let house = quiet();
    let approve = r#"{"comment":"go","mode":"REMEDIATION_MODE_VM_ONLY","state":"IGNORED","linked_alerts":[]}"#;
    let create = r#"{"mode":"REMEDIATION_MODE_REBOOT_VM","reason":"slow","id":"ignored","state":7}"#;
    let create_path = format!("{PLACE}?remediation_id=k.1");
    for (path, body) in [
        (format!("{PLACE}/x%2Fy/approve"), approve),
        (format!("{PLACE}/x/approve"), "{}"),
        (format!("{PLACE}/x/reject"), r#"{"comment":null}"#),
        (format!("/v1{PLACE}/x/cancel"), ""),
        ("/v1/compute/clusters/c-1/instances/-/remediations/x/cancel".into(), ""),
        (create_path.clone(), create),
    ] {
        let answer = house.post(&path, body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["state"]), (200, &json!("PENDING_APPROVAL")), "{path}");
    }
    let repeated = [("x-stainless-retry-count", "1")];
    house.call("POST", &create_path, &repeated, create).await;
    for (verb, body) in [("approve", "{}"), ("reject", r#"{"comment":"no"}"#), ("cancel", "")] {
        house.call("POST", &format!("{PLACE}/x/{verb}"), &repeated, body).await;
        house.call("POST", &format!("{PLACE}/x/{verb}"), &[("x-stainless-retry-count", "0")], body).await;
    }
    let select = |instance: Option<&str>, remediation: &str| Selector {
        cluster_id: Some(ClusterId::parse("c-1").unwrap()),
        instance_id: instance.map(|name| InstanceId::parse(name).unwrap()),
        remediation: remediation.into(),
    };
    let approve = |remediation, mode, comment: &str| Command::Approve {
        selector: select(Some("i-7"), remediation),
        mode,
        comment: comment.into(),
        seen_version: None,
    };
    let again = |command| Command::Again(Box::new(command));
    let create = |is_retry| Command::Create {
        cluster_id: ClusterId::parse("c-1").unwrap(),
        instance_id: InstanceId::parse("i-7").unwrap(),
        mode: Mode::RebootVm,
        reason: "slow".into(),
        alias: Some("k.1".into()),
        is_retry,
    };
    assert_eq!(
        house.commands(),
        [
            approve("x/y", Some(Mode::VmOnly), "go"),
            approve("x", None, ""),
            Command::Reject { selector: select(Some("i-7"), "x"), comment: String::new(), seen_version: None },
            Command::Cancel { selector: select(Some("i-7"), "x"), comment: String::new(), seen_version: None },
            Command::Cancel { selector: select(None, "x"), comment: String::new(), seen_version: None },
            create(false),
            create(true),
            again(approve("x", None, "")),
            approve("x", None, ""),
            again(Command::Reject { selector: select(Some("i-7"), "x"), comment: "no".into(), seen_version: None }),
            Command::Reject { selector: select(Some("i-7"), "x"), comment: "no".into(), seen_version: None },
            again(Command::Cancel { selector: select(Some("i-7"), "x"), comment: String::new(), seen_version: None }),
            Command::Cancel { selector: select(Some("i-7"), "x"), comment: String::new(), seen_version: None },
        ]
    );
}

#[tokio::test]
async fn a_request_that_can_never_be_right_is_a_400_and_reaches_nobody() {
    let house = quiet();
    let long = format!(r#"{{"comment":"{}"}}"#, "x".repeat(5000));
    let dash = "/v1/compute/clusters/c-1/instances/-/remediations";
    for (path, body, part) in [
        (PLACE.to_owned(), "", "mode: missing"),
        (PLACE.to_owned(), r#"{"mode":"VM_ONLY"}"#, "mode: `VM_ONLY` is not one of REMEDIATION_MODE_REBOOT_VM"),
        (PLACE.to_owned(), r#"{"mode":7}"#, "expected a string"),
        (PLACE.to_owned(), "[]", "the body is not a JSON object"),
        (PLACE.to_owned(), r#"{"mode":"#, "the body cannot be read: EOF"),
        (format!("{PLACE}?remediation_id=a%20b"), "{}", "remediation_id: "),
        (dash.to_owned(), r#"{"mode":"REMEDIATION_MODE_VM_ONLY"}"#, "instance_id: `-`"),
        (format!("{PLACE}/x/approve"), r#"{"mode":"x"}"#, "mode: `x` is not one of"),
        (format!("{PLACE}/x/reject"), long.as_str(), "comment: longer than 4096 bytes"),
    ] {
        let answer = house.post(&path, body.to_owned()).await;
        let shown = answer.json();
        assert_eq!((answer.status.as_u16(), &shown["code"]), (400, &json!(3)), "{path} {body}");
        assert!(shown["message"].as_str().unwrap().contains(part), "{part}: {shown}");
        assert_eq!(shown["message"], shown["error"]["message"]);
    }
    assert_eq!(house.post(&format!("{PLACE}/x/reject"), " ".repeat(70_000)).await.status, 413);
    assert!(house.commands().is_empty());
}

#[tokio::test]
async fn each_refusal_has_its_code_and_both_forms() {
    let id = remediation_id();
    let place = "instance i-7".to_owned();
    let refusals = [
        (Refusal::NotFound { kind: "remediation", name: "x".into() }, 5, 404),
        (Refusal::WrongState { id, state: State::Running, verb: "approved", allowed: "PENDING_APPROVAL" }, 9, 400),
        (Refusal::Busy { id, state: State::Running, mode: Mode::VmOnly, place }, 9, 400),
        (Refusal::ModeRaised { id, mode: Mode::VmOnly }, 9, 400),
        (Refusal::VersionChanged { id, version: 2, state: State::Pending, mode: Mode::VmOnly, seen: 1 }, 9, 400),
        (Refusal::Held { instance: "i-7".into(), reason: "x".into(), until: at(1) }, 9, 400),
        (Refusal::Paused { place: "everything".into(), reason: "x".into(), by: "ann".into(), since: at(1) }, 9, 400),
        (Refusal::AliasTaken { alias: "k".into(), id }, 6, 409),
        (Refusal::Invalid { field: "mode", why: "no".into() }, 3, 400),
        (Refusal::NotAllowed { principal: "p".into(), verb: "approve", needed: "approver" }, 7, 403),
    ];
    for (refusal, code, status) in refusals {
        let message = refusal.to_string();
        let house = house(configured(&["main"], None), move |_| Reply::Refused(refusal.clone()));
        let answer = house.post(&format!("{PLACE}/x/cancel"), "").await;
        let shown = answer.json();
        assert_eq!((answer.status.as_u16(), &shown["code"]), (status, &json!(code)), "{message}");
        assert_eq!((&shown["message"], &shown["details"]), (&json!(message), &json!([])));
        let error = &shown["error"];
        assert_eq!((&error["message"], &error["param"]), (&json!(message), &Value::Null));
        let name = error["code"].as_str().unwrap();
        assert_eq!(error["type"], name.to_lowercase());
        assert_eq!(answer.header("x-should-retry"), (status == 409).then_some("false"), "{message}");
    }
}

#[tokio::test]
async fn whoami_and_empty_lists_have_every_key() {
    let house = quiet();
    for path in ["/v3/whoami", "/v1/v3/whoami"] {
        let shown = house.get(path).await.json();
        assert_eq!(shown["type"], "project_api_key");
        assert_eq!(shown["api_key"], json!({"id": "local"}));
        assert!(shown["project"]["slug"].is_string() && shown["organization"]["name"].is_string());
    }
    assert_eq!(house.get("/v1/whoami").await.json()["api_key_id"], "local");
    assert!(house.get("/v1/compute/clusters?projectId=p").await.json()["clusters"].is_array());
    for kind in ["alerts", "dead-letters", "instances", "remediations", "holds"] {
        let shown = house.get(&format!("/api/v1/{kind}?page_size=3")).await.json();
        assert_eq!(shown, json!({kind: [], "has_next": false, "next_page_token": ""}));
    }
}

fn rows() -> Vec<Change> {
    let cluster = |id: &str| Change::Cluster(Box::new(Cluster { id: ClusterId::parse(id).unwrap(), name: id.into() }));
    let mut changes = vec![cluster("c-1"), cluster("c-2"), Change::Instance(Box::new(instance()))];
    let other = Instance { id: InstanceId::parse("i-8").unwrap(), name: "gpu-node-8".into(), ..instance() };
    changes.push(Change::Instance(Box::new(other)));
    for n in 1..=5 {
        let mut row = proposal().remediation;
        row.id = RemediationId::new(Uuid::from_u128(n));
        row.created_at = at(n as i64);
        row.state = if n == 5 { State::Running } else { State::Cancelled };
        changes.push(Change::Remediation(Box::new(row)));
    }
    changes.push(Change::Link(Box::new(Link { remediation_id: RemediationId::new(Uuid::from_u128(5)), ..linked() })));
    changes.push(Change::Alias(Box::new(Alias {
        cluster_id: instance().cluster_id,
        alias: "00000000-0000-0000-0000-00000000cafe".into(),
        remediation_id: RemediationId::new(Uuid::from_u128(2)),
    })));
    changes
}

fn ids(answer: &Answer) -> Vec<String> {
    let rows = answer.json()["remediations"].as_array().unwrap().clone();
    rows.iter().map(|row| row["id"].as_str().unwrap().trim_start_matches(['0', '-']).to_owned()).collect()
}

#[tokio::test]
async fn a_list_is_paged_newest_first_and_filtered() {
    let house = storing(configured(&["main"], None), &rows());
    assert_eq!(ids(&house.get(PLACE).await), ["5", "4", "3", "2", "1"]);
    assert_eq!(ids(&house.get(&format!("{PLACE}?state=RUNNING&mode=REMEDIATION_MODE_HOST_AWARE")).await), ["5"]);
    assert_eq!(ids(&house.get(&format!("{PLACE}?trigger=REMEDIATION_TRIGGER_MANUAL")).await), [""; 0]);
    assert_eq!(ids(&house.get(&format!("{PLACE}?order_by=create_time%20asc&page_size=2")).await), ["1", "2"]);
    let anywhere = PLACE.replace("i-7", "-");
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = house.get(&format!("{anywhere}?page_size=2&page_token={token}")).await;
        seen.extend(ids(&page));
        token = page.json()["next_page_token"].as_str().unwrap().to_owned();
        assert_eq!(page.json()["has_next"], !token.is_empty());
        if token.is_empty() {
            break;
        }
        let elsewhere = house.get(&format!("{PLACE}?page_token={token}")).await;
        assert_eq!((elsewhere.status.as_u16(), &elsewhere.json()["code"]), (400, &json!(3)));
    }
    assert_eq!(seen, ["5", "4", "3", "2", "1"]);
}

#[tokio::test]
async fn a_remediation_is_found_by_id_by_name_and_only_in_its_place() {
    let house = storing(configured(&["main"], None), &rows());
    let five = Uuid::from_u128(5);
    for path in [format!("{PLACE}/{five}"), format!("{}/{five}", PLACE.replace("i-7", "-"))] {
        let shown = house.get(&path).await.json();
        assert_eq!(
            (&shown["state"], &shown["linked_alerts"][0]["alert_name"]),
            (&json!("RUNNING"), &json!("DmesgXidError"))
        );
    }
    let by_name = house.get(&format!("{PLACE}/00000000-0000-0000-0000-00000000cafe")).await;
    assert_eq!(by_name.json()["id"], Uuid::from_u128(2).to_string());
    for path in [
        format!("{}/{five}", PLACE.replace("i-7", "i-8")),
        format!("{}/{five}", PLACE.replace("c-1", "c-2")),
        format!("{}/{five}", PLACE.replace("c-1/instances/i-7", "c-2/instances/-")),
        format!("{PLACE}/{}", Uuid::from_u128(9)),
        format!("{PLACE}/x"),
        PLACE.replace("c-1", "c-9"),
        PLACE.replace("i-7", "i-9"),
        PLACE.replace("c-1", "c-2"),
    ] {
        let answer = house.get(&path).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (404, &json!(5)), "{path}");
    }
}

#[tokio::test]
async fn a_cluster_shows_its_nodes_and_that_one_is_under_repair() {
    let house = storing(configured(&["main"], None), &rows());
    let shown = house.get("/v1/compute/clusters/c-1").await.json();
    assert_eq!((&shown["status"], &shown["cluster_id"]), (&json!("Degraded"), &json!("c-1")));
    let nodes = shown["gpu_worker_nodes"].as_array().unwrap();
    assert_eq!(nodes.iter().map(|node| node["instance_id"].as_str().unwrap()).collect::<Vec<_>>(), ["i-7", "i-8"]);
    assert_eq!(nodes[0]["latest_remediation"]["state"], "RUNNING");
    assert_eq!(nodes[1].get("latest_remediation"), None);
    let all = house.get("/v1/compute/clusters").await.json();
    assert_eq!(all["clusters"].as_array().unwrap().len(), 2);
    assert_eq!(all["clusters"][1]["status"], "Ready");
    assert_eq!(house.get("/v1/compute/clusters/c-9").await.status, 404);
}

#[tokio::test]
async fn who_sees_one_cluster_sees_nothing_of_the_other() {
    let house = storing(configured(&["main"], Some(everybody())), &rows());
    let bearer = format!("Bearer {}", token("narrow"));
    let ask = async |path: &str| house.call("GET", path, &[("authorization", &bearer)], Body::empty()).await;
    let five = Uuid::from_u128(5);
    for path in [PLACE.to_owned(), format!("{PLACE}/{five}"), "/v1/compute/clusters/c-1".into()] {
        assert_eq!(ask(&path).await.status, 404, "{path}");
    }
    for path in [format!("/api/v1/remediations/{five}"), format!("/api/v1/remediations/{five}/history")] {
        assert_eq!(ask(&path).await.status, 404, "{path}");
    }
    assert_eq!(ask("/v1/compute/clusters").await.json()["clusters"].as_array().unwrap().len(), 1);
    for kind in ["alerts", "dead-letters", "instances", "remediations", "holds"] {
        assert_eq!(ask(&format!("/api/v1/{kind}")).await.json()[kind], json!([]), "{kind}");
    }
}

#[tokio::test]
async fn an_instance_that_moved_shows_nothing_of_the_cluster_that_it_left() {
    let moved = Instance { cluster_id: ClusterId::parse("c-2").unwrap(), ..instance() };
    let cluster = |id: &str| Change::Cluster(Cluster { id: ClusterId::parse(id).unwrap(), name: id.into() }.into());
    let old = Change::Remediation(Box::new(proposal().remediation));
    let rows = [cluster("c-1"), cluster("c-2"), Change::Instance(Box::new(moved)), old];
    let house = storing(configured(&["main"], Some(everybody())), &rows);
    let bearer = format!("Bearer {}", token("narrow"));
    let ask = async |path: &str| house.call("GET", path, &[("authorization", &bearer)], Body::empty()).await;
    let shown = ask("/v1/compute/clusters/c-2").await.json();
    assert_eq!(shown["gpu_worker_nodes"][0]["instance_id"], "i-7");
    assert_eq!(shown["gpu_worker_nodes"][0].get("latest_remediation"), None, "{shown}");
}

#[tokio::test]
async fn a_clients_name_is_found_even_where_another_cluster_has_such_an_id() {
    let [own, foreign] = [8, 7].map(|n| RemediationId::new(Uuid::from_u128(n)));
    let mut here = proposal().remediation;
    here.id = own;
    here.target.cluster_id = ClusterId::parse("c-2").unwrap();
    here.alias = Some(foreign.to_string());
    let alias = Alias { cluster_id: ClusterId::parse("c-2").unwrap(), alias: foreign.to_string(), remediation_id: own };
    let rows = [
        Change::Cluster(Cluster { id: ClusterId::parse("c-2").unwrap(), name: "c-2".into() }.into()),
        Change::Remediation(Box::new(proposal().remediation)),
        Change::Remediation(Box::new(here)),
        Change::Alias(Box::new(alias)),
    ];
    let house = storing(configured(&["main"], None), &rows);
    let answer =
        house.call("GET", &format!("/v1/compute/clusters/c-2/instances/-/remediations/{foreign}"), &[], "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["id"]), (200, &json!(own)));
}
