//! The store: whether anything is taken and may act, how the disk does, and what the store's own upkeep found and made.

use std::time::Duration;

use prometheus::{Gauge, Histogram, IntCounter, IntGauge, IntGaugeVec};

use super::Metrics;
use super::families::{Families, Named, whole};
use crate::domain::Timestamp;

const FSYNC: Named =
    ("remedyd_journal_fsync_seconds", "How long the journal's fdatasync took: no answer is faster than the disk.");
const LAG: Named = ("remedyd_store_applied_lag_changes", "Committed changes that readers cannot see yet.");
const EXECUTION: Named = (
    "remedyd_execution_enabled",
    "Whether this store may act: 0 after it was copied or restored, until an admin says so.",
);
const WRITABLE: Named = (
    "remedyd_store_writable",
    "Whether anything is taken: 0 while starting, without room on the disk, and where the journal is damaged.",
);
const ROWS: Named = ("remedyd_store_rows", "Rows by kind, as the last scrub counted them.");
const SIZE: Named = ("remedyd_store_size_bytes", "How much sled has on disk, as of the last scrub.");
const SCRUBS: Named = (
    "remedyd_store_scrubs_total",
    "How often all of sled was read and was what was written; if not, the process ends.",
);
const CHECKPOINT_TIME: Named = (
    "remedyd_store_checkpoint_timestamp_seconds",
    "Of when the last checkpoint is, in seconds since the epoch; 0 until the first one after the start.",
);
const CHECKPOINT_SIZE: Named = ("remedyd_store_checkpoint_size_bytes", "How long the last checkpoint is.");
const CHECKPOINTS_FAILED: Named = (
    "remedyd_store_checkpoints_failed_total",
    "Checkpoints that were due and could not be made; they are tried again.",
);

/// From a disk that answers from its cache to one that is in trouble.
const FSYNC_BUCKETS: &[f64] = &[0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0];

/// The families. Those of a scrub or a checkpoint are zero until the first one after the start.
pub(super) struct Store {
    fsync: Histogram,
    lag: IntGauge,
    execution: IntGauge,
    writable: IntGauge,
    rows: IntGaugeVec,
    size: IntGauge,
    scrubs: IntCounter,
    checkpoint_time: Gauge,
    checkpoint_size: IntGauge,
    checkpoints_failed: IntCounter,
}

impl Store {
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            fsync: families.histogram(FSYNC, FSYNC_BUCKETS)?,
            lag: families.int_gauge(LAG)?,
            execution: families.int_gauge(EXECUTION)?,
            writable: families.int_gauge(WRITABLE)?,
            rows: families.int_gauges(ROWS, &["kind"])?,
            size: families.int_gauge(SIZE)?,
            scrubs: families.int_counter(SCRUBS)?,
            checkpoint_time: families.gauge(CHECKPOINT_TIME)?,
            checkpoint_size: families.int_gauge(CHECKPOINT_SIZE)?,
            checkpoints_failed: families.int_counter(CHECKPOINTS_FAILED)?,
        })
    }
}

impl Metrics {
    /// The journal was synced.
    pub fn fsync(&self, took: Duration) {
        self.store.fsync.observe(took.as_secs_f64());
    }

    /// How many committed changes readers cannot see yet.
    pub fn set_lag(&self, changes: u64) {
        self.store.lag.set(whole(changes));
    }

    /// Whether this store may act.
    pub fn set_execution(&self, is_enabled: bool) {
        self.store.execution.set(is_enabled.into());
    }

    /// Whether anything is taken.
    pub fn set_writable(&self, is_writable: bool) {
        self.store.writable.set(is_writable.into());
    }

    /// All of the store was read and is what was written: how many rows of each kind, how many bytes on disk.
    pub fn scrubbed(&self, rows: &[(&'static str, u64)], bytes: u64) {
        for (kind, n) in rows {
            self.store.rows.with_label_values(&[kind]).set(whole(*n));
        }
        self.store.size.set(whole(bytes));
        self.store.scrubs.inc();
    }

    /// A checkpoint of the turn at `at` was made, and is so long.
    pub fn checkpointed(&self, at: Timestamp, bytes: u64) {
        self.store.checkpoint_time.set(at.as_micros() as f64 / 1e6);
        self.store.checkpoint_size.set(whole(bytes));
    }

    /// A checkpoint was due and could not be made.
    pub fn not_checkpointed(&self) {
        self.store.checkpoints_failed.inc();
    }
}
