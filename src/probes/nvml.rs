//! The probe `nvml`.

use std::time::Duration;

use super::Target;
use crate::config::checks::Nvml;
use crate::domain::Observation;

/// One run.
pub async fn run(_spec: &Nvml, _target: &Target, _timeout: Duration) -> Observation {
    Observation::skipped("not built yet")
}
