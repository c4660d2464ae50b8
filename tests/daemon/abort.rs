//! A person stops what has begun: the driver's own ledger says that the act happened once and was undone once.

use serde_json::{Value, json};

use crate::support::client::Answer;
use crate::support::daemon::{Daemon, End};
use crate::support::driver::{Driver, Manner};
use crate::support::now;
use crate::support::posts::{HEAVY, firing};
use crate::support::site::Site;

/// A proposal for `i-7` that a person has approved.
fn approved(daemon: &Daemon<'_>) -> String {
    daemon.deliver(&firing(HEAVY, "gpu-node-7", now()));
    let proposal = daemon.wait_for("i-7", "PENDING_APPROVAL");
    daemon.approve(&proposal);
    proposal["id"].as_str().unwrap().to_owned()
}

fn abort(daemon: &Daemon<'_>, id: &str) -> Answer {
    daemon.client().post(&format!("/api/v1/remediations/{id}/abort"), &json!({"reason": "wrong node"}))
}

fn wait_ledger(daemon: &Daemon<'_>, driver: &Driver, last: &str) {
    daemon.wait(&format!("the ledger ends with `{last}`"), || match words(driver) {
        words if words.last().is_some_and(|word| word == last) => Ok(()),
        words => Err(format!("{words:?}")),
    });
}

/// What happened, in order, without the key, which is the same in every line.
fn words(driver: &Driver) -> Vec<String> {
    let lines = driver.ledger();
    let keys: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "more than one operation: {lines:?}");
    lines.iter().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// Waits until it is done and waits for its alerts.
fn wait_done(daemon: &Daemon<'_>, id: &str) {
    daemon.wait("the act is done", || {
        let found = daemon.remediation(id);
        if found["attempt"]["outcome"] == "done" { Ok(()) } else { Err(found) }
    });
}

fn aborted(daemon: &Daemon<'_>, id: &str, what: &str) {
    let ended = daemon.wait_until(id, "FAILED");
    assert_eq!(ended["failure"]["code"], "ABORTED", "{ended}");
    let detail = ended["failure"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("aborted by local: wrong node; ") && detail.contains(what), "{detail}");
    assert_eq!(daemon.verbs(id), ["create", "approve", "start", "abort", "fail"]);
    let again = abort(daemon, id);
    assert_eq!(again.status, 409, "{again}");
    assert!(again.body.contains("is FAILED; only RUNNING can be aborted"), "{again}");
}

#[test]
fn a_driver_at_work_is_waited_for_over_a_kill_and_its_act_is_undone_once() {
    let site = Site::webhook_only();
    let driver = Driver::install(&site, Manner::WaitsAtTheGate, "10m");
    let daemon = Daemon::start(&site);
    let id = approved(&daemon);
    wait_ledger(&daemon, &driver, "act");
    let first = abort(&daemon, &id);
    assert_eq!((first.status, &first.json()["state"]), (200, &json!("RUNNING")), "{first}");
    assert_eq!(first.json()["attempt"]["abort"]["by"], "local", "{first}");
    let second = abort(&daemon, &id);
    assert_eq!((second.status, second.json()["version"].as_u64()), (200, first.json()["version"].as_u64()));

    let daemon = daemon.restart(End::Kill);
    daemon.wait("the question is on its way", || {
        let log = daemon.log();
        log.contains("is asked to query host_aware on gpu-node-7").then_some(()).ok_or("nobody asked")
    });
    assert_eq!(words(&driver), ["act"], "the program of the daemon before is still at it");
    driver.open_gate();
    aborted(&daemon, &id, "the act was undone: undone once");
    assert_eq!(words(&driver), ["act", "acted", "query", "undo", "undone"]);
    assert_eq!(daemon.rows("holds", ""), Vec::<Value>::new(), "nothing stands, so nothing is held");
    daemon.stop();
}

#[test]
fn an_undoing_whose_answer_is_lost_is_asked_for_and_not_repeated() {
    let site = Site::webhook_only();
    let driver = Driver::install(&site, Manner::LosesItsUndoing, "1m");
    let daemon = Daemon::start(&site);
    let id = approved(&daemon);
    wait_done(&daemon, &id);
    assert_eq!(abort(&daemon, &id).status, 200);
    aborted(&daemon, &id, "the act was undone: the record shows it undone");
    assert_eq!(words(&driver), ["act", "acted", "undo", "undone", "query"]);
    daemon.stop();
}

#[test]
fn what_cannot_be_undone_is_said_and_the_node_is_held() {
    let site = Site::webhook_only();
    let driver = Driver::install(&site, Manner::CannotUndo, "1m");
    let daemon = Daemon::start(&site);
    let id = approved(&daemon);
    wait_done(&daemon, &id);
    assert_eq!(abort(&daemon, &id).status, 200);
    aborted(&daemon, &id, "the act stands, it was not undone: a reboot cannot be taken back");
    assert_eq!(words(&driver), ["act", "acted", "undo"]);
    let [hold] = &daemon.rows("holds", "&instance_id=i-7")[..] else { panic!("one hold") };
    assert!(hold["reason"].as_str().unwrap().contains("the act stands"), "{hold}");
    daemon.stop();
}

#[test]
fn a_rehearsal_is_undone_at_once_and_what_has_not_begun_is_cancelled() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    daemon.deliver(&firing(HEAVY, "gpu-node-7", now()));
    let proposal = daemon.wait_for("i-7", "PENDING_APPROVAL");
    let id = proposal["id"].as_str().unwrap();
    let early = abort(&daemon, id);
    assert_eq!(early.status, 409, "{early}");
    assert!(
        early.body.contains("is PENDING_APPROVAL; only RUNNING can be aborted; what has not begun is cancelled"),
        "{early}"
    );
    daemon.approve(&proposal);
    wait_done(&daemon, id);
    assert_eq!(abort(&daemon, id).status, 200);
    aborted(&daemon, id, "the act was undone: dry run: nothing was touched");
    daemon.stop();
}
