//! Which state may follow which.
//!
//! The whole table is [`next`] (SAFETY I1); every other file asks it. A terminal state never changes again. Whether a
//! remediation *should* start is `guard`'s question; this file only knows whether it *may*.

use crate::domain::State;

/// What can happen to a remediation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verb {
    /// It comes into being.
    Create,
    /// A person, or a rule with `enforce = "auto"`, lets it go ahead.
    Approve,
    /// A person turns it down.
    Reject,
    /// A person calls it off.
    Cancel,
    /// A heavier cause changes its mode in place.
    Raise,
    /// Its alerts cleared and stayed clear.
    Resolve,
    /// No person came in time.
    Expire,
    /// Another remediation takes its place: a person's own, or the one for the machine that its alerts are about.
    Supersede,
    /// The action begins.
    Start,
    /// A person stops what has begun; it stays as it is until that is sorted out.
    Abort,
    /// The repair is proven.
    Succeed,
    /// It ends without one.
    Fail,
}

impl Verb {
    /// The word in a remediation's history.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Cancel => "cancel",
            Self::Raise => "raise",
            Self::Resolve => "resolve",
            Self::Expire => "expire",
            Self::Supersede => "supersede",
            Self::Start => "start",
            Self::Abort => "abort",
            Self::Succeed => "succeed",
            Self::Fail => "fail",
        }
    }

    /// How a refusal says it: "only … can be approved".
    pub const fn participle(self) -> &'static str {
        match self {
            Self::Create => "created",
            Self::Approve => "approved",
            Self::Reject => "rejected",
            Self::Cancel => "cancelled",
            Self::Raise => "raised",
            Self::Resolve => "resolved",
            Self::Expire => "expired",
            Self::Supersede => "superseded",
            Self::Start => "started",
            Self::Abort => "aborted",
            Self::Succeed => "finished",
            Self::Fail => "failed",
        }
    }

    /// The states from which it is possible, as a refusal names them.
    pub const fn allowed(self) -> &'static str {
        match self {
            Self::Create => "nothing",
            Self::Approve | Self::Reject | Self::Raise | Self::Expire | Self::Supersede => "PENDING_APPROVAL",
            Self::Cancel | Self::Resolve => "PENDING_APPROVAL or PENDING",
            Self::Start => "PENDING",
            Self::Abort | Self::Succeed => "RUNNING",
            Self::Fail => "PENDING or RUNNING",
        }
    }
}

/// The state after `verb`, or nothing where it may not happen.
///
/// QUARANTINING and QUARANTINED are reached by cordon and drain steps; until a plan has those, PENDING starts straight
/// into RUNNING and only their failure is listed.
pub const fn next(state: State, verb: Verb) -> Option<State> {
    match (state, verb) {
        (State::PendingApproval, Verb::Approve) => Some(State::Pending),
        (State::PendingApproval, Verb::Reject | Verb::Cancel | Verb::Expire | Verb::Supersede) => {
            Some(State::Cancelled)
        }
        (State::PendingApproval, Verb::Raise) => Some(State::PendingApproval),
        (State::PendingApproval | State::Pending, Verb::Resolve) => Some(State::AutoResolved),
        (State::Pending, Verb::Cancel) => Some(State::Cancelled),
        (State::Pending, Verb::Start) => Some(State::Running),
        (State::Running, Verb::Abort) => Some(State::Running),
        (State::Running, Verb::Succeed) => Some(State::Succeeded),
        (State::Pending | State::Quarantining | State::Quarantined | State::Running, Verb::Fail) => Some(State::Failed),
        // Refusing an unlisted pair is the safe answer.
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Verb {
        const ALL: [Self; 12] = [
            Self::Create,
            Self::Approve,
            Self::Reject,
            Self::Cancel,
            Self::Raise,
            Self::Resolve,
            Self::Expire,
            Self::Supersede,
            Self::Start,
            Self::Abort,
            Self::Succeed,
            Self::Fail,
        ];
    }

    #[test]
    fn terminal_states_are_absorbing() {
        for state in State::ALL.into_iter().filter(|state| state.is_terminal()) {
            for verb in Verb::ALL {
                assert_eq!(next(state, verb), None, "{state:?} {verb:?}");
            }
        }
    }

    #[test]
    fn every_refusal_names_exactly_the_states_that_are_allowed() {
        for verb in Verb::ALL.into_iter().filter(|verb| !matches!(verb, Verb::Create | Verb::Fail)) {
            let allowed: Vec<&str> =
                State::ALL.into_iter().filter(|state| next(*state, verb).is_some()).map(State::as_str).collect();
            assert_eq!(verb.allowed(), allowed.join(" or "), "{verb:?}");
        }
    }

    #[test]
    fn nothing_resolves_by_itself_once_the_act_has_begun() {
        for state in [State::Quarantining, State::Quarantined, State::Running] {
            assert_eq!(next(state, Verb::Resolve), None);
            assert_eq!(next(state, Verb::Cancel), None);
        }
    }
}
