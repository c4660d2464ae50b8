//! What can be done with a store whose daemon is stopped: verify it, take it along, build it anew.
//!
//! All of it takes the store's lock first, so a running daemon is in nobody's way.

mod audit;
mod check;
mod deeds;
#[cfg(test)]
mod tests;
mod transfer;

use std::path::{Path, PathBuf};

pub use audit::{Audit, audit};
pub use check::{Checked, Part, check};
pub use deeds::{Deed, deeds};
pub use transfer::{Moved, export, import};

use super::lock::Lock;
use super::{StoreError, rebuild};

/// Takes a store that is there.
fn take(dir: &Path) -> Result<Lock, StoreError> {
    let parts: [PathBuf; 4] = ["store.id", "journal", "sled", "checkpoints"].map(|part| dir.join(part));
    if !parts.iter().any(|part| part.exists()) {
        return Err(StoreError::NoStore { dir: dir.to_owned() });
    }
    Lock::take(dir)
}

/// Builds sled anew from the newest checkpoint and the journal; the one that was there is kept as `sled.damaged`.
///
/// # Errors
/// The store is in use, or the journal does not hold everything; then nothing was changed.
pub fn rebuild_sled(dir: &Path) -> Result<(), StoreError> {
    let _lock = take(dir)?;
    rebuild::rebuild(dir, "it was asked for")
}
