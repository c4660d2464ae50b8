//! What is running, and with which configuration.

use prometheus::{Gauge, IntGauge};

use super::Metrics;
use super::families::{Families, Named};
use crate::domain::Timestamp;

const BUILD_INFO: Named = ("remedyd_build_info", "Always 1; the label says which version is running.");
const SUCCESSFUL: Named = (
    "remedyd_config_last_reload_successful",
    "Whether the last attempt to load the configuration succeeded: 0 means that the files say something else than what is in force.",
);
const SUCCESS_TIME: Named = (
    "remedyd_config_last_reload_success_timestamp_seconds",
    "When the configuration was last loaded successfully, in seconds since the epoch.",
);
const HASH: Named = (
    "remedyd_config_hash",
    "The first 48 bits of the hash over all files of the configuration in force: equal where two daemons have the same.",
);

/// The families.
pub(super) struct Configuration {
    successful: IntGauge,
    success_time: Gauge,
    hash: Gauge,
}

impl Configuration {
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        let build_info = families.gauges(BUILD_INFO, &["version"])?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        Ok(Self {
            successful: families.int_gauge(SUCCESSFUL)?,
            success_time: families.gauge(SUCCESS_TIME)?,
            hash: families.gauge(HASH)?,
        })
    }

    /// A configuration of this digest is in force. A gauge holds 53 bits exactly, and twelve digits are 48.
    pub(super) fn loaded(&self, digest: &str) {
        let bits = digest.get(..12).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        self.hash.set(bits.unwrap_or_default() as f64);
    }
}

impl Metrics {
    /// The files say at `now` what is in force.
    pub fn reload_succeeded(&self, now: Timestamp) {
        self.configuration.successful.set(1);
        self.configuration.success_time.set(now.as_micros() as f64 / 1e6);
    }

    /// A configuration was refused; the one before stays in force.
    pub fn reload_failed(&self) {
        self.configuration.successful.set(0);
    }
}
