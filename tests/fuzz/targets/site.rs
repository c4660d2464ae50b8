//! A small site for the targets that need an engine behind what they read: the shipped configuration, and the rows that
//! the engine has written so far.

#[path = "../../rows/mod.rs"]
mod rows;

use std::path::Path;

use remedyd::config::{self, Loaded, Overrides};
use remedyd::domain::{SourceId, Timestamp};
use remedyd::engine::{Configured, Delivery, Engine, Input, Reply};
use remedyd::http::webhook_body::{Item, parse};
use rows::Rows;

/// An engine with its rows, as a writer and a store would hold them.
pub struct Site {
    engine: Engine,
    second: i64,
    pub rows: Rows,
}

/// The configuration that ships.
pub fn shipped() -> Loaded {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/remedyd.toml");
    config::load(&file, &Overrides::default()).expect("what ships is right")
}

/// Inside the years in which the wire's own times lie.
fn at(second: i64) -> Timestamp {
    Timestamp::from_micros((1_790_000_000 + second) * 1_000_000)
}

/// The alerts of a message, as its source `main` delivers them; nothing where it cannot be read.
pub fn read(body: &[u8]) -> Option<Delivery> {
    let source = SourceId::parse("main").expect("a name");
    let mut delivery = Delivery::new(source, None);
    for item in parse(body).ok()? {
        match item {
            Item::Read(report) => delivery.add(report),
            Item::Dead(dead) => delivery.dead.push(dead),
        }
    }
    Some(delivery)
}

/// Delivers a message that can be read, and says how many alerts were counted.
pub fn deliver(site: &mut Site, second: i64, delivery: Delivery) -> u64 {
    match site.step(second, Input::Delivered(delivery)) {
        Reply::Received { stored, merged, dead_lettered } => stored + merged + dead_lettered,
        other => panic!("a delivery is answered with counts, not {other:?}"),
    }
}

impl Site {
    /// A site with `config`, in the first second.
    pub fn new(Loaded { config, instances, .. }: &Loaded) -> Self {
        let mut site = Self { engine: Engine::new([], 1), second: 1, rows: Rows::default() };
        let (settings, clusters) = (config.settings.clone(), config.clusters.clone());
        let configured = Configured { settings, clusters, instances: instances.clone() };
        site.step(1, Input::Configured(Box::new(configured)));
        site.step(1, Input::Started);
        site
    }

    /// Takes an input; what memory holds then must be the fold of the rows.
    pub fn step(&mut self, second: i64, input: Input) -> Reply {
        let now = at(second);
        self.second = second;
        let past = self.rows.past(&self.engine.wanted(now, &input));
        let step = self.engine.step(now, input, past);
        for change in &step.changes {
            self.rows.write(change);
        }
        step.reply
    }

    /// The time of the last step.
    pub fn now(&self) -> Timestamp {
        at(self.second)
    }

    /// Whether an engine that starts from the rows remembers the same.
    pub fn would_start_alike(&self) -> bool {
        Engine::new(self.rows.live(), 2).memory() == self.engine.memory()
    }
}
