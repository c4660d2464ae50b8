//! What people and clients ask for, handed to the room that answers it.

use super::input::{Command, Selector};
use super::past::PastKey;
use super::refusal::{Refusal, Reply};
use super::remediation;
use super::turn::Turn;
use super::{execution, holds, pauses};
use crate::domain::{Principal, RemediationId};

/// The stored rows that a command names.
pub fn wanted(command: &Command) -> Vec<PastKey> {
    match command {
        Command::Create { cluster_id, alias, .. } => {
            alias.iter().map(|alias| PastKey::Alias(cluster_id.clone(), alias.clone())).collect()
        }
        Command::Approve { selector, .. }
        | Command::Reject { selector, .. }
        | Command::Cancel { selector, .. }
        | Command::Abort { selector, .. } => named(selector),
        Command::Hold { .. }
        | Command::Unhold { .. }
        | Command::Pause { .. }
        | Command::Resume { .. }
        | Command::Enable => Vec::new(),
        Command::Again(command) => wanted(command),
    }
}

fn named(selector: &Selector) -> Vec<PastKey> {
    let by_id = RemediationId::parse(&selector.remediation).map(PastKey::Remediation);
    let by_alias =
        selector.cluster_id.iter().map(|cluster| PastKey::Alias(cluster.clone(), selector.remediation.clone()));
    by_id.into_iter().chain(by_alias).collect()
}

/// Does what was asked, or says why not.
pub fn take(turn: &mut Turn<'_>, principal: &Principal, command: Command) -> Result<Reply, Refusal> {
    match command {
        Command::Create { cluster_id, instance_id, mode, reason, alias, is_retry } => {
            let wanted = remediation::Wanted {
                cluster_id: &cluster_id,
                instance_id: &instance_id,
                mode,
                reason: &reason,
                alias: alias.as_deref(),
                is_retry,
            };
            remediation::create(turn, principal, &wanted)
        }
        Command::Approve { selector, mode, comment, seen_version } => {
            remediation::approve(turn, principal, &selector, mode, &comment, seen_version)
        }
        Command::Reject { selector, comment, seen_version } => {
            remediation::reject(turn, principal, &selector, &comment, seen_version)
        }
        Command::Cancel { selector, comment, seen_version } => {
            remediation::cancel(turn, principal, &selector, &comment, seen_version)
        }
        Command::Abort { selector, reason } => remediation::abort(turn, principal, &selector, &reason),
        Command::Hold { instance_id, reason, span } => holds::set(turn, principal, instance_id, reason, span),
        Command::Unhold { hold_id } => holds::lift(turn, principal, hold_id),
        Command::Pause { cluster_id, reason } => pauses::pause(turn, principal, cluster_id, reason),
        Command::Resume { cluster_id, reason } => pauses::resume(turn, principal, cluster_id, reason),
        Command::Enable => execution::enable(turn, principal),
        Command::Again(command) => match remediation::done_before(turn, principal, &command) {
            Some(record) => Ok(Reply::Remediation(Box::new(record))),
            None => take(turn, principal, *command),
        },
    }
}
