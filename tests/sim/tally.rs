//! What a run counts, for people: how much was tried, and how late or whether at all a proposal came.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How often each thing happened that a run must have tried to be worth something.
    pub happened: BTreeMap<&'static str, u64>,
    /// Seconds from the fault (and its rule's `for`) to the link with a remediation, of faults that got one.
    pub delays: Vec<u64>,
    /// Faults that lasted ten minutes or more and never got one, by what was in the way.
    pub never: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub fn count(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: Self) {
        other.happened.into_iter().for_each(|(what, n)| *self.happened.entry(what).or_default() += n);
        self.delays.extend(other.delays);
        other.never.into_iter().for_each(|(why, n)| *self.never.entry(why).or_default() += n);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let happened: Vec<String> = self.happened.iter().map(|(what, n)| format!("{n} {what}")).collect();
        writeln!(out, "  tried: {}", happened.join(", "))?;
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let at =
            |share: usize| delays.get((delays.len() * share / 100).min(delays.len().saturating_sub(1))).unwrap_or(&0);
        let late = delays.iter().filter(|delay| **delay > 120).count();
        writeln!(
            out,
            "  faults that got a remediation: {}; late (more than 2 min after the fault and its `for`): {late}; delay p50 {} s, \
             p90 {} s, p99 {} s, most {} s",
            delays.len(),
            at(50),
            at(90),
            at(99),
            at(100),
        )?;
        let never: Vec<String> = self.never.iter().map(|(why, n)| format!("{n} {why}")).collect();
        write!(out, "  faults of 10 min and more that never got one: {}", never.join(", "))
    }
}
