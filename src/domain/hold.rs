//! What keeps a node from being touched: a hold somebody set, and the engine's own reason for waiting.

use serde::{Deserialize, Serialize};

use super::{ClusterId, HoldId, InstanceId, Mode, RemediationId, RuleId, Timestamp};

/// "Do not touch this node": set by a person or by the engine, always with a reason and an end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// Cluster of the node.
    pub cluster_id: ClusterId,
    /// The node that is held.
    pub instance_id: InstanceId,
    /// Why, in words.
    pub reason: String,
    /// Principal that set it; `remedyd` for the engine.
    pub created_by: String,
    /// When it was set.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When and by whom it was ended; the principal is `remedyd` when it expired.
    pub ended: Option<(Timestamp, String)>,
}

/// What policy wants for a node and why it does not happen yet; gone as soon as it does or is no longer wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Cluster of the node.
    pub cluster_id: ClusterId,
    /// The node.
    pub instance_id: InstanceId,
    /// The rule that wants it.
    pub rule: RuleId,
    /// The repair it wants; nothing where no driver of the cluster offers a fitting one.
    pub mode: Option<Mode>,
    /// What is in the way.
    pub why: HeldWhy,
    /// Since when.
    pub since: Timestamp,
    /// When the engine looks again by itself; nothing where only another event can change it.
    pub until: Option<Timestamp>,
}

/// The reasons for which a wanted proposal does not open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldWhy {
    /// The rule's `for` has not passed.
    For,
    /// A repair of this node ended less than `cooldown` ago and the wanted mode is not heavier.
    Cooldown,
    /// The alert is older than the last repair's end, and `settle` has not passed.
    Settle,
    /// A hold is set on the node.
    Hold(HoldId),
    /// An admin has paused everything, or the cluster.
    Paused,
    /// Another remediation is live on the same host.
    HostBusy(RemediationId),
    /// `auto_remediation_enabled = false` in the inventory.
    OptedOut,
    /// No driver of the cluster can do the wanted mode or a heavier one.
    NoDriver,
    /// NVIDIA's catalogue says to contact support: a person should look and perhaps hold the node.
    ContactSupport,
}

impl HeldWhy {
    /// The value of the `held{reason}` metric.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::For => "for",
            Self::Cooldown => "cooldown",
            Self::Settle => "settle",
            Self::Hold(_) => "hold",
            Self::Paused => "paused",
            Self::HostBusy(_) => "host_busy",
            Self::OptedOut => "opted_out",
            Self::NoDriver => "no_driver",
            Self::ContactSupport => "contact_support",
        }
    }
}
