//! What is kept of active checks: single runs, and what we believe about each instance because of them.

use serde::{Deserialize, Serialize};

use super::check::{CheckKind, Finding, Measurement, Verdict};
use super::{CheckId, ClusterId, InstanceId, RunId, Timestamp};

/// Why a run became a row; all others are counted and forgotten (DESIGN §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunWhy {
    /// Its verdict, or what was found, differs from the run before. A first run that passes is no news.
    Changed,
    /// It made a condition flip: its findings became alerts, or went.
    Flipped,
    /// A person asked for it.
    OnDemand,
    /// A remediation asked for it, before its act or to verify it.
    Verification,
}

impl RunWhy {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Changed, Self::Flipped, Self::OnDemand, Self::Verification];

    /// The name in our own API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Flipped => "flipped",
            Self::OnDemand => "on_demand",
            Self::Verification => "verification",
        }
    }
}

/// One execution of a check on one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// UUIDv7; what Together's API shows as `active_health_check_run_id`.
    pub id: RunId,
    /// Which check.
    pub check: CheckId,
    /// What it does.
    pub kind: CheckKind,
    /// The instance's cluster.
    pub cluster_id: ClusterId,
    /// On which instance.
    pub instance_id: InstanceId,
    /// The instance's generation.
    pub generation: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub verdict: Verdict,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What was measured.
    pub measurements: Vec<Measurement>,
    /// What a person should read.
    pub evidence: String,
    /// Why it is kept.
    pub why: RunWhy,
    /// Why it counts for less than its verdict says: the prober seems to be at fault, or a GPU with a finding was not seen.
    /// Nothing where it counts in full.
    pub set_aside: Option<String>,
}

/// What we believe about an instance because of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Belief {
    /// There was no PASS and not enough FAIL so far.
    Unknown,
    /// The check passed, and has not failed often enough since.
    Healthy,
    /// The check failed often enough, and has not passed often enough since.
    Failing,
}

impl Belief {
    /// Every belief.
    pub const ALL: [Self; 3] = [Self::Unknown, Self::Healthy, Self::Failing];

    /// The name in our own API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Healthy => "HEALTHY",
            Self::Failing => "FAILING",
        }
    }

    /// The value of the label `belief` in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Failing => "failing",
        }
    }

    /// Reads the name that [`Belief::as_str`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|belief| belief.as_str() == text)
    }
}

/// The condition of one instance as one check sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Which check.
    pub check: CheckId,
    /// What it does.
    pub kind: CheckKind,
    /// Which instance.
    pub instance_id: InstanceId,
    /// Its cluster.
    pub cluster_id: ClusterId,
    /// Its generation: about another machine nothing is believed.
    pub generation: String,
    /// What we believe.
    pub belief: Belief,
    /// Since when.
    pub since: Timestamp,
    /// The verdict of the last run that differed from the one before.
    pub verdict: Verdict,
    /// When that run ended.
    pub verdict_at: Timestamp,
    /// The last run that is kept as a row; nothing where all of them passed.
    pub run_id: Option<RunId>,
    /// Runs in a row that blamed the node as a whole and counted; nothing where the last one that counted did not.
    pub fails: Option<Streak>,
    /// What was found and is not cleared, believed or not.
    pub standing: Vec<Standing>,
    /// Sticky findings from before a repair: while they stand as they are they say nothing.
    pub spent: Vec<Finding>,
    /// When what stands has been looked at long enough to be believed, where only time is missing for that.
    pub ripe_at: Option<Timestamp>,
}

/// One finding of a condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// What is wrong, as it was last seen before it was believed.
    pub finding: Finding,
    /// What we make of it.
    pub trust: Trust,
    /// FAIL runs in a row that found it; counted only until it is believed.
    pub seen: u32,
    /// PASS runs in a row since it was last found.
    pub missed: u32,
    /// When the first run ended that found it.
    pub since: Timestamp,
}

/// What we make of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trust {
    /// It was not found often enough, or not for long enough.
    Suspected,
    /// It is an alert.
    Believed,
    /// It is an alert about the machine that was here before: it opens nothing, and is not clear either.
    Doubted,
}

impl Trust {
    /// The name in our own API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Believed => "believed",
            Self::Doubted => "doubted",
        }
    }
}

/// Runs in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streak {
    /// How many.
    pub count: u32,
    /// When the first of them ended.
    pub since: Timestamp,
}
