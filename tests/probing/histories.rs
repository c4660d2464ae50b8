//! Random histories of listeners that are closed and opened, with a daemon that is killed now and then and a prober without a
//! network, against a model that fits on a page: who is away long enough is proposed once, who is back resolves itself, and
//! while too many are away at once nothing changes.
//!
//! `REMEDYD_TEST_SEEDS` replaces the number of histories, `REMEDYD_TEST_SEED` the first.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::dice::{Dice, number};
use crate::fleet::{addresses, firing, fleet_at, remediations, start, wait_fault, wait_runs};
use crate::support::daemon::{Daemon, End};
use crate::support::listener::Listener;

const HISTORIES: u64 = 4;
const STEPS: u64 = 6;
const NODES: usize = 7;
/// From three on, and 30 % of seven, it would be a fault of ours.
const AWAY_AT_ONCE: usize = 2;
/// Histories that are told side by side.
const SIDE_BY_SIDE: usize = 4;

/// What should be: which nodes are away, and how many remediations each ever had.
#[derive(Default)]
struct Model {
    away: BTreeSet<usize>,
    remediations: [usize; NODES],
}

impl Model {
    fn leaves(&mut self, node: usize) {
        if self.away.insert(node) {
            self.remediations[node] += 1;
        }
    }

    /// Nothing where the daemon is as it should be once all has settled, else what is not.
    fn differs(&self, daemon: &Daemon<'_>) -> Option<String> {
        let mut why = String::new();
        let should: Vec<String> = self.away.iter().map(|node| format!("i-{node}")).collect();
        let fires = firing(daemon);
        if fires != should {
            write!(why, "checks fire on {fires:?} instead of {should:?}; ").unwrap();
        }
        for (node, expected) in self.remediations.iter().enumerate() {
            let rows = remediations(daemon, node);
            let newest = rows.first().map(|row| row["state"].as_str().unwrap().to_owned());
            let state = match (expected, self.away.contains(&node)) {
                (0, _) => None,
                (_, true) => Some("PENDING_APPROVAL".to_owned()),
                (_, false) => Some("AUTO_RESOLVED".to_owned()),
            };
            let without_run = rows.iter().filter(|row| row["opened_by_run"].is_null()).count();
            if (rows.len(), &newest, without_run) != (*expected, &state, 0) {
                write!(
                    why,
                    "i-{node}: {} remediations, the newest {newest:?}, instead of {expected}, {state:?}; ",
                    rows.len()
                )
                .unwrap();
            }
        }
        (!why.is_empty()).then_some(why)
    }
}

#[test]
fn histories_of_real_listeners_end_as_the_model_says() {
    let first = number("REMEDYD_TEST_SEED", 1);
    let histories = number("REMEDYD_TEST_SEEDS", HISTORIES);
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                let addresses = addresses(NODES);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + histories {
                        break;
                    }
                    tell(seed, &addresses);
                }
            });
        }
    });
    println!("{histories} histories of {STEPS} steps with {NODES} listeners, 0 differences");
}

fn tell(seed: u64, addresses: &[IpAddr]) {
    let mut dice = Dice(seed);
    let (site, mut nodes) = fleet_at(addresses);
    let mut daemon = start(&site, &nodes);
    let mut model = Model::default();
    let mut told = format!("REMEDYD_TEST_SEED={seed}:");
    for _ in 0..STEPS {
        match dice.upto(0, 9) {
            0..=1 => {
                told.push_str(" all away and back,");
                all_away_and_back(&daemon, &mut nodes, &model);
            }
            2..=3 => {
                told.push_str(" killed,");
                daemon = daemon.restart(End::Kill);
            }
            4 => {
                told.push_str(" killed, changed while it is dead,");
                daemon.kill();
                change(&mut dice, &mut nodes, &mut model, &mut told);
                daemon = Daemon::start(&site);
            }
            _ => change(&mut dice, &mut nodes, &mut model, &mut told),
        }
        daemon.wait(&told, || model.differs(&daemon).map_or(Ok(()), Err));
    }
    // It stays as it is.
    wait_runs(&daemon, "ssh", "pass", 3 * NODES);
    assert_eq!(model.differs(&daemon), None, "{told}");
    daemon.stop();
}

/// One or two nodes come or go, never too many.
fn change(dice: &mut Dice, nodes: &mut [Listener], model: &mut Model, told: &mut String) {
    // One that goes and comes back at once may not be missed by anybody.
    let one = dice.upto(0, NODES as u64 - 1) as usize;
    let other = (one + dice.upto(0, NODES as u64 - 1) as usize) % NODES;
    for node in BTreeSet::from([one, other]) {
        if model.away.remove(&node) {
            write!(told, " {node} is back,").unwrap();
            nodes[node].go_up();
        } else if model.away.len() < AWAY_AT_ONCE {
            write!(told, " {node} goes,").unwrap();
            model.leaves(node);
            nodes[node].go_down();
        }
    }
}

fn all_away_and_back(daemon: &Daemon<'_>, nodes: &mut [Listener], model: &Model) {
    nodes.iter_mut().for_each(Listener::go_down);
    wait_fault(daemon, true);
    wait_runs(daemon, "ssh", "fail", 3 * NODES);
    for (node, listener) in nodes.iter_mut().enumerate() {
        if !model.away.contains(&node) {
            listener.go_up();
        }
    }
    wait_fault(daemon, false);
}
