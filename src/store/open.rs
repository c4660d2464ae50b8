//! Opening a store: lock it, check what is there, bring sled up to the journal's end, and hand out the two ends.
//!
//! sled that is damaged or gone is built anew where the journal holds everything. A journal that lacks or contradicts what
//! was acknowledged is never written to: the store then opens for reading only. A store that was copied or restored opens
//! for another life, of which the engine is to be told first.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::info;
use uuid::Uuid;

use super::appender::Appender;
use super::applier::Applier;
use super::batch::{Highest, Nobody, Row};
use super::codec::Encoder;
use super::database::{self, Applied, Group, Turn};
use super::fatal::{Alarm, Fatal};
use super::identity::{self, Found, Identity};
use super::journal::{Draft, End, Journal, Record, SEGMENT_BYTES};
use super::lock::Lock;
use super::overlay::Overlay;
use super::past::Stored;
use super::progress::Progress;
use super::reader::Reader;
use super::room::{self, Room};
use super::sentinel::{self, Mark, Sentinel};
use super::upkeep::{self, Upkeep};
use super::{StoreError, checkpoint, live, rebuild};
use crate::domain::Timestamp;
use crate::engine::Change;

/// What the store needs, and what it tells while it runs.
pub struct Options {
    /// Called after every sync of the journal with the time that it took.
    pub synced: Box<dyn Fn(Duration) + Send>,
    /// How much of the disk is to be left.
    pub room: room::Wanted,
    /// Whether sled is walked over and checkpoints are made, and when.
    pub upkeep: Option<upkeep::Wanted>,
}

impl Default for Options {
    fn default() -> Self {
        Self { synced: Box::new(|_| {}), room: room::Wanted::default(), upkeep: None }
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

/// The store was copied or restored since it was last open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Which life begins.
    pub epoch: u64,
    /// What shows it.
    pub why: String,
}

/// How a store opened.
#[derive(Debug)]
pub enum Opening {
    /// For everything.
    Ready(Box<Opened>),
    /// For reading only.
    ReadOnly(ReadOnly),
}

impl Opening {
    /// The store, where it opened for everything.
    ///
    /// # Errors
    /// It opened for reading only.
    pub fn for_writing(self) -> Result<Opened, ReadOnly> {
        match self {
            Self::Ready(opened) => Ok(*opened),
            Self::ReadOnly(store) => Err(store),
        }
    }
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
    /// Where it was copied or restored: the engine's first input has to say so.
    pub restored: Option<Restored>,
    /// Tells when the store has failed behind everybody's back.
    pub fatal: Fatal,
}

/// A store whose journal must not be written to.
#[derive(Debug)]
pub struct ReadOnly {
    /// The readers' end: what sled has.
    pub reader: Reader,
    /// What is wrong, and what helps.
    pub why: String,
    /// Nothing more will be applied; readers would take an end of this for a failure.
    _done: watch::Sender<u64>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Opened").field("last", &self.last).field("live", &self.live.len()).finish_non_exhaustive()
    }
}

/// Opens the store in `dir`, or makes one. Blocks until sled has every turn of the journal.
///
/// # Errors
/// Somebody else uses it, there is no room, or nothing of it can be read; then nothing was changed that could still be needed.
pub fn open(dir: &Path, options: Options) -> Result<Opening, StoreError> {
    open_with(dir, options, SEGMENT_BYTES)
}

