//! What the engine wants done: the one door out.
//!
//! An effect is also a row. It is written as pending in the batch that decides it, leaves only after that batch is on
//! disk, and is removed by the input that reports its result; a start asks again for everything that is still pending.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::input::LookPurpose;
use crate::domain::{
    CheckId, DriverId, EffectId, Identity, InstanceId, Mode, NoticeId, RemediationId, SourceId, State, Step, Target,
    Timestamp, Trigger,
};

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    /// Its id; the result names it.
    pub id: EffectId,
    /// When it was decided.
    pub created_at: Timestamp,
    /// What.
    pub kind: EffectKind,
}

/// The kinds of effect, by who carries them out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// Call a driver: `executors/`.
    Call(Call),
    /// Read a source's Alertmanagers and run checks: `sources/`, `probes/`.
    Look(Look),
    /// Tell people: `notices/`.
    Notify(Notice),
}

/// One call of a driver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// For which remediation.
    pub remediation_id: RemediationId,
    /// Which driver.
    pub driver: DriverId,
    /// Act, or only ask.
    pub verb: CallVerb,
    /// The same for every call about one operation.
    pub operation_key: String,
    /// Which step of the plan.
    pub step: Step,
    /// What to do.
    pub mode: Mode,
    /// On which machine.
    pub target: Target,
    /// Addresses of the machine, as the inventory has them.
    pub addresses: Vec<String>,
    /// Why, in words.
    pub reason: String,
    /// No call may go on beyond this.
    pub deadline: Timestamp,
}

/// The verbs of the driver protocol that exist so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallVerb {
    /// Do it.
    Act,
    /// Say what became of it.
    Query,
    /// See to it that nothing of it stands.
    Undo,
}

impl CallVerb {
    /// The name that drivers see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
            Self::Query => "query",
            Self::Undo => "undo",
        }
    }
}

/// One reading of the Alertmanagers of some sources, and one run of some checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// For which remediation.
    pub remediation_id: RemediationId,
    /// Why.
    pub purpose: LookPurpose,
    /// Which alerts are looked for, by the source that knows them.
    pub wanted: BTreeMap<SourceId, Vec<Identity>>,
    /// Which checks are run, and where; nothing where none is.
    #[serde(default)]
    pub checks: Option<ChecksOf>,
}

/// Checks of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksOf {
    /// The instance.
    pub instance_id: InstanceId,
    /// Which.
    pub checks: BTreeSet<CheckId>,
}

/// One message to one receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Which receiver.
    pub receiver: NoticeId,
    /// What happened.
    pub event: NoticeEvent,
    /// The remediation.
    pub remediation_id: RemediationId,
    /// The machine.
    pub target: Target,
    /// Its state after the event.
    pub state: State,
    /// Its mode after the event.
    pub mode: Mode,
    /// Who wanted it.
    pub trigger: Trigger,
    /// Its version after the event; the one to send with an approval.
    pub version: u64,
    /// Why it exists.
    pub reason: String,
    /// What happened, in one line.
    pub summary: String,
    /// Names of the linked alerts, at most ten.
    pub alerts: Vec<String>,
}

/// What a notice tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeEvent {
    /// A remediation was created.
    Opened,
    /// Its state or mode changed.
    Changed,
    /// It reached a terminal state.
    Ended,
}

impl NoticeEvent {
    /// The word in the message.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Changed => "changed",
            Self::Ended => "ended",
        }
    }
}
