//! The `remedyd_auth_*` family: who was not let in, and who was.

use std::collections::BTreeSet;

use prometheus::{GaugeVec, IntCounter, IntCounterVec};

use super::families::{Families, Named, follow};
use crate::domain::Timestamp;

const DENIED: Named = ("remedyd_auth_denied_total", "Requests that were not let in, by reason.");
const LOCKOUTS: Named = ("remedyd_auth_lockouts_total", "How often an address was locked for too many wrong tokens.");
const LAST_USED: Named = (
    "remedyd_auth_last_used_timestamp_seconds",
    "When a token or client of tokens.toml was last used, to the minute; 0: not since the start.",
);

/// Why a request was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It carried neither a token nor a known certificate.
    Missing,
    /// Nobody has its token.
    Unknown,
    /// Its token, or who its certificate names, was good once.
    Expired,
    /// Its address sent too many wrong tokens.
    Locked,
    /// Its principal lacks the role, or a right to all clusters.
    Role,
    /// Its principal is for some clusters, and asked for what is in none of them: absent, or somebody else's.
    Hidden,
    /// Without tokens: it came by a foreign name or from a web page.
    Foreign,
}

impl Denied {
    /// Every reason.
    pub const ALL: [Self; 7] =
        [Self::Missing, Self::Unknown, Self::Expired, Self::Locked, Self::Role, Self::Hidden, Self::Foreign];

    /// The value of the label `reason`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::Locked => "locked",
            Self::Role => "role",
            Self::Hidden => "hidden",
            Self::Foreign => "foreign",
        }
    }
}

/// Counters of who comes.
pub struct Access {
    denied: IntCounterVec,
    lockouts: IntCounter,
    last_used: GaugeVec,
}

impl Access {
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        let denied = families.counters(DENIED, &["reason"])?;
        for reason in Denied::ALL {
            denied.with_label_values(&[reason.as_str()]);
        }
        let (lockouts, last_used) = (families.int_counter(LOCKOUTS)?, families.gauges(LAST_USED, &["principal"])?);
        Ok(Self { denied, lockouts, last_used })
    }

    pub(super) fn follow(&self, before: &BTreeSet<String>, there: &BTreeSet<String>) {
        follow(&self.last_used, before, there, String::as_str, &[vec![]]);
    }

    /// A configured principal asked for something at `now`.
    pub fn used(&self, principal: &str, now: Timestamp) {
        self.last_used.with_label_values(&[principal]).set(now.as_micros() as f64 / 1e6);
    }

    /// A request was not let in.
    pub fn denied(&self, reason: Denied) {
        self.denied.with_label_values(&[reason.as_str()]).inc();
    }

    /// An address is locked.
    pub fn locked_out(&self) {
        self.lockouts.inc();
    }
}
