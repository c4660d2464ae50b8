//! Active checks beside those of blackbox_exporter and fping, and a whole daemon with 10,000 nodes.

mod blackbox;
mod daemon;
mod fping;
mod listener;
mod ours;
mod report;

use std::path::Path;
use std::time::Duration;

use report::Report;
use serde_json::Value;

use super::table::Line;

/// Runs in flight at once, over TCP and HTTP.
const CONCURRENCY: usize = 64;
/// Nodes.
const NODES: usize = 10_000;
/// How long each side of a round checks over TCP or HTTP.
const SPAN: Duration = Duration::from_secs(3);
/// How long the whole daemon is watched.
const WATCHED: Duration = Duration::from_secs(120);

/// Plays a part in one of these rows, if that is what this process was started for.
pub fn plays(words: &[&str]) -> bool {
    match words {
        ["as-prober", kind, port, seconds] => {
            ours::prober(kind, port.parse().unwrap(), Duration::from_secs(seconds.parse().unwrap()));
        }
        ["as-pinger", packets, file] => ours::pinger(packets.parse().unwrap(), file),
        ["as-listener"] => listener::listen(),
        _ => return false,
    }
    true
}

/// Checks over TCP or HTTP, beside blackbox_exporter.
pub async fn ports(kind: &'static str, rounds: usize) -> (Vec<Line>, Value) {
    let mut report = Report::default();
    let listener = listener::Listener::start();
    let exporter = blackbox::Exporter::start(kind);
    for round in 1..=rounds {
        eprintln!("{kind}: round {round} of {rounds}");
        report.add(kind, "remedyd", ours::checks(kind, listener.port, SPAN));
        let theirs = exporter.checks(listener.port, SPAN).await;
        report.add(kind, "blackbox_exporter", theirs);
        report.add(kind, "blackbox_exporter's front alone", exporter.front(SPAN, theirs.checks).await);
    }
    (report.lines(), report.json())
}

/// Pings beside fping.
pub fn pings(rounds: usize) -> (Vec<Line>, Value) {
    let mut report = Report::default();
    for (row, packets, silent) in
        [("icmp", 1, 0), ("icmp, 10 % silent", 1, 1_000), ("icmp, 3 packets, 10 % silent", 3, 1_000)]
    {
        let targets = fping::Targets::write(NODES, silent);
        for round in 1..=rounds {
            eprintln!("{row}: round {round} of {rounds}");
            report.add(row, "remedyd", ours::sweep(&targets, packets));
            report.add(row, "fping", fping::sweep(&targets, packets));
        }
    }
    (report.lines(), report.json())
}

/// A whole daemon.
pub async fn daemon(program: &Path) -> (Vec<Line>, Value) {
    let figures = daemon::run(program, WATCHED).await;
    (figures.lines(), figures.json())
}
