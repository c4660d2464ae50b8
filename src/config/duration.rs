//! Spans of time as operators write them: `90d`, `24h`, `1h30m`, `250ms`.

use std::time::Duration;

/// Text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no duration: write whole numbers with d, h, m, s or ms, largest first, such as \"1h30m\" or \"0s\"")]
pub struct BadDuration(String);

/// The units, largest first, in milliseconds.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Ten years: more is a slip of the pen, and no sum of times can overflow below it.
const LONGEST_MS: u64 = 3_650 * 86_400_000;

/// Reads `90d`, `24h`, `1h30m`, `0s`; each unit at most once, largest first.
pub fn parse(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.chars().take(64).collect());
    if text.is_empty() {
        return Err(bad());
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let (_, millis) = units.find(|(unit, _)| *unit == &rest[..end]).ok_or_else(bad)?;
        total = number.checked_mul(*millis).and_then(|part| total.checked_add(part)).ok_or_else(bad)?;
        rest = &rest[end..];
    }
    if total > LONGEST_MS { Err(bad()) } else { Ok(Duration::from_millis(total)) }
}

/// Writes a duration in the form that is read; anything below a millisecond is dropped.
pub fn show(span: Duration) -> String {
    let mut rest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, millis) in UNITS {
        if rest >= millis {
            text.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let table = [
            ("90d", 90 * 86_400_000),
            ("24h", 86_400_000),
            ("30m", 1_800_000),
            ("5s", 5_000),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
            ("0d", 0),
        ];
        for (text, millis) in table {
            let span = parse(text).unwrap();
            assert_eq!(span, Duration::from_millis(millis), "{text}");
            assert_eq!(parse(&show(span)), Ok(span), "{text}");
        }
        assert_eq!(show(Duration::from_secs(5_400)), "1h30m");
    }

    #[test]
    fn refuses_what_is_unclear() {
        for text in
            ["", "5", "m", "5 m", " 5m", "5M", "1.5h", "-5s", "30m1h", "5m5m", "1w", "1y", "5µs", "5m ", "3651d"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse("99999999999999999999d").is_err());
        assert!(parse("18446744073709551615d").is_err());
    }
}
