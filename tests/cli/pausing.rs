//! The kill switch on a real daemon, over a kill -9.

use serde_json::{Value, json};

use crate::asking::{ask, proposals};
use crate::support::daemon::{Daemon, End};
use crate::support::driver::{Driver, Manner};
use crate::support::now;
use crate::support::posts::{HEAVY, firing};
use crate::support::site::Site;

#[test]
fn nothing_begins_while_it_is_on_not_even_after_a_kill() {
    let site = Site::webhook_only();
    site.policy(&[("dispatch_delay", "0s")]);
    let driver = Driver::install(&site, Manner::Done, "1m");
    let daemon = Daemon::start(&site);
    let ids = proposals(&daemon, &[1]);
    let paused = ask(&site, &["pause", "-m", "power work in hall 2"]).ends(0);
    assert!(paused.out.starts_with("everything is paused by local since "), "{paused:?}");
    ask(&site, &["approve", &ids[0]]).ends(0);
    daemon.deliver(&firing(HEAVY, "gpu-node-2", now()));
    let refused = ask(&site, &["create", "remediation", "i-3", "--mode", "reboot_vm", "-m", "x"]).ends(5);
    assert!(
        refused.err.contains("everything is paused by local since ") && refused.err.contains("hall 2"),
        "{refused:?}"
    );

    let daemon = daemon.restart(End::Kill);
    daemon.wait("the approved one says what it waits for", || match daemon.remediation(&ids[0]) {
        row if row["waits_for"].as_str().is_some_and(|why| why.contains("is paused")) => Ok(()),
        row => Err(row),
    });
    let held = ask(&site, &["get", "instances", "-l", "held=\"paused\"", "-o", "name"]).ends(0);
    assert_eq!(held.out, "instance/i-2\n");
    let pauses = ask(&site, &["get", "pauses"]).ends(0);
    assert_eq!(pauses.cells()[1][..2], ["everything", "local"]);
    assert_eq!(daemon.metric("remedyd_paused{scope=\"everything\"}"), Some(1.0));
    assert_eq!(daemon.metric("remedyd_held{reason=\"paused\"}"), Some(1.0));
    assert_eq!((driver.ledger(), daemon.remediations().len()), (Vec::<String>::new(), 1));

    ask(&site, &["resume", "-m", "power is back"]).ends(0);
    daemon.wait_for("i-2", "PENDING_APPROVAL");
    daemon.wait("it was carried out", || match driver.count("acted") {
        1 => Ok(()),
        _ => Err(daemon.remediation(&ids[0])),
    });
    assert_eq!(daemon.metric("remedyd_paused{scope=\"everything\"}"), Some(0.0));
    let past = daemon.get("/api/v1/pauses?ended=true").json();
    let past = &past["pauses"][0];
    assert_eq!((&past["resume_reason"], &past["cluster_id"]), (&json!("power is back"), &Value::Null));
}

#[test]
fn a_cluster_has_a_switch_of_its_own() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    ask(&site, &["pause", "--cluster", "train-a", "-m", "fabric upgrade"]).ends(0);
    ask(&site, &["pause", "-m", "power"]).ends(0);
    let resumed = ask(&site, &["resume"]).ends(0);
    assert!(resumed.err.contains("still paused: train-a, by local: fabric upgrade"), "{resumed:?}");
    ask(&site, &["pause", "--cluster", "train-x", "-m", "x"]).ends(4);
    assert!(ask(&site, &["pause"]).ends(3).err.contains("say why nothing may begin"));
    ask(&site, &["resume", "--cluster", "train-a"]).ends(0);
    assert!(ask(&site, &["resume", "--cluster", "train-a"]).ends(5).err.contains("cluster train-a is not paused"));
    assert_eq!(daemon.get("/api/v1/pauses").json()["pauses"], json!([]));
}

#[test]
fn a_node_is_held_and_let_go() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let held = ask(&site, &["hold", "i-4", "--for", "2h", "-m", "disk swap"]).ends(0);
    assert!(held.out.contains(" on i-4 until "), "{held:?}");
    let refused = ask(&site, &["create", "remediation", "i-4", "--mode", "reboot_vm", "-m", "x"]).ends(5);
    assert!(refused.err.contains("instance i-4 is held until") && refused.err.contains("disk swap"), "{refused:?}");
    let id = daemon.rows("holds", "")[0]["id"].as_str().unwrap().to_owned();
    ask(&site, &["hold", "i-5", "--for", "1h", "-m", "x"]).ends(0);
    // Every id begins alike, and a node called 01 is not held.
    ask(&site, &["unhold", &id[..3]]).ends(4);
    ask(&site, &["unhold", &id]).ends(0);
    ask(&site, &["unhold", "i-5"]).ends(0);
    assert_eq!(daemon.rows("holds", ""), Vec::<Value>::new());
}
