//! When a check runs: `every`, or `cron` in a `zone`.

use std::time::Duration;

/// When a check runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Each instance once in this time, all of them spread over it.
    Every(Duration),
}
