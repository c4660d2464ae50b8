//! One operation at a backend: the step it carries out, and what its driver says of it.

use serde::{Deserialize, Serialize};

use super::{Abort, DriverId, Timestamp};

/// A step of a plan. Until plans exist, acting is the only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Do what the mode says.
    Act,
}

impl Step {
    /// The name that drivers see.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Act => "act",
        }
    }
}

/// What a driver says of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It happened.
    Done,
    /// It did not and will not happen.
    Refused,
    /// It did not happen; later it may.
    Transient,
    /// Nobody can tell from this answer.
    Unknown,
    /// The backend knows no such operation; only in answer to a query.
    Absent,
}

impl Outcome {
    /// Everything that can be said.
    pub const ALL: [Self; 5] = [Self::Done, Self::Refused, Self::Transient, Self::Unknown, Self::Absent];

    /// The name in the driver protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Transient => "transient",
            Self::Unknown => "unknown",
            Self::Absent => "absent",
        }
    }
}

/// One operation at a backend: durable as an intent before the first byte leaves, and completed by its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The same for every call about this operation; backends tell repeats by it.
    pub operation_key: String,
    /// Which driver.
    pub driver: DriverId,
    /// Which step.
    pub step: Step,
    /// When the intent was written.
    pub intended_at: Timestamp,
    /// After this no further call begins.
    pub deadline: Timestamp,
    /// How many calls came to nothing: `transient`, `unknown`, or asked about in vain; the back-off's exponent.
    pub retries: u32,
    /// Whether the next call must ask (`query`) before it may act or undo.
    pub must_ask: bool,
    /// The last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The last answer's words.
    pub detail: String,
    /// The generation that the backend reports after the act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// The boot id that the backend reports after the act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// When `done` was reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
    /// A person's word that it is to stop.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<Abort>,
}

impl Attempt {
    /// Whether something of it may still happen: it is not over, or it is being undone.
    pub fn is_open(&self) -> bool {
        self.done_at.is_none() || self.abort.is_some()
    }
}
