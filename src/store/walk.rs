//! One pass over everything that sled holds, in small steps between turns: is it what was written, what may go, and a
//! checkpoint on the way.
//!
//! The applier's thread walks, so between two steps nobody else changes sled; what turns change behind the place that the
//! walk has reached it hears of as a [`Watcher`]. At the end its sums have to be the tally's, and the index keys that it
//! met have to be those of the rows that it met.

use std::ops::Bound;

use bytes::Bytes;

use super::StoreError;
use super::batch::{Batch, Highest, Row, Watcher};
use super::codec::{Entry, decode};
use super::database;
use super::dossier;
use super::index;
use super::keys::{self, Kind};
use super::tally::Tally;
use crate::domain::{Horizons, RemediationId};
use crate::engine::Change;

/// How many rows and index keys a step looks at: a millisecond or two, which a turn may have to wait. One with a remediation of
/// many links takes these as well.
pub const STEP: usize = 256;

/// A walk that is under way.
#[derive(Debug)]
pub struct Walk {
    sums: Sums,
    horizons: Horizons,
    /// The remediation whose parts the walk is at, and whether it is gone.
    parent: Option<(RemediationId, bool)>,
    /// Whether what lies behind a horizon is removed.
    removes: bool,
    /// How many rows went.
    removed: u64,
}

/// What the walk has met so far, kept true while turns go on.
#[derive(Debug, Default)]
struct Sums {
    /// The last key that was passed; nothing passed where it is empty.
    passed: Vec<u8>,
    met: Tally,
    /// The index keys of the rows that were met.
    wanted: Tally,
}

/// What a whole walk came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walked {
    /// What is there.
    pub tally: Tally,
    /// How many rows were removed because they lay behind a horizon.
    pub removed: u64,
}

impl Watcher for Walk {
    fn changes(&mut self, at: &[u8], key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        self.sums.changes(at, key, old, new);
    }

    fn moves(&mut self, key: &[u8], old: &[Vec<u8>], new: &[Vec<u8>]) {
        self.sums.moves(key, old, new);
    }
}

impl Watcher for Sums {
    fn changes(&mut self, at: &[u8], key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if at > self.passed.as_slice() {
            return;
        }
        if let Some(old) = old {
            self.met.take(key, old);
        }
        if let Some(new) = new {
            self.met.add(key, new);
        }
    }

    fn moves(&mut self, key: &[u8], old: &[Vec<u8>], new: &[Vec<u8>]) {
        if key > self.passed.as_slice() {
            return;
        }
        old.iter().for_each(|index| self.wanted.take(index, key));
        new.iter().for_each(|index| self.wanted.add(index, key));
    }
}

impl Walk {
    /// Begins at the first key. `horizons` as they are now: they only move forward, so what they hide stays hidden.
    pub fn begin(horizons: Horizons) -> Self {
        Self { sums: Sums::default(), horizons, parent: None, removes: true, removed: 0 }
    }

    /// One that removes nothing.
    pub fn only_reading(self) -> Self {
        Self { removes: false, ..self }
    }

    /// Whether it removes what lies behind a horizon, from here on. What it leaves there the next walk finds.
    pub fn may_remove(&mut self, may: bool) {
        self.removes = may;
    }

