//! SIGKILL at random moments under load: whatever was acknowledged is there after the next start, whole, every start
//! comes up, and the driver's ledger shows nothing twice.

use std::time::Duration;

use remedyd::clock::Stopwatch;

use crate::dice::Dice;
use crate::load::{self, Load};
use crate::support::daemon::Daemon;

/// The load goes on for so many acknowledged writes after each start, at most, before the kill.
pub const ACKNOWLEDGED_PER_LIFE: u64 = 60;

#[test]
fn nothing_that_was_acknowledged_is_lost_and_nothing_is_done_twice() {
    let (cuts, seed) = (crate::cuts(), crate::seed());
    let mut dice = Dice(seed);
    let (site, driver) = load::site();
    let mut daemon = Daemon::start(&site);
    let mut load = Load::begin(daemon.client(), seed);
    let (mut slowest, mut early) = (Duration::ZERO, 0);
    for life in 1..=cuts {
        load.wait_for(dice.upto(1, ACKNOWLEDGED_PER_LIFE), &daemon);
        std::thread::park_timeout(Duration::from_micros(dice.upto(0, 5000)));
        daemon.kill();
        if life % 5 == 0 {
            // Killed on its way up as well.
            let starting = Daemon::spawn(&site);
            std::thread::park_timeout(Duration::from_millis(dice.upto(0, 120)));
            starting.kill();
            early += 1;
        }
        let known = load.acknowledged();
        let since = Stopwatch::start();
        daemon = Daemon::start(&site);
        slowest = slowest.max(since.elapsed());
        let faults = load.faults(&daemon, &known, &driver);
        assert!(faults.is_empty(), "kill {life}: {faults:#?}");
    }
    let writes = load.end(&daemon, &driver);
    driver.assert_at_most_once();
    println!(
        "{cuts} kills and {early} on the way up, {writes} acknowledged writes, {} acts, {} questions, \
         slowest start {slowest:?}",
        driver.count("acted"),
        driver.count("query"),
    );
    daemon.stop();
}
