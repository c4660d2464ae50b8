//! A daemon with a fleet of its own, and what it says of itself.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use remedyd::clock::Stopwatch;
use serde_json::Value;
use tempfile::TempDir;

use super::http::Connection;
use super::measured::{MEASURED, Process};

/// The longest that anything here may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a configuration for `nodes` nodes of the cluster `fleet`.
pub struct Site {
    folder: TempDir,
}

/// The name of a node, as alerts say it and as its instance's id.
pub fn node(number: usize) -> String {
    format!("node-{number:06}")
}

impl Site {
    /// Every node proposes a repair when `DmesgGpuFallenOffBus` fires, by the rules that ship. `more` is added to the main
    /// file.
    pub fn new(nodes: usize, more: &str) -> Self {
        // Beside the build, where there is a disk: what /tmp lies on may be memory, and would make every sync free.
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/benches");
        std::fs::create_dir_all(&target).unwrap();
        let folder = tempfile::tempdir_in(target).unwrap();
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rules.d/*.toml");
        let main = format!(
            r#"
[storage]
path = "data"
[sources.main]
default_cluster = "fleet"
[inventory]
files = ["fleet.toml"]
[policy]
rules = ["{}"]
[clusters.fleet]
name = "fleet"
act = "rehearse"
[drivers.rehearse.dry_run]
{more}
"#,
            rules.display()
        );
        let mut fleet = String::new();
        for number in 0..nodes {
            let _ = writeln!(
                fleet,
                "[instances.{0}]\nname = \"{0}\"\ncluster = \"fleet\"\nhost = \"host-{number:06}\"\npool = \"h100\"\n\
                 addresses = [\"10.{1}.{2}.{3}\"]",
                node(number),
                number / 62_500,
                number / 250 % 250,
                number % 250 + 1
            );
        }
        std::fs::write(folder.path().join("remedyd.toml"), main).unwrap();
        std::fs::write(folder.path().join("fleet.toml"), fleet).unwrap();
        Self { folder }
    }

    /// Where the store lies.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Any other file of this folder, on the same disk.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the daemon, and waits until it is ready.
    pub async fn start(&self, program: &Path) -> Daemon {
        let at = free_address();
        let config = format!("--config.file={}", self.path("remedyd.toml").display());
        let listen = format!("--web.listen-address={at}");
        let watch = Stopwatch::start();
        let arguments = ["serve", &config, &listen, "--log.level=error"];
        let process = Process::start(MEASURED, program.to_str().unwrap(), &arguments);
        let daemon = Daemon { process, at, ready: Duration::ZERO };
        wait(|| daemon.is_ready()).await;
        Daemon { ready: watch.elapsed(), ..daemon }
    }
}

/// An address on which nobody listens.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Asks again and again, each millisecond, until it holds.
pub async fn wait<F: Future<Output = bool>>(mut holds: impl FnMut() -> F) {
    let watch = Stopwatch::start();
    while !holds().await {
        assert!(watch.elapsed() < PATIENCE, "it takes more than {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A running daemon; it ends by SIGKILL with this value.
pub struct Daemon {
    pub process: Process,
    pub at: SocketAddr,
    /// How long it took from its start to the first answer of `/-/ready`.
    pub ready: Duration,
}

impl Daemon {
    async fn is_ready(&self) -> bool {
        let Ok(mut connection) = Connection::try_open(self.at).await else { return false };
        connection.get("/-/ready").await.0 == 200
    }

    /// What it answers, which must be 200.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = Connection::open(self.at).await.get(path).await;
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    }

    /// Every series with its value.
    pub async fn metrics(&self) -> BTreeMap<String, f64> {
        let (status, body) = Connection::open(self.at).await.get("/metrics").await;
        assert_eq!(status, 200);
        let text = String::from_utf8(body).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        lines.filter_map(|(series, value)| Some((series.to_owned(), value.parse().ok()?))).collect()
    }

    /// The sum of the series of a family whose labels contain `labels`.
    pub async fn metric(&self, family: &str, labels: &str) -> f64 {
        let of = |series: &str| series.split('{').next() == Some(family) && series.contains(labels);
        self.metrics().await.iter().filter(|(series, _)| of(series)).map(|(_, value)| value).sum()
    }

    /// How long until sled has everything that was acknowledged.
    pub async fn catch_up(&self) -> Duration {
        let watch = Stopwatch::start();
        wait(|| async { self.metric("remedyd_store_applied_lag_changes", "").await == 0.0 }).await;
        watch.elapsed()
    }

    /// Its memory now, in MB, once it has rested.
    pub async fn resting_megabytes(&self) -> f64 {
        tokio::time::sleep(Duration::from_secs(5)).await;
        self.process.rss_bytes_now() as f64 / 1e6
    }
}
