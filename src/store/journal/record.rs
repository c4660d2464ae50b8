//! One writer turn as bytes: what was changed, by whose doing, and when.
//!
//! ```text
//! frame    length u32 │ CRC32C of payload u32 │ payload │ chain: SHA-256 of the chain before and the payload
//! payload  sequence u64 │ epoch u64 │ engine time i64 │ steps u32 │ step…
//! step     cause: length u32, JSON │ entries u32 │ entry…
//! entry    key: length u32, bytes │ 0, or 1 and the value: length u32, bytes
//! ```
//!
//! All numbers are big-endian. The CRC finds an accident, the chain finds a record that was exchanged.

use std::net::IpAddr;

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::{Role, Timestamp};
use crate::store::codec::Entry;

/// The hash over everything up to and including a record.
pub type Chain = [u8; 32];

/// Length and checksum before the payload.
pub const HEAD: usize = 8;
/// The chain behind it.
pub const TAIL: usize = 32;
/// Sequence, epoch, time and the number of steps.
pub const PAYLOAD_MIN: usize = 28;
/// No turn comes near; a length beyond it is damage, and is not worth an allocation.
pub const PAYLOAD_MAX: usize = 1 << 30;

/// Why something changed, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedCause {
    /// A token's name, a source, a driver, or `remedyd`.
    pub principal: String,
    /// The request's id, where there was a request.
    #[serde(default)]
    pub request_id: Option<String>,
    /// Which kind of input it was.
    pub kind: String,
    /// What they were let in as, where somebody asked.
    #[serde(default)]
    pub role: Option<Role>,
    /// Where they asked from; nothing on a socket file.
    #[serde(default)]
    pub address: Option<IpAddr>,
}

impl RecordedCause {
    /// What was done without a request.
    pub fn of(principal: &str, kind: &str) -> Self {
        Self { principal: principal.to_owned(), request_id: None, kind: kind.to_owned(), role: None, address: None }
    }
}

/// The changes of one input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedStep {
    /// By whose doing.
    pub cause: RecordedCause,
    /// The rows, in order.
    pub entries: Vec<Entry>,
}

/// One turn of the writer, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// From 1, without gaps.
    pub seq: u64,
    /// Which life of the store wrote it.
    pub epoch: u64,
    /// The engine's time of the turn.
    pub at: Timestamp,
    /// What was changed, in order.
    pub steps: Vec<RecordedStep>,
    /// The hash up to here.
    pub chain: Chain,
}

/// A turn that is being written: encoded step by step, sealed once it is complete.
#[derive(Debug)]
pub struct Draft {
    frame: Vec<u8>,
    steps: u32,
}

impl Default for Draft {
    fn default() -> Self {
        Self { frame: vec![0; HEAD + PAYLOAD_MIN], steps: 0 }
    }
}

impl Draft {
    /// Adds the changes of one input.
    pub fn add(&mut self, cause: &impl Serialize, entries: &[Entry]) {
        let cause = serde_json::to_vec(cause).expect("a cause is a struct of texts");
        self.put_bytes(&cause);
        self.put_len(entries.len());
        for entry in entries {
            self.put_bytes(&entry.key);
            match &entry.value {
                None => self.frame.push(0),
                Some(value) => {
                    self.frame.push(1);
                    self.put_bytes(value);
                }
            }
        }
        self.steps += 1;
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.steps == 0
    }

    /// How long the payload is.
    pub fn payload_len(&self) -> usize {
        self.frame.len() - HEAD
    }

    /// Completes the frame, and says what the chain is after it.
    pub fn seal(mut self, seq: u64, epoch: u64, at: Timestamp, before: &Chain) -> (Vec<u8>, Chain) {
        let (head, payload) = self.frame.split_at_mut(HEAD);
        payload[..8].copy_from_slice(&seq.to_be_bytes());
        payload[8..16].copy_from_slice(&epoch.to_be_bytes());
        payload[16..24].copy_from_slice(&at.as_micros().to_be_bytes());
        payload[24..PAYLOAD_MIN].copy_from_slice(&self.steps.to_be_bytes());
        let length = u32::try_from(payload.len()).expect("the journal refuses a payload beyond PAYLOAD_MAX");
        head[..4].copy_from_slice(&length.to_be_bytes());
        head[4..].copy_from_slice(&crc32c::crc32c(payload).to_be_bytes());
        let chain = link(before, payload);
        self.frame.extend_from_slice(&chain);
        (self.frame, chain)
    }

    fn put_len(&mut self, length: usize) {
        let length = u32::try_from(length).expect("a part of a turn is smaller than 4 GiB");
        self.frame.extend_from_slice(&length.to_be_bytes());
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put_len(bytes.len());
        self.frame.extend_from_slice(bytes);
    }
}

/// The chain after `payload`.
pub fn link(before: &Chain, payload: &[u8]) -> Chain {
    Sha256::new().chain_update(before).chain_update(payload).finalize().into()
}

impl Record {
    /// Reads a payload whose checksum and chain have been compared. Nothing if its parts do not fit together.
    pub fn read(mut payload: Bytes, chain: Chain) -> Option<Self> {
        let seq = payload.try_get_u64().ok()?;
        let epoch = payload.try_get_u64().ok()?;
        let at = Timestamp::from_micros(payload.try_get_i64().ok()?);
        let count = payload.try_get_u32().ok()?;
        let mut steps = Vec::new();
        for _ in 0..count {
            steps.push(read_step(&mut payload)?);
        }
        payload.is_empty().then_some(Self { seq, epoch, at, steps, chain })
    }
}

fn read_step(payload: &mut Bytes) -> Option<RecordedStep> {
    let cause = serde_json::from_slice(&read_bytes(payload)?).ok()?;
    let count = payload.try_get_u32().ok()?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let key = read_bytes(payload)?;
        let value = match payload.try_get_u8().ok()? {
            0 => None,
            1 => Some(read_bytes(payload)?),
            _ => return None,
        };
        entries.push(Entry { key, value });
    }
    Some(RecordedStep { cause, entries })
}

fn read_bytes(payload: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(payload.try_get_u32().ok()?).ok()?;
    (length <= payload.len()).then(|| payload.split_to(length))
}
