//! The last acknowledged turn, noted outside the journal and sled: it tells when either was rolled back (S12).
//!
//! It is written in place after every sync of the journal, so it never runs ahead of it, and synced itself before an act
//! leaves. A kill loses none of it; a power cut loses what was written since the last sync, and then it only knows less.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::journal::{Chain, sync_dir};

const MAGIC: &[u8; 8] = b"remedydS";
/// Magic, sequence, chain, CRC32C.
const SIZE: usize = 8 + 8 + 32 + 4;

/// A turn, and the journal's chain after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The turn; 0 before the first.
    pub seq: u64,
    /// The chain.
    pub chain: Chain,
}

/// The open file.
#[derive(Debug)]
pub struct Sentinel {
    file: File,
    path: PathBuf,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("sentinel")
}

/// What the sentinel of a store says; nothing where there is none or where it is damaged.
///
/// # Errors
/// It cannot be read.
pub fn read(dir: &Path) -> Result<Option<Mark>, StoreError> {
    match std::fs::read(path(dir)) {
        Ok(bytes) => Ok(decode(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Io { action: "read", path: path(dir), source }),
    }
}

impl Sentinel {
    /// Opens the file, and makes it durable with `mark`, where the store is known to be.
    ///
    /// # Errors
    /// The disk failed.
    pub fn begin(dir: &Path, mark: Mark) -> Result<Self, StoreError> {
        let path = path(dir);
        let io = |source| StoreError::Io { action: "open", path: path.clone(), source };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io)?;
        let sentinel = Self { file, path: path.clone() };
        sentinel.note(mark)?;
        sentinel.sync()?;
        sync_dir(dir)?;
        Ok(sentinel)
    }

    /// Writes the turn that was just synced.
    ///
    /// # Errors
    /// The disk failed.
    pub fn note(&self, mark: Mark) -> Result<(), StoreError> {
        self.file.write_all_at(&encode(mark), 0).map_err(|source| self.io("write", source))
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// The disk failed.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|source| self.io("sync", source))
    }

    fn io(&self, action: &'static str, source: io::Error) -> StoreError {
        StoreError::Io { action, path: self.path.clone(), source }
    }
}

fn encode(mark: Mark) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&mark.seq.to_be_bytes());
    bytes[16..48].copy_from_slice(&mark.chain);
    let sum = crc32c::crc32c(&bytes[..48]);
    bytes[48..].copy_from_slice(&sum.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Mark> {
    let bytes: &[u8; SIZE] = bytes.try_into().ok()?;
    let seq = u64::from_be_bytes(bytes[8..16].try_into().ok()?);
    let mark = Mark { seq, chain: bytes[16..48].try_into().ok()? };
    (encode(mark) == *bytes).then_some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_was_noted_last() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let sentinel = Sentinel::begin(dir.path(), Mark::default()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(Mark::default()));
        let mark = Mark { seq: 77, chain: [9; 32] };
        sentinel.note(mark).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(mark));
    }

    #[test]
    fn a_damaged_one_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        Sentinel::begin(dir.path(), Mark { seq: 1, chain: [1; 32] }).unwrap();
        let good = std::fs::read(path(dir.path())).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(path(dir.path()), bad).unwrap();
            assert_eq!(read(dir.path()).unwrap(), None, "byte {at}");
        }
    }
}
