//! What can go wrong with a store, in words that say on what, and what helps.

use std::io;
use std::path::PathBuf;

use super::codec::BadRow;
use super::journal::JournalError;

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
    /// A checkpoint that shows rows of different turns.
    #[error("{} was made while turns {seq} to {until} went on, and is nothing without their journal: put both into an empty folder and start the daemon there, or import what `remedyd store export` made", path.display())]
    Inexact {
        /// The file.
        path: PathBuf,
        /// The turn that it begins with.
        seq: u64,
        /// The turn that it ends with.
        until: u64,
    },
    /// There was a store, and nothing of it is left to read.
    #[error("{} was a store, and both its journal and sled are gone: bring them back, or use `remedyd store import` with an export in an empty folder", dir.display())]
    Gone {
        /// Its folder.
        dir: PathBuf,
    },
    /// sled is damaged, and cannot be built anew.
    #[error(
        "sled is damaged ({sled}), and cannot be built anew: {why}; nothing was changed. `remedyd audit verify` says more; else use `remedyd store import` with an export in an empty folder"
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

/// errno(3): the disk failed.
const EIO: i32 = 5;

/// What is wrong, by what helps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Room on the disk.
    Room,
    /// Building sled anew.
    Sled,
    /// A person: the journal lacks or contradicts what was acknowledged.
    Journal,
    /// Something else.
    Other,
}

impl StoreError {
    /// Whether the disk is full: then nothing is wrong with the store, and it opens once there is room.
    pub fn is_want_of_room(&self) -> bool {
        self.trouble() == Trouble::Room
    }

    /// Whether sled is damaged: it can be built anew from what the journal and the checkpoints hold.
    pub fn is_damage_of_sled(&self) -> bool {
        self.trouble() == Trouble::Sled
    }

    /// Whether the journal lacks or contradicts what was acknowledged: nothing may be written over that.
    pub fn is_damage_of_journal(&self) -> bool {
        self.trouble() == Trouble::Journal
    }

    fn is_sleds(&self) -> bool {
        matches!(self, Self::Sled(_))
    }

    fn trouble(&self) -> Trouble {
        match self {
            Self::Io { source, .. }
            | Self::Journal(JournalError::Io { source, .. })
            | Self::Sled(sled::Error::Io(source)) => match source.kind() {
                io::ErrorKind::StorageFull => Trouble::Room,
                // A page that ends too early, or that the disk cannot read: other files may be better.
                io::ErrorKind::UnexpectedEof if self.is_sleds() => Trouble::Sled,
                _ if self.is_sleds() && source.raw_os_error() == Some(EIO) => Trouble::Sled,
                _ => Trouble::Other,
            },
            Self::Sled(
                sled::Error::CollectionNotFound(_) | sled::Error::ReportableBug(_) | sled::Error::Corruption { .. },
            )
            | Self::Unopenable { .. }
            | Self::Incomplete { .. }
            | Self::OtherForm { .. }
            | Self::Unreadable(_)
            | Self::Miscounted(_)
            | Self::Row(_) => Trouble::Sled,
            Self::Journal(JournalError::Damaged { .. })
            | Self::JournalBehind { .. }
            | Self::JournalAhead { .. }
            | Self::OtherJournal { .. }
            | Self::RolledBack { .. } => Trouble::Journal,
            Self::Journal(JournalError::TooLarge { .. } | JournalError::Closed)
            | Self::Sled(sled::Error::Unsupported(_))
            | Self::Locked { .. }
            | Self::Gone { .. }
            | Self::NoStore { .. }
            | Self::NotEmpty { .. }
            | Self::Inexact { .. }
            | Self::Beyond { .. }
            | Self::Said(_)
            | Self::BadCheckpoint { .. }
            | Self::Stopped => Trouble::Other,
        }
    }
}
