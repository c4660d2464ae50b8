//! What a run counts, for people: how much was tried, and how late or whether at all a proposal came.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How often each thing happened that a run must have tried to be worth something.
    pub happened: BTreeMap<&'static str, u64>,
    /// Seconds from a fault to the moment at which the daemon was told, of faults that got a remediation.
    pub told_after: Vec<u64>,
    /// How many of those got it as soon as the daemon was told and their rule's `for` had passed.
    pub on_time: u64,
    /// Seconds that the others waited for it, by what was last said to be in the way.
    pub late: BTreeMap<&'static str, Vec<u64>>,
    /// Faults that lasted ten minutes or more and never got one, by what was in the way.
    pub never: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub fn count(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: Self) {
        other.happened.into_iter().for_each(|(what, n)| *self.happened.entry(what).or_default() += n);
        self.told_after.extend(other.told_after);
        self.on_time += other.on_time;
        other.late.into_iter().for_each(|(why, waits)| self.late.entry(why).or_default().extend(waits));
        other.never.into_iter().for_each(|(why, n)| *self.never.entry(why).or_default() += n);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let happened: Vec<String> = self.happened.iter().map(|(what, n)| format!("{n} {what}")).collect();
        writeln!(out, "  tried: {}", happened.join(", "))?;
        writeln!(out, "  faults that got a remediation: the daemon was told {}", Spread(&self.told_after))?;
        writeln!(out, "    {} on time", self.on_time)?;
        for (why, waits) in &self.late {
            writeln!(out, "    {} late, {why}: {}", waits.len(), Spread(waits))?;
        }
        let never: Vec<String> = self.never.iter().map(|(why, n)| format!("{n} {why}")).collect();
        write!(out, "  faults of 10 min and more that never got one: {}", never.join(", "))
    }
}

/// How a list of seconds is spread.
struct Spread<'a>(&'a [u64]);

impl fmt::Display for Spread<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.to_vec();
        sorted.sort_unstable();
        let at =
            |share: usize| sorted.get((sorted.len() * share / 100).min(sorted.len().saturating_sub(1))).unwrap_or(&0);
        write!(out, "p50 {} s, p90 {} s, p99 {} s, most {} s", at(50), at(90), at(99), at(100))
    }
}
