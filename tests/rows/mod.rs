//! The rows that an engine wrote: what a store would hold, in its order, with what a writer reads from it.
#![allow(dead_code, reason = "each test program takes what it needs")]

use std::collections::BTreeMap;

use remedyd::domain::{
    Alert, ClusterId, Condition, EffectId, Episode, Execution, Hold, Horizon, Identity, InstanceId, Link, Pause,
    Record, Remediation, RemediationId, Run, RunId, Transition,
};
use remedyd::engine::{Change, Past, PastKey};

/// A kind of row, and its key within that kind.
pub type Key = (u8, Vec<u8>);

const HOLD: u8 = 3;
const HELD: u8 = 7;
const REMEDIATION: u8 = 4;
const LINK: u8 = 5;
const ALERT: u8 = 6;
const PENDING: u8 = 8;
const ALIAS: u8 = 9;
const DEAD_LETTER: u8 = 10;
const EXECUTION: u8 = 12;
const HORIZON: u8 = 13;
const TRANSITION: u8 = 11;
const PAUSE: u8 = 14;
const RUN: u8 = 15;
const CONDITION: u8 = 16;

/// The latest row of every key.
#[derive(Clone, Default)]
pub struct Rows {
    latest: BTreeMap<Key, Change>,
}

/// The key of a change, and whether it is a row; else the key goes.
fn key_of(change: &Change) -> (Key, bool) {
    let text = |text: &str| text.as_bytes().to_vec();
    match change {
        Change::Cluster(row) => ((0, text(row.id.as_str())), true),
        Change::ClusterGone(id) => ((0, text(id.as_str())), false),
        Change::Instance(row) => ((1, text(row.id.as_str())), true),
        Change::InstanceGone(id) => ((1, text(id.as_str())), false),
        Change::NodeMemory(row) => ((2, text(row.instance_id.as_str())), true),
        Change::Hold(row) => ((HOLD, row.id.as_bytes().to_vec()), true),
        Change::Remediation(row) => ((REMEDIATION, row.id.as_bytes().to_vec()), true),
        Change::Link(row) => ((LINK, numbered(row.remediation_id.as_bytes(), &row.n.to_be_bytes())), true),
        Change::Alert(row) => ((ALERT, numbered(row.identity.as_bytes(), &row.episode.to_be_bytes())), true),
        Change::Held(row) => ((HELD, text(row.instance_id.as_str())), true),
        Change::HeldGone(id) => ((HELD, text(id.as_str())), false),
        Change::Execution(_) => ((EXECUTION, Vec::new()), true),
        Change::Horizon(row) => ((HORIZON, vec![horizon(row)]), true),
        Change::Pause(row) => ((PAUSE, text(row.cluster_id.as_ref().map_or("", ClusterId::as_str))), true),
        Change::Run(row) => ((RUN, row.id.as_bytes().to_vec()), true),
        Change::Condition(row) => ((CONDITION, text(&format!("{} {}", row.check, row.instance_id))), true),
        Change::ConditionGone(check, instance) => ((CONDITION, text(&format!("{check} {instance}"))), false),
        Change::Pending(row) => ((PENDING, row.id.as_bytes().to_vec()), true),
        Change::Settled(id) => ((PENDING, id.as_bytes().to_vec()), false),
        Change::Alias(row) => ((ALIAS, text(&format!("{} {}", row.cluster_id, row.alias))), true),
        Change::DeadLetter(row) => ((DEAD_LETTER, row.id.as_bytes().to_vec()), true),
        Change::Transition(row) => {
            ((TRANSITION, numbered(row.remediation_id.as_bytes(), &row.version.to_be_bytes())), true)
        }
    }
}

fn horizon(row: &Horizon) -> u8 {
    match row {
        Horizon::Remediations { .. } => 0,
        Horizon::Alerts { .. } => 1,
        Horizon::Journal { .. } => 2,
        Horizon::Runs { .. } => 3,
    }
}

fn numbered(id: &[u8; 16], n: &[u8]) -> Vec<u8> {
    [id.as_slice(), n].concat()
}

impl Rows {
    /// Says which key that was and what stood there before.
    pub fn write(&mut self, change: &Change) -> (Key, Option<Change>) {
        let (key, is_row) = key_of(change);
        let before = match is_row {
            true => self.latest.insert(key.clone(), change.clone()),
            false => self.latest.remove(&key),
        };
        (key, before)
    }

    /// Puts back what stood there before a write.
    pub fn put_back(&mut self, key: Key, before: Option<Change>) {
        match before {
            Some(before) => self.latest.insert(key, before),
            None => self.latest.remove(&key),
        };
    }

    /// In the order in which a store hands them over at start.
    pub fn live(&self) -> impl Iterator<Item = &Change> {
        self.latest.values()
    }

