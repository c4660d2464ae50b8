//! Scrapes in the forms of dcgm-exporter for DCGM 3 and 4, through the shipped rules and catalogue: which repair each fault
//! calls for, and that what stays on a gauge after the repair calls for nothing more.

mod rows;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use remedyd::config::checks::DcgmExporter;
use remedyd::config::{self, Overrides};
use remedyd::domain::{
    CheckId, CheckKind, Cluster, ClusterId, HostId, Instance, InstanceId, Mode, Outcome, Principal, Probed,
    Remediation, Severity, State, Timestamp,
};
use remedyd::engine::settings::{CheckPolicy, ClusterPolicy, Settings};
use remedyd::engine::{Command, Configured, Effect, EffectKind, Engine, Input, Selector};
use remedyd::probes::dcgm_exporter;
use rows::Rows;

const EVERY: Duration = Duration::from_secs(30);

/// A daemon as it ships, with one node that is scraped.
struct World {
    engine: Engine,
    rows: Rows,
    now: Timestamp,
    effects: Vec<Effect>,
    spec: DcgmExporter,
}

fn node() -> Instance {
    Instance {
        id: InstanceId::parse("i-7").unwrap(),
        name: "gpu-node-7".into(),
        cluster_id: ClusterId::parse("train-a").unwrap(),
        host_id: HostId::parse("h-7").unwrap(),
        addresses: vec!["127.0.0.7".into()],
        provider_id: String::new(),
        pool: String::new(),
        generation: String::new(),
        domains: Default::default(),
        auto_remediation_enabled: true,
    }
}

impl World {
    fn new(spec: DcgmExporter) -> Self {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/remedyd.toml");
        let loaded = config::load(&shipped, &Overrides::default()).unwrap();
        let mut settings: Settings = (*loaded.config.settings).clone();
        let cluster = ClusterId::parse("train-a").unwrap();
        let act = settings.clusters[&cluster].act.clone();
        let policy = ClusterPolicy { act, modes: Mode::ALL.into(), act_deadline: Duration::from_secs(600) };
        settings.clusters.insert(cluster.clone(), policy);
        settings.checks.insert(
            CheckId::parse("gpus").unwrap(),
            CheckPolicy {
                kind: CheckKind::DcgmExporter,
                select: Default::default(),
                failures_before: 3,
                passes_before: 2,
                severity: Severity::Critical,
                round: EVERY,
            },
        );
        let mut world = Self {
            engine: Engine::new([], 1),
            rows: Rows::default(),
            now: Timestamp::from_micros(1_800_000_000_000_000),
            effects: Vec::new(),
            spec,
        };
        world.input(Input::Configured(Box::new(Configured {
            settings: Arc::new(settings),
            clusters: vec![Cluster { name: cluster.to_string(), id: cluster }],
            instances: vec![node()],
        })));
        world.input(Input::Started);
        world
    }

    fn input(&mut self, input: Input) {
        let past = self.rows.past(&self.engine.wanted(self.now, &input));
        let step = self.engine.step(self.now, input, past);
        for change in &step.changes {
            self.rows.write(change);
        }
        self.effects.extend(step.effects);
    }

    fn probed(&self, page: &str) -> Probed {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/dcgm").join(page);
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{page}: {error}"));
        Probed {
            check: CheckId::parse("gpus").unwrap(),
            instance_id: node().id,
            generation: String::new(),
            started_at: self.now,
            ended_at: self.now,
            observation: dcgm_exporter::read(&text, &self.spec, None),
        }
    }

    /// The exporter shows this page for so many rounds; what is due meanwhile happens, and looks are answered with it too.
    fn shows(&mut self, page: &str, rounds: u32) {
        for _ in 0..rounds {
            let run = self.probed(page);
            self.input(Input::Probed { runs: vec![run], on_demand: false });
            let next = self.now.plus(EVERY);
            loop {
                for effect in std::mem::take(&mut self.effects) {
                    match effect.kind {
                        EffectKind::Look(look) => {
                            assert!(look.wanted.is_empty() && look.checks.is_some(), "{look:?}");
                            let runs = vec![self.probed(page)];
                            self.input(Input::Looked { effect_id: effect.id, found: Ok(Vec::new()), runs });
                        }
                        EffectKind::Call(_) => self.input(Input::Acted {
                            effect_id: effect.id,
                            outcome: Outcome::Done,
                            detail: String::new(),
                            generation: None,
                            boot_id: None,
                        }),
                        EffectKind::Notify(_) => self.input(Input::Notified { effect_id: effect.id, failure: None }),
                    }
                }
                match self.engine.next_deadline().filter(|due| *due <= next) {
                    Some(due) => {
                        self.now = self.now.max(due);
                        self.input(Input::Tick);
                    }
                    None if self.effects.is_empty() => break,
                    None => {}
                }
            }
            self.now = next;
        }
    }

    fn remediations(&self) -> Vec<Remediation> {
        self.rows.remediations().cloned().collect()
    }

    /// What is proposed, if something is.
    fn proposed(&self) -> Option<Mode> {
        let waits = |row: &&Remediation| row.state == State::PendingApproval;
        self.remediations().iter().find(waits).map(|row| row.mode)
    }

