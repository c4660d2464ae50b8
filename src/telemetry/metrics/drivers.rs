//! Calls of drivers: what they answered, and how long that took.

use std::collections::BTreeSet;
use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec};

use super::Metrics;
use super::families::{Families, Named, follow};
use crate::domain::{DriverId, Outcome};

const CALLS: Named = (
    "remedyd_driver_calls_total",
    "Calls of a driver that were answered, by verb (act, query: what became of it, undo) and outcome; unknown means that nobody can tell from the answer.",
);
const DURATION: Named =
    ("remedyd_driver_call_duration_seconds", "How long a driver took to answer, by driver and verb.");

/// The verbs of the driver protocol.
const VERBS: [&str; 3] = ["act", "query", "undo"];

/// From a program that only looks to the longest deadlines.
const BUCKETS: &[f64] = &[0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0];

/// The families.
pub(super) struct Drivers {
    calls: IntCounterVec,
    duration: HistogramVec,
}

impl Drivers {
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            calls: families.counters(CALLS, &["driver", "verb", "outcome"])?,
            duration: families.histograms(DURATION, &["driver", "verb"], BUCKETS)?,
        })
    }

    pub(super) fn follow(&self, before: &BTreeSet<DriverId>, there: &BTreeSet<DriverId>) {
        let outcomes = VERBS.iter().flat_map(|verb| Outcome::ALL.map(|outcome| vec![*verb, outcome.as_str()]));
        follow(&self.calls, before, there, DriverId::as_str, &outcomes.collect::<Vec<_>>());
        follow(&self.duration, before, there, DriverId::as_str, &VERBS.map(|verb| vec![verb]));
    }
}

impl Metrics {
    /// A driver answered a call. One that left the configuration meanwhile is not counted.
    pub fn driver_answered(&self, driver: &DriverId, verb: &'static str, outcome: Outcome, took: Duration) {
        if !self.is_known(|known| known.drivers.contains(driver)) {
            return;
        }
        self.drivers.calls.with_label_values(&[driver.as_str(), verb, outcome.as_str()]).inc();
        self.drivers.duration.with_label_values(&[driver.as_str(), verb]).observe(took.as_secs_f64());
    }
}
