//! What is on disk: the journal, which is the commit point, and sled, which answers every question.
//!
//! A turn is staged step by step, encoded once, appended to the journal and synced; then it is acknowledged. The applier
//! carries it into sled behind that, and the overlay covers what it has not carried yet. sled holds nothing that the
//! journal does not: it can be thrown away and is built anew. Nothing here decides anything.

mod appender;
mod applier;
mod batch;
mod checkpoint;
mod codec;
mod database;
mod fatal;
mod identity;
mod index;
pub mod journal;
mod keys;
mod live;
mod lock;
pub mod offline;
mod open;
mod overlay;
mod past;
mod progress;
pub mod query;
pub mod reader;
mod rebuild;
mod room;
#[cfg(test)]
mod samples;
mod scan;
mod sentinel;
mod tally;
#[cfg(test)]
mod tests;
mod upkeep;
mod walk;

use std::path::PathBuf;

pub use appender::Appender;
pub use checkpoint::{parse_chain, show_chain};
pub use codec::BadRow;
pub use fatal::Fatal;
pub use journal::JournalError;
pub use open::{Last, Opened, Opening, Options, ReadOnly, Restored, open};
pub use progress::Lag;
pub use reader::{ReadError, Reader};
pub use rebuild::suspect;
pub use room::{Wanted as RoomWanted, free};
pub use upkeep::{Done as UpkeepDone, Wanted as UpkeepWanted};

use crate::domain::Timestamp;
use crate::engine::{Change, Past, PastKey};
use crate::writer::Cause;

/// Why the store cannot be opened, read or written. Each ends the process: start-up is the way back.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else uses it.
    #[error("{} is held by another remedyd: only one process may use a store", path.display())]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// The file system said no.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// The journal cannot be written or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// sled failed.
    #[error("sled failed")]
    Sled(#[from] sled::Error),
    /// sled cannot be opened; it can be built anew.
    #[error("cannot open {}: {why}", path.display())]
    Unopenable {
        /// sled's folder.
        path: PathBuf,
        /// What it said.
        why: String,
    },
    /// A part of sled's folder is gone; it can be built anew.
    #[error("{} is missing while {} is there", lost.display(), found.display())]
    Incomplete {
        /// The file that is gone.
        lost: PathBuf,
        /// The file that shows that there was one.
        found: PathBuf,
    },
    /// sled holds rows of another form; it can be built anew.
    #[error("{} has form {found}, this version reads form {wanted}", path.display())]
    OtherForm {
        /// sled's folder.
        path: PathBuf,
        /// The form that it has.
        found: u32,
        /// The form that we read.
        wanted: u32,
    },
    /// The journal lacks turns that were acknowledged.
    #[error("the journal ends at turn {journal} while sled has turn {applied}: acknowledged turns are lost")]
    JournalBehind {
        /// Its last turn.
        journal: u64,
        /// The turn that sled has.
        applied: u64,
    },
    /// The journal is not the one that sled was made of.
    #[error("turn {seq} of the journal is not the turn {seq} that sled has: they belong to different stores")]
    OtherJournal {
        /// Where they differ.
        seq: u64,
    },
    /// Turns between what sled has and what the journal begins with are gone.
    #[error("the journal begins behind turn {journal} while sled has turn {applied}: the turns between are lost")]
    JournalAhead {
        /// The turn before its first record.
        journal: u64,
        /// The turn that sled has.
        applied: u64,
    },
    /// The store is older than what was acknowledged.
    #[error("the journal ends at turn {journal} while turn {acknowledged} was acknowledged: the store was rolled back")]
    RolledBack {
        /// Its last turn.
        journal: u64,
        /// The turn that the sentinel knows.
        acknowledged: u64,
    },
    /// There is no store.
    #[error("{} holds no store", dir.display())]
    NoStore {
        /// The folder.
        dir: PathBuf,
    },
    /// There is something where a store is to be made.
    #[error("{} holds a store already, or a part of one: import into an empty folder", dir.display())]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
    },
    /// There was a store, and nothing of it is left to read.
    #[error("{} was a store, and both its journal and sled are gone: bring them back, or use `remedyd store import` with a checkpoint in an empty folder", dir.display())]
    Gone {
        /// Its folder.
        dir: PathBuf,
    },
    /// sled is damaged, and cannot be built anew.
    #[error(
        "sled is damaged ({sled}), and cannot be built anew: {why}; nothing was changed. `remedyd audit verify` says more; else use `remedyd store import` with a checkpoint in an empty folder"
    )]
    Beyond {
        /// What is wrong with sled.
        sled: String,
        /// Why the journal does not help.
        why: String,
    },
    /// sled said in its log that something failed, and says it nowhere else (S14): its thread that syncs may be gone.
    #[error("sled says: {0}")]
    Said(String),
    /// sled could not be read while it was in use.
    #[error("sled cannot be read: {0}")]
    Unreadable(String),
    /// A checkpoint is not what was written.
    #[error("the checkpoint {} is damaged in line {line}: {what}", path.display())]
    BadCheckpoint {
        /// Its file.
        path: PathBuf,
        /// From 1.
        line: u64,
        /// What is wrong there.
        what: String,
    },
    /// sled lost, changed or made up rows without noticing.
    #[error("sled does not hold what was written: {0}")]
    Miscounted(String),
    /// A row cannot be read.
    #[error(transparent)]
    Row(#[from] BadRow),
    /// The applier has ended, so nothing is taken any more.
    #[error("the store has stopped")]
    Stopped,
}

