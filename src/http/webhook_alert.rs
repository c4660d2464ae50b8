//! One alert of an Alertmanager message: what must be right, what is cut, and what is forgiven.
//!
//! Labels are identity, so nothing about them is mended: a label set that is not as it should be is refused. Annotations
//! are words for people, so they are cut to fit and flagged. Repeated keys: the last wins, as everywhere in JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::webhook_body::{Loose, Value, scalars, skip_seq};
use crate::domain::{Labels, Timestamp};
use crate::engine::{Report, ReportStatus};

const MAX_LABELS: usize = 64;
const MAX_NAME_BYTES: usize = 256;
const MAX_LABEL_BYTES: usize = 4 * 1024;
const MAX_ANNOTATION_BYTES: usize = 16 * 1024;
/// Names and values of labels and annotations together, so that a stored row stays below 64 KiB.
const MAX_ALERT_BYTES: usize = 48 * 1024;
/// A fingerprint is 16 digits; it is a hint for people only.
const MAX_FINGERPRINT_BYTES: usize = 64;
/// The start of year 2. Go's zero time, "not ended", is in year 1.
const ZERO_TIME_BEFORE: Timestamp = Timestamp::from_micros(-62_104_060_800_000_000);

/// Reads one alert's JSON; the error says why it cannot be read, the same words for the same text.
pub(super) fn read(json: &str) -> Result<Report, String> {
    let mut json = serde_json::Deserializer::from_str(json);
    let fields = match AlertSeed.deserialize(&mut json) {
        Ok(Ok(fields)) => fields,
        Ok(Err(what)) => return Err(format!("the alert is {what}, not an object")),
        Err(error) => return Err(format!("the alert cannot be read: {error}")),
    };
    let status = match fields.status {
        Some(Value::Text(text)) => match text.as_ref() {
            "firing" => ReportStatus::Firing,
            "resolved" => ReportStatus::Resolved,
            other => return Err(format!("status: `{}` is neither firing nor resolved", shown(other))),
        },
        Some(other) => return Err(format!("status: {}, not a string", other.what())),
        None => return Err("status: missing".to_owned()),
    };
    let (labels, taken) = labels(fields.labels)?;
    let (annotations, truncated) = annotations(fields.annotations, taken)?;
    let started_at = time("startsAt", fields.starts_at)?.ok_or("startsAt: missing")?;
    let ended_at = time("endsAt", fields.ends_at)?;
    if status == ReportStatus::Resolved && ended_at.is_none() {
        return Err("endsAt: missing, but the alert is resolved".to_owned());
    }
    if let Some(ended_at) = ended_at.filter(|ended_at| *ended_at < started_at) {
        return Err(format!("endsAt: {ended_at} is before startsAt, {started_at}"));
    }
    let fingerprint = fields.fingerprint.as_ref().and_then(Value::text).unwrap_or("");
    let fingerprint = cut(fingerprint, MAX_FINGERPRINT_BYTES).to_owned();
    Ok(Report { status, labels, annotations, truncated, started_at, ended_at, fingerprint })
}

/// As much of a text as `most` bytes hold, cut between characters.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A value as a reason may show it.
fn shown(text: &str) -> &str {
    cut(text, 64)
}

/// The labels, and how large they are.
fn labels(value: Option<Value<'_>>) -> Result<(Labels, usize), String> {
    let labels = Labels::from_pairs(strings("labels", value)?.ok_or("labels: missing")?);
    // An empty value and a missing label are the same thing to Prometheus and to Alertmanager, which drops them too.
    let labels = if labels.iter().any(|(_, value)| value.is_empty()) {
        Labels::from_pairs(labels.iter().filter(|(_, value)| !value.is_empty()))
    } else {
        labels
    };
    if labels.is_empty() {
        return Err("labels: none".to_owned());
    }
    if labels.len() > MAX_LABELS {
        return Err(format!("labels: {} of them; at most {MAX_LABELS} are taken", labels.len()));
    }
    let mut bytes = 0;
    for (name, value) in labels.iter() {
        bytes += name.len() + value.len();
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            let name = shown(name);
            return Err(format!("labels: the name `{name}` does not have 1 to {MAX_NAME_BYTES} bytes"));
        }
        if value.len() > MAX_LABEL_BYTES {
            return Err(format!("labels: the value of `{}` has more than {MAX_LABEL_BYTES} bytes", shown(name)));
        }
    }
    if bytes > MAX_ALERT_BYTES {
        return Err(format!("labels: more than {MAX_ALERT_BYTES} bytes together"));
    }
    Ok((labels, bytes))
}