    /// Looks at the next keys, and hands every row that stays to `keep`. Says what it all came to after the last.
    ///
    /// # Errors
    /// sled failed, a row cannot be read, or what is there is not what was written. Or `keep` failed.
    pub fn step(
        &mut self,
        db: &sled::Db,
        keep: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<Option<Walked>, StoreError> {
        self.step_over(db, STEP, keep)
    }

    /// The same for `most` rows and index keys.
    pub(super) fn step_over(
        &mut self,
        db: &sled::Db,
        most: usize,
        mut keep: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<Option<Walked>, StoreError> {
        let mut gone = Vec::new();
        let (mut looked_at, mut is_end) = (0, true);
        let after = std::mem::take(&mut self.sums.passed);
        let mut passed = after.clone();
        for found in db.range::<&[u8], _>((Bound::Excluded(after.as_slice()), Bound::Unbounded)) {
            let (key, value) = found?;
            // What belongs to one remediation is passed as a whole: a row that moves out of a dossier or into it comes once.
            if looked_at >= most && *key > *passed {
                is_end = false;
                break;
            }
            dossier::each(&key, &value, |key, value| {
                looked_at += 1;
                self.sums.met.add(key, value);
                if Kind::of(key).is_none() {
                    return Ok(());
                }
                let row = decode(key, Some(value))?;
                index::keys(&row).iter().for_each(|index| self.sums.wanted.add(index, key));
                if self.is_gone(db, &row)? {
                    gone.push(Bytes::copy_from_slice(key));
                    return Ok(());
                }
                keep(key, value)
            })?;
            passed = dossier::end(&key);
        }
        self.sums.passed = passed;
        if self.removes && !gone.is_empty() {
            self.remove(db, &gone)?;
        }
        if !is_end {
            return Ok(None);
        }
        self.compare(&database::tally(db)?)
    }

    fn compare(&mut self, written: &Tally) -> Result<Option<Walked>, StoreError> {
        let met = std::mem::take(&mut self.sums.met);
        let differs = met.differs_from(written).or_else(|| met.indexes().differs_from(&self.sums.wanted));
        match differs {
            Some(what) => Err(StoreError::Miscounted(what)),
            None => Ok(Some(Walked { tally: met, removed: self.removed })),
        }
    }

    fn remove(&mut self, db: &sled::Db, rows: &[Bytes]) -> Result<(), StoreError> {
        let mut highest = Highest::default();
        for part in rows.chunks(database::BATCH) {
            let mut batch = Batch::begin(db, &mut self.sums, &mut highest)?;
            for key in part {
                let entry = Entry { key: key.clone(), value: None };
                batch.put(&Row { entry, index: Vec::new() })?;
            }
            batch.apply()?;
        }
        self.removed += rows.len() as u64;
        Ok(())
    }

    /// Whether the row lies behind a horizon, or belongs to one that does.
    fn is_gone(&mut self, db: &sled::Db, row: &Change) -> Result<bool, StoreError> {
        match row {
            Change::Remediation(row) => {
                let is_gone = self.horizons.hides_remediation(row);
                self.parent = Some((row.id, is_gone));
                Ok(is_gone)
            }
            Change::Hold(row) => Ok(self.horizons.hides_hold(row)),
            Change::Alert(row) => Ok(self.horizons.hides_alert(row)),
            Change::DeadLetter(row) => Ok(self.horizons.hides_dead_letter(row)),
            Change::Run(row) => Ok(self.horizons.hides_run(row)),
            Change::Link(row) => self.is_without(db, row.remediation_id),
            Change::Transition(row) => self.is_without(db, row.remediation_id),
            Change::Alias(row) => self.is_without(db, row.remediation_id),
            Change::Held(_)
            | Change::HeldGone(_)
            | Change::Instance(_)
            | Change::InstanceGone(_)
            | Change::Cluster(_)
            | Change::ClusterGone(_)
            | Change::NodeMemory(_)
            | Change::Execution(_)
            | Change::Horizon(_)
            | Change::Pause(_)
            | Change::Condition(_)
            | Change::ConditionGone(..)
            | Change::Pending(_)
            | Change::Settled(_) => Ok(false),
        }
    }

    /// Whether the remediation that a row belongs to is gone. It comes before all that belongs to it, so it was passed.
    fn is_without(&mut self, db: &sled::Db, id: RemediationId) -> Result<bool, StoreError> {
        if let Some((known, is_gone)) = self.parent
            && known == id
        {
            return Ok(is_gone);
        }
        let key = keys::remediation(id);
        let is_gone = match dossier::get::<StoreError>(db, &key)? {
            None => true,
            Some(value) => match decode(&key, Some(&value))? {
                Change::Remediation(row) => self.horizons.hides_remediation(&row),
                _ => true,
            },
        };
        self.parent = Some((id, is_gone));
        Ok(is_gone)
    }
}
