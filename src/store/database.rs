//! sled, opened with care and changed only through [`Group`]: rows, their indexes and the applied turn in one batch.
//!
//! sled 0.34 can panic while it opens a damaged folder, takes a lost file for an empty store, and is stopped for good by
//! what a crash left of a snapshot. None of that reaches anybody behind this file.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;
use std::{fs, io, thread};

use bytes::Bytes;
use tokio::sync::watch;

use super::StoreError;
use super::batch::{Batch, Highest, Row, Watcher};
use super::codec::BadRow;
use super::dossier::{self, Place};
use super::index;
use super::journal::Chain;
use super::keys::{APPLIED, Kind, SCHEMA, TALLY};
use super::overlay::Overlay;
use super::progress::Progress;
use super::tally::Tally;
use crate::clock::Stopwatch;
use crate::domain::Timestamp;

/// How many rows one batch changes at most.
pub const BATCH: usize = 256;

/// With so many rows a group of turns is applied, nobody waiting or not.
const GROUP: usize = 4096;

/// What sled keeps in memory: nearly all that a fleet of 10,000 changes again and again. Measured with as many alerts of which
/// one in twenty ends or begins at each sending: with 32 MiB an alert costs 2 % less CPU, and 100,000 nodes and alerts take 14 MB more
/// at rest. With 12 those take 17 MB less and 10,000 take 8; an alert cost 2 to 4 % more in runs of 8 s by turns, and between 6 % less
/// and 15 % more in runs of 36 s that lay an hour apart.
const CACHE_BYTES: u64 = 24 << 20;

/// How often sled's own thread syncs and collects garbage. Without it the files would grow for ever.
const FLUSH_MS: u64 = 500;

/// How long the threads of a sled that was dropped have to let go of its files, and how often that is looked at.
const LET_GO: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Up to which turn sled has everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The turn; 0 for none.
    pub seq: u64,
    /// Its engine time.
    pub at: Timestamp,
    /// The journal's chain after it.
    pub chain: Chain,
}

/// To be called before anything large is done: has sled set aside its counters, forty of half a MiB, while all memory is fresh.
/// They are never written to, since sled is built without them, and pages that nobody touches take no room. Set aside where sled
/// opens, after a configuration with 10,000 nodes was read, they came to lie on pages which that had left, and took 12 MB.
pub fn set_aside() {
    // The only way to them that does nothing else: what it would print is left out of this build, too.
    drop(sled::Config::new().print_profile_on_drop(true));
}

/// Opens sled in `dir`. `has_journal`: turns were committed, so an empty sled is one that was lost.
pub fn open(dir: &Path, has_journal: bool) -> Result<sled::Db, StoreError> {
    let io = |action| move |source| StoreError::Io { action, path: dir.to_owned(), source };
    sweep(dir).map_err(io("clean up"))?;
    let (conf, db) = (dir.join("conf"), dir.join("db"));
    // Without turns a lonely `conf` is what a crash in the very first start left.
    if has_journal && conf.exists() != db.exists() {
        let (lost, found) = if conf.exists() { (db, conf) } else { (conf, db) };
        return Err(StoreError::Incomplete { lost, found });
    }
    let config = sled::Config::new()
        .path(dir)
        .mode(sled::Mode::LowSpace)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(Some(FLUSH_MS))
        .use_compression(false);
    let unopenable = |why: String| StoreError::Unopenable { path: dir.to_owned(), why };
    let waited = Stopwatch::start();
    let db = loop {
        match catch_unwind(AssertUnwindSafe(|| config.open())) {
            Ok(Ok(db)) => break db,
            Ok(Err(error)) if is_still_held(&error) && waited.elapsed() < LET_GO => thread::park_timeout(LOOK_AGAIN),
            Ok(Err(sled::Error::Io(source))) if source.kind() == io::ErrorKind::StorageFull => {
                return Err(io("open")(source));
            }
            Ok(Err(error)) => return Err(unopenable(error.to_string())),
            Err(_) => return Err(unopenable("sled panicked".to_owned())),
        }
    };
    guarded(|| {
        check_form(&db, dir)?;
        tally(&db)
    })?;
    Ok(db)
}

/// Does something with sled; it panics where a page is damaged in some ways, and that becomes the same error as the others.
///
/// # Errors
/// Those of `act`, and [`StoreError::Unreadable`] where it panicked.
pub fn guarded<T>(act: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    caught(act).unwrap_or_else(|why| Err(StoreError::Unreadable(why)))
}

/// The same where errors are of another kind: `Err` says in words that it panicked.
pub fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    // sled is not used any more after this error, so nobody sees what the panic left of it.
    catch_unwind(AssertUnwindSafe(act)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        format!("it panicked: {}", said.unwrap_or("for no reason that it gave"))
    })
}

/// Whether sled's own lock is in the way. Our lock keeps every other process out, so it is a thread of a sled that this
/// one has just dropped.
fn is_still_held(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(source) if source.to_string().contains("could not acquire lock"))
}

