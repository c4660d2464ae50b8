//! When a check runs: `every`, or `cron` in a `zone`.
//!
//! Five fields as in crontab, read by the crate `cron` behind an adaptor: that one wants seconds in front, counts Sunday as 1,
//! and lets a day match only where day of month and day of week both do, while crontab takes either where both are restricted.
//! Times are found in civil time and converted afterwards: a local time that a zone repeats fires once, at its first
//! occurrence; one that it skips fires as much later as was skipped (DESIGN §4.8).

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use cron::TimeUnitSpec;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Span};

use crate::domain::Timestamp;

/// When a check runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Each instance once in this time, all of them spread over it.
    Every(Duration),
    /// At these times, all instances in turn.
    Cron(Box<Cron>),
}

/// A line of crontab without its command, and the zone whose clocks it is about.
#[derive(Clone)]
pub struct Cron {
    /// As it was written.
    text: String,
    fields: cron::Schedule,
    /// Whether day of month and day of week are both restricted: then either is enough.
    either_day: bool,
    zone: TimeZone,
}

/// For so many years a time is looked for: 29 February comes every four years, but not in 2100, and falls on one weekday only
/// every 28 years, or 40 across such a century.
const YEARS: i16 = 41;

/// Names that stand for an expression.
const NAMED: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The fields, in the order of crontab.
const FIELDS: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];

/// The days of the week, Sunday first, as crontab numbers them.
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// The zone of that name in the system's database.
///
/// # Errors
/// There is none.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| format!("this machine knows no zone `{name}`; one is called such as Europe/London"))
}

/// The zone of an expression that names none.
pub fn utc() -> TimeZone {
    TimeZone::UTC
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// It is none; says which field is wrong and why.
    pub fn parse(text: &str, zone: &TimeZone) -> Result<Self, String> {
        let text = text.trim();
        let written = match NAMED.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)) {
            Some((_, expression)) => *expression,
            None if text.starts_with('@') => {
                let known: Vec<&str> = NAMED.iter().map(|(name, _)| *name).collect();
                return Err(format!("`{text}` is not known; there are {}", known.join(", ")));
            }
            None => text,
        };
        let parts: Vec<&str> = written.split_ascii_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts[..] else {
            let n = parts.len();
            return Err(format!("`{text}` has {n} fields; it needs five: {}", FIELDS.join(", ")));
        };
        let weekdays = weekdays(weekday)?;
        let [minute, hour, day, month] = [minute, hour, day, month];
        for (field, part) in FIELDS.iter().zip([minute, hour, day, month]) {
            plain(field, part)?;
        }
        // One after the other, so that the field that is wrong can be named.
        for at in 0..4 {
            let mut fields = ["*"; 4];
            fields[at] = [minute, hour, day, month][at];
            let [minute, hour, day, month] = fields;
            read(&format!("0 {minute} {hour} {day} {month} *"))
                .map_err(|_| format!("the {} `{}` is not understood, or out of range", FIELDS[at], fields[at]))?;
        }
        let fields = read(&format!("0 {minute} {hour} {day} {month} {weekdays}"))?;
        let either_day = !day.starts_with('*') && !weekday.starts_with('*');
        let cron = Self { text: text.to_owned(), fields, either_day, zone: zone.clone() };
        match cron.next_after(Timestamp::from_micros(946_684_800_000_000)) {
            Some(_) => Ok(cron),
            None => Err(format!("`{text}` names no day that ever comes")),
        }
    }

    /// The first time after `after` at which it fires; nothing at the end of all calendars.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        let now = jiff::Timestamp::from_microsecond(after.as_micros()).ok()?;
        let local = self.zone.to_datetime(now);
        // What a zone has just skipped fires later than the clocks say.
        let skipped = self.skipped_before(now);
        let from = local.checked_sub(skipped).ok()?;
        let mut best: Option<jiff::Timestamp> = None;
        for civil in self.civil_times(from) {
            let ambiguous = self.zone.to_ambiguous_timestamp(civil);
            let is_skipped = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
            let at = ambiguous.compatible().ok()?;
            if at > now {
                best = Some(best.map_or(at, |best| best.min(at)));
            }
            // Clocks show later times later, except for those that are skipped.
            if at > now && !is_skipped {
                break;
            }
        }
        best.map(|at| Timestamp::from_micros(at.as_microsecond()))
    }

    /// How much the zone skipped, where that was less than so long ago.
    fn skipped_before(&self, now: jiff::Timestamp) -> SignedDuration {
        // A change at this very moment is one that just happened.
        let upto = now.checked_add(SignedDuration::from_secs(1)).unwrap_or(now);
        let Some(last) = self.zone.preceding(upto).next() else { return SignedDuration::ZERO };
        let at = last.timestamp();
        let Ok(before) = at.checked_sub(SignedDuration::from_secs(1)) else { return SignedDuration::ZERO };
        let seconds = i64::from(last.offset().seconds()) - i64::from(self.zone.to_offset(before).seconds());
        let skipped = SignedDuration::from_secs(seconds.max(0));
        if now.duration_since(at) < skipped { skipped } else { SignedDuration::ZERO }
    }

    /// The civil times from `from` on, in the order of the clocks.
    fn civil_times(&self, from: DateTime) -> impl Iterator<Item = DateTime> {
        let last = from.date().saturating_add(Span::new().years(YEARS));
        let days = from.date().series(Span::new().days(1)).take_while(move |day| *day <= last);
        days.filter(|day| self.is_day(*day)).flat_map(move |day| {
            let hours = self.fields.hours().iter();
            hours.flat_map(move |hour| {
                let minutes = self.fields.minutes().iter();
                minutes.filter_map(move |minute| {
                    let time = Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()?;
                    Some(day.to_datetime(time)).filter(|civil| *civil >= from)
                })
            })
        })
    }

    fn is_day(&self, day: Date) -> bool {
        let month = u32::from(day.month().unsigned_abs());
        let is_date = self.fields.days_of_month().includes(u32::from(day.day().unsigned_abs()));
        let weekday = u32::from(day.weekday().to_sunday_one_offset().unsigned_abs());
        let is_weekday = self.fields.days_of_week().includes(weekday);
        let is_it = if self.either_day { is_date || is_weekday } else { is_date && is_weekday };
        is_it && self.fields.months().includes(month)
    }
}

