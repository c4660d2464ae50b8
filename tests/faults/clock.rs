//! A daemon whose clock is moved, and one that is stopped and goes on: nothing opens, ends or expires early (I37).

use std::time::Duration;

use remedyd::domain::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::load::{self, Load};
use crate::shim::{Control, Shim};
use crate::support::daemon::{Daemon, together};
use crate::support::now;
use crate::support::posts::{HEAVY, alert, firing, message, resolved};
use crate::support::site::Site;

const HOUR_NS: i64 = 3_600_000_000_000;
const JUMPED: &str = "the wall clock jumped";

/// Everything that time could end: a proposal, one whose alert cleared, a cool-down, a hold.
struct Windows {
    waiting: String,
    clearing: String,
    hold: String,
}

impl Windows {
    fn open(daemon: &Daemon<'_>) -> Self {
        let began = now().minus(Duration::from_secs(1));
        let propose = |node: &str, instance: &str| {
            daemon.deliver(&firing(HEAVY, node, began));
            daemon.wait_for(instance, "PENDING_APPROVAL")
        };
        let id = |row: &Value| row["id"].as_str().unwrap().to_owned();
        let waiting = id(&propose("gpu-node-7", "i-7"));
        let clearing = id(&propose("gpu-node-4", "i-4"));
        daemon.deliver(&resolved(HEAVY, "gpu-node-4", began, now()));
        daemon.post(&format!("{}/reject", together(&propose("gpu-node-3", "i-3"))), &json!({})).json();
        let hold = json!({"instance_id": "i-2", "reason": "someone works on it", "for": "30m"});
        let hold = id(&daemon.post("/api/v1/holds", &hold).json());
        Self { waiting, clearing, hold }
    }

    /// Nothing of it has moved; what asks again for the node that cools down, or is held, does not get it.
    fn assert_closed(&self, daemon: &Daemon<'_>, n: usize, when: &str) {
        for node in ["gpu-node-3", "gpu-node-2"] {
            let mut again = alert(HEAVY, node, now(), None);
            again["fingerprint"] = json!(format!("again-{n}-{node}"));
            again["labels"]["gpu"] = json!(n.to_string());
            daemon.deliver(&message(&[again]));
        }
        for id in [&self.waiting, &self.clearing] {
            let row = daemon.remediation(id);
            assert_eq!(row["state"], "PENDING_APPROVAL", "{when}: {row}");
        }
        assert!(!daemon.remediation(&self.clearing)["clear_since"].is_null());
        for instance in ["i-3", "i-2"] {
            let rows = daemon.rows("remediations", &format!("&instance_id={instance}"));
            assert!(rows.iter().all(|row| row["state"] == "CANCELLED"), "{when}: {rows:?}");
            let nodes = daemon.rows("instances", "");
            let node = nodes.iter().find(|node| node["id"] == instance).unwrap();
            let why = if instance == "i-3" { "COOLDOWN" } else { "HOLD" };
            assert_eq!(node["held"]["why"].as_str().unwrap().to_uppercase(), why, "{when}: {node}");
        }
        let [hold] = &daemon.rows("holds", "")[..] else { panic!("{when}: one hold") };
        assert_eq!((hold["id"].as_str().unwrap(), &hold["ended_at"]), (&*self.hold, &Value::Null), "{when}");
    }
}

fn start<'a>(site: &'a Site, shim: &Shim) -> Daemon<'a> {
    let mut daemon = Daemon::spawn_in(site, |command| shim.load(command, false));
    daemon.wait_ready();
    daemon
}

#[test]
fn a_clock_that_is_moved_ends_nothing_and_frees_nothing() {
    let site = Site::webhook_only();
    let shim = Shim::build(&site);
    let daemon = start(&site, &shim);
    let windows = Windows::open(&daemon);
    windows.assert_closed(&daemon, 0, "before");
    let jumps = [("an hour on", 1), ("a day on", 24), ("back again", 0), ("an hour back", -1), ("and again", 0)];
    for (n, (when, hours)) in jumps.into_iter().enumerate() {
        let (before, reads) = (daemon.log().matches(JUMPED).count(), shim.get(Control::ClockReads));
        shim.set(Control::ClockOffset, hours * HOUR_NS);
        // Each turn looks at the clock; the answer to a message is a turn.
        daemon.wait(&format!("the jump is noticed: {when}"), || {
            windows.assert_closed(&daemon, n + 1, when);
            let seen = daemon.log().matches(JUMPED).count();
            if seen > before { Ok(()) } else { Err(format!("{seen} jumps in the log")) }
        });
        assert!(shim.get(Control::ClockReads) > reads, "the daemon reads another clock");
        windows.assert_closed(&daemon, n + 1, when);
    }
    println!("figures: {} jumps, {} readings of the clock", jumps.len(), shim.get(Control::ClockReads));

    // A restart in the past goes on where the store ended.
    shim.set(Control::ClockOffset, -HOUR_NS);
    let last = Timestamp::parse(daemon.remediation(&windows.waiting)["created_at"].as_str().unwrap()).unwrap();
    daemon.stop();
    let daemon = start(&site, &shim);
    windows.assert_closed(&daemon, 9, "after a restart in the past");
    daemon.deliver(&firing(HEAVY, "gpu-node-5", now()));
    let row = daemon.wait_for("i-5", "PENDING_APPROVAL");
    assert!(Timestamp::parse(row["created_at"].as_str().unwrap()).unwrap() > last, "time went back: {row}");
    daemon.stop();
}

/// As long as a hypervisor that moves a machine, or somebody with a debugger.
const STOPPED: Duration = Duration::from_secs(3);

#[test]
fn a_daemon_that_is_stopped_for_a_while_goes_on_as_if_nothing_were() {
    let (site, driver) = load::site();
    let mut daemon = Daemon::start(&site);
    let mut load = Load::begin(daemon.client(), crate::seed());
    for _ in 0..3 {
        load.wait_for(20, &daemon);
        daemon.signal(Signal::STOP);
        let before = load.writes();
        // That time passes is what this is about.
        std::thread::park_timeout(STOPPED);
        assert!(load.writes() <= before + 4, "it was not stopped");
        daemon.signal(Signal::CONT);
        load.wait_for(20, &daemon);
        let known = load.acknowledged();
        let faults = load.faults(&daemon, &known, &driver);
        assert!(faults.is_empty(), "{faults:#?}");
    }
    assert!(!daemon.has_ended());
    let expired = daemon.log().matches("verb=expire").count();
    assert_eq!(expired, 0, "proposals wait for a day");
    let writes = load.end(&daemon, &driver);
    driver.assert_at_most_once();
    println!("figures: stopped 3 times for {STOPPED:?}, {writes} acknowledged writes, {} acts", driver.count("acted"));
    daemon.stop();
}
