//! The `remedyd_store_*` family: what the store's own upkeep has found and made.

use prometheus::{Gauge, IntCounter, IntGauge, IntGaugeVec, Opts, Registry};

use crate::domain::Timestamp;

/// The gauges of the store. Those of a walk or a checkpoint are zero until the first one after the start.
pub(super) struct Store {
    rows: IntGaugeVec,
    size_bytes: IntGauge,
    walks: IntCounter,
    checkpoint_time: Gauge,
    checkpoint_bytes: IntGauge,
    checkpoints_failed: IntCounter,
}

impl Store {
    /// Registers the family.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let rows = Opts::new("remedyd_store_rows", "Rows by kind, as the last scrub counted them.");
        let store = Self {
            rows: IntGaugeVec::new(rows, &["kind"])?,
            size_bytes: IntGauge::new("remedyd_store_size_bytes", "How much sled has on disk.")?,
            walks: IntCounter::new(
                "remedyd_store_scrubs_total",
                "How often all of sled was read and was what was written; if not, the process ends.",
            )?,
            checkpoint_time: Gauge::new(
                "remedyd_store_checkpoint_timestamp_seconds",
                "Of when the last checkpoint is, in seconds since the epoch.",
            )?,
            checkpoint_bytes: IntGauge::new("remedyd_store_checkpoint_size_bytes", "How long the last checkpoint is.")?,
            checkpoints_failed: IntCounter::new(
                "remedyd_store_checkpoints_failed_total",
                "Checkpoints that were due and could not be made; they are tried again.",
            )?,
        };
        registry.register(Box::new(store.rows.clone()))?;
        registry.register(Box::new(store.size_bytes.clone()))?;
        registry.register(Box::new(store.walks.clone()))?;
        registry.register(Box::new(store.checkpoint_time.clone()))?;
        registry.register(Box::new(store.checkpoint_bytes.clone()))?;
        registry.register(Box::new(store.checkpoints_failed.clone()))?;
        Ok(store)
    }

    /// All of it was read and is what was written.
    pub(super) fn scrubbed(&self, rows: &[(&'static str, u64)], bytes: u64) {
        for (kind, n) in rows {
            self.rows.with_label_values(&[kind]).set(whole(*n));
        }
        self.size_bytes.set(whole(bytes));
        self.walks.inc();
    }

    /// A checkpoint was made.
    pub(super) fn checkpointed(&self, at: Timestamp, bytes: u64) {
        self.checkpoint_time.set(at.as_micros() as f64 / 1e6);
        self.checkpoint_bytes.set(whole(bytes));
    }

    /// One could not be made.
    pub(super) fn not_checkpointed(&self) {
        self.checkpoints_failed.inc();
    }
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
