//! What the applier does between turns: it walks over sled, makes checkpoints, and lets the journal's beginning go.
//!
//! A turn always goes first. What goes wrong with a checkpoint is no reason to stop: it is given up, said, and tried again
//! later. What is wrong with sled is.

use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::path::PathBuf;
use std::time::Duration;

use tracing::{info, warn};

use super::StoreError;
use super::batch::Watcher;
use super::checkpoint::folder::{self, Unfinished};
use super::checkpoint::{self, Head, Reading, Writing};
use super::database::Applied;
use super::identity::Identity;
use super::journal::{Journal, prune};
use super::keys::Kind;
use super::room;
use super::walk::{STEP, Walk, Walked};
use crate::clock::Stopwatch;
use crate::domain::{Horizons, Timestamp};
use crate::engine::Change;

/// How long it rests after each step, so that it takes a small part of one core and of the disk.
const REST: Duration = Duration::from_millis(10);
/// After so many bytes a checkpoint in the making is synced, so that no sync takes long.
const SYNC_BYTES: u64 = 4 << 20;
/// How long after a failure the next checkpoint is tried, in engine time.
const TRY_AGAIN: Duration = Duration::from_secs(3_600);

/// When there is something to do, and who hears of it.
pub struct Wanted {
    /// How old the newest checkpoint may get, in engine time.
    pub every: Duration,
    /// How many bytes of journal there may be behind it.
    pub after: u64,
    /// How many bytes of the disk a checkpoint has to leave free.
    pub min_free: u64,
    /// Called with everything that was done.
    pub told: Box<dyn Fn(Done) + Send>,
}

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// All of sled was read, and is what was written.
    Walked {
        /// How many rows there are of each kind.
        rows: Vec<(&'static str, u64)>,
        /// How many bytes sled has on disk.
        bytes: u64,
    },
    /// A checkpoint was made and verified.
    Checkpointed {
        /// The time of the turn that it begins with.
        at: Timestamp,
        /// How long it is.
        bytes: u64,
        /// Turns with their times: what the journal holds before each of them, all checkpoints that are kept hold too.
        covered: Vec<(u64, Timestamp)>,
    },
    /// A checkpoint was due, and failed.
    NotCheckpointed,
}

/// A place in the journal.
#[derive(Clone, Copy, Debug)]
struct Since {
    seq: u64,
    at: Timestamp,
}

/// The applier's other work.
pub struct Upkeep {
    dir: PathBuf,
    identity: Identity,
    wanted: Option<Wanted>,
    applied: Applied,
    /// The newest checkpoint, else the journal's beginning.
    since: Option<Since>,
    /// How many bytes of journal there are behind that.
    bytes: u64,
    not_before: Option<Timestamp>,
    phase: Phase,
    rested: Stopwatch,
}

enum Phase {
    Idle,
    Walking(Box<Walk>, Option<Making>),
    Verifying(Box<Reading<BufReader<File>>>, Made),
}

/// A checkpoint in the making.
struct Making {
    file: Unfinished,
    writing: Writing<BufWriter<File>>,
    head: Head,
    /// How much of the journal it covers.
    covers: u64,
    synced: u64,
}

/// One that is written.
struct Made {
    file: Unfinished,
    head: Head,
    covers: u64,
    rows: u64,
}

impl Upkeep {
    /// Begins where sled has everything up to `applied`. `wanted` is nothing where sled is only used for a moment.
    pub fn new(dir: PathBuf, identity: Identity, applied: Applied, wanted: Option<Wanted>) -> Self {
        Self {
            dir,
            identity,
            wanted,
            applied,
            since: None,
            bytes: 0,
            not_before: None,
            phase: Phase::Idle,
            rested: Stopwatch::start(),
        }
    }

    /// Finds out when the last checkpoint was made, and begins the first walk.
    ///
    /// # Errors
    /// sled failed.
    pub fn begin(&mut self, db: &sled::Db) -> Result<(), StoreError> {
        if self.wanted.is_none() {
            return Ok(());
        }
        self.prune(db)?;
        match self.last_time() {
            Ok((since, bytes)) => (self.since, self.bytes) = (since, bytes),
            Err(error) => warn!("when the last checkpoint was made cannot be found out: {error}"),
        }
        self.walk(db)
    }

    /// The newest checkpoint, else the journal's beginning, and how many bytes of journal there are behind it.
    fn last_time(&self) -> Result<(Option<Since>, u64), StoreError> {
        let newest = folder::list(&self.dir)?.pop();
        let newest = newest.and_then(|(_, path)| Some(checkpoint::read(&path).ok()?.head().applied));
        let journal = self.dir.join("journal");
        let since = match newest {
            Some(Applied { seq, at, .. }) => Some(Since { seq, at }),
            None => prune::beginnings(&journal)?.first().map(|(seq, at)| Since { seq: seq - 1, at: *at }),
        };
        Ok((since, prune::bytes_after(&journal, since.map_or(0, |since| since.seq))?))
    }

