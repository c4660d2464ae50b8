//! The main flow with Debian's Alertmanager and the configuration that ships, each story once plain and once with a
//! restart of the daemon in its middle.
//!
//! What differs from the shipped files, and nothing else: the addresses of the test (daemon, Alertmanager); in
//! `alertmanager.yml` `group_wait` 0s and `group_interval` 1s of the route for nodes; in `remedyd.toml` the times that a
//! story names, and the driver where one must really be called.

mod support;

use remedyd::clock::Stopwatch;
use remedyd::domain::Timestamp;
use serde_json::Value;
use std::time::Duration;

use support::alertmanager::Alertmanager;
use support::daemon::{Daemon, End};
use support::driver::{Driver, Manner};
use support::now;
use support::posts::{HEAVY, LIGHT};
use support::relay::Relay;
use support::site::{MAIN, Site};

/// Longer than Alertmanager's second between two messages of a group, by enough for a machine under load.
const TTL: &str = "6s";

/// The node of every story, and who comes after it to show that a time has passed.
const NODE: (&str, &str) = ("gpu-node-7", "i-7");
const WITNESS: (&str, &str) = ("gpu-node-4", "i-4");

/// The shipped files, at the addresses of this test.
fn shipped(policy: &[(&str, &str)]) -> Site {
    let site = Site::shipped();
    let alertmanager = "config/alertmanager.yml";
    site.change(alertmanager, "http://127.0.0.1:9720/", &format!("http://{}/", site.daemon_address()));
    site.change(alertmanager, "group_wait: 10s", "group_wait: 0s");
    site.change(alertmanager, "group_interval: 30s", "group_interval: 1s");
    site.change(MAIN, "http://127.0.0.1:9093", &format!("http://{}", site.at(9093)));
    site.policy(policy);
    site
}

fn links(remediation: &Value) -> Vec<&str> {
    let links = remediation["linked_alerts"].as_array().unwrap();
    links.iter().map(|link| link["alert_name"].as_str().unwrap()).collect()
}

fn id(remediation: &Value) -> &str {
    remediation["id"].as_str().unwrap()
}

/// The middle of a story, where the daemon may be restarted.
fn meanwhile<'a>(daemon: Daemon<'a>, middle: Option<End>) -> Daemon<'a> {
    match middle {
        Some(end) => daemon.restart(end),
        None => daemon,
    }
}

/// Waits until all links are clear, and says since when.
fn wait_clear(daemon: &Daemon<'_>, remediation: &str) -> Timestamp {
    daemon.wait("every linked alert is clear", || {
        let found = daemon.remediation(remediation);
        found["clear_since"].as_str().map(|text| Timestamp::parse(text).unwrap()).ok_or(found)
    })
}

#[test]
fn firing_is_a_readable_proposal_within_a_second() {
    let site = shipped(&[]);
    let alertmanager = Alertmanager::start(&site, "config/alertmanager.yml");
    let daemon = Daemon::start(&site);
    let mut worst = Duration::ZERO;
    for (node, instance) in [1, 2, 3, 5, 6, 7].map(|n| (format!("gpu-node-{n}"), format!("i-{n}"))) {
        // Begins before Alertmanager is even told: an upper bound of the time since its notification arrived.
        let began = now();
        let since = Stopwatch::start();
        alertmanager.fire(HEAVY, &node, began);
        let proposal = daemon.wait_for(&instance, "PENDING_APPROVAL");
        worst = worst.max(since.elapsed());
        assert_eq!(links(&proposal), [HEAVY]);
        assert_eq!((&proposal["mode"], &proposal["trigger"]), (&"host_aware".into(), &"automated".into()));
    }
    println!("alert posted to Alertmanager -> PENDING_APPROVAL read with its link, worst of 6: {worst:?}");
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    daemon.stop();
}

#[test]
fn what_fires_while_the_daemon_is_down_is_proposed_after_its_start() {
    let site = shipped(&[]);
    let alertmanager = Alertmanager::start(&site, "config/alertmanager.yml");
    let daemon = Daemon::start(&site);
    let began = now();
    alertmanager.fire(HEAVY, NODE.0, began);
    let proposal = daemon.wait_for(NODE.1, "PENDING_APPROVAL");
    daemon.kill();
    alertmanager.fire(HEAVY, WITNESS.0, began);

    let daemon = Daemon::start(&site);
    assert_eq!(daemon.remediation(id(&proposal)), proposal, "what was acknowledged is as it was");
    let other = daemon.wait_for(WITNESS.1, "PENDING_APPROVAL");
    assert_eq!(links(&other), [HEAVY]);
    daemon.stop();
}

