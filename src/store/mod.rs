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
mod dictionary;
mod dossier;
mod error;
mod fatal;
mod form;
mod identity;
mod index;
pub mod journal;
mod keys;
mod last_episodes;
mod live;
mod lock;
pub mod offline;
mod open;
mod overlay;
mod past;
mod progress;
pub mod query;
mod ranges;
pub mod reader;
mod rebuild;
mod room;
#[cfg(test)]
pub(crate) mod samples;
mod scan;
mod sentinel;
mod tally;
#[cfg(test)]
mod tests;
mod upkeep;
mod walk;

pub use appender::Appender;
pub use checkpoint::{parse_chain, show_chain};
pub use codec::{BadRow, Encoder, Entry, encode};
pub use database::set_aside;
pub use error::StoreError;
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

/// What the writer sees of the store.
pub trait Port: Send {
    /// The stored rows that these keys name: what is on disk, with the turns over it that are not applied yet and the
    /// steps over those that are only staged.
    ///
    /// # Errors
    /// A row cannot be read.
    fn past(&mut self, keys: &[PastKey]) -> Result<Past, StoreError>;

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

    /// Whether what was committed should come into its place before more is told.
    fn is_behind(&self) -> bool;
}
