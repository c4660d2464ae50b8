//! Lists of targets that are asked for: what came of it, and when it last went well.

use std::collections::BTreeSet;

use prometheus::{GaugeVec, IntCounterVec};

use super::Metrics;
use super::families::{Families, Named, follow};
use crate::domain::{DiscoveryId, Timestamp};

const FETCHES: Named = (
    "remedyd_inventory_fetches_total",
    "Answers of a list of targets, by what came of them: ok is a new list, unchanged the same, empty one that was not taken because targets were known, failed none that can be used.",
);
const LAST_SUCCESS: Named = (
    "remedyd_inventory_last_success_timestamp_seconds",
    "When the list of targets that is kept was last confirmed by its source, in seconds since the epoch; 0 where it never answered.",
);

/// What came of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// Another list, which is kept.
    Ok,
    /// The same list.
    Unchanged,
    /// No target where some were known: not taken.
    Empty,
    /// Nothing that can be used.
    Failed,
}

impl Fetched {
    const ALL: [Self; 4] = [Self::Ok, Self::Unchanged, Self::Empty, Self::Failed];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unchanged => "unchanged",
            Self::Empty => "empty",
            Self::Failed => "failed",
        }
    }
}

/// The families.
pub(super) struct Inventory {
    fetches: IntCounterVec,
    last_success: GaugeVec,
}

impl Inventory {
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            fetches: families.counters(FETCHES, &["source", "result"])?,
            last_success: families.gauges(LAST_SUCCESS, &["source"])?,
        })
    }

    pub(super) fn follow(&self, before: &BTreeSet<DiscoveryId>, there: &BTreeSet<DiscoveryId>) {
        let results: Vec<Vec<&str>> = Fetched::ALL.iter().map(|result| vec![result.as_str()]).collect();
        follow(&self.fetches, before, there, DiscoveryId::as_str, &results);
        follow(&self.last_success, before, there, DiscoveryId::as_str, &[vec![]]);
    }
}

impl Metrics {
    /// A list was asked for. One that left the configuration meanwhile is not counted.
    pub fn fetched(&self, source: &DiscoveryId, result: Fetched) {
        if self.is_known(|known| known.discoveries.contains(source)) {
            self.inventory.fetches.with_label_values(&[source.as_str(), result.as_str()]).inc();
        }
    }

    /// What is kept of a list was last confirmed at this time.
    pub fn confirmed(&self, source: &DiscoveryId, at: Timestamp) {
        if self.is_known(|known| known.discoveries.contains(source)) {
            self.inventory.last_success.with_label_values(&[source.as_str()]).set(at.as_micros() as f64 / 1e6);
        }
    }
}