    /// How long to wait for a turn before there is something else to do; nothing where there is nothing.
    pub fn pause(&self) -> Option<Duration> {
        match self.phase {
            Phase::Idle => None,
            Phase::Walking(..) | Phase::Verifying(..) => Some(REST.saturating_sub(self.rested.elapsed())),
        }
    }

    /// Turns of so many bytes were applied; `has_horizon`: how far back the journal has to reach may have changed.
    ///
    /// # Errors
    /// sled failed.
    pub fn applied(
        &mut self,
        db: &sled::Db,
        applied: Applied,
        bytes: u64,
        has_horizon: bool,
    ) -> Result<(), StoreError> {
        self.applied = applied;
        self.bytes += bytes;
        if self.wanted.is_none() {
            return Ok(());
        }
        self.since.get_or_insert(Since { seq: 0, at: applied.at });
        if has_horizon {
            self.prune(db)?;
        }
        if matches!(self.phase, Phase::Idle) && self.is_due() {
            self.walk(db)?;
        }
        Ok(())
    }

    /// Does a step, where it has rested long enough.
    ///
    /// # Errors
    /// sled failed, or does not hold what was written.
    pub fn go_on(&mut self, db: &sled::Db) -> Result<(), StoreError> {
        if self.pause().is_none_or(|pause| !pause.is_zero()) {
            return Ok(());
        }
        self.phase = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Idle => Phase::Idle,
            Phase::Walking(walk, making) => self.step(db, walk, making)?,
            Phase::Verifying(reading, made) => self.verify(reading, made),
        };
        self.rested = Stopwatch::start();
        // What came in the meantime is not left for the next turn to find.
        if matches!(self.phase, Phase::Idle) && self.is_due() {
            self.walk(db)?;
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        let (Some(wanted), Some(since)) = (&self.wanted, self.since) else { return false };
        let now = self.applied.at;
        self.applied.seq > since.seq
            && self.not_before.is_none_or(|at| now >= at)
            && (now >= since.at.plus(wanted.every) || self.bytes >= wanted.after)
    }

    fn walk(&mut self, db: &sled::Db) -> Result<(), StoreError> {
        let making = if self.is_due() { self.begin_checkpoint(db) } else { None };
        self.phase = Phase::Walking(Box::new(Walk::begin(horizons(db)?)), making);
        Ok(())
    }

