//! A disk that gets full under load: writers are told to come back, reads go on, nothing is acted upon, and thirty seconds
//! after there is room at the latest everything goes on. Nothing is lost.

use std::time::Duration;

use remedyd::clock::Stopwatch;
use remedyd::domain::Timestamp;
use serde_json::{Value, json};

use crate::load::{self, Load};
use crate::shim::{Control, ENOSPC, JOURNAL, OTHERS, Shim};
use crate::small_disk::SmallDisk;
use crate::support::client::Answer;
use crate::support::daemon::{Daemon, together};
use crate::support::eventually;
use crate::support::now;
use crate::support::posts::{HEAVY, firing};
use crate::support::site::{MAIN, Site};

/// How long the daemon may take to notice that there is room (the figure).
const BACK_WITHIN: Duration = Duration::from_secs(30);

/// How long after its time a start that was to come would have come.
const WELL_AFTER: Duration = Duration::from_secs(2);
/// A node that the load leaves alone.
const QUIET: &str = "quiet";

fn ask(daemon: &Daemon<'_>, method: &str, path: &str, body: &Value) -> Answer {
    daemon
        .client()
        .ask(method, path, Some(&body.to_string()))
        .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
}

fn webhook(daemon: &Daemon<'_>, node: &str) -> Answer {
    ask(daemon, "POST", "/api/v1/webhooks/alertmanager", &firing(HEAVY, node, now()))
}

/// Every kind of read is answered.
fn assert_reads(daemon: &Daemon<'_>, id: &str) {
    for path in ["alerts", "remediations", "instances", "holds", "dead-letters", &format!("remediations/{id}/history")]
    {
        let answer = daemon.client().ask("GET", &format!("/api/v1/{path}"), None).unwrap();
        assert_eq!(answer.status, 200, "GET {path}: {answer}");
    }
}

/// Every kind of write is told to come back.
fn assert_closed(daemon: &Daemon<'_>, row: &Value) {
    let create = "/v1/compute/clusters/train-a/instances/n-59/remediations";
    let body = json!({"mode": "REMEDIATION_MODE_REBOOT_VM", "reason": "full"});
    for (path, body) in [
        ("/api/v1/webhooks/alertmanager", &firing(HEAVY, "n-58", now())),
        (create, &body),
        (&*format!("{}/cancel", together(row)), &json!({})),
        ("/api/v1/holds", &json!({"instance_id": "n-57", "reason": "full", "for": "1h"})),
    ] {
        let answer = ask(daemon, "POST", path, body);
        assert!(answer.status == 503 && answer.body.contains("no room"), "POST {path}: {answer}");
        assert!(answer.head.to_lowercase().contains("retry-after"), "{}", answer.head);
    }
    assert!(webhook(daemon, "n-56").status == 503);
    let ready = daemon.client().ask("GET", "/-/ready", None).unwrap();
    assert!(ready.status == 503 && ready.body.contains("no room"), "{ready}");
}

/// A remediation that is approved and starts a little later.
fn about_to_start(daemon: &Daemon<'_>) -> Value {
    let made = webhook(daemon, QUIET);
    assert!(made.is_success(), "{made}");
    let row = daemon.wait_for(QUIET, "PENDING_APPROVAL");
    daemon.approve(&row);
    daemon.remediation(row["id"].as_str().unwrap())
}

fn wait_for_room(daemon: &Daemon<'_>) -> Duration {
    let since = Stopwatch::start();
    eventually(BACK_WITHIN, "there is room, and it goes on", || {
        let message = firing(HEAVY, "n-55", now()).to_string();
        // A process that begins anew answers nobody for a moment.
        match daemon.client().ask("POST", "/api/v1/webhooks/alertmanager", Some(&message)) {
            Ok(answer) if answer.is_success() => Ok(()),
            Ok(answer) => Err(answer.to_string()),
            Err(error) => Err(error.to_string()),
        }
    });
    since.elapsed()
}

