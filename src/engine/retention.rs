//! How long the past is kept: horizons move forward with time, and what lies behind them is gone for everybody.
//!
//! A horizon is a row like any other, so whoever builds the rows anew from the journal comes to the same answers, whatever
//! was deleted where and when.

use std::time::Duration;

use super::change::Change;
use super::turn::Turn;
use crate::domain::{Horizon, Timestamp};

/// How often they move: often enough that nobody sees the steps, seldom enough that the journal does not fill with them.
pub const STEP: Duration = Duration::from_secs(3_600);

/// How far they move at once. A clock that is years ahead when the daemon starts must not take the past with it before
/// anybody has seen that; after a long stop they catch up.
const STRIDE: Duration = Duration::from_secs(24 * 3_600);

/// Moves the horizons that follow time, where it is time.
pub fn advance(turn: &mut Turn<'_>) {
    let (now, kept, known) = (turn.now(), turn.settings().retention, *turn.memory().horizons());
    if known.moved_at().is_some_and(|moved| now < moved.plus(STEP)) {
        return;
    }
    // A longer retention does not bring back what is gone already.
    let forward = |span, known: Option<Timestamp>| {
        known.map_or(now.minus(span), |known| known.max(now.minus(span).min(known.plus(STRIDE))))
    };
    let before = forward(kept.remediations, known.remediations());
    turn.record(Change::Horizon(Box::new(Horizon::Remediations { before, moved_at: now })));
    let before = forward(kept.alerts, known.alerts());
    turn.record(Change::Horizon(Box::new(Horizon::Alerts { before, moved_at: now })));
    let before = forward(kept.runs, known.runs());
    turn.record(Change::Horizon(Box::new(Horizon::Runs { before, moved_at: now })));
}

/// Checkpoints hold what the journal holds before each of these turns, whose times are given: what is older than the audit
/// trail has to be may go.
pub fn checkpointed(turn: &mut Turn<'_>, covered: &[(u64, Timestamp)]) {
    let (kept, horizons) = (turn.settings().retention, *turn.memory().horizons());
    // No faster than the other horizons.
    let Some(reached) = horizons.remediations() else { return };
    let oldest = turn.now().min(reached.plus(kept.remediations)).minus(kept.audit);
    let known = horizons.journal();
    let from = covered.iter().filter(|(_, at)| *at < oldest).map(|(seq, _)| *seq).max();
    if let Some(from) = from.filter(|from| known.is_none_or(|known| known < *from)) {
        turn.record(Change::Horizon(Box::new(Horizon::Journal { from })));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::settings::{Retention, Settings};
    use crate::engine::{Configured, Engine, Input, Past};

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_micros(hours * 3_600_000_000)
    }

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3_600)
    }

    fn configured(retention: Retention) -> Input {
        let settings = Arc::new(Settings { retention, ..Settings::default() });
        Input::Configured(Box::new(Configured { settings, clusters: Vec::new(), instances: Vec::new() }))
    }

    fn engine() -> Engine {
        let mut engine = Engine::new([], 1);
        let retention = Retention { remediations: hours(90), alerts: hours(30), runs: hours(20), audit: hours(400) };
        engine.step(at(1_000), configured(retention), Past::default());
        engine
    }

    #[test]
    fn they_move_once_an_hour_by_themselves() {
        let mut engine = engine();
        let horizons = *engine.memory().horizons();
        assert_eq!((horizons.remediations(), horizons.alerts()), (Some(at(910)), Some(at(970))));
        assert_eq!(engine.next_deadline(), Some(at(1_001)));
        let early = engine.step(at(1_001).minus(Duration::from_secs(1)), Input::Tick, Past::default());
        assert!(early.changes.is_empty());
        let due = engine.step(at(1_001), Input::Tick, Past::default());
        assert_eq!(due.changes.len(), 3);
        assert_eq!(engine.memory().horizons().alerts(), Some(at(971)));
        assert_eq!(engine.next_deadline(), Some(at(1_002)));
        let refolded = Engine::new(&due.changes, 2);
        assert_eq!(refolded.memory().agenda(), engine.memory().agenda());
    }

    #[test]
    fn a_clock_that_is_years_ahead_takes_a_day_an_hour_at_most() {
        let mut engine = engine();
        let years = 10 * 365 * 24;
        engine.step(at(1_000 + years), Input::Tick, Past::default());
        assert_eq!(engine.memory().horizons().alerts(), Some(at(970 + 24)));
        engine.step(at(1_000 + years), Input::Tick, Past::default());
        assert_eq!(engine.memory().horizons().alerts(), Some(at(970 + 24)));
        engine.step(at(1_001 + years), Input::Tick, Past::default());
        assert_eq!(engine.memory().horizons().alerts(), Some(at(970 + 48)));
        let covered = vec![(10, at(500)), (20, at(700))];
        engine.step(at(1_001 + years), Input::Checkpointed { covered }, Past::default());
        assert_eq!(engine.memory().horizons().journal(), Some(10), "what was old when the clock was right");
    }

    #[test]
    fn they_never_move_back() {
        let mut engine = engine();
        let longer = Retention { remediations: hours(900), alerts: hours(900), runs: hours(900), audit: hours(400) };
        engine.step(at(1_002), configured(longer), Past::default());
        let horizons = engine.memory().horizons();
        assert_eq!((horizons.remediations(), horizons.alerts()), (Some(at(910)), Some(at(970))));
    }

    #[test]
    fn the_journal_goes_up_to_what_is_old_and_covered() {
        let mut engine = engine();
        let told = |engine: &mut Engine, covered: &[(u64, Timestamp)]| {
            let changes =
                engine.step(at(1_000), Input::Checkpointed { covered: covered.to_vec() }, Past::default()).changes;
            (changes.len(), engine.memory().horizons().journal())
        };
        assert_eq!(told(&mut engine, &[(10, at(600)), (20, at(700))]), (0, None));
        assert_eq!(told(&mut engine, &[(10, at(500)), (20, at(599)), (30, at(601))]), (1, Some(20)));
        assert_eq!(told(&mut engine, &[(10, at(500)), (20, at(599))]), (0, Some(20)));
    }
}
