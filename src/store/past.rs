//! Single rows and the rows under a prefix as the writer sees them: the overlay first, then sled.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::codec::unpack;
use super::keys;
use super::overlay::Overlay;
use crate::domain::{Alias, Record, RemediationId};
use crate::engine::{Past, PastKey};

/// Everything that is committed or staged.
#[derive(Clone)]
pub struct Stored {
    db: sled::Db,
    overlay: Arc<Overlay>,
}

impl Stored {
    /// Looks through `overlay` into `db`.
    pub fn new(db: sled::Db, overlay: Arc<Overlay>) -> Self {
        Self { db, overlay }
    }

    /// The rows that these keys name.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn past(&self, keys: &[PastKey]) -> Result<Past, StoreError> {
        let mut past = Past::default();
        for key in keys {
            match key {
                PastKey::Episodes(identity) => {
                    let episodes = self.last(&keys::episodes(*identity), Past::EPISODES)?;
                    if !episodes.is_empty() {
                        past.episodes.insert(*identity, episodes);
                    }
                }
                PastKey::Remediation(id) => self.add_record(*id, &mut past)?,
                PastKey::Alias(cluster, name) => {
                    let Some(alias) = self.get::<Alias>(&keys::alias(cluster, name))? else { continue };
                    past.aliases.insert((cluster.clone(), name.clone()), alias.remediation_id);
                    self.add_record(alias.remediation_id, &mut past)?;
                }
                PastKey::DeadLetter(id) => {
                    if self.value(&keys::dead_letter(*id))?.is_some() {
                        past.dead_letters.insert(*id);
                    }
                }
            }
        }
        Ok(past)
    }

    fn add_record(&self, id: RemediationId, past: &mut Past) -> Result<(), StoreError> {
        if let Some(remediation) = self.get(&keys::remediation(id))? {
            let mut links = self.last(&keys::links(id), usize::MAX)?;
            links.reverse();
            past.remediations.insert(id, Record { remediation, links });
        }
        Ok(())
    }

    fn get<T: DeserializeOwned>(&self, key: &Bytes) -> Result<Option<T>, StoreError> {
        let value = self.value(key)?;
        Ok(value.map(|value| unpack(key, &value)).transpose()?)
    }

    fn value(&self, key: &Bytes) -> Result<Option<Bytes>, StoreError> {
        match self.overlay.get(key) {
            Some(value) => Ok(value),
            None => Ok(self.db.get(key)?.map(|value| Bytes::copy_from_slice(&value))),
        }
    }

    /// The rows under a prefix, highest key first, at most `limit`.
    fn last<T: DeserializeOwned>(&self, prefix: &Bytes, limit: usize) -> Result<Vec<T>, StoreError> {
        let over = self.overlay.under(prefix);
        // Each row of the overlay hides at most one of sled's.
        let reach = limit.saturating_add(over.len());
        let mut rows: BTreeMap<Bytes, Option<Bytes>> = BTreeMap::new();
        for found in self.db.scan_prefix(prefix).rev().take(reach) {
            let (key, value) = found?;
            rows.insert(Bytes::copy_from_slice(&key), Some(Bytes::copy_from_slice(&value)));
        }
        rows.extend(over);
        let there = rows.into_iter().rev().filter_map(|(key, value)| Some((key, value?)));
        there.take(limit).map(|(key, value)| Ok(unpack(&key, &value)?)).collect()
    }
}
