//! By which orders a row can be found: index keys are a pure function of the row and hold nothing of their own.
//!
//! Every index key is a prefix (the index, then the names that it is about) and a suffix that says where in the order
//! the row stands. The value is the row's key. Readers page by suffix alone, so one cursor fits every prefix.

use serde::Deserialize;

use super::codec::{self, BadRow};
use super::keys::{self, Kind};
use crate::domain::alert::Joined;
use crate::domain::{
    Alert, AlertId, AlertState, Belief, ClusterId, Condition, Hold, Identity, InstanceId, Remediation, RemediationId,
    Run, State, Timestamp,
};
use crate::engine::Change;

/// The form that rows and indexes have. A store of another form is built anew from the journal.
/// 2: with a tally; 3: with runs and conditions; 4: with half of the index keys; 5: with live remediations in no order by last
/// change; 6: with dossiers.
pub const SCHEMA: u32 = 6;

/// How long the suffix of an index by time is: the moment and the id.
pub const MOMENT: usize = 24;

/// The orders. The byte begins every key of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Index {
    /// A cluster's remediations in one [`phase`], by creation.
    ClusterPhase = 0x42,
    /// A cluster's remediations that have ended, by last change. Those that are live have no such order here: they change again
    /// and again, and moving them was two of the seven keys that an alert which ends or comes back writes, for one order of one
    /// list. Who wants it sorts them, and they are few.
    ClusterEnded = 0x43,
    /// An instance's remediations by creation.
    InstanceCreated = 0x44,
    /// A cluster's alerts by when we first heard of them, the live ones before the others; the unjoined ones stand under the
    /// empty name.
    ClusterAlert = 0x51,
    /// An instance's alerts by when we first heard of them.
    InstanceAlert = 0x52,
    /// All dead letters by when they came.
    DeadLetterReceived = 0x58,
    /// All holds by creation.
    HoldCreated = 0x5a,
    /// Those that have not ended, by creation.
    HoldLive = 0x5b,
    /// A cluster's instances by id.
    ClusterInstance = 0x5e,
    /// A cluster's runs by their end.
    ClusterRun = 0x61,
    /// An instance's.
    InstanceRun = 0x62,
    /// A check's.
    CheckRun = 0x63,
    /// What is believed of a cluster's instances, by check and instance.
    ClusterCondition = 0x64,
    /// What is believed of an instance, by check.
    InstanceCondition = 0x65,
    /// Of whom is believed that they fail, by check and instance.
    ConditionFailing = 0x66,
}

/// Among which a remediation stands in its cluster: those in its state once that is terminal; until then all that can still
/// change, which are few and do.
pub fn phase(state: State) -> &'static str {
    if state.is_terminal() { state.as_str() } else { LIVE }
}

/// What is live: remediations that can still change, and alerts that are not resolved.
pub const LIVE: &str = "";

/// Alerts that are not live.
pub const RESOLVED: &str = "RESOLVED";

/// The cluster of alerts that are joined to none.
pub const UNJOINED: &str = "";

impl Index {
    /// What the keys of the rows about these names begin with.
    pub fn prefix(self, names: &[&str]) -> Vec<u8> {
        let mut key = Vec::with_capacity(1 + MOMENT + names.iter().map(|name| name.len() + 1).sum::<usize>());
        key.push(self as u8);
        for name in names {
            key.extend_from_slice(name.as_bytes());
            key.push(0);
        }
        key
    }

    /// The same for one more name.
    pub fn longer(prefix: &[u8], name: &[u8]) -> Vec<u8> {
        [prefix, name, &[0]].concat()
    }

    fn at(self, names: &[&str], at: Timestamp, id: &[u8; 16]) -> Vec<u8> {
        let mut key = self.prefix(names);
        key.extend_from_slice(&moment(at, id));
        key
    }
}

/// The suffix of an index by time.
fn moment(at: Timestamp, id: &[u8; 16]) -> [u8; MOMENT] {
    let mut suffix = [0; MOMENT];
    // The sign bit turned: moments before 1970 sort before those after.
    suffix[..8].copy_from_slice(&(at.as_micros() ^ i64::MIN).to_be_bytes());
    suffix[8..].copy_from_slice(id);
    suffix
}

/// Whether rows of this key's kind have index keys; an unknown kind may.
pub fn has(key: &[u8]) -> bool {
    match Kind::of(key) {
        Some(
            Kind::Remediation
            | Kind::Alert
            | Kind::DeadLetter
            | Kind::Hold
            | Kind::Instance
            | Kind::Run
            | Kind::Condition,
        )
        | None => true,
        Some(
            Kind::Cluster
            | Kind::NodeMemory
            | Kind::Link
            | Kind::Transition
            | Kind::Alias
            | Kind::Held
            | Kind::Execution
            | Kind::Horizon
            | Kind::Pause
            | Kind::Pending,
        ) => false,
    }
}

