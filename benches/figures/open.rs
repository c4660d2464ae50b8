//! From an alert to a durable proposal that can be read, at 200 alerts a second that do not wait for one another.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use remedyd::clock::{Clock, Stopwatch};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::http::Connection;
use super::load::{one_post, quantile};
use super::site::{Daemon, Site, node};
use super::table::{Bar, Line, Spread, digits};

/// Alerts a second, each the first of its node.
const RATE: usize = 200;
/// What a turn writes of one proposal, about.
const TURN_BYTES: usize = 4096;
/// How many are under way at most: none waits for a place at this rate unless something stands still.
const CONNECTIONS: usize = 64;

/// In `rounds` rounds that together last as long as `span`.
pub async fn run(program: &Path, rounds: usize, span: Duration) -> (Vec<Line>, Value) {
    let alerts = RATE * span.as_secs() as usize / rounds;
    let (mut over, mut ours, mut syncs, mut each) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        eprintln!("open loop: round {round} of {rounds}");
        let site = Site::new(alerts, "");
        let daemon = site.start(program).await;
        // The disk before, and after: what else it does strikes both.
        let mut raw = raw_syncs(&site, alerts / 2).await;
        let micros = proposals(&daemon, alerts).await;
        raw.extend(raw_syncs(&site, alerts / 2).await);
        raw.sort_unstable();
        let open = daemon.metric("remedyd_remediations", "state=\"PENDING_APPROVAL\"").await;
        assert_eq!(open, alerts as f64, "each node has its proposal");
        let (sync, ready) = (quantile(&raw, 990), quantile(&micros, 990));
        over.push(ready - 5.0 * sync);
        ours.push(ready);
        syncs.push(sync);
        each.push(json!({ "alerts": alerts, "p50_ms": quantile(&micros, 500), "p99_ms": ready,
            "max_ms": quantile(&micros, 1000), "fdatasync_p50_ms": quantile(&raw, 500), "fdatasync_p99_ms": sync }));
    }
    let (ours, syncs) = (Spread::of(ours), Spread::of(syncs));
    let what = format!("POST → durable proposal readable, {RATE}/s: p99 less 5 × raw fdatasync p99, ms");
    let line = Line::new(what, Bar::AtMost(5.0), Bar::AtMost(1.0), Spread::of(over)).beside(format!(
        "p99 {} ms; fdatasync p99 {} ms",
        digits(ours.median),
        digits(syncs.median)
    ));
    (vec![line], json!(each))
}

/// How long each takes from the moment at which it is due until it was read, in microseconds, sorted.
async fn proposals(daemon: &Daemon, alerts: usize) -> Vec<u32> {
    // By turns: the daemon hangs up on one that says nothing within five seconds.
    let mut connections = VecDeque::new();
    for _ in 0..CONNECTIONS {
        connections.push_back(Connection::open(daemon.at).await);
    }
    let connections = Arc::new(Mutex::new(connections));
    let (clock, watch, mut runs) = (Clock::start(None), Stopwatch::start(), JoinSet::new());
    for number in 0..alerts {
        let due = Duration::from_secs(1) * number as u32 / RATE as u32;
        tokio::time::sleep(due.saturating_sub(watch.elapsed())).await;
        let request = one_post(number..number + 1, &clock.now().to_string());
        let mut connection = connections.lock().await.pop_front().expect("a connection is free");
        let connections = connections.clone();
        runs.spawn(async move {
            assert_eq!(connection.tell(&request).await, 200);
            let path = format!("/api/v1/remediations?instance_id={}&state=PENDING_APPROVAL", node(number));
            loop {
                let (status, body) = connection.get(&path).await;
                let body: Value = serde_json::from_slice(&body).unwrap();
                if status == 200 && body["remediations"].as_array().is_some_and(|rows| rows.len() == 1) {
                    break;
                }
            }
            let took = (watch.elapsed() - due).as_micros() as u32;
            connections.lock().await.push_back(connection);
            took
        });
    }
    let mut micros = runs.join_all().await;
    micros.sort_unstable();
    micros
}

/// Turns written over zeros as the journal's are, synced as often as there are alerts: how long each took, in microseconds.
async fn raw_syncs(site: &Site, count: usize) -> Vec<u32> {
    let file = File::create(site.path("raw")).unwrap();
    let turn = [0x5A; TURN_BYTES];
    file.write_all_at(&vec![0; TURN_BYTES * count], 0).unwrap();
    file.sync_all().unwrap();
    let (watch, mut micros) = (Stopwatch::start(), Vec::new());
    for number in 0..count {
        let due = Duration::from_secs(1) * number as u32 / RATE as u32;
        tokio::time::sleep(due.saturating_sub(watch.elapsed())).await;
        file.write_all_at(&turn, (number * TURN_BYTES) as u64).unwrap();
        let begin = watch.elapsed();
        file.sync_data().unwrap();
        micros.push((watch.elapsed() - begin).as_micros() as u32);
    }
    micros
}
