//! Single rows and the rows under a prefix as the writer sees them: the overlay first, then sled.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::codec::unpack;
use super::database::guarded;
use super::dossier;
use super::keys::{self, Kind};
use super::last_episodes::LastEpisodes;
use super::overlay::Overlay;
use crate::domain::{
    Alias, DeadLetter, Episode, Horizon, Horizons, Identity, Link, Record, Remediation, RemediationId,
};
use crate::engine::{Back, Change, Past, PastKey};

/// Everything that is committed or staged.
pub struct Stored {
    db: sled::Db,
    overlay: Arc<Overlay>,
    /// Read once, and followed from then on.
    horizons: Option<Horizons>,
    last_episodes: LastEpisodes,
}

impl Stored {
    /// Looks through `overlay` into `db`.
    pub fn new(db: sled::Db, overlay: Arc<Overlay>) -> Self {
        Self { db, overlay, horizons: None, last_episodes: LastEpisodes::default() }
    }

    /// A change is staged.
    pub fn staged(&mut self, change: &Change) {
        match change {
            Change::Alert(alert) => self.last_episodes.written(alert),
            Change::Horizon(horizon) => self.horizons.iter_mut().for_each(|horizons| horizons.set(**horizon)),
            _ => {}
        }
    }

    /// The rows that these keys name. What lies behind a horizon is not there, whether or not it was deleted yet.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn past(&mut self, keys: &[PastKey]) -> Result<Past, StoreError> {
        if keys.is_empty() {
            return Ok(Past::default());
        }
        guarded(|| {
            let horizons = match self.horizons.take() {
                Some(horizons) => horizons,
                None => self.read_horizons()?,
            };
            let seen = self.seen(keys, &horizons);
            self.horizons = Some(horizons);
            seen
        })
    }

    fn seen(&mut self, keys: &[PastKey], horizons: &Horizons) -> Result<Past, StoreError> {
        let mut past = Past::default();
        for key in keys {
            match key {
                PastKey::Episodes(identity, back) => {
                    let episodes = self.episodes(*identity, *back, horizons)?;
                    if !episodes.is_empty() {
                        past.episodes.insert(*identity, episodes);
                    }
                }
                PastKey::Remediation(id) => self.add_record(*id, horizons, &mut past)?,
                PastKey::Alias(cluster, name) => {
                    let Some(alias) = self.get::<Alias>(&keys::alias(cluster, name))? else { continue };
                    self.add_record(alias.remediation_id, horizons, &mut past)?;
                    if past.remediations.contains_key(&alias.remediation_id) {
                        past.aliases.insert((cluster.clone(), name.clone()), alias.remediation_id);
                    }
                }
                PastKey::DeadLetter(id) => {
                    let letter = self.get::<DeadLetter>(&keys::dead_letter(*id))?;
                    if letter.is_some_and(|letter| !horizons.hides_dead_letter(&letter)) {
                        past.dead_letters.insert(*id);
                    }
                }
            }
        }
        Ok(past)
    }

    fn read_horizons(&self) -> Result<Horizons, StoreError> {
        let mut horizons = Horizons::default();
        let rows: Vec<Horizon> = self.last(&keys::horizons(), usize::MAX, |_| true, |_| false)?;
        rows.into_iter().for_each(|horizon| horizons.set(horizon));
        Ok(horizons)
    }

    /// The last episodes, up to the first that is enough.
    fn episodes(&mut self, identity: Identity, back: Back, horizons: &Horizons) -> Result<Vec<Episode>, StoreError> {
        let is_there = |episode: &Episode| !horizons.hides_episode(episode);
        match self.last_episodes.get(identity, back) {
            Some(None) => return Ok(Vec::new()),
            Some(Some(last)) if is_there(&last) => return Ok(vec![last]),
            Some(Some(_)) | None => {}
        }
        let is_enough = |episode: &Episode| back.is_enough(episode);
        let episodes = self.last(&keys::episodes(identity), Past::EPISODES, is_there, is_enough)?;
        self.last_episodes.found(identity, episodes.first().copied());
        Ok(episodes)
    }

    fn add_record(&self, id: RemediationId, horizons: &Horizons, past: &mut Past) -> Result<(), StoreError> {
        let row: Option<Remediation> = self.get(&keys::remediation(id))?;
        if let Some(remediation) = row.filter(|row| !horizons.hides_remediation(row)) {
            past.remediations.insert(id, Record { remediation, links: self.links(id)? });
        }
        Ok(())
    }

    fn links(&self, id: RemediationId) -> Result<Vec<Link>, StoreError> {
        // First: what leaves it meanwhile is in sled then.
        let over = self.overlay.under(&keys::links(id));
        let stored = dossier::of::<StoreError>(&self.db, &keys::remediation(id), &[Kind::Link])?;
        let mut rows: BTreeMap<Bytes, Bytes> =
            stored.into_iter().map(|(key, value)| (key.into(), Bytes::copy_from_slice(&value))).collect();
        // Links are never taken away.
        rows.extend(over.into_iter().filter_map(|(key, value)| Some((key, value?))));
        rows.iter().map(|(key, value)| Ok(unpack(key, value)?)).collect()
    }

    fn get<T: DeserializeOwned>(&self, key: &Bytes) -> Result<Option<T>, StoreError> {
        let value = self.value(key)?;
        Ok(value.map(|value| unpack(key, &value)).transpose()?)
    }

    fn value(&self, key: &Bytes) -> Result<Option<Bytes>, StoreError> {
        match self.overlay.get(key) {
            Some(value) => Ok(value),
            None => Ok(dossier::get::<StoreError>(&self.db, key)?.map(|value| Bytes::copy_from_slice(&value))),
        }
    }

    /// The rows under a prefix for which `is_there`, highest key first, at most `limit`, and none behind the first that
    /// `is_enough`.
    fn last<T: DeserializeOwned>(
        &self,
        prefix: &Bytes,
        limit: usize,
        is_there: impl Fn(&T) -> bool,
        is_enough: impl Fn(&T) -> bool,
    ) -> Result<Vec<T>, StoreError> {
        let over = self.overlay.under(prefix);
        // Each row of the overlay hides at most one of sled's.
        let reach = limit.saturating_add(over.len());
        let mut rows: BTreeMap<Bytes, T> = BTreeMap::new();
        for found in self.db.scan_prefix(prefix).rev() {
            if rows.len() == reach {
                break;
            }
            let (key, value) = found?;
            let key = Bytes::copy_from_slice(&key);
            // The overlay has a newer form of it.
            if over.contains_key(&key) {
                continue;
            }
            let row = unpack(&key, &value)?;
            if is_there(&row) {
                let is_last = is_enough(&row);
                rows.insert(key, row);
                if is_last {
                    break;
                }
            }
        }
        for (key, value) in over {
            rows.remove(&key);
            if let Some(value) = value {
                let row = unpack(&key, &value)?;
                if is_there(&row) {
                    rows.insert(key, row);
                }
            }
        }
        let mut last = Vec::new();
        for row in rows.into_values().rev().take(limit) {
            let is_last = is_enough(&row);
            last.push(row);
            if is_last {
                break;
            }
        }
        Ok(last)
    }
}
