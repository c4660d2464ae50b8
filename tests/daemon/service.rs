//! Under systemd: what it is told from the start to the end.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::daemon::Daemon;
use crate::support::now;
use crate::support::posts::{HEAVY, firing};
use crate::support::site::Site;
use crate::support::systemd::Systemd;

#[test]
fn systemd_is_told_what_goes_on() {
    let (site, systemd) = (Site::webhook_only(), Systemd::new());
    let mut daemon = Daemon::spawn_in(&site, |command| systemd.watch(command, Duration::from_secs(30)));
    systemd.wait("READY=1", 0);
    daemon.wait_ready();
    systemd.wait("STATUS=0 waiting for approval", 0);
    // Nothing happens, and it lives.
    let idle = systemd.count();
    let first = systemd.wait("WATCHDOG=1", idle);
    systemd.wait("WATCHDOG=1", first);

    daemon.deliver(&firing(HEAVY, "gpu-node-7", now()));
    systemd.wait("STATUS=1 waiting for approval, 0 approved, 0 under way, 0 held back", idle);
    let before = systemd.count();
    daemon.signal(Signal::HUP);
    let reloading = systemd.wait("RELOADING=1", before);
    assert!(systemd.times("MONOTONIC_USEC=", reloading - 1) > 0, "systemd 253 does without it");
    systemd.wait("READY=1", reloading);
    daemon.stop();
    systemd.wait("STOPPING=1", reloading);
}
