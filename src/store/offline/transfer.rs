//! A store as one file, and back.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::take;
use crate::domain::Horizon;
use crate::engine::{Change, SYSTEM};
use crate::store::checkpoint::{Checkpoint, Head, Writing};
use crate::store::database::{self, Applied};
use crate::store::identity::{self, Found};
use crate::store::journal::record::RecordedCause;
use crate::store::journal::{Draft, Journal, SEGMENT_BYTES, sync_dir};
use crate::store::lock::Lock;
use crate::store::open::{Sound, make_durable, read};
use crate::store::walk::Walk;
use crate::store::{StoreError, codec, rebuild, upkeep};

/// What was written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// How many rows.
    pub rows: u64,
    /// In how many bytes.
    pub bytes: u64,
    /// Up to which turn.
    pub seq: u64,
}

/// Writes everything that a stopped store holds into `file`, whole or not at all; nothing means `out`.
///
/// # Errors
/// The store is in use, damaged, or the file cannot be written. A damaged journal is no reason: sled has everything that
/// there is to take along.
pub fn export(dir: &Path, file: Option<&Path>, out: &mut dyn Write) -> Result<Moved, StoreError> {
    let _lock = take(dir)?;
    database::guarded(|| {
        if let Some(why) =
            rebuild::suspected(dir)?.or_else(|| (!rebuild::has_sled(dir)).then(|| "it is gone".to_owned()))
        {
            let why = format!("{why}; use `remedyd store rebuild` first");
            return Err(StoreError::Unopenable { path: dir.join("sled"), why });
        }
        let (db, applied) = match read(dir)? {
            Sound::Both(read) => (read.db, read.reached),
            Sound::Sled(db, applied, _) => (db, applied),
        };
        let identity = match identity::read(dir)? {
            Found::Same(identity) | Found::Other(identity, _) => identity,
            Found::Nothing => identity::Identity { store: uuid::Uuid::new_v4(), epoch: 0 },
        };
        let head = Head { identity, applied };
        let Some(path) = file else { return write(&db, &head, out, Path::new("the output")).map(|(_, moved)| moved) };
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".new");
        let unfinished = Path::new(&unfinished);
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { action, path, source }
        };
        let created = File::create(unfinished).map_err(io("create", unfinished))?;
        let (buffer, moved) = write(&db, &head, BufWriter::with_capacity(1 << 16, created), unfinished)?;
        buffer.get_ref().sync_all().map_err(io("sync", unfinished))?;
        Checkpoint::verify(unfinished)?;
        fs::rename(unfinished, path).map_err(io("rename", unfinished))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_dir(folder)?;
        Ok(moved)
    })
}

fn write<W: Write>(db: &sled::Db, head: &Head, out: W, path: &Path) -> Result<(W, Moved), StoreError> {
    let io = |source| StoreError::Io { action: "write", path: path.to_owned(), source };
    let mut writing = Writing::begin(out, head).map_err(io)?;
    let mut walk = Walk::begin(upkeep::horizons(db)?).only_reading();
    while walk.step(db, |key, value| writing.row(key, value)?.map_err(io))?.is_none() {}
    let (out, rows, bytes) = writing.end(head.applied.seq).map_err(io)?;
    Ok((out, Moved { rows, bytes, seq: head.applied.seq }))
}

/// Makes a store in `dir` of an export, or of a checkpoint that is as exact. Its first start begins another life, which may not act until an
/// admin says so.
///
/// # Errors
/// There is something in the folder, the file is damaged, or the disk failed.
pub fn import(dir: &Path, file: &Path) -> Result<Moved, StoreError> {
    let checkpoint = Checkpoint::verify(file)?;
    make_durable(dir).map_err(|source| StoreError::Io { action: "create", path: dir.to_owned(), source })?;
    let _lock = Lock::take(dir)?;
    for part in ["store.id", "journal", "sled", "sled.new", "checkpoints"] {
        if dir.join(part).exists() {
            return Err(StoreError::NotEmpty { dir: dir.to_owned() });
        }
    }
    let Checkpoint { head, rows, bytes, until, .. } = checkpoint;
    let Applied { seq, at, chain } = head.applied;
    if until > seq {
        return Err(StoreError::Inexact { path: file.to_owned(), seq, until });
    }
    // First: what breaks off behind it is a store of which nothing is left, and no new one.
    identity::write_imported(dir, head.identity, file.display().to_string())?;
    keep(dir, file, seq)?;
    let (sled, unfinished) = (dir.join("sled"), dir.join("sled.new"));
    let db = database::open(&unfinished, false)?;
    checkpoint.restore(&db)?;
    db.flush()?;
    drop(db);
    fs::rename(&unfinished, &sled).map_err(|source| StoreError::Io { action: "rename", path: unfinished, source })?;
    // The journal itself says why it does not begin at 1.
    let journal = dir.join("journal");
    Journal::prepare(&journal)?;
    let mut journal = Journal::begin_behind(&journal, seq, chain, head.identity.epoch, SEGMENT_BYTES)?;
    let mut draft = Draft::default();
    let cause = RecordedCause::of(SYSTEM, "imported");
    draft.add(&cause, &[codec::encode(&Change::Horizon(Box::new(Horizon::Journal { from: seq + 1 })))]);
    journal.append(draft, at, File::sync_data)?;
    Ok(Moved { rows, bytes, seq })
}

/// Without the file sled could not be built anew: the journal does not reach back.
fn keep(dir: &Path, file: &Path, seq: u64) -> Result<(), StoreError> {
    let folder = dir.join("checkpoints");
    let path = folder.join(format!("{seq:020}.checkpoint"));
    let copied = || -> io::Result<()> {
        fs::create_dir(&folder)?;
        fs::copy(file, &path)?;
        File::open(&path)?.sync_all()
    };
    copied().map_err(|source| StoreError::Io { action: "write", path: path.clone(), source })?;
    sync_dir(&folder)?;
    Ok(sync_dir(dir)?)
}
