//! The whole daemon with 10,000 nodes and three checks of each every 30 seconds: inventory, schedule, probes, engine, store.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use remedyd::clock::Stopwatch;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::super::measured::{MEASURED, Process};
use super::super::table::{Bar, Line, Spread};
use super::NODES;
use super::listener::Listener;
use super::ours::address;

const EVERY: Duration = Duration::from_secs(30);
const CHECKS: usize = 3;
/// How late 99 of 100 runs may begin, in seconds.
const LATE: f64 = 1.0;
/// In MB.
const MEMORY: f64 = 150.0;

/// What was seen.
pub struct Figures {
    span: Duration,
    runs: BTreeMap<String, f64>,
    /// Upper bounds in seconds, and how many runs began no later.
    delays: Vec<(f64, f64)>,
    cpu: Duration,
    /// The most memory while it was watched, seen each second.
    rss_bytes: u64,
    /// The most since it began: its start takes 10,000 instances in at once.
    peak_rss_bytes: u64,
}

/// Lets it run for `span`, after two rounds in which everything settles.
pub async fn run(program: &Path, span: Duration) -> Figures {
    let listener = Listener::start();
    let folder = tempfile::tempdir().unwrap();
    write_configuration(folder.path(), listener.port);
    let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = format!("--config.file={}", folder.path().join("remedyd.toml").display());
    let storage = format!("--storage.path={}", folder.path().join("data").display());
    let listen = format!("--web.listen-address={at}");
    let arguments = ["serve", &config, &storage, &listen, "--log.level=warn"];
    let process = Process::start(MEASURED, program.to_str().unwrap(), &arguments);
    eprintln!("daemon: settles for {:?}, then {span:?}", EVERY * 2);
    tokio::time::sleep(EVERY * 2).await;
    let (before, cpu_before, watch) = (metrics(at).await, process.cpu(), Stopwatch::start());
    let mut rss_bytes = 0;
    while watch.elapsed() < span {
        tokio::time::sleep(Duration::from_secs(1)).await;
        rss_bytes = process.rss_bytes_now().max(rss_bytes);
    }
    let (after, cpu, span) = (metrics(at).await, process.cpu() - cpu_before, watch.elapsed());
    let grown = |name: &str| -> Vec<(String, f64)> {
        let series = after.iter().filter(|(key, _)| key.starts_with(name));
        series.map(|(key, value)| (key.clone(), value - before.get(key).copied().unwrap_or_default())).collect()
    };
    let mut runs = BTreeMap::new();
    for (key, count) in grown("remedyd_check_runs_total{") {
        *runs.entry(label(&key, "verdict").to_owned()).or_default() += count;
    }
    let mut delays: BTreeMap<String, f64> = BTreeMap::new();
    for (key, count) in grown("remedyd_check_start_delay_seconds_bucket{") {
        *delays.entry(label(&key, "le").to_owned()).or_default() += count;
    }
    let bound = |text: &str| if text == "+Inf" { f64::INFINITY } else { text.parse().unwrap() };
    let mut delays: Vec<(f64, f64)> = delays.into_iter().map(|(le, count)| (bound(&le), count)).collect();
    delays.sort_by(|one, other| one.0.total_cmp(&other.0));
    Figures { span, runs, delays, cpu, rss_bytes, peak_rss_bytes: process.rss_bytes() }
}

impl Figures {
    fn total(&self) -> f64 {
        self.runs.values().sum()
    }

    /// The smallest bound that 99 of 100 keep.
    fn p99(&self) -> f64 {
        let all = self.delays.last().map_or(0.0, |(_, count)| *count);
        self.delays.iter().find(|(_, count)| *count >= all * 0.99).map_or(f64::INFINITY, |(bound, _)| *bound)
    }

    fn wanted(&self) -> f64 {
        (NODES * CHECKS) as f64 / EVERY.as_secs_f64()
    }

    pub fn lines(&self) -> Vec<Line> {
        let rate = self.total() / self.span.as_secs_f64();
        let one = |what: &str, bar, figure: f64| Line::new(what, bar, Bar::Shown, Spread::of([figure]));
        let cpu = self.cpu.as_secs_f64();
        let share = format!(
            "{:.1} % of a CPU, {:.1} µs a run",
            cpu / self.span.as_secs_f64() * 100.0,
            cpu * 1e6 / self.total()
        );
        let fleet = format!("{NODES} nodes × {CHECKS} checks / {} s", EVERY.as_secs());
        vec![
            one(&format!("{fleet}: runs/s"), Bar::AtLeast(0.99 * self.wanted()), rate).beside(share),
            one(&format!("{fleet}: begins late, p99 at most, s"), Bar::AtMost(LATE), self.p99())
                .beside(format!("verdicts {:?}", self.runs)),
            one(&format!("{fleet}: RSS, MB"), Bar::AtMost(MEMORY), self.rss_bytes as f64 / 1e6)
                .beside(format!("{:.1} at its start", self.peak_rss_bytes as f64 / 1e6)),
        ]
    }

    pub fn json(&self) -> Value {
        json!({
            "nodes": NODES, "checks": CHECKS, "every_seconds": EVERY.as_secs(), "seconds": self.span.as_secs_f64(),
            "runs": self.runs, "runs_per_second": self.total() / self.span.as_secs_f64(),
            "start_delay_p99_at_most_seconds": self.p99(),
            "start_delay": self.delays.iter().map(|(le, count)| json!([le.to_string(), count])).collect::<Vec<_>>(),
            "cpu_seconds": self.cpu.as_secs_f64(), "rss_bytes": self.rss_bytes, "peak_rss_bytes": self.peak_rss_bytes,
        })
    }
}

fn write_configuration(folder: &Path, port: u16) {
    let main = format!(
        r#"
[storage]
path = "data"
[sources.main]
default_cluster = "fleet"
[inventory]
files = ["fleet.toml"]
[clusters.fleet]
name = "fleet"
act = "rehearse"
[drivers.rehearse.dry_run]
[checks.port]
every = "30s"
timeout = "5s"
select = ['cluster="fleet"']
[checks.port.tcp]
port = {port}
[checks.page]
every = "30s"
timeout = "5s"
select = ['cluster="fleet"']
[checks.page.http]
url = "http://{{address}}:{port}/"
[checks.ping]
every = "30s"
timeout = "5s"
select = ['cluster="fleet"']
[checks.ping.icmp]
"#
    );
    let mut fleet = String::new();
    for node in 0..NODES {
        let _ = writeln!(
            fleet,
            "[instances.i-{node}]\nname = \"node-{node}\"\ncluster = \"fleet\"\naddresses = [\"{}\"]",
            address(node)
        );
    }
    std::fs::write(folder.join("remedyd.toml"), main).unwrap();
    std::fs::write(folder.join("fleet.toml"), fleet).unwrap();
}

/// Every series with its value.
async fn metrics(at: SocketAddr) -> BTreeMap<String, f64> {
    let stream = TcpStream::connect(at).await.unwrap_or_else(|err| panic!("the daemon does not listen: {err}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/metrics").header("Host", "127.0.0.1").body(Empty::<Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
    lines.filter_map(|(series, value)| Some((series.to_owned(), value.parse().ok()?))).collect()
}

/// The value of a label of a series.
fn label<'a>(series: &'a str, name: &str) -> &'a str {
    let start = format!("{name}=\"");
    series.split_once(&start).and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default()
}
