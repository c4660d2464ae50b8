//! What happens, from a seed.

use std::time::Duration;

use super::dice::Dice;

/// How many events one script has: some hours of a bad day.
const EVENTS: u64 = 200;

#[derive(Clone)]
pub struct Script {
    pub seed: u64,
    pub events: Vec<Event>,
}

/// One thing that happens, some time after the one before it.
#[derive(Clone, Debug)]
pub struct Event {
    pub after: Duration,
    pub kind: Kind,
    /// Everything that is left to chance until the next event.
    pub chance: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A node breaks in one way, for a while or for good.
    Fault,
    /// It breaks and heals by itself again and again.
    Flap,
    /// Several XIDs of one node within moments.
    Burst,
    /// Many nodes of one cluster at once: a switch, a power feed.
    Outage,
    /// A fault goes away by itself.
    Heal,
    /// Somebody silences a node or a kind of alert for a while.
    Silence,
    /// An Alertmanager starts anew and has forgotten everything.
    PeerRestarts,
    /// An Alertmanager is away for a while.
    PeerDown,
    /// Prometheus is away: its alerts end by themselves.
    PrometheusDown,
    /// Somebody approves, rejects, cancels, creates or holds.
    Person,
    /// Several people do so at the same moment, about the same remediation.
    Race,
    /// The configuration or the inventory changes.
    Reload,
    /// The daemon's process ends, somewhere in the turns that come.
    Kill,
    /// The whole machine does, and what runs on it.
    PowerCut,
    /// The store is exported.
    Backup,
    /// The last export is put back.
    Restore,
    /// The prober loses its network for a while.
    CutOff,
    /// The provider becomes worse, or well again.
    Mood,
}

/// How often each kind happens. Faults are far more often than on any real fleet (0.36 per 1,000 GPU days and up,
/// `fleet_fault_rates.csv`), people far busier, machines far less reliable: a run is years of trouble in a night.
const WEIGHTS: [(Kind, u64); 18] = [
    (Kind::Fault, 24),
    (Kind::Flap, 4),
    (Kind::Burst, 5),
    (Kind::Outage, 1),
    (Kind::Heal, 10),
    (Kind::Silence, 3),
    (Kind::PeerRestarts, 2),
    (Kind::PeerDown, 1),
    (Kind::PrometheusDown, 1),
    (Kind::Person, 30),
    (Kind::Race, 8),
    (Kind::Reload, 6),
    (Kind::Kill, 6),
    (Kind::PowerCut, 2),
    (Kind::Mood, 2),
    (Kind::Backup, 5),
    (Kind::Restore, 3),
    (Kind::CutOff, 2),
];

impl Script {
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let total: u64 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let events = (0..EVENTS).map(|_| {
            let mut at = dice.upto(0, total - 1);
            let (kind, _) = WEIGHTS
                .iter()
                .find(|(_, weight)| {
                    let is_it = at < *weight;
                    at = at.saturating_sub(*weight);
                    is_it
                })
                .expect("the draw is below the sum of the weights");
            let after = match dice.upto(0, 9) {
                0..=3 => dice.upto(0, 10_000),
                4..=7 => dice.upto(10_000, 240_000),
                _ => dice.upto(240_000, 1_500_000),
            };
            Event { after: Duration::from_millis(after), kind: *kind, chance: dice.next() }
        });
        Self { seed, events: events.collect() }
    }
}
