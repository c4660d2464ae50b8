//! A row as bytes, and back. Nothing that fails its check is ever handed out as a row.

use bytes::{Bytes, BytesMut};
use serde::{Serialize, de::DeserializeOwned};

use super::form;
use super::keys::{self, Kind};
use crate::domain::{CheckId, ClusterId, EffectId, InstanceId};
use crate::engine::Change;

/// One row as the journal and sled hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub key: Bytes,
    /// What; nothing removes the key.
    pub value: Option<Bytes>,
}

/// A stored row that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the row at {} is damaged: {why}", key.escape_ascii())]
pub struct BadRow {
    key: Vec<u8>,
    why: String,
}

impl BadRow {
    /// Says that the row at `key` cannot be read, and why.
    pub fn new(key: &[u8], why: impl Into<String>) -> Self {
        Self { key: key.to_vec(), why: why.into() }
    }
}

/// What is wrong with a row that lies where another one belongs.
pub const FOREIGN: &str = "it belongs under another key";

/// Makes bytes of changes. They lie side by side in pieces of memory that are given back as a whole once sled has all rows of
/// one: of those that wait for it there can be tens of thousands, and each in a place of its own would leave gaps.
#[derive(Debug)]
pub struct Encoder {
    /// The JSON of the row that is being written.
    json: Vec<u8>,
    /// What is left of the piece.
    piece: BytesMut,
}

/// How large a piece is: some 150 rows. `BytesMut` makes none of more by itself.
const PIECE: usize = 64 << 10;

impl Default for Encoder {
    fn default() -> Self {
        Self { json: Vec::with_capacity(1024), piece: BytesMut::with_capacity(PIECE) }
    }
}

impl Encoder {
    /// The bytes of a change.
    pub fn encode(&mut self, change: &Change) -> Entry {
        self.piece.extend_from_slice(&keys::of(change));
        let key = self.piece.split().freeze();
        let value = self.write(change).then(|| {
            form::seal_into(&key, &self.json, &mut self.piece);
            self.piece.split().freeze()
        });
        Entry { key, value }
    }

    /// Writes the row as JSON; says whether there is one.
    fn write(&mut self, change: &Change) -> bool {
        self.json.clear();
        match change {
            Change::Alert(row) => self.json(row),
            Change::DeadLetter(row) => self.json(row),
            Change::Remediation(row) => self.json(row),
            Change::Link(row) => self.json(row),
            Change::Transition(row) => self.json(row),
            Change::Alias(row) => self.json(row),
            Change::Hold(row) => self.json(row),
            Change::Held(row) => self.json(row),
            Change::Instance(row) => self.json(row),
            Change::Cluster(row) => self.json(row),
            Change::NodeMemory(row) => self.json(row),
            Change::Execution(row) => self.json(row),
            Change::Horizon(row) => self.json(row),
            Change::Pause(row) => self.json(row),
            Change::Run(row) => self.json(row),
            Change::Condition(row) => self.json(row),
            Change::Pending(row) => self.json(row),
            Change::HeldGone(_)
            | Change::InstanceGone(_)
            | Change::ClusterGone(_)
            | Change::ConditionGone(..)
            | Change::Settled(_) => return false,
        }
        true
    }

    fn json<T: Serialize>(&mut self, row: &T) {
        serde_json::to_writer(&mut self.json, row).expect("rows have text keys only, and memory takes every byte");
    }
}

/// The bytes of a single change.
pub fn encode(change: &Change) -> Entry {
    let mut encoder = Encoder { json: Vec::new(), piece: BytesMut::new() };
    encoder.encode(change)
}

/// The change that [`Encoder::encode`] made these bytes of.
///
/// # Errors
/// The key is of no kind, the value fails its checksum or is no row of that kind, the row belongs under another key, or
/// rows of that kind are never removed.
pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Change, BadRow> {
    let kind = Kind::of(key).ok_or_else(|| BadRow::new(key, "no kind of row has such a key"))?;
    let change = match value {
        Some(value) => stored(kind, key, &form::open(key, value)?)?,
        None => removed(kind, key)?,
    };
    if keys::of(&change) == key { Ok(change) } else { Err(BadRow::new(key, FOREIGN)) }
}

fn stored(kind: Kind, key: &[u8], json: &[u8]) -> Result<Change, BadRow> {
    Ok(match kind {
        Kind::Cluster => Change::Cluster(parse(key, json)?),
        Kind::Instance => Change::Instance(parse(key, json)?),
        Kind::NodeMemory => Change::NodeMemory(parse(key, json)?),
        Kind::Hold => Change::Hold(parse(key, json)?),
        Kind::Remediation => Change::Remediation(parse(key, json)?),
        Kind::Link => Change::Link(parse(key, json)?),
        Kind::Transition => Change::Transition(parse(key, json)?),
        Kind::Alias => Change::Alias(parse(key, json)?),
        Kind::Alert => Change::Alert(parse(key, json)?),
        Kind::Held => Change::Held(parse(key, json)?),
        Kind::Execution => Change::Execution(parse(key, json)?),
        Kind::Horizon => Change::Horizon(parse(key, json)?),
        Kind::Pause => Change::Pause(parse(key, json)?),
        Kind::Run => Change::Run(parse(key, json)?),
        Kind::Condition => Change::Condition(parse(key, json)?),
        Kind::Pending => Change::Pending(parse(key, json)?),
        Kind::DeadLetter => Change::DeadLetter(parse(key, json)?),
    })
}