/// Removes half-written snapshots; sled refuses to open beside one.
fn sweep(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn check_form(db: &sled::Db, dir: &Path) -> Result<(), StoreError> {
    match db.get(SCHEMA)? {
        None => db.insert(SCHEMA, &index::SCHEMA.to_be_bytes()).map(|_| ()).map_err(StoreError::from),
        Some(note) => {
            let Ok(form) = note.as_ref().try_into() else {
                return Err(BadRow::new(SCHEMA, "it holds no number").into());
            };
            let found = u32::from_be_bytes(form);
            if found == index::SCHEMA {
                return Ok(());
            }
            Err(StoreError::OtherForm { path: dir.to_owned(), found, wanted: index::SCHEMA })
        }
    }
}

/// Up to which turn `db` has everything.
pub fn applied(db: &sled::Db) -> Result<Applied, StoreError> {
    let Some(note) = db.get(APPLIED)? else { return Ok(Applied::default()) };
    Applied::read(&note).ok_or_else(|| BadRow::new(APPLIED, "its checksum does not match").into())
}

/// What the rows of `db` amount to, as was noted with every change of them.
pub fn tally(db: &sled::Db) -> Result<Tally, StoreError> {
    match db.get(TALLY)? {
        Some(note) => Ok(Tally::read(&note)?),
        // Whatever was applied left one.
        None if db.get(APPLIED)?.is_some() => Err(BadRow::new(TALLY, "it is gone").into()),
        None => Ok(Tally::default()),
    }
}

/// Reads every key and compares what all of them amount to with what was noted. After a power cut sled may hold rows of
/// different moments, and not know it.
pub fn compare(db: &sled::Db) -> Result<(), StoreError> {
    let mut met = Tally::default();
    for found in db.iter() {
        let (key, value) = found?;
        dossier::each(&key, &value, |key, value| {
            met.add(key, value);
            Ok::<_, StoreError>(())
        })?;
    }
    met.differs_from(&tally(db)?).map_or(Ok(()), |what| Err(StoreError::Miscounted(what)))
}

/// Makes what sled wrote durable. Its own flush leaves that to the kernel: on Linux it syncs no file (SAFETY §0, 2).
pub fn sync(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_file() {
            fs::File::open(&path)?.sync_all()?;
        }
    }
    fs::File::open(dir)?.sync_all()
}

/// Notes that `db` has everything up to `applied`, where its rows came from elsewhere than the journal.
pub fn note_applied(db: &sled::Db, applied: Applied) -> Result<(), StoreError> {
    let mut notes = sled::Batch::default();
    // Of no rows at all there is a tally, too.
    notes.insert(TALLY, tally(db)?.write());
    notes.insert(APPLIED, applied.write());
    Ok(db.apply_batch(notes)?)
}

impl Applied {
    fn write(&self) -> Vec<u8> {
        let mut note = Vec::with_capacity(52);
        note.extend_from_slice(&self.seq.to_be_bytes());
        note.extend_from_slice(&self.at.as_micros().to_be_bytes());
        note.extend_from_slice(&self.chain);
        note.extend_from_slice(&crc32c::crc32c(&note).to_be_bytes());
        note
    }

    fn read(note: &[u8]) -> Option<Self> {
        let (body, sum) = note.split_last_chunk::<4>()?;
        let (seq, rest) = body.split_first_chunk::<8>()?;
        let (at, chain) = rest.split_first_chunk::<8>()?;
        let is_whole = crc32c::crc32c(body) == u32::from_be_bytes(*sum);
        is_whole.then_some(Self {
            seq: u64::from_be_bytes(*seq),
            at: Timestamp::from_micros(i64::from_be_bytes(*at)),
            chain: chain.try_into().ok()?,
        })
    }
}

/// One turn on its way into sled.
#[derive(Debug)]
pub struct Turn {
    /// What sled has once all of it is in.
    pub applied: Applied,
    /// Its rows, in order.
    pub rows: Vec<Row>,
}

/// Turns that are applied together: of each row only the last value is written.
#[derive(Debug, Default)]
pub struct Group {
    /// In the order in which they lie in sled: those of a dossier are written at once.
    rows: BTreeMap<Bytes, Row>,
    applied: Option<Applied>,
}

impl Turn {
    /// How much of the journal it took, without the causes of its steps.
    pub fn bytes(&self) -> u64 {
        let sizes = self.rows.iter().map(|row| row.entry.key.len() + row.entry.value.as_ref().map_or(0, Bytes::len));
        sizes.sum::<usize>() as u64
    }
}

impl Group {
    /// Adds the turn that follows.
    pub fn add(&mut self, turn: Turn) {
        let place = |key: &Bytes| Place::of(key).map_or_else(|| key.clone(), |place| place.outside);
        self.rows.extend(turn.rows.into_iter().map(|row| (place(&row.entry.key), row)));
        self.applied = Some(turn.applied);
    }

    /// The last turn that was added.
    pub fn reaches(&self) -> Option<Applied> {
        self.applied
    }

    /// Whether a row of this kind is among them.
    pub fn has(&self, kind: Kind) -> bool {
        self.rows.values().any(|row| Kind::of(&row.entry.key) == Some(kind))
    }

    /// Whether it is time to apply it.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= GROUP
    }

    /// Writes everything, at most [`BATCH`] rows at a time. The applied turn moves with the last batch: after a crash
    /// in between, the same rows are written again.
    ///
    /// # Errors
    /// sled failed, or a row that is to be replaced cannot be read.
    pub fn apply(
        self,
        db: &sled::Db,
        overlay: &Overlay,
        progress: &Progress,
        done: &watch::Sender<u64>,
        watcher: &mut dyn Watcher,
        highest: &mut Highest,
    ) -> Result<(), StoreError> {
        let Some(applied) = self.applied else { return Ok(()) };
        let mut rows = self.rows.into_values().peekable();
        loop {
            let mut batch = Batch::begin(db, watcher, highest)?;
            let part: Vec<Row> = rows.by_ref().take(BATCH).collect();
            for row in &part {
                batch.put(row)?;
            }
            let is_last = rows.peek().is_none();
            if is_last {
                batch.note(APPLIED, applied.write());
            }
            {
                let _others_wait = progress.change();
                batch.apply()?;
            }
            overlay.applied(applied.seq, part.iter().map(|row| &row.entry.key));
            if is_last {
                done.send_replace(applied.seq);
                return Ok(());
            }
        }
    }
}