    fn begin_checkpoint(&mut self, db: &sled::Db) -> Option<Making> {
        let head = Head { identity: self.identity, applied: self.applied };
        let begun = self.has_room(db).and_then(|()| Unfinished::begin(&self.dir, &head));
        match begun {
            Ok((file, writing)) => Some(Making { file, writing, head, covers: self.bytes, synced: 0 }),
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    fn min_free(&self) -> u64 {
        self.wanted.as_ref().map_or(0, |wanted| wanted.min_free)
    }

    fn has_room(&self, db: &sled::Db) -> Result<(), StoreError> {
        let free = room::free(&self.dir)?;
        // Rows take more room in sled than in a checkpoint.
        let needed = self.min_free() + db.size_on_disk()?;
        if free >= needed {
            return Ok(());
        }
        let source = io::Error::new(io::ErrorKind::StorageFull, format!("{free} bytes are free, {needed} are needed"));
        Err(StoreError::Io { action: "make a checkpoint in", path: self.dir.clone(), source })
    }

    fn step(&mut self, db: &sled::Db, mut walk: Box<Walk>, making: Option<Making>) -> Result<Phase, StoreError> {
        let (mut making, mut failed) = (making, None);
        // Removing takes room first, and a sled that finds none takes nothing more until the next start.
        walk.may_remove(room::free(&self.dir).is_ok_and(|free| free >= self.min_free()));
        let walked = walk.step(db, |key, value| {
            if let Some(making) = making.as_mut().filter(|_| failed.is_none()) {
                failed = making.writing.row(key, value)?.err();
            }
            Ok(())
        })?;
        if let Some(source) = failed.or_else(|| making.as_mut().and_then(|making| making.sync_often().err())) {
            let path = making.as_ref().map(|making| making.file.path.clone()).unwrap_or_default();
            self.failed(&StoreError::Io { action: "write", path, source });
            making = None;
        }
        let Some(walked) = walked else { return Ok(Phase::Walking(walk, making)) };
        self.walked(db, &walked);
        match making.map(|making| making.end(self.applied.seq)) {
            None => Ok(Phase::Idle),
            Some(Ok((reading, made))) => Ok(Phase::Verifying(Box::new(reading), made)),
            Some(Err(error)) => {
                self.failed(&error);
                Ok(Phase::Idle)
            }
        }
    }

    fn walked(&self, db: &sled::Db, walked: &Walked) {
        let rows = Kind::ALL.into_iter().map(|kind| (kind.name(), walked.tally.rows(kind))).collect();
        info!(store.removed = walked.removed, "all of sled was read and is what was written");
        // Only a metric hangs on it.
        self.tell(Done::Walked { rows, bytes: db.size_on_disk().unwrap_or_default() });
    }

    fn verify(&mut self, mut reading: Box<Reading<BufReader<File>>>, made: Made) -> Phase {
        for _ in 0..STEP {
            match reading.next() {
                Ok(Some(_)) => {}
                Ok(None) => {
                    if let Err(error) = self.finish(*reading, made) {
                        self.failed(&error);
                    }
                    return Phase::Idle;
                }
                Err(error) => {
                    self.failed(&error);
                    return Phase::Idle;
                }
            }
        }
        Phase::Verifying(reading, made)
    }

    fn finish(&mut self, reading: Reading<BufReader<File>>, made: Made) -> Result<(), StoreError> {
        let checkpoint = reading.checkpoint()?;
        if (checkpoint.head, checkpoint.rows) != (made.head, made.rows) {
            let what = "it is another one".to_owned();
            return Err(StoreError::BadCheckpoint { path: checkpoint.path, line: 1, what });
        }
        let Applied { seq, at, .. } = made.head.applied;
        let path = made.file.finish()?;
        self.since = Some(Since { seq, at });
        self.bytes -= made.covers;
        info!(
            store.from = seq,
            store.to = checkpoint.until,
            rows = checkpoint.rows,
            bytes = checkpoint.bytes,
            "made the checkpoint {}",
            path.display()
        );
        // What the older of them needs has to stay.
        let kept = folder::list(&self.dir)?;
        let oldest = if kept.len() > 1 { kept.first().map_or(0, |(seq, _)| *seq) } else { 0 };
        let mut covered = prune::beginnings(&self.dir.join("journal"))?;
        covered.retain(|(first, _)| *first <= oldest.saturating_add(1));
        self.tell(Done::Checkpointed { at, bytes: checkpoint.bytes, covered });
        Ok(())
    }

    fn failed(&mut self, error: &StoreError) {
        let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        warn!("no checkpoint was made: {error} {source}");
        self.not_before = Some(self.applied.at.plus(TRY_AGAIN));
        self.tell(Done::NotCheckpointed);
    }

    fn tell(&self, done: Done) {
        if let Some(wanted) = &self.wanted {
            (wanted.told)(done);
        }
    }

    fn prune(&self, db: &sled::Db) -> Result<(), StoreError> {
        let Some(from) = horizons(db)?.journal() else { return Ok(()) };
        match Journal::prune(&self.dir.join("journal"), from) {
            Ok(0) => {}
            Ok(segments) => info!(journal.from = from, "{segments} segments of the journal before turn {from} went"),
            // They take room, and nothing else is wrong.
            Err(error) => warn!("the journal before turn {from} could not go: {error}"),
        }
        Ok(())
    }
}

impl Watcher for Upkeep {
    fn changes(&mut self, at: &[u8], key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if let Phase::Walking(walk, _) = &mut self.phase {
            walk.changes(at, key, old, new);
        }
    }

    fn moves(&mut self, key: &[u8], old: &[Vec<u8>], new: &[Vec<u8>]) {
        if let Phase::Walking(walk, _) = &mut self.phase {
            walk.moves(key, old, new);
        }
    }
}

impl Making {
    fn sync_often(&mut self) -> io::Result<()> {
        if self.writing.bytes() - self.synced < SYNC_BYTES {
            return Ok(());
        }
        self.synced = self.writing.bytes();
        let out = self.writing.out();
        io::Write::flush(out)?;
        out.get_ref().sync_data()
    }

    /// Completes the file, and begins to read it back.
    fn end(self, until: u64) -> Result<(Reading<BufReader<File>>, Made), StoreError> {
        let Self { file, writing, head, covers, .. } = self;
        let io = |source| StoreError::Io { action: "write", path: file.path.clone(), source };
        let (out, rows, _) = writing.end(until).map_err(io)?;
        out.get_ref().sync_all().map_err(io)?;
        let reading = checkpoint::read(&file.path)?;
        Ok((reading, Made { file, head, covers, rows }))
    }
}

/// How far back the past reaches, as sled knows it.
///
/// # Errors
/// sled failed, or a row cannot be read.
pub fn horizons(db: &sled::Db) -> Result<Horizons, StoreError> {
    let mut horizons = Horizons::default();
    for found in db.scan_prefix([Kind::Horizon.byte()]) {
        let (key, value) = found?;
        if let Change::Horizon(row) = super::codec::decode(&key, Some(&value))? {
            horizons.set(*row);
        }
    }
    Ok(horizons)
}
