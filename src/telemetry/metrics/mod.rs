//! Every metric that the daemon exports: name, help and labels, a file for each subject.
//!
//! Label values come from enums or from configured ids, never from what a request carries, and never is a node one of
//! them: the number of series is bounded by the configuration and does not grow with the fleet. Children with fixed labels
//! exist from the start, at zero, so that a rate has a first point to start from.

pub mod access;
mod alerts;
mod checks;
mod conditions;
mod configuration;
pub mod connections;
mod drivers;
mod families;
mod inventory;
mod process;
mod receivers;
mod remediations;
mod requests;
mod rules;
mod store;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use prometheus::{Encoder, Registry, TextEncoder};

use crate::domain::{CheckId, ClusterId, DiscoveryId, DriverId, NoticeId, RuleId, SourceId, Timestamp};
pub use alerts::Taken;
use families::Families;
pub use inventory::Fetched;

/// All metrics; share it behind an `Arc`.
pub struct Metrics {
    registry: Registry,
    process: process::Process,
    configuration: configuration::Configuration,
    alerts: alerts::Alerts,
    rules: rules::Rules,
    checks: checks::Checks,
    conditions: conditions::Conditions,
    inventory: inventory::Inventory,
    remediations: remediations::Remediations,
    drivers: drivers::Drivers,
    receivers: receivers::Receivers,
    store: store::Store,
    requests: requests::Requests,
    /// Who comes, and who is not let in.
    pub access: access::Access,
    /// Below the requests.
    pub connections: connections::Connections,
    /// The label values that the last configuration brought, so that the next can take them away.
    known: Mutex<Known>,
}

/// The configured names that are label values.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// `[clusters.<id>]`
    pub clusters: BTreeSet<ClusterId>,
    /// `[sources.<id>]`
    pub sources: BTreeSet<SourceId>,
    /// `[inventory.http_sd.<id>]`
    pub discoveries: BTreeSet<DiscoveryId>,
    /// `[rules.<id>]`
    pub rules: BTreeSet<RuleId>,
    /// `[drivers.<id>]`
    pub drivers: BTreeSet<DriverId>,
    /// `[checks.<id>]`
    pub checks: BTreeSet<CheckId>,
    /// `[notices.<id>]`
    pub receivers: BTreeSet<NoticeId>,
    /// `[tokens.<name>]` and `[clients.<name>]`
    pub principals: BTreeSet<String>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Metrics")
    }
}

impl Metrics {
    /// Registers every family; `started` is when the process began.
    pub fn new(started: Timestamp) -> Self {
        Self::register(started).expect("names and labels are constants that differ from each other")
    }

    fn register(started: Timestamp) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let families = Families(&registry);
        Ok(Self {
            process: process::Process::register(&families, started)?,
            configuration: configuration::Configuration::register(&families)?,
            alerts: alerts::Alerts::register(&families)?,
            rules: rules::Rules::register(&families)?,
            checks: checks::Checks::register(&families)?,
            conditions: conditions::Conditions::register(&families)?,
            inventory: inventory::Inventory::register(&families)?,
            remediations: remediations::Remediations::register(&families)?,
            drivers: drivers::Drivers::register(&families)?,
            receivers: receivers::Receivers::register(&families)?,
            store: store::Store::register(&families)?,
            requests: requests::Requests::register(&families)?,
            access: access::Access::register(&families)?,
            connections: connections::Connections::register(&families)?,
            known: Mutex::default(),
            registry,
        })
    }

    /// A configuration is in force since `now`: what it names gets its series, and what left it loses them. `digest` is the
    /// hash over all of its files, in hex digits.
    pub fn configured(&self, next: Known, digest: &str, now: Timestamp) {
        self.configuration.loaded(digest);
        self.reload_succeeded(now);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        self.alerts.follow(&known.sources, &next.sources);
        self.inventory.follow(&known.discoveries, &next.discoveries);
        self.rules.follow(&known.rules, &next.rules);
        self.remediations.follow(&known.clusters, &next.clusters);
        self.drivers.follow(&known.drivers, &next.drivers);
        self.checks.follow(&known.checks, &next.checks);
        self.receivers.follow(&known.receivers, &next.receivers);
        self.access.follow(&known.principals, &next.principals);
        *known = next;
    }

    /// Whether the configuration in force has such a name: what left it meanwhile has no series any more.
    fn is_known(&self, has: impl FnOnce(&Known) -> bool) -> bool {
        has(&self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything in the Prometheus text format.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        self.process.refresh();
        let mut text = Vec::with_capacity(32 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