fn read(expression: &str) -> Result<cron::Schedule, String> {
    cron::Schedule::from_str(expression).map_err(|error| error.to_string())
}

/// Only what crontab knows: the crate takes more, such as `?`, of which nobody would know what it means here.
fn plain(field: &str, part: &str) -> Result<(), String> {
    let is_plain = part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"*,-/".contains(&byte));
    if is_plain { Ok(()) } else { Err(format!("the {field} `{part}` is not understood")) }
}

/// The field of the weekdays as the crate takes it: names, whatever was written.
fn weekdays(field: &str) -> Result<String, String> {
    let wrong =
        || format!("the day of week `{field}` is not understood: 0 or 7 is Sunday, 1 Monday, or use SUN to SAT");
    let number = |text: &str| -> Option<usize> {
        let named = WEEKDAYS.iter().position(|name| text.eq_ignore_ascii_case(name));
        named.or_else(|| text.parse().ok().filter(|number| *number <= 7 && text.len() == 1))
    };
    let mut days = [false; 8];
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                (range, Some(step.parse::<usize>().ok().filter(|step| *step > 0).ok_or_else(wrong)?))
            }
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => {
                let (first, last) = (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?);
                // Friday to Sunday ends with the week's last day.
                (first, if last == 0 && first > 0 { 7 } else { last })
            }
            None if range == "*" => (0, 6),
            None => {
                let first = number(range).ok_or_else(wrong)?;
                (first, if step.is_some() { first.max(6) } else { first })
            }
        };
        if first > last {
            return Err(wrong());
        }
        for day in (first..=last).step_by(step.unwrap_or(1)) {
            days[day] = true;
        }
    }
    days[0] |= days[7];
    let named: Vec<&str> = WEEKDAYS.iter().zip(days).filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
    if named.len() == WEEKDAYS.len() { Ok("*".to_owned()) } else { Ok(named.join(",")) }
}

impl fmt::Display for Cron {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.text, self.zone.iana_name().unwrap_or("UTC"))
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.zone == other.zone
    }
}

