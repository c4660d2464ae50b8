//! The part of the configuration that decisions depend on, checked and in domain types.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::matcher::Matchers;
use crate::domain::{
    AutoResolve, CheckId, CheckKind, ClusterId, DriverId, Instance, Mode, NoticeId, RuleId, Severity, SourceId,
};

/// Everything that [`super::Engine::step`] reads besides memory. Replaced as a whole.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `[sources.<id>]`
    pub sources: BTreeMap<SourceId, Source>,
    /// `[clusters.<id>]`
    pub clusters: BTreeMap<ClusterId, ClusterPolicy>,
    /// `[rules.<id>]`, in order of their ids.
    pub rules: BTreeMap<RuleId, Rule>,
    /// What NVIDIA's codes call for.
    pub catalogue: Catalogue,
    /// `[policy]`
    pub policy: Policy,
    /// `[limits.cluster]`
    pub limits: Limits,
    /// `[checks.<id>]`
    pub checks: BTreeMap<CheckId, CheckPolicy>,
    /// `[notices.<id>]`
    pub notices: BTreeSet<NoticeId>,
    /// `[storage.retention]`, and `audit_retention`
    pub retention: Retention,
}

/// How long the past is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Remediations and holds, from their end.
    pub remediations: Duration,
    /// Alerts from their end, and dead letters.
    pub alerts: Duration,
    /// Runs of active checks, from their end.
    pub runs: Duration,
    /// The journal.
    pub audit: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self { remediations: days(90), alerts: days(30), runs: days(7), audit: days(400) }
    }
}

/// How alerts of one source find their instance.
#[derive(Clone, Debug)]
pub struct Source {
    /// Labels that may name the cluster, in order.
    pub cluster_labels: Vec<String>,
    /// Labels that may name the instance; all are tried.
    pub instance_labels: Vec<String>,
    /// The cluster of alerts that name none.
    pub default_cluster: Option<ClusterId>,
    /// Whether there are Alertmanagers to ask.
    pub has_api: bool,
}

/// When what a check finds counts.
#[derive(Clone, Debug)]
pub struct CheckPolicy {
    /// What it does.
    pub kind: CheckKind,
    /// Which instances it is about: matchers on their labels, of which [`CheckPolicy::selects`] knows the names.
    pub select: Matchers,
    /// How many FAIL in a row make an instance failing.
    pub failures_before: u32,
    /// How many PASS in a row make it healthy again.
    pub passes_before: u32,
    /// The severity of its alerts.
    pub severity: Severity,
    /// How long a round over all its instances takes: `every`, or as long as a round of a `cron` check is expected to take. A
    /// first FAIL counts only once so much time has shown whether others fail as well (I20).
    pub round: Duration,
}

impl CheckPolicy {
    /// The labels of an instance that `select` may name, besides `domain_<kind>`.
    pub const LABELS: [&str; 6] = ["instance_id", "name", "cluster", "host", "pool", "provider_id"];

    /// Whether it is about this instance.
    pub fn selects(&self, instance: &Instance) -> bool {
        self.select.matches(|label| match label {
            "instance_id" => instance.id.as_str(),
            "name" => &instance.name,
            "cluster" => instance.cluster_id.as_str(),
            "host" => instance.host_id.as_str(),
            "pool" => &instance.pool,
            "provider_id" => &instance.provider_id,
            _ => label.strip_prefix("domain_").and_then(|kind| instance.domains.get(kind)).map_or("", String::as_str),
        })
    }
}

/// What can be done in one cluster.
#[derive(Clone, Debug)]
pub struct ClusterPolicy {
    /// Which driver acts.
    pub act: DriverId,
    /// What that driver can do.
    pub modes: BTreeSet<Mode>,
    /// How long one act may take in all, its retries and questions included.
    pub act_deadline: Duration,
}

/// One rule of policy.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Which alerts it is about.
    pub matchers: Matchers,
    /// How long an alert must fire first (`for`).
    pub hold_for: Duration,
    /// What it wants; absent only where it is off.
    pub mode: Option<Mode>,
    /// How far it goes.
    pub enforce: Enforce,
    /// What may resolve what it opened.
    pub auto_resolve: AutoResolve,
}

/// How far a rule goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Enforce {
    /// It is as if it were not there; its alerts are known to need nothing.
    Off,
    /// Decides and counts, opens nothing.
    Shadow,
    /// Opens a proposal.
    Propose,
    /// Opens and approves.
    Auto,
}

/// The XID catalogue: what each code is called and what it calls for.
#[derive(Clone, Debug, Default)]
pub struct Catalogue(pub BTreeMap<u32, CatalogueRow>);

/// One code.
#[derive(Clone, Debug)]
pub struct CatalogueRow {
    /// NVIDIA's name.
    pub mnemonic: String,
    /// What it calls for.
    pub action: XidAction,
    /// Follow-on noise of other codes: decides only where no other code of the burst does.
    pub is_secondary: bool,
}

/// The catalogue's recommended actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum XidAction {
    /// NONE
    Nothing,
    /// RESTART_APP
    RestartApp,
    /// RESET_GPU
    ResetGpu,
    /// REBOOT_VM
    RebootVm,
    /// VM_ONLY
    VmOnly,
    /// HOST_AWARE
    HostAware,
    /// CONTACT_SUPPORT
    ContactSupport,
}

/// The times of DESIGN §4.8 that exist so far.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long alerts must stay clear before a waiting remediation resolves itself.
    pub compact_ttl: Duration,
    /// How long after a repair ended nothing that is not heavier opens on the node.
    pub cooldown: Duration,
    /// How long a proposal waits for a person.
    pub proposal_ttl: Duration,
    /// How long PENDING waits before it starts.
    pub dispatch_delay: Duration,
    /// How long after a repair older evidence opens nothing.
    pub settle: Duration,
    /// How long a refired alert stays unconfirmed.
    pub refire_hold: Duration,
    /// How old the evidence may be when the act begins.
    pub max_evidence_age: Duration,
    /// How long the evidence may stay unconfirmed before an approved repair is given up.
    pub validate_within: Duration,
    /// How long alerts must stay clear after the act.
    pub soak: Duration,
    /// How long after the act that may take.
    pub verify_within: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        Self {
            compact_ttl: Duration::from_secs(5 * MINUTE),
            cooldown: Duration::from_secs(30 * MINUTE),
            proposal_ttl: Duration::from_secs(24 * 60 * MINUTE),
            dispatch_delay: Duration::ZERO,
            settle: Duration::from_secs(10 * MINUTE),
            refire_hold: Duration::from_secs(10 * MINUTE),
            max_evidence_age: Duration::from_secs(120),
            validate_within: Duration::from_secs(10 * MINUTE),
            soak: Duration::from_secs(5 * MINUTE),
            verify_within: Duration::from_secs(30 * MINUTE),
        }
    }
}

/// How much may be in flight at once.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Remediations of one cluster from QUARANTINING to RUNNING.
    pub in_flight: u32,
    /// The same as a share of the cluster's instances; at least one is always allowed.
    pub in_flight_percent: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight: 3, in_flight_percent: 5 }
    }
}
