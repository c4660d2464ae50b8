//! What the daemon is and with which configuration it runs: `/api/v1/status/*`, in the envelope of Prometheus's API.
//!
//! The configuration is shown key by key from a list of what may be shown. A new key stays hidden until somebody adds it
//! here, and nothing that could hold a secret is added: of a driver its program and not its arguments, of a receiver its
//! host and not its path, of tokens nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::words;
use super::{Shared, Shown};
use crate::config::{Config, Driver, show_duration, show_size};
use crate::domain::{Mode, Timestamp};
use crate::engine::settings::{Enforce, Rule};

/// When the configuration was taken, and why another was not.
#[derive(Clone, Debug, Default)]
pub struct Loads(Arc<Mutex<Load>>);

#[derive(Clone, Debug, Default)]
struct Load {
    started_at: Timestamp,
    taken_at: Timestamp,
    refused: Option<(Timestamp, Vec<String>)>,
}

impl Loads {
    /// The daemon has started, with a configuration that was right.
    pub fn started(&self, at: Timestamp) {
        self.change(|load| *load = Load { started_at: at, taken_at: at, refused: None });
    }

    /// The files were read, and what they say is in force.
    pub fn taken(&self, at: Timestamp) {
        self.change(|load| {
            load.taken_at = at;
            load.refused = None;
        });
    }

    /// The files have these mistakes; what was in force stays.
    pub fn refused(&self, at: Timestamp, mistakes: Vec<String>) {
        self.change(|load| load.refused = Some((at, mistakes)));
    }

