//! Every part of a stopped store, read to its end.

use std::path::Path;

use super::audit;
use super::take;
use crate::store::checkpoint::folder;
use crate::store::checkpoint::{Checkpoint, show_chain};
use crate::store::database;
use crate::store::keys::Kind;
use crate::store::walk::Walk;
use crate::store::{StoreError, rebuild, upkeep};

/// What was found.
#[derive(Debug)]
pub struct Checked {
    /// The parts, in the order in which they were read.
    pub parts: Vec<Part>,
}

/// One part of it.
#[derive(Debug)]
pub struct Part {
    /// What it is called.
    pub name: String,
    /// What it holds, or what is wrong with it.
    pub found: Result<String, StoreError>,
}

impl Checked {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.parts.iter().all(|part| part.found.is_ok())
    }
}

/// Reads everything. `at` is called with the number of each turn and of each row.
///
/// # Errors
/// The store is in use, or there is none.
pub fn check(dir: &Path, at: &mut dyn FnMut(u64)) -> Result<Checked, StoreError> {
    let _lock = take(dir)?;
    let mut parts = vec![Part { name: "journal".to_owned(), found: journal(dir, at) }];
    parts.push(Part { name: "sled".to_owned(), found: database::guarded(|| sled(dir, at)) });
    for (_, path) in folder::list(dir)? {
        let name = format!("checkpoint {}", path.file_name().unwrap_or_default().to_string_lossy());
        let found = Checkpoint::verify(&path).map(|found| {
            let (rows, bytes, seq) = (found.rows, found.bytes, found.head.applied.seq);
            format!("{rows} rows in {bytes} bytes, of turns {seq} to {}", found.until)
        });
        parts.push(Part { name, found });
    }
    Ok(Checked { parts })
}

fn journal(dir: &Path, at: &mut dyn FnMut(u64)) -> Result<String, StoreError> {
    let found = audit::read(dir, None, at)?;
    let (records, segments) = (found.records, found.segments);
    Ok(format!("{records} turns in {segments} segments, ends at {}:{}", found.seq, show_chain(&found.chain)))
}

fn sled(dir: &Path, at: &mut dyn FnMut(u64)) -> Result<String, StoreError> {
    let path = dir.join("sled");
    if !rebuild::has_sled(dir) {
        return Err(StoreError::Unopenable { path, why: "it is gone".to_owned() });
    }
    if let Some(why) = rebuild::suspected(dir)? {
        return Err(StoreError::Unreadable(format!("it is marked as damaged: {why}")));
    }
    let db = database::open(&path, true)?;
    let applied = database::applied(&db)?;
    let mut walk = Walk::begin(upkeep::horizons(&db)?).only_reading();
    let mut rows = 0;
    let walked = loop {
        let step = walk.step(&db, |_, _| {
            rows += 1;
            at(rows);
            Ok(())
        })?;
        if let Some(walked) = step {
            break walked;
        }
    };
    let rows: u64 = Kind::ALL.into_iter().map(|kind| walked.tally.rows(kind)).sum();
    Ok(format!("{rows} rows with their indexes, up to turn {}", applied.seq))
}
