//! What a report means for the episodes of one identity: the rules R5 to R8 of SAFETY §1.5, as one pure function.
//!
//! Reports come late, twice, out of order and from two Alertmanagers. The answer depends on the open episode, on the
//! closed ones and on the report alone, and saying the same thing twice means nothing the second time.

use std::time::Duration;

use super::super::input::{Report, ReportStatus};
use crate::domain::{Alert, AlertState, Episode, Timestamp};

/// How far apart two assertions must be for the second to move `last_seen_at`: a reminder inside a step writes nothing.
pub const LAST_SEEN_STEP: Duration = Duration::from_secs(60);

/// What to do with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A new episode opens.
    Opens {
        /// Firing, or unconfirmed where it claims to have begun before the last one ended.
        state: AlertState,
        /// Its start.
        started_at: Timestamp,
    },
    /// The open episode is asserted again.
    Asserts {
        /// Its state from now on.
        state: AlertState,
        /// Its start from now on.
        started_at: Timestamp,
        /// The latest start that was asserted, from now on.
        newest_start: Timestamp,
        /// When it was last seen, from now on.
        last_seen_at: Timestamp,
    },
    /// The open episode ended.
    Closes {
        /// When.
        resolved_at: Timestamp,
    },
    /// An episode that we never saw open, or that ended before the open one began: kept as history.
    Records {
        /// Its start.
        started_at: Timestamp,
        /// Its end.
        resolved_at: Timestamp,
    },
    /// An end that is known already.
    Repeats,
}

/// Reads one report. `past` are closed episodes of the same identity, in any order.
///
/// Times of the source that lie in our future are taken as `now`: a clock that runs ahead must not make an episode that
/// no later end can close.
pub fn read(open: Option<&Alert>, past: &[Episode], report: &Report, refire_hold: Duration, now: Timestamp) -> Meaning {
    let started_at = report.started_at.min(now);
    let heard = Heard { now, hold: refire_hold, is_ahead: report.started_at > now };
    match report.status {
        ReportStatus::Firing => fires(open, past, started_at, heard),
        ReportStatus::Resolved => {
            let (started_at, resolved_at) = span(report, now);
            ends(open, past, started_at, resolved_at, heard)
        }
    }
}

/// From when to when the alert went on, as a report of its end says.
pub fn span(report: &Report, now: Timestamp) -> (Timestamp, Timestamp) {
    let resolved_at = report.ended_at.unwrap_or(now).min(now);
    (report.started_at.min(resolved_at), resolved_at)
}

/// The circumstances of a report.
#[derive(Clone, Copy)]
struct Heard {
    now: Timestamp,
    /// `refire_hold`
    hold: Duration,
    /// Its start lies in our future: the source's clock runs ahead, and the same report gets another start each time.
    is_ahead: bool,
}

fn fires(open: Option<&Alert>, past: &[Episode], started_at: Timestamp, heard: Heard) -> Meaning {
    let Heard { now, hold, is_ahead } = heard;
    let last_end = past.iter().filter_map(Episode::last_end).max();
    let is_newer = last_end.is_none_or(|end| started_at > end);
    let Some(open) = open else {
        let state = if is_newer { AlertState::Firing } else { AlertState::RefiredUnconfirmed };
        return Meaning::Opens { state, started_at };
    };
    let seen_at = if now.since(open.last_seen_at) >= LAST_SEEN_STEP { now } else { open.last_seen_at };
    let newest_start = if is_ahead { open.newest_start } else { open.newest_start.max(started_at) };
    let (state, started_at, last_seen_at) = match open.state {
        AlertState::Firing | AlertState::Resolved => {
            // An HA pair may know an earlier start of the same episode; an old message must not pull it back further.
            let same_episode = is_newer && started_at.plus(hold) >= open.started_at;
            let started_at = if same_episode { open.started_at.min(started_at) } else { open.started_at };
            (AlertState::Firing, started_at, seen_at)
        }
        AlertState::RefiredUnconfirmed => {
            let still_asserted = now >= open.opened_at.plus(hold);
            match (started_at > open.started_at && is_newer, still_asserted) {
                (true, _) => (AlertState::Firing, started_at, now),
                (false, true) => (AlertState::Firing, open.started_at, now),
                (false, false) => (AlertState::RefiredUnconfirmed, open.started_at, seen_at),
            }
        }
    };
    Meaning::Asserts { state, started_at, newest_start, last_seen_at }
}

