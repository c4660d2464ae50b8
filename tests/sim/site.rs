//! What is true: which machines there are, what is wrong with each, and what the configuration says about it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use remedyd::domain::matcher::Matchers;
use remedyd::domain::{
    AutoResolve, CheckId, CheckKind, Cluster, ClusterId, DriverId, HostId, Identity, Instance, InstanceId, Labels,
    Mode, NoticeId, RuleId, Severity, SourceId, Timestamp,
};
use remedyd::engine::settings::{
    Catalogue, CatalogueRow, CheckPolicy, ClusterPolicy, Enforce, Rule, Settings, Source, XidAction,
};
use remedyd::engine::{Configured, Report, ReportStatus};

use super::dice::Dice;
use super::prober::{CHECKS, FAILURES_BEFORE, PASSES_BEFORE, ROUND};

/// A way in which a node breaks.
pub struct Sign {
    pub name: &'static str,
    /// The label `xid`, for those that are XIDs.
    pub xid: Option<u32>,
    /// The lightest repair that helps.
    pub cure: Mode,
    /// Whether its rule, while it is as it was written, leads to a remediation by itself.
    pub calls: bool,
    /// How often, in percent of all faults: after the table of the Llama 3 paper (`fleet_fault_rates.csv`), which has 35 %
    /// GPUs, 17 % HBM, 8 % network, 8 % hosts; the rest is software and what only looks like a fault.
    pub share: u64,
}

pub const SIGNS: [Sign; 10] = [
    sign("GpuFaulty", None, Mode::HostAware, true, 20),
    sign("HbmErrors", None, Mode::VmOnly, true, 15),
    sign("NicDown", None, Mode::RebootVm, true, 14),
    sign("DriverStuck", None, Mode::RebootVm, true, 8),
    sign("Thermal", None, Mode::RebootVm, false, 5),
    sign("SlurmDrained", None, Mode::RebootVm, false, 5),
    sign("Xid", Some(79), Mode::HostAware, true, 12),
    sign("Xid", Some(48), Mode::RebootVm, true, 11),
    sign("Xid", Some(45), Mode::RebootVm, false, 5),
    sign("Xid", Some(31), Mode::RebootVm, false, 5),
];

impl Sign {
    /// How long its rule says that it must fire first.
    pub fn waits(&self) -> Duration {
        let rule = RULES.iter().find(|(_, matcher, ..)| matcher.contains(self.name));
        rule.map_or(Duration::ZERO, |(.., seconds)| Duration::from_secs(*seconds))
    }
}

const fn sign(name: &'static str, xid: Option<u32>, cure: Mode, calls: bool, share: u64) -> Sign {
    Sign { name, xid, cure, calls, share }
}

/// The rules: which alerts, what for, how far, and how long they must fire first.
const RULES: [(&str, &str, Mode, Enforce, u64); 8] = [
    ("check", "check!=\"\"", Mode::RebootVm, Enforce::Propose, 0),
    ("driver", "alertname=\"DriverStuck\"", Mode::RebootVm, Enforce::Auto, 0),
    ("gpu", "alertname=\"GpuFaulty\"", Mode::HostAware, Enforce::Propose, 0),
    ("hbm", "alertname=\"HbmErrors\"", Mode::VmOnly, Enforce::Propose, 120),
    ("nic", "alertname=\"NicDown\"", Mode::RebootVm, Enforce::Propose, 60),
    ("slurm", "alertname=\"SlurmDrained\"", Mode::RebootVm, Enforce::Off, 0),
    ("thermal", "alertname=\"Thermal\"", Mode::RebootVm, Enforce::Shadow, 0),
    ("xid", "xid!=\"\"", Mode::RebootVm, Enforce::Propose, 0),
];

/// One alert that may fire: one sign on one node.
pub struct Signal {
    pub sign: &'static Sign,
    pub node: usize,
    /// In which group Alertmanager has it: `group_by: [cluster, alertname]`.
    pub group: usize,
    pub labels: Labels,
    pub identity: Identity,
    /// Since when it truly fires.
    pub since: Option<Timestamp>,
    /// When it last truly ended.
    pub ended: Option<Timestamp>,
    /// This firing still waits to be linked to a remediation.
    pub unmet: Option<Unmet>,
}

/// What a firing that has no remediation yet has been through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmet {
    /// When the daemon was first told.
    pub told: Option<Timestamp>,
    /// What was last said to be in the way.
    pub excuse: Option<&'static str>,
}

pub struct Site {
    pub instances: Vec<Instance>,
    pub signals: Vec<Signal>,
    pub by_identity: BTreeMap<Identity, usize>,
    /// As last handed to the daemon.
    pub settings: Arc<Settings>,
    /// As last handed to the daemon.
    pub inventory: Vec<Instance>,
    pub clusters: Vec<Cluster>,
    /// Those that are configured.
    listed: Vec<Cluster>,
}

