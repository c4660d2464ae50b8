//! A remediation: one repair of one instance, from proposal to proof.
//!
//! What may follow what is `engine::remediation`'s table; this file only says what a record holds.

use serde::{Deserialize, Serialize};

use super::alert::{Annotation, Severity};
use super::{
    AlertId, Attempt, ClusterId, EffectId, HostId, Identity, Instance, InstanceId, Labels, Mode, RemediationId, RuleId,
    RunId, SourceId, Timestamp,
};

/// Where a remediation stands. Names and order as in Together's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Proposed by the system; waits for a person.
    PendingApproval,
    /// Approved or asked for by a person; waits for its turn.
    Pending,
    /// The node is being cordoned.
    Quarantining,
    /// The node is cordoned and waits for idle or grace.
    Quarantined,
    /// The action has begun, or its result is being verified.
    Running,
    /// The action is done and its alerts are clear.
    Succeeded,
    /// It ended without a proven repair.
    Failed,
    /// Rejected, cancelled, expired or superseded before it began.
    Cancelled,
    /// Its alerts cleared before it began.
    AutoResolved,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::PendingApproval,
        Self::Pending,
        Self::Quarantining,
        Self::Quarantined,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::AutoResolved,
    ];

    /// Whether nothing can follow.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Cancelled | Self::AutoResolved => true,
            Self::PendingApproval | Self::Pending | Self::Quarantining | Self::Quarantined | Self::Running => false,
        }
    }

    /// Whether it takes one of the places in flight.
    pub const fn is_in_flight(self) -> bool {
        match self {
            Self::Quarantining | Self::Quarantined | Self::Running => true,
            Self::PendingApproval
            | Self::Pending
            | Self::Succeeded
            | Self::Failed
            | Self::Cancelled
            | Self::AutoResolved => false,
        }
    }

    /// The name on every wire: `PENDING_APPROVAL`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PendingApproval => "PENDING_APPROVAL",
            Self::Pending => "PENDING",
            Self::Quarantining => "QUARANTINING",
            Self::Quarantined => "QUARANTINED",
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::AutoResolved => "AUTO_RESOLVED",
        }
    }

    /// Reads the name that [`State::as_str`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Who wanted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A person, through an API.
    Manual,
    /// A rule.
    Automated,
}

impl Trigger {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Manual, Self::Automated];

    /// The name in our own API and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Automated => "automated",
        }
    }
}

/// What may resolve a waiting remediation without a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoResolve {
    /// Its linked alerts, once all are clear for `compact_ttl`.
    Alert,
    /// The same, and then every check of the instance, which is run for that and must pass.
    Probe,
    /// Nothing.
    Never,
}

impl AutoResolve {
    /// All, the most lenient first: of several rules the strictest counts.
    pub const ALL: [Self; 3] = [Self::Alert, Self::Probe, Self::Never];

    /// The name in rules and in our own API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Probe => "probe",
            Self::Never => "never",
        }
    }
}

/// The machine that a remediation is bound to. A change of any part means that it is another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its id in the inventory.
    pub instance_id: InstanceId,
    /// Its host name when the remediation was created.
    pub instance_name: String,
    /// The bare metal below it.
    pub host_id: HostId,
    /// The provider's own id; empty when there is none.
    pub provider_id: String,
    /// The inventory's generation.
    pub generation: String,
}

impl Target {
    /// In which part the machine that now has this instance's id is another one; nothing where it is the same.
    pub fn changed_in(&self, there: &Instance) -> Option<String> {
        let parts = [
            ("cluster", self.cluster_id.as_str(), there.cluster_id.as_str()),
            ("host", self.host_id.as_str(), there.host_id.as_str()),
            ("provider id", &self.provider_id, &there.provider_id),
            ("generation", &self.generation, &there.generation),
        ];
        let (what, was, is) = parts.into_iter().find(|(_, was, is)| was != is)?;
        Some(format!("the {what} of instance {} was {was:?} and is {is:?}", self.instance_id))
    }
}

/// A remediation's own row. Its links and its history are rows beside it. What a waiting proposal does not have lies outside:
/// of those there can be one for each node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remediation {
    /// UUIDv7.
    pub id: RemediationId,
    /// Which machine, as it was when the remediation was created: what an approval is bound to.
    pub target: Target,
    /// What is, or would be, done.
    pub mode: Mode,
    /// Who wanted it.
    pub trigger: Trigger,
    /// Where it stands.
    pub state: State,
    /// From 1; one more with each transition or change of mode, unchanged by a linked alert.
    pub version: u64,
    /// Why, in words.
    pub reason: String,
    /// Principal that asked for it; `remedyd` for the system.
    pub requested_by: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When anything of it last changed.
    pub updated_at: Timestamp,
    /// The approval or rejection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub review: Option<Box<Review>>,
    /// When it came to QUARANTINING, else RUNNING.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it became terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it FAILED.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Box<Failure>>,
    /// How it ended otherwise: expired, superseded, cancelled by whom, unverified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The rule that decides its mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleId>,
    /// What may resolve it by itself.
    pub auto_resolve: AutoResolve,
    /// The alert that opened it; nothing where only checks did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_by: Option<AlertId>,
    /// The first run of a check whose finding is linked to it.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opened_by_run: Option<RunId>,
    /// The id that the client gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    /// Linked alerts beyond [`Link::KEPT`], which are counted only.
    pub links_omitted: u32,
    /// When a heavier cause last raised its mode in place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raised_at: Option<Timestamp>,
    /// Since when every linked alert is clear; nothing while one is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clear_since: Option<Timestamp>,
    /// Since when its evidence is being re-validated before the act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validating_since: Option<Timestamp>,
    /// When every source that has an API last confirmed its evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validated_at: Option<Timestamp>,
    /// The one action, from intent to outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Box<Attempt>>,
    /// The effect whose result it waits for; results of any other effect are stale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub awaits: Option<EffectId>,
    /// What keeps it from going on, in words; nothing while nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Not before this does it try to start, to call, or to look again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
    /// When the engine looks at it next by itself, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Due>,
}

