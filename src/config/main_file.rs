//! `remedyd.toml`: what each of its tables says, checked as far as the file alone allows.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::alert_sources::read_url;
use super::checks::{self, Check, ChecksLimits};
use super::listen::{self, ServerTable};
use super::storage::{self, Storage};
use super::table::{Table, Value};
use super::{Driver, alert_sources, clusters, duration, inventory};
use crate::domain::{CheckId, Cluster, ClusterId, DriverId, NoticeId, SourceId};
use crate::engine::settings::{CheckPolicy, ClusterPolicy, Limits, Policy, Retention, Source};

/// What the main file says, and the values that name further files.
pub(super) struct MainFile<'a> {
    pub(super) server: ServerTable<'a>,
    pub(super) storage: Storage,
    pub(super) retention: Retention,
    pub(super) tokens_file: Option<(&'a str, Value<'a>)>,
    pub(super) sources: BTreeMap<SourceId, Source>,
    pub(super) alertmanagers: BTreeMap<SourceId, Vec<String>>,
    pub(super) inventory: inventory::Named<'a>,
    pub(super) rules: Vec<(&'a str, Value<'a>)>,
    pub(super) catalog: Option<(&'a str, Value<'a>)>,
    pub(super) policy: Policy,
    pub(super) limits: Limits,
    pub(super) clusters: Vec<Cluster>,
    pub(super) cluster_policies: BTreeMap<ClusterId, ClusterPolicy>,
    pub(super) drivers: BTreeMap<DriverId, Driver>,
    pub(super) receivers: BTreeMap<NoticeId, String>,
    pub(super) checks: BTreeMap<CheckId, Check>,
    pub(super) checks_limits: ChecksLimits,
    pub(super) check_policies: BTreeMap<CheckId, CheckPolicy>,
    /// Where each check stands, be it a good one or not.
    pub(super) check_places: Vec<(CheckId, Value<'a>)>,
}

impl<'a> MainFile<'a> {
    /// Reads every table. `base` is the folder that paths are relative to; `storage_path` overrides the file's.
    pub(super) fn read(mut top: Table<'a>, base: &Path, storage_path: Option<&Path>) -> Self {
        let server = listen::read(top.table("server"), base);
        let (storage, retention) = storage::read(top.table("storage"), base, storage_path);
        let tokens_file = read_auth(top.table("auth"));
        let drivers = clusters::read_drivers(top.table("drivers"));
        let (clusters, cluster_policies) = clusters::read(top.table("clusters"), &drivers);
        let (sources, alertmanagers) = alert_sources::read(top.table("sources"), &clusters);
        let inventory = inventory::read(top.table("inventory"), &clusters);
        let mut policy_table = top.table("policy");
        let rules = policy_table.take("rules").and_then(|value| value.texts()).unwrap_or_default();
        let catalog = policy_table.take("catalog").and_then(|value| value.text().map(|text| (text, value)));
        let policy = read_policy(policy_table);
        let (limits, checks_limits) = read_limits(top.table("limits"));
        let receivers = read_notices(top.table("notices"));
        let check_places = top.table("checks").named(CheckId::parse);
        let (checks, check_policies) = checks::read(&check_places);
        top.finish();
        Self {
            server,
            storage,
            retention,
            tokens_file,
            sources,
            alertmanagers,
            inventory,
            rules,
            catalog,
            policy,
            limits,
            clusters,
            cluster_policies,
            drivers,
            receivers,
            checks,
            checks_limits,
            check_policies,
            check_places,
        }
    }
}

fn read_auth(mut auth: Table<'_>) -> Option<(&str, Value<'_>)> {
    let tokens_file = auth.take("tokens_file").and_then(|value| value.text().map(|text| (text, value)));
    auth.finish();
    tokens_file
}

fn read_policy(mut table: Table<'_>) -> Policy {
    let mut policy = Policy::default();
    let keys: [(&'static str, &mut Duration); 8] = [
        ("compact_ttl", &mut policy.compact_ttl),
        ("cooldown", &mut policy.cooldown),
        ("proposal_ttl", &mut policy.proposal_ttl),
        ("dispatch_delay", &mut policy.dispatch_delay),
        ("settle", &mut policy.settle),
        ("refire_hold", &mut policy.refire_hold),
        ("max_evidence_age", &mut policy.max_evidence_age),
        ("validate_within", &mut policy.validate_within),
    ];
    for (key, span) in keys {
        let value = table.take(key);
        *span = value.as_ref().and_then(Value::duration).unwrap_or(*span);
        if let Some(value) = value.filter(|_| key == "proposal_ttl" && span.is_zero()) {
            value.wrong("every proposal would expire in the moment in which it opens");
        }
    }
    let soak = table.take("soak");
    let verify_within = table.take("verify_within");
    policy.soak = soak.as_ref().and_then(Value::duration).unwrap_or(policy.soak);
    policy.verify_within = verify_within.as_ref().and_then(Value::duration).unwrap_or(policy.verify_within);
    if let Some(value) = verify_within.or(soak).filter(|_| policy.soak >= policy.verify_within) {
        let (soak, within) = (duration::show(policy.soak), duration::show(policy.verify_within));
        value.wrong(format!("soak ({soak}) must fit into verify_within ({within}), else no repair can ever be proven"));
    }
    table.finish();
    policy
}

fn read_limits(mut table: Table<'_>) -> (Limits, ChecksLimits) {
    let mut limits = Limits::default();
    let mut cluster = table.table("cluster");
    // Zero would never let anything start, silently; whoever wants that sets the rules to "shadow".
    if let Some(value) = cluster.take("in_flight").and_then(|value| value.number(1..=1_000_000)) {
        limits.in_flight = value;
    }
    if let Some(value) = cluster.take("in_flight_percent").and_then(|value| value.number(1..=100)) {
        limits.in_flight_percent = value;
    }
    cluster.finish();
    let checks = checks::read_limits(table.table("checks"));
    table.finish();
    (limits, checks)
}

fn read_notices(table: Table<'_>) -> BTreeMap<NoticeId, String> {
    let mut receivers = BTreeMap::new();
    for (id, value) in table.named(NoticeId::parse) {
        let Some(mut table) = value.table() else { continue };
        if let Some(mut webhook) = table.require("webhook").and_then(|value| value.table()) {
            let url = webhook.require("url").and_then(|value| read_url(value.text()?, &value));
            receivers.extend(url.map(|url| (id, url)));
            webhook.finish();
        }
        table.finish();
    }
    receivers
}
