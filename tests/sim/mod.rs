//! A cluster in virtual time: machines that break, Alertmanagers that tell of it, people, a provider, and a daemon that
//! is killed at every moment. `script` says what happens, `world` lets it happen, `invariants` judges every turn.
//!
//! A run depends on its script and nothing else: every event carries its own chance, so that a script from which events
//! are taken away still means the same for those that stay. That is what makes a failure small (`shrink`).

#[path = "../dice/mod.rs"]
pub mod dice;
#[path = "../rows/mod.rs"]
mod rows;

mod alertmanager;
mod daemon;
mod invariants;
mod liveness;
mod model;
mod people;
mod prober;
mod provider;
mod restore;
pub mod sabotage;
pub mod script;
pub mod shrink;
mod site;
pub mod tally;
mod world;

use std::fmt;

use sabotage::Sabotage;
use script::Script;
use tally::Tally;
use world::World;

/// Something that must never be.
#[derive(Clone, Debug)]
pub struct Violation {
    /// Which invariant, as SAFETY §4.3 numbers them, or a name of our own.
    pub invariant: &'static str,
    pub why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.invariant, self.why)
    }
}

/// What came of one script.
pub struct Run {
    pub turns: u64,
    pub tally: Tally,
    pub violation: Option<Violation>,
    /// The last things that happened, where a trace was asked for.
    pub trace: Vec<String>,
}

/// Lets a script happen, then everything become well, and judges all of it.
pub fn run(script: &Script, sabotage: Option<&'static Sabotage>, traced: bool) -> Run {
    let mut world = World::new(script.seed, sabotage, traced);
    let violation = world.live_through(&script.events).err();
    Run { turns: world.turns, tally: world.tally, violation, trace: world.trace.into_iter().flatten().collect() }
}
