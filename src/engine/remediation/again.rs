//! The repeat of a review whose answer got lost: it is answered with what came of it the first time.
//!
//! The SDKs repeat a POST by themselves when its answer does not come (CONTRACT §0, point 4). Without this, a person whose
//! approval was taken would read that the remediation cannot be approved.

use super::super::input::Command;
use super::super::turn::Turn;
use super::manual::RETRY_WINDOW;
use super::review::find;
use crate::domain::{Principal, Record, Review, State};

/// The remediation that this principal approved, rejected or cancelled with the same words just before. Whoever else did,
/// and whatever happened since, is told as to everybody.
pub fn done_before(turn: &Turn<'_>, principal: &Principal, command: &Command) -> Option<Record> {
    let lately = |at| turn.now().since(at) < RETRY_WINDOW;
    let said = |review: &Option<Box<Review>>, comment: &str| {
        review.as_ref().is_some_and(|seen| seen.by == principal.name && seen.comment == comment && lately(seen.at))
    };
    let (selector, is_done): (_, &dyn Fn(&Record) -> bool) = match command {
        Command::Approve { selector, mode, comment, .. } => (selector, &|record| {
            let row = &record.remediation;
            let approved = said(&row.review, comment) && row.state != State::Cancelled;
            approved && mode.is_none_or(|mode| mode == row.mode)
        }),
        Command::Reject { selector, comment, .. } => (selector, &|record| {
            let row = &record.remediation;
            said(&row.review, comment) && row.note.as_ref() == Some(&rejected(principal))
        }),
        Command::Cancel { selector, comment, .. } => (selector, &|record| {
            let row = &record.remediation;
            row.ended_at.is_some_and(lately) && row.note.as_ref() == Some(&cancelled(principal, comment))
        }),
        Command::Create { .. }
        | Command::Abort { .. }
        | Command::Hold { .. }
        | Command::Unhold { .. }
        | Command::Pause { .. }
        | Command::Resume { .. }
        | Command::Enable
        | Command::Again(_) => return None,
    };
    find(turn, principal, selector).ok().filter(is_done)
}

/// The note of a remediation that this principal turned down.
pub fn rejected(principal: &Principal) -> String {
    format!("rejected by {}", principal.name)
}

/// The note of a remediation that this principal called off, with their words where there are any.
pub fn cancelled(principal: &Principal, comment: &str) -> String {
    let colon = if comment.is_empty() { "" } else { ": " };
    format!("cancelled by {}{colon}{comment}", principal.name)
}