/// The annotations, cut to what is left of the alert's size, and whether any was cut.
fn annotations(value: Option<Value<'_>>, taken: usize) -> Result<(Labels, bool), String> {
    let all = Labels::from_pairs(strings("annotations", value)?.unwrap_or_default());
    let room = MAX_ALERT_BYTES - taken;
    let (mut bytes, mut is_each_short) = (0, true);
    for (name, value) in all.iter() {
        bytes += name.len() + value.len();
        is_each_short &= name.len() <= MAX_NAME_BYTES && value.len() <= MAX_ANNOTATION_BYTES;
    }
    if is_each_short && bytes <= room {
        return Ok((all, false));
    }
    // Names first, in their order, as many as fit; then the longest values give way until the rest fits.
    let mut names = 0;
    let kept: Vec<(&str, &str)> = all
        .iter()
        .filter(|(name, _)| {
            let fits = name.len() <= MAX_NAME_BYTES && names + name.len() <= room;
            names += if fits { name.len() } else { 0 };
            fits
        })
        .collect();
    let longest = longest_that_fits(kept.iter().map(|(_, value)| value.len()).collect(), room - names);
    Ok((Labels::from_pairs(kept.into_iter().map(|(name, value)| (name, cut(value, longest)))), true))
}

/// The largest length to which all can be cut so that together they fit into `room`; at most an annotation's own limit.
fn longest_that_fits(mut lengths: Vec<usize>, mut room: usize) -> usize {
    lengths.sort_unstable();
    for (done, length) in lengths.iter().enumerate() {
        let share = room / (lengths.len() - done);
        let length = (*length).min(MAX_ANNOTATION_BYTES);
        if length > share {
            return share;
        }
        room -= length;
    }
    MAX_ANNOTATION_BYTES
}

type Pair<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The pairs of an object whose values are all strings; nothing where it is missing or null.
fn strings<'a>(field: &str, value: Option<Value<'a>>) -> Result<Option<Vec<Pair<'a>>>, String> {
    let pairs = match value {
        None | Some(Value::Other("null")) => return Ok(None),
        Some(Value::Map(pairs)) => pairs,
        Some(other) => return Err(format!("{field}: {}, not an object", other.what())),
    };
    let strings = pairs.into_iter().map(|(name, value)| match value {
        Value::Text(text) => Ok((name, text)),
        other => Err(format!("{field}: the value of `{}` is {}, not a string", shown(&name), other.what())),
    });
    strings.collect::<Result<_, _>>().map(Some)
}

/// A time; nothing where it is missing, null or Go's zero time.
fn time(field: &str, value: Option<Value<'_>>) -> Result<Option<Timestamp>, String> {
    let text = match value {
        None | Some(Value::Other("null")) => return Ok(None),
        Some(Value::Text(text)) => text,
        Some(other) => return Err(format!("{field}: {}, not a string", other.what())),
    };
    let time = Timestamp::parse(&text).map_err(|error| format!("{field}: {error}"))?;
    Ok((time >= ZERO_TIME_BEFORE).then_some(time))
}

#[derive(Default)]
struct Fields<'a> {
    status: Option<Value<'a>>,
    labels: Option<Value<'a>>,
    annotations: Option<Value<'a>>,
    starts_at: Option<Value<'a>>,
    ends_at: Option<Value<'a>>,
    fingerprint: Option<Value<'a>>,
}

struct AlertSeed;

impl<'de> DeserializeSeed<'de> for AlertSeed {
    type Value = Result<Fields<'de>, &'static str>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AlertSeed {
    type Value = Result<Fields<'de>, &'static str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an alert")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(key) = map.next_key_seed(Loose { open_maps: false })? {
            let field = match key.text() {
                Some("status") => &mut fields.status,
                Some("labels") => &mut fields.labels,
                Some("annotations") => &mut fields.annotations,
                Some("startsAt") => &mut fields.starts_at,
                Some("endsAt") => &mut fields.ends_at,
                Some("fingerprint") => &mut fields.fingerprint,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = Some(map.next_value_seed(Loose { open_maps: true })?);
        }
        Ok(Ok(fields))
    }

