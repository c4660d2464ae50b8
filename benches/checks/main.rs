//! Active checks beside those of blackbox_exporter and fping, and a whole daemon with 10,000 nodes: `benches/run` runs it.
//!
//! Whoever is measured runs in a process of its own on the first CPU; everything else, this process included, shares the
//! second. CPU time and memory are read from /proc of exactly the measured process. All take turns within a round, so that
//! what else the machine does strikes all of them.

mod blackbox;
mod daemon;
mod fping;
mod listener;
mod measured;
mod ours;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use report::Report;

/// Runs in flight at once, over TCP and HTTP.
const CONCURRENCY: usize = 64;
/// Nodes.
const NODES: usize = 10_000;

/// What was asked for.
struct Options {
    rounds: usize,
    seconds: u64,
    minutes: u64,
    daemon: PathBuf,
    json: PathBuf,
    rows: Vec<String>,
}

const USAGE: &str =
    "[--rounds N] [--seconds N] [--minutes N] [--daemon PROGRAM] [--json FILE] [tcp|http|icmp|daemon …]";

fn options() -> Options {
    let mut options = Options {
        rounds: 5,
        seconds: 3,
        minutes: 2,
        daemon: "target/release/remedyd".into(),
        json: "target/benches/checks.json".into(),
        rows: Vec::new(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().expect(USAGE);
        match word.as_str() {
            "--rounds" => options.rounds = value().parse().expect(USAGE),
            "--seconds" => options.seconds = value().parse().expect(USAGE),
            "--minutes" => options.minutes = value().parse().expect(USAGE),
            "--daemon" => options.daemon = value().into(),
            "--json" => options.json = value().into(),
            "--bench" => {}
            "tcp" | "http" | "icmp" | "daemon" => options.rows.push(word),
            other => panic!("`{other}`: {USAGE}"),
        }
    }
    options
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["as-prober", kind, port, seconds] => {
            return ours::prober(kind, port.parse().unwrap(), Duration::from_secs(seconds.parse().unwrap()));
        }
        ["as-pinger", packets, file] => return ours::pinger(packets.parse().unwrap(), file),
        ["as-listener"] => return listener::listen(),
        _ => {}
    }
    let options = options();
    let is_wanted = |row: &str| options.rows.is_empty() || options.rows.iter().any(|wanted| wanted == row);
    measured::settle_on(measured::OTHERS);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut report = Report::default();
    let span = Duration::from_secs(options.seconds);
    runtime.block_on(async {
        for kind in ["tcp", "http"].into_iter().filter(|kind| is_wanted(kind)) {
            let listener = listener::Listener::start();
            let exporter = blackbox::Exporter::start(kind);
            for round in 1..=options.rounds {
                eprintln!("{kind}: round {round} of {}", options.rounds);
                report.add(kind, "remedyd", ours::checks(kind, listener.port, span));
                let theirs = exporter.checks(listener.port, span).await;
                report.add(kind, "blackbox_exporter", theirs);
                report.add(kind, "blackbox_exporter's front alone", exporter.front(span, theirs.checks).await);
            }
        }
    });
    if is_wanted("icmp") {
        for (row, packets, silent) in
            [("icmp", 1, 0), ("icmp, 10 % silent", 1, 1_000), ("icmp, 3 packets, 10 % silent", 3, 1_000)]
        {
            let targets = fping::Targets::write(NODES, silent);
            for round in 1..=options.rounds {
                eprintln!("{row}: round {round} of {}", options.rounds);
                report.add(row, "remedyd", ours::sweep(&targets, packets));
                report.add(row, "fping", fping::sweep(&targets, packets));
            }
        }
    }
    println!("{}", report.table());
    let mut json = report.json();
    if is_wanted("daemon") {
        let figures = runtime.block_on(daemon::run(&options.daemon, Duration::from_secs(60 * options.minutes)));
        println!("{}", figures.text());
        json["daemon"] = figures.json();
    }
    if let Some(folder) = options.json.parent() {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(&options.json, serde_json::to_string_pretty(&json).unwrap()).unwrap();
    eprintln!("figures: {}", options.json.display());
}
