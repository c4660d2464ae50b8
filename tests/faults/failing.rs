//! A disk that fails under load: the daemon ends within five seconds and not as if all were well, nothing that was
//! acknowledged before is lost, even if the power goes right then, and nothing is acknowledged after it (I34).

use std::time::Duration;

use remedyd::clock::Stopwatch;

use crate::dice::Dice;
use crate::disk::Survives;
use crate::load::{self, Load, doubled};
use crate::power::Machine;
use crate::shim::{Control, EIO, ENOSPC, JOURNAL, OTHERS};
use crate::support::eventually;

/// How long a daemon may go on after its store failed.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Runs a load into a disk that fails as `fail` says; `part` is what fails.
fn the_daemon_ends(what: &str, part: i64, fail: impl Fn(&Machine<'_>)) {
    let mut dice = Dice(crate::seed());
    let (site, driver) = load::site();
    let mut machine = Machine::new(&site, &driver);
    let mut daemon = machine.start();
    let mut load = Load::begin(daemon.client(), dice.next());
    load.wait_for(30, &daemon);
    machine.shim.set(Control::Where, part);
    fail(&machine);
    let syncs = machine.shim.get(Control::Syncs);
    let since = Stopwatch::start();
    let status = daemon.ended();
    let took = since.elapsed();
    assert!(!status.success() && took < ENDS_WITHIN, "{what}: {status} after {took:?}\n{}", daemon.log_tail());
    if part == JOURNAL && machine.shim.get(Control::SyncErrno) != 0 {
        // A second sync of the same file would say that all is well: the kernel forgets what it could not write.
        let later = machine.shim.get(Control::Syncs) - syncs;
        assert!(later <= 3, "{what}: the journal was synced {later} times");
    }
    let known = load.acknowledged();
    let last = load.writes();
    for (control, number) in [(Control::SyncFails, 0), (Control::WriteErrno, 0), (Control::Room, 0)] {
        machine.shim.set(control, number);
    }
    // What was synced is all that is left: so nothing can have been acknowledged on the strength of a failed sync.
    machine.cut_after_end(Survives::Nothing, &mut dice);
    daemon = machine.start();
    let faults = load.faults(&daemon, &known, &driver);
    assert!(faults.is_empty(), "{what}: {faults:#?}");
    load.wait_for(5, &daemon);
    load.end(&daemon, &driver);
    let doubled = doubled(&driver);
    assert!(doubled.is_empty(), "{doubled:?} in {:?}", driver.ledger());
    println!("figures: {what}: {status} after {took:?}, {last} writes acknowledged before, none lost");
    daemon.stop();
}

#[test]
fn a_sync_of_the_journal_that_fails_once_ends_it() {
    the_daemon_ends("the journal's third sync from now says EIO, the next ones nothing", JOURNAL, |machine| {
        machine.shim.set(Control::SyncErrno, EIO);
        machine.shim.set(Control::SyncFails, 3);
    });
}

#[test]
fn a_journal_that_cannot_be_written_ends_it() {
    the_daemon_ends("writes to the journal say EIO", JOURNAL, |machine| machine.shim.set(Control::WriteErrno, EIO));
}

#[test]
fn a_journal_whose_disk_gets_full_in_the_middle_of_a_turn_ends_it() {
    the_daemon_ends("the journal's disk takes 1,000 bytes more", JOURNAL, |machine| {
        machine.shim.set(Control::Room, machine.shim.get(Control::Grown) + 1000);
        // What was laid ahead takes a thousand turns or so; what comes then needs room.
        eventually(Duration::from_secs(60), "the zeros ahead are used up", || {
            let last = machine.site.journal().pop().unwrap();
            let zeros = last.iter().rev().take_while(|byte| **byte == 0).count();
            if zeros < 16 << 10 { Ok(()) } else { Err(zeros) }
        });
    });
}

#[test]
fn sled_that_cannot_be_written_ends_it() {
    the_daemon_ends("writes of sled say ENOSPC", OTHERS, |machine| machine.shim.set(Control::WriteErrno, ENOSPC));
}

#[test]
fn sled_that_cannot_be_synced_ends_it() {
    the_daemon_ends("sled's next sync says EIO", OTHERS, |machine| {
        machine.shim.set(Control::SyncErrno, EIO);
        machine.shim.set(Control::SyncFails, 1);
    });
}
