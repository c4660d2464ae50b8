//! Reading a checkpoint back, every byte checked on the way.

use std::collections::BTreeSet;
use std::io::{BufRead, Read};
use std::mem;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{BY_KEY, Checkpoint, End, FORMAT, Head, before_hash, show_chain};
use crate::store::StoreError;
use crate::store::codec::{self, Entry};
use crate::store::dossier::Place;

/// No row comes near; a longer line is damage, and is not worth the memory.
const LINE_MAX: u64 = 16 << 20;
/// How the last line begins; no kind of row is called so.
const END: &[u8] = b"{\"rows\":";

/// The rows of a checkpoint, in order.
#[derive(Debug)]
pub struct Reading<R> {
    input: R,
    path: PathBuf,
    head: Head,
    sum: Sha256,
    line: Vec<u8>,
    number: u64,
    rows: u64,
    bytes: u64,
    order: Order,
    end: Option<End>,
}

/// In which order rows come.
#[derive(Debug)]
enum Order {
    /// By their keys: the last one's.
    ByKey(Bytes),
    /// As they lie in sled, those of a remediation together.
    AsInSled {
        /// Where the last one lies.
        at: Bytes,
        /// The keys of those that lie there.
        there: BTreeSet<Bytes>,
    },
}

impl Order {
    fn of(format: u32) -> Self {
        if format == BY_KEY {
            Self::ByKey(Bytes::new())
        } else {
            Self::AsInSled { at: Bytes::new(), there: BTreeSet::new() }
        }
    }

    /// Whether the row with this key may come now, as it does from here on.
    fn goes_on(&mut self, key: &Bytes) -> bool {
        match self {
            Self::ByKey(last) => key > &mem::replace(last, key.clone()),
            Self::AsInSled { at, there } => {
                // Which of them lie in the dossier hangs on their size, and that on the program that wrote them.
                let place = Place::of(key).map_or_else(|| key.clone(), |place| place.dossier);
                if place > *at {
                    there.clear();
                    *at = place.clone();
                }
                place == *at && there.insert(key.clone())
            }
        }
    }
}

impl<R: BufRead> Reading<R> {
    /// Begins with the first line. `path` is for messages.
    ///
    /// # Errors
    /// It cannot be read, or is not the beginning of a checkpoint.
    pub fn begin(input: R, path: &Path) -> Result<Self, StoreError> {
        let path = path.to_owned();
        // Replaced at once, by what the first line says.
        let head =
            Head { identity: super::Identity { store: uuid::Uuid::nil(), epoch: 0 }, applied: Default::default() };
        let (line, order) = (Vec::new(), Order::of(FORMAT));
        let mut reading =
            Self { input, path, head, sum: Sha256::new(), line, number: 0, rows: 0, bytes: 0, order, end: None };
        reading.next_line()?;
        let read = Head::read(&reading.line).ok_or_else(|| reading.damaged("it is not how a checkpoint begins"))?;
        (reading.head, reading.order) = (read.0, Order::of(read.1));
        reading.sum.update(&reading.line);
        Ok(reading)
    }

    /// What it was made of.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The next row; nothing after the last one, and then everything was whole.
    ///
    /// # Errors
    /// It cannot be read, or is not what was written.
    #[allow(clippy::should_implement_trait)] // An iterator that goes on after an error would be a trap.
    pub fn next(&mut self) -> Result<Option<Entry>, StoreError> {
        if self.end.is_some() {
            return Ok(None);
        }
        self.next_line()?;
        if self.line.starts_with(END) {
            return self.take_end().map(|()| None);
        }
        self.sum.update(&self.line);
        let text = &self.line[..self.line.len() - 1];
        let entry = codec::from_line(text).map_err(|why| self.damaged(&why))?;
        if !self.order.goes_on(&entry.key) {
            return Err(self.damaged("its row does not come after the one before"));
        }
        self.rows += 1;
        Ok(Some(entry))
    }

    /// What was read, once all of it was.
    ///
    /// # Errors
    /// There is more to read.
    pub fn checkpoint(self) -> Result<Checkpoint, StoreError> {
        let Some(end) = &self.end else { return Err(self.damaged("there is more behind it")) };
        let End { rows, until, .. } = *end;
        Ok(Checkpoint { path: self.path, head: self.head, until, rows, bytes: self.bytes })
    }

    fn take_end(&mut self) -> Result<(), StoreError> {
        let end: End = serde_json::from_slice(&self.line).map_err(|error| self.damaged(&error.to_string()))?;
        let before = before_hash(end.rows, end.until);
        self.sum.update(&before);
        if self.line != format!("{before}{}\"}}\n", end.sha256).as_bytes() {
            return Err(self.damaged("it is not how a checkpoint ends"));
        }
        if end.sha256 != show_chain(&self.sum.clone().finalize()) {
            return Err(self.damaged("what stands before it is not what was written: its hash does not match"));
        }
        if end.rows != self.rows {
            return Err(self.damaged(&format!("it says {} rows, and there are {}", end.rows, self.rows)));
        }
        if end.until < self.head.applied.seq {
            return Err(self.damaged("it ends before it begins"));
        }
        let is_more = self.input.fill_buf().map(|more| !more.is_empty());
        if is_more.map_err(|source| self.io(source))? {
            return Err(self.damaged("something stands behind it"));
        }
        self.end = Some(end);
        Ok(())
    }

    fn next_line(&mut self) -> Result<(), StoreError> {
        self.line.clear();
        self.number += 1;
        let mut limited = self.input.by_ref().take(LINE_MAX);
        let read = limited.read_until(b'\n', &mut self.line).map_err(|source| self.io(source))?;
        self.bytes += read as u64;
        if !self.line.ends_with(b"\n") {
            let what = if read as u64 == LINE_MAX { "it is longer than any row" } else { "it is cut off" };
            return Err(self.damaged(what));
        }
        Ok(())
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::BadCheckpoint { path: self.path.clone(), line: self.number, what: what.to_owned() }
    }

    fn io(&self, source: std::io::Error) -> StoreError {
        StoreError::Io { action: "read", path: self.path.clone(), source }
    }
}