pub(super) fn open_with(dir: &Path, options: Options, segment_bytes: u64) -> Result<Opening, StoreError> {
    make_durable(dir).map_err(|source| StoreError::Io { action: "create", path: dir.to_owned(), source })?;
    let lock = Arc::new(Lock::take(dir)?);
    let room = Room::look(dir, options.room)?;
    let found = identity::read(dir)?;
    Journal::prepare(&dir.join("journal"))?;

    if let Some(why) = wrong_with_sled(dir, &found)? {
        rebuild::rebuild(dir, &why)?;
    }
    let read = match database::guarded(|| read(dir)) {
        Err(error) if error.is_damage_of_sled() => {
            rebuild::rebuild(dir, &error.to_string())?;
            read(dir)?
        }
        read => read?,
    };
    // A sled that is too old for the journal's beginning may not be too old for a checkpoint.
    let read = match read {
        Sound::Sled(db, _, error @ StoreError::JournalAhead { .. }) => {
            drop(db);
            match rebuild::rebuild(dir, &error.to_string()) {
                Ok(()) | Err(StoreError::Beyond { .. }) => self::read(dir)?,
                Err(error) => return Err(error),
            }
        }
        read => read,
    };
    let Read { db, live, reached, end } = match read {
        Sound::Both(read) => read,
        Sound::Sled(db, applied, error) => {
            let (progress, done) = Progress::new(applied.seq);
            let reader = Reader::new(db, Arc::new(progress), Alarm::mute(), lock);
            let why = format!("{error}; only reads are answered. `remedyd audit verify` says more");
            return Ok(Opening::ReadOnly(ReadOnly { reader, why, _done: done }));
        }
    };

    let is_new = found == Found::Nothing && reached.seq == 0;
    let (identity, restored) = life(found, is_new, &live, end.epoch);
    let journal = Journal::resume(&dir.join("journal"), end, identity.epoch, segment_bytes)?;
    if is_new {
        // After the first segment: whoever finds this file expects a journal.
        identity::write(dir, identity)?;
    }
    let sentinel = Sentinel::begin(dir, Mark { seq: reached.seq, chain: reached.chain })?;

    let (overlay, (progress, done)) = (Arc::new(Overlay::default()), Progress::new(reached.seq));
    let progress = Arc::new(progress);
    let io = |source| StoreError::Io { action: "start the applier of", path: dir.to_owned(), source };
    let upkeep = Upkeep::new(dir.to_owned(), identity, reached, options.upkeep);
    let (applier, fatal) =
        Applier::start(db.clone(), Arc::clone(&overlay), Arc::clone(&progress), done, upkeep).map_err(io)?;
    let (fatal, alarm) = Fatal::new(fatal);
    let reader = Reader::new(db.clone(), Arc::clone(&progress), alarm, Arc::clone(&lock));
    let appender = Appender {
        dir: dir.to_owned(),
        journal,
        sentinel,
        room,
        adopts: restored.is_some().then_some(identity),
        applier,
        stored: Stored::new(db.clone(), Arc::clone(&overlay)),
        overlay,
        progress,
        db,
        synced: options.synced,
        lock,
        draft: Draft::default(),
        encoder: Encoder::default(),
        rows: Vec::new(),
        has_act: false,
        has_begun: false,
        failed: false,
    };
    let last = Last { seq: reached.seq, at: (reached.seq > 0).then_some(reached.at) };
    Ok(Opening::Ready(Box::new(Opened { live, appender, reader, last, restored, fatal })))
}

/// What is wrong with sled that shows before it is opened: it is suspect, or gone while there is a journal.
fn wrong_with_sled(dir: &Path, found: &Found) -> Result<Option<String>, StoreError> {
    if let Some(why) = rebuild::suspected(dir)? {
        return Ok(Some(why));
    }
    if rebuild::has_sled(dir) {
        return Ok(None);
    }
    match (rebuild::has_journal(dir), found) {
        // Checkpoints alone are what an import that broke off leaves, or half of a backup.
        (Ok(false), Found::Nothing) if checkpoint::folder::list(dir).is_ok_and(|found| !found.is_empty()) => {
            Err(StoreError::Gone { dir: dir.to_owned() })
        }
        (Ok(false), Found::Nothing) => Ok(None),
        (Ok(false), Found::Same(_) | Found::Other(..)) => Err(StoreError::Gone { dir: dir.to_owned() }),
        (Ok(true), _) => Ok(Some("it is gone".to_owned())),
        (Err(error), _) => Err(StoreError::Beyond { sled: "it is gone".to_owned(), why: error.to_string() }),
    }
}

pub(super) struct Read {
    pub(super) db: sled::Db,
    live: Vec<Change>,
    pub(super) reached: Applied,
    end: End,
}

pub(super) enum Sound {
    Both(Read),
    /// What is wrong with the journal.
    Sled(sled::Db, Applied, StoreError),
}