#[test]
fn a_full_disk_stops_writers_and_acts_and_loses_nothing() {
    let (site, driver) = load::site();
    site.append(
        "config/inventory.d/train-a.toml",
        &format!("[instances.{QUIET}]\ncluster = \"train-a\"\nhost = \"{QUIET}\""),
    );
    let Some(disk) = SmallDisk::mount(&site.path("data"), &site.path("disk.img")) else {
        return without_mounting(&site);
    };
    site.change(MAIN, "min_free = \"256MiB\"", "min_free = \"16MiB\"");
    site.change(MAIN, "ballast = \"0B\"", "ballast = \"4MiB\"");
    site.policy(&[("dispatch_delay", "5s")]);
    let daemon = Daemon::start(&site);
    let mut load = Load::begin(daemon.client(), crate::seed());
    load.wait_for(60, &daemon);
    let row = about_to_start(&daemon);
    let id = row["id"].as_str().unwrap();

    disk.fill(12 << 20);
    eventually(BACK_WITHIN, "the daemon sees it", || match webhook(&daemon, "n-54") {
        answer if answer.status == 503 => Ok(()),
        answer => Err(answer),
    });
    // And a good deal further: what was taken must not need much.
    disk.fill(2 << 20);
    let (free, acted) = (disk.free(), driver.count("act"));
    let known = load.acknowledged();
    let started = driver.ledger().iter().any(|line| line.contains(id));
    assert!(!started, "the disk was to be full before it starts");
    // Its time comes and goes, and so do other things' times.
    let due = Timestamp::parse(row["due"]["at"].as_str().unwrap()).unwrap();
    while now() < due.plus(WELL_AFTER) {
        assert_closed(&daemon, &row);
        assert_reads(&daemon, id);
    }
    assert_eq!(driver.count("act"), acted, "something was acted upon without room: {:?}", driver.ledger());
    assert_eq!(daemon.remediation(id)["state"], "PENDING");

    disk.make_room();
    let back = wait_for_room(&daemon);
    let faults = load.faults(&daemon, &known, &driver);
    assert!(faults.is_empty(), "{faults:#?}");
    daemon.wait("the approved one is acted upon", || {
        driver.ledger().iter().any(|line| line.starts_with("acted") && line.contains(id)).then_some(()).ok_or("not yet")
    });

    // Somebody takes the last byte while sled has rows to write: the process begins anew, by itself, and answers reads.
    for n in 0..5 {
        assert!(webhook(&daemon, &format!("n-{n}")).is_success());
    }
    disk.fill(0);
    daemon.wait("reads are answered on a disk without a byte", || {
        let ready = daemon.client().ask("GET", "/-/ready", None).map_err(|error| error.to_string())?;
        if ready.status == 503 && ready.body.contains("no room") { Ok(()) } else { Err(ready.to_string()) }
    });
    daemon.wait("it goes on answering", || {
        let is_answered = |path: &str| daemon.client().ask("GET", path, None).is_ok_and(|answer| answer.status == 200);
        let all = ["/api/v1/alerts", "/api/v1/remediations", "/api/v1/holds"].into_iter().all(is_answered);
        if all { Ok(()) } else { Err("it did not") }
    });
    disk.make_room();
    let anew = wait_for_room(&daemon);

    // A stop on a full disk may fail. The start after that gives up the ballast, answers reads, and takes writes as soon
    // as there is room.
    disk.fill(0);
    daemon.end_somehow();
    let (daemon, why) = Daemon::start_without_room(&site);
    assert_reads(&daemon, id);
    assert_closed(&daemon, &row);
    disk.make_room();
    let again = wait_for_room(&daemon);
    let writes = load.end(&daemon, &driver);
    driver.assert_at_most_once();
    println!(
        "figures: {} of 64 MiB, {free} bytes were free; back {back:?}, {anew:?} after the last byte was taken, and, after a \
         start without room ({}), {again:?} after there was some; {writes} acknowledged writes, {} acts",
        disk.kind,
        why.trim(),
        driver.count("acted"),
    );
    daemon.stop();
}

/// Where nothing can be mounted the shim plays the full disk. The floor looks at the real one, so only the end is shown:
/// the process ends, and the start after there is room has everything.
fn without_mounting(site: &Site) {
    eprintln!(
        "NOT A REAL DISK: this process may not mount, so the shim says ENOSPC instead, and the floor is not tried"
    );
    let shim = Shim::build(site);
    let mut daemon = Daemon::spawn_in(site, |command| shim.load(command, false));
    daemon.wait_ready();
    assert!(webhook(&daemon, "n-1").is_success());
    shim.set(Control::Where, JOURNAL | OTHERS);
    shim.set(Control::WriteErrno, ENOSPC);
    let _ =
        daemon.client().ask("POST", "/api/v1/webhooks/alertmanager", Some(&firing(HEAVY, "n-2", now()).to_string()));
    assert!(!daemon.ended().success());
    shim.set(Control::WriteErrno, 0);
    let daemon = Daemon::start(site);
    daemon.wait_for("n-1", "PENDING_APPROVAL");
    daemon.stop();
}
