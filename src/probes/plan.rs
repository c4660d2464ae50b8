//! Who is due when: pure arithmetic over names and times.
//!
//! When a check looks at an instance depends on their names and on its interval alone. So a start spreads all runs over the
//! interval, and neither a restart nor a reload moves or bunches any of them.

use std::time::Duration;

use crate::config::checks::Schedule;
use crate::domain::{CheckId, InstanceId, Timestamp};

/// How much longer than planned the interval of a dead node may get.
const LONGEST: Duration = Duration::from_secs(300);

/// By how much the interval of a dead node may be stretched.
const STRETCH: u32 = 8;

/// The first time after `after` at which the check looks at the instance, where `stretch` of its intervals are one.
pub fn next(
    schedule: &Schedule,
    check: &CheckId,
    instance: &InstanceId,
    after: Timestamp,
    stretch: u32,
) -> Option<Timestamp> {
    match schedule {
        Schedule::Every(every) => {
            let every = micros(*every).max(1);
            let phase = phase(check, instance, every);
            let since = after.as_micros().saturating_sub(phase);
            let rounds = since.div_euclid(every).saturating_add(1).saturating_add(i64::from(stretch.max(1)) - 1);
            Some(Timestamp::from_micros(rounds.saturating_mul(every).saturating_add(phase)))
        }
        Schedule::Cron(cron) => cron.next_after(after),
    }
}

/// How many intervals a node is left in peace that has not answered for so many runs in a row. Until its silence is believed, and
/// for checks that run seldom anyhow, none.
pub fn stretch(every: Duration, silent_runs: u32, failures_before: u32) -> u32 {
    let beyond = silent_runs.saturating_sub(failures_before).min(STRETCH.ilog2());
    let most = micros(LONGEST.max(every)) / micros(every).max(1);
    (1 << beyond).min(u32::try_from(most).unwrap_or(STRETCH)).max(1)
}

/// Where in its interval the check looks at the instance: the same everywhere and always.
fn phase(check: &CheckId, instance: &InstanceId, every: i64) -> i64 {
    let hash = fnv(check.as_str().bytes().chain([0]).chain(instance.as_str().bytes()));
    // The upper half of a product spreads better than a remainder of a number that is not prime to it.
    let spread = (u128::from(hash) * u128::from(every.unsigned_abs())) >> 64;
    i64::try_from(spread).unwrap_or_default()
}

/// FNV-1a, 64 bits, and a last mix: its upper bits alone hardly change with a name's last letters.
fn fnv(bytes: impl Iterator<Item = u8>) -> u64 {
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mixed = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::checks::Cron;
    use crate::config::checks::schedule::utc;

    const EVERY: Duration = Duration::from_secs(30);

    fn check(name: &str) -> CheckId {
        CheckId::parse(name).unwrap()
    }

    fn instance(n: u32) -> InstanceId {
        InstanceId::parse(&format!("i-{n}")).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn each_instance_is_due_once_in_every_interval_and_always_at_the_same_point() {
        let schedule = Schedule::Every(EVERY);
        for n in 0..100 {
            let first = next(&schedule, &check("ssh"), &instance(n), at(1_000_000), 1).unwrap();
            assert!(first > at(1_000_000) && first <= at(1_000_030));
            assert_eq!(next(&schedule, &check("ssh"), &instance(n), first, 1), Some(first.plus(EVERY)));
            let just_before = Timestamp::from_micros(first.as_micros() - 1);
            assert_eq!(
                next(&schedule, &check("ssh"), &instance(n), just_before, 1),
                Some(first),
                "after a restart, too"
            );
            assert_eq!(next(&schedule, &check("ssh"), &instance(n), first, 4), Some(first.plus(EVERY * 4)));
        }
    }

    #[test]
    fn a_fleet_is_spread_evenly_over_the_interval() {
        let schedule = Schedule::Every(EVERY);
        for name in ["ssh", "node-exporter", "a"] {
            let mut seconds = [0_u32; 30];
            for n in 0..10_000 {
                let due = next(&schedule, &check(name), &instance(n), at(0), 1).unwrap();
                seconds[(due.as_micros().rem_euclid(30_000_000) / 1_000_000) as usize] += 1;
            }
            // 333 on average; five standard deviations are 90.
            assert!(seconds.iter().all(|n| (243..424).contains(n)), "{name}: {seconds:?}");
        }
    }

    #[test]
    fn two_checks_of_one_instance_are_not_due_together() {
        let schedule = Schedule::Every(EVERY);
        let due = |name: &str, n| next(&schedule, &check(name), &instance(n), at(0), 1).unwrap().as_micros();
        let close = (0..1_000).filter(|n| (due("a", *n) - due("b", *n)).abs() < 500_000).count();
        assert!(close < 80, "{close} of 1,000 within half a second");
    }

    #[test]
    fn a_node_that_stays_silent_is_asked_less_often_once_that_is_believed() {
        let stretches =
            |every: u64| -> Vec<u32> { (0..9).map(|silent| stretch(Duration::from_secs(every), silent, 3)).collect() };
        assert_eq!(stretches(30), [1, 1, 1, 1, 2, 4, 8, 8, 8]);
        assert_eq!(stretches(60), [1, 1, 1, 1, 2, 4, 5, 5, 5], "five minutes at most");
        assert_eq!(stretches(600), [1; 9]);
    }

    #[test]
    fn cron_is_the_same_for_every_instance() {
        let schedule = Schedule::Cron(Box::new(Cron::parse("0 3 * * *", &utc()).unwrap()));
        assert_eq!(next(&schedule, &check("a"), &instance(1), at(0), 1), Some(at(3 * 3600)));
        assert_eq!(next(&schedule, &check("b"), &instance(2), at(3 * 3600), 1), Some(at(27 * 3600)));
    }
}
