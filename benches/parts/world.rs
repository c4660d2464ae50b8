//! A fleet of 10,000 nodes with the rules that ship, an engine that knows it, and what its Alertmanager says.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use remedyd::clock::Stopwatch;
use remedyd::config::{self, Loaded, Overrides};
use remedyd::domain::{Episode, Identity, SourceId, Timestamp};
use remedyd::engine::{Change, Configured, Delivery, Engine, Input, Past, PastKey, Step};
use remedyd::http::webhook_body::{Item, parse};

/// Nodes of the fleet.
pub const NODES: usize = 10_000;

/// What Alertmanager says around the alerts of a message.
const MESSAGE: &str = r#"{"version":"4","groupKey":"{}:{alertname=\"DmesgXidError\"}","truncatedAlerts":0,"status":"firing","receiver":"remedyd","groupLabels":{"alertname":"DmesgXidError"},"commonLabels":{"alertname":"DmesgXidError","cluster":"fleet","job":"node-problem-detector","severity":"critical"},"commonAnnotations":{"runbook_url":"https://runbooks.example.com/gpu/xid"},"externalURL":"http://alertmanager.example.com:9093","alerts":["#;

/// A node's alert: since when it fires, and when it ended, if it did.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub node: usize,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

impl Said {
    fn write(self, out: &mut String) {
        let Self { node, started_at, ended_at } = self;
        let (status, ended_at) = match ended_at {
            Some(ended_at) => ("resolved", ended_at.to_string()),
            None => ("firing", "0001-01-01T00:00:00Z".to_owned()),
        };
        let _ = write!(
            out,
            r#"{{"status":"{status}","labels":{{"alertname":"DmesgXidError","cluster":"fleet","node":"node-{node:06}","instance":"node-{node:06}:9100","job":"node-problem-detector","gpu":"{}","rack":"r{:04}","severity":"critical"}},"annotations":{{"summary":"XID on node-{node:06}","description":"NVRM: Xid (PCI:0000:4e:00): 79, pid=4711, GPU has fallen off the bus, seen in the kernel log of node-{node:06}.","runbook_url":"https://runbooks.example.com/gpu/xid"}},"startsAt":"{started_at}","endsAt":"{ended_at}","generatorURL":"http://prometheus.example.com/graph?g0.expr=increase%28problem_counter%5B5m%5D%29+%3E+0&g0.tab=1","fingerprint":"{node:016x}"}}"#,
            node % 8,
            node / 32,
        );
    }
}

/// One message of these alerts.
pub fn body(alerts: impl IntoIterator<Item = Said>) -> Vec<u8> {
    let mut out = MESSAGE.to_owned();
    for (at, alert) in alerts.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        alert.write(&mut out);
    }
    out.push_str("]}");
    out.into_bytes()
}

/// What the webhook makes of a body that fits into one chunk.
pub fn read(body: &[u8]) -> Delivery {
    let mut delivery = Delivery::new(source(), None);
    for item in parse(body).expect("it is a message") {
        match item {
            Item::Read(report) => delivery.add(report),
            Item::Dead(dead) => delivery.dead.push(dead),
        }
    }
    delivery
}

pub fn source() -> SourceId {
    SourceId::parse("main").expect("a name")
}

/// The configuration: every node, its driver, and the rules that ship.
pub fn load() -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rules.d/*.toml");
    let main = format!(
        "[storage]\npath = \"data\"\n[sources.main]\ndefault_cluster = \"fleet\"\n[inventory]\nfiles = [\"fleet.toml\"]\n\
         [policy]\nrules = [\"{}\"]\n[clusters.fleet]\nname = \"fleet\"\nact = \"rehearse\"\n[drivers.rehearse.dry_run]\n",
        rules.display()
    );
    let mut fleet = String::new();
    for node in 0..NODES {
        let _ = writeln!(
            fleet,
            "[instances.node-{node:06}]\nname = \"node-{node:06}\"\ncluster = \"fleet\"\nhost = \"host-{node:06}\"\n\
             pool = \"h100\"\naddresses = [\"10.0.{}.{}\"]",
            node / 250,
            node % 250 + 1
        );
    }
    std::fs::write(folder.path().join("remedyd.toml"), main).unwrap();
    std::fs::write(folder.path().join("fleet.toml"), fleet).unwrap();
    config::load(&folder.path().join("remedyd.toml"), &Overrides::default()).expect("it is right")
}

/// An engine, its time, and what a store would hold of the alerts that ended.
pub struct World {
    pub engine: Engine,
    now: Timestamp,
    closed: BTreeMap<Identity, Vec<Episode>>,
}

impl World {
    /// The fleet without an alert.
    pub fn new(Loaded { config, instances, .. }: &Loaded) -> Self {
        let now = Timestamp::from_micros(1_790_000_000_000_000);
        let mut world = Self { engine: Engine::new([], 1), now, closed: BTreeMap::new() };
        let (settings, clusters) = (config.settings.clone(), config.clusters.clone());
        let configured = Configured { settings, clusters, instances: instances.clone() };
        world.step(Input::Configured(Box::new(configured)));
        world.step(Input::Started);
        world
    }

    /// The time of the next step.
    pub fn now(&self) -> Timestamp {
        self.now.plus(Duration::from_micros(1))
    }

    /// These nodes' alerts begin, in messages of 64.
    pub fn fall_sick(&mut self, nodes: Range<usize>) {
        for first in nodes.clone().step_by(64) {
            let started_at = self.now();
            let message = (first..(first + 64).min(nodes.end)).map(|node| Said { node, started_at, ended_at: None });
            self.step(Input::Delivered(read(&body(message))));
        }
    }

    /// What the engine makes of an input, a microsecond after the last, and how long it took for that alone.
    pub fn step(&mut self, input: Input) -> (Step, Duration) {
        self.now = self.now();
        let past = self.past(&self.engine.wanted(self.now, &input));
        let watch = Stopwatch::start();
        let step = self.engine.step(self.now, input, past);
        let took = watch.elapsed();
        for change in &step.changes {
            if let Change::Alert(alert) = change
                && alert.resolved_at.is_some()
            {
                let closed = self.closed.entry(alert.identity).or_default();
                closed.insert(0, Episode::from(&**alert));
                closed.truncate(Past::EPISODES);
            }
        }
        (step, took)
    }

    /// Only episodes are ever asked for here.
    fn past(&self, keys: &[PastKey]) -> Past {
        let mut past = Past::default();
        for key in keys {
            if let PastKey::Episodes(identity, _) = key
                && let Some(closed) = self.closed.get(identity)
            {
                past.episodes.insert(*identity, closed.clone());
            }
        }
        past
    }
}
