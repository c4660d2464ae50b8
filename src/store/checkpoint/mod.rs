//! Checkpoints: all rows of sled in one file, from which sled can be built anew without the journal's beginning.
//!
//! ```text
//! {"format":2,"store":"…","epoch":1,"seq":70,"chain":"…","at":"…"}
//! {"cluster":{…}}                                                     one line a row, as they lie in sled
//! {"rows":1,"until":75,"sha256":"…"}                                  the hash of every byte before it
//! ```
//!
//! One that is made while turns are applied shows each row as it was at some turn from `seq` to `until`. Rows are whole
//! values, so the journal applied from `seq` on gives the exact state at every turn from `until` on, and at none before.
//! An export of a store that is not in use has `until` = `seq` and is exact by itself.

pub mod folder;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use folder::latest;
pub use read::Reading;
pub use write::Writing;

use super::StoreError;
use super::batch::{Row, fill};
use super::database::{self, Applied, BATCH};
use super::identity::Identity;
use super::journal::{Chain, LAST};
use crate::domain::Timestamp;

/// What is written: those of a remediation stand together.
const FORMAT: u32 = 2;
/// What was written before: rows in the order of their keys.
const BY_KEY: u32 = 1;

/// What a checkpoint was made of: its first line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The store, and which life of it.
    pub identity: Identity,
    /// The turn that it holds everything of, with its time and the journal's chain after it.
    pub applied: Applied,
}

#[derive(Serialize, Deserialize)]
struct WrittenHead {
    format: u32,
    store: Uuid,
    epoch: u64,
    seq: u64,
    chain: String,
    at: String,
}

/// Its last line, as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct End {
    /// How many rows it has.
    pub rows: u64,
    /// The last turn of which it may hold something.
    pub until: u64,
    sha256: String,
}

/// A file of which every byte was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Where it lies.
    pub path: PathBuf,
    /// What it was made of.
    pub head: Head,
    /// The last turn of which it may hold something: a journal that ends before does not fit it.
    pub until: u64,
    /// How many rows it has.
    pub rows: u64,
    /// How long it is.
    pub bytes: u64,
}

impl Checkpoint {
    /// Reads and checks all of a file.
    ///
    /// # Errors
    /// It cannot be read, or it is not what was written.
    pub fn verify(path: &Path) -> Result<Self, StoreError> {
        let mut reading = read(path)?;
        while reading.next()?.is_some() {}
        reading.checkpoint()
    }

    /// Fills an empty sled with its rows, and says up to which turn sled then has everything.
    ///
    /// # Errors
    /// The file cannot be read any more, or sled failed.
    pub fn restore(&self, db: &sled::Db) -> Result<Applied, StoreError> {
        let mut reading = read(&self.path)?;
        let mut rows = Vec::with_capacity(BATCH);
        while let Some(entry) = reading.next()? {
            rows.push(Row::try_from(entry)?);
            if rows.len() == BATCH {
                fill(db, &rows)?;
                rows.clear();
            }
        }
        fill(db, &rows)?;
        database::note_applied(db, self.head.applied)?;
        Ok(self.head.applied)
    }
}

/// Begins to read a file.
///
/// # Errors
/// It cannot be read, or it does not begin as a checkpoint does.
pub fn read(path: &Path) -> Result<Reading<BufReader<File>>, StoreError> {
    let io = |source| StoreError::Io { action: "open", path: path.to_owned(), source };
    Reading::begin(BufReader::with_capacity(1 << 16, File::open(path).map_err(io)?), path)
}

impl Head {
    fn write(&self, format: u32) -> Vec<u8> {
        let Applied { seq, at, chain } = self.applied;
        let Identity { store, epoch } = self.identity;
        let written = WrittenHead { format, store, epoch, seq, chain: show_chain(&chain), at: at.to_string() };
        serde_json::to_vec(&written).expect("it is a struct of texts and numbers")
    }

    /// With the format. Nothing where the line is not one that a checkpoint begins with.
    fn read(line: &[u8]) -> Option<(Self, u32)> {
        let written: WrittenHead = serde_json::from_slice(line).ok()?;
        if !(BY_KEY..=FORMAT).contains(&written.format) || written.seq > LAST || written.epoch > LAST {
            return None;
        }
        let applied =
            Applied { seq: written.seq, at: Timestamp::parse(&written.at).ok()?, chain: parse_chain(&written.chain)? };
        Some((Self { identity: Identity { store: written.store, epoch: written.epoch }, applied }, written.format))
    }
}

/// What stands before the hash in the last line.
fn before_hash(rows: u64, until: u64) -> String {
    format!("{{\"rows\":{rows},\"until\":{until},\"sha256\":\"")
}

/// A chain as people see it: 64 hexadecimal digits.
pub fn show_chain(chain: &[u8]) -> String {
    chain.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads what [`show_chain`] wrote.
pub fn parse_chain(text: &str) -> Option<Chain> {
    let mut chain = Chain::default();
    if text.len() != 2 * chain.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in chain.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(chain)
}