/// Every index key of a row, sorted; none for a removal and for kinds that are found by their own key alone.
pub fn keys(change: &Change) -> Vec<Vec<u8>> {
    let mut keys = match change {
        Change::Remediation(row) => of_remediation(&row.as_ref().into()),
        Change::Alert(row) => of_alert(&row.as_ref().into()),
        Change::DeadLetter(row) => vec![Index::DeadLetterReceived.at(&[], row.received_at, row.id.as_bytes())],
        Change::Hold(row) => of_hold(row),
        Change::Instance(row) => vec![instance(&row.cluster_id, &row.id)],
        Change::Run(row) => of_run(row),
        Change::Condition(row) => of_condition(row),
        Change::Link(_)
        | Change::Transition(_)
        | Change::Alias(_)
        | Change::Held(_)
        | Change::HeldGone(_)
        | Change::InstanceGone(_)
        | Change::Cluster(_)
        | Change::ClusterGone(_)
        | Change::NodeMemory(_)
        | Change::Execution(_)
        | Change::Horizon(_)
        | Change::Pause(_)
        | Change::ConditionGone(..)
        | Change::Pending(_)
        | Change::Settled(_) => Vec::new(),
    };
    keys.sort_unstable();
    keys
}

/// The same of the row that is stored at `key`. Of the rows that change most often no more is read than tells.
///
/// # Errors
/// The row cannot be read, or belongs under another key.
pub fn stored(key: &[u8], value: &[u8]) -> Result<Vec<Vec<u8>>, BadRow> {
    let (own, mut found) = match Kind::of(key) {
        Some(Kind::Remediation) => {
            let row: RemediationPlace = codec::unpack(key, value)?;
            (keys::remediation(row.id), of_remediation(&row))
        }
        Some(Kind::Alert) => {
            let row: AlertPlace = codec::unpack(key, value)?;
            (keys::alert(row.identity, row.episode), of_alert(&row))
        }
        _ => return Ok(keys(&codec::decode(key, Some(value))?)),
    };
    if own != key {
        return Err(BadRow::new(key, codec::FOREIGN));
    }
    found.sort_unstable();
    Ok(found)
}