impl StoreError {
    /// Whether the disk is full: then nothing is wrong with the store, and it opens once there is room.
    pub fn is_want_of_room(&self) -> bool {
        let source = match self {
            Self::Io { source, .. } | Self::Journal(JournalError::Io { source, .. }) => source,
            Self::Sled(sled::Error::Io(source)) => source,
            Self::Locked { .. }
            | Self::Journal(_)
            | Self::Sled(_)
            | Self::Unopenable { .. }
            | Self::Incomplete { .. }
            | Self::OtherForm { .. }
            | Self::JournalBehind { .. }
            | Self::JournalAhead { .. }
            | Self::OtherJournal { .. }
            | Self::RolledBack { .. }
            | Self::Gone { .. }
            | Self::NoStore { .. }
            | Self::NotEmpty { .. }
            | Self::Beyond { .. }
            | Self::Said(_)
            | Self::Unreadable(_)
            | Self::Miscounted(_)
            | Self::BadCheckpoint { .. }
            | Self::Row(_)
            | Self::Stopped => return false,
        };
        source.kind() == std::io::ErrorKind::StorageFull
    }

    /// Whether sled is damaged: it can be built anew from what the journal and the checkpoints hold.
    pub fn is_damage_of_sled(&self) -> bool {
        match self {
            Self::Unopenable { .. }
            | Self::Incomplete { .. }
            | Self::OtherForm { .. }
            | Self::Unreadable(_)
            | Self::Miscounted(_)
            | Self::Row(_) => true,
            Self::Sled(error) => !matches!(error, sled::Error::Io(_) | sled::Error::Unsupported(_)),
            Self::Locked { .. }
            | Self::Io { .. }
            | Self::Journal(_)
            | Self::JournalBehind { .. }
            | Self::JournalAhead { .. }
            | Self::OtherJournal { .. }
            | Self::RolledBack { .. }
            | Self::Gone { .. }
            | Self::NoStore { .. }
            | Self::NotEmpty { .. }
            | Self::Beyond { .. }
            | Self::Said(_)
            | Self::BadCheckpoint { .. }
            | Self::Stopped => false,
        }
    }

    /// Whether the journal lacks or contradicts what was acknowledged: nothing may be written over that.
    pub fn is_damage_of_journal(&self) -> bool {
        match self {
            Self::Journal(JournalError::Damaged { .. })
            | Self::JournalBehind { .. }
            | Self::JournalAhead { .. }
            | Self::OtherJournal { .. }
            | Self::RolledBack { .. } => true,
            Self::Locked { .. }
            | Self::Io { .. }
            | Self::Journal(_)
            | Self::Sled(_)
            | Self::Unopenable { .. }
            | Self::Incomplete { .. }
            | Self::OtherForm { .. }
            | Self::Gone { .. }
            | Self::NoStore { .. }
            | Self::NotEmpty { .. }
            | Self::Beyond { .. }
            | Self::Said(_)
            | Self::Unreadable(_)
            | Self::Miscounted(_)
            | Self::BadCheckpoint { .. }
            | Self::Row(_)
            | Self::Stopped => false,
        }
    }
}

/// What the writer sees of the store.
pub trait Port: Send {
    /// The stored rows that these keys name: what is on disk, with the turns over it that are not applied yet and the
    /// steps over those that are only staged.
    ///
    /// # Errors
    /// A row cannot be read.
    fn past(&self, keys: &[PastKey]) -> Result<Past, StoreError>;

    /// Adds the changes of one step to the turn. A step without changes leaves no trace.
    fn stage(&mut self, cause: &Cause, kind: &'static str, changes: &[Change]);

    /// Puts the turn on disk with one sync, and says its sequence. An empty turn writes nothing and says the last one's.
    ///
    /// # Errors
    /// The turn is not on disk, or nobody can tell; the store takes nothing more.
    fn commit(&mut self, at: Timestamp) -> Result<u64, StoreError>;

    /// Whether the disk has room for another turn; `Err` says in words how much is lacking.
    ///
    /// # Errors
    /// The disk cannot be looked at.
    fn room(&mut self) -> Result<Result<(), String>, StoreError>;

    /// How far sled is behind what is committed.
    fn lag(&self) -> Lag;
}
