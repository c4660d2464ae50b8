//! A passive health check alert: one episode of an identity (source and label set).

use serde::{Deserialize, Serialize};

use super::{
    AlertId, ClusterId, DeadLetterId, Identity, InstanceId, Labels, RemediationId, RunId, SourceId, Timestamp,
};

/// What we believe about an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlertState {
    /// Its source says that it fires.
    Firing,
    /// Its source said that it ended; never changes again.
    Resolved,
    /// It fired after we were told that it ended, with a start that is not newer: a late or a false message. It neither
    /// opens anything nor counts as clear until it is asserted again after `refire_hold`.
    RefiredUnconfirmed,
}

impl AlertState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Firing, Self::Resolved, Self::RefiredUnconfirmed];

    /// The name in our own API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "FIRING",
            Self::Resolved => "RESOLVED",
            Self::RefiredUnconfirmed => "REFIRED_UNCONFIRMED",
        }
    }
}

/// The three severities of Together's API; every other word is mapped to one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Nothing is broken.
    Info,
    /// Something may break.
    Warning,
    /// Something is broken.
    Critical,
}

impl Severity {
    /// Every severity, least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// The value of the derived label `severity`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One episode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// UUIDv5 of identity and episode number.
    pub id: AlertId,
    /// The same for every episode of this source and label set.
    pub identity: Identity,
    /// From 1.
    pub episode: u32,
    /// Which source told us.
    pub source: SourceId,
    /// The source's own hash of the labels: a hint for people, never an identity.
    pub fingerprint: String,
    /// As the source sent them.
    pub labels: Labels,
    /// As the source last sent them; over-long values are cut.
    pub annotations: Labels,
    /// Whether an annotation was cut.
    pub truncated: bool,
    /// What we believe.
    pub state: AlertState,
    /// Silenced or inhibited at its source when we last asked.
    pub muted: bool,
    /// Mapped from the label `severity`.
    pub severity: Severity,
    /// The NVIDIA XID that the alert is about, if it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xid: Option<u32>,
    /// The instance that it joined, with its cluster; `Err` says why it joined none.
    pub joined: Result<Joined, String>,
    /// When it began, in the source's time.
    pub started_at: Timestamp,
    /// The latest start that the source asserted for it: an end that is older ended an earlier time, even where we never
    /// heard of that.
    pub newest_start: Timestamp,
    /// When it ended, in the source's time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    /// The latest end among the earlier episodes, as far as they were known when this one opened, in the source's time.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_end: Option<Timestamp>,
    /// When we first heard of this episode, in our time.
    pub opened_at: Timestamp,
    /// When we were told of its end, in our time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<Timestamp>,
    /// When the source last asserted it, in our time, in steps of 60 s.
    pub last_seen_at: Timestamp,
    /// The last remediation that it was linked to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation_id: Option<RemediationId>,
    /// The run of the check that found it, where it is no alert of a source but a finding of a check.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
}

/// As much of an episode as tells what a later report is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Episode {
    /// As in [`Alert`], like all of them.
    pub id: AlertId,
    /// From 1.
    pub episode: u32,
    /// What we believe.
    pub state: AlertState,
    /// When it began, in the source's time.
    pub started_at: Timestamp,
    /// When it ended, in the source's time.
    pub resolved_at: Option<Timestamp>,
    /// The latest end among the earlier ones.
    #[serde(default)]
    pub previous_end: Option<Timestamp>,
    /// When we first heard of it, in our time.
    pub opened_at: Timestamp,
    /// When we were told of its end, in our time.
    pub cleared_at: Option<Timestamp>,
}

impl From<&Alert> for Episode {
    fn from(alert: &Alert) -> Self {
        let Alert { id, episode, state, started_at, resolved_at, previous_end, opened_at, cleared_at, .. } = *alert;
        Self { id, episode, state, started_at, resolved_at, previous_end, opened_at, cleared_at }
    }
}

impl Episode {
    /// Whether it says how far all earlier ones reached. One that was recorded late, when it had ended already, does not: while
    /// it was told of, another may have been open.
    pub fn covers_earlier(&self) -> bool {
        let was_open = self.cleared_at.is_none_or(|cleared| self.opened_at < cleared);
        self.episode == 1 || (was_open && self.previous_end.is_some())
    }

    /// Whether it has ended and went on at some time between these, in the source's time.
    pub fn went_on_during(&self, from: Timestamp, until: Timestamp) -> bool {
        self.resolved_at.is_some_and(|end| from <= end && self.started_at <= until)
    }

    /// The latest end that it knows of.
    pub fn last_end(&self) -> Option<Timestamp> {
        self.resolved_at.max(self.previous_end)
    }
}

/// Where an alert belongs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Joined {
    /// The instance's cluster.
    pub cluster_id: ClusterId,
    /// The instance.
    pub instance_id: InstanceId,
}

impl Alert {
    /// The instance that it joined.
    pub fn instance(&self) -> Option<&InstanceId> {
        self.joined.as_ref().ok().map(|joined| &joined.instance_id)
    }

    /// The label `alertname`; Alertmanager accepts alerts without one.
    pub fn name(&self) -> &str {
        self.labels.get("alertname").unwrap_or("")
    }
}

/// The typed annotation of Together's API (CONTRACT §2.3): what a person reads about an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// From the annotation `summary`, else the alert's name.
    pub title: String,
    /// From the annotation `description`.
    pub description: String,
    /// From the annotation `evidence`, else one line made of what is known.
    pub summary_line: String,
    /// The XIDs that the alert names.
    pub xids: Vec<XidEvent>,
    /// The reason that Slurm gives for an unavailable node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slurm_reason: Option<String>,
}

/// One XID code of an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct XidEvent {
    /// NVIDIA's number.
    pub code: u32,
    /// NVIDIA's name, from the catalogue; empty where it lacks the code.
    pub mnemonic: String,
    /// How often.
    pub count: u32,
}

/// An alert inside a readable message that could not be read itself. It is kept, with the reason, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The same text refused for the same reason has the same id.
    pub id: DeadLetterId,
    /// Which source sent it.
    pub source: SourceId,
    /// What is wrong with it.
    pub reason: String,
    /// The alert's JSON as received, cut to 16 KiB.
    pub raw: String,
    /// When it first came.
    pub received_at: Timestamp,
}
