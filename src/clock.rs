//! What time it is: the only file that reads a clock.
//!
//! Engine time begins at the later of the last committed time and the wall clock, and goes on with the monotonic clock.
//! It never goes back, and a wall clock that is set while we run neither frees a window nor expires anything early.
//! Everybody else takes a [`Timestamp`] as an argument; who must measure a span takes a [`Stopwatch`].
#![allow(clippy::disallowed_methods)] // This is the file that the ban points to.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::domain::Timestamp;

/// A change of the wall clock against engine time that is too small to be called a jump: NTP slews below it.
const JUMP_US: i64 = 1_000_000;

/// Engine time.
#[derive(Debug)]
pub struct Clock {
    base: Timestamp,
    started: Instant,
    /// The last reported distance of the wall clock from engine time, in microseconds.
    reported_us: AtomicI64,
}

impl Clock {
    /// Starts at the later of `last_committed` and the wall clock.
    pub fn start(last_committed: Option<Timestamp>) -> Self {
        let wall = wall();
        let base = last_committed.map_or(wall, |committed| committed.max(wall));
        Self { base, started: Instant::now(), reported_us: AtomicI64::new(distance_us(wall, base)) }
    }

    /// The engine's now. Never before an earlier answer.
    pub fn now(&self) -> Timestamp {
        self.base.plus(self.started.elapsed())
    }

    /// How far the wall clock is from engine time, in microseconds, if that changed by more than a second since the last
    /// answer of this function (or since the start): once per jump, so that the caller may log each.
    pub fn wall_drift(&self) -> Option<i64> {
        let distance = distance_us(wall(), self.now());
        let reported = self.reported_us.load(Ordering::Relaxed);
        if !has_jumped(reported, distance) {
            return None;
        }
        // Of two callers that see the same jump one reports it.
        self.reported_us.compare_exchange(reported, distance, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        Some(distance)
    }
}

/// Measures a span: for histograms and for budgets of work, never for anything that is stored.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts to measure.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long ago that was.
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What the wall clock says, for what the world dates by it, such as certificates. Decisions take engine time.
pub fn wall_clock() -> Timestamp {
    wall()
}

fn wall() -> Timestamp {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::from_micros(0).plus(since),
        Err(before) => Timestamp::from_micros(0).minus(before.duration()),
    }
}

fn distance_us(wall: Timestamp, engine: Timestamp) -> i64 {
    wall.as_micros().saturating_sub(engine.as_micros())
}

fn has_jumped(reported_us: i64, distance_us: i64) -> bool {
    distance_us.saturating_sub(reported_us).saturating_abs() > JUMP_US
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wall_clock_behind_the_store_does_not_turn_time_back() {
        let committed = wall().plus(Duration::from_secs(3600));
        let clock = Clock::start(Some(committed));
        assert!(clock.now() >= committed);
        assert!(clock.now() < committed.plus(Duration::from_secs(60)));
        assert_eq!(clock.wall_drift(), None, "the distance at the start is no jump");
    }

    #[test]
    fn an_old_store_starts_at_the_wall_clock() {
        let clock = Clock::start(Some(Timestamp::from_micros(5)));
        assert!(clock.now() >= wall().minus(Duration::from_secs(60)));
        assert!(Clock::start(None).now() >= wall().minus(Duration::from_secs(60)));
    }

    #[test]
    fn time_never_goes_back() {
        let clock = Clock::start(None);
        let readings: Vec<Timestamp> = (0..1000).map(|_| clock.now()).collect();
        assert!(readings.is_sorted());
    }

    #[test]
    fn a_jump_is_reported_once_and_a_slew_never() {
        assert!(!has_jumped(0, JUMP_US));
        assert!(has_jumped(0, -JUMP_US - 1));
        assert!(has_jumped(i64::MIN, i64::MAX));

        let clock = Clock::start(None);
        clock.reported_us.store(-10 * JUMP_US, Ordering::Relaxed);
        assert!(clock.wall_drift().is_some_and(|distance| distance.abs() < JUMP_US));
        assert_eq!(clock.wall_drift(), None);
    }
}