fn removed(kind: Kind, key: &[u8]) -> Result<Change, BadRow> {
    let rest = &key[1..];
    let bad = |_| BadRow::new(key, "its key holds no name");
    let text = || std::str::from_utf8(rest).map_err(|_| BadRow::new(key, "its key is no text"));
    match kind {
        Kind::Cluster => Ok(Change::ClusterGone(ClusterId::parse(text()?).map_err(bad)?)),
        Kind::Instance => Ok(Change::InstanceGone(InstanceId::parse(text()?).map_err(bad)?)),
        Kind::Held => Ok(Change::HeldGone(InstanceId::parse(text()?).map_err(bad)?)),
        Kind::Condition => {
            let (check, instance) =
                text()?.split_once('\0').ok_or_else(|| BadRow::new(key, "its key holds no two names"))?;
            Ok(Change::ConditionGone(CheckId::parse(check).map_err(bad)?, InstanceId::parse(instance).map_err(bad)?))
        }
        Kind::Pending => match uuid::Uuid::from_slice(rest) {
            Ok(id) => Ok(Change::Settled(EffectId::new(id))),
            Err(_) => Err(BadRow::new(key, "its key holds no id")),
        },
        Kind::NodeMemory
        | Kind::Hold
        | Kind::Remediation
        | Kind::Link
        | Kind::Transition
        | Kind::Alias
        | Kind::Alert
        | Kind::Execution
        | Kind::Horizon
        | Kind::Pause
        | Kind::Run
        | Kind::DeadLetter => Err(BadRow::new(key, "rows of its kind are never removed")),
    }
}

/// The row inside `value`, which lies at `key`.
///
/// # Errors
/// The value has another form, fails its checksum, or is no such row.
pub fn unpack<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, BadRow> {
    parse(key, &form::open(key, value)?)
}

fn parse<T: DeserializeOwned>(key: &[u8], json: &[u8]) -> Result<T, BadRow> {
    serde_json::from_slice(json).map_err(|error| BadRow::new(key, error.to_string()))
}

/// Adds the row at `key` to `line` as `{"<kind>":<row>}`.
///
/// # Errors
/// The key is of no kind, or the value has another form or fails its checksum.
pub fn to_line(key: &[u8], value: &[u8], line: &mut Vec<u8>) -> Result<(), BadRow> {
    let kind = Kind::of(key).ok_or_else(|| BadRow::new(key, "no kind of row has such a key"))?;
    let json = form::open(key, value)?;
    line.extend_from_slice(b"{\"");
    line.extend_from_slice(kind.name().as_bytes());
    line.extend_from_slice(b"\":");
    line.extend_from_slice(&json);
    line.push(b'}');
    Ok(())
}

/// The row that [`to_line`] wrote.
///
/// # Errors
/// In words, why it is none.
pub fn from_line(line: &[u8]) -> Result<Entry, String> {
    let (kind, json) = split_line(line).ok_or("it is no row of a known kind")?;
    let change = stored(kind, &[kind.byte()], json).map_err(|bad| bad.why)?;
    let key = keys::of(&change);
    let value = Some(form::seal(&key, json));
    Ok(Entry { key, value })
}

fn split_line(line: &[u8]) -> Option<(Kind, &[u8])> {
    let rest = line.strip_prefix(b"{\"")?.strip_suffix(b"}")?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let kind = Kind::named(std::str::from_utf8(&rest[..end]).ok()?)?;
    Some((kind, rest[end..].strip_prefix(b"\":")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples;

    #[test]
    fn every_change_comes_back_as_it_was() {
        let removals = samples::removals().into_iter().map(|(_, gone)| gone);
        for change in samples::every_row().into_iter().chain(removals) {
            let entry = encode(&change);
            assert_eq!(decode(&entry.key, entry.value.as_deref()), Ok(change));
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_in_a_value_is_found() {
        for change in samples::every_row() {
            let entry = encode(&change);
            let value = entry.value.unwrap();
            for at in 0..value.len() {
                let mut damaged = value.to_vec();
                damaged[at] ^= 0x10;
                assert!(decode(&entry.key, Some(&damaged)).is_err(), "byte {at}");
            }
            assert!(decode(&entry.key, Some(&value[..value.len() - 1])).is_err());
        }
    }

    #[test]
    fn a_damaged_row_is_named_by_its_key() {
        let error = decode(b"\x02i-7", Some(b"")).unwrap_err();
        assert_eq!(error.to_string(), "the row at \\x02i-7 is damaged: its value is cut off");
    }

    #[test]
    fn a_row_under_a_foreign_key_is_refused() {
        let one = encode(&Change::Alert(Box::new(samples::alert(1, 1))));
        let other = encode(&Change::Alert(Box::new(samples::alert(1, 2))));
        assert!(decode(&one.key, other.value.as_deref()).is_err());
    }

    #[test]
    fn what_is_never_removed_cannot_be_read_as_removed() {
        let key = keys::of(&Change::Alert(Box::new(samples::alert(1, 1))));
        assert!(decode(&key, None).is_err());
        assert!(
            decode(b"", None).is_err() && decode(b"\x0bshort", None).is_err() && decode(b"\x02\xff", None).is_err()
        );
    }
}
