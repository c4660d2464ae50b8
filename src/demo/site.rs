//! The folder of a demo: a configuration as an operator would write it, and everything that the daemon keeps. It goes with
//! the demo.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::Pace;
use super::fleet::{self, CLUSTERS, Node};
use crate::config::show_duration;

/// The rules that ship, and what the demo hurries.
const RULES: [(&str, &str); 3] = [
    ("10-together.toml", include_str!("../../config/rules.d/10-together.toml")),
    ("20-prometheus.toml", include_str!("../../config/rules.d/20-prometheus.toml")),
    ("30-checks.toml", include_str!("../../config/rules.d/30-checks.toml")),
];

/// A folder that is removed when this goes, unless it is to be kept.
#[derive(Debug)]
pub(super) struct Site {
    folder: PathBuf,
    keep: bool,
}

/// What its configuration names.
pub(super) struct Wiring<'a> {
    pub nodes: &'a [Node],
    pub pace: Pace,
    /// Where the simulated Alertmanager answers.
    pub alertmanager: &'a str,
    /// This program, which is its own driver too.
    pub program: &'a Path,
}

impl Site {
    /// Makes an empty folder that only its owner can enter.
    ///
    /// # Errors
    /// The folder for temporary files takes no folder.
    pub(super) fn make(keep: bool) -> io::Result<Self> {
        let name = format!("remedyd-demo-{:08x}", uuid::Uuid::new_v4().as_fields().0);
        let folder = std::env::temp_dir().join(name);
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self { folder, keep })
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn config_file(&self) -> PathBuf {
        self.folder.join("remedyd.toml")
    }

    /// What the daemon logs.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    /// Where the machines take repairs.
    pub(super) fn machines(&self) -> PathBuf {
        self.folder.join("machines.sock")
    }

    /// Writes the configuration, the inventory and the rules.
    ///
    /// # Errors
    /// A file cannot be written.
    pub(super) fn write(&self, wiring: &Wiring<'_>) -> io::Result<()> {
        for folder in ["rules.d", "inventory.d"] {
            fs::create_dir(self.folder.join(folder))?;
        }
        for (name, text) in RULES {
            fs::write(self.folder.join("rules.d").join(name), text)?;
        }
        fs::write(self.folder.join("inventory.d/fleet.toml"), fleet::inventory(wiring.nodes))?;
        fs::write(self.config_file(), self.configuration(wiring))
    }

    fn configuration(&self, wiring: &Wiring<'_>) -> String {
        let span = |seconds: f64| show_duration(wiring.pace.of(seconds));
        let clusters: String = CLUSTERS.map(|id| format!("[clusters.{id}]\nact = \"machines\"\n\n")).concat();
        let text = |text: &Path| Value::from(text.to_string_lossy()).to_string();
        format!(
            r#"# Written by `remedyd demo`. Everything is as in production but for the times, which are seconds here.

[storage]
path = "data"

[sources.main]
alertmanagers = ["{alertmanager}"]
default_cluster = "train-a"

[inventory]
files = ["inventory.d/*.toml"]

[policy]
rules = ["rules.d/*.toml"]
compact_ttl = "{compact_ttl}"
cooldown = "{cooldown}"
settle = "{settle}"
refire_hold = "{settle}"
max_evidence_age = "{evidence}"
validate_within = "{verify}"
soak = "{soak}"
verify_within = "{verify}"

[limits.cluster]
in_flight = 3
in_flight_percent = 25

{clusters}# The simulated machines. A driver of yours is a program of the same kind.
[drivers.machines.command]
argv = [{program}, "demo", "machine", {machines}]
deadline = "1m"
"#,
            alertmanager = wiring.alertmanager,
            compact_ttl = span(6.0),
            cooldown = span(60.0),
            settle = span(10.0),
            evidence = span(2.0),
            soak = span(4.0),
            verify = span(15.0),
            program = text(wiring.program),
            machines = text(&self.machines()),
        )
    }

    /// The end of the daemon's log, for when something went wrong.
    pub(super) fn log_tail(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(10).collect();
        lines.into_iter().rev().map(|line| format!("  {line}\n")).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            eprintln!("remedyd: cannot remove {}: {error}", self.folder.display());
        }
    }
}

/// How long an act takes.
pub(super) const ACT: f64 = 2.0;

/// How the simulated Alertmanager waits.
pub(super) fn waits(pace: Pace) -> super::alertmanager::Waits {
    super::alertmanager::Waits {
        group_wait: pace.of(1.0),
        group_interval: pace.of(2.0),
        repeat_interval: pace.of(15.0),
    }
}

/// How long the daemon may take to start.
pub(super) const START_WITHIN: Duration = Duration::from_secs(30);