fn cleared_alerts_resolve_a_waiting_proposal(middle: Option<End>) {
    let site = shipped(&[("compact_ttl", "3s")]);
    let alertmanager = Alertmanager::start(&site, "config/alertmanager.yml");
    let daemon = Daemon::start(&site);
    let began = now();
    alertmanager.fire(HEAVY, NODE.0, began);
    let proposal = daemon.wait_for(NODE.1, "PENDING_APPROVAL");
    alertmanager.resolve(HEAVY, NODE.0, began);
    let clear_since = wait_clear(&daemon, id(&proposal));
    let daemon = meanwhile(daemon, middle);
    let ended = daemon.wait_until(id(&proposal), "AUTO_RESOLVED");
    let ended_at = Timestamp::parse(ended["ended_at"].as_str().unwrap()).unwrap();
    assert!(ended_at >= clear_since.plus(Duration::from_secs(3)), "not before the TTL: {ended}");
    assert_eq!(links(&ended), [HEAVY], "a resolved alert stays linked");
    assert_ne!(ended["linked_alerts"][0]["resolved_at"], Value::Null);
    assert_eq!(daemon.verbs(id(&proposal)), ["create", "resolve"]);
    daemon.stop();
}

#[test]
fn cleared_alerts_resolve_a_waiting_proposal_after_the_ttl() {
    cleared_alerts_resolve_a_waiting_proposal(None);
}

#[test]
fn cleared_alerts_resolve_a_waiting_proposal_over_a_stop() {
    cleared_alerts_resolve_a_waiting_proposal(Some(End::Stop));
}

fn a_refire_within_the_ttl_keeps_the_proposal(middle: Option<End>) {
    let site = shipped(&[("compact_ttl", TTL)]);
    let alertmanager = Alertmanager::start(&site, "config/alertmanager.yml");
    let daemon = Daemon::start(&site);
    let began = now();
    alertmanager.fire(HEAVY, NODE.0, began);
    alertmanager.fire(HEAVY, WITNESS.0, began);
    let proposal = daemon.wait_for(NODE.1, "PENDING_APPROVAL");
    let witness = daemon.wait_for(WITNESS.1, "PENDING_APPROVAL");

    alertmanager.resolve(HEAVY, NODE.0, began);
    let cleared = wait_clear(&daemon, id(&proposal));
    let daemon = meanwhile(daemon, middle);
    alertmanager.fire(HEAVY, NODE.0, now());
    alertmanager.resolve(HEAVY, WITNESS.0, began);
    let kept = daemon.wait("the alert is back", || {
        let found = daemon.remediation(id(&proposal));
        if found["clear_since"].is_null() { Ok(found) } else { Err(found) }
    });
    assert_eq!((&kept["state"], &kept["linked_alerts"][0]["refires"]), (&"PENDING_APPROVAL".into(), &1.into()));

    // The witness cleared later: once it has resolved itself, the time of the other one is long over.
    assert!(wait_clear(&daemon, id(&witness)) >= cleared);
    daemon.wait_until(id(&witness), "AUTO_RESOLVED");
    let kept = daemon.remediation(id(&proposal));
    assert_eq!((&kept["state"], &kept["clear_since"]), (&"PENDING_APPROVAL".into(), &Value::Null));
    assert_eq!(kept["linked_alerts"][0]["resolved_at"], Value::Null);
    assert_eq!(daemon.remediations().len(), 2, "nothing else was opened");
    daemon.stop();
}

#[test]
fn a_refire_within_the_ttl_keeps_it() {
    a_refire_within_the_ttl_keeps_the_proposal(None);
}

#[test]
fn a_refire_within_the_ttl_keeps_it_over_a_kill() {
    a_refire_within_the_ttl_keeps_the_proposal(Some(End::Kill));
}

