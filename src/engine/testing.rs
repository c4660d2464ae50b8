//! Small worlds for table tests: alerts, instances and rules with everything filled in that the test does not say.

use std::collections::BTreeMap;
use std::time::Duration;

use super::change::Change;
use super::input::{Report, ReportStatus};
use super::memory::Memory;
use super::settings::{Catalogue, CatalogueRow, Enforce, Rule, Settings, Source, XidAction};
use crate::domain::matcher::Matchers;
use crate::domain::{
    Alert, AlertId, AlertState, AutoResolve, Cluster, ClusterId, HostId, Identity, Instance, InstanceId, Labels, Mode,
    NodeMemory, RemediationId, Repair, RuleId, Severity, SourceId, State, Timestamp,
};

/// `seconds` after zero.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

pub fn alert(name: &str) -> Alert {
    let source = SourceId::parse("main").unwrap();
    let labels = Labels::from_pairs([("alertname", name)]);
    let identity = Identity::of(&source, &labels);
    Alert {
        id: AlertId::of(identity, 1),
        identity,
        episode: 1,
        source,
        fingerprint: String::new(),
        labels,
        annotations: Labels::default(),
        truncated: false,
        state: AlertState::Firing,
        muted: false,
        severity: Severity::Critical,
        xid: None,
        joined: Err("not tried".into()),
        started_at: at(0),
        newest_start: at(0),
        resolved_at: None,
        previous_end: None,
        opened_at: at(0),
        cleared_at: None,
        last_seen_at: at(0),
        remediation_id: None,
        run_id: None,
    }
}

pub fn report(name: &str, start: i64, end: Option<i64>) -> Report {
    Report {
        status: if end.is_some() { ReportStatus::Resolved } else { ReportStatus::Firing },
        labels: Labels::from_pairs([("alertname", name)]),
        annotations: Labels::default(),
        truncated: false,
        started_at: at(start),
        ended_at: end.map(at),
        fingerprint: String::new(),
    }
}

pub fn instance(id: &str, cluster: &str, name: &str, addresses: &[&str]) -> Instance {
    Instance {
        id: InstanceId::parse(id).unwrap(),
        name: name.into(),
        cluster_id: ClusterId::parse(cluster).unwrap(),
        host_id: HostId::parse(&format!("h-{id}")).unwrap(),
        addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        provider_id: String::new(),
        pool: String::new(),
        generation: "1".into(),
        domains: BTreeMap::new(),
        auto_remediation_enabled: true,
    }
}

pub fn memory(instances: &[Instance]) -> Memory {
    let mut memory = Memory::default();
    for instance in instances {
        let id = instance.cluster_id.clone();
        memory.apply(&Change::Cluster(Box::new(Cluster { name: id.to_string(), id })));
        memory.apply(&Change::Instance(Box::new(instance.clone())));
    }
    memory
}

pub fn node(instance: &str, state: State, mode: Mode, ended_at: Timestamp) -> NodeMemory {
    let repair = Repair {
        remediation_id: RemediationId::new(uuid::Uuid::from_u128(1)),
        host_id: HostId::parse("h").unwrap(),
        mode,
        state,
        acted: true,
        ended_at,
    };
    NodeMemory { instance_id: InstanceId::parse(instance).unwrap(), repairs: vec![repair] }
}

pub fn source(default_cluster: Option<&str>) -> Source {
    Source {
        cluster_labels: vec!["cluster".into(), "cluster_name".into()],
        instance_labels: ["instance_id", "node", "hostname", "Hostname", "instance"].map(String::from).to_vec(),
        default_cluster: default_cluster.map(|id| ClusterId::parse(id).unwrap()),
        has_api: false,
    }
}

pub fn settings() -> Settings {
    Settings::default()
}

pub fn rule(id: &str, matchers: &[&str], mode: Option<Mode>, enforce: Enforce) -> (RuleId, Rule) {
    let matchers = matchers.iter().map(|text| Matchers::parse(text).unwrap()).reduce(Matchers::and).unwrap_or_default();
    let rule = Rule { matchers, hold_for: Duration::ZERO, mode, enforce, auto_resolve: AutoResolve::Alert };
    (RuleId::parse(id).unwrap(), rule)
}

pub fn catalogue(rows: &[(u32, XidAction)]) -> Catalogue {
    let row = |action| CatalogueRow { mnemonic: String::new(), action, is_secondary: false };
    Catalogue(rows.iter().map(|(code, action)| (*code, row(*action))).collect())
}
