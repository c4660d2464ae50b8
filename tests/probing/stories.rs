//! One node, several nodes, all of them at once, and a daemon that dies in the middle.

use remedyd::domain::Timestamp;
use serde_json::Value;

use crate::fleet::{firing, fleet, remediations, runs, start, wait_fault, wait_runs, wait_well};
use crate::support::daemon::{Daemon, End, LOG, together};

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_else(|| panic!("{key} of {row}")).to_owned()
}

fn time(row: &Value, key: &str) -> Timestamp {
    Timestamp::parse(&text(row, key)).unwrap()
}

#[test]
fn a_node_that_stops_answering_is_proposed_with_its_run_and_resolves_when_it_answers_again() {
    let (site, mut nodes) = fleet(4);
    let daemon = start(&site, &nodes);
    assert!(daemon.remediations().is_empty() && firing(&daemon).is_empty());

    nodes[1].go_down();
    let proposal = daemon.wait_for("i-1", "PENDING_APPROVAL");
    assert!(runs(&daemon, "ssh", "fail") >= 2.0, "it was proposed before failures_before");
    assert_eq!((text(&proposal, "rule"), text(&proposal, "mode")), ("check-unreachable".into(), "reboot_vm".into()));
    // Whoever has to approve sees which run it was and what that run saw, in both dialects.
    let run = text(&proposal, "opened_by_run");
    let shown = daemon.get(&together(&proposal)).json();
    assert_eq!(text(&shown, "active_health_check_run_id"), run);
    let [alert] = &proposal["linked_alerts"].as_array().unwrap()[..] else { panic!("{proposal}") };
    assert_eq!((text(alert, "source"), text(alert, "alert_name")), ("checks".into(), "ssh".into()));
    let annotations = &alert["annotations"];
    assert_eq!(text(annotations, "run_id"), run);
    assert_eq!(text(annotations, "summary"), "ssh fails on gpu-node-1: refused");
    assert!(text(annotations, "description").contains("port 9722"), "{annotations}");
    assert_eq!(firing(&daemon), ["i-1"]);

    nodes[1].go_up();
    let resolved = daemon.wait_until(&text(&proposal, "id"), "AUTO_RESOLVED");
    let calm = time(&resolved, "ended_at").since(time(&resolved, "clear_since"));
    assert!(calm.as_secs() >= 2, "it resolved itself {calm:?} after it was clear");
    assert!(firing(&daemon).is_empty());

    // Two dead nodes of four are two dead nodes.
    nodes[0].go_down();
    nodes[2].go_down();
    daemon.wait_for("i-0", "PENDING_APPROVAL");
    daemon.wait_for("i-2", "PENDING_APPROVAL");
    assert_eq!(daemon.metric("remedyd_prober_fault"), Some(0.0));
    daemon.stop();
}

#[test]
fn a_reload_says_whom_to_look_at() {
    const INVENTORY: &str = "config/inventory.d/train-a.toml";
    let (site, nodes) = fleet(2);
    let both = site.read(INVENTORY);
    let (first, second) = both.split_at(both.find("[instances.i-1]").unwrap());
    site.write(INVENTORY, first);
    let daemon = start(&site, &nodes[..1]);
    let planned = || daemon.metric("remedyd_checks_planned");
    assert_eq!(planned(), Some(1.0));

    site.write(INVENTORY, &both);
    wait_well(&daemon, 2);
    assert_eq!(planned(), Some(2.0));

    // What is not taken changes nothing.
    site.write(INVENTORY, &format!("{second}\nhammer = 1\n"));
    daemon.wait("the reload is refused", || match daemon.metric("remedyd_config_last_reload_successful") {
        Some(0.0) => Ok(()),
        is => Err(format!("{is:?}")),
    });
    wait_runs(&daemon, "ssh", "pass", 2);
    assert_eq!(planned(), Some(2.0));

    site.write(INVENTORY, second);
    daemon.wait("one node is looked at", || match planned() {
        Some(1.0) => Ok(()),
        is => Err(format!("{is:?}")),
    });
    wait_runs(&daemon, "ssh", "pass", 2);
    wait_well(&daemon, 1);
    daemon.stop();
}

#[test]
fn a_daemon_that_is_killed_in_the_middle_goes_on_where_it_was() {
    let (site, mut nodes) = fleet(3);
    let daemon = start(&site, &nodes);
    // After one FAIL, which is not enough.
    nodes[0].go_down();
    wait_runs(&daemon, "ssh", "fail", 1);
    let daemon = daemon.restart(End::Kill);
    let proposal = daemon.wait_for("i-0", "PENDING_APPROVAL");

    let daemon = daemon.restart(End::Kill);
    wait_runs(&daemon, "ssh", "fail", 2);
    let rows = remediations(&daemon, 0);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["id"], &rows[0]["state"]), (&proposal["id"], &"PENDING_APPROVAL".into()));
    assert_eq!(rows[0]["opened_by_run"], proposal["opened_by_run"]);
    assert_eq!(firing(&daemon), ["i-0"]);

    // It answers again while nobody looks, and another one goes.
    daemon.kill();
    nodes[0].go_up();
    nodes[2].go_down();
    let daemon = Daemon::start(&site);
    daemon.wait_until(&text(&proposal, "id"), "AUTO_RESOLVED");
    daemon.wait_for("i-2", "PENDING_APPROVAL");
    assert_eq!((remediations(&daemon, 0).len(), remediations(&daemon, 2).len()), (1, 1));

    // And once more between its end and the end of the TTL.
    nodes[2].go_up();
    wait_well(&daemon, 3);
    let daemon = daemon.restart(End::Kill);
    daemon.wait_for("i-2", "AUTO_RESOLVED");
    assert_eq!(daemon.remediations().len(), 2);
    daemon.stop();
}

#[test]
fn a_daemon_that_loses_its_own_network_opens_nothing_and_says_so() {
    let (site, mut nodes) = fleet(6);
    let daemon = start(&site, &nodes);
    nodes.iter_mut().for_each(|node| node.go_down());
    wait_fault(&daemon, true);
    // As often as would open all of them.
    wait_runs(&daemon, "ssh", "fail", 4 * nodes.len());
    assert!(daemon.remediations().is_empty() && firing(&daemon).is_empty());
    assert!(site.read(LOG).contains("prober fault: "), "{}", daemon.log_tail());
    assert!(site.read(LOG).contains("nodes that are probed from here fail at once"), "{}", daemon.log_tail());
    assert!(daemon.metric("remedyd_suspect_nodes") >= Some(3.0));

    // The same after a restart: what was counted before is worth nothing.
    let daemon = daemon.restart(End::Kill);
    wait_fault(&daemon, true);
    wait_runs(&daemon, "ssh", "fail", 4 * nodes.len());
    assert!(daemon.remediations().is_empty() && firing(&daemon).is_empty());

    // Its network is back; one of them is dead indeed.
    nodes[1..].iter_mut().for_each(|node| node.go_up());
    wait_fault(&daemon, false);
    let proposal = daemon.wait_for("i-0", "PENDING_APPROVAL");
    assert!(site.read(LOG).contains("prober fault: over"), "{}", daemon.log_tail());
    assert!(!proposal["opened_by_run"].is_null());
    wait_well(&daemon, nodes.len() - 1);
    assert_eq!(daemon.remediations().len(), 1);
    daemon.stop();
}
