//! Rows, their index keys and the tally of both, changed together by one batch of sled.

use bytes::Bytes;

use super::StoreError;
use super::codec::decode;
use super::database;
use super::index;
use super::keys::TALLY;
use super::tally::Tally;

/// Who has to hear of every key that changes, before it does: a walk that has passed some of them.
pub trait Watcher {
    /// `key` gets the value `new` in place of `old`; nothing means that it is not there.
    fn changes(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>);
    /// The row at `key` has the index keys `new` in place of `old`.
    fn moves(&mut self, key: &[u8], old: &[Vec<u8>], new: &[Vec<u8>]);
}

/// Nobody has to.
pub struct Nobody;

impl Watcher for Nobody {
    fn changes(&mut self, _: &[u8], _: Option<&[u8]>, _: Option<&[u8]>) {}
    fn moves(&mut self, _: &[u8], _: &[Vec<u8>], _: &[Vec<u8>]) {}
}

/// Changes that sled takes all at once. No key may be changed twice.
pub struct Batch<'a> {
    db: &'a sled::Db,
    watcher: &'a mut dyn Watcher,
    batch: sled::Batch,
    tally: Tally,
}

impl<'a> Batch<'a> {
    /// Begins one.
    ///
    /// # Errors
    /// The tally cannot be read.
    pub fn begin(db: &'a sled::Db, watcher: &'a mut dyn Watcher) -> Result<Self, StoreError> {
        Ok(Self { db, watcher, batch: sled::Batch::default(), tally: database::tally(db)? })
    }

    /// Puts the row at `key`, or removes it, and changes its index keys.
    ///
    /// # Errors
    /// The row, or the one that is there, cannot be read.
    pub fn put(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let there = self.db.get(key)?;
        if index::has(key) {
            let old = match &there {
                Some(value) => index::keys(&decode(key, Some(value))?),
                None => Vec::new(),
            };
            // A row that goes has no index keys, whether or not rows of its kind are ever removed by the engine.
            let new = value.map(|value| decode(key, Some(value)).map(|change| index::keys(&change))).transpose()?;
            let new = new.unwrap_or_default();
            self.watcher.moves(key, &old, &new);
            for gone in old.iter().filter(|key| new.binary_search(key).is_err()) {
                self.change(gone, Some(key), None);
            }
            for come in new.iter().filter(|key| old.binary_search(key).is_err()) {
                self.change(come, None, Some(key));
            }
        }
        self.change(key, there.as_deref(), value);
        Ok(())
    }

    /// Writes one of the store's own notes.
    pub fn note(&mut self, key: &[u8], value: Vec<u8>) {
        self.batch.insert(key, value);
    }

    fn change(&mut self, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
        if old == new {
            return;
        }
        self.watcher.changes(key, old, new);
        if let Some(old) = old {
            self.tally.take(key, old);
        }
        match new {
            Some(new) => {
                self.tally.add(key, new);
                self.batch.insert(key, new);
            }
            None => self.batch.remove(key),
        }
    }

    /// Hands everything to sled.
    ///
    /// # Errors
    /// sled failed.
    pub fn apply(mut self) -> Result<(), StoreError> {
        self.batch.insert(TALLY, self.tally.write());
        Ok(self.db.apply_batch(self.batch)?)
    }
}

/// Puts rows that nobody waits for, [`database::BATCH`] at a time.
///
/// # Errors
/// sled failed, or a row cannot be read.
pub fn fill(db: &sled::Db, rows: &[(Bytes, Option<Bytes>)]) -> Result<(), StoreError> {
    for part in rows.chunks(database::BATCH) {
        let mut nobody = Nobody;
        let mut batch = Batch::begin(db, &mut nobody)?;
        for (key, value) in part {
            batch.put(key, value.as_deref())?;
        }
        batch.apply()?;
    }
    Ok(())
}