impl Eq for Cron {}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(expression: &str, place: &str, from: &str, n: usize) -> Vec<String> {
        let zone = zone(place).unwrap();
        let cron = Cron::parse(expression, &zone).unwrap();
        let mut at = Timestamp::parse(from).unwrap();
        let mut times = Vec::new();
        for _ in 0..n {
            at = cron.next_after(at).unwrap();
            let local = jiff::Timestamp::from_microsecond(at.as_micros()).unwrap().to_zoned(zone.clone());
            times.push(local.strftime("%a %m-%d %H:%M%:z").to_string());
        }
        times
    }

    #[test]
    fn days_are_those_of_crontab() {
        let from = "2026-11-25T12:00:00Z"; // a Wednesday
        for (expression, expected) in [
            ("0 7 * * 1-5", "Thu 11-26 07:00+00:00, Fri 11-27 07:00+00:00, Mon 11-30 07:00+00:00"),
            ("0 7 * * 0", "Sun 11-29 07:00+00:00, Sun 12-06 07:00+00:00, Sun 12-13 07:00+00:00"),
            ("0 7 * * 7", "Sun 11-29 07:00+00:00, Sun 12-06 07:00+00:00, Sun 12-13 07:00+00:00"),
            ("0 7 * * fri-sun", "Fri 11-27 07:00+00:00, Sat 11-28 07:00+00:00, Sun 11-29 07:00+00:00"),
            ("0 0 13 * FRI", "Fri 11-27 00:00+00:00, Fri 12-04 00:00+00:00, Fri 12-11 00:00+00:00"),
            ("0 0 13 12 5", "Fri 12-04 00:00+00:00, Fri 12-11 00:00+00:00, Sun 12-13 00:00+00:00"),
            ("0 0 */10 * 1", "Mon 12-21 00:00+00:00, Mon 01-11 00:00+00:00, Mon 02-01 00:00+00:00"),
            ("*/20 12 * * *", "Wed 11-25 12:20+00:00, Wed 11-25 12:40+00:00, Thu 11-26 12:00+00:00"),
            ("@weekly", "Sun 11-29 00:00+00:00, Sun 12-06 00:00+00:00, Sun 12-13 00:00+00:00"),
        ] {
            assert_eq!(times(expression, "UTC", from, 3).join(", "), expected, "{expression}");
        }
    }

    #[test]
    fn a_time_that_comes_twice_fires_once_and_one_that_is_skipped_fires_later() {
        for (expression, from, expected) in [
            ("30 1 * * *", "2026-10-24T12:00:00Z", "Sun 10-25 01:30+01:00, Mon 10-26 01:30+00:00"),
            ("30 1 * * *", "2026-10-25T00:45:00Z", "Mon 10-26 01:30+00:00, Tue 10-27 01:30+00:00"),
            ("30 1 * * *", "2027-03-27T12:00:00Z", "Sun 03-28 02:30+01:00, Mon 03-29 01:30+01:00"),
            ("30 1 * * *", "2027-03-28T01:10:00Z", "Sun 03-28 02:30+01:00, Mon 03-29 01:30+01:00"),
            ("30 1 * * *", "2027-03-28T01:00:00Z", "Sun 03-28 02:30+01:00, Mon 03-29 01:30+01:00"),
            ("0,30 1,2 * * *", "2027-03-28T00:30:00Z", "Sun 03-28 02:00+01:00, Sun 03-28 02:30+01:00"),
        ] {
            assert_eq!(times(expression, "Europe/London", from, 2).join(", "), expected, "{expression} {from}");
        }
    }

    #[test]
    fn a_bad_expression_is_refused_with_its_field() {
        for (expression, why) in [
            ("0 7 * *", "`0 7 * *` has 4 fields; it needs five: minute, hour, day of month, month, day of week"),
            ("60 * * * *", "the minute `60` is not understood, or out of range"),
            ("0 24 * * *", "the hour `24` is not understood, or out of range"),
            ("0 0 ? * *", "the day of month `?` is not understood"),
            ("0 0 1 foo *", "the month `foo` is not understood, or out of range"),
            ("0 0 * * 8", "the day of week `8` is not understood: 0 or 7 is Sunday, 1 Monday, or use SUN to SAT"),
            ("0 0 30 2 *", "`0 0 30 2 *` names no day that ever comes"),
            (
                "@reboot",
                "`@reboot` is not known; there are @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly",
            ),
        ] {
            assert_eq!(Cron::parse(expression, &utc()).unwrap_err(), why, "{expression}");
        }
        assert!(Cron::parse("0 0 29 2 *", &utc()).is_ok());
    }
}
