//! Real faults against the real binary: kills, power cuts, bad and full disks, stopped processes, moved clocks, races.
//!
//! What a test prints are its figures; `cargo test --test faults -- --nocapture` shows them. Longer runs take
//! `REMEDYD_TEST_CUTS` and `REMEDYD_TEST_SEED`.

mod dice;
mod support;

#[path = "faults/clock.rs"]
mod clock;
#[path = "faults/disk.rs"]
mod disk;
#[path = "faults/failing.rs"]
mod failing;
#[path = "faults/hangs.rs"]
mod hangs;
#[path = "faults/kills.rs"]
mod kills;
#[path = "faults/load.rs"]
mod load;
#[path = "faults/power.rs"]
mod power;
#[path = "faults/races.rs"]
mod races;
#[path = "faults/room.rs"]
mod room;
#[path = "faults/shim.rs"]
mod shim;
#[path = "faults/small_disk.rs"]
mod small_disk;
#[path = "faults/watchdog.rs"]
mod watchdog;

use dice::number;

/// How often the daemon is cut off: often enough for the suite, or as often as a longer run says.
fn cuts() -> u64 {
    number("REMEDYD_TEST_CUTS", 30)
}

/// A seed of one's own finds other moments; a failure names the one that it had.
fn seed() -> u64 {
    let seed = number("REMEDYD_TEST_SEED", 20_261_121);
    println!("REMEDYD_TEST_SEED={seed}");
    seed
}
