//! Power cuts under load: after each the disk holds what a sync covered, and of the rest whatever the dice leave.

use std::time::Duration;

use remedyd::clock::Stopwatch;

use crate::dice::Dice;
use crate::disk::{Disk, Image, Survives};
use crate::kills::{ACKNOWLEDGED_PER_LIFE, LIVES};
use crate::load::{self, Figures, Load, doubled};
use crate::shim::{Control, FILES, FOLDERS, Shim};
use crate::support::daemon::Daemon;
use crate::support::driver::Driver;
use crate::support::site::Site;

/// A machine whose power can be cut.
pub struct Machine<'a> {
    pub site: &'a Site,
    driver: &'a Driver,
    pub shim: Shim,
    /// What the disk held when the daemon of this life began.
    disk: Image,
}

impl<'a> Machine<'a> {
    pub fn new(site: &'a Site, driver: &'a Driver) -> Self {
        Self { site, driver, shim: Shim::build(site), disk: Image::default() }
    }

    fn spawn(&self) -> Daemon<'a> {
        Daemon::spawn_in(self.site, |command| self.shim.load(command, true))
    }

    pub fn start(&self) -> Daemon<'a> {
        let mut daemon = self.spawn();
        daemon.wait_ready();
        daemon
    }

    /// Somebody deletes sled's folder, for good.
    fn lose_sled(&mut self) {
        let is_sled = |path: &String| path == "sled" || path.starts_with("sled/");
        self.disk.folders.retain(|path| !is_sled(path));
        self.disk.files.retain(|path, _| !is_sled(path));
        self.disk.put(&self.site.path("data"));
    }

    /// Everything that runs on this machine is gone, and its disk is what is left of it.
    fn cut(&mut self, daemon: Daemon<'_>, survives: Survives, dice: &mut Dice) {
        daemon.kill();
        self.cut_after_end(survives, dice);
    }

    /// The same, where the daemon had just ended.
    pub fn cut_after_end(&mut self, survives: Survives, dice: &mut Dice) {
        self.driver.kill_all();
        let folder = self.site.path("data");
        let log = self.shim.log();
        let disk = Disk::follow(&self.disk, &folder, &log);
        assert!(disk.foreign.is_empty(), "the shim cannot follow {:?}", disk.foreign);
        // Nothing went around the shim: all that was logged makes all that is there, but for what the kill cut short.
        let differ = disk.after(Survives::Everything, dice).differences(&Image::read(&folder));
        let unknown: Vec<_> = differ.difference(&disk.last).collect();
        assert!(
            unknown.is_empty(),
            "something changed {unknown:?} behind the shim's back; the last was {:?}",
            disk.last
        );
        self.disk = disk.after(survives, dice);
        self.disk.put(&folder);
    }
}

/// How often a start that builds sled anew is cut off.
const REBUILDS: usize = 8;

#[test]
fn a_start_that_builds_sled_anew_can_be_cut_off_at_any_moment() {
    let mut dice = Dice(crate::seed());
    let (site, driver) = load::site();
    let mut machine = Machine::new(&site, &driver);
    let mut daemon = machine.start();
    let mut load = Load::begin(daemon.client(), dice.next());
    load.wait_for(100, &daemon);
    machine.cut(daemon, Survives::Everything, &mut dice);
    let known = load.acknowledged();
    let begun = |daemon: &Daemon<'_>| daemon.log().matches("sled is built anew").count();
    for n in 0..REBUILDS {
        machine.lose_sled();
        daemon = machine.spawn();
        daemon.wait("it builds sled anew", || if begun(&daemon) > n { Ok(()) } else { Err("not yet") });
        std::thread::park_timeout(Duration::from_millis(dice.upto(0, 100)));
        let how = survives(&mut dice);
        machine.cut(daemon, how, &mut dice);
    }
    daemon = machine.start();
    let faults = load.faults(&daemon, &known, &driver);
    assert!(faults.is_empty(), "{faults:#?}");
    load.end(&daemon, &driver);
    println!("figures: {REBUILDS} rebuilds were cut off, {} in all were begun", begun(&daemon));
    daemon.stop();
}

