//! Every question that is answered from sled, after it has caught up with what was committed when the question came.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use sled::IVec;

use super::StoreError;
use super::codec::{BadRow, unpack};
use super::database::caught;
use super::dossier;
use super::fatal::Alarm;
use super::index::{self, Index, MOMENT};
use super::keys::{self, Kind};
use super::lock::Lock;
use super::progress::{Lag, Progress};
use super::query::{
    AlertFilter, ConditionFilter, Cursor, HoldFilter, InstanceFilter, Order, Page, Paging, RemediationFilter,
    RunFilter, Visible,
};
use super::ranges::{self, sees};
use super::scan::Scan;
use crate::domain::{
    Alert, Alias, CheckId, Cluster, ClusterId, Condition, DeadLetter, Execution, Held, Hold, Horizon, Horizons,
    Instance, InstanceId, Pause, Record, Remediation, RemediationId, Run, RunId, Transition,
};

/// How long a question waits for sled; usually it is there at once.
const PATIENCE: Duration = Duration::from_millis(100);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// sled has not yet applied what was committed when the question came; a stale answer is never given.
    #[error("the store is catching up: try again in a moment")]
    Lagging,
    /// The cursor is not one that a page of this kind ended with.
    #[error("the page token is not one of ours")]
    BadCursor,
    /// Nothing is applied any more, so nobody can tell whether sled has everything.
    #[error("the store has stopped")]
    Stopped,
    /// A row could not be read.
    #[error("the store cannot be read here, and is built anew: {0}")]
    Broken(String),
}

