//! What an approved mode means in steps, and what became of each: check identity, validate the evidence, act, verify.
//!
//! Until plans have cordon and drain, acting is the only step that touches a machine. The rule over everything: an intent
//! is on disk before its call leaves, and a call whose result is not known is asked about, never repeated blindly.

mod act;
mod start;
mod verify;

pub use act::{Answer, acted, resume, retry};
pub use start::{start, validated};
pub use verify::{soaked, too_late, verified};

use super::remediation::lifecycle::Verb;
use super::remediation::transit;
use super::turn::Turn;
use crate::domain::{Failure, FailureCode, RemediationId};
use crate::engine::SYSTEM;

/// Ends a remediation without a proven repair.
fn fail(turn: &mut Turn<'_>, id: RemediationId, code: FailureCode, detail: String) {
    let reason = format!("{}: {detail}", code.as_str());
    transit(turn, id, Verb::Fail, SYSTEM, &reason, |row| row.failure = Some(Failure { code, detail }));
}
