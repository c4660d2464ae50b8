//! What is there: one machine, one source, one driver, and three rules.
#![allow(dead_code, reason = "each test program takes what it needs")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use remedyd::domain::matcher::Matchers;
use remedyd::domain::{
    AutoResolve, Cluster, ClusterId, DriverId, HostId, Identity, Instance, InstanceId, Labels, Mode, NoticeId, RuleId,
    SourceId, Timestamp,
};
use remedyd::engine::settings::{ClusterPolicy, Enforce, Rule, Settings, Source};
use remedyd::engine::{Configured, Report, ReportStatus};

pub fn source() -> SourceId {
    SourceId::parse("main").unwrap()
}

pub fn cluster() -> Cluster {
    Cluster { id: ClusterId::parse("train-a").unwrap(), name: "train-a".into() }
}

pub fn machine() -> Instance {
    Instance {
        id: InstanceId::parse("i-7").unwrap(),
        name: "gpu-node-7".into(),
        cluster_id: cluster().id,
        host_id: HostId::parse("h-7").unwrap(),
        addresses: Vec::new(),
        provider_id: String::new(),
        pool: String::new(),
        generation: String::new(),
        domains: BTreeMap::new(),
        auto_remediation_enabled: true,
    }
}

pub fn labels(name: &str) -> Labels {
    Labels::from_pairs([("alertname", name), ("node", "gpu-node-7")])
}

pub fn identity(name: &str) -> Identity {
    Identity::of(&source(), &labels(name))
}

pub fn report(name: &str, started_at: Timestamp, ended_at: Option<Timestamp>) -> Report {
    Report {
        status: if ended_at.is_some() { ReportStatus::Resolved } else { ReportStatus::Firing },
        labels: labels(name),
        annotations: Labels::default(),
        truncated: false,
        started_at,
        ended_at,
        fingerprint: String::new(),
    }
}

pub fn configured() -> Configured {
    let mut settings = Settings::default();
    let instance_labels = vec!["node".to_owned()];
    let default_cluster = Some(cluster().id);
    settings
        .sources
        .insert(source(), Source { cluster_labels: Vec::new(), instance_labels, default_cluster, has_api: true });
    settings.notices.insert(NoticeId::parse("chat").unwrap());
    let act = DriverId::parse("fix").unwrap();
    let policy = ClusterPolicy { act, modes: Mode::ALL.into(), act_deadline: Duration::from_secs(600) };
    settings.clusters.insert(cluster().id, policy);
    for (name, mode, enforce) in [
        ("Auto", Mode::RebootVm, Enforce::Auto),
        ("Heavy", Mode::HostAware, Enforce::Propose),
        ("Light", Mode::RebootVm, Enforce::Propose),
    ] {
        let rule = Rule {
            matchers: Matchers::parse(&format!("alertname={name:?}")).unwrap(),
            hold_for: Duration::ZERO,
            mode: Some(mode),
            enforce,
            auto_resolve: AutoResolve::Alert,
        };
        settings.rules.insert(RuleId::parse(&name.to_lowercase()).unwrap(), rule);
    }
    settings.policy.proposal_ttl = Duration::from_secs(6 * 3600);
    Configured { settings: Arc::new(settings), clusters: vec![cluster()], instances: vec![machine()] }
}
