//! The cron adaptor against croniter, and against the rule of the design where clocks are set.

mod dice;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use dice::{Dice, number};
use jiff::tz::TimeZone;
use remedyd::config::checks::Cron;
use remedyd::domain::Timestamp;
use serde_json::{Value, json};

/// Zones of every kind: whole and half hours, both hemispheres, half an hour of summer time, none at all.
const ZONES: [&str; 12] = [
    "UTC",
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Africa/Cairo",
    "Pacific/Auckland",
];

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// So many times of each expression are compared.
const TIMES: usize = 5;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// croniter, in a process that answers line by line.
struct Croniter {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Croniter {
    fn start() -> Self {
        let python = std::env::var("REMEDYD_TEST_PYTHON").expect("REMEDYD_TEST_PYTHON: run tests/run once");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cron.py");
        let mut command = Command::new(python);
        let mut child = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (asks, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, asks, answers }
    }

    /// The next times, or nothing where it refuses the expression.
    fn next(&mut self, expression: &str, zone: &str, start: i64) -> Option<Vec<i64>> {
        let asked = json!({ "expression": expression, "zone": zone, "start": start, "n": TIMES });
        writeln!(self.asks, "{asked}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{expression}: {error}: {line}"));
        let times = answer["times"].as_array()?;
        Some(times.iter().map(|time| time.as_i64().unwrap()).collect())
    }

