//! The journal as an audit trail: every byte of it, and what others know of it.

use std::path::{Path, PathBuf};

use super::take;
use crate::domain::{Horizon, Timestamp};
use crate::engine::Change;
use crate::store::codec;
use crate::store::database;
use crate::store::journal::{Chain, Journal, JournalError, Record};
use crate::store::keys::Kind;
use crate::store::sentinel::{self, Mark};
use crate::store::{StoreError, rebuild};

/// A journal in which every byte is what was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audit {
    /// How many turns it has.
    pub records: u64,
    /// In how many files.
    pub segments: usize,
    /// The first turn that it has, and its time.
    pub first: Option<(u64, Timestamp)>,
    /// The last turn that it has, and its time.
    pub last: Option<(u64, Timestamp)>,
    /// The turn that it ends with, also where it has none itself.
    pub seq: u64,
    /// The chain after that.
    pub chain: Chain,
    /// How many bytes of a turn that was never acknowledged lie behind it.
    pub torn: u64,
    /// Who else knows its end, or a turn of it, and agrees.
    pub agreed: Vec<&'static str>,
    /// What could not be compared, and why.
    pub skipped: Vec<String>,
}

/// What somebody knows of the journal.
struct Known {
    who: &'static str,
    mark: Mark,
}

/// Reads all of the journal of a stopped store. `head` is a turn with its chain that somebody wrote down: what was
/// printed at an earlier time. `at` is called with the number of each turn.
///
/// # Errors
/// The store is in use; or the journal is damaged, lacks a part that nothing in it allowed to go, or is not what sled, the
/// sentinel or `head` know.
pub fn audit(dir: &Path, head: Option<(u64, Chain)>, at: &mut dyn FnMut(u64)) -> Result<Audit, StoreError> {
    let _lock = take(dir)?;
    read(dir, head, at)
}

pub(super) fn read(dir: &Path, head: Option<(u64, Chain)>, at: &mut dyn FnMut(u64)) -> Result<Audit, StoreError> {
    let mut audit = Audit::default();
    let mut known = Vec::new();
    known.extend(head.map(|(seq, chain)| Known { who: "--head", mark: Mark { seq, chain } }));
    match sentinel::read(dir)? {
        Some(mark) => known.push(Known { who: "the sentinel", mark }),
        None => audit.skipped.push("the sentinel is gone or damaged".to_owned()),
    }
    match applied(dir) {
        Ok(Some(mark)) => known.push(Known { who: "sled", mark }),
        Ok(None) => audit.skipped.push("sled is gone".to_owned()),
        Err(error) => audit.skipped.push(format!("sled: {error}")),
    }
    follow(&dir.join("journal"), &known, &mut audit, at)?;
    audit.agreed = known.iter().map(|known| known.who).collect();
    Ok(audit)
}

fn applied(dir: &Path) -> Result<Option<Mark>, StoreError> {
    if !rebuild::has_sled(dir) {
        return Ok(None);
    }
    database::guarded(|| {
        let applied = database::applied(&database::open(&dir.join("sled"), true)?)?;
        Ok(Some(Mark { seq: applied.seq, chain: applied.chain }))
    })
}

fn follow(dir: &Path, known: &[Known], audit: &mut Audit, at: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
    let files = Journal::files(dir)?;
    let damaged =
        |path: PathBuf, offset: u64, what: String| StoreError::from(JournalError::Damaged { path, offset, what });
    audit.segments = files.len();
    let first = files.first().cloned().unwrap_or_else(|| dir.to_owned());
    let mut replay = Journal::read_from(dir, 0)?;
    let (start, chain) = replay.start();
    check(known, start, &chain).map_err(|what| damaged(first.clone(), 0, what))?;
    if let Some(Known { who, mark }) = known.iter().find(|known| known.mark.seq < start && known.who == "--head") {
        let what = format!("it begins behind turn {start}, so that turn {} of {who} cannot be compared", mark.seq);
        return Err(damaged(first, 0, what));
    }
    // Nothing is missing before the first turn.
    let mut allowed = 1;
    while let Some(record) = replay.next() {
        let Record { seq, at: time, steps, chain, .. } = record?;
        if let Err(what) = check(known, seq, &chain) {
            let (path, offset) = replay.place();
            return Err(damaged(path, offset, what));
        }
        audit.records += 1;
        audit.first.get_or_insert((seq, time));
        audit.last = Some((seq, time));
        for entry in steps.into_iter().flat_map(|step| step.entries) {
            if Kind::of(&entry.key) == Some(Kind::Horizon)
                && let Change::Horizon(horizon) = codec::decode(&entry.key, entry.value.as_deref())?
                && let Horizon::Journal { from } = *horizon
            {
                allowed = allowed.max(from);
            }
        }
        at(seq);
    }
    let (path, offset) = replay.place();
    let end = replay.end();
    (audit.seq, audit.chain, audit.torn) = (end.seq, end.chain, end.torn);
    if start + 1 > allowed {
        let what = match allowed {
            1 => format!("the turns 1 to {start} are gone, and nothing allowed that"),
            from => format!("the turns {from} to {start} are gone; only those before {from} were allowed to go"),
        };
        return Err(damaged(first, 0, what));
    }
    if let Some(Known { who, mark }) = known.iter().find(|known| known.mark.seq > end.seq) {
        let what = format!("the journal ends at turn {}, and {who} knows turn {}", end.seq, mark.seq);
        return Err(damaged(path, offset, what));
    }
    Ok(())
}

/// Whether everybody who knows this turn knows it so.
fn check(known: &[Known], seq: u64, chain: &Chain) -> Result<(), String> {
    match known.iter().find(|known| known.mark.seq == seq && known.mark.chain != *chain) {
        Some(known) => Err(format!("turn {seq} is not the turn {seq} that {} knows", known.who)),
        None => Ok(()),
    }
}
