//! The probe `icmp`.

use std::time::Duration;

use super::Target;
use crate::config::checks::Icmp;
use crate::domain::Observation;

/// One run.
pub async fn run(_spec: &Icmp, _target: &Target, _timeout: Duration) -> Observation {
    Observation::skipped("not built yet")
}
