//! Memory at rest: of an empty daemon, and with many nodes that each have an alert, beside Alertmanager with as many alerts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::alertmanager::Alertmanager;
use super::load::{Load, Peer};
use super::measured::Process;
use super::site::Site;
use super::table::{Bar, Line, Spread, digits};

/// Nodes and alerts, and how many MB that may take.
const SIZES: [(usize, f64); 3] = [(0, 25.0), (10_000, 70.0), (100_000, 250.0)];
/// Alerts in a post.
const TOGETHER: usize = 64;
/// How long nothing comes before memory is looked at: each of the two gives back what it no longer needs after a while.
const REST: Duration = Duration::from_secs(30);

/// Each size, in `rounds` rounds.
pub async fn run(program: &Path, rounds: usize) -> (Vec<Line>, Value) {
    let (mut lines, mut all) = (Vec::new(), Vec::new());
    for (nodes, bar) in SIZES {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            eprintln!("memory with {nodes} nodes: round {round} of {rounds}");
            let (of_ours, of_theirs) = both(program, nodes).await;
            ours.push(of_ours);
            theirs.push(of_theirs);
        }
        all.push(json!({ "nodes": nodes, "remedyd_megabytes": ours, "alertmanager_megabytes": theirs }));
        let theirs = digits(Spread::of(theirs).median);
        let what = format!("RSS at rest, {nodes} nodes and alerts, MB");
        lines.push(
            Line::new(what, Bar::AtMost(bar), Bar::Shown, Spread::of(ours)).beside(format!("Alertmanager {theirs}")),
        );
    }
    (lines, json!(all))
}

/// The one beside the other after both have done what they may still have to do, in MB.
async fn both(program: &Path, nodes: usize) -> (f64, f64) {
    let site = Site::new(nodes, "");
    let daemon = site.start(program).await;
    let load = Arc::new(Load::new(Peer::Remedyd, daemon.at, nodes, TOGETHER));
    assert_eq!(load.send_all().await.refused, 0);
    daemon.catch_up().await;
    let proposals = daemon.metric("remedyd_remediations", "state=\"PENDING_APPROVAL\"").await;
    assert_eq!(proposals, nodes as f64, "each node has its proposal");

    let peer = Alertmanager::start().await;
    let load = Arc::new(Load::new(Peer::Alertmanager, peer.at, nodes, TOGETHER));
    assert_eq!(load.send_all().await.refused, 0);

    tokio::time::sleep(REST).await;
    let megabytes = |process: &Process| process.rss_bytes_now() as f64 / 1e6;
    (megabytes(&daemon.process), megabytes(&peer.process))
}
