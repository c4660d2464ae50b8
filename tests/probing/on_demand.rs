//! Runs that somebody asks for, over HTTP and with the client of a person.

use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::fleet::{fleet, start};
use crate::support::daemon::{Daemon, remedyd};
use crate::support::site::Site;

fn probe(daemon: &Daemon<'_>, node: &str, body: &Value) -> (u16, Value) {
    let answer = daemon.client().post(&format!("/api/v1/instances/{node}/probe"), body);
    (answer.status, serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer}")))
}

fn asks(site: &Site, words: &[&str]) -> Output {
    let server = format!("http://{}", site.daemon_address());
    remedyd().args(words).env("REMEDYD_SERVER", server).stdout(Stdio::piped()).output().unwrap()
}

#[test]
fn a_run_on_demand_is_kept_with_its_evidence_whatever_it_finds() {
    let (site, mut nodes) = fleet(4);
    let daemon = start(&site, &nodes);
    let runs = |body: &Value| body["runs"].as_array().unwrap_or_else(|| panic!("{body}")).clone();

    let (status, passed) = probe(&daemon, "i-1", &json!({}));
    let [run] = &runs(&passed)[..] else { panic!("{passed}") };
    assert_eq!((status, &run["verdict"], &run["why"]), (200, &"PASS".into(), &"on_demand".into()), "{run}");

    nodes[1].go_down();
    let (status, failed) = probe(&daemon, "i-1", &json!({ "check": "ssh" }));
    let [run] = &runs(&failed)[..] else { panic!("{failed}") };
    assert_eq!((status, &run["verdict"], &run["findings"][0]["name"]), (200, &"FAIL".into(), &"refused".into()));
    // It is there for everybody, and as good as any other: with the next one it is believed.
    let stored = daemon.get(&format!("/api/v1/runs/{}", run["id"].as_str().unwrap())).json();
    assert_eq!(&stored, run);
    assert!(stored["evidence"].as_str().is_some_and(|text| text.contains("port 9722")), "{stored}");
    let proposal = daemon.wait_for("i-1", "PENDING_APPROVAL");
    let believed = daemon.get(&format!("/api/v1/runs/{}", proposal["opened_by_run"].as_str().unwrap())).json();
    assert_eq!((&believed["instance_id"], &believed["verdict"]), (&"i-1".into(), &"FAIL".into()));
    assert!(believed["evidence"].as_str().is_some_and(|text| text.contains("refused")), "{believed}");

    for (node, body, wanted) in [("i-9", json!({}), 404), ("i-1", json!({ "check": "gone" }), 404)] {
        let (status, refusal) = probe(&daemon, node, &body);
        assert_eq!(status, wanted, "{refusal}");
    }
    daemon.stop();
}

#[test]
fn a_person_sees_what_a_run_found_and_scripts_see_it_in_the_exit_status() {
    let (site, mut nodes) = fleet(4);
    let daemon = start(&site, &nodes);
    let well = asks(&site, &["probe", "run", "i-2"]);
    assert_eq!(well.status.code(), Some(0), "{}", String::from_utf8_lossy(&well.stderr));
    assert!(String::from_utf8_lossy(&well.stdout).contains("PASS"));
    nodes[2].go_down();
    let sick = asks(&site, &["probe", "run", "i-2", "--check", "ssh"]);
    let shown = String::from_utf8_lossy(&sick.stdout);
    assert_eq!(sick.status.code(), Some(9), "{shown}");
    assert!(shown.contains("FAIL") && shown.contains("refused"), "{shown}");
    daemon.wait_for("i-2", "PENDING_APPROVAL");
    let failing = asks(&site, &["get", "conditions", "--failing"]);
    let shown = String::from_utf8_lossy(&failing.stdout);
    assert!(shown.contains("i-2") && !shown.contains("i-1"), "{shown}");
    daemon.stop();
}
