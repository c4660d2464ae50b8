//! Everything that can reach the engine: the one door in.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::settings::Settings;
use crate::domain::{
    Cluster, ClusterId, EffectId, HoldId, Identity, Instance, InstanceId, Labels, Mode, Outcome, Principal, Probed,
    SourceId, Timestamp,
};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// The store was copied or restored since the last process used it: it begins another life, and may not act until an
    /// admin says so. Comes before everything else.
    Restored {
        /// Which life begins.
        epoch: u64,
        /// What shows that it was copied or restored.
        why: String,
    },
    /// A configuration was loaded or reloaded, rules and inventory with it; the first input of every other start.
    Configured(Box<Configured>),
    /// The shell is ready to carry out effects: those that were pending when the last process ended are asked for again.
    Started,
    /// A source told us about alerts.
    Delivered(Delivery),
    /// Active checks ran.
    Probed {
        /// What they came to, in the order in which they ended.
        runs: Vec<Probed>,
        /// Whether a person asked for them: then each is kept.
        on_demand: bool,
    },
    /// A person or a client asks for something.
    Asked(Principal, Command),
    /// A driver answered a [`super::Call`].
    Acted {
        /// The effect that is answered.
        effect_id: EffectId,
        /// What it said.
        outcome: Outcome,
        /// In words.
        detail: String,
        /// The machine's generation after the act, where the backend tells.
        generation: Option<String>,
        /// The machine's boot id after the act, where the backend tells.
        boot_id: Option<String>,
    },
    /// A source's Alertmanagers were read, and checks run, as a [`super::Look`] asked.
    Looked {
        /// The effect that is answered.
        effect_id: EffectId,
        /// Those of the wanted identities that are there, silenced or not; or why the source could not be read.
        found: Result<Vec<Sighting>, String>,
        /// What the checks came to that were to be run.
        runs: Vec<Probed>,
    },
    /// A notice was delivered, or given up.
    Notified {
        /// The effect that is answered.
        effect_id: EffectId,
        /// Why it was given up, if it was.
        failure: Option<String>,
    },
    /// The store has made a checkpoint that was verified.
    Checkpointed {
        /// Turns with their times: what the journal holds before each of them, checkpoints hold as well.
        covered: Vec<(u64, Timestamp)>,
    },
    /// Time has passed.
    Tick,
}

impl Input {
    /// The kind, as the journal records it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Restored { .. } => "restored",
            Self::Configured(_) => "configured",
            Self::Started => "started",
            Self::Delivered(_) => "delivered",
            Self::Probed { .. } => "probed",
            Self::Asked(_, command) => command.verb(),
            Self::Acted { .. } => "acted",
            Self::Looked { .. } => "looked",
            Self::Notified { .. } => "notified",
            Self::Checkpointed { .. } => "checkpointed",
            Self::Tick => "tick",
        }
    }
}

/// A whole configuration: taken as one, or not at all.
#[derive(Clone, Debug)]
pub struct Configured {
    /// Policy, rules, limits, drivers.
    pub settings: Arc<Settings>,
    /// Every cluster.
    pub clusters: Vec<Cluster>,
    /// Every instance of the inventory.
    pub instances: Vec<Instance>,
}

/// One chunk of one message of a source.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub(super) source: SourceId,
    /// Of which clusters whoever delivered it may speak; nothing means of all.
    pub clusters: Option<BTreeSet<ClusterId>>,
    /// Each with its identity, which is a hash over the source and its labels: made once, and not by the writer. So nobody else
    /// may change either.
    pub(super) reports: Vec<(Identity, Report)>,
    /// The alerts that could not be read.
    pub dead: Vec<DeadReport>,
}

impl Delivery {
    /// A message of `source` with no alerts yet. `clusters`: of which of them whoever delivers it may speak; nothing means of all.
    pub fn new(source: SourceId, clusters: Option<BTreeSet<ClusterId>>) -> Self {
        Self { source, clusters, reports: Vec::new(), dead: Vec::new() }
    }

    /// The same message with these alerts behind those that it has.
    pub fn with_reports(mut self, reports: impl IntoIterator<Item = Report>) -> Self {
        reports.into_iter().for_each(|report| self.add(report));
        self
    }

    /// Adds the alert that comes next in the message.
    pub fn add(&mut self, report: Report) {
        self.reports.push((Identity::of(&self.source, &report.labels), report));
    }

    /// Who sent it.
    pub fn source(&self) -> &SourceId {
        &self.source
    }