    scalars!(Err);

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Err("a string"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        skip_seq(seq)?;
        Ok(Err("a list"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn size(labels: &Labels) -> usize {
        labels.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    fn alert(change: impl FnOnce(&mut serde_json::Value)) -> Result<Report, String> {
        let mut alert = json!({
            "status": "firing", "labels": {"alertname": "A", "node": "n-1"}, "annotations": {"summary": "s"},
            "startsAt": "2026-03-04T10:15:30.123Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "f",
        });
        change(&mut alert);
        read(&alert.to_string())
    }

    #[test]
    fn a_whole_alert_is_read_as_sent() {
        let report = alert(|_| {}).unwrap();
        assert_eq!(report.status, ReportStatus::Firing);
        assert_eq!(report.labels.get("node"), Some("n-1"));
        assert_eq!(report.annotations.get("summary"), Some("s"));
        assert_eq!(report.started_at.to_string(), "2026-03-04T10:15:30.123000Z");
        assert_eq!((report.ended_at, report.truncated, report.fingerprint.as_str()), (None, false, "f"));
    }

    #[test]
    fn what_cannot_be_right_is_named() {
        let long = "x".repeat(MAX_LABEL_BYTES + 1);
        let many: serde_json::Map<_, _> = (0..65).map(|n| (format!("l{n}"), json!("v"))).collect();
        let wide: serde_json::Map<_, _> = (0..20).map(|n| (format!("l{n}"), json!("x".repeat(4000)))).collect();
        for (path, value, reason) in [
            ("status", json!("suppressed"), "status: `suppressed` is neither firing nor resolved"),
            ("status", json!(1), "status: a number, not a string"),
            ("labels", json!(null), "labels: missing"),
            ("labels", json!([]), "labels: a list, not an object"),
            ("labels", json!({}), "labels: none"),
            ("labels", json!({"a": ""}), "labels: none"),
            ("labels", json!({"gpu": 3}), "labels: the value of `gpu` is a number, not a string"),
            ("labels", json!({"gpu": {"a": "b"}}), "labels: the value of `gpu` is an object, not a string"),
            ("labels", json!({"a": long}), "labels: the value of `a` has more than 4096 bytes"),
            ("labels", json!({"": "x"}), "labels: the name `` does not have 1 to 256 bytes"),
            ("labels", json!(many), "labels: 65 of them; at most 64 are taken"),
            ("labels", json!(wide), "labels: more than 49152 bytes together"),
            ("annotations", json!("x"), "annotations: a string, not an object"),
            ("annotations", json!({"a": true}), "annotations: the value of `a` is a boolean, not a string"),
            ("startsAt", json!(null), "startsAt: missing"),
            ("startsAt", json!("0001-01-01T00:00:00Z"), "startsAt: missing"),
            ("startsAt", json!(5), "startsAt: a number, not a string"),
            (
                "startsAt",
                json!("yesterday"),
                "startsAt: `yesterday` is not an RFC 3339 time such as 2026-11-20T18:01:02Z",
            ),
            (
                "endsAt",
                json!("2026-03-04T10:15:30Z"),
                "endsAt: 2026-03-04T10:15:30.000000Z is before startsAt, 2026-03-04T10:15:30.123000Z",
            ),
        ] {
            assert_eq!(alert(|alert| alert[path] = value).unwrap_err(), reason);
        }
        let no_end = alert(|alert| alert["status"] = json!("resolved")).unwrap_err();
        assert_eq!(no_end, "endsAt: missing, but the alert is resolved");
        assert_eq!(read("[1]").unwrap_err(), "the alert is a list, not an object");
        assert_eq!(read("null").unwrap_err(), "the alert is null, not an object");
        assert!(read(r#"{"status":"\ud800"}"#).unwrap_err().starts_with("the alert cannot be read: "));
    }

    #[test]
    fn empty_labels_are_dropped_and_the_last_of_a_repeated_key_wins() {
        let text = r#"{"status":"resolved","status":"firing","startsAt":"2026-03-04T10:15:30Z","extra":{"a":[1]},
            "labels":{"a":"1","a":"","b":"","c":"2","c":"3"},"annotations":{"empty":""},"fingerprint":7}"#;
        let report = read(text).unwrap();
        assert_eq!(report.labels, Labels::from_pairs([("c", "3")]));
        assert_eq!(report.annotations.get("empty"), Some(""));
        assert_eq!((report.status, report.fingerprint.as_str()), (ReportStatus::Firing, ""));
    }

    #[test]
    fn long_annotations_are_cut_between_characters_and_flagged() {
        let report = alert(|alert| alert["annotations"]["long"] = json!("é".repeat(10_000) + "x")).unwrap();
        assert!(report.truncated);
        assert_eq!(report.annotations.get("long").unwrap().len(), MAX_ANNOTATION_BYTES);
        assert_eq!(report.annotations.get("summary"), Some("s"));
    }

    #[test]
    fn annotations_together_fit_into_the_alert_and_the_short_ones_stay_whole() {
        let report = alert(|alert| {
            for n in 0..10 {
                alert["annotations"][format!("long{n}")] = json!("x".repeat(16_000));
            }
        })
        .unwrap();
        assert!(report.truncated);
        assert_eq!(report.annotations.get("summary"), Some("s"));
        assert_eq!(report.annotations.len(), 11);
        let total = size(&report.labels) + size(&report.annotations);
        assert!(total <= MAX_ALERT_BYTES && total > MAX_ALERT_BYTES - 100, "{total}");
        let crowd = alert(|alert| {
            for n in 0..20_000 {
                alert["annotations"][format!("name-{n:08}")] = json!("");
            }
        })
        .unwrap();
        assert!(crowd.truncated && size(&crowd.labels) + size(&crowd.annotations) <= MAX_ALERT_BYTES);
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(read(&deep).unwrap_err(), "the alert is a list, not an object");
        let field = format!(r#"{{"status":"firing","extra":{deep},"labels":{{"a":{deep}}}}}"#);
        assert_eq!(read(&field).unwrap_err(), "labels: the value of `a` is a list, not a string");
    }
}
