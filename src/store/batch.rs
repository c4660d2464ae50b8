//! Rows, their index keys and the tally of both, changed together by one batch of sled.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as Known;

use bytes::Bytes;

use super::StoreError;
use super::codec::{BadRow, Entry, decode};
use super::database;
use super::dossier::{Dossier, Place};
use super::index;
use super::keys::TALLY;
use super::tally::Tally;

/// Who has to hear of every key that changes, before it does: a walk that has passed some of them.
pub trait Watcher {
    /// The row or index key `key` gets the value `new` in place of `old`; nothing means that it is not there. It lies `at` that
    /// key of sled.
    fn changes(&mut self, at: &[u8], key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>);
    /// The row at `key` has the index keys `new` in place of `old`.
    fn moves(&mut self, key: &[u8], old: &[Vec<u8>], new: &[Vec<u8>]);
}

/// Nobody has to.
pub struct Nobody;

impl Watcher for Nobody {
    fn changes(&mut self, _: &[u8], _: &[u8], _: Option<&[u8]>, _: Option<&[u8]>) {}
    fn moves(&mut self, _: &[u8], _: &[Vec<u8>], _: &[Vec<u8>]) {}
}

/// A row on its way into sled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Where, and what.
    pub entry: Entry,
    /// Under which index keys it is to be found, sorted.
    pub index: Vec<Vec<u8>>,
}

impl TryFrom<Entry> for Row {
    type Error = BadRow;

    /// The row that the journal or a checkpoint holds.
    fn try_from(entry: Entry) -> Result<Self, BadRow> {
        let index = match &entry.value {
            // Read as a whole: what comes from a file of ours is not taken on the word of a few of its fields.
            Some(value) if index::has(&entry.key) => index::keys(&decode(&entry.key, Some(value))?),
            Some(_) | None => Vec::new(),
        };
        Ok(Self { entry, index })
    }
}

/// The highest key of each kind that sled ever had. Ids begin with the time, so most new rows lie beyond it: that nothing is
/// there is known without a look.
#[derive(Clone, Debug, Default)]
pub struct Highest(BTreeMap<u8, Vec<u8>>);

impl Highest {
    /// Whether `key` lies beyond; from now on it does not.
    fn rises(&mut self, db: &sled::Db, key: &[u8]) -> Result<bool, StoreError> {
        let Some(kind) = key.first().copied() else { return Ok(false) };
        let highest = match self.0.entry(kind) {
            Known::Occupied(known) => known.into_mut(),
            Known::Vacant(unknown) => {
                let last = db.scan_prefix([kind]).next_back().transpose()?;
                unknown.insert(last.map_or_else(Vec::new, |(key, _)| key.to_vec()))
            }
        };
        let is_beyond = key > highest.as_slice();
        if is_beyond {
            key.clone_into(highest);
        }
        Ok(is_beyond)
    }
}

/// Changes that sled takes all at once. No key may be changed twice.
pub struct Batch<'a> {
    db: &'a sled::Db,
    watcher: &'a mut dyn Watcher,
    highest: &'a mut Highest,
    batch: sled::Batch,
    /// Those of which a part is put.
    dossiers: BTreeMap<Bytes, Open>,
    tally: Tally,
}

/// A dossier in a batch.
#[derive(Debug)]
struct Open {
    dossier: Dossier,
    /// As sled has it.
    there: Option<sled::IVec>,
    /// sled has nothing of its remediation, inside or outside.
    is_new: bool,
}

impl<'a> Batch<'a> {
    /// Begins one.
    ///
    /// # Errors
    /// The tally cannot be read.
    pub fn begin(db: &'a sled::Db, watcher: &'a mut dyn Watcher, highest: &'a mut Highest) -> Result<Self, StoreError> {
        let (batch, dossiers) = (sled::Batch::default(), BTreeMap::new());
        Ok(Self { db, watcher, highest, batch, dossiers, tally: database::tally(db)? })
    }

    /// Puts a row, or removes it, and changes its index keys.
    ///
    /// # Errors
    /// The row that is there cannot be read.
    pub fn put(&mut self, Row { entry: Entry { key, value }, index }: &Row) -> Result<(), StoreError> {
        if let Some(place) = Place::of(key) {
            return self.put_part(key, &place, value.as_ref(), index);
        }
        let there = if self.highest.rises(self.db, key)? { None } else { self.db.get(key)? };
        self.reindex(key, there.as_deref(), index)?;
        self.change(key, key, there.as_deref(), value.as_deref());
        Ok(())
    }

