//! The probe `command`.

use std::time::Duration;

use super::Target;
use crate::config::checks::Command;
use crate::domain::Observation;

/// One run.
pub async fn run(_spec: &Command, _target: &Target, _timeout: Duration) -> Observation {
    Observation::skipped("not built yet")
}
