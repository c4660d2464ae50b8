//! The commit point and the audit log: one record per writer turn, synced before anybody hears of it.
//!
//! Records are numbered from 1 without gaps and chained by hash; files rotate between records. After the first failed
//! write or sync the journal takes nothing more, because nobody can say what the disk then holds: the process ends, and
//! the next start reads what is there.
//!
//! Small records are written over zeros that were laid ahead of them, so that a sync carries their bytes alone and not the
//! file's new length as well: on ext4 that is half of the time and of the CPU of a sync (260 → 135 µs for 4 KB). Zeros up to
//! the end of a file are no record and no damage.

pub mod prune;
pub mod record;
pub mod replay;
mod segment;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tracing::warn;

pub use record::{Chain, Draft, Record};
pub use replay::{End, Replay};
pub use segment::sync_dir;
use segment::{HEADER, Segment};

use crate::domain::Timestamp;

/// After this many bytes the next record begins a new file: small enough to copy and to check in a second.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// So many zeros are laid behind a record that reaches beyond the last ones: room for some hundreds of usual ones, whose syncs
/// carry no new length.
const AHEAD: u64 = 1 << 20;

/// A record from this size on lays none: it would soon use them up, and the disk would have each of its bytes twice.
const LARGE: u64 = AHEAD / 16;

/// No turn has a higher number: it would take a turn a nanosecond for a century, so a file that names one is damaged, and
/// no sum of it overflows.
pub const LAST: u64 = 1 << 62;

/// Why the journal cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system said no.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The journal does not hold what was written to it.
    #[error("the journal is damaged at byte {offset} of {}: {what}", path.display())]
    Damaged {
        /// In which file.
        path: PathBuf,
        /// Where the damaged part begins.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A turn that no file could hold; nothing was written.
    #[error("a turn of {bytes} bytes is larger than a record may be")]
    TooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// An earlier write failed, so nothing is taken any more.
    #[error("the journal takes nothing after a failed write")]
    Closed,
}

impl JournalError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    fn damaged(path: &Path, offset: u64, what: &str) -> Self {
        Self::Damaged { path: path.to_owned(), offset, what: what.to_owned() }
    }
}

/// How much of the end is written again: more than a turn of any load has.
const AGAIN: u64 = 8 << 20;

