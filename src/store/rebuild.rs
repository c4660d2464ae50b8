//! sled anew from the journal: beside the damaged one, which is moved away only once its successor is complete.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::database::{self, Applied};
use super::journal::{Journal, sync_dir};
use super::open::catch_up;
use super::{StoreError, sentinel};

/// What the damaged one is called afterwards; an older one of that name goes.
const DAMAGED: &str = "sled.damaged";
/// What its successor is called until it is complete.
const UNFINISHED: &str = "sled.new";

fn mark(dir: &Path) -> PathBuf {
    dir.join("sled.suspect")
}

/// Notes, durable, that sled cannot be trusted: the next start builds it anew.
///
/// # Errors
/// The disk failed.
pub fn suspect(dir: &Path, why: &str) -> Result<(), StoreError> {
    let path = mark(dir);
    let io = |source| StoreError::Io { action: "write", path: path.clone(), source };
    let mut file = fs::File::create(&path).map_err(io)?;
    file.write_all(why.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    Ok(sync_dir(dir)?)
}

/// Why sled is not to be trusted, if somebody noted that.
pub(super) fn suspected(dir: &Path) -> Result<Option<String>, StoreError> {
    match fs::read(mark(dir)) {
        Ok(why) => Ok(Some(String::from_utf8_lossy(&why).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Io { action: "read", path: mark(dir), source }),
    }
}

/// Puts a new sled in the place of the one that is damaged or gone; `why` says what is wrong with that.
///
/// # Errors
/// The journal does not hold everything: then nothing was changed. Or the disk failed.
pub(super) fn rebuild(dir: &Path, why: &str) -> Result<(), StoreError> {
    let journal = dir.join("journal");
    let (there, damaged, unfinished) = (dir.join("sled"), dir.join(DAMAGED), dir.join(UNFINISHED));
    warn!("sled is built anew from the journal: {why}");
    remove(&unfinished)?;
    let acknowledged = sentinel::read(dir)?;
    let reached = {
        let db = database::open(&unfinished, false)?;
        let base = base(dir, &db)?;
        let reached = catch_up(&journal, &db, base, acknowledged).map(|(_, reached)| reached);
        db.flush()?;
        reached
    };
    let reached = match reached {
        Ok(reached) => reached,
        Err(error) if error.is_damage_of_journal() => {
            remove(&unfinished)?;
            return Err(StoreError::Beyond { sled: why.to_owned(), why: error.to_string() });
        }
        Err(error) => return Err(error),
    };
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Io { action, path, source }
    };
    if there.exists() {
        remove(&damaged)?;
        fs::rename(&there, &damaged).map_err(io("rename", &there))?;
    }
    fs::rename(&unfinished, &there).map_err(io("rename", &unfinished))?;
    sync_dir(dir)?;
    match fs::remove_file(mark(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io("remove", &mark(dir))(error)),
        Ok(()) | Err(_) => sync_dir(dir)?,
    }
    warn!(store.to = reached.seq, "sled was built anew up to turn {}; what it was is in {DAMAGED}", reached.seq);
    Ok(())
}

/// From where the journal is applied: the newest checkpoint, else its beginning.
fn base(_dir: &Path, _db: &sled::Db) -> Result<Applied, StoreError> {
    Ok(Applied::default())
}

fn remove(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Io { action: "remove", path: dir.to_owned(), source })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whether there is anything of sled in the store.
pub(super) fn has_sled(dir: &Path) -> bool {
    let sled = dir.join("sled");
    sled.join("db").exists() || sled.join("conf").exists()
}

/// Whether there is any segment of a journal.
pub(super) fn has_journal(dir: &Path) -> Result<bool, StoreError> {
    Ok(Journal::has_begun(&dir.join("journal"))?)
}
