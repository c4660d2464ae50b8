//! What sources say: messages, alerts by what became of them, episodes that are open, and answers when we ask.

use std::collections::BTreeSet;

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use super::Metrics;
use super::families::{Families, Named, follow, whole};
use crate::domain::{AlertState, SourceId};

const MESSAGES: Named = (
    "remedyd_source_messages_total",
    "Messages of a source that are on disk. One that sends a watchdog alert never stands still: where it does, the way from Prometheus to here is cut.",
);
const RECEIVED: Named = ("remedyd_alerts_received_total", "Alerts in messages that are on disk, by source.");
const STORED: Named = ("remedyd_alerts_stored_total", "Received alerts that changed something, by source.");
const MERGED: Named = ("remedyd_alerts_merged_total", "Received alerts that said nothing new, by source.");
const DEAD: Named = (
    "remedyd_alerts_dead_lettered_total",
    "Received alerts that could not be read and are kept as they came, by source.",
);
const READS: Named = (
    "remedyd_source_reads_total",
    "How often a source's Alertmanagers were asked whether alerts still stand, before and after an act, by whether they answered.",
);
const OPEN: Named = ("remedyd_alerts", "Alerts that have not ended, by state.");
const UNJOINED: Named = (
    "remedyd_alerts_unjoined",
    "Alerts that have not ended and belong to no instance of the inventory: nothing is ever repaired for them.",
);

/// The states of an alert that has not ended.
const OPEN_STATES: [AlertState; 2] = [AlertState::Firing, AlertState::RefiredUnconfirmed];

/// Whether a source answered.
const RESULTS: [&str; 2] = ["answered", "failed"];

/// How many alerts of one delivery went where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Changed something.
    pub stored: u64,
    /// Said nothing new.
    pub merged: u64,
    /// Could not be read.
    pub dead_lettered: u64,
}

/// The families.
pub(super) struct Alerts {
    messages: IntCounterVec,
    deliveries: [IntCounterVec; 4],
    reads: IntCounterVec,
    open: IntGaugeVec,
    unjoined: IntGauge,
}

impl Alerts {
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        let alerts = Self {
            messages: families.counters(MESSAGES, &["source"])?,
            deliveries: [
                families.counters(RECEIVED, &["source"])?,
                families.counters(STORED, &["source"])?,
                families.counters(MERGED, &["source"])?,
                families.counters(DEAD, &["source"])?,
            ],
            reads: families.counters(READS, &["source", "result"])?,
            open: families.int_gauges(OPEN, &["state"])?,
            unjoined: families.int_gauge(UNJOINED)?,
        };
        for state in OPEN_STATES {
            alerts.open.with_label_values(&[state.as_str()]);
        }
        Ok(alerts)
    }

    pub(super) fn follow(&self, before: &BTreeSet<SourceId>, there: &BTreeSet<SourceId>) {
        for family in self.deliveries.iter().chain([&self.messages]) {
            follow(family, before, there, SourceId::as_str, &[vec![]]);
        }
        follow(&self.reads, before, there, SourceId::as_str, &RESULTS.map(|result| vec![result]));
    }
}

impl Metrics {
    /// All of a configured source's message is on disk.
    pub fn message_taken(&self, source: &SourceId) {
        self.alerts.messages.with_label_values(&[source.as_str()]).inc();
    }

    /// A delivery of a configured source is on disk.
    pub fn delivered(&self, source: &SourceId, taken: Taken) {
        let received = taken.stored + taken.merged + taken.dead_lettered;
        let counts = [received, taken.stored, taken.merged, taken.dead_lettered];
        for (family, n) in self.alerts.deliveries.iter().zip(counts) {
            family.with_label_values(&[source.as_str()]).inc_by(n);
        }
    }

    /// The Alertmanagers of a source were asked, and answered or not.
    pub fn source_read(&self, source: &SourceId, answered: bool) {
        if !self.is_known(|known| known.sources.contains(source)) {
            return;
        }
        let [yes, no] = RESULTS;
        self.alerts.reads.with_label_values(&[source.as_str(), if answered { yes } else { no }]).inc();
    }

    /// An alert came to this state from that one; nothing stands for one that is new, and an alert that ended is not counted.
    pub fn alert_moved(&self, from: Option<AlertState>, to: AlertState) {
        if let Some(from) = from.filter(|state| OPEN_STATES.contains(state)) {
            self.alerts.open.with_label_values(&[from.as_str()]).dec();
        }
        if OPEN_STATES.contains(&to) {
            self.alerts.open.with_label_values(&[to.as_str()]).inc();
        }
    }

    /// So many alerts that have not ended belong to no instance.
    pub fn set_unjoined(&self, n: u64) {
        self.alerts.unjoined.set(whole(n));
    }
}