fn survives(dice: &mut Dice) -> Survives {
    match dice.upto(0, 3) {
        0 => Survives::Nothing,
        1 => Survives::Everything,
        _ => Survives::Some,
    }
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged_and_does_nothing_twice() {
    let (cuts, mut dice) = (crate::cuts(), Dice(crate::seed()));
    let (mut figures, mut left) = (Figures::default(), [0; 3]);
    while figures.cuts < cuts {
        one_store(&mut dice, &mut figures, &mut left);
    }
    println!("power cuts: {figures}; nothing, everything, some of the unsynced survived: {left:?}");
}

fn one_store(dice: &mut Dice, figures: &mut Figures, left: &mut [u64; 3]) {
    let (site, driver) = load::site();
    let mut machine = Machine::new(&site, &driver);
    let mut daemon = machine.start();
    let mut load = Load::begin(daemon.client(), dice.next());
    for life in 1..=LIVES {
        // A slow disk is nearly always cut off in the middle of a sync.
        machine.shim.set(Control::SyncTakes, if dice.one_in(2) { 5000 } else { 0 });
        load.wait_for(dice.upto(1, ACKNOWLEDGED_PER_LIFE), &daemon);
        std::thread::park_timeout(Duration::from_micros(dice.upto(0, 5000)));
        let how = survives(dice);
        left[how as usize] += 1;
        machine.cut(daemon, how, dice);
        figures.cuts += 1;
        if life % 5 == 0 {
            // Cut on its way up as well.
            let starting = machine.spawn();
            std::thread::park_timeout(Duration::from_millis(dice.upto(0, 120)));
            let how = survives(dice);
            machine.cut(starting, how, dice);
            figures.early += 1;
        }
        let known = load.acknowledged();
        let since = Stopwatch::start();
        daemon = machine.start();
        figures.slowest_start = figures.slowest_start.max(since.elapsed());
        let faults = load.faults(&daemon, &known, &driver);
        assert!(faults.is_empty(), "cut {}, {how:?} survived: {faults:#?}", figures.cuts);
    }
    let writes = load.end(&daemon, &driver);
    let doubled = doubled(&driver);
    assert!(doubled.is_empty(), "{doubled:?} in {:?}", driver.ledger());
    figures.add(writes, &driver, &daemon.log());
    daemon.stop();
}

/// What a disk loses that says `lie` to syncs from the store's first moment on, or from the second start on.
fn lost_by(lie: i64, from_the_beginning: bool) -> usize {
    let mut dice = Dice(crate::seed());
    let (site, driver) = load::site();
    let mut machine = Machine::new(&site, &driver);
    if from_the_beginning {
        machine.shim.set(Control::Lies, lie);
    }
    let mut daemon = machine.start();
    let mut load = Load::begin(daemon.client(), dice.next());
    load.wait_for(20, &daemon);
    if !from_the_beginning {
        machine.cut(daemon, Survives::Nothing, &mut dice);
        daemon = machine.start();
        let known = load.acknowledged();
        let faults = load.faults(&daemon, &known, &driver);
        assert!(faults.is_empty(), "an honest disk: {faults:#?}");
        machine.shim.set(Control::Lies, lie);
        load.wait_for(60, &daemon);
    }
    machine.cut(daemon, Survives::Nothing, &mut dice);
    machine.shim.set(Control::Lies, 0);
    let known = load.acknowledged();
    daemon = machine.start();
    let faults = load.faults(&daemon, &known, &driver);
    daemon.kill();
    faults.iter().filter(|fault| fault.contains("acknowledged")).count()
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_caught() {
    let lost = (lost_by(FILES, false), lost_by(FOLDERS, true));
    println!("figures: a disk that lies about files loses {} acknowledged writes, about folders {}", lost.0, lost.1);
    assert!(lost.0 > 0 && lost.1 > 0, "nothing was lost, so the power cuts find nothing");
}
