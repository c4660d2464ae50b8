//! What the engine answers, and the refusals that a caller can act on.

use crate::domain::{Hold, Mode, Pause, Record, RemediationId, RunId, State, Timestamp};

/// The answer to one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Taken; there is nothing to say.
    Done,
    /// A delivery was taken: `stored + merged + dead_lettered` is what was received.
    Received {
        /// Alerts that changed a row.
        stored: u64,
        /// Alerts that said nothing new.
        merged: u64,
        /// Alerts that could not be read and are kept as they came.
        dead_lettered: u64,
    },
    /// What active checks found was taken: the runs that are kept, in the order in which they were reported.
    Probed(Vec<RunId>),
    /// The remediation after a create, approve, reject, cancel or abort.
    Remediation(Box<Record>),
    /// The hold after a hold or unhold.
    Hold(Box<Hold>),
    /// The switch after a pause or resume.
    Pause(Box<Pause>),
    /// Nothing was changed, and why.
    Refused(Refusal),
}

/// Why a request was refused. Each dialect words it in its own form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It does not exist, or belongs to somebody else, which must look the same.
    #[error("{kind} `{name}` not found")]
    NotFound {
        /// cluster, instance, remediation, hold
        kind: &'static str,
        /// As the caller named it.
        name: String,
    },
    /// The verb does not fit the state.
    #[error("remediation {id} is {}; only {} can be {verb}{}", state.as_str(), allowed, instead(*state, verb))]
    WrongState {
        /// Which.
        id: RemediationId,
        /// Where it stands.
        state: State,
        /// What was tried, as a participle: approved, rejected, cancelled, aborted.
        verb: &'static str,
        /// The states in which it would be possible.
        allowed: &'static str,
    },
    /// Another remediation is in the way.
    #[error("remediation {id} ({}, {mode}) is live on {place}; wait for it or cancel it", state.as_str())]
    Busy {
        /// The one in the way.
        id: RemediationId,
        /// Where it stands.
        state: State,
        /// What it does.
        mode: Mode,
        /// `instance i-7` or `host h-0042`.
        place: String,
    },
    /// A remediation of somebody else is live on the same host; whose and which is not the caller's to know.
    #[error("another remediation is live on host {host}; wait for it")]
    HostBusy {
        /// The host.
        host: String,
    },
    /// The mode was raised while the approver was reading.
    #[error("the mode of remediation {id} was raised to {mode} less than 60 s ago; approve with that mode, or wait")]
    ModeRaised {
        /// Which.
        id: RemediationId,
        /// The mode that it has.
        mode: Mode,
    },
    /// The caller saw an older version.
    #[error("remediation {id} has changed since version {seen}: it is {} as {mode}, version {version}; look again", state.as_str())]
    VersionChanged {
        /// Which.
        id: RemediationId,
        /// Its version.
        version: u64,
        /// Where it stands.
        state: State,
        /// What it does.
        mode: Mode,
        /// The version that was sent.
        seen: u64,
    },
    /// The node is held.
    #[error("instance {instance} is held until {until}: {reason}")]
    Held {
        /// Which node.
        instance: String,
        /// Why.
        reason: String,
        /// Until when.
        until: Timestamp,
    },
    /// An admin has paused everything, or the cluster.
    #[error("{place} is paused by {by} since {since}: {reason}")]
    Paused {
        /// `everything` or `cluster train-a`.
        place: String,
        /// Why.
        reason: String,
        /// Who paused it.
        by: String,
        /// Since when.
        since: Timestamp,
    },
    /// What should go on again is not paused.
    #[error("{}", not_paused(cluster.as_deref(), everywhere.as_deref()))]
    NotPaused {
        /// Which cluster was named; nothing for everything.
        cluster: Option<String>,
        /// Who has paused everything, where somebody has.
        everywhere: Option<String>,
    },
    /// The client's own id stands for another request.
    #[error("remediation_id `{alias}` already names remediation {id}, which was asked for differently")]
    AliasTaken {
        /// The client's id.
        alias: String,
        /// What it names.
        id: RemediationId,
    },
    /// The request can never be right.
    #[error("{field}: {why}")]
    Invalid {
        /// Which part of it.
        field: &'static str,
        /// What is wrong with it and what would be right.
        why: String,
    },
    /// The caller lacks the role.
    #[error("{verb} needs the role {needed}; `{principal}` does not have it")]
    NotAllowed {
        /// Who.
        principal: String,
        /// What was tried.
        verb: &'static str,
        /// What is missing.
        needed: &'static str,
    },
}

fn not_paused(cluster: Option<&str>, everywhere: Option<&str>) -> String {
    match (cluster, everywhere) {
        (None, _) => "not everything is paused; a cluster may be: name it".to_owned(),
        (Some(cluster), None) => format!("cluster {cluster} is not paused"),
        (Some(cluster), Some(by)) => format!("cluster {cluster} is not paused by itself; everything is, by {by}"),
    }
}

/// What the caller probably meant.
fn instead(state: State, verb: &str) -> &'static str {
    let has_not_begun = matches!(state, State::PendingApproval | State::Pending);
    if verb == "aborted" && has_not_begun { "; what has not begun is cancelled" } else { "" }
}
