//! What ends by itself when time passes: a remediation whose alerts cleared, a proposal that nobody reviewed.

use super::super::lifecycle::{Verb, transit};
use super::super::turn::Turn;
use crate::domain::RemediationId;
use crate::engine::SYSTEM;

/// Its alerts stayed clear for `compact_ttl`.
pub fn resolve(turn: &mut Turn<'_>, id: RemediationId) {
    let reason = "every linked alert cleared and stayed clear";
    transit(turn, id, Verb::Resolve, SYSTEM, reason, |row| row.note = Some(reason.to_owned()));
}

/// Nobody approved or rejected it within `proposal_ttl`.
pub fn expire(turn: &mut Turn<'_>, id: RemediationId) {
    let reason = "expired: nobody approved or rejected it in time";
    transit(turn, id, Verb::Expire, SYSTEM, reason, |row| row.note = Some(reason.to_owned()));
}
