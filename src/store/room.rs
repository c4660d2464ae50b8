//! Room on the disk: a floor below which nothing is taken, and a ballast that is given up where even a start would fail.
//!
//! Running out of space is met before it is an error. sled 0.34 cannot be written to any more after the first failed
//! write, and a journal whose append failed ends the process; above the floor there is always enough for what was taken
//! already: the applier's rows, sled's snapshots, the results of what is under way.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, StatVfs, fallocate, fstatvfs, statvfs};
use tracing::{info, warn};

use super::StoreError;

/// Zeros for file systems that cannot reserve.
const CHUNK: usize = 1 << 20;

/// How much is to be kept free and aside, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Below this nothing is taken.
    pub min_free: u64,
    /// The size of the ballast.
    pub ballast: u64,
}

/// The disk under a store.
#[derive(Debug)]
pub struct Room {
    dir: PathBuf,
    /// The folder, opened: asked for each turn, and no path has to be walked for it.
    folder: File,
    wanted: Wanted,
    is_short: bool,
}

/// Bytes of the disk under `dir` that are free to us.
///
/// # Errors
/// The disk cannot be looked at.
pub fn free(dir: &Path) -> Result<u64, StoreError> {
    let io = |errno: rustix::io::Errno| StoreError::Io {
        action: "look at the disk of",
        path: dir.to_owned(),
        source: errno.into(),
    };
    Ok(free_of(&statvfs(dir).map_err(io)?))
}

fn free_of(about: &StatVfs) -> u64 {
    about.f_bavail.saturating_mul(about.f_frsize)
}

impl Room {
    /// Looks at the disk. Where room is short, the ballast is given up at once, so that the rest of the start has some.
    ///
    /// # Errors
    /// The disk cannot be looked at.
    pub fn look(dir: &Path, wanted: Wanted) -> Result<Self, StoreError> {
        let io = |source| StoreError::Io { action: "open", path: dir.to_owned(), source };
        let folder = File::open(dir).map_err(io)?;
        let mut room = Self { dir: dir.to_owned(), folder, wanted, is_short: false };
        let free = room.free()?;
        if free < wanted.min_free {
            room.is_short = true;
            warn!(store.free_bytes = free, store.min_free_bytes = wanted.min_free, "{}", room.shortage(free));
            room.release();
        } else {
            room.keep_ballast(free);
        }
        Ok(room)
    }

    /// Bytes that are free to us.
    ///
    /// # Errors
    /// The disk cannot be looked at.
    pub fn free(&self) -> Result<u64, StoreError> {
        let io = |errno: rustix::io::Errno| StoreError::Io {
            action: "look at the disk of",
            path: self.dir.clone(),
            source: errno.into(),
        };
        Ok(free_of(&fstatvfs(&self.folder).map_err(io)?))
    }

    /// Whether there is room now; `Err` says in words how much is lacking. One system call, cheap enough for every turn.
    ///
    /// # Errors
    /// The disk cannot be looked at.
    pub fn is_there(&mut self) -> Result<Result<(), String>, StoreError> {
        let free = self.free()?;
        if free < self.wanted.min_free {
            let shortage = self.shortage(free);
            if !std::mem::replace(&mut self.is_short, true) {
                warn!(store.free_bytes = free, store.min_free_bytes = self.wanted.min_free, "{shortage}");
            }
            return Ok(Err(shortage));
        }
        if std::mem::take(&mut self.is_short) {
            info!(store.free_bytes = free, "there is room on the disk again: going on");
            self.keep_ballast(free);
        }
        Ok(Ok(()))
    }

    fn shortage(&self, free: u64) -> String {
        let dir = self.dir.display();
        format!(
            "no room: {free} bytes are free on the disk of {dir}, {} are needed (storage.min_free)",
            self.wanted.min_free
        )
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }

    fn release(&self) {
        match fs::remove_file(self.ballast()) {
            Ok(()) => warn!("gave up the ballast of {} bytes", self.wanted.ballast),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => warn!(%error, "the ballast could not be given up: {error}"),
        }
    }

    /// Sets the ballast aside where there is more than enough room for it. Without one we are only less well prepared.
    fn keep_ballast(&self, free: u64) {
        let path = self.ballast();
        let there = fs::metadata(&path).map_or(0, |about| about.len());
        if there == self.wanted.ballast || free.saturating_add(there) < self.wanted.min_free + self.wanted.ballast {
            return;
        }
        let made = if self.wanted.ballast == 0 { fs::remove_file(&path) } else { reserve(&path, self.wanted.ballast) };
        if let Err(error) = made {
            warn!(%error, "no ballast could be set aside: {error}");
            // What was written of it takes room from others.
            let _ = fs::remove_file(&path);
        }
    }
}

fn reserve(path: &Path, bytes: u64) -> io::Result<()> {
    let file = File::create(path)?;
    match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP) => fill(&file, bytes)?,
        other => other?,
    }
    file.sync_all()
}

fn fill(mut file: &File, bytes: u64) -> io::Result<()> {
    let zeros = vec![0; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let part = left.min(CHUNK as u64);
        io::Write::write_all(&mut file, &zeros[..part as usize])?;
        left -= part;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ballast(dir: &Path) -> Option<u64> {
        fs::metadata(dir.join("ballast")).ok().map(|about| about.len())
    }

    #[test]
    fn with_room_a_ballast_is_set_aside_and_follows_its_size() {
        let dir = tempfile::tempdir().unwrap();
        for size in [100_000, 50_000] {
            let mut room = Room::look(dir.path(), Wanted { min_free: 1, ballast: size }).unwrap();
            assert_eq!(room.is_there().unwrap(), Ok(()));
            assert_eq!(ballast(dir.path()), Some(size));
        }
        Room::look(dir.path(), Wanted { min_free: 1, ballast: 0 }).unwrap();
        assert_eq!(ballast(dir.path()), None);
    }

    #[test]
    fn without_room_the_ballast_goes_at_start_and_comes_back_with_the_room() {
        let dir = tempfile::tempdir().unwrap();
        let plenty = Wanted { min_free: 1, ballast: 4096 };
        Room::look(dir.path(), plenty).unwrap();
        let mut room = Room::look(dir.path(), Wanted { min_free: u64::MAX, ..plenty }).unwrap();
        assert_eq!(ballast(dir.path()), None);
        let why = room.is_there().unwrap().unwrap_err();
        assert!(why.contains("storage.min_free"), "{why}");
        room.wanted = plenty;
        assert_eq!(room.is_there().unwrap(), Ok(()));
        assert_eq!(ballast(dir.path()), Some(4096));
    }

    #[test]
    fn a_file_system_that_cannot_reserve_gets_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("zeros")).unwrap();
        fill(&file, 3 * CHUNK as u64 / 2).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 3 * CHUNK as u64 / 2);
    }
}
