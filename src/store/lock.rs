//! One process per store: whoever holds the lock file owns the folder, and the kernel gives it back when they die.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::StoreError;

/// Held as long as anything of the store is in use.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the store in `dir`, or says at once that somebody else has it.
    pub fn take(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join("lock");
        let io = |action| {
            let path = path.clone();
            move |source| StoreError::Io { action, path, source }
        };
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(io("open"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _file: file }),
            Err(Errno::WOULDBLOCK) => Err(StoreError::Locked { path }),
            Err(errno) => Err(io("lock")(errno.into())),
        }
    }
}