impl From<sled::Error> for ReadError {
    fn from(error: sled::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<BadRow> for ReadError {
    fn from(error: BadRow) -> Self {
        Self::Broken(error.to_string())
    }
}

/// A handle for readers; cheap to clone, safe to share.
#[derive(Clone)]
pub struct Reader {
    db: sled::Db,
    progress: Arc<Progress>,
    alarm: Alarm,
    /// The folder stays ours as long as anybody may read it.
    _lock: Arc<Lock>,
}

impl fmt::Debug for Reader {
    // sled's own form would print every row.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Reader").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl Reader {
    pub(super) fn new(db: sled::Db, progress: Arc<Progress>, alarm: Alarm, lock: Arc<Lock>) -> Self {
        Self { db, progress, alarm, _lock: lock }
    }

    /// Somebody could not read what should be there: the store fails as a whole, so that it is built anew.
    pub fn found_damage(&self, why: String) {
        self.alarm.ring(StoreError::Unreadable(why));
    }

    /// Waits until everything that is committed now can be read; at most 100 ms.
    ///
    /// # Errors
    /// [`ReadError::Lagging`] after that time, [`ReadError::Stopped`] where the applier has ended before.
    pub async fn caught_up(&self) -> Result<(), ReadError> {
        let committed = self.progress.committed();
        let mut applied = self.progress.applied();
        if *applied.borrow() < committed {
            self.progress.want(committed);
        }
        match tokio::time::timeout(PATIENCE, applied.wait_for(|seq| *seq >= committed)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(ReadError::Stopped),
            Err(_) => Err(ReadError::Lagging),
        }
    }

    /// How long the commit that is under way has been so; nothing where none is.
    pub fn commit_under_way(&self) -> Option<Duration> {
        self.progress.commit_under_way()
    }

    /// How far sled is behind what is committed.
    pub fn lag(&self) -> Lag {
        self.progress.lag()
    }

    /// What was last said about the right to act; nothing where it was never lost.
    pub fn execution(&self) -> Result<Option<Execution>, ReadError> {
        self.get(&keys::execution())
    }

    /// Every kill switch as it was last turned, the one for everything first; which the asker sees, since all stand under
    /// that one.
    pub fn pauses(&self, visible: &Visible) -> Result<Vec<Pause>, ReadError> {
        let mut pauses: Vec<Pause> = self.under(&[Kind::Pause.byte()])?;
        pauses.retain(|pause| pause.cluster_id.as_ref().is_none_or(|cluster| sees(visible, cluster)));
        Ok(pauses)
    }

    /// The remediation with its links.
    pub fn remediation(&self, id: RemediationId) -> Result<Option<Record>, ReadError> {
        // A link that moves into its dossier meanwhile would be missed.
        let _still = self.progress.hold_still();
        self.visible(id)?.map(|remediation| self.record(remediation)).transpose()
    }

    fn visible(&self, id: RemediationId) -> Result<Option<Remediation>, ReadError> {
        let Some(row) = self.get(&keys::remediation(id))? else { return Ok(None) };
        let horizons = self.horizons()?;
        Ok(Some(row).filter(|row| !horizons.hides_remediation(row)))
    }

    /// What a client's name stands for.
    pub fn alias(&self, cluster: &ClusterId, alias: &str) -> Result<Option<Alias>, ReadError> {
        let Some(alias) = self.get::<Alias>(&keys::alias(cluster, alias))? else { return Ok(None) };
        Ok(self.visible(alias.remediation_id)?.map(|_| alias))
    }

    /// A page of remediations. An unfiltered page is full; a filtered one may be short where the scan budget ended.
    ///
    /// # Errors
    /// [`ReadError::BadCursor`], or a row cannot be read; so for every page.
    pub fn remediations(
        &self,
        filter: &RemediationFilter,
        order: Order,
        paging: &Paging,
    ) -> Result<Page<Record>, ReadError> {
        check_moment(paging)?;
        let _still = self.progress.hold_still();
        let horizons = self.horizons()?;
        let wanted = |key: &[u8]| -> Result<Option<Remediation>, ReadError> {
            Ok(self.get(key)?.filter(|row| is_wanted(filter, row) && !horizons.hides_remediation(row)))
        };
        let load = |_: &[u8], key: &[u8]| wanted(key)?.map(|remediation| self.record(remediation)).transpose();
        safely(|| {
            let (prefixes, sorted) = if order.by_update {
                let (ended, others) = ranges::remediations_by_update(&self.db, filter)?;
                (ended, self.by_update(&others)?)
            } else {
                (ranges::remediations(&self.db, filter)?, BTreeMap::new())
            };
            Scan { db: &self.db, prefixes, sorted, ascending: order.ascending }.page(paging, load)
        })
    }

    /// The remediations in these ranges, sorted by last change: the key of each under the moment. That are few, since an
    /// instance has one that is live, and old ones go. Measured: with 10,000 that are live a page takes 16 ms, with 100,000 310,
    /// for which nothing is applied.
    fn by_update(&self, prefixes: &[Vec<u8>]) -> Result<BTreeMap<Vec<u8>, IVec>, ReadError> {
        let mut sorted = BTreeMap::new();
        for prefix in prefixes {
            for key in self.db.scan_prefix(prefix).values() {
                let key = key?;
                let Some(value) = dossier::get::<ReadError>(&self.db, &key)? else { continue };
                sorted.insert(index::update_moment(&key, &value)?.to_vec(), key);
            }
        }
        Ok(sorted)
    }

    /// A remediation's history, oldest first.
    pub fn transitions(&self, id: RemediationId) -> Result<Vec<Transition>, ReadError> {
        let _still = self.progress.hold_still();
        match self.visible(id)? {
            Some(_) => self.of_remediation(id, Kind::Transition),
            None => Ok(Vec::new()),
        }
    }

    /// The newest remediation of an instance in a cluster. An instance that moved leaves its past where that was.
    pub fn latest_remediation(
        &self,
        cluster: &ClusterId,
        instance: &InstanceId,
    ) -> Result<Option<Remediation>, ReadError> {
        let horizons = self.horizons()?;
        safely(|| {
            for found in self.db.scan_prefix(Index::InstanceCreated.prefix(&[instance.as_str()])).rev() {
                let (_, key) = found?;
                let row = self.get::<Remediation>(&key)?;
                if let Some(row) = row.filter(|row| row.cluster_id() == cluster && !horizons.hides_remediation(row)) {
                    return Ok(Some(row));
                }
            }
            Ok(None)
        })
    }

    /// A page of alerts, newest first by the time at which we first heard of them.
    pub fn alerts(&self, filter: &AlertFilter, paging: &Paging) -> Result<Page<Alert>, ReadError> {
        check_moment(paging)?;
        let _still = self.progress.hold_still();
        let horizons = self.horizons()?;
        self.page(safely(|| ranges::alerts(&self.db, filter))?, false, paging, |_, key| {
            Ok(self.get(key)?.filter(|row| is_wanted_alert(filter, row) && !horizons.hides_alert(row)))
        })
    }

    /// A page of dead letters, newest first. They belong to no cluster: only who sees all sees them.
    pub fn dead_letters(&self, visible: &Visible, paging: &Paging) -> Result<Page<DeadLetter>, ReadError> {
        check_moment(paging)?;
        let prefixes = match visible {
            None => vec![Index::DeadLetterReceived.prefix(&[])],
            Some(_) => Vec::new(),
        };
        let horizons = self.horizons()?;
        self.page(prefixes, false, paging, |_, key| Ok(self.get(key)?.filter(|row| !horizons.hides_dead_letter(row))))
    }

    /// Every configured cluster that the asker sees, by id.
    pub fn clusters(&self, visible: &Visible) -> Result<Vec<Cluster>, ReadError> {
        let mut clusters: Vec<Cluster> = self.under(&[Kind::Cluster.byte()])?;
        clusters.retain(|cluster| sees(visible, &cluster.id));
        Ok(clusters)
    }

    /// One instance.
    pub fn instance(&self, id: &InstanceId) -> Result<Option<Instance>, ReadError> {
        self.get(&keys::instance(id))
    }

    /// A page of instances by id, each with what policy wants for it and why it waits.
    pub fn instances(
        &self,
        filter: &InstanceFilter,
        paging: &Paging,
    ) -> Result<Page<(Instance, Option<Held>)>, ReadError> {
        if let Some(Cursor(name)) = &paging.after {
            let name = std::str::from_utf8(name).map_err(|_| ReadError::BadCursor)?;
            InstanceId::parse(name).map_err(|_| ReadError::BadCursor)?;
        }
        let _still = self.progress.hold_still();
        // Row and index alike end in the id, which is all that is needed of them.
        self.page(ranges::instances(filter), true, paging, |id, _| {
            let key = [&[Kind::Instance.byte()], id].concat();
            let Some(instance) = self.get::<Instance>(&key)? else { return Ok(None) };
            let held = self.get(&keys::held(&instance.id))?;
            Ok(Some((instance, held)))
        })
    }

    /// A page of holds, newest first.
    pub fn holds(&self, filter: &HoldFilter, paging: &Paging) -> Result<Page<Hold>, ReadError> {
        check_moment(paging)?;
        let index = if filter.ended { Index::HoldCreated } else { Index::HoldLive };
        let horizons = self.horizons()?;
        self.page(vec![index.prefix(&[])], false, paging, |_, key| {
            let is_wanted = |hold: &Hold| {
                !horizons.hides_hold(hold)
                    && sees(&filter.visible, &hold.cluster_id)
                    && filter.instance_id.as_ref().is_none_or(|id| *id == hold.instance_id)
                    && (filter.ended || hold.ended.is_none())
            };
            Ok(self.get::<Hold>(key)?.filter(is_wanted))
        })
    }

    /// A page of runs, newest first by their end.
    pub fn runs(&self, filter: &RunFilter, paging: &Paging) -> Result<Page<Run>, ReadError> {
        check_moment(paging)?;
        let _still = self.progress.hold_still();
        let horizons = self.horizons()?;
        self.page(safely(|| ranges::runs(&self.db, filter))?, false, paging, |_, key| {
            Ok(self.get(key)?.filter(|row| is_wanted_run(filter, row) && !horizons.hides_run(row)))
        })
    }

    /// One run.
    pub fn run(&self, id: RunId) -> Result<Option<Run>, ReadError> {
        let Some(row) = self.get(&keys::run(id))? else { return Ok(None) };
        let horizons = self.horizons()?;
        Ok(Some(row).filter(|row| !horizons.hides_run(row)))
    }

    /// A page of conditions by check and instance.
    pub fn conditions(&self, filter: &ConditionFilter, paging: &Paging) -> Result<Page<Condition>, ReadError> {
        // Every index has a check's conditions side by side, so a check is a part of the prefix, and pages go by the rest.
        let under = filter.check.as_ref().map_or_else(Vec::new, |check| [check.as_str().as_bytes(), b"\0"].concat());
        if let Some(Cursor(suffix)) = &paging.after {
            check_condition(&[&under, suffix.as_slice()].concat())?;
        }
        let _still = self.progress.hold_still();
        let prefixes = ranges::conditions(filter).into_iter().map(|prefix| [prefix, under.clone()].concat()).collect();
        self.page(prefixes, true, paging, |suffix, _| {
            // Row and index alike end in check and instance, which is all that is needed of them.
            let key = [&[Kind::Condition.byte()], under.as_slice(), suffix].concat();
            Ok(self.get(&key)?.filter(|row| is_wanted_condition(filter, row)))
        })
    }

    /// How far back the past reaches. What lies behind a horizon may still be there, and nobody sees it.
    fn horizons(&self) -> Result<Horizons, ReadError> {
        let mut horizons = Horizons::default();
        self.under(&[Kind::Horizon.byte()])?.into_iter().for_each(|horizon: Horizon| horizons.set(horizon));
        Ok(horizons)
    }

    fn page<T>(
        &self,
        prefixes: Vec<Vec<u8>>,
        ascending: bool,
        paging: &Paging,
        load: impl FnMut(&[u8], &[u8]) -> Result<Option<T>, ReadError>,
    ) -> Result<Page<T>, ReadError> {
        safely(|| Scan { db: &self.db, prefixes, sorted: BTreeMap::new(), ascending }.page(paging, load))
    }

    fn record(&self, remediation: Remediation) -> Result<Record, ReadError> {
        let links = self.of_remediation(remediation.id, Kind::Link)?;
        Ok(Record { remediation, links })
    }

    fn of_remediation<T: DeserializeOwned>(&self, id: RemediationId, kind: Kind) -> Result<Vec<T>, ReadError> {
        safely(|| {
            let rows = dossier::of::<ReadError>(&self.db, &keys::remediation(id), &[kind])?;
            rows.iter().map(|(key, value)| Ok(unpack(key, value)?)).collect()
        })
    }

    fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, ReadError> {
        safely(|| {
            let value = dossier::get::<ReadError>(&self.db, key)?;
            Ok(value.map(|value| unpack(key, &value)).transpose()?)
        })
    }

    fn under<T: DeserializeOwned>(&self, prefix: &[u8]) -> Result<Vec<T>, ReadError> {
        let rows = self.db.scan_prefix(prefix).map(|found| {
            let (key, value) = found?;
            Ok(unpack(&key, &value)?)
        });
        safely(|| rows.collect())
    }
}

/// sled panics where a page is damaged in some ways; whoever asked is told of the damage all the same.
fn safely<T>(read: impl FnOnce() -> Result<T, ReadError>) -> Result<T, ReadError> {
    caught(read).unwrap_or_else(|why| Err(ReadError::Broken(why)))
}

/// Cursors of indexes by time are a moment and an id; anything else would only find a strange place to begin.
fn check_moment(paging: &Paging) -> Result<(), ReadError> {
    match &paging.after {
        Some(Cursor(suffix)) if suffix.len() != MOMENT => Err(ReadError::BadCursor),
        Some(_) | None => Ok(()),
    }
}

/// The key of a condition without its kind: a check and an instance.
fn check_condition(key: &[u8]) -> Result<(), ReadError> {
    let text = std::str::from_utf8(key).map_err(|_| ReadError::BadCursor)?;
    let (check, instance) = text.split_once('\0').ok_or(ReadError::BadCursor)?;
    CheckId::parse(check).map_err(|_| ReadError::BadCursor)?;
    InstanceId::parse(instance).map_err(|_| ReadError::BadCursor)?;
    Ok(())
}

fn is_wanted(filter: &RemediationFilter, row: &Remediation) -> bool {
    sees(&filter.visible, row.cluster_id())
        && filter.cluster_id.as_ref().is_none_or(|id| id == row.cluster_id())
        && filter.instance_id.as_ref().is_none_or(|id| id == row.instance_id())
        && (filter.states.is_empty() || filter.states.contains(&row.state))
        && (filter.modes.is_empty() || filter.modes.contains(&row.mode))
        && (filter.triggers.is_empty() || filter.triggers.contains(&row.trigger))
}

fn is_wanted_alert(filter: &AlertFilter, row: &Alert) -> bool {
    let cluster = row.joined.as_ref().ok().map(|joined| &joined.cluster_id);
    filter.visible.as_ref().is_none_or(|visible| cluster.is_some_and(|id| visible.contains(id)))
        && filter.cluster_id.as_ref().is_none_or(|id| Some(id) == cluster)
        && filter.instance_id.as_ref().is_none_or(|id| Some(id) == row.instance())
        && filter.state.is_none_or(|state| state == row.state)
        && filter.severity.is_none_or(|severity| severity == row.severity)
        && filter.alert_name.as_ref().is_none_or(|name| name == row.name())
        && filter.joined.is_none_or(|joined| joined == row.joined.is_ok())
}

fn is_wanted_run(filter: &RunFilter, row: &Run) -> bool {
    sees(&filter.visible, &row.cluster_id)
        && filter.cluster_id.as_ref().is_none_or(|id| *id == row.cluster_id)
        && filter.instance_id.as_ref().is_none_or(|id| *id == row.instance_id)
        && filter.check.as_ref().is_none_or(|check| *check == row.check)
        && filter.verdict.is_none_or(|verdict| verdict == row.verdict)
}

fn is_wanted_condition(filter: &ConditionFilter, row: &Condition) -> bool {
    sees(&filter.visible, &row.cluster_id)
        && filter.cluster_id.as_ref().is_none_or(|id| *id == row.cluster_id)
        && filter.instance_id.as_ref().is_none_or(|id| *id == row.instance_id)
        && filter.check.as_ref().is_none_or(|check| *check == row.check)
        && filter.belief.is_none_or(|belief| belief == row.belief)
}