impl Remediation {
    /// The cluster of the machine.
    pub fn cluster_id(&self) -> &ClusterId {
        &self.target.cluster_id
    }

    /// The machine.
    pub fn instance_id(&self) -> &InstanceId {
        &self.target.instance_id
    }
}

/// An engine deadline with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Due {
    /// When.
    pub at: Timestamp,
    /// What happens then.
    pub why: DueWhy,
}

/// Why the engine will look at a remediation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DueWhy {
    /// `compact_ttl` after its alerts cleared: it resolves.
    Resolve,
    /// `proposal_ttl`: it expires.
    Expire,
    /// It may start, or asks again whether it may.
    Start,
    /// A driver that was not ready, or a question that found no answer, is tried again.
    Retry,
    /// Its checks have not cleared yet: they are run again.
    Recheck,
    /// `soak` has passed: its alerts are looked at once more.
    Soak,
    /// `verify_within`: it fails.
    VerifyWithin,
}

impl DueWhy {
    /// Every reason.
    pub const ALL: [Self; 7] =
        [Self::Resolve, Self::Expire, Self::Start, Self::Retry, Self::Recheck, Self::Soak, Self::VerifyWithin];

    /// The name in our own API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Expire => "expire",
            Self::Start => "start",
            Self::Retry => "retry",
            Self::Recheck => "recheck",
            Self::Soak => "soak",
            Self::VerifyWithin => "verify_within",
        }
    }
}

/// A person's word on a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// Principal, or `Auto-Approved`.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// What they wrote.
    pub comment: String,
}

/// Why a remediation FAILED.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind.
    pub code: FailureCode,
    /// The circumstances, in words.
    pub detail: String,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailureCode {
    /// The driver said done, and the alerts did not clear in time.
    NotCleared,
    /// Whether the action happened cannot be found out; the node is held.
    OutcomeUnknown,
    /// The instance came to stand for another machine; nothing was called.
    TargetChanged,
    /// The driver said no.
    Refused,
    /// The driver was not ready before the step's deadline; nothing was done.
    NotReady,
    /// The evidence could not be confirmed before the act; nothing was called.
    EvidenceGone,
    /// The cluster's driver cannot do the approved mode (any more); nothing was called.
    NoDriver,
    /// A person stopped it after its act had begun; the detail says what stands of it.
    Aborted,
}

impl FailureCode {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::NotCleared,
        Self::OutcomeUnknown,
        Self::TargetChanged,
        Self::Refused,
        Self::NotReady,
        Self::EvidenceGone,
        Self::NoDriver,
        Self::Aborted,
    ];

    /// The name on every wire: `NOT_CLEARED`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotCleared => "NOT_CLEARED",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::TargetChanged => "TARGET_CHANGED",
            Self::Refused => "REFUSED",
            Self::NotReady => "NOT_READY",
            Self::EvidenceGone => "EVIDENCE_GONE",
            Self::NoDriver => "NO_DRIVER",
            Self::Aborted => "ABORTED",
        }
    }
}

/// An alert linked to a remediation: a copy of it as served, one per identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The remediation.
    pub remediation_id: RemediationId,
    /// Its place in `linked_alerts`, from 0.
    pub n: u32,
    /// The identity; a later episode of it updates this link.
    pub identity: Identity,
    /// The latest episode.
    pub alert_id: AlertId,
    /// Where it came from.
    pub source: SourceId,
    /// The alert's name.
    pub alert_name: String,
    /// As mapped.
    pub severity: Severity,
    /// The annotations as the source sent them.
    pub annotations: Labels,
    /// The typed form.
    pub annotation: Annotation,
    /// When the latest episode began.
    pub started_at: Timestamp,
    /// When it ended; nothing while it does not count as clear.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_at: Option<Timestamp>,
    /// When we were told of the end, in our time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleared_at: Option<Timestamp>,
    /// How often it came back while linked.
    pub refires: u32,
}

impl Link {
    /// How many links one remediation keeps; more are counted in [`Remediation::links_omitted`].
    pub const KEPT: usize = 500;
}

/// One entry of a remediation's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The remediation.
    pub remediation_id: RemediationId,
    /// From 1.
    pub version: u64,
    /// When.
    pub at: Timestamp,
    /// The state before; nothing for the creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<State>,
    /// The state after; the same for a change of mode.
    pub to: State,
    /// The mode after.
    pub mode: Mode,
    /// Who: a principal, or `remedyd`.
    pub principal: String,
    /// Which verb: create, approve, reject, cancel, raise, resolve, expire, supersede, start, abort, succeed, fail.
    pub verb: Box<str>,
    /// Why, in words.
    pub reason: String,
}

/// A client's own name for a remediation, kept as long as the record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// In which cluster the name is unique.
    pub cluster_id: ClusterId,
    /// The name.
    pub alias: String,
    /// What it stands for.
    pub remediation_id: RemediationId,
}

/// A remediation with everything that an API shows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The row.
    pub remediation: Remediation,
    /// Its links in order.
    pub links: Vec<Link>,
}
