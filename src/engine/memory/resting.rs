//! What memory does while nothing else is to be done, a little at a time: rows that nobody asks for are packed, and trees that
//! grew are laid out without room for more. Nobody notices a difference but who looks at how much of it there is.

use std::time::Duration;

use super::Memory;
use crate::domain::Timestamp;
use crate::engine::rows::tighten;

/// How long nobody has asked for a row that is packed. They are looked at in rounds, so it may be twice as long.
const UNUSED: Duration = Duration::from_secs(5);

/// How many open rows are looked at in one go.
const ROWS: usize = 64;

/// Each kind of row: whether all that lie open were looked at.
const ROUND: [fn(&mut Memory) -> bool; 4] = [
    |memory| memory.instances.rest(ROWS),
    |memory| memory.alerts.rest(ROWS),
    |memory| memory.remediations.rest(ROWS),
    |memory| memory.nodes.rest(ROWS),
];

/// Each tree that grows with a fleet: one in one go, however large.
const TREES: [fn(&mut Memory); 13] = [
    |memory| memory.instances.tighten(),
    |memory| memory.alerts.tighten(),
    |memory| memory.remediations.tighten(),
    |memory| memory.nodes.tighten(),
    |memory| memory.names.tighten(),
    |memory| tighten(&mut memory.alerts_of),
    |memory| tighten(&mut memory.live_on_host),
    |memory| tighten(&mut memory.live_on),
    |memory| tighten(&mut memory.linked),
    |memory| tighten(&mut memory.held),
    |memory| tighten(&mut memory.agenda),
    |memory| memory.instances_in.values_mut().for_each(tighten),
    |memory| memory.conditions.tighten(),
];

/// How far it has come.
#[derive(Clone, Debug, Default)]
pub struct Resting {
    /// When the round begins; no earlier one is under way.
    from: Timestamp,
    /// Which part of the round is next: kinds of rows, then trees.
    next: usize,
    /// How many rows there were when the trees were last laid out anew.
    tight: usize,
}

impl Resting {
    /// The next little. Says from when on there is more, if nothing happens until then.
    pub fn go_on(&mut self, memory: &mut Memory, now: Timestamp) -> Option<Timestamp> {
        if now < self.from {
            return Some(self.from);
        }
        if let Some(look) = ROUND.get(self.next) {
            self.next += usize::from(look(memory));
            return Some(now);
        }
        let rows = memory.instances.len() + memory.alerts.len() + memory.remediations.len();
        // Once hardly any row lies open: a tree that is laid out before stands between the rows, and nobody can have their room.
        if rows.abs_diff(self.tight) > rows / 8
            && memory.open_rows() <= rows / 64
            && let Some(tighten) = TREES.get(self.next - ROUND.len())
        {
            tighten(memory);
            self.next += 1;
            return Some(now);
        }
        // Only once all of them were: a step in between may have opened rows again.
        let tight = if self.next == ROUND.len() + TREES.len() { rows } else { self.tight };
        *self = Self { from: now.plus(UNUSED), next: 0, tight };
        (memory.open_rows() > 0).then_some(self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Change;
    use crate::engine::testing::{alert, at};

    #[test]
    fn what_nobody_asks_for_is_packed_and_nothing_else_changes() {
        let mut memory = Memory::default();
        for node in 0..1000 {
            memory.apply(&Change::Alert(Box::new(alert(&format!("i-{node}")))));
        }
        let (before, mut resting, mut now) = (memory.clone(), Resting::default(), at(0));
        assert_eq!(memory.open_rows(), 1000);
        let mut rounds = Vec::new();
        let used = *memory.alerts().keys().nth(500).unwrap();
        while let Some(next) = resting.go_on(&mut memory, now) {
            if next > now {
                rounds.push((next, memory.open_rows()));
                assert!(rounds.len() < 20);
                // Between rounds nothing is done.
                assert_eq!(resting.go_on(&mut memory, now), Some(next));
                if rounds.len() < 4 {
                    assert!(memory.alerts().get(&used).is_some());
                }
            }
            now = next;
        }
        // In the first round all had been used, and what is asked for again and again stays.
        assert_eq!(rounds, [(at(5), 1000), (at(10), 1), (at(15), 1), (at(20), 1)]);
        assert_eq!(memory.open_rows(), 0);
        assert!(memory == before);
    }
}
