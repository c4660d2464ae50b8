//! What ships: the size of the program, and what promtool and systemd-analyze say of it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::http::Connection;
use super::site::Site;
use super::table::{Bar, Line, Spread};

/// One look: nothing here varies.
pub async fn run(program: &Path) -> (Vec<Line>, Value) {
    let megabytes = stripped_bytes(program) as f64 / 1e6;
    let site = Site::new(10, "");
    let daemon = site.start(program).await;
    let (status, metrics) = Connection::open(daemon.at).await.get("/metrics").await;
    assert_eq!(status, 200);
    let exit = promtool(&metrics);
    let exposure = exposure();
    let one = |what: &str, bar, figure: f64| Line::new(what, bar, Bar::Shown, Spread::of([figure]));
    let lines = vec![
        one("stripped program, MB", Bar::AtMost(20.0), megabytes),
        one("promtool check metrics, exit code", Bar::AtMost(0.0), f64::from(exit)),
        one("systemd-analyze security, exposure", Bar::AtMost(1.5), exposure),
    ];
    (lines, json!({ "stripped_megabytes": megabytes, "promtool_exit_code": exit, "systemd_exposure": exposure }))
}

/// The program without its symbols, as `strip` leaves it.
fn stripped_bytes(program: &Path) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let stripped = folder.path().join("remedyd");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(program).status().expect("binutils has strip");
    assert!(status.success());
    std::fs::metadata(stripped).unwrap().len()
}

fn promtool(metrics: &[u8]) -> i32 {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut child = command.spawn().expect("benches/run installs promtool");
    child.stdin.take().unwrap().write_all(metrics).unwrap();
    child.wait().unwrap().code().unwrap_or(-1)
}

/// What systemd makes of the unit's sandbox: 0 is the least exposed.
fn exposure() -> f64 {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd/remedyd.service");
    let mut command = Command::new("systemd-analyze");
    let output = command.args(["security", "--offline=yes", "--no-pager"]).arg(unit).output().expect("systemd");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().find(|line| line.contains("Overall exposure level")).expect("it judges the unit");
    let figure = line.split(':').nth(1).and_then(|rest| rest.split_whitespace().next());
    figure.and_then(|figure| figure.parse().ok()).expect("a number")
}
