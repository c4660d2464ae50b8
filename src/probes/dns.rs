//! The probe `dns`.

use std::time::Duration;

use super::Target;
use crate::config::checks::Dns;
use crate::domain::Observation;

/// One run.
pub async fn run(_spec: &Dns, _target: &Target, _timeout: Duration) -> Observation {
    Observation::skipped("not built yet")
}