    /// The alerts that could be read, in the order of the message.
    pub fn reports(&self) -> impl ExactSizeIterator<Item = &Report> {
        self.reports.iter().map(|(_, report)| report)
    }
}

/// What a source says of one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Fires or ended.
    pub status: ReportStatus,
    /// As sent.
    pub labels: Labels,
    /// As sent, over-long values cut.
    pub annotations: Labels,
    /// Whether an annotation was cut.
    pub truncated: bool,
    /// `startsAt`.
    pub started_at: Timestamp,
    /// `endsAt`; always there when it ended.
    pub ended_at: Option<Timestamp>,
    /// As sent; may be empty.
    pub fingerprint: String,
}

/// The two words that Alertmanager has for an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportStatus {
    /// `firing`
    Firing,
    /// `resolved`
    Resolved,
}

/// An alert of a readable message that could not be read itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadReport {
    /// What is wrong.
    pub reason: String,
    /// Its JSON, cut to 16 KiB.
    pub raw: String,
}

/// A request of a person or a client, whatever its dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open a manual remediation.
    Create {
        /// Where.
        cluster_id: ClusterId,
        /// Which machine.
        instance_id: InstanceId,
        /// What.
        mode: Mode,
        /// Why.
        reason: String,
        /// The client's own id for it.
        alias: Option<String>,
        /// Whether the client says that this is a repeat of a request whose answer it lost.
        is_retry: bool,
    },
    /// Let a proposal go ahead.
    Approve {
        /// Which.
        selector: Selector,
        /// Instead of the proposed mode.
        mode: Option<Mode>,
        /// What the approver wrote.
        comment: String,
        /// The version that the approver saw, where the dialect carries one.
        seen_version: Option<u64>,
    },
    /// Turn a proposal down.
    Reject {
        /// Which.
        selector: Selector,
        /// What the reviewer wrote.
        comment: String,
        /// The version that the reviewer saw, where the dialect carries one.
        seen_version: Option<u64>,
    },
    /// Call off what has not begun.
    Cancel {
        /// Which.
        selector: Selector,
        /// Why.
        comment: String,
        /// The version that the caller saw, where the dialect carries one.
        seen_version: Option<u64>,
    },
    /// Stop what has begun: it is undone where it can be.
    Abort {
        /// Which.
        selector: Selector,
        /// Why.
        reason: String,
    },
    /// Let nothing touch a node for a while.
    Hold {
        /// The node.
        instance_id: InstanceId,
        /// Why.
        reason: String,
        /// How long.
        span: Duration,
    },
    /// End a hold early.
    Unhold {
        /// Which.
        hold_id: HoldId,
    },
    /// Let nothing new begin.
    Pause {
        /// Where; nothing means everywhere.
        cluster_id: Option<ClusterId>,
        /// Why.
        reason: String,
    },
    /// Let it begin again.
    Resume {
        /// Where; nothing means everywhere.
        cluster_id: Option<ClusterId>,
        /// Why.
        reason: String,
    },
    /// Let a copied or restored store act again.
    Enable,
    /// An approve, reject or cancel of which the client says that it is a repeat: the first one's answer got lost.
    Again(Box<Command>),
}

impl Command {
    /// The verb, as the journal and refusals name it.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::Approve { .. } => "approve",
            Self::Reject { .. } => "reject",
            Self::Cancel { .. } => "cancel",
            Self::Abort { .. } => "abort",
            Self::Hold { .. } => "hold",
            Self::Unhold { .. } => "unhold",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::Enable => "enable",
            Self::Again(command) => command.verb(),
        }
    }
}

/// How a client names a remediation: the path that it used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// The cluster of the path; nothing where the dialect has none.
    pub cluster_id: Option<ClusterId>,
    /// The instance of the path; nothing for `-`.
    pub instance_id: Option<InstanceId>,
    /// Our id, or the client's own.
    pub remediation: String,
}

/// Why a source is being read, and why checks are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LookPurpose {
    /// Before the act: does the evidence still stand?
    Validate,
    /// After it, while checks have not cleared: what do they say?
    Recheck,
    /// After it: is it really gone?
    Verify,
    /// Before a waiting remediation resolves itself by `auto_resolve = "probe"`: do all checks of the instance pass?
    Resolve,
}

/// One wanted alert that a source's Alertmanagers show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Which.
    pub identity: Identity,
    /// Every Alertmanager that shows it shows it silenced or inhibited.
    pub muted: bool,
}