/// Writes a record, which is the first `record` of `bytes`, and the zeros behind it as far as the disk has room for them. Says how
/// many bytes were written.
fn write_ahead(
    bytes: &[u8],
    record: usize,
    mut write: impl FnMut(&[u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        match write(&bytes[done..], done as u64) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => done += written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull && done >= record => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes the last bytes of a file over themselves. Whatever reaches the disk of that is what should be there. The caller syncs.
fn write_again(file: &File, len: u64) -> io::Result<()> {
    let from = len.saturating_sub(AGAIN);
    let mut end = vec![0; usize::try_from(len - from).expect("AGAIN fits into memory")];
    file.read_exact_at(&mut end, from)?;
    file.write_all_at(&end, from)
}

/// The end of the journal, where turns are appended.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    segment: Segment,
    file: File,
    /// How long the segment is: where the next record goes.
    len: u64,
    /// How long its file is, with the zeros ahead.
    filled: u64,
    /// After how many bytes a segment is full.
    segment_bytes: u64,
    /// Which life of the store writes: restored and copied stores begin another.
    epoch: u64,
    seq: u64,
    chain: Chain,
    failed: bool,
}

impl Journal {
    /// Makes the folder if it is not there, durable in the one above.
    pub fn prepare(dir: &Path) -> Result<(), JournalError> {
        if dir.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(dir).map_err(JournalError::io("create", dir))?;
        dir.parent().map_or(Ok(()), segment::sync_dir)
    }

    /// Whether there is any segment.
    pub fn has_begun(dir: &Path) -> Result<bool, JournalError> {
        Ok(!segment::list(dir)?.is_empty())
    }

    /// Removes the segments that have no turn from `from` on; see [`prune`].
    pub fn prune(dir: &Path, from: u64) -> Result<usize, JournalError> {
        prune::prune(dir, from)
    }

    /// Every record from `from` on; see [`Replay`].
    pub fn read_from(dir: &Path, from: u64) -> Result<Replay, JournalError> {
        Replay::begin(dir, from)
    }

    /// Goes on where a [`Replay`] ended; what lies behind was never acknowledged and is cut off.
    pub fn resume(dir: &Path, end: End, epoch: u64, segment_bytes: u64) -> Result<Self, JournalError> {
        segment::sweep(dir)?;
        let (segment, file, len, filled) = match end.segment {
            None => {
                let (segment, file) = Segment::create(dir, 1, 1, end.chain, 0)?;
                (segment, file, HEADER as u64, HEADER as u64)
            }
            Some((segment, len)) => {
                let io = |action| JournalError::io(action, &segment.path);
                let file = OpenOptions::new().read(true).write(true).open(&segment.path).map_err(io("open"))?;
                if end.torn > 0 {
                    warn!(
                        journal.file = %segment.path.display(), journal.offset = len, journal.bytes = end.torn,
                        "cut off {} bytes of a turn that was never acknowledged", end.torn
                    );
                }
                let was = file.metadata().map_err(io("look at"))?.len();
                file.set_len(len).map_err(io("truncate"))?;
                // A header alone would say that it was ended.
                let filled = len + u64::from(len == HEADER as u64 && was > len);
                file.set_len(filled).map_err(io("truncate"))?;
                // A turn that was written but not synced before a crash was read as whole: it is durable from here on.
                // Where the sync itself failed, what was read may be in memory alone and yet count as synced, so the end is
                // written once more.
                write_again(&file, len).map_err(io("write again"))?;
                file.sync_all().map_err(io("sync"))?;
                (segment, file, len, filled)
            }
        };
        Ok(Self {
            dir: dir.to_owned(),
            segment,
            file,
            len,
            filled,
            segment_bytes,
            epoch,
            seq: end.seq,
            chain: end.chain,
            failed: false,
        })
    }

    /// Begins a journal behind turn `seq`, after which the chain is `chain`: what came before is elsewhere.
    pub fn begin_behind(
        dir: &Path,
        seq: u64,
        chain: Chain,
        epoch: u64,
        segment_bytes: u64,
    ) -> Result<Self, JournalError> {
        let (segment, file) = Segment::create(dir, 1, seq + 1, chain, 0)?;
        let (dir, len) = (dir.to_owned(), HEADER as u64);
        Ok(Self { dir, segment, file, len, filled: len, segment_bytes, epoch, seq, chain, failed: false })
    }

    /// Its files, in order.
    pub fn files(dir: &Path) -> Result<Vec<PathBuf>, JournalError> {
        Ok(segment::list(dir)?.into_iter().map(|segment| segment.path).collect())
    }

    /// Whether it ends with a segment without records, as [`Journal::end_segment`] leaves it.
    pub fn has_ended(dir: &Path) -> Result<bool, JournalError> {
        let Some(last) = segment::list(dir)?.pop() else { return Ok(false) };
        let about = fs::metadata(&last.path).map_err(JournalError::io("look at", &last.path))?;
        Ok(about.len() == HEADER as u64)
    }

    /// The sequence of the last record; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The chain after the last record.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Writes one turn and waits until it is on disk.
    ///
    /// # Errors
    /// The turn is too large, or the disk failed; after that every append is refused.
    pub fn append(
        &mut self,
        draft: Draft,
        at: Timestamp,
        sync: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<u64, JournalError> {
        if self.failed {
            return Err(JournalError::Closed);
        }
        self.failed = true;
        if draft.payload_len() > record::PAYLOAD_MAX {
            return Err(JournalError::TooLarge { bytes: draft.payload_len() });
        }
        // A segment is named by its first record, so one without records is never left behind.
        if self.len >= self.segment_bytes && self.segment.first <= self.seq {
            // With a zero behind the header, which alone would say that it was ended.
            self.rotate(1)?;
        }
        let (mut bytes, chain) = draft.seal(self.seq + 1, self.epoch, at, &self.chain);
        let record = bytes.len();
        let end = self.len + record as u64;
        if end > self.filled && (record as u64) < LARGE {
            bytes.resize(record + AHEAD as usize, 0);
        }
        let written = write_ahead(&bytes, record, |rest, done| self.file.write_at(rest, self.len + done))
            .map_err(JournalError::io("append to", &self.segment.path))?;
        sync(&self.file).map_err(JournalError::io("sync", &self.segment.path))?;
        self.filled = self.filled.max(self.len + written as u64);
        self.len = end;
        self.seq += 1;
        self.chain = chain;
        self.failed = false;
        Ok(self.seq)
    }

    /// Ends the segment, so that the next start finds an empty one behind everything that was written.
    pub fn end_segment(&mut self) -> Result<(), JournalError> {
        if self.failed || self.segment.first > self.seq {
            return Ok(());
        }
        self.rotate(0)
    }

    /// Ends the file and begins the next one, with so many zeros in it.
    fn rotate(&mut self, zeros: usize) -> Result<(), JournalError> {
        let (number, first) = (self.segment.number + 1, self.seq + 1);
        // Nobody reads the zeros that are left, and they are for nobody any more. The cut writes the last block again, so it is
        // synced once more.
        match self.file.set_len(self.len) {
            Ok(()) => self.file.sync_data().map_err(JournalError::io("sync", &self.segment.path))?,
            Err(error) => warn!(journal.file = %self.segment.path.display(), "its unused end stays: {error}"),
        }
        let (segment, file) = Segment::create(&self.dir, number, first, self.chain, zeros)?;
        let len = HEADER as u64;
        (self.segment, self.file, self.len, self.filled) = (segment, file, len, len + zeros as u64);
        Ok(())
    }
}
