//! Many nodes at once: how long until everything is decided, what it costs, and whether people are still served.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use remedyd::clock::{Clock, Stopwatch};
use serde_json::{Value, json};

use super::http::Connection;
use super::load::{Load, Peer, one_post, quantile};
use super::site::{Daemon, Site, wait};
use super::table::{Bar, Line, Spread};

/// What may be in flight at once by default, in a cluster of any size here.
const IN_FLIGHT: f64 = 3.0;
/// Nodes that were sick before, whose proposals are approved meanwhile.
const BEFORE: usize = 100;
/// Alerts of the one large body.
const BODY: usize = 20_000;
/// How often somebody approves.
const APPROVES_EVERY: Duration = Duration::from_millis(20);

/// What came of one storm.
#[derive(Default)]
struct Storm {
    /// Until every node had its proposal.
    decided: f64,
    /// Until what had been posted was acknowledged.
    acknowledged: f64,
    /// How long approvals took, in microseconds, sorted.
    approvals: Vec<u32>,
    /// The most that were in flight at once.
    in_flight: f64,
    peak_mebibytes: f64,
}

/// Storms of 200 and of 10,000 nodes, and one body of 20,000 alerts.
pub async fn run(program: &Path, rounds: usize) -> (Vec<Line>, Value) {
    let (mut small, mut large, mut body) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        eprintln!("storm: round {round} of {rounds}");
        small.push(storm(program, 200, 64).await);
        large.push(storm(program, 10_000, 64).await);
        body.push(storm(program, BODY, BODY).await);
    }
    let of = |storms: &[Storm], figure: fn(&Storm) -> f64| Spread::of(storms.iter().map(figure));
    let approve: fn(&Storm) -> f64 = |storm| quantile(&storm.approvals, 990);
    let count = |storms: &[Storm]| storms.iter().map(|storm| storm.approvals.len()).sum::<usize>();
    let cap = |storms: &[Storm]| format!("at most {} in flight", of(storms, |storm| storm.in_flight).most);
    let lines = vec![
        Line::new("200 nodes: all decided, s", Bar::AtMost(0.5), Bar::AtMost(0.17), of(&small, |storm| storm.decided)),
        Line::new(
            "10,000 nodes: all decided, s",
            Bar::AtMost(5.0),
            Bar::AtMost(1.7),
            of(&large, |storm| storm.decided),
        )
        .beside(cap(&large)),
        Line::new(
            "10,000 nodes: approve p99 meanwhile, ms",
            Bar::AtMost(200.0),
            Bar::AtMost(67.0),
            of(&large, approve),
        )
        .beside(format!("{} approvals", count(&large))),
        Line::new(
            "one body of 20,000 alerts: acknowledged, s",
            Bar::AtMost(2.0),
            Bar::AtMost(0.67),
            of(&body, |storm| storm.acknowledged),
        )
        .beside(cap(&body)),
        Line::new(
            "one body of 20,000 alerts: RSS at its peak, MiB",
            Bar::AtMost(256.0),
            Bar::Shown,
            of(&body, |storm| storm.peak_mebibytes),
        ),
        Line::new(
            "one body of 20,000 alerts: approve p99 meanwhile, ms",
            Bar::AtMost(200.0),
            Bar::AtMost(67.0),
            of(&body, approve),
        )
        .beside(format!("{} approvals", count(&body))),
    ];
    let told = |storms: &[Storm]| -> Value {
        let one = |storm: &Storm| {
            json!({
                "decided_seconds": storm.decided, "acknowledged_seconds": storm.acknowledged,
                "approvals": storm.approvals.len(), "approve_p50_ms": quantile(&storm.approvals, 500),
                "approve_p99_ms": quantile(&storm.approvals, 990), "in_flight_at_most": storm.in_flight,
                "peak_mebibytes": storm.peak_mebibytes,
            })
        };
        storms.iter().map(one).collect()
    };
    (lines, json!({ "200": told(&small), "10000": told(&large), "body": told(&body) }))
}

