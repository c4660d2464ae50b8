//! From the bytes of an Alertmanager message to alerts, each of which can be read or cannot.
//!
//! The body is refused as a whole only where nothing in it can be told apart: it is not UTF-8, not JSON, not an object,
//! or holds no list of alerts. From there on every alert stands alone: one that cannot be read becomes a dead letter and
//! the rest is taken, because Alertmanager sends a refused group again and again with its resolves in it.
//!
//! The parser borrows from the body and never recurses: what is nested deeper than an alert's labels is skipped by a
//! loop, so the depth of hostile JSON costs no stack.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::webhook_alert;
use crate::engine::{DeadReport, Report};

/// The scalar kinds of a JSON value, each wrapped with its name.
macro_rules! scalars {
    ($wrap:expr) => {
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($wrap("null"))
        }
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($wrap("a boolean"))
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($wrap("a number"))
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($wrap("a number"))
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($wrap("a number"))
        }
    };
}
pub(super) use scalars;

/// How many alerts one message may hold; a group of this size is a configuration mistake.
pub const MAX_ALERTS: usize = 50_000;
/// How much of an unreadable alert is kept.
const MAX_RAW_BYTES: usize = 16 * 1024;

/// One alert of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// It could be read.
    Read(Report),
    /// It could not.
    Dead(DeadReport),
}

/// A body in which no alert can be told apart from the next; nothing of it was taken.
#[derive(Debug, thiserror::Error)]
pub enum BadBody {
    /// JSON is UTF-8.
    #[error("the body is not UTF-8 at byte {at}; nothing of it was taken")]
    NotUtf8 {
        /// Offset of the first byte that is wrong.
        at: usize,
    },
    /// Cut off, or no JSON at all.
    #[error("the body is not JSON: {0}; nothing of it was taken")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but not a message.
    #[error("the body is {0}, not an object; nothing of it was taken")]
    NotAnObject(&'static str),
    /// No list of alerts.
    #[error("`alerts` is {0}, not a list; nothing of the body was taken")]
    NoAlerts(&'static str),
    /// More than [`MAX_ALERTS`].
    #[error("the body holds more than {MAX_ALERTS} alerts; nothing of it was taken")]
    TooMany,
}

/// Reads a message; the alerts come in its order.
pub fn parse(body: &[u8]) -> Result<Vec<Item>, BadBody> {
    // Some proxies and scripts put a byte order mark in front; it carries nothing.
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = std::str::from_utf8(body).map_err(|error| BadBody::NotUtf8 { at: error.valid_up_to() })?;
    let mut json = serde_json::Deserializer::from_str(text);
    let message = Message.deserialize(&mut json).and_then(|message| json.end().map(|()| message));
    match message.map_err(BadBody::NotJson)? {
        Shape::Message(Alerts::List(raw)) => Ok(raw.into_iter().map(read).collect()),
        Shape::Message(Alerts::TooMany) => Err(BadBody::TooMany),
        Shape::Message(Alerts::Other(what)) => Err(BadBody::NoAlerts(what)),
        Shape::Other(what) => Err(BadBody::NotAnObject(what)),
    }
}

fn read(raw: &RawValue) -> Item {
    match webhook_alert::read(raw.get()) {
        Ok(report) => Item::Read(report),
        Err(reason) => {
            let raw = webhook_alert::cut(raw.get(), MAX_RAW_BYTES).to_owned();
            Item::Dead(DeadReport { reason, raw })
        }
    }
}

enum Shape<'a> {
    Message(Alerts<'a>),
    Other(&'static str),
}

enum Alerts<'a> {
    List(Vec<&'a RawValue>),
    TooMany,
    Other(&'static str),
}

struct Message;

impl<'de> DeserializeSeed<'de> for Message {
    type Value = Shape<'de>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Message {
    type Value = Shape<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an Alertmanager message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut alerts = Alerts::Other("missing");
        while let Some(key) = map.next_key_seed(Loose { open_maps: false })? {
            if key.text() == Some("alerts") {
                alerts = map.next_value_seed(AlertList)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Shape::Message(alerts))
    }

    scalars!(Shape::Other);

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Shape::Other("a string"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        skip_seq(seq)?;
        Ok(Shape::Other("a list"))
    }
}

struct AlertList;

impl<'de> DeserializeSeed<'de> for AlertList {
    type Value = Alerts<'de>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AlertList {
    type Value = Alerts<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of alerts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(raw) = seq.next_element::<&RawValue>()? {
            if list.len() == MAX_ALERTS {
                skip_seq(seq)?;
                return Ok(Alerts::TooMany);
            }
            list.push(raw);
        }
        Ok(Alerts::List(list))
    }

    scalars!(Alerts::Other);

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Alerts::Other("a string"))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        skip_map(map)?;
        Ok(Alerts::Other("an object"))
    }
}

/// Any JSON value, as far as an alert needs it.
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    /// Only where a map is looked for.
    Map(Vec<(Cow<'a, str>, Value<'a>)>),
    /// What it is instead.
    Other(&'static str),
}

impl Value<'_> {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Map(_) | Self::Other(_) => None,
        }
    }

    /// What it is, in words.
    pub(super) fn what(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Map(_) => "an object",
            Self::Other(what) => what,
        }
    }
}

/// Reads any value without an error for its type. A map inside a map is skipped, so this never goes deeper than two.
pub(super) struct Loose {
    pub(super) open_maps: bool,
}

impl<'de> DeserializeSeed<'de> for Loose {
    type Value = Value<'de>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Loose {
    type Value = Value<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        if !self.open_maps {
            skip_map(map)?;
            return Ok(Value::Other("an object"));
        }
        let mut pairs = Vec::with_capacity(8);
        while let Some(key) = map.next_key_seed(Loose { open_maps: false })? {
            let value = map.next_value_seed(Loose { open_maps: false })?;
            if let Value::Text(name) = key {
                pairs.push((name, value));
            }
        }
        Ok(Value::Map(pairs))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        skip_seq(seq)?;
        Ok(Value::Other("a list"))
    }

    scalars!(Value::Other);
}

pub(super) fn skip_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

pub(super) fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}