pub fn source() -> SourceId {
    SourceId::parse("main").unwrap()
}

impl Site {
    pub fn new() -> Self {
        let clusters: Vec<Cluster> = ["train-a", "train-b", "train-c"]
            .map(|name| Cluster { id: ClusterId::parse(name).unwrap(), name: name.to_owned() })
            .into();
        // Two virtual machines share the first host; one machine is out of bounds for the system; the last cluster rehearses.
        let instances: Vec<Instance> =
            [("a", 0, 0), ("b", 0, 0), ("c", 0, 1), ("d", 0, 2), ("e", 1, 3), ("f", 1, 4), ("g", 1, 5), ("h", 2, 6)]
                .map(|(id, cluster, host)| instance(id, &clusters[cluster].id, host))
                .into();
        let mut signals = Vec::new();
        let mut groups: Vec<(ClusterId, &str)> = Vec::new();
        for (node, instance) in instances.iter().enumerate() {
            for sign in &SIGNS {
                let name = (instance.cluster_id.clone(), sign.name);
                let group = groups.iter().position(|known| *known == name).unwrap_or_else(|| {
                    groups.push(name);
                    groups.len() - 1
                });
                let mut labels = vec![
                    ("alertname", sign.name.to_owned()),
                    ("cluster", instance.cluster_id.to_string()),
                    ("node", instance.name.clone()),
                ];
                labels.extend(sign.xid.map(|code| ("xid", code.to_string())));
                let labels = Labels::from_pairs(labels);
                let identity = Identity::of(&source(), &labels);
                signals.push(Signal { sign, node, group, labels, identity, since: None, ended: None, unmet: None });
            }
        }
        let by_identity = signals.iter().enumerate().map(|(n, signal)| (signal.identity, n)).collect();
        let (inventory, listed) = (instances.clone(), clusters.clone());
        Self { instances, signals, by_identity, settings: Arc::new(settings()), inventory, clusters, listed }
    }

    pub fn configured(&self) -> Configured {
        Configured {
            settings: Arc::clone(&self.settings),
            clusters: self.listed.clone(),
            instances: self.inventory.clone(),
        }
    }

    /// Somebody edits the configuration; the inventory catches up with what the provider did.
    pub fn edit(&mut self, dice: &mut Dice) {
        let mut settings = Settings::clone(&self.settings);
        for (id, policy) in self::settings().clusters {
            settings.clusters.entry(id).or_insert(policy);
        }
        match dice.upto(0, 8) {
            0 | 1 => {
                let at = dice.upto(0, RULES.len() as u64 - 1) as usize;
                let rule = settings.rules.get_mut(&RuleId::parse(RULES[at].0).unwrap()).expect("every rule is there");
                rule.enforce = if rule.enforce == RULES[at].3 { Enforce::Off } else { RULES[at].3 };
            }
            2 => {
                let Some(policy) = dice.one_of(settings.clusters.values_mut()) else { return };
                policy.modes = match dice.upto(0, 3) {
                    0 => [Mode::HostAware].into(),
                    1 => [Mode::RebootVm].into(),
                    _ => Mode::ALL.into(),
                };
            }
            3 => settings.limits.in_flight = dice.upto(1, 3) as u32,
            4 => {
                let minutes = |n: u64| Duration::from_secs(60 * n);
                settings.policy.cooldown = minutes(dice.upto(0, 60));
                settings.policy.settle = minutes(dice.upto(0, 20));
                settings.policy.compact_ttl = minutes(dice.upto(1, 10));
                settings.policy.proposal_ttl = minutes(dice.upto(30, 600));
            }
            6 => {
                let all = self::settings().checks;
                let (id, policy) = dice.one_of(all).expect("there are checks");
                if settings.checks.remove(&id).is_none() {
                    settings.checks.insert(id, policy);
                }
            }
            5 => settings.sources.values_mut().for_each(|source| source.has_api = dice.upto(0, 3) > 0),
            _ => {}
        }
        self.inventory = self.instances.clone();
        self.listed = self.clusters.clone();
        let any = |dice: &mut Dice| dice.upto(0, SIGNS.len() as u64) as usize % self.instances.len();
        match dice.upto(0, 23) {
            0..=2 => drop(self.inventory.remove(any(dice))),
            // Two machines have each other's name: their alerts are about the other one.
            3 | 4 => {
                let (one, other) = (any(dice), any(dice));
                self.inventory[one].name = self.instances[other].name.clone();
                self.inventory[other].name = self.instances[one].name.clone();
            }
            // A name that two machines have is nobody's.
            5 => self.inventory[any(dice)].name = self.instances[any(dice)].name.clone(),
            6 => {
                let gone = self.listed.remove(dice.upto(0, 2) as usize).id;
                self.inventory.retain(|instance| instance.cluster_id != gone);
                settings.clusters.remove(&gone);
            }
            _ => {}
        }
        self.settings = Arc::new(settings);
    }

