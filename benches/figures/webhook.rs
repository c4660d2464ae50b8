//! Durable alerts per second beside Alertmanager, which keeps them in memory: four shapes of posts, with and without change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::alertmanager::Alertmanager;
use super::load::{Load, Peer, Sent};
use super::site::Site;
use super::table::{Bar, Line, Spread, digits};

/// Nodes, each with an alert that fires.
const NODES: usize = 10_000;

/// How the alerts come, and what must hold of it beside Alertmanager.
struct Shape {
    together: usize,
    in_flight: usize,
    rate: (f64, f64),
    p99: f64,
}

const SHAPES: [Shape; 4] = [
    Shape { together: 1, in_flight: 16, rate: (1.1, 1.35), p99: 0.4 },
    Shape { together: 1, in_flight: 256, rate: (1.8, 2.6), p99: 0.5 },
    Shape { together: 10, in_flight: 64, rate: (3.0, 5.0), p99: 0.2 },
    Shape { together: 64, in_flight: 16, rate: (3.0, 6.0), p99: 0.25 },
];

/// What changes of 1,000 alerts at each sending.
const TRAFFIC: [(&str, usize); 2] = [("repeats", 0), ("5 % churn", 50)];

/// What one of them came to.
struct Side {
    sent: Sent,
    /// Of the measured process.
    cpu: Duration,
}

impl Side {
    fn alerts_per_second(&self) -> f64 {
        self.sent.alerts_per_second()
    }

    /// In milliseconds.
    fn p99(&self) -> f64 {
        self.sent.millis(990)
    }

    /// In microseconds.
    fn cpu_per_alert(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.sent.alerts as f64
    }
}

/// Each side of each round, in the order of the shapes.
#[derive(Default)]
struct Rounds {
    ours: Vec<Side>,
    theirs: Vec<Side>,
    lag_seconds: Vec<f64>,
}

/// All shapes, in `rounds` rounds that together last as long as `span` for each.
/// Only shapes whose name contains `only`.
pub async fn run(program: &Path, rounds: usize, span: Duration, only: &str) -> (Vec<Line>, Value) {
    let (mut lines, mut all) = (Vec::new(), Vec::new());
    for (traffic, churn) in TRAFFIC {
        for shape in &SHAPES {
            let name = format!("{}/{}, {traffic}", shape.together, shape.in_flight);
            if !name.contains(only) {
                continue;
            }
            let mut of = Rounds::default();
            for round in 1..=rounds {
                eprintln!("webhook {name}: round {round} of {rounds}");
                of.round(program, shape, churn, span / rounds as u32).await;
            }
            lines.extend(of.lines(&name, shape));
            all.push(json!({ "shape": name, "remedyd": told(&of.ours), "alertmanager": told(&of.theirs),
                "seconds_until_applied": of.lag_seconds }));
        }
    }
    (lines, json!(all))
}

impl Rounds {
    /// Both with a store of their own that already knows every alert, one after the other.
    async fn round(&mut self, program: &Path, shape: &Shape, churn: usize, span: Duration) {
        let site = Site::new(NODES, "");
        let daemon = site.start(program).await;
        let load = Arc::new(Load::new(Peer::Remedyd, daemon.at, NODES, shape.together));
        load.send_all().await;
        daemon.catch_up().await;
        let stored = daemon.metric("remedyd_alerts_stored_total", "").await;
        let before = daemon.process.cpu();
        let sent = load.send_for(shape.in_flight, churn, span).await;
        let cpu = daemon.process.cpu() - before;
        self.lag_seconds.push(daemon.catch_up().await.as_secs_f64());
        // It counts only if everything was joined, judged and proposed, and nothing was refused or put aside.
        let received = daemon.metric("remedyd_alerts_received_total", "").await;
        assert_eq!(sent.refused, 0, "posts were refused");
        assert!(received >= (NODES as f64) + sent.alerts as f64, "{received} of {} arrived", sent.alerts);
        let changed = daemon.metric("remedyd_alerts_stored_total", "").await - stored;
        let expected = sent.alerts as f64 * churn as f64 / 1000.0;
        assert!(changed >= expected * 0.9, "{changed} alerts changed, not {expected}");
        assert_eq!(daemon.metric("remedyd_alerts_dead_lettered_total", "").await, 0.0);
        assert_eq!(daemon.metric("remedyd_alerts_unjoined", "").await, 0.0, "alerts were not joined");
        let proposals = daemon.metric("remedyd_remediations", "state=\"PENDING_APPROVAL\"").await;
        assert_eq!(proposals, NODES as f64, "each node has its proposal");
        self.ours.push(Side { sent, cpu });
        drop(daemon);

        let peer = Alertmanager::start().await;
        let load = Arc::new(Load::new(Peer::Alertmanager, peer.at, NODES, shape.together));
        load.send_all().await;
        let before = peer.process.cpu();
        let sent = load.send_for(shape.in_flight, churn, span).await;
        let cpu = peer.process.cpu() - before;
        assert_eq!(sent.refused, 0, "Alertmanager refused posts");
        self.theirs.push(Side { sent, cpu });
    }

    fn lines(&self, name: &str, shape: &Shape) -> Vec<Line> {
        let ratio = |of: fn(&Side) -> f64| Spread::of(self.ours.iter().zip(&self.theirs).map(|(a, b)| of(a) / of(b)));
        let median = |sides: &[Side], of: fn(&Side) -> f64| digits(Spread::of(sides.iter().map(of)).median);
        let beside = |of: fn(&Side) -> f64, unit: &str| {
            format!("{} {unit}; Alertmanager {}", median(&self.ours, of), median(&self.theirs, of))
        };
        let lag = Spread::of(self.lag_seconds.iter().copied()).most;
        let (bar, reach) = shape.rate;
        let (rate, p99) = (ratio(Side::alerts_per_second), ratio(Side::p99));
        let applied = format!("applied {} s after the end", digits(lag));
        vec![
            Line::new(format!("alerts/s ÷ Alertmanager's, {name}"), Bar::AtLeast(bar), Bar::AtLeast(reach), rate)
                .beside(format!("{}; {applied}", beside(Side::alerts_per_second, "alerts/s"))),
            Line::new(
                format!("p99 ÷ Alertmanager's, {name}"),
                Bar::AtMost(shape.p99),
                Bar::AtMost(shape.p99 / 2.0),
                p99,
            )
            .beside(beside(Side::p99, "ms")),
            Line::new(
                format!("CPU per alert ÷ Alertmanager's, {name}"),
                Bar::Shown,
                Bar::Shown,
                ratio(Side::cpu_per_alert),
            )
            .beside(beside(Side::cpu_per_alert, "µs")),
        ]
    }
}

fn told(rounds: &[Side]) -> Value {
    let round = |side: &Side| {
        let sent = &side.sent;
        json!({
            "alerts": sent.alerts, "seconds": sent.wall.as_secs_f64(), "alerts_per_second": sent.alerts_per_second(),
            "p50_ms": sent.millis(500), "p99_ms": sent.millis(990), "p999_ms": sent.millis(999),
            "cpu_seconds": side.cpu.as_secs_f64(),
        })
    };
    rounds.iter().map(round).collect()
}