    fn approve(&mut self) {
        let row = self.remediations().into_iter().find(|row| row.state == State::PendingApproval).unwrap();
        let selector = Selector { cluster_id: None, instance_id: None, remediation: row.id.to_string() };
        let command =
            Command::Approve { selector, mode: None, comment: String::new(), seen_version: Some(row.version) };
        self.input(Input::Asked(Principal::local(), command));
    }
}

fn gpus(n: u32, nvlinks: Option<u32>) -> DcgmExporter {
    let mut spec = DcgmExporter::default();
    (spec.limits.gpus, spec.limits.nvlinks) = (Some(n), nvlinks);
    spec
}

#[test]
fn each_fault_calls_for_the_repair_that_the_rules_and_the_catalogue_have_for_it() {
    use Mode::{HostAware, RebootVm};
    let usual = DcgmExporter::default;
    let table: &[(&str, DcgmExporter, Option<Mode>)] = &[
        ("dcgm3-healthy.prom", usual(), None),
        ("dcgm4-healthy.prom", usual(), None),
        // The driver lost the GPU: another host.
        ("dcgm3-xid-79.prom", usual(), Some(HostAware)),
        ("dcgm4-xid-79.prom", usual(), Some(HostAware)),
        // NVIDIA: reset the GPU, which a reboot does.
        ("dcgm3-xid-119.prom", usual(), Some(RebootVm)),
        ("dcgm4-xid-119.prom", usual(), Some(RebootVm)),
        // The application's own, and follow-on noise: nothing by itself.
        ("dcgm3-xid-13.prom", usual(), None),
        ("dcgm4-xid-13.prom", usual(), None),
        ("dcgm3-xid-31.prom", usual(), None),
        ("dcgm4-xid-31.prom", usual(), None),
        ("dcgm3-xid-45.prom", usual(), None),
        ("dcgm4-xid-45.prom", usual(), None),
        ("dcgm3-xid-94.prom", usual(), None),
        ("dcgm4-xid-94.prom", usual(), None),
        ("dcgm3-xid-63.prom", usual(), None),
        ("dcgm4-xid-63.prom", usual(), None),
        ("dcgm3-xid-74.prom", usual(), Some(RebootVm)),
        ("dcgm4-xid-74.prom", usual(), Some(RebootVm)),
        ("dcgm3-double-bit-ecc.prom", usual(), Some(RebootVm)),
        ("dcgm4-double-bit-ecc.prom", usual(), Some(RebootVm)),
        ("dcgm3-row-remap-failure.prom", usual(), Some(HostAware)),
        ("dcgm4-row-remap-failure.prom", usual(), Some(HostAware)),
        ("dcgm4-nvlink-down.prom", gpus(2, Some(18)), Some(RebootVm)),
        ("dcgm3-hot.prom", usual(), Some(HostAware)),
        ("dcgm4-hot.prom", usual(), Some(HostAware)),
        ("dcgm3-throttled.prom", usual(), Some(HostAware)),
        ("dcgm4-throttled.prom", usual(), Some(HostAware)),
        ("dcgm3-gpu-missing.prom", gpus(8, None), Some(RebootVm)),
        ("dcgm4-gpu-missing.prom", gpus(8, None), Some(RebootVm)),
        // The driver's own verdict; 3 and 5 concern the fabric.
        ("dcgm4-recovery-action-1.prom", usual(), Some(RebootVm)),
        ("dcgm4-recovery-action-2.prom", usual(), Some(RebootVm)),
        ("dcgm4-recovery-action-3.prom", usual(), None),
        ("dcgm4-recovery-action-4.prom", usual(), Some(RebootVm)),
        ("dcgm4-recovery-action-5.prom", usual(), None),
        ("dcgm4-recovery-action-6.prom", usual(), Some(RebootVm)),
        ("dcgm4-recovery-action-7.prom", usual(), Some(RebootVm)),
        // Nothing is opened because nothing can be read.
        ("garbage.prom", usual(), None),
        ("truncated.prom", usual(), None),
        ("page.html", usual(), None),
        ("no-gpus.prom", usual(), None),
    ];
    let mut wrong = Vec::new();
    for (page, spec, wanted) in table {
        let mut world = World::new(spec.clone());
        world.shows("dcgm4-healthy.prom", 1);
        world.shows(page, 2);
        assert_eq!(world.proposed(), None, "{page}: before it failed often enough");
        world.shows(page, 30);
        if world.proposed() != *wanted {
            wrong.push(format!("{page}: {:?}, wanted {wanted:?}", world.proposed()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_stays_on_the_gauge_after_the_repair_opens_nothing() {
    for (sick, healthy) in [("dcgm3-xid-119.prom", "dcgm3-healthy.prom"), ("dcgm4-xid-119.prom", "dcgm4-healthy.prom")]
    {
        let mut world = World::new(DcgmExporter::default());
        world.shows(sick, 4);
        assert_eq!(world.proposed(), Some(Mode::RebootVm), "{sick}");
        world.approve();
        // The driver says done, and the gauge shows the code for another five hours.
        world.shows(sick, 600);
        let states = |world: &World| -> Vec<State> { world.remediations().iter().map(|row| row.state).collect() };
        assert_eq!(states(&world), [State::Succeeded], "{sick}");
        // Once the gauge was seen without it, the same code is news.
        world.shows(healthy, 1);
        world.shows(sick, 4);
        assert_eq!(world.proposed(), Some(Mode::RebootVm), "{sick}");
        assert_eq!(states(&world).len(), 2);
    }
}
