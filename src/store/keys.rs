//! Where a row lies: one byte for its kind, then parts whose byte order is the order that we want.
//!
//! Numbers are big-endian, ids are their sixteen bytes, and a name that something follows ends in a zero byte, which no
//! name contains. Rows, indexes and the store's own notes share one tree, so that one batch changes them together. What belongs to a
//! remediation lies with it, whatever its key says: see [`super::dossier`].

use bytes::Bytes;

use crate::domain::{CheckId, ClusterId, DeadLetterId, EffectId, Horizon, Identity, InstanceId, RemediationId, RunId};
use crate::engine::Change;

/// The kinds of row. The byte is part of every stored key and never gets another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A configured cluster, by id.
    Cluster = 0x01,
    /// An instance, by id.
    Instance = 0x02,
    /// An instance's last repairs, by its id.
    NodeMemory = 0x03,
    /// A hold, by id.
    Hold = 0x04,
    /// A remediation, by id.
    Remediation = 0x05,
    /// A linked alert, by remediation and place.
    Link = 0x06,
    /// An entry of a history, by remediation and version.
    Transition = 0x07,
    /// A client's name for a remediation, by cluster and name.
    Alias = 0x08,
    /// An episode, by identity and number.
    Alert = 0x09,
    /// Why an instance waits, by its id.
    Held = 0x0a,
    /// An effect whose result is not known, by id.
    Pending = 0x0b,
    /// An alert that could not be read, by id.
    DeadLetter = 0x0c,
    /// Whether this store may act: one row.
    Execution = 0x0d,
    /// How far back the past reaches: one row for each horizon.
    Horizon = 0x0e,
    /// A kill switch, by its cluster; the one for everything has the empty name.
    Pause = 0x0f,
    /// A run of an active check, by id.
    Run = 0x10,
    /// What is believed of an instance, by check and instance.
    Condition = 0x11,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Cluster,
        Self::Instance,
        Self::NodeMemory,
        Self::Hold,
        Self::Remediation,
        Self::Link,
        Self::Transition,
        Self::Alias,
        Self::Alert,
        Self::Held,
        Self::Pending,
        Self::DeadLetter,
        Self::Execution,
        Self::Horizon,
        Self::Pause,
        Self::Run,
        Self::Condition,
    ];

    /// The kind of the row at `key`; nothing for an index, a note of the store or an unknown byte.
    pub fn of(key: &[u8]) -> Option<Self> {
        let first = key.first()?;
        Self::ALL.into_iter().find(|kind| kind.byte() == *first)
    }

    /// Its name in exports and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Instance => "instance",
            Self::NodeMemory => "node_memory",
            Self::Hold => "hold",
            Self::Remediation => "remediation",
            Self::Link => "link",
            Self::Transition => "transition",
            Self::Alias => "alias",
            Self::Alert => "alert",
            Self::Held => "held",
            Self::Pending => "pending",
            Self::DeadLetter => "dead_letter",
            Self::Execution => "execution",
            Self::Horizon => "horizon",
            Self::Pause => "pause",
            Self::Run => "run",
            Self::Condition => "condition",
        }
    }

    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What every key of this kind begins with.
    pub const fn byte(self) -> u8 {
        self as u8
    }
}

/// The store's note of how far the journal has been applied.
pub const APPLIED: &[u8] = b"\0applied";
/// The store's note of how many rows there are, and of what they sum up to.
pub const TALLY: &[u8] = b"\0tally";
/// The store's note of the form that rows and indexes have.
pub const SCHEMA: &[u8] = b"\0schema";

/// The key of the row that `change` writes or removes.
pub fn of(change: &Change) -> Bytes {
    match change {
        Change::Cluster(row) => named(Kind::Cluster, row.id.as_str()),
        Change::ClusterGone(id) => named(Kind::Cluster, id.as_str()),
        Change::Instance(row) => instance(&row.id),
        Change::InstanceGone(id) => instance(id),
        Change::NodeMemory(row) => named(Kind::NodeMemory, row.instance_id.as_str()),
        Change::Hold(row) => made(Kind::Hold, &[row.id.as_bytes()]),
        Change::Remediation(row) => remediation(row.id),
        Change::Link(row) => made(Kind::Link, &[row.remediation_id.as_bytes(), &row.n.to_be_bytes()]),
        Change::Transition(row) => made(Kind::Transition, &[row.remediation_id.as_bytes(), &row.version.to_be_bytes()]),
        Change::Alias(row) => alias(&row.cluster_id, &row.alias),
        Change::Alert(row) => alert(row.identity, row.episode),
        Change::Held(row) => held(&row.instance_id),
        Change::HeldGone(id) => held(id),
        Change::Execution(_) => execution(),
        Change::Horizon(row) => horizon(row),
        Change::Pause(row) => named(Kind::Pause, row.cluster_id.as_ref().map_or("", ClusterId::as_str)),
        Change::Run(row) => run(row.id),
        Change::Condition(row) => condition(&row.check, &row.instance_id),
        Change::ConditionGone(check, instance) => condition(check, instance),
        Change::Pending(row) => pending(row.id),
        Change::Settled(id) => pending(*id),
        Change::DeadLetter(row) => dead_letter(row.id),
    }
}

