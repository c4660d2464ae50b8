//! Every figure that we are held to, beside the peer that it is held against: `benches/run` runs it.
//!
//! Whoever is measured runs in a process of its own on the first CPU; everything else, this process included, shares the
//! second. CPU time and memory are read from /proc of exactly the measured process. All take turns within a round, so that
//! what else the machine does strikes all of them.

mod alertmanager;
mod curve;
mod http;
mod lists;
mod load;
mod made;
mod measured;
mod memory;
mod open;
mod plot;
mod probing;
mod ships;
mod site;
mod space;
mod start;
mod storm;
mod table;
mod trace;
mod webhook;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};
use table::Line;

/// As the daemon has it: its probes are measured in a process of this program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What was asked for.
struct Options {
    rounds: usize,
    /// How long each shape of load is sent, over all rounds.
    load: Duration,
    /// How many remediations there are at most in the rows `lists` and `curve`.
    remediations: usize,
    /// Which shapes of the row `webhook`: those whose name has this text.
    only: String,
    daemon: PathBuf,
    json: PathBuf,
    rows: Vec<String>,
}

/// What can be measured, in the order in which it is.
const ROWS: [&str; 14] = [
    "webhook", "open", "storm", "memory", "lists", "start", "space", "curve", "trace", "ships", "tcp", "http", "icmp",
    "checks",
];

fn usage() -> String {
    format!(
        "[--rounds N] [--load-seconds N] [--only SHAPE] [--remediations N] [--daemon PROGRAM] [--json FILE] [{}]…",
        ROWS.join("|")
    )
}

fn options() -> Options {
    let mut options = Options {
        rounds: 5,
        load: Duration::from_secs(60),
        remediations: 1_000_000,
        only: String::new(),
        daemon: "target/dist/remedyd".into(),
        json: "target/benches/figures.json".into(),
        rows: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word}: {}", usage()));
        match word.as_str() {
            "--rounds" => options.rounds = value().parse().expect("a number"),
            "--load-seconds" => options.load = Duration::from_secs(value().parse().expect("a number")),
            "--remediations" => options.remediations = value().parse().expect("a number"),
            "--only" => options.only = value(),
            "--daemon" => options.daemon = value().into(),
            "--json" => options.json = value().into(),
            "--bench" => {}
            row if ROWS.contains(&row) => options.rows.push(word),
            other => panic!("`{other}`: {}", usage()),
        }
    }
    options
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if probing::plays(&words) {
        return;
    }
    let options = options();
    measured::settle_on(measured::OTHERS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut all, mut report) = (Vec::new(), Map::new());
    for row in ROWS.into_iter().filter(|row| options.rows.is_empty() || options.rows.iter().any(|wanted| wanted == row))
    {
        let (lines, value) = runtime.block_on(measure(row, &options));
        println!("{}", table::text(&lines));
        all.extend(lines);
        report.insert(row.to_owned(), value);
        report.insert("table".to_owned(), all.iter().map(Line::json).collect());
        // After each row: an hour is not lost to the last one.
        if let Some(folder) = options.json.parent() {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(&options.json, serde_json::to_string_pretty(&report).unwrap()).unwrap();
    }
    println!("{}", table::markdown(&all));
    eprintln!("figures: {}", options.json.display());
}

async fn measure(row: &str, options: &Options) -> (Vec<Line>, Value) {
    let Options { rounds, load, only, remediations, daemon, .. } = options;
    match row {
        "webhook" => webhook::run(daemon, *rounds, *load, only).await,
        "open" => open::run(daemon, *rounds, *load).await,
        "storm" => storm::run(daemon, *rounds).await,
        "memory" => memory::run(daemon, *rounds).await,
        "lists" => lists::run(daemon, *rounds, *remediations).await,
        "start" => start::run(daemon, *rounds).await,
        "space" => space::run(daemon, *rounds).await,
        "curve" => curve::run(daemon, *rounds, *remediations).await,
        "trace" => trace::run(daemon, *rounds).await,
        "ships" => ships::run(daemon).await,
        "tcp" => probing::ports("tcp", *rounds).await,
        "http" => probing::ports("http", *rounds).await,
        "icmp" => probing::pings(*rounds),
        "checks" => probing::daemon(daemon).await,
        other => unreachable!("`{other}` is no row"),
    }
}
