//! SIGKILL at random moments under load: whatever was acknowledged is there after the next start, whole, every start
//! comes up, and the driver's ledger shows nothing twice.

use std::time::Duration;

use remedyd::clock::Stopwatch;

use crate::dice::Dice;
use crate::load::{self, Figures, Load};
use crate::support::daemon::Daemon;

/// The load goes on for so many acknowledged writes after each start, at most, before the kill.
pub const ACKNOWLEDGED_PER_LIFE: u64 = 60;

/// So many lives has one store; then the next begins, so that a long run does not spend its time in long lists.
pub const LIVES: u64 = 10;

#[test]
fn nothing_that_was_acknowledged_is_lost_and_nothing_is_done_twice() {
    let (cuts, mut dice) = (crate::cuts(), Dice(crate::seed()));
    let mut figures = Figures::default();
    while figures.cuts < cuts {
        one_store(&mut dice, &mut figures);
    }
    println!("kills: {figures}");
}

fn one_store(dice: &mut Dice, figures: &mut Figures) {
    let (site, driver) = load::site();
    let mut daemon = Daemon::start(&site);
    let mut load = Load::begin(daemon.client(), dice.next());
    for life in 1..=LIVES {
        load.wait_for(dice.upto(1, ACKNOWLEDGED_PER_LIFE), &daemon);
        std::thread::park_timeout(Duration::from_micros(dice.upto(0, 5000)));
        daemon.kill();
        figures.cuts += 1;
        if life % 5 == 0 {
            // Killed on its way up as well.
            let starting = Daemon::spawn(&site);
            std::thread::park_timeout(Duration::from_millis(dice.upto(0, 120)));
            starting.kill();
            figures.early += 1;
        }
        let known = load.acknowledged();
        let since = Stopwatch::start();
        daemon = Daemon::start(&site);
        figures.slowest_start = figures.slowest_start.max(since.elapsed());
        let faults = load.faults(&daemon, &known, &driver);
        assert!(faults.is_empty(), "kill {}: {faults:#?}", figures.cuts);
    }
    let writes = load.end(&daemon, &driver);
    driver.assert_at_most_once();
    figures.add(writes, &driver, &daemon.log());
    daemon.stop();
}
