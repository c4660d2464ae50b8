//! The probe `tcp`.

use std::time::Duration;

use super::Target;
use crate::config::checks::Tcp;
use crate::domain::Observation;

/// One run.
pub async fn run(_spec: &Tcp, _target: &Target, _timeout: Duration) -> Observation {
    Observation::skipped("not built yet")
}
