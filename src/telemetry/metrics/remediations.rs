//! Remediations: how many there are, how long they take and wait, how they end, and how many places they take.

use std::collections::BTreeSet;
use std::time::Duration;

use prometheus::{Gauge, Histogram, HistogramVec, IntCounterVec, IntGaugeVec};

use super::Metrics;
use super::families::{Families, Named, follow, whole};
use crate::domain::{ClusterId, FailureCode, Mode, State, Timestamp, Trigger};

const REMEDIATIONS: Named =
    ("remedyd_remediations", "Live remediations by state; of terminal states, those that ended since the start.");
const OPENED: Named = (
    "remedyd_remediations_opened_total",
    "Remediations created, by trigger (automated: proposed by policy) and first mode.",
);
const FAILED: Named =
    ("remedyd_remediations_failed_total", "Remediations that ended FAILED, by code: why, as in their error_message.");
const DURATION: Named = (
    "remedyd_remediation_duration_seconds",
    "From the start of a remediation (its creation, if it never started) to its end, by mode and final state.",
);
const APPROVAL_WAIT: Named =
    ("remedyd_approval_wait_seconds", "From the opening of a proposal to its approval or rejection.");
const OLDEST: Named = (
    "remedyd_oldest_proposal_timestamp_seconds",
    "When the proposal was opened that has waited longest for a person, in seconds since the epoch; 0 where none waits.",
);
const DETECTION: Named = (
    "remedyd_detection_to_open_seconds",
    "From the start of the alert that opened a proposal to the proposal: what rules and Alertmanager wait is in it.",
);
const IN_FLIGHT: Named =
    ("remedyd_in_flight", "Remediations that have a place in flight, by cluster: approved and on their way.");
const IN_FLIGHT_LIMIT: Named =
    ("remedyd_in_flight_limit", "How many may be in flight, by cluster: the smaller of limits.cluster's two.");
const INSTANCES: Named = ("remedyd_instances", "Instances in the inventory, by cluster.");

/// From the one second that is promised to an alert that waited for its node to join.
const DETECTION_BUCKETS: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];
/// What people and machines take: seconds to a day.
const PATIENT_BUCKETS: &[f64] = &[5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0, 86400.0];

/// The families.
pub(super) struct Remediations {
    remediations: IntGaugeVec,
    opened: IntCounterVec,
    failed: IntCounterVec,
    duration: HistogramVec,
    approval_wait: Histogram,
    oldest: Gauge,
    detection: Histogram,
    in_flight: IntGaugeVec,
    in_flight_limit: IntGaugeVec,
    instances: IntGaugeVec,
}

impl Remediations {
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        let all = Self {
            remediations: families.int_gauges(REMEDIATIONS, &["state"])?,
            opened: families.counters(OPENED, &["trigger", "mode"])?,
            failed: families.counters(FAILED, &["code"])?,
            duration: families.histograms(DURATION, &["mode", "outcome"], PATIENT_BUCKETS)?,
            approval_wait: families.histogram(APPROVAL_WAIT, PATIENT_BUCKETS)?,
            oldest: families.gauge(OLDEST)?,
            detection: families.histogram(DETECTION, DETECTION_BUCKETS)?,
            in_flight: families.int_gauges(IN_FLIGHT, &["cluster"])?,
            in_flight_limit: families.int_gauges(IN_FLIGHT_LIMIT, &["cluster"])?,
            instances: families.int_gauges(INSTANCES, &["cluster"])?,
        };
        for state in State::ALL {
            all.remediations.with_label_values(&[state.as_str()]);
        }
        for code in FailureCode::ALL {
            all.failed.with_label_values(&[code.as_str()]);
        }
        for mode in Mode::ALL {
            for trigger in [Trigger::Manual, Trigger::Automated] {
                all.opened.with_label_values(&[trigger.as_str(), mode.as_str()]);
            }
            for outcome in State::ALL.into_iter().filter(|state| state.is_terminal()) {
                all.duration.with_label_values(&[mode.as_str(), outcome.as_str()]);
            }
        }
        Ok(all)
    }

    pub(super) fn follow(&self, before: &BTreeSet<ClusterId>, there: &BTreeSet<ClusterId>) {
        for family in [&self.in_flight, &self.in_flight_limit, &self.instances] {
            follow(family, before, there, ClusterId::as_str, &[vec![]]);
        }
    }
}

impl Metrics {
    /// A remediation left one state, unless it is new, and came to another. Of states in which it ends, what ended since
    /// the start is counted.
    pub fn remediation_moved(&self, from: Option<State>, to: State) {
        let family = &self.remediations.remediations;
        if let Some(from) = from {
            family.with_label_values(&[from.as_str()]).dec();
        }
        family.with_label_values(&[to.as_str()]).inc();
    }

    /// A remediation was created.
    pub fn remediation_opened(&self, trigger: Trigger, mode: Mode) {
        self.remediations.opened.with_label_values(&[trigger.as_str(), mode.as_str()]).inc();
    }

    /// A remediation ended in `outcome`, a terminal state; FAILED with the code that says why.
    pub fn remediation_ended(&self, mode: Mode, outcome: State, failure: Option<FailureCode>, took: Duration) {
        let duration = &self.remediations.duration;
        duration.with_label_values(&[mode.as_str(), outcome.as_str()]).observe(took.as_secs_f64());
        if let Some(code) = failure {
            self.remediations.failed.with_label_values(&[code.as_str()]).inc();
        }
    }

    /// A proposal was approved or rejected after this wait.
    pub fn reviewed(&self, waited: Duration) {
        self.remediations.approval_wait.observe(waited.as_secs_f64());
    }

    /// When the oldest proposal was opened that waits for a person, if one does.
    pub fn set_oldest_proposal(&self, opened: Option<Timestamp>) {
        self.remediations.oldest.set(opened.map_or(0.0, |at| at.as_micros() as f64 / 1e6));
    }

    /// A proposal was opened this long after its alert began.
    pub fn detected(&self, after: Duration) {
        self.remediations.detection.observe(after.as_secs_f64());
    }

    /// A cluster of the configuration has so many instances, and of so many places in flight so many are taken.
    pub fn set_cluster(&self, cluster: &ClusterId, instances: usize, limit: usize, taken: usize) {
        let all = &self.remediations;
        for (family, n) in [(&all.instances, instances), (&all.in_flight_limit, limit), (&all.in_flight, taken)] {
            family.with_label_values(&[cluster.as_str()]).set(whole(n as u64));
        }
    }
}
