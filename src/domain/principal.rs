//! Who asks: the name and the rights behind a request.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::ClusterId;

/// What a token may do. Admin includes approver, which includes operator, which includes viewer; webhook stands apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Delivers alerts and does nothing else.
    Webhook,
    /// Viewer, and creates, cancels, holds.
    Operator,
    /// Operator, and approves and rejects.
    Approver,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role, least first.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Webhook, Self::Operator, Self::Approver, Self::Admin];

    /// Whether a holder of this role may do what needs `needed`.
    pub const fn includes(self, needed: Self) -> bool {
        match (self, needed) {
            (Self::Admin, _)
            | (Self::Webhook, Self::Webhook)
            | (Self::Viewer, Self::Viewer)
            | (Self::Operator, Self::Viewer | Self::Operator)
            | (Self::Approver, Self::Viewer | Self::Operator | Self::Approver) => true,
            (
                Self::Viewer | Self::Operator | Self::Approver | Self::Webhook,
                Self::Viewer | Self::Webhook | Self::Operator | Self::Approver | Self::Admin,
            ) => false,
        }
    }

    /// The name in `tokens.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Webhook => "webhook",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Admin => "admin",
        }
    }

    /// Reads the name that [`Role::as_str`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// A caller whose token was recognised, or `local` where no tokens are configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The token's name; what `requested_by` and `reviewed_by` show.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// In which clusters; nothing means in all.
    pub clusters: Option<BTreeSet<ClusterId>>,
}

impl Principal {
    /// The principal of every request where no tokens are configured and only loopback is served.
    pub fn local() -> Self {
        Self { name: "local".to_owned(), role: Role::Admin, clusters: None }
    }

    /// Whether it may see that `cluster` exists.
    pub fn sees(&self, cluster: &ClusterId) -> bool {
        self.clusters.as_ref().is_none_or(|clusters| clusters.contains(cluster))
    }
}