fn a_heavier_alert_raises_the_mode(middle: Option<End>) {
    let site = shipped(&[]);
    let alertmanager = Alertmanager::start(&site, "config/alertmanager.yml");
    let daemon = Daemon::start(&site);
    let began = now();
    alertmanager.fire(LIGHT, NODE.0, began);
    let light = daemon.wait_for(NODE.1, "PENDING_APPROVAL");
    assert_eq!((links(&light), &light["mode"]), (vec![LIGHT], &"reboot_vm".into()));
    let daemon = meanwhile(daemon, middle);
    alertmanager.fire(HEAVY, NODE.0, began);
    let heavy = daemon.wait("the mode is raised", || {
        let found = daemon.remediation(id(&light));
        if found["mode"] == "host_aware" { Ok(found) } else { Err(found) }
    });
    assert_eq!((links(&heavy), &heavy["state"]), (vec![LIGHT, HEAVY], &"PENDING_APPROVAL".into()));
    assert_eq!(daemon.remediations().len(), 1, "in place");
    assert_eq!(daemon.verbs(id(&light)), ["create", "raise"]);
    daemon.stop();
}

#[test]
fn a_heavier_alert_raises_the_mode_in_place() {
    a_heavier_alert_raises_the_mode(None);
}

#[test]
fn a_heavier_alert_raises_the_mode_in_place_over_a_kill() {
    a_heavier_alert_raises_the_mode(Some(End::Kill));
}

#[test]
fn an_approved_repair_is_confirmed_at_its_source_done_once_and_proven() {
    let site = shipped(&[("soak", "1s")]);
    let driver = Driver::install(&site, Manner::Done, "1m");
    let alertmanager = Alertmanager::start(&site, "config/alertmanager.yml");
    // The daemon's way to Alertmanager leads through a relay that counts its questions.
    site.change(MAIN, &format!("{}", site.at(9093)), &format!("{}", site.at(9094)));
    let relay = Relay::start(site.at(9094), site.at(9093));
    let asked = || relay.asked("GET /api/v2/alerts");
    let daemon = Daemon::start(&site);
    let began = now();
    alertmanager.fire(HEAVY, NODE.0, began);
    let proposal = daemon.wait_for(NODE.1, "PENDING_APPROVAL");
    assert_eq!((asked(), driver.ledger().len()), (0, 0), "nobody is asked before a person has approved");

    assert_eq!(daemon.approve(&proposal)["reviewed_by"], "local");
    daemon.wait("the driver acts", || (driver.count("acted") == 1).then_some(()).ok_or("not yet"));
    assert_eq!(asked(), 1, "one question before the act");

    alertmanager.resolve(HEAVY, NODE.0, began);
    let ended = daemon.wait_until(id(&proposal), "SUCCEEDED");
    assert_eq!(asked(), 2, "and one after it");
    assert_eq!((&ended["failure"], &ended["attempt"]["outcome"]), (&Value::Null, &"done".into()));
    assert_eq!((driver.count("act"), driver.count("query")), (1, 0));
    assert_eq!(daemon.verbs(id(&proposal)), ["create", "approve", "start", "succeed"]);
    daemon.stop();
}

#[test]
fn a_silence_keeps_an_approved_repair_from_starting() {
    let site = shipped(&[]);
    let driver = Driver::install(&site, Manner::Done, "1m");
    let alertmanager = Alertmanager::start(&site, "config/alertmanager.yml");
    let daemon = Daemon::start(&site);
    alertmanager.fire(HEAVY, NODE.0, now());
    let proposal = daemon.wait_for(NODE.1, "PENDING_APPROVAL");
    let silence = alertmanager.silence(NODE.0);

    daemon.approve(&proposal);
    let waiting = daemon.wait("the reason is shown", || {
        let found = daemon.remediation(id(&proposal));
        if found["waits_for"].is_null() { Err(found) } else { Ok(found) }
    });
    assert_eq!(waiting["waits_for"], "its alerts are silenced or inhibited at their source");
    assert_eq!((&waiting["state"], driver.ledger().len()), (&"PENDING".into(), 0));

    // Alertmanager tells nobody that a silence ended: the daemon asks again by itself, every 30 s.
    alertmanager.unsilence(NODE.0, &silence);
    daemon.wait("the driver acts", || (driver.count("acted") == 1).then_some(()).ok_or("not yet"));
    daemon.wait_until(id(&proposal), "RUNNING");
    daemon.stop();
}
