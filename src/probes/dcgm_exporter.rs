//! The probe `dcgm_exporter`.

use std::time::Duration;

use super::Target;
use crate::config::checks::DcgmExporter;
use crate::domain::Observation;

/// One run.
pub async fn run(_spec: &DcgmExporter, _target: &Target, _timeout: Duration) -> Observation {
    Observation::skipped("not built yet")
}