    /// Everything as it was meant: rules, modes, the whole inventory.
    pub fn restore(&mut self) {
        self.settings = Arc::new(settings());
        self.inventory = self.instances.clone();
        self.listed = self.clusters.clone();
    }

    pub fn instance(&self, id: &InstanceId) -> Option<&Instance> {
        self.inventory.iter().find(|instance| instance.id == *id)
    }

    /// How many remediations of a cluster may be in flight: SAFETY I15, written anew.
    pub fn in_flight_cap(&self, cluster: &ClusterId) -> usize {
        let nodes = self.inventory.iter().filter(|instance| instance.cluster_id == *cluster).count();
        let limits = &self.settings.limits;
        if nodes == 0 {
            0
        } else {
            (limits.in_flight as usize).min((nodes * limits.in_flight_percent as usize / 100).max(1))
        }
    }

    /// Whether an alert of this sign leads to a remediation, as the rules are, and how long it must fire first.
    pub fn calls(&self, sign: &Sign) -> Option<Duration> {
        let id = match sign.name {
            "DriverStuck" => "driver",
            "GpuFaulty" => "gpu",
            "HbmErrors" => "hbm",
            "NicDown" => "nic",
            _ => "xid",
        };
        let rule = &self.settings.rules[&RuleId::parse(id).unwrap()];
        (sign.calls && rule.enforce != Enforce::Off).then_some(rule.hold_for)
    }

    /// Whether what a check finds leads to a remediation, as the rules are.
    pub fn calls_for_checks(&self) -> bool {
        self.settings.rules[&RuleId::parse("check").unwrap()].enforce != Enforce::Off
    }

    pub fn report(&self, signal: usize, start: Timestamp, end: Option<Timestamp>) -> Report {
        let labels = self.signals[signal].labels.clone();
        Report {
            status: if end.is_some() { ReportStatus::Resolved } else { ReportStatus::Firing },
            annotations: Labels::from_pairs([("summary", "it is broken")]),
            labels,
            truncated: false,
            started_at: start,
            ended_at: end,
            fingerprint: String::new(),
        }
    }
}

fn instance(id: &str, cluster: &ClusterId, host: u64) -> Instance {
    Instance {
        id: InstanceId::parse(&format!("i-{id}")).unwrap(),
        name: format!("node-{id}"),
        cluster_id: cluster.clone(),
        host_id: HostId::parse(&format!("h-{host}")).unwrap(),
        addresses: Vec::new(),
        provider_id: format!("vm-{id}"),
        pool: String::new(),
        generation: "1".into(),
        domains: BTreeMap::new(),
        auto_remediation_enabled: id != "g",
    }
}

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.sources.insert(
        source(),
        Source {
            cluster_labels: vec!["cluster".into()],
            instance_labels: vec!["node".into()],
            default_cluster: None,
            has_api: true,
        },
    );
    settings.notices.insert(NoticeId::parse("chat").unwrap());
    for (name, driver) in [("train-a", "fix"), ("train-b", "fix"), ("train-c", "rehearse")] {
        let act = DriverId::parse(driver).unwrap();
        let modes: BTreeSet<Mode> = Mode::ALL.into();
        let policy = ClusterPolicy { act, modes, act_deadline: Duration::from_secs(600) };
        settings.clusters.insert(ClusterId::parse(name).unwrap(), policy);
    }
    for (id, matcher, mode, enforce, hold_for) in RULES {
        let rule = Rule {
            matchers: Matchers::parse(matcher).unwrap(),
            hold_for: Duration::from_secs(hold_for),
            mode: Some(mode),
            enforce,
            auto_resolve: AutoResolve::Alert,
        };
        settings.rules.insert(RuleId::parse(id).unwrap(), rule);
    }
    settings.rules.get_mut(&RuleId::parse("check").unwrap()).expect("it is there").auto_resolve = AutoResolve::Probe;
    for (check, kind) in CHECKS.into_iter().zip([CheckKind::DcgmExporter, CheckKind::Tcp]) {
        let policy = CheckPolicy {
            kind,
            select: Matchers::default(),
            failures_before: FAILURES_BEFORE,
            passes_before: PASSES_BEFORE,
            severity: Severity::Critical,
            round: ROUND,
        };
        settings.checks.insert(CheckId::parse(check).unwrap(), policy);
    }
    let row = |action, is_secondary| CatalogueRow { mnemonic: String::new(), action, is_secondary };
    settings.catalogue = Catalogue(BTreeMap::from([
        (79, row(XidAction::HostAware, false)),
        (48, row(XidAction::ResetGpu, false)),
        (45, row(XidAction::ResetGpu, true)),
        (31, row(XidAction::RestartApp, false)),
    ]));
    settings.policy.proposal_ttl = Duration::from_secs(6 * 3600);
    settings.limits.in_flight = 2;
    settings.limits.in_flight_percent = 50;
    settings
}
