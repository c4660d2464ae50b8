//! The probe `http`.

use std::time::Duration;

use super::Target;
use crate::config::checks::Http;
use crate::domain::Observation;

/// One run.
pub async fn run(_spec: &Http, _target: &Target, _timeout: Duration) -> Observation {
    Observation::skipped("not built yet")
}
