//! A writer that hangs tells systemd's watchdog nothing, whatever the rest of the daemon does.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use remedyd::clock::Stopwatch;
use rustix::process::Signal;

use crate::shim::{Control, JOURNAL, Shim};
use crate::support::daemon::Daemon;
use crate::support::posts::{HEAVY, firing};
use crate::support::site::Site;
use crate::support::systemd::Systemd;
use crate::support::{SOON, eventually, now};

/// An idle writer shows a sign of life so often.
const HEARTBEAT: Duration = Duration::from_secs(5);

#[test]
fn a_writer_that_hangs_shows_no_sign_of_life() {
    let (site, systemd) = (Site::webhook_only(), Systemd::new());
    let shim = Shim::build(&site);
    shim.set(Control::Where, JOURNAL);
    let mut daemon = Daemon::spawn_in(&site, |command| {
        systemd.watch(command, Duration::from_secs(30));
        shim.load(command, false);
    });
    daemon.wait_ready();
    systemd.wait("WATCHDOG=1", 0);

    // A disk that takes an hour for the next sync.
    shim.set(Control::SyncTakes, 3_600_000_000);
    let syncs = shim.get(Control::Syncs);
    let client = daemon.client().clone();
    let body = firing(HEAVY, "gpu-node-7", now()).to_string();
    let sender = std::thread::spawn(move || client.ask("POST", "/api/v1/webhooks/alertmanager", Some(&body)));
    eventually(SOON, "the sync began", || {
        let now = shim.get(Control::Syncs);
        if now > syncs { Ok(()) } else { Err(now) }
    });
    let (hangs, since) = (systemd.count(), Stopwatch::start());
    // The process is alive and answers; only its writer is not.
    assert_eq!(daemon.client().get("/-/healthy").status, 200);
    // In the end it gives itself up. Until then systemd heard nothing, for longer than two heartbeats.
    let status = daemon.ended();
    let took = since.elapsed();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()), "{status}\n{}", daemon.log_tail());
    assert!(took > 2 * HEARTBEAT, "it ended after {took:?}");
    assert_eq!(systemd.times("WATCHDOG=1", hangs), 0, "it was petted while the writer hung");
    // Whoever sent the alert was not told that it was taken.
    let answer = sender.join().unwrap();
    assert!(answer.as_ref().is_err() || answer.as_ref().is_ok_and(|answer| answer.status >= 500), "{answer:?}");
    println!("figures: no sign of life for {took:?} of a writer that hung");
}
