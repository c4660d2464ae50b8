//! A small Alertmanager: it groups the alerts of each node, waits, posts to the webhook, repeats, and says what ended.
//!
//! The bodies are those of Alertmanager's webhook, version 4, and the answer of its API those of `GET /api/v2/alerts`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::world::Raised;
use crate::domain::Timestamp;

/// When it speaks about a group; in Alertmanager's words.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub group_wait: Duration,
    pub group_interval: Duration,
    pub repeat_interval: Duration,
}

/// Which groups there are, and what was said about them.
#[derive(Debug)]
pub(super) struct Groups {
    waits: Waits,
    groups: BTreeMap<String, Group>,
}

#[derive(Debug)]
struct Group {
    /// Nothing is said before this.
    next: Timestamp,
    /// All is said again after this.
    repeat: Timestamp,
    /// What was said: an alert by its fingerprint and start, and whether it fired.
    said: BTreeMap<(String, Timestamp), bool>,
}

/// A body to post, and what has been said once it was taken.
#[derive(Debug)]
pub(super) struct Message {
    group: String,
    says: BTreeMap<(String, Timestamp), bool>,
    /// The webhook's body.
    pub body: Value,
}

impl Groups {
    pub(super) fn new(waits: Waits) -> Self {
        Self { waits, groups: BTreeMap::new() }
    }

    /// What is to be posted now.
    pub(super) fn due(&mut self, raised: &[Raised], now: Timestamp) -> Vec<Message> {
        let mut by_group: BTreeMap<String, Vec<&Raised>> = BTreeMap::new();
        for raised in raised {
            by_group.entry(key(raised)).or_default().push(raised);
        }
        let mut messages = Vec::new();
        for (key, members) in by_group {
            let firing = members.iter().any(|raised| raised.ended_at.is_none());
            if !firing && !self.groups.contains_key(&key) {
                continue;
            }
            let Waits { group_wait, repeat_interval, .. } = self.waits;
            let group = self.groups.entry(key.clone()).or_insert_with(|| {
                let next = now.plus(group_wait);
                Group { next, repeat: next.plus(repeat_interval), said: BTreeMap::new() }
            });
            if now < group.next {
                continue;
            }
            // An end that nobody heard the beginning of is not told.
            let told: Vec<&Raised> = members
                .into_iter()
                .filter(|raised| raised.ended_at.is_none() || group.said.get(&name(raised)) == Some(&true))
                .collect();
            let says: BTreeMap<_, _> = told.iter().map(|raised| (name(raised), raised.ended_at.is_none())).collect();
            let news = says.iter().any(|(name, fires)| group.said.get(name) != Some(fires));
            if told.is_empty() || !(news || now >= group.repeat) {
                continue;
            }
            messages.push(Message { body: body(&key, &told), group: key, says });
        }
        messages
    }

    /// A message was taken. One that was not is due again.
    pub(super) fn said(&mut self, message: Message, now: Timestamp) {
        let Waits { group_interval, repeat_interval, .. } = self.waits;
        if message.says.values().all(|fires| !fires) {
            self.groups.remove(&message.group);
        } else if let Some(group) = self.groups.get_mut(&message.group) {
            *group = Group { next: now.plus(group_interval), repeat: now.plus(repeat_interval), said: message.says };
        }
    }
}

fn key(raised: &Raised) -> String {
    format!("{{phc=\"true\"}}:{{cluster=\"{}\", node=\"{}\"}}", raised.fault.cluster, raised.fault.node)
}

fn name(raised: &Raised) -> (String, Timestamp) {
    (fingerprint(raised), raised.started_at)
}

/// Sixteen digits that stand for the labels.
fn fingerprint(raised: &Raised) -> String {
    let mut hash = Sha256::new();
    for (name, value) in raised.fault.symptom().labels {
        hash.update(format!("{name}\u{ff}{value}\u{ff}"));
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn body(key: &str, alerts: &[&Raised]) -> Value {
    let firing = alerts.iter().any(|raised| raised.ended_at.is_none());
    let group = alerts.first().map(|raised| json!({"cluster": raised.fault.cluster, "node": raised.fault.node}));
    json!({
        "version": "4",
        "groupKey": key,
        "truncatedAlerts": 0,
        "status": if firing { "firing" } else { "resolved" },
        "receiver": "remedyd",
        "groupLabels": group,
        "commonLabels": group,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.demo",
        "alerts": alerts.iter().map(|raised| alert(raised)).collect::<Vec<_>>(),
    })
}

fn alert(raised: &Raised) -> Value {
    let symptom = raised.fault.symptom();
    json!({
        "status": if raised.ended_at.is_none() { "firing" } else { "resolved" },
        "labels": symptom.labels,
        "annotations": symptom.annotations,
        "startsAt": raised.started_at.to_string(),
        "endsAt": raised.ended_at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |end| end.to_string()),
        "generatorURL": "http://prometheus.demo/graph",
        "fingerprint": fingerprint(raised),
    })
}

/// The answer of `GET /api/v2/alerts`: what fires, as of now.
pub(super) fn gettable(raised: &[Raised], now: Timestamp) -> Value {
    let row = |raised: &Raised| {
        let symptom = raised.fault.symptom();
        json!({
            "labels": symptom.labels,
            "annotations": symptom.annotations,
            "startsAt": raised.started_at.to_string(),
            "endsAt": now.plus(Duration::from_secs(240)).to_string(),
            "updatedAt": now.to_string(),
            "fingerprint": fingerprint(raised),
            "receivers": [{"name": "remedyd"}],
            "status": {"state": "active", "silencedBy": [], "inhibitedBy": []},
        })
    };
    raised.iter().filter(|raised| raised.ended_at.is_none()).map(row).collect()
}