    /// What the engine asked for.
    pub fn past(&self, keys: &[PastKey]) -> Past {
        let mut past = Past::default();
        for key in keys {
            match key {
                PastKey::Episodes(identity, back) => {
                    let mut last = Vec::new();
                    for alert in self.episodes(*identity).collect::<Vec<_>>().into_iter().rev().take(Past::EPISODES) {
                        last.push(Episode::from(alert));
                        if back.is_enough(&Episode::from(alert)) {
                            break;
                        }
                    }
                    past.episodes.insert(*identity, last);
                }
                PastKey::Remediation(id) => self.fetch(*id, &mut past),
                PastKey::Alias(cluster, name) => {
                    let key = (ALIAS, format!("{cluster} {name}").into_bytes());
                    if let Some(Change::Alias(row)) = self.latest.get(&key) {
                        past.aliases.insert((cluster.clone(), name.clone()), row.remediation_id);
                        self.fetch(row.remediation_id, &mut past);
                    }
                }
                PastKey::DeadLetter(id) => {
                    if self.latest.contains_key(&(DEAD_LETTER, id.as_bytes().to_vec())) {
                        past.dead_letters.insert(*id);
                    }
                }
            }
        }
        past
    }

    fn fetch(&self, id: RemediationId, past: &mut Past) {
        if let Some(remediation) = self.remediation(id).cloned() {
            past.remediations.insert(id, Record { remediation, links: self.links(id).cloned().collect() });
        }
    }

    fn of_kind(&self, kind: u8) -> impl Iterator<Item = &Change> {
        self.latest.range((kind, Vec::new())..(kind + 1, Vec::new())).map(|(_, row)| row)
    }

    fn below(&self, kind: u8, id: [u8; 16]) -> impl Iterator<Item = &Change> {
        let last = (kind, [id.as_slice(), &[0xff; 9]].concat());
        self.latest.range((kind, id.to_vec())..last).map(|(_, row)| row)
    }

    /// The episodes of an identity in their order.
    pub fn episodes(&self, identity: Identity) -> impl Iterator<Item = &Alert> {
        self.below(ALERT, *identity.as_bytes()).filter_map(alert)
    }

    /// Every episode, those of one identity in order.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.of_kind(ALERT).filter_map(alert)
    }

    /// The latest episode of an identity.
    pub fn last_episode(&self, identity: Identity) -> Option<&Alert> {
        self.episodes(identity).last()
    }

    /// Every remediation, oldest first.
    pub fn remediations(&self) -> impl Iterator<Item = &Remediation> {
        self.of_kind(REMEDIATION).filter_map(remediation)
    }

    pub fn remediation(&self, id: RemediationId) -> Option<&Remediation> {
        self.latest.get(&(REMEDIATION, id.as_bytes().to_vec())).and_then(remediation)
    }

    /// The links of a remediation in their order.
    pub fn links(&self, id: RemediationId) -> impl Iterator<Item = &Link> {
        self.below(LINK, *id.as_bytes()).filter_map(|change| match change {
            Change::Link(row) => Some(&**row),
            _ => None,
        })
    }

    /// The history of a remediation in its order.
    pub fn transitions(&self, id: RemediationId) -> impl Iterator<Item = &Transition> {
        self.below(TRANSITION, *id.as_bytes()).filter_map(|change| match change {
            Change::Transition(row) => Some(&**row),
            _ => None,
        })
    }

    /// The runs that are kept, oldest first.
    pub fn runs(&self) -> impl Iterator<Item = &Run> {
        self.of_kind(RUN).filter_map(run)
    }

    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.latest.get(&(RUN, id.as_bytes().to_vec())).and_then(run)
    }

    /// What checks make us believe, by check and instance.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.of_kind(CONDITION).filter_map(|change| match change {
            Change::Condition(row) => Some(&**row),
            _ => None,
        })
    }

    /// Whether a row says what keeps this instance from getting what policy wants.
    pub fn is_held(&self, instance: &InstanceId) -> bool {
        self.latest.contains_key(&(HELD, instance.as_str().as_bytes().to_vec()))
    }

    /// Every hold that has not ended.
    pub fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.of_kind(HOLD).filter_map(|change| match change {
            Change::Hold(row) => Some(&**row).filter(|row| row.ended.is_none()),
            _ => None,
        })
    }

    /// Every kill switch that is on.
    pub fn pauses(&self) -> impl Iterator<Item = &Pause> {
        self.of_kind(PAUSE).filter_map(|change| match change {
            Change::Pause(row) => Some(&**row).filter(|row| row.resumed.is_none()),
            _ => None,
        })
    }

    /// What was last said about the right to act.
    pub fn execution(&self) -> Option<&Execution> {
        self.of_kind(EXECUTION).find_map(|change| match change {
            Change::Execution(row) => Some(&**row),
            _ => None,
        })
    }

    /// Whether an effect has its pending row.
    pub fn is_pending(&self, effect: EffectId) -> bool {
        self.latest.contains_key(&(PENDING, effect.as_bytes().to_vec()))
    }
}

fn alert(change: &Change) -> Option<&Alert> {
    match change {
        Change::Alert(row) => Some(row),
        _ => None,
    }
}

fn run(change: &Change) -> Option<&Run> {
    match change {
        Change::Run(row) => Some(row),
        _ => None,
    }
}

fn remediation(change: &Change) -> Option<&Remediation> {
    match change {
        Change::Remediation(row) => Some(row),
        _ => None,
    }
}
