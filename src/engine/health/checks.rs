//! What the runs of active checks make us believe.

use super::super::refusal::Reply;
use super::super::turn::Turn;
use crate::domain::{CheckId, InstanceId, Probed};

/// Takes what active checks found.
pub fn probed(_turn: &mut Turn<'_>, _runs: Vec<Probed>, _on_demand: bool) -> Reply {
    Reply::Probed(Vec::new())
}

/// What stands has been looked at long enough: it is believed, unless the prober seems to be at fault.
pub fn ripen(_turn: &mut Turn<'_>, _check: &CheckId, _instance: &InstanceId) {}