/// The key of an episode.
pub fn alert(identity: Identity, episode: u32) -> Bytes {
    made(Kind::Alert, &[identity.as_bytes(), &episode.to_be_bytes()])
}

/// The key of a remediation.
pub fn remediation(id: RemediationId) -> Bytes {
    made(Kind::Remediation, &[id.as_bytes()])
}

/// What the keys of all links of a remediation begin with.
pub fn links(id: RemediationId) -> Bytes {
    made(Kind::Link, &[id.as_bytes()])
}

/// What the keys of all episodes of an identity begin with; they sort by episode.
pub fn episodes(identity: Identity) -> Bytes {
    made(Kind::Alert, &[identity.as_bytes()])
}

/// The key of a client's name. The name comes last, so it may contain anything.
pub fn alias(cluster: &ClusterId, alias: &str) -> Bytes {
    made(Kind::Alias, &[cluster.as_str().as_bytes(), b"\0", alias.as_bytes()])
}

/// The key of an instance.
pub fn instance(id: &InstanceId) -> Bytes {
    named(Kind::Instance, id.as_str())
}

/// The key of the reason for which an instance waits.
pub fn held(id: &InstanceId) -> Bytes {
    named(Kind::Held, id.as_str())
}

/// The key of the right to act.
pub fn execution() -> Bytes {
    made(Kind::Execution, &[])
}

/// What the keys of all horizons begin with.
pub fn horizons() -> Bytes {
    made(Kind::Horizon, &[])
}

fn horizon(row: &Horizon) -> Bytes {
    let which = match row {
        Horizon::Remediations { .. } => 1,
        Horizon::Alerts { .. } => 2,
        Horizon::Journal { .. } => 3,
        Horizon::Runs { .. } => 4,
    };
    made(Kind::Horizon, &[&[which]])
}

/// The key of a run.
pub fn run(id: RunId) -> Bytes {
    made(Kind::Run, &[id.as_bytes()])
}

/// The key of what is believed of an instance because of a check. No name contains the zero byte between them.
pub fn condition(check: &CheckId, instance: &InstanceId) -> Bytes {
    made(Kind::Condition, &[check.as_str().as_bytes(), b"\0", instance.as_str().as_bytes()])
}

/// The key of a dead letter.
pub fn dead_letter(id: DeadLetterId) -> Bytes {
    made(Kind::DeadLetter, &[id.as_bytes()])
}

fn pending(id: EffectId) -> Bytes {
    made(Kind::Pending, &[id.as_bytes()])
}

fn named(kind: Kind, name: &str) -> Bytes {
    made(kind, &[name.as_bytes()])
}

fn made(kind: Kind, parts: &[&[u8]]) -> Bytes {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(kind.byte());
    for part in parts {
        key.extend_from_slice(part);
    }
    key.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::samples;

    #[test]
    fn every_change_has_a_key_of_its_own_and_a_kind() {
        let changes = samples::every_row();
        let keys: std::collections::BTreeSet<_> = changes.iter().map(of).collect();
        assert_eq!(keys.len(), changes.len());
        assert!(keys.iter().all(|key| Kind::of(key).is_some()));
        assert!(Kind::of(APPLIED).is_none() && Kind::of(SCHEMA).is_none() && Kind::of(b"").is_none());
        assert!(Kind::of(TALLY).is_none());
        assert!(Kind::ALL.into_iter().all(|kind| Kind::named(kind.name()) == Some(kind)));
    }

    #[test]
    fn a_row_and_its_removal_have_the_same_key() {
        for (row, gone) in samples::removals() {
            assert_eq!(of(&row), of(&gone));
        }
    }

    #[test]
    fn episodes_sort_by_number() {
        let key = |episode| of(&Change::Alert(Box::new(samples::alert(1, episode))));
        assert!(key(2) < key(10) && key(255) < key(256));
        assert!(key(7).starts_with(&episodes(samples::alert(1, 1).identity)));
    }
}
