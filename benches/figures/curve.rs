//! What more costs: ten times the nodes and alerts, ten times the remediations, as a table and as a plot.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::lists::{Pages, by_cluster, scrubbed};
use super::load::{Load, Peer};
use super::made::{FLEET, Made, size_of, stop};
use super::plot::{self, Panel};
use super::site::Site;
use super::table::{Bar, Line, Spread, digits};

/// Nodes, each with an alert and a proposal.
const NODES: [usize; 3] = [1_000, 10_000, 100_000];
/// Remediations that ended, of a fleet of 10,000 nodes without alerts.
const REMEDIATIONS: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Alerts in a post.
const TOGETHER: usize = 64;
/// Up to so many, the store is scrubbed before memory is looked at; with more that takes minutes.
const SCRUBBED: usize = 10_000;

/// One column of a table: what it is, and what came of each size in each round.
struct Column {
    name: &'static str,
    values: Vec<Vec<f64>>,
}

/// One table: how many of what.
struct Curve {
    of: &'static str,
    sizes: Vec<usize>,
    columns: Vec<Column>,
}

impl Curve {
    fn new<const N: usize>(of: &'static str, sizes: &[usize], names: [&'static str; N]) -> Self {
        let columns = names.map(|name| Column { name, values: vec![Vec::new(); sizes.len()] });
        Self { of, sizes: sizes.to_vec(), columns: columns.into() }
    }

    fn add<const N: usize>(&mut self, size: usize, round: [f64; N]) {
        for (column, value) in self.columns.iter_mut().zip(round) {
            column.values[size].push(value);
        }
    }

    fn median(&self, column: &Column, size: usize) -> f64 {
        Spread::of(column.values[size].iter().copied()).median
    }

    /// As a table of Markdown, a line for each size.
    fn markdown(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        let mut out = format!("| {} | {} |\n|---:|{}\n", self.of, names.join(" | "), "---:|".repeat(names.len()));
        for (at, size) in self.sizes.iter().enumerate() {
            let values: Vec<String> = self.columns.iter().map(|column| digits(self.median(column, at))).collect();
            let _ = writeln!(out, "| {} | {} |", thousands(*size), values.join(" | "));
        }
        out
    }

    fn panels(&self) -> impl Iterator<Item = Panel> {
        self.columns.iter().map(|column| Panel {
            title: format!("{}, by {}", column.name, self.of),
            points: (0..self.sizes.len()).map(|at| (self.sizes[at] as f64, self.median(column, at))).collect(),
        })
    }

    fn lines(&self) -> impl Iterator<Item = Line> {
        self.columns.iter().map(|column| {
            let last = self.sizes.len() - 1;
            let what = format!("{}, {} {}", column.name, thousands(self.sizes[last]), self.of);
            let smaller: Vec<String> = (0..last)
                .map(|at| format!("{} at {}", digits(self.median(column, at)), thousands(self.sizes[at])))
                .collect();
            let figure = Spread::of(column.values[last].iter().copied());
            Line::new(what, Bar::Shown, Bar::Shown, figure).beside(smaller.join(", "))
        })
    }

    fn json(&self) -> Value {
        let columns = self.columns.iter().map(|column| json!({ "name": column.name, "rounds": column.values }));
        json!({ "of": self.of, "sizes": self.sizes, "columns": columns.collect::<Value>() })
    }
}

/// `1,000,000`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// Both curves in all rounds, up to `most` remediations. The plot goes to `benches/figures.svg`; the tables are `markdown` in the value.
pub async fn run(program: &Path, rounds: usize, most: usize) -> (Vec<Line>, Value) {
    let names = ["ingest, s", "ingest, alerts/s", "RSS at rest, MB", "sled, MB", "journal, MB", "start, s"];
    let mut alerts = Curve::new("nodes and alerts", &NODES, names);
    let names = ["list page, p99 ms", "start, s", "RSS at rest, MB", "sled, MB", "journal, MB"];
    let sizes: Vec<usize> = REMEDIATIONS.into_iter().filter(|size| *size <= most).collect();
    let mut remediations = Curve::new("remediations", &sizes, names);
    for round in 1..=rounds {
        for (at, nodes) in NODES.into_iter().enumerate() {
            eprintln!("curve, {nodes} nodes and alerts: round {round} of {rounds}");
            alerts.add(at, with_alerts(program, nodes).await);
        }
    }
    for (at, count) in sizes.into_iter().enumerate() {
        let made = Made::of(program, count).await;
        let site = Site::new(FLEET, "");
        made.place(&site);
        for round in 1..=rounds {
            eprintln!("curve, {count} remediations: round {round} of {rounds}");
            remediations.add(at, with_remediations(program, &site, count).await);
        }
    }
    let plot = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/figures.svg");
    let panels: Vec<Panel> = alerts.panels().chain(remediations.panels()).collect();
    plot::write(&plot, &panels);
    let markdown = format!("{}\n{}", alerts.markdown(), remediations.markdown());
    eprintln!("{markdown}");
    let lines = alerts.lines().chain(remediations.lines()).collect();
    let curves = [alerts.json(), remediations.json()];
    (lines, json!({ "curves": curves, "markdown": markdown, "plot": "benches/figures.svg" }))
}

/// Each alert once into an empty store; then its memory, its size after a stop, and a start with all of them.
async fn with_alerts(program: &Path, nodes: usize) -> [f64; 6] {
    let site = Site::new(nodes, "");
    let daemon = site.start(program).await;
    let sent = Arc::new(Load::new(Peer::Remedyd, daemon.at, nodes, TOGETHER)).send_all().await;
    assert_eq!((sent.refused, sent.alerts), (0, nodes as u64), "every alert was taken");
    daemon.catch_up().await;
    let is_whole = async |daemon: &super::site::Daemon| {
        let proposals = daemon.metric("remedyd_remediations", "state=\"PENDING_APPROVAL\"").await;
        assert_eq!(proposals, nodes as f64, "each node has its proposal");
    };
    is_whole(&daemon).await;
    let megabytes = daemon.resting_megabytes().await;
    stop(daemon).await;
    let (sled, journal) = sizes(&site);
    let daemon = site.start(program).await;
    is_whole(&daemon).await;
    let ready = daemon.ready.as_secs_f64();
    [sent.wall.as_secs_f64(), sent.alerts_per_second(), megabytes, sled, journal, ready]
}

/// A start after a stop with a store that is there already, its list by cluster, and its memory.
async fn with_remediations(program: &Path, site: &Site, count: usize) -> [f64; 5] {
    let daemon = site.start(program).await;
    let ready = daemon.ready.as_secs_f64();
    daemon.catch_up().await;
    if count <= SCRUBBED {
        scrubbed(&daemon).await;
        let rows = daemon.metric("remedyd_store_rows", "kind=\"remediation\"").await;
        assert_eq!(rows, count as f64, "every remediation is there");
    }
    let took = Pages::find(&daemon, &by_cluster(), count).await.ask(&daemon).await;
    let megabytes = daemon.resting_megabytes().await;
    stop(daemon).await;
    let (sled, journal) = sizes(site);
    [took.p99(), ready, megabytes, sled, journal]
}

/// sled and the journal of a stopped store, in MB on the disk.
fn sizes(site: &Site) -> (f64, f64) {
    let megabytes = |part: &str| size_of(&site.data().join(part)).on_disk as f64 / 1e6;
    (megabytes("sled"), megabytes("journal"))
}
