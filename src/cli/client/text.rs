//! Text of strangers, times and spans as people read them.

use std::borrow::Cow;
use std::time::Duration;

use crate::domain::Timestamp;

/// The text without anything that a terminal obeys or that reorders what is read: each such character is shown by its
/// number. A line break is one of them.
pub fn safe(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '\n' => shown.push_str("\\n"),
            '\t' => shown.push_str("\\t"),
            '\r' => shown.push_str("\\r"),
            char if is_unsafe(char) => shown.push_str(&format!("\\u{{{:x}}}", u32::from(char))),
            char => shown.push(char),
        }
    }
    Cow::Owned(shown)
}

/// JSON text in which such characters are escaped as JSON does it; they stand inside of strings only.
pub fn safe_json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if is_unsafe(char) && char != '\n' {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(char);
        }
    }
    shown
}

/// C0, DEL and C1 drive terminals; the others turn the direction of text, end lines or are not seen at all.
fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `42s`, `5m`, `3h`, `12d`.
pub fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..=119 => format!("{seconds}s"),
        seconds @ 120..=7_199 => format!("{}m", seconds / 60),
        seconds @ 7_200..=172_799 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// How long ago a time of the API was, or how far ahead it is; nothing where it is none.
pub fn age(time: &str, now: Timestamp) -> String {
    match Timestamp::parse(time) {
        Ok(time) if time > now => format!("in {}", span(time.since(now))),
        Ok(time) => span(now.since(time)),
        Err(_) => String::new(),
    }
}

/// A time of the API as it is read by people: to the second, with how long ago it was.
pub fn time(time: &str, now: Timestamp) -> String {
    let shown = time.split('.').next().map_or_else(String::new, |text| text.replace('T', " "));
    match Timestamp::parse(time) {
        Ok(at) if at > now => format!("{shown} UTC (in {})", span(at.since(now))),
        Ok(at) => format!("{shown} UTC ({} ago)", span(now.since(at))),
        Err(_) => safe(time).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_through() {
        for (hostile, shown) in [
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("\u{202e}txt.exe", "\\u{202e}txt.exe"),
            ("a\u{200b}b\u{7f}", "a\\u{200b}b\\u{7f}"),
            ("müßig 節点", "müßig 節点"),
        ] {
            assert_eq!(safe(hostile), shown);
        }
    }

    #[test]
    fn json_stays_what_it_was() {
        let value = serde_json::json!({"a": "\u{1b}[2J\u{9b}31m\u{202e}\u{e0041}\n"});
        let shown = safe_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!shown.chars().any(|char| is_unsafe(char) && char != '\n'), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn spans_are_short() {
        let now = Timestamp::parse("2026-11-20T18:00:00Z").unwrap();
        assert_eq!(age("2026-11-20T17:55:00.000000Z", now), "5m");
        assert_eq!(age("2026-11-20T20:00:00Z", now), "in 2h");
        assert_eq!((age("", now).as_str(), span(Duration::from_secs(90_000)).as_str()), ("", "25h"));
        assert_eq!(time("2026-11-20T17:55:00.123456Z", now), "2026-11-20 17:55:00 UTC (4m ago)");
    }
}
