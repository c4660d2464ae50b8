//! What the daemon makes of drivers that lie, hang and lose their answers: the ledger says what really happened.

use std::time::Duration;

use serde_json::Value;

use crate::support::daemon::{Daemon, End};
use crate::support::driver::{Driver, Manner};
use crate::support::now;
use crate::support::posts::{HEAVY, firing, resolved};
use crate::support::site::Site;
use remedyd::domain::Timestamp;

/// When the alert of a story began: long enough ago to end within the same moment.
fn begin() -> Timestamp {
    now().minus(Duration::from_secs(1))
}

/// A proposal for `i-7` that a person has approved.
fn approved(daemon: &Daemon<'_>, began: Timestamp) -> String {
    daemon.deliver(&firing(HEAVY, "gpu-node-7", began));
    let proposal = daemon.wait_for("i-7", "PENDING_APPROVAL");
    daemon.approve(&proposal);
    proposal["id"].as_str().unwrap().to_owned()
}

fn wait_count(daemon: &Daemon<'_>, driver: &Driver, what: &str, wanted: usize) {
    daemon.wait(&format!("the ledger has {wanted} × `{what}`"), || match driver.ledger() {
        _ if driver.count(what) == wanted => Ok(()),
        ledger => Err(format!("{ledger:?}")),
    });
}

/// The alert ends, and with it the story.
fn proven(daemon: &Daemon<'_>, id: &str, began: Timestamp) -> Value {
    daemon.deliver(&resolved(HEAVY, "gpu-node-7", began, now()));
    daemon.wait_until(id, "SUCCEEDED")
}

#[test]
fn one_that_acts_is_called_once_and_the_cleared_alert_proves_it() {
    let site = Site::webhook_only();
    site.policy(&[("soak", "200ms")]);
    let driver = Driver::install(&site, Manner::Done, "1m");
    let daemon = Daemon::start(&site);
    let began = begin();
    let id = approved(&daemon, began);
    wait_count(&daemon, &driver, "acted", 1);
    proven(&daemon, &id, began);
    assert_eq!((driver.count("act"), driver.count("query")), (1, 0));
    daemon.stop();
}

#[test]
fn one_that_says_done_and_repairs_nothing_ends_not_cleared() {
    let site = Site::webhook_only();
    site.policy(&[("soak", "200ms"), ("verify_within", "1s")]);
    let driver = Driver::install(&site, Manner::Lies, "1m");
    let daemon = Daemon::start(&site);
    let id = approved(&daemon, begin());
    let ended = daemon.wait_until(&id, "FAILED");
    assert_eq!(ended["failure"]["code"], "NOT_CLEARED", "{ended}");
    let detail = ended["failure"]["detail"].as_str().unwrap();
    assert!(detail.contains("1 of 1 linked alerts did not clear: DmesgGpuFallenOffBus"), "{detail}");
    assert_eq!((driver.count("act"), driver.count("acted"), driver.count("query")), (1, 0, 0));
    assert_eq!(daemon.rows("holds", ""), Vec::<Value>::new(), "its outcome is known, so nothing is held");
    daemon.stop();
}

fn an_answer_that_is_lost_is_asked_for(manner: Manner, deadline: &str, how: &str) {
    let site = Site::webhook_only();
    site.policy(&[("soak", "200ms")]);
    let driver = Driver::install(&site, manner, deadline);
    let daemon = Daemon::start(&site);
    let began = begin();
    let id = approved(&daemon, began);
    wait_count(&daemon, &driver, "query", 1);
    let running = daemon.wait("the answer arrives", || {
        let found = daemon.remediation(&id);
        if found["attempt"]["outcome"] == "done" { Ok(found) } else { Err(found) }
    });
    assert_eq!(running["attempt"]["detail"], "the record shows it", "{running}");
    proven(&daemon, &id, began);
    let key = running["attempt"]["operation_key"].as_str().unwrap();
    let expected = ["act", "acted", "query"].map(|what| format!("{what} {key}"));
    assert_eq!(driver.ledger(), expected, "{how}");
    daemon.stop();
}

#[test]
fn one_that_is_killed_after_it_acted_is_asked_and_never_called_again() {
    an_answer_that_is_lost_is_asked_for(Manner::LosesItsAnswer, "1m", "killed");
}

#[test]
fn one_that_hangs_beyond_its_deadline_is_asked_and_never_called_again() {
    an_answer_that_is_lost_is_asked_for(Manner::Hangs, "2s", "hung");
}

fn the_daemon_ends_in_the_middle_of_an_act(end: End) {
    let site = Site::webhook_only();
    site.policy(&[("soak", "200ms")]);
    // Longer than anybody here waits: whoever called it again would wait behind its first call for as long.
    let driver = Driver::install(&site, Manner::WaitsAtTheGate, "10m");
    let daemon = Daemon::start(&site);
    let began = begin();
    let id = approved(&daemon, began);
    wait_count(&daemon, &driver, "act", 1);

    let daemon = daemon.restart(end);
    daemon.wait("the question is on its way", || {
        let log = daemon.log();
        log.contains("is asked to query host_aware on gpu-node-7").then_some(()).ok_or("nobody asked")
    });
    // The program of the daemon before is still at it: it is waited for, not asked around.
    assert_eq!((driver.count("act"), driver.count("acted"), driver.count("query")), (1, 0, 0));
    assert_eq!(daemon.remediation(&id)["state"], "RUNNING");

    driver.open_gate();
    wait_count(&daemon, &driver, "query", 1);
    proven(&daemon, &id, began);
    assert_eq!((driver.count("act"), driver.count("acted"), driver.count("query")), (1, 1, 1));
    daemon.stop();
}

#[test]
fn one_that_acts_while_the_daemon_is_killed_is_waited_for_and_asked() {
    the_daemon_ends_in_the_middle_of_an_act(End::Kill);
}

#[test]
fn one_that_acts_while_the_daemon_is_stopped_is_waited_for_and_asked() {
    the_daemon_ends_in_the_middle_of_an_act(End::Stop);
}

#[test]
fn one_that_cannot_tell_ends_outcome_unknown_and_its_node_is_held() {
    let site = Site::webhook_only();
    let driver = Driver::install(&site, Manner::CannotTell, "1s");
    let daemon = Daemon::start(&site);
    let id = approved(&daemon, begin());
    let ended = daemon.wait_until(&id, "FAILED");
    assert_eq!(ended["failure"]["code"], "OUTCOME_UNKNOWN", "{ended}");
    assert_eq!((driver.count("act"), driver.count("acted")), (1, 1));
    assert!(driver.count("query") >= 1);

    let [hold] = &daemon.rows("holds", "&instance_id=i-7")[..] else { panic!("one hold") };
    assert!(hold["reason"].as_str().unwrap().contains(&id), "{hold}");
    assert_eq!((&hold["created_by"], &hold["ended_at"]), (&"remedyd".into(), &Value::Null));

    let daemon = daemon.restart(End::Kill);
    assert_eq!(daemon.rows("holds", ""), std::slice::from_ref(hold));
    assert_eq!(daemon.remediation(&id), ended);
    assert_eq!(driver.count("act"), 1);
    daemon.stop();
}
