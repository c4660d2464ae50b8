//! Opening a store: lock it, check what is there, bring sled up to the journal's end, and hand out the two ends.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::info;

use super::appender::Appender;
use super::applier::{Applier, Fatal};
use super::database::{self, Applied, Group, Turn};
use super::journal::{Draft, End, Journal, Record, SEGMENT_BYTES};
use super::lock::Lock;
use super::overlay::Overlay;
use super::past::Stored;
use super::progress::Progress;
use super::reader::Reader;
use super::{StoreError, live};
use crate::domain::Timestamp;
use crate::engine::Change;

/// What the store tells while it runs.
pub struct Options {
    /// Called after every sync of the journal with the time that it took.
    pub synced: Box<dyn Fn(Duration) + Send>,
}

impl Default for Options {
    fn default() -> Self {
        Self { synced: Box::new(|_| {}) }
    }
}

/// The last turn on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// Its sequence; 0 in a new store.
    pub seq: u64,
    /// Its engine time; nothing in a new store.
    pub at: Option<Timestamp>,
}

/// An open store.
pub struct Opened {
    /// Every live row, in an order in which memory can be folded.
    pub live: Vec<Change>,
    /// The writer's end.
    pub appender: Appender,
    /// The readers' end.
    pub reader: Reader,
    /// Where engine time goes on.
    pub last: Last,
    /// Tells when the store has failed behind everybody's back.
    pub fatal: Fatal,
}

impl fmt::Debug for Opened {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Opened").field("last", &self.last).field("live", &self.live.len()).finish_non_exhaustive()
    }
}

/// Opens the store in `dir`, or makes one. Blocks until sled has every turn of the journal.
///
/// # Errors
/// Somebody else uses it, or something in it is lost or damaged; then nothing was changed that could still be needed.
pub fn open(dir: &Path, options: Options) -> Result<Opened, StoreError> {
    open_with(dir, options, SEGMENT_BYTES)
}

pub(super) fn open_with(dir: &Path, options: Options, segment_bytes: u64) -> Result<Opened, StoreError> {
    make_durable(dir).map_err(|source| StoreError::Io { action: "create", path: dir.to_owned(), source })?;
    let lock = Arc::new(Lock::take(dir)?);

    let (journal_dir, sled_dir) = (dir.join("journal"), dir.join("sled"));
    Journal::prepare(&journal_dir)?;
    let db = database::open(&sled_dir, Journal::has_begun(&journal_dir)?)?;
    let applied = database::applied(&db)?;
    let overlay = Arc::new(Overlay::default());
    let (end, reached) = catch_up(&journal_dir, &db, applied)?;
    let journal = Journal::resume(&journal_dir, end, 1, segment_bytes)?;
    let live = live::read(&db)?;

    let (progress, done) = Progress::new(reached.seq);
    let progress = Arc::new(progress);
    let io = |source| StoreError::Io { action: "start the applier of", path: sled_dir.clone(), source };
    let (applier, fatal) = Applier::start(db.clone(), Arc::clone(&overlay), done).map_err(io)?;
    let reader = Reader::new(db.clone(), Arc::clone(&progress), Arc::clone(&lock));
    let appender = Appender {
        journal,
        applier,
        stored: Stored::new(db.clone(), Arc::clone(&overlay)),
        overlay,
        progress,
        db,
        synced: options.synced,
        lock,
        draft: Draft::default(),
        entries: Vec::new(),
        failed: false,
    };
    let last = Last { seq: reached.seq, at: (reached.seq > 0).then_some(reached.at) };
    Ok(Opened { live, appender, reader, last, fatal })
}

/// Makes the folder and those above it that are missing, each durable in the one above: a journal that is synced is lost
/// all the same where a power cut takes the folder that it is in.
fn make_durable(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let above = dir.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_durable(above)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !dir.is_dir() => Err(error),
        Ok(()) | Err(_) => File::open(above)?.sync_all(),
    }
}

/// Applies what the journal has and sled has not. Where the journal ends before what sled has, or is another one, it
/// stops before anything is cut off.
fn catch_up(journal: &Path, db: &sled::Db, applied: Applied) -> Result<(End, Applied), StoreError> {
    // Nobody reads yet, so there is nobody to tell and nothing to lay over.
    let (overlay, (done, _)) = (Overlay::default(), watch::channel(0));
    let mut reached = applied;
    let mut group = Group::default();
    let mut replay = Journal::read_from(journal, applied.seq)?;
    for record in &mut replay {
        let Record { seq, at, steps, chain, .. } = record?;
        if seq == applied.seq {
            if chain != applied.chain {
                return Err(StoreError::OtherJournal { seq });
            }
            continue;
        }
        reached = Applied { seq, at, chain };
        group.add(Turn { applied: reached, entries: steps.into_iter().flat_map(|step| step.entries).collect() });
        if group.is_full() {
            std::mem::take(&mut group).apply(db, &overlay, &done)?;
        }
    }
    group.apply(db, &overlay, &done)?;
    let end = replay.end();
    if end.seq < applied.seq {
        return Err(StoreError::JournalBehind { journal: end.seq, applied: applied.seq });
    }
    if reached.seq > applied.seq {
        info!(
            store.from = applied.seq,
            store.to = reached.seq,
            "applied the journal from {} to {}",
            applied.seq,
            reached.seq
        );
    }
    Ok((end, reached))
}