    fn change(&self, change: impl FnOnce(&mut Load)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn last(&self) -> Load {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

macro_rules! success {
    ($name:ident, $data:ty) => {
        /// An answer in Prometheus's envelope.
        #[derive(Serialize, ToSchema)]
        pub(super) struct $name {
            /// Always `success`.
            status: &'static str,
            data: $data,
        }

        impl $name {
            fn new(data: $data) -> Self {
                Self { status: "success", data }
            }
        }
    };
}

success!(BuildAnswer, BuildInfo);
success!(RuntimeAnswer, RuntimeInfo);
success!(ConfigurationAnswer, Configuration);

/// Which program answers.
#[derive(Serialize, ToSchema)]
struct BuildInfo {
    version: &'static str,
    /// The operating system that it was built for.
    os: &'static str,
    /// The processor that it was built for.
    arch: &'static str,
}

/// `GET /api/v1/status/buildinfo`
pub(super) async fn buildinfo() -> Response {
    let (version, os, arch) = (env!("CARGO_PKG_VERSION"), std::env::consts::OS, std::env::consts::ARCH);
    super::json(&BuildAnswer::new(BuildInfo { version, os, arch }))
}

/// How this process is doing; the names are Prometheus's.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RuntimeInfo {
    /// When the process started.
    start_time: Shown,
    /// Whether the files as they are were taken when they were last read.
    reload_config_success: bool,
    /// When files were last taken.
    last_config_time: Shown,
}

/// `GET /api/v1/status/runtimeinfo`
pub(super) async fn runtimeinfo(State(shared): State<Shared>) -> Response {
    let Load { started_at, taken_at, refused } = shared.loads.last();
    super::json(&RuntimeAnswer::new(RuntimeInfo {
        start_time: Shown(started_at),
        reload_config_success: refused.is_none(),
        last_config_time: Shown(taken_at),
    }))
}

/// The configuration in force, without secrets, and what became of the last attempt to load another.
#[derive(Serialize, ToSchema)]
struct Configuration {
    /// SHA-256 over every file that was read, in hex.
    digest: String,
    /// When it was taken, or found to be unchanged.
    loaded_at: Shown,
    /// Why the files as they are now were not taken; null where they are in force.
    #[schema(required = true)]
    last_reload_failure: Option<ReloadFailure>,
    storage: Storage,
    /// Whether bearer tokens are asked for.
    tokens: bool,
    /// The Alertmanagers of each source; none: it only sends.
    sources: BTreeMap<String, Vec<String>>,
    policy: BTreeMap<&'static str, String>,
    limits: Limits,
    clusters: BTreeMap<String, Cluster>,
    drivers: BTreeMap<String, DriverShown>,
    /// The host of each receiver of notices; the rest of such a URL may be a secret.
    notices: BTreeMap<String, String>,
    rules: BTreeMap<String, RuleShown>,
    /// How many instances the inventory files describe.
    instances: usize,
}

/// A reload that changed nothing.
#[derive(Serialize, ToSchema)]
struct ReloadFailure {
    at: Shown,
    /// Each with file, line, column and key.
    mistakes: Vec<String>,
}

/// `[storage]`
#[derive(Serialize, ToSchema)]
#[schema(as = StorageConfiguration)]
struct Storage {
    path: String,
    min_free: String,
    ballast: String,
    checkpoint_every: String,
    checkpoint_after: String,
    /// How long ended remediations and holds are kept.
    retention_remediations: String,
    /// How long ended alerts and dead letters are kept.
    retention_alerts: String,
    /// How long the journal is kept.
    audit_retention: String,
}

/// `[limits.cluster]`
#[derive(Serialize, ToSchema)]
struct Limits {
    in_flight: u32,
    in_flight_percent: u32,
}

/// `[clusters.<id>]`
#[derive(Serialize, ToSchema)]
#[schema(as = ClusterConfiguration)]
struct Cluster {
    name: String,
    /// The driver that acts; null where the cluster has none that can.
    #[schema(required = true)]
    act: Option<String>,
    #[schema(value_type = Vec<words::Mode>)]
    modes: Vec<&'static str>,
}

/// `[drivers.<id>]`
#[derive(Serialize, ToSchema)]
#[schema(as = DriverConfiguration)]
struct DriverShown {
    /// `dry_run` or `command`.
    kind: &'static str,
    /// The program of a `command`, without its arguments.
    #[schema(required = true)]
    program: Option<String>,
    /// How long one call may run, or pretends to take.
    deadline: String,
    #[schema(value_type = Vec<words::Mode>)]
    modes: Vec<&'static str>,
}

/// `[rules.<id>]`
#[derive(Serialize, ToSchema)]
#[schema(as = RuleConfiguration)]
struct RuleShown {
    r#match: String,
    r#for: String,
    #[schema(required = true, value_type = Option<words::Mode>)]
    mode: Option<&'static str>,
    /// How far it goes: off, shadow, propose or auto.
    enforce: &'static str,
    #[schema(value_type = words::AutoResolve)]
    auto_resolve: &'static str,
}

/// `GET /api/v1/status/config`
pub(super) async fn config(State(shared): State<Shared>) -> Response {
    super::json(&ConfigurationAnswer::new(Configuration::new(&shared.config(), shared.loads.last())))
}

impl Configuration {
    fn new(config: &Config, load: Load) -> Self {
        let settings = &config.settings;
        let text = |id: &dyn ToString| id.to_string();
        let clusters = config.clusters.iter().map(|cluster| {
            let policy = settings.clusters.get(&cluster.id);
            let act = policy.map(|policy| policy.act.to_string());
            let modes = policy.map(|policy| names(&policy.modes)).unwrap_or_default();
            (cluster.id.to_string(), Cluster { name: cluster.name.clone(), act, modes })
        });
        let retention = settings.retention;
        Self {
            digest: config.digest.clone(),
            loaded_at: Shown(load.taken_at),
            last_reload_failure: load.refused.map(|(at, mistakes)| ReloadFailure { at: Shown(at), mistakes }),
            storage: Storage {
                path: config.storage.path.display().to_string(),
                min_free: show_size(config.storage.min_free),
                ballast: show_size(config.storage.ballast),
                checkpoint_every: show_duration(config.storage.checkpoint_every),
                checkpoint_after: show_size(config.storage.checkpoint_after),
                retention_remediations: show_duration(retention.remediations),
                retention_alerts: show_duration(retention.alerts),
                audit_retention: show_duration(retention.audit),
            },
            tokens: config.tokens.is_some(),
            sources: config.alertmanagers.iter().map(|(id, urls)| (text(id), urls.clone())).collect(),
            policy: policy(config),
            limits: Limits {
                in_flight: settings.limits.in_flight,
                in_flight_percent: settings.limits.in_flight_percent,
            },
            clusters: clusters.collect(),
            drivers: config.drivers.iter().map(|(id, driver)| (text(id), DriverShown::new(driver))).collect(),
            notices: config.receivers.iter().map(|(id, url)| (text(id), host(url))).collect(),
            rules: settings.rules.iter().map(|(id, rule)| (text(id), RuleShown::new(rule))).collect(),
            instances: config.instance_count,
        }
    }
}

fn policy(config: &Config) -> BTreeMap<&'static str, String> {
    let policy = &config.settings.policy;
    let times = [
        ("compact_ttl", policy.compact_ttl),
        ("cooldown", policy.cooldown),
        ("proposal_ttl", policy.proposal_ttl),
        ("dispatch_delay", policy.dispatch_delay),
        ("settle", policy.settle),
        ("refire_hold", policy.refire_hold),
        ("max_evidence_age", policy.max_evidence_age),
        ("validate_within", policy.validate_within),
        ("soak", policy.soak),
        ("verify_within", policy.verify_within),
    ];
    times.into_iter().map(|(key, time)| (key, show_duration(time))).collect()
}

impl DriverShown {
    fn new(driver: &Driver) -> Self {
        match driver {
            Driver::DryRun { takes, modes } => {
                Self { kind: "dry_run", program: None, deadline: show_duration(*takes), modes: names(modes) }
            }
            Driver::Command { argv, deadline, modes } => Self {
                kind: "command",
                program: argv.first().cloned(),
                deadline: show_duration(*deadline),
                modes: names(modes),
            },
        }
    }
}

impl RuleShown {
    fn new(rule: &Rule) -> Self {
        Self {
            r#match: rule.matchers.to_string(),
            r#for: show_duration(rule.hold_for),
            mode: rule.mode.map(Mode::as_str),
            enforce: match rule.enforce {
                Enforce::Off => "off",
                Enforce::Shadow => "shadow",
                Enforce::Propose => "propose",
                Enforce::Auto => "auto",
            },
            auto_resolve: rule.auto_resolve.as_str(),
        }
    }
}

fn names<'a>(modes: impl IntoIterator<Item = &'a Mode>) -> Vec<&'static str> {
    modes.into_iter().map(|mode| mode.as_str()).collect()
}

/// The part of a URL that names a machine.
fn host(url: &str) -> String {
    url::Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
