//! Active checks: how they end, how long they take, and whether the prober keeps up.

use std::collections::BTreeSet;
use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounterVec, IntGauge};

use super::Metrics;
use super::families::{Families, Named, follow, whole};
use crate::domain::{CheckId, CheckKind, Verdict};

const RUNS: Named = ("remedyd_check_runs_total", "Runs of active checks that ended, by check and verdict.");
const DURATION: Named = ("remedyd_check_duration_seconds", "How long runs of active checks took, by kind of check.");
const DELAY: Named = (
    "remedyd_check_start_delay_seconds",
    "How much later than planned runs of active checks began; more of it means an overloaded prober.",
);
const SKIPPED: Named = (
    "remedyd_checks_skipped_total",
    "Runs of active checks that did not take place: overrun, as the one before was not over; unreported, as nothing was taken for so long.",
);
const PLANNED: Named = ("remedyd_checks_planned", "Pairs of a check and an instance that it looks at.");
const RUNNING: Named = ("remedyd_checks_running", "Runs of active checks that are under way.");

/// From half a millisecond, a connection on the same switch, to a minute.
const TAKES: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];

/// From the granularity of a timer to a whole usual interval.
const LATE: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Why a run did not take place.
const SKIPPED_REASONS: [&str; 2] = ["overrun", "unreported"];

/// The families.
pub(super) struct Checks {
    runs: IntCounterVec,
    duration: HistogramVec,
    delay: Histogram,
    skipped: IntCounterVec,
    planned: IntGauge,
    running: IntGauge,
}

impl Checks {
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        let checks = Self {
            runs: families.counters(RUNS, &["check", "verdict"])?,
            duration: families.histograms(DURATION, &["kind"], &TAKES)?,
            delay: families.histogram(DELAY, &LATE)?,
            skipped: families.counters(SKIPPED, &["check", "reason"])?,
            planned: families.int_gauge(PLANNED)?,
            running: families.int_gauge(RUNNING)?,
        };
        for kind in CheckKind::ALL {
            checks.duration.with_label_values(&[kind.as_str()]);
        }
        Ok(checks)
    }

    pub(super) fn follow(&self, before: &BTreeSet<CheckId>, there: &BTreeSet<CheckId>) {
        let verdicts = Verdict::ALL.map(|verdict| vec![verdict.label()]);
        follow(&self.runs, before, there, CheckId::as_str, &verdicts);
        follow(&self.skipped, before, there, CheckId::as_str, &SKIPPED_REASONS.map(|reason| vec![reason]));
    }
}

impl Metrics {
    /// A run of a check began so late.
    pub fn check_began(&self, late: Duration) {
        self.checks.delay.observe(late.as_secs_f64());
    }

    /// A run of a check is over.
    pub fn check_ended(&self, check: &CheckId, kind: CheckKind, verdict: Verdict, took: Duration) {
        self.checks.duration.with_label_values(&[kind.as_str()]).observe(took.as_secs_f64());
        if self.is_known(|known| known.checks.contains(check)) {
            self.checks.runs.with_label_values(&[check.as_str(), verdict.label()]).inc();
        }
    }

    /// A run did not begin, as the one before was not over.
    pub fn check_overrun(&self, check: &CheckId) {
        self.check_skipped(check, "overrun");
    }

    /// What a run came to was given up: nothing was taken for so long.
    pub fn check_unreported(&self, check: &CheckId) {
        self.check_skipped(check, "unreported");
    }

    fn check_skipped(&self, check: &CheckId, reason: &str) {
        if self.is_known(|known| known.checks.contains(check)) {
            self.checks.skipped.with_label_values(&[check.as_str(), reason]).inc();
        }
    }

    /// So many runs are planned, and so many under way.
    pub fn set_checks(&self, planned: usize, running: usize) {
        self.checks.planned.set(whole(planned as u64));
        self.checks.running.set(whole(running as u64));
    }
}
