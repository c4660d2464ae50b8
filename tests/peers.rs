//! The programs beside us judge what we ship and what we say: `amtool` our example for Alertmanager, `promtool` our
//! rules for Prometheus, their tests, and a live scrape. `tests/run` installs both; without them this fails.

mod support;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::json;
use support::daemon::Daemon;
use support::fixtures::{self, post};

/// Runs a program of Debian's packages in `config/`, with `input` as its standard input.
fn run(program: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("config"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} cannot be started ({error}): tests/run installs it"));
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // Who refuses early need not read to the end.
    let _ = writer.join().unwrap();
    output
}

fn assert_exit(output: &Output, code: i32, what: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{what}:\n{said}");
}

#[test]
fn amtool_accepts_the_example_for_alertmanager() {
    assert_exit(&run("amtool", &["check-config", "alertmanager.yml"], ""), 0, "alertmanager.yml");
    // The program does judge.
    assert_exit(&run("amtool", &["check-config", "prometheus.yml"], ""), 1, "prometheus.yml is none");
}

#[test]
fn promtool_accepts_the_examples_for_prometheus() {
    assert_exit(&run("promtool", &["check", "rules", "gpu-node-rules.yml"], ""), 0, "gpu-node-rules.yml");
    assert_exit(&run("promtool", &["test", "rules", "gpu-node-rules.test.yml"], ""), 0, "gpu-node-rules.test.yml");
    assert_exit(&run("promtool", &["check", "rules", "alertmanager.yml"], ""), 1, "alertmanager.yml has no rules");
}

#[test]
fn promtool_accepts_the_example_for_prometheus_itself() {
    // Syntax only: the files and certificates that an installation has are not here.
    let output = run("promtool", &["check", "config", "--syntax-only", "prometheus.yml"], "");
    assert_exit(&output, 0, "prometheus.yml");
}

/// Every family of ours; one that is missing was lost, one that is new belongs here and into the interface.
const FAMILIES: [&str; 31] = [
    "remedyd_alerts_dead_lettered_total",
    "remedyd_alerts_merged_total",
    "remedyd_alerts_received_total",
    "remedyd_alerts_stored_total",
    "remedyd_approval_wait_seconds",
    "remedyd_build_info",
    "remedyd_config_last_reload_success_timestamp_seconds",
    "remedyd_config_last_reload_successful",
    "remedyd_decisions_total",
    "remedyd_detection_to_open_seconds",
    "remedyd_execution_enabled",
    "remedyd_held",
    "remedyd_http_request_duration_seconds",
    "remedyd_http_requests_total",
    "remedyd_journal_fsync_seconds",
    "remedyd_notices_failed_total",
    "remedyd_notices_sent_total",
    "remedyd_paused",
    "remedyd_remediation_duration_seconds",
    "remedyd_remediations",
    "remedyd_remediations_opened_total",
    "remedyd_store_applied_lag_changes",
    "remedyd_store_checkpoint_size_bytes",
    "remedyd_store_checkpoint_timestamp_seconds",
    "remedyd_store_checkpoints_failed_total",
    "remedyd_store_rows",
    "remedyd_store_scrubs_total",
    "remedyd_store_size_bytes",
    "remedyd_store_writable",
    "process_cpu_seconds_total",
    "process_start_time_seconds",
];

#[test]
fn promtool_accepts_a_live_scrape_with_every_family_in_it() {
    let site = fixtures::site();
    // A receiver that is not there: its failures count too.
    let receiver = format!("[notices.chat.webhook]\nurl = \"http://{}/\"", site.at(9));
    site.append(support::site::MAIN, &receiver);
    let daemon = Daemon::start(&site);
    // Traffic of every kind: alerts, letters, a repair, a rejection, a hold, refusals.
    for body in fixtures::genuine().iter().chain(&fixtures::handwritten()) {
        post(daemon.client(), "main", &body.bytes);
    }
    let approved = daemon.wait_for("p1-004", "PENDING_APPROVAL");
    daemon.approve(&approved);
    let rejected = daemon.wait_for("p2-004", "PENDING_APPROVAL");
    daemon.post(&format!("{}/reject", support::daemon::together(&rejected)), &json!({"comment": "no"})).json();
    daemon.post("/api/v1/holds", &json!({"instance_id": "i-1", "reason": "mine", "for": "1h"})).json();
    assert_eq!(daemon.get("/nowhere").status, 404);
    daemon.wait("the repair runs", || {
        let row = daemon.remediation(approved["id"].as_str().unwrap());
        if row["started_at"].is_null() { Err(row) } else { Ok(()) }
    });

    let scrape = daemon.get("/metrics");
    assert!(scrape.head.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"), "{}", scrape.head);
    assert_exit(&run("promtool", &["check", "metrics"], &scrape.body), 0, "the scrape");
    // The program does judge.
    assert_ne!(run("promtool", &["check", "metrics"], "x{ 1\n").status.code(), Some(0));

    let typed: BTreeSet<&str> =
        scrape.body.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let missing: Vec<&&str> = FAMILIES.iter().filter(|family| !typed.contains(**family)).collect();
    assert!(missing.is_empty(), "not in the scrape: {missing:?}");
    let ours: Vec<&&str> =
        typed.iter().filter(|name| name.starts_with("remedyd_") && !FAMILIES.contains(*name)).collect();
    assert!(ours.is_empty(), "not in the list above: {ours:?}");
    // No label carries what a request brought.
    for stranger in ["nowhere", "DROP TABLE", "gpu-node-", "decommissioned"] {
        assert!(!scrape.body.contains(stranger), "{stranger} became a label");
    }
    let series = scrape.body.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series < 2000, "{series} series");
    daemon.stop();
}