    fn stop(mut self) {
        drop(self.asks);
        assert!(self.child.wait().unwrap().success());
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// What the adaptor says: the next times, or nothing where it refuses.
fn ours(expression: &str, zone: &TimeZone, start: i64, n: usize) -> Option<Vec<i64>> {
    let cron = Cron::parse(expression, zone).ok()?;
    let mut after = at(start);
    let next = std::iter::from_fn(|| {
        after = cron.next_after(after)?;
        Some(after.as_micros() / 1_000_000)
    });
    Some(next.take(n).collect())
}

/// One field as somebody might write it, from `least` to `most`; names stand for numbers where there are some.
fn field(dice: &mut Dice, least: u64, most: u64, names: &[&str]) -> String {
    let value = |dice: &mut Dice, least: u64| {
        let number = dice.upto(least, most);
        match names.get((number - names.len().min(1) as u64 * u64::from(names.len() == 12)) as usize) {
            Some(name) if dice.one_in(3) => (*name).to_owned(),
            _ => number.to_string(),
        }
    };
    // Of at least two values: croniter reads `28-28/26` as every day.
    let range = |dice: &mut Dice| {
        let first = dice.upto(least, most - 1);
        format!("{first}-{}", dice.upto(first + 1, most))
    };
    let part = |dice: &mut Dice| match dice.upto(0, 4) {
        0 | 1 => value(dice, least),
        2 => range(dice),
        3 => format!("{}/{}", range(dice), dice.upto(1, most)),
        _ => format!("*/{}", dice.upto(1, most)),
    };
    match dice.upto(0, 5) {
        0..=2 => "*".to_owned(),
        3 | 4 => part(dice),
        _ => (0..dice.upto(2, 3)).map(|_| part(dice)).collect::<Vec<_>>().join(","),
    }
}

fn expression(dice: &mut Dice) -> String {
    let minute = field(dice, 0, 59, &[]);
    let hour = field(dice, 0, 23, &[]);
    let day = field(dice, 1, 31, &[]);
    let month = field(dice, 1, 12, &MONTHS);
    let weekday = field(dice, 0, 6, &DAYS);
    // Sunday has two numbers.
    let weekday = if weekday == "0" && dice.one_in(2) { "7".to_owned() } else { weekday };
    format!("{minute} {hour} {day} {month} {weekday}")
}

/// Whether a zone sets its clocks between two moments.
fn is_set_between(zone: &TimeZone, from: i64, to: i64) -> bool {
    let from = jiff::Timestamp::from_second(from).unwrap();
    zone.following(from).next().is_some_and(|change| change.timestamp().as_second() <= to)
}

/// Whether a day field names every day and does not begin with `*`. crontab takes it as restricted, by its first letter;
/// croniter takes it as `*`.
fn names_every_day(expression: &str) -> bool {
    let fields: Vec<&str> = expression.split(' ').collect();
    let numbers =
        DAYS.iter().enumerate().fold(fields[4].to_owned(), |text, (n, day)| text.replace(day, &n.to_string()));
    let is_all = |field: &str, least: i64, most: i64| {
        !field.starts_with('*') && (least..=most).all(|value| values(field, least, most).contains(&value))
    };
    is_all(fields[2], 1, 31) || is_all(&numbers, 0, 6)
}

#[test]
fn away_from_the_edges_it_fires_when_croniter_does() {
    let wanted = number("REMEDYD_TEST_CRON", 10_000);
    let mut dice = Dice(number("REMEDYD_TEST_SEED", 1));
    let mut croniter = Croniter::start();
    let (mut equal, mut refused, mut near_an_edge, mut all_days) = (0, 0, 0, 0);
    while equal < wanted {
        let expression = expression(&mut dice);
        let name = ZONES[dice.upto(0, ZONES.len() as u64 - 1) as usize];
        let zone = TimeZone::get(name).unwrap();
        // From 2020 to 2037.
        let start = 1_577_836_800 + 60 * dice.upto(0, 9_460_800) as i64;
        let theirs = croniter.next(&expression, name, start);
        let found = ours(&expression, &zone, start, TIMES);
        let place = || format!("`{expression}` in {name} after {start}");
        let (Some(theirs), Some(found)) = (theirs.as_ref(), found.as_ref()) else {
            // Days that never come, such as 31 February: both have to say so.
            assert_eq!(theirs, found, "{}", place());
            refused += 1;
            continue;
        };
        if names_every_day(&expression) {
            all_days += 1;
            continue;
        }
        if is_set_between(&zone, start - DAY, theirs[TIMES - 1] + DAY) {
            near_an_edge += 1;
            // What lies before the edge is compared all the same.
            let calm = |times: &[i64]| -> Vec<i64> {
                times.iter().copied().take_while(|time| !is_set_between(&zone, start - DAY, time + DAY)).collect()
            };
            assert_eq!(calm(found), calm(theirs), "{}", place());
            continue;
        }
        assert_eq!(found, theirs, "{}", place());
        equal += 1;
    }
    println!(
        "{equal} expressions with {TIMES} times each are equal; {refused} refused by both, {near_an_edge} reach an edge and \
         are compared up to it, {all_days} left out as a day field names every day without `*`"
    );
    assert!(refused > 0 && near_an_edge > 0);
    croniter.stop();
}

/// What an expression of numbers, `*`, ranges and steps holds, read a second time and as simply as can be.
fn values(field: &str, least: i64, most: i64) -> BTreeSet<i64> {
    let parts = field.split(',').flat_map(|part| {
        let (range, step) = part.split_once('/').map_or((part, 1), |(range, step)| (range, step.parse().unwrap()));
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (first.parse().unwrap(), last.parse().unwrap()),
            None if range == "*" => (least, most),
            None => (range.parse().unwrap(), range.parse().unwrap()),
        };
        (first..=last).step_by(step)
    });
    parts.collect()
}

/// All times between two moments around one change of a zone's clocks, by the words of the design: every minute that a clock
/// could show is tried; one that is shown twice fires the first time, one that is skipped as much later as was skipped.
fn by_the_words(expression: &str, edge: i64, before: i64, after: i64, from: i64, to: i64) -> Vec<i64> {
    let fields: Vec<&str> = expression.split(' ').collect();
    let [minutes, hours] = [values(fields[0], 0, 59), values(fields[1], 0, 23)];
    let mut times = BTreeSet::new();
    // As seconds of a clock without a zone.
    for shown in ((from - DAY).div_euclid(60) * 60..to + DAY).step_by(60) {
        let of_day = shown.rem_euclid(DAY);
        if !hours.contains(&(of_day / HOUR)) || !minutes.contains(&(of_day % HOUR / 60)) {
            continue;
        }
        let (as_before, as_after) = (shown - before, shown - after);
        // Before the edge, also where it comes again after it; after the edge; or skipped.
        let is_shown_before = as_before < edge;
        let is_shown_after = as_after >= edge;
        times.insert(if is_shown_before || !is_shown_after { as_before } else { as_after });
    }
    times.into_iter().filter(|time| *time > from && *time <= to).collect()
}

#[test]
fn at_every_edge_it_fires_as_the_design_says() {
    let fixed = ["30 1 * * *", "0 2 * * *", "*/15 * * * *", "30 * * * *", "0,30 1-3 * * *", "59 23 * * *", "5 0 * * *"];
    let mut dice = Dice(number("REMEDYD_TEST_SEED", 1));
    let (mut edges, mut forward) = (0, 0);
    for name in ZONES {
        let zone = TimeZone::get(name).unwrap();
        let start = jiff::Timestamp::from_second(1_262_304_000).unwrap();
        let offset = |second: i64| i64::from(zone.to_offset(jiff::Timestamp::from_second(second).unwrap()).seconds());
        let edges_of = zone.following(start).map(|change| change.timestamp().as_second());
        for edge in edges_of.take_while(|edge| *edge < 1_893_456_000) {
            let (before, after) = (offset(edge - 1), offset(edge));
            if before == after {
                continue;
            }
            edges += 1;
            forward += u32::from(after > before);
            let random = (0..5).map(|_| {
                let minute = dice.one_of(["0", "1", "17", "30", "59", "*/7", "*/20", "10-40/15"]).unwrap();
                let hour = dice.one_of(["*", "0", "1", "2", "3", "0-4", "*/2", "23"]).unwrap();
                format!("{minute} {hour} * * *")
            });
            for expression in fixed.map(str::to_owned).into_iter().chain(random) {
                let (from, to) = (edge - 6 * HOUR - 1, edge + 6 * HOUR);
                let wanted = by_the_words(&expression, edge, before, after, from, to);
                let found = ours(&expression, &zone, from, wanted.len() + 1).unwrap();
                let found: Vec<i64> = found.into_iter().filter(|time| *time <= to).collect();
                assert_eq!(found, wanted, "`{expression}` in {name} around {edge}, {before} s to {after} s");
                // Whenever it is asked, the answer is the same.
                for moment in (0..40).map(|n| edge - 2 * HOUR + n * 360) {
                    let next = wanted.iter().find(|time| **time > moment);
                    let found = ours(&expression, &zone, moment, 1).unwrap();
                    assert_eq!(
                        found.first().filter(|time| **time <= to),
                        next,
                        "`{expression}` in {name} after {moment}"
                    );
                }
            }
        }
    }
    println!("{edges} edges, {forward} of them forward, 12 expressions at each");
    assert!(edges > 200 && forward > 100, "{edges} {forward}");
}