/// `nodes` nodes fall sick at once, `together` of them in a post; some were sick before, and a person approves those.
async fn storm(program: &Path, nodes: usize, together: usize) -> Storm {
    let site = Site::new(BEFORE + nodes, "");
    let daemon = site.start(program).await;
    let now = Clock::start(None).now().to_string();
    // Bodies are made before the clock runs.
    let posts: Vec<Vec<u8>> = (BEFORE..BEFORE + nodes)
        .step_by(together)
        .map(|first| one_post(first..(first + together).min(BEFORE + nodes), &now))
        .collect();
    let before = Arc::new(Load::new(Peer::Remedyd, daemon.at, BEFORE, BEFORE));
    before.send_all().await;
    let waiting = proposals(&daemon).await;
    let (is_over, watch) = (AtomicBool::new(false), Stopwatch::start());
    let everything = async {
        let answers = posts_of(&daemon, &posts).await;
        let acknowledged = watch.elapsed();
        assert!(answers.iter().all(|status| *status == 200), "a post was refused");
        wait(|| async {
            let opened = daemon.metric("remedyd_remediations_opened_total", "").await;
            opened == (BEFORE + nodes) as f64
        })
        .await;
        let decided = watch.elapsed();
        is_over.store(true, Ordering::Relaxed);
        (acknowledged.as_secs_f64(), decided.as_secs_f64())
    };
    let ((acknowledged, decided), approvals, in_flight) =
        tokio::join!(everything, approve(&daemon, waiting, &is_over), most_in_flight(&daemon, &is_over));
    Storm {
        decided,
        acknowledged,
        approvals,
        in_flight,
        peak_mebibytes: daemon.process.rss_bytes() as f64 / f64::from(1 << 20),
    }
}

/// Posts all, four at a time.
async fn posts_of(daemon: &Daemon, posts: &[Vec<u8>]) -> Vec<u16> {
    let lane = |lane: usize| async move {
        let (mut connection, mut answers) = (Connection::open(daemon.at).await, Vec::new());
        for post in posts.iter().skip(lane).step_by(4) {
            answers.push(connection.tell(post).await);
        }
        answers
    };
    let (one, two, three, four) = tokio::join!(lane(0), lane(1), lane(2), lane(3));
    [one, two, three, four].concat()
}

/// What waits for a person: where it is approved, and the version that is.
async fn proposals(daemon: &Daemon) -> Vec<(String, String)> {
    let page = daemon.get("/api/v1/remediations?state=PENDING_APPROVAL&page_size=1000").await;
    let rows = page["remediations"].as_array().unwrap();
    assert_eq!(rows.len(), BEFORE);
    let approval = |row: &Value| {
        let path = format!("/api/v1/remediations/{}/approve", row["id"].as_str().unwrap());
        (path, json!({ "version": row["version"] }).to_string())
    };
    rows.iter().map(approval).collect()
}

/// Approves one after the other until it is over: in microseconds, sorted, how long each took.
async fn approve(daemon: &Daemon, waiting: Vec<(String, String)>, is_over: &AtomicBool) -> Vec<u32> {
    let (mut connection, mut micros) = (Connection::open(daemon.at).await, Vec::new());
    for (path, body) in waiting {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        let watch = Stopwatch::start();
        let (status, body) = connection.post(&path, body.as_bytes()).await;
        micros.push(watch.elapsed().as_micros() as u32);
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        tokio::time::sleep(APPROVES_EVERY).await;
    }
    micros.sort_unstable();
    micros
}

/// Looks until it is over; more than the limit is an error, and so is nothing at all where somebody approved.
async fn most_in_flight(daemon: &Daemon, is_over: &AtomicBool) -> f64 {
    let mut most = 0.0;
    while !is_over.load(Ordering::Relaxed) {
        let now = daemon.metric("remedyd_in_flight", "cluster=\"fleet\"").await;
        assert!(now <= IN_FLIGHT, "{now} were in flight at once");
        most = f64::max(most, now);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    most
}