/// As much of a remediation as says where it is found.
#[derive(Deserialize)]
struct RemediationPlace {
    id: RemediationId,
    target: TargetPlace,
    state: State,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct TargetPlace {
    cluster_id: ClusterId,
    instance_id: InstanceId,
}

impl From<&Remediation> for RemediationPlace {
    fn from(row: &Remediation) -> Self {
        let Remediation { id, state, created_at, updated_at, .. } = *row;
        let (cluster_id, instance_id) = (row.cluster_id().clone(), row.instance_id().clone());
        Self { id, target: TargetPlace { cluster_id, instance_id }, state, created_at, updated_at }
    }
}

fn of_remediation(row: &RemediationPlace) -> Vec<Vec<u8>> {
    let (cluster, instance) = (row.target.cluster_id.as_str(), row.target.instance_id.as_str());
    let created = |index: Index, names: &[&str]| index.at(names, row.created_at, row.id.as_bytes());
    let mut keys =
        vec![created(Index::ClusterPhase, &[cluster, phase(row.state)]), created(Index::InstanceCreated, &[instance])];
    if row.state.is_terminal() {
        keys.push(Index::ClusterEnded.at(&[cluster], row.updated_at, row.id.as_bytes()));
    }
    keys
}

/// Where the remediation that is stored at `key` stands among others by last change.
///
/// # Errors
/// The row cannot be read.
pub fn update_moment(key: &[u8], value: &[u8]) -> Result<[u8; MOMENT], BadRow> {
    #[derive(Deserialize)]
    struct Changed {
        id: RemediationId,
        updated_at: Timestamp,
    }
    let row: Changed = codec::unpack(key, value)?;
    Ok(moment(row.updated_at, row.id.as_bytes()))
}

/// As much of an episode.
#[derive(Deserialize)]
struct AlertPlace {
    id: AlertId,
    identity: Identity,
    episode: u32,
    state: AlertState,
    joined: Result<Joined, String>,
    opened_at: Timestamp,
}

impl From<&Alert> for AlertPlace {
    fn from(row: &Alert) -> Self {
        let Alert { id, identity, episode, state, opened_at, .. } = *row;
        Self { id, identity, episode, state, joined: row.joined.clone(), opened_at }
    }
}

fn of_alert(row: &AlertPlace) -> Vec<Vec<u8>> {
    let opened = |index: Index, names: &[&str]| index.at(names, row.opened_at, row.id.as_bytes());
    let phase = match row.state {
        AlertState::Firing | AlertState::RefiredUnconfirmed => LIVE,
        AlertState::Resolved => RESOLVED,
    };
    match &row.joined {
        Ok(joined) => vec![
            opened(Index::ClusterAlert, &[joined.cluster_id.as_str(), phase]),
            opened(Index::InstanceAlert, &[joined.instance_id.as_str()]),
        ],
        Err(_) => vec![opened(Index::ClusterAlert, &[UNJOINED, phase])],
    }
}

fn of_hold(row: &Hold) -> Vec<Vec<u8>> {
    let mut keys = vec![Index::HoldCreated.at(&[], row.created_at, row.id.as_bytes())];
    if row.ended.is_none() {
        keys.push(Index::HoldLive.at(&[], row.created_at, row.id.as_bytes()));
    }
    keys
}

fn of_run(row: &Run) -> Vec<Vec<u8>> {
    let ended = |index: Index, names: &[&str]| index.at(names, row.ended_at, row.id.as_bytes());
    vec![
        ended(Index::ClusterRun, &[row.cluster_id.as_str()]),
        ended(Index::InstanceRun, &[row.instance_id.as_str()]),
        ended(Index::CheckRun, &[row.check.as_str()]),
    ]
}

/// The suffix of all three is the row's own key without its kind.
fn of_condition(row: &Condition) -> Vec<Vec<u8>> {
    let own = &keys::condition(&row.check, &row.instance_id)[1..];
    let under = |index: Index, names: &[&str]| [&index.prefix(names), own].concat();
    let mut keys = vec![
        under(Index::ClusterCondition, &[row.cluster_id.as_str()]),
        under(Index::InstanceCondition, &[row.instance_id.as_str()]),
    ];
    if row.belief == Belief::Failing {
        keys.push(under(Index::ConditionFailing, &[]));
    }
    keys
}

fn instance(cluster: &ClusterId, id: &InstanceId) -> Vec<u8> {
    let mut key = Index::ClusterInstance.prefix(&[cluster.as_str()]);
    key.extend_from_slice(id.as_str().as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{codec, samples};

    #[test]
    fn a_kind_without_index_keys_is_known_by_its_key() {
        for change in samples::every_row() {
            let key = codec::encode(&change).key;
            assert!(has(&key) || keys(&change).is_empty(), "{change:?}");
        }
    }

    #[test]
    fn a_stored_row_has_the_index_keys_of_the_row_itself() {
        for change in samples::every_row() {
            let entry = codec::encode(&change);
            assert_eq!(stored(&entry.key, &entry.value.unwrap()), Ok(keys(&change)), "{change:?}");
        }
    }

    #[test]
    fn a_row_that_is_stored_under_a_foreign_key_is_refused() {
        let entries: Vec<codec::Entry> = samples::every_row().iter().map(codec::encode).collect();
        for (n, one) in entries.iter().enumerate() {
            for other in entries[n + 1..].iter().filter(|other| other.key[0] == one.key[0] && other.key != one.key) {
                assert!(stored(&one.key, other.value.as_deref().unwrap()).is_err(), "{:?}", one.key);
            }
        }
        let [one, other] = [1, 2].map(|episode| codec::encode(&Change::Alert(Box::new(samples::alert(1, episode)))));
        assert!(stored(&one.key, &other.value.unwrap()).is_err());
    }

    #[test]
    fn no_index_key_looks_like_a_row() {
        for change in samples::every_row() {
            assert!(keys(&change).iter().all(|key| Kind::of(key).is_none()));
        }
    }

    #[test]
    fn moments_sort_as_numbers_do() {
        let key = |micros| Index::InstanceAlert.at(&[], Timestamp::from_micros(micros), &[0; 16]);
        assert!(key(-1) < key(0) && key(0) < key(1) && key(1) < key(256));
        assert!(key(i64::MIN) < key(-1) && key(i64::MAX) > key(256));
    }

    #[test]
    fn an_ended_remediation_leaves_those_that_are_live() {
        let mut row = samples::remediation(1);
        let cluster = row.cluster_id().as_str().to_owned();
        let live = keys(&Change::Remediation(Box::new(row.clone())));
        row.state = State::Succeeded;
        let ended = keys(&Change::Remediation(Box::new(row)));
        let is_live = |key: &Vec<u8>| key.starts_with(&Index::ClusterPhase.prefix(&[&cluster, LIVE]));
        assert!(live.iter().any(is_live) && !ended.iter().any(is_live));
        let is_ended = |key: &Vec<u8>| key.starts_with(&Index::ClusterEnded.prefix(&[&cluster]));
        assert!(!live.iter().any(is_ended) && ended.iter().any(is_ended));
    }

    #[test]
    fn a_cluster_whose_name_begins_another_shares_no_prefix_with_it() {
        assert!(!Index::ClusterEnded.prefix(&["train-a"]).starts_with(&Index::ClusterEnded.prefix(&["train"])));
    }
}
