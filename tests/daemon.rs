//! The daemon as a process: real files, real programs, real signals.

mod support;

use support::daemon::Daemon;
use support::driver::{Driver, Manner};
use support::now;
use support::posts::{HEAVY, firing, resolved};
use support::site::Site;

#[test]
fn a_driver_acts_once_and_the_cleared_alert_proves_it() {
    let site = Site::webhook_only();
    site.policy(&[("soak", "200ms")]);
    let driver = Driver::install(&site, Manner::Done, "1m");
    let daemon = Daemon::start(&site);
    let began = now();
    daemon.deliver(&firing(HEAVY, "gpu-node-7", began));
    let proposal = daemon.wait_for("i-7", "PENDING_APPROVAL");
    daemon.approve(&proposal);
    daemon.wait("the driver acts", || (driver.count("acted") == 1).then_some(()).ok_or("not yet"));
    daemon.deliver(&resolved(HEAVY, "gpu-node-7", began, now()));
    daemon.wait_for("i-7", "SUCCEEDED");
    assert_eq!((driver.count("act"), driver.count("query")), (1, 0));
    daemon.stop();
}
