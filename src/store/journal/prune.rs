//! Letting the journal's beginning go, segment by segment.

use std::fs;
use std::path::Path;

use super::replay::Replay;
use super::{JournalError, segment};
use crate::domain::Timestamp;

/// Where each segment begins: the turn of its first record, and that record's time. A segment without records is left out.
///
/// # Errors
/// A segment cannot be read, or its first record is damaged.
pub fn beginnings(dir: &Path) -> Result<Vec<(u64, Timestamp)>, JournalError> {
    let mut found = Vec::new();
    for segment in segment::list(dir)? {
        if let Some(record) = Replay::first_of(segment)? {
            found.push((record.seq, record.at));
        }
    }
    Ok(found)
}

/// How many bytes of journal there are behind turn `seq`, to the nearest segment, with what was laid ahead in the last one.
///
/// # Errors
/// The folder or a header cannot be read.
pub fn bytes_after(dir: &Path, seq: u64) -> Result<u64, JournalError> {
    let mut bytes = 0;
    for segment in segment::list(dir)?.iter().filter(|segment| segment.first > seq) {
        bytes += fs::metadata(&segment.path).map_err(JournalError::io("look at", &segment.path))?.len();
    }
    Ok(bytes)
}

/// Removes the segments that have no turn from `from` on, oldest first, and says how many. The last one always stays.
///
/// # Errors
/// One cannot be removed; those before it are gone.
pub fn prune(dir: &Path, from: u64) -> Result<usize, JournalError> {
    let segments = segment::list(dir)?;
    let next = segments.iter().skip(1);
    let old = segments.iter().zip(next).take_while(|(_, next)| next.first <= from);
    let mut removed = 0;
    for (segment, _) in old {
        fs::remove_file(&segment.path).map_err(JournalError::io("remove", &segment.path))?;
        removed += 1;
    }
    if removed > 0 {
        segment::sync_dir(dir)?;
    }
    Ok(removed)
}
