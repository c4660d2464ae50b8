//! The `remedyd_auth_*` family: who was not let in, and who was.

use std::collections::BTreeSet;

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, Opts, Registry};

use crate::domain::Timestamp;

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
    /// Registers the family.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let denied = Opts::new("remedyd_auth_denied_total", "Requests that were not let in, by reason.");
        let last_used = Opts::new(
            "remedyd_auth_last_used_timestamp_seconds",
            "When a token or client of tokens.toml was last used, to the minute; 0: not since the start.",
        );
        let access = Self {
            denied: IntCounterVec::new(denied, &["reason"])?,
            lockouts: IntCounter::new(
                "remedyd_auth_lockouts_total",
                "How often an address was locked for too many wrong tokens.",
            )?,
            last_used: GaugeVec::new(last_used, &["principal"])?,
        };
        registry.register(Box::new(access.denied.clone()))?;
        registry.register(Box::new(access.lockouts.clone()))?;
        registry.register(Box::new(access.last_used.clone()))?;
        for reason in Denied::ALL {
            access.denied.with_label_values(&[reason.as_str()]);
        }
        Ok(access)
    }

    /// The principals of `tokens.toml` are those of `next` from now on.
    pub(super) fn configured(&self, known: &BTreeSet<String>, next: &BTreeSet<String>) {
        for gone in known.difference(next) {
            // Every known name was given its series below, so there is one to remove.
            let _ = self.last_used.remove_label_values(&[gone.as_str()]);
        }
        next.iter().for_each(|name| drop(self.series(name)));
    }

    /// A configured principal asked for something at `now`.
    pub fn used(&self, principal: &str, now: Timestamp) {
        self.series(principal).set(now.as_micros() as f64 / 1e6);
    }

    /// A request was not let in.
    pub fn denied(&self, reason: Denied) {
        self.denied.with_label_values(&[reason.as_str()]).inc();
    }

    /// An address is locked.
    pub fn locked_out(&self) {
        self.lockouts.inc();
    }

    fn series(&self, principal: &str) -> Gauge {
        self.last_used.with_label_values(&[principal])
    }
}