fn ends(
    open: Option<&Alert>,
    past: &[Episode],
    started_at: Timestamp,
    resolved_at: Timestamp,
    heard: Heard,
) -> Meaning {
    if let Some(open) = open.filter(|open| resolved_at >= open.newest_start) {
        // An episode that was confirmed after a false end may have begun before that end. The same end once more is most
        // likely a late copy, and is believed only where nobody has asserted the alert for as long as it takes to confirm.
        let is_old = past.iter().filter_map(|closed| closed.resolved_at).any(|end| resolved_at <= end);
        let is_asserted = open.state == AlertState::Firing && heard.now < open.last_seen_at.plus(heard.hold);
        return if is_old && is_asserted { Meaning::Repeats } else { Meaning::Closes { resolved_at } };
    }
    let is_known = past.iter().any(|closed| closed.went_on_during(started_at, resolved_at));
    if is_known || (heard.is_ahead && !past.is_empty()) {
        Meaning::Repeats
    } else {
        Meaning::Records { started_at, resolved_at }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{alert, at, report};
    use super::*;

    const HOLD: Duration = Duration::from_secs(600);

    fn meaning(open: Option<&Alert>, past: &[Episode], what: &Report, now: i64) -> Meaning {
        read(open, past, what, HOLD, at(now))
    }

    fn closed(start: i64, end: i64) -> Episode {
        let closed =
            Alert { state: AlertState::Resolved, started_at: at(start), resolved_at: Some(at(end)), ..alert("a") };
        (&closed).into()
    }

    fn open(start: i64) -> Alert {
        Alert {
            started_at: at(start),
            newest_start: at(start),
            opened_at: at(start),
            last_seen_at: at(start),
            ..alert("a")
        }
    }

    fn unconfirmed(start: i64, opened: i64) -> Alert {
        Alert { state: AlertState::RefiredUnconfirmed, opened_at: at(opened), last_seen_at: at(opened), ..open(start) }
    }

    #[test]
    fn the_first_firing_opens_an_episode() {
        let opens = Meaning::Opens { state: AlertState::Firing, started_at: at(10) };
        assert_eq!(meaning(None, &[], &report("a", 10, None), 12), opens);
        assert_eq!(meaning(None, &[closed(1, 9)], &report("a", 10, None), 12), opens);
    }

    #[test]
    fn a_firing_that_is_not_newer_than_the_last_end_is_unconfirmed() {
        for start in [5, 9] {
            let opens = Meaning::Opens { state: AlertState::RefiredUnconfirmed, started_at: at(start) };
            assert_eq!(meaning(None, &[closed(5, 9)], &report("a", start, None), 12), opens);
        }
    }

    #[test]
    fn an_unconfirmed_episode_is_confirmed_by_a_newer_start_or_by_insisting() {
        let open = unconfirmed(5, 20);
        let past = [closed(5, 9)];
        let says = |start, now| match meaning(Some(&open), &past, &report("a", start, None), now) {
            Meaning::Asserts { state, .. } => state,
            other => panic!("{other:?}"),
        };
        assert_eq!(says(5, 25), AlertState::RefiredUnconfirmed);
        assert_eq!(says(15, 25), AlertState::Firing);
        assert_eq!(says(5, 20 + 599), AlertState::RefiredUnconfirmed);
        assert_eq!(says(5, 20 + 600), AlertState::Firing);
    }

    #[test]
    fn a_repeat_inside_a_step_says_nothing_new() {
        let open = open(10);
        let same = Meaning::Asserts {
            state: AlertState::Firing,
            started_at: at(10),
            newest_start: at(10),
            last_seen_at: at(10),
        };
        assert_eq!(meaning(Some(&open), &[], &report("a", 10, None), 69), same);
        let seen = Meaning::Asserts {
            state: AlertState::Firing,
            started_at: at(10),
            newest_start: at(10),
            last_seen_at: at(70),
        };
        assert_eq!(meaning(Some(&open), &[], &report("a", 10, None), 70), seen);
    }

    #[test]
    fn a_start_is_pulled_back_by_a_peer_but_not_by_an_old_message() {
        let open = open(1000);
        let start = |past: &[Episode], start| match meaning(Some(&open), past, &report("a", start, None), 1010) {
            Meaning::Asserts { started_at, .. } => started_at,
            other => panic!("{other:?}"),
        };
        assert_eq!(start(&[], 990), at(990));
        assert_eq!(start(&[], 399), at(1000), "older by more than refire_hold");
        assert_eq!(start(&[closed(900, 995)], 990), at(1000), "not after a known end");
        assert_eq!(start(&[], 1005), at(1000));
    }

    #[test]
    fn an_end_closes_the_episode_that_began_before_it() {
        let closes = Meaning::Closes { resolved_at: at(20) };
        assert_eq!(meaning(Some(&open(10)), &[], &report("a", 10, Some(20)), 21), closes);
        assert_eq!(meaning(Some(&open(20)), &[], &report("a", 10, Some(20)), 21), closes);
    }

    #[test]
    fn an_old_end_closes_a_confirmed_episode_only_where_nobody_asserts_it() {
        let past = [closed(5, 9)];
        let says = |now| meaning(Some(&open(5)), &past, &report("a", 5, Some(9)), now);
        assert_eq!(says(604), Meaning::Repeats);
        assert_eq!(says(605), Meaning::Closes { resolved_at: at(9) });
        assert_eq!(
            meaning(Some(&open(5)), &past, &report("a", 5, Some(10)), 11),
            Meaning::Closes { resolved_at: at(10) }
        );
    }

    #[test]
    fn an_end_from_before_a_newer_start_ends_nothing() {
        let open = Alert { newest_start: at(20), ..open(1) };
        let records = Meaning::Records { started_at: at(1), resolved_at: at(9) };
        assert_eq!(meaning(Some(&open), &[], &report("a", 1, Some(9)), 30), records);
        assert_eq!(meaning(Some(&open), &[], &report("a", 1, Some(25)), 30), Meaning::Closes { resolved_at: at(25) });
    }

    #[test]
    fn a_late_end_is_recorded_once_and_leaves_the_open_episode() {
        let records = Meaning::Records { started_at: at(1), resolved_at: at(9) };
        assert_eq!(meaning(Some(&open(10)), &[], &report("a", 1, Some(9)), 30), records);
        assert_eq!(meaning(Some(&open(10)), &[closed(1, 9)], &report("a", 1, Some(9)), 31), Meaning::Repeats);
        assert_eq!(meaning(None, &[], &report("a", 1, Some(9)), 30), records);
        assert_eq!(meaning(None, &[closed(1, 9)], &report("a", 2, Some(12)), 31), Meaning::Repeats);
    }

    #[test]
    fn what_a_clock_that_runs_ahead_says_twice_says_nothing_new() {
        let open = open(12);
        let same = Meaning::Asserts {
            state: AlertState::Firing,
            started_at: at(12),
            newest_start: at(12),
            last_seen_at: at(12),
        };
        assert_eq!(meaning(Some(&open), &[], &report("a", 9_999_999, None), 20), same);
        let ended = report("a", 9_999_998, Some(9_999_999));
        assert_eq!(meaning(None, &[], &ended, 20), Meaning::Records { started_at: at(20), resolved_at: at(20) });
        assert_eq!(meaning(None, &[closed(20, 20)], &ended, 30), Meaning::Repeats);
    }

    #[test]
    fn a_clock_that_runs_ahead_makes_nothing_that_cannot_end() {
        let opens = Meaning::Opens { state: AlertState::Firing, started_at: at(12) };
        assert_eq!(meaning(None, &[], &report("a", 9_999_999, None), 12), opens);
        assert_eq!(
            meaning(Some(&open(12)), &[], &report("a", 9_999_999, Some(20)), 21),
            Meaning::Closes { resolved_at: at(20) }
        );
    }
}