    /// The same for a row that belongs to a remediation.
    fn put_part(
        &mut self,
        key: &[u8],
        place: &Place,
        value: Option<&Bytes>,
        index: &[Vec<u8>],
    ) -> Result<(), StoreError> {
        let open = match self.dossiers.entry(place.dossier.clone()) {
            Known::Occupied(open) => open.into_mut(),
            Known::Vacant(unknown) => unknown.insert(Open::read(self.db, self.highest, &place.dossier)?),
        };
        let inside = open.dossier.get(place);
        let is_outside = inside.is_none() && !open.is_new && place.outside != place.dossier;
        let outside = if is_outside { self.db.get(&place.outside)? } else { None };
        let slot = value.and_then(|value| place.slot_for(value));
        match (value, slot) {
            (Some(value), Some(slot)) => open.dossier.put(slot, value.clone()),
            _ => open.dossier.take(place),
        }
        let value = value.map(|value| &**value);
        let (new_inside, new_outside) = if slot.is_some() { (value, None) } else { (None, value) };
        self.reindex(key, inside.as_deref(), index)?;
        self.count(&place.dossier, key, inside.as_deref(), new_inside);
        self.change(&place.outside, key, outside.as_deref(), new_outside);
        Ok(())
    }

    /// Writes one of the store's own notes.
    pub fn note(&mut self, key: &[u8], value: Vec<u8>) {
        self.batch.insert(key, value);
    }

    /// Changes the index keys of the row at `key`, which was `there`.
    fn reindex(&mut self, key: &[u8], there: Option<&[u8]>, new: &[Vec<u8>]) -> Result<(), StoreError> {
        if !index::has(key) {
            return Ok(());
        }
        let old = match there {
            Some(value) => index::stored(key, value)?,
            None => Vec::new(),
        };
        self.watcher.moves(key, &old, new);
        for gone in old.iter().filter(|key| new.binary_search(key).is_err()) {
            self.change(gone, gone, Some(key), None);
        }
        for come in new.iter().filter(|key| old.binary_search(key).is_err()) {
            self.change(come, come, None, Some(key));
        }
        Ok(())
    }

    /// Changes what lies alone `at` a key of sled.
    fn change(&mut self, at: &[u8], key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if old == new {
            return;
        }
        self.count(at, key, old, new);
        match new {
            Some(new) => self.batch.insert(at, new),
            None => self.batch.remove(at),
        }
    }

    /// Tells and counts that a row or an index key changes.
    fn count(&mut self, at: &[u8], key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if old == new {
            return;
        }
        self.watcher.changes(at, key, old, new);
        if let Some(old) = old {
            self.tally.take(key, old);
        }
        if let Some(new) = new {
            self.tally.add(key, new);
        }
    }

    /// Hands everything to sled.
    ///
    /// # Errors
    /// sled failed.
    pub fn apply(mut self) -> Result<(), StoreError> {
        for (key, open) in self.dossiers {
            match open.dossier.seal() {
                value if value.as_deref() == open.there.as_deref() => {}
                Some(value) => self.batch.insert(&*key, value),
                None => self.batch.remove(&*key),
            }
        }
        self.batch.insert(TALLY, self.tally.write());
        Ok(self.db.apply_batch(self.batch)?)
    }
}

impl Open {
    fn read(db: &sled::Db, highest: &mut Highest, key: &Bytes) -> Result<Self, StoreError> {
        let is_new = highest.rises(db, key)?;
        let there = if is_new { None } else { db.get(key)? };
        let dossier = there.as_ref().map(|value| Dossier::open(key, value)).transpose()?.unwrap_or_default();
        Ok(Self { dossier, there, is_new })
    }
}

/// Puts rows that nobody waits for, [`database::BATCH`] at a time.
///
/// # Errors
/// sled failed, or a row cannot be read.
pub fn fill(db: &sled::Db, rows: &[Row]) -> Result<(), StoreError> {
    let mut highest = Highest::default();
    for part in rows.chunks(database::BATCH) {
        let mut nobody = Nobody;
        let mut batch = Batch::begin(db, &mut nobody, &mut highest)?;
        for row in part {
            batch.put(row)?;
        }
        batch.apply()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{codec, form, samples};

    #[test]
    fn a_row_of_a_file_that_lacks_any_field_is_refused() {
        for change in samples::every_row() {
            let entry = codec::encode(&change);
            let json = form::open(&entry.key, entry.value.as_deref().unwrap()).unwrap().into_owned();
            assert!(Row::try_from(entry.clone()).is_ok());
            // As a program would leave it that knows no annotations and no reasons.
            let mut row: serde_json::Value = serde_json::from_slice(&json).unwrap();
            let fields = row.as_object_mut().unwrap();
            let took = ["annotations", "reason"].map(|name| fields.remove(name).is_some());
            if took.contains(&true) && index::has(&entry.key) {
                let value = Some(form::seal(&entry.key, row.to_string().as_bytes()));
                assert!(Row::try_from(Entry { value, ..entry }).is_err(), "{change:?}");
            }
        }
    }
}