/// Opens sled and brings it up to the journal's end.
pub(super) fn read(dir: &Path) -> Result<Sound, StoreError> {
    let has_journal = rebuild::has_journal(dir);
    let db = database::open(&dir.join("sled"), !matches!(has_journal, Ok(false)))?;
    let applied = database::applied(&db)?;
    // A power cut may have left rows of different moments in sled, and nobody may answer or decide by those. A stop that
    // came to its end left everything durable.
    if !matches!(Journal::has_ended(&dir.join("journal")), Ok(true)) {
        database::compare(&db)?;
    }
    let caught_up = has_journal.and_then(|_| catch_up(&dir.join("journal"), &db, applied, sentinel::read(dir)?));
    let (end, reached) = match caught_up {
        Ok(caught_up) => caught_up,
        Err(error) if error.is_damage_of_journal() => {
            // Turns before the damage may have been applied.
            let applied = database::applied(&db)?;
            live::read(&db)?;
            return Ok(Sound::Sled(db, applied, error));
        }
        Err(error) => return Err(error),
    };
    let live = live::read(&db)?;
    Ok(Sound::Both(Read { db, live, reached, end }))
}

/// Which life of which store this is, and whether it has just begun.
fn life(found: Found, is_new: bool, live: &[Change], written: u64) -> (Identity, Option<Restored>) {
    let (store, before, why) = match found {
        Found::Same(identity) => return (identity, None),
        Found::Nothing if is_new => return (Identity { store: Uuid::new_v4(), epoch: 1 }, None),
        Found::Nothing => (Uuid::new_v4(), 0, "its store.id is gone".to_owned()),
        Found::Other(identity, why) => (identity.store, identity.epoch, why),
    };
    let told = live.iter().filter_map(|change| match change {
        Change::Execution(execution) => Some(execution.epoch),
        _ => None,
    });
    let epoch = 1 + told.chain([before, written]).max().unwrap_or(0);
    (Identity { store, epoch }, Some(Restored { epoch, why }))
}

/// Makes the folder and those above it that are missing, each durable in the one above: a journal that is synced is lost
/// all the same where a power cut takes the folder that it is in.
pub(super) fn make_durable(dir: &Path) -> io::Result<()> {
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

/// Applies what the journal has and sled has not. Where the journal ends before what sled has or what was acknowledged,
/// or is another one, it stops before anything is cut off.
pub(super) fn catch_up(
    journal: &Path,
    db: &sled::Db,
    applied: Applied,
    acknowledged: Option<Mark>,
) -> Result<(End, Applied), StoreError> {
    // Nobody reads yet, so there is nobody to tell and nothing to lay over.
    let (overlay, (progress, done)) = (Overlay::default(), Progress::new(applied.seq));
    let mut reached = applied;
    let (mut group, mut highest) = (Group::default(), Highest::default());
    let mut replay = Journal::read_from(journal, applied.seq)?;
    let (start, chain) = replay.start();
    if start > applied.seq {
        return Err(StoreError::JournalAhead { journal: start, applied: applied.seq });
    }
    if start == applied.seq && chain != applied.chain {
        return Err(StoreError::OtherJournal { seq: applied.seq });
    }
    for record in &mut replay {
        let Record { seq, at, steps, chain, .. } = record?;
        let known = [(applied.seq, applied.chain)].into_iter().chain(acknowledged.map(|mark| (mark.seq, mark.chain)));
        if known.into_iter().any(|known| known.0 == seq && known.1 != chain) {
            return Err(StoreError::OtherJournal { seq });
        }
        if seq <= applied.seq {
            continue;
        }
        reached = Applied { seq, at, chain };
        let entries = steps.into_iter().flat_map(|step| step.entries);
        let rows = entries.map(Row::try_from).collect::<Result<_, _>>()?;
        group.add(Turn { applied: reached, rows });
        if group.is_full() {
            std::mem::take(&mut group).apply(db, &overlay, &progress, &done, &mut Nobody, &mut highest)?;
        }
    }
    group.apply(db, &overlay, &progress, &done, &mut Nobody, &mut highest)?;
    let end = replay.end();
    if end.seq < applied.seq {
        return Err(StoreError::JournalBehind { journal: end.seq, applied: applied.seq });
    }
    if let Some(mark) = acknowledged.filter(|mark| end.seq < mark.seq) {
        return Err(StoreError::RolledBack { journal: end.seq, acknowledged: mark.seq });
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
