//! Watches the daemon over its own API, as any client could, and tells what happened in sentences.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::domain::Timestamp;
use crate::providers::http_client::{HttpClient, HttpError};

/// A remediation as the API shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Repair {
    pub id: String,
    pub node: String,
    pub cluster: String,
    /// `HOST_AWARE`
    pub mode: String,
    /// `PENDING_APPROVAL`
    pub state: String,
    pub rule: String,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// How many alerts it links.
    pub alerts: usize,
    /// What keeps it waiting.
    pub waits_for: String,
    /// How it failed.
    pub failure: String,
}

impl Repair {
    /// Whether a person is asked.
    pub(super) fn is_proposal(&self) -> bool {
        self.state == "PENDING_APPROVAL"
    }
}

/// Something that happened, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub at: Timestamp,
    /// The node that it is about.
    pub node: String,
    /// A state, or another word in capitals for what kind of thing this is.
    pub kind: String,
    pub words: String,
}

/// What the daemon said.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Newest first.
    pub repairs: Vec<Repair>,
    /// How many alerts fire.
    pub firing: usize,
    /// How many of them are about no known node.
    pub unjoined: usize,
    /// Nodes for which policy wants something that waits: name and what is in the way.
    pub held: BTreeMap<String, String>,
    /// What is new, in order of time.
    pub events: Vec<Event>,
}

/// What was told already.
pub(super) struct Watch {
    client: HttpClient,
    url: String,
    versions: BTreeMap<String, u64>,
    unjoined: BTreeSet<String>,
    held: BTreeMap<String, String>,
}

/// A page of the largest size is far below this.
const LIMIT_BYTES: usize = 16 << 20;

impl Watch {
    pub(super) fn new(client: HttpClient, url: &str) -> Self {
        let (versions, unjoined, held) = Default::default();
        Self { client, url: url.to_owned(), versions, unjoined, held }
    }

    /// Looks at everything once.
    ///
    /// # Errors
    /// The daemon does not answer.
    pub(super) async fn look(&mut self) -> Result<Seen, HttpError> {
        let mut seen = Seen::default();
        for row in self.rows("remediations", "page_size=100").await? {
            self.tell_history(&row, &mut seen.events).await?;
            seen.repairs.push(repair(&row));
        }
        for row in self.rows("alerts", "state=FIRING&page_size=1000").await? {
            seen.firing += 1;
            if row["unjoined_reason"].is_string() {
                seen.unjoined += 1;
                self.tell_unjoined(&row, &mut seen.events);
            }
        }
        for row in self.rows("instances", "page_size=1000").await? {
            if row["held"].is_object() {
                seen.held.insert(text(&row["name"]), self.tell_held(&row, &mut seen.events));
            }
        }
        self.held.retain(|node, _| seen.held.contains_key(node));
        seen.events.sort_by_key(|event| event.at);
        Ok(seen)
    }

    async fn rows(&self, kind: &str, query: &str) -> Result<Vec<Value>, HttpError> {
        let answer = self.read(&format!("/api/v1/{kind}?{query}")).await?;
        Ok(answer[kind].as_array().cloned().unwrap_or_default())
    }

    async fn read(&self, path: &str) -> Result<Value, HttpError> {
        let body = self.client.get(&format!("{}{path}", self.url), LIMIT_BYTES).await?;
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }

    /// Every step that a remediation took since it was looked at last.
    async fn tell_history(&mut self, row: &Value, events: &mut Vec<Event>) -> Result<(), HttpError> {
        let (id, version) = (text(&row["id"]), row["version"].as_u64().unwrap_or(0));
        let known = self.versions.get(&id).copied().unwrap_or(0);
        if version == known {
            return Ok(());
        }
        let history = self.read(&format!("/api/v1/remediations/{id}/history")).await?;
        for entry in history["history"].as_array().into_iter().flatten() {
            if entry["version"].as_u64().unwrap_or(0) <= known {
                continue;
            }
            events.push(Event {
                at: time(&entry["time"]),
                node: text(&row["instance_name"]),
                kind: text(&entry["to"]),
                words: step(entry),
            });
        }
        self.versions.insert(id, version);
        Ok(())
    }

    fn tell_unjoined(&mut self, row: &Value, events: &mut Vec<Event>) {
        if !self.unjoined.insert(text(&row["id"])) {
            return;
        }
        events.push(Event {
            at: time(&row["started_at"]),
            node: text(&row["labels"]["node"]),
            kind: "UNJOINED".to_owned(),
            words: format!(
                "{} is kept, but it is about no known node: {}",
                text(&row["alert_name"]),
                text(&row["unjoined_reason"])
            ),
        });
    }

    fn tell_held(&mut self, row: &Value, events: &mut Vec<Event>) -> String {
        let (node, held) = (text(&row["name"]), &row["held"]);
        let why = text(&held["why"]);
        if self.held.insert(node.clone(), why.clone()).as_ref() != Some(&why) {
            let words = format!("{why}: rule {} wants {}", text(&held["rule"]), text(&held["mode"]));
            events.push(Event { at: time(&held["since"]), node, kind: "HELD".to_owned(), words });
        }
        why
    }
}

/// One line of a history, in words.
fn step(entry: &Value) -> String {
    let who = match text(&entry["principal"]).as_str() {
        "" | "remedyd" => String::new(),
        who => format!(" (by {who})"),
    };
    format!("{}{who}", text(&entry["reason"]))
}

fn repair(row: &Value) -> Repair {
    let failure = &row["failure"];
    Repair {
        id: text(&row["id"]),
        node: text(&row["instance_name"]),
        cluster: text(&row["cluster_id"]),
        mode: text(&row["mode"]).to_uppercase(),
        state: text(&row["state"]),
        rule: text(&row["rule"]),
        created_at: time(&row["created_at"]),
        ended_at: row["ended_at"].is_string().then(|| time(&row["ended_at"])),
        alerts: row["linked_alerts"].as_array().map_or(0, Vec::len),
        waits_for: text(&row["waits_for"]),
        failure: if failure.is_object() {
            format!("{}: {}", text(&failure["code"]), text(&failure["detail"]))
        } else {
            String::new()
        },
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn time(value: &Value) -> Timestamp {
    Timestamp::parse(value.as_str().unwrap_or_default()).unwrap_or_default()
}
