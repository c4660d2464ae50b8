//! What the daemon tells Prometheus, and what we ship to read it: a live scrape with every family in it, a number of series
//! that does not grow with the fleet, and alert rules and dashboards that name nothing else.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::daemon::Daemon;
use support::fixtures::{self, post};
use support::now;
use support::posts::{HEAVY, LIGHT, alert, message};
use support::site::{MAIN, Site};
use support::tool::{assert_exit, run};

/// Every family of ours; one that is missing was lost, one that is new belongs here and into the interface.
const FAMILIES: [&str; 63] = [
    "remedyd_alerts",
    "remedyd_alerts_dead_lettered_total",
    "remedyd_alerts_merged_total",
    "remedyd_alerts_received_total",
    "remedyd_alerts_stored_total",
    "remedyd_alerts_unjoined",
    "remedyd_approval_wait_seconds",
    "remedyd_auth_denied_total",
    "remedyd_auth_lockouts_total",
    "remedyd_build_info",
    "remedyd_check_duration_seconds",
    "remedyd_check_runs_total",
    "remedyd_check_start_delay_seconds",
    "remedyd_checks_planned",
    "remedyd_checks_running",
    "remedyd_checks_skipped_total",
    "remedyd_conditions",
    "remedyd_config_hash",
    "remedyd_config_last_reload_success_timestamp_seconds",
    "remedyd_config_last_reload_successful",
    "remedyd_decisions_total",
    "remedyd_detection_to_open_seconds",
    "remedyd_driver_call_duration_seconds",
    "remedyd_driver_calls_total",
    "remedyd_execution_enabled",
    "remedyd_held",
    "remedyd_holds",
    "remedyd_http_connections",
    "remedyd_http_connections_cut_off_total",
    "remedyd_http_request_duration_seconds",
    "remedyd_http_requests_refused_total",
    "remedyd_http_requests_total",
    "remedyd_in_flight",
    "remedyd_in_flight_limit",
    "remedyd_instances",
    "remedyd_inventory_fetches_total",
    "remedyd_inventory_last_success_timestamp_seconds",
    "remedyd_journal_fsync_seconds",
    "remedyd_notices_failed_total",
    "remedyd_notices_sent_total",
    "remedyd_notices_waiting",
    "remedyd_oldest_proposal_timestamp_seconds",
    "remedyd_paused",
    "remedyd_prober_fault",
    "remedyd_remediation_duration_seconds",
    "remedyd_remediations",
    "remedyd_remediations_failed_total",
    "remedyd_remediations_opened_total",
    "remedyd_source_messages_total",
    "remedyd_source_reads_total",
    "remedyd_store_applied_lag_changes",
    "remedyd_store_checkpoint_size_bytes",
    "remedyd_store_checkpoint_timestamp_seconds",
    "remedyd_store_checkpoints_failed_total",
    "remedyd_store_rows",
    "remedyd_store_scrubs_total",
    "remedyd_store_size_bytes",
    "remedyd_store_writable",
    "remedyd_suspect_nodes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_resident_memory_bytes",
    "process_start_time_seconds",
];

#[test]
fn promtool_accepts_a_live_scrape_with_every_family_in_it() {
    let site = fixtures::site();
    // A receiver that is not there: its failures count too.
    let receiver = format!("[notices.chat.webhook]\nurl = \"http://{}/\"", site.at(9));
    site.append(MAIN, &receiver);
    site.append(MAIN, &format!("[inventory.http_sd.netbox]\nurl = \"http://{}/\"", site.at(9)));
    site.append(MAIN, "[checks.ssh]\nevery = \"1h\"\n[checks.ssh.tcp]\nport = 22");
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
    daemon.wait("the driver has answered", || {
        let done = "remedyd_driver_calls_total{driver=\"rehearse\",outcome=\"done\",verb=\"act\"}";
        if daemon.metric(done) == Some(1.0) { Ok(()) } else { Err("not yet") }
    });

    let scrape = daemon.get("/metrics");
    assert!(scrape.head.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"), "{}", scrape.head);
    assert_exit(&run("promtool", &["check", "metrics"], &scrape.body), 0, "the scrape");
    // The program does judge.
    assert_ne!(run("promtool", &["check", "metrics"], "x{ 1\n").status.code(), Some(0));

    let typed = families(&scrape.body);
    let missing: Vec<&&str> = FAMILIES.iter().filter(|family| !typed.contains(**family)).collect();
    assert!(missing.is_empty(), "not in the scrape: {missing:?}");
    let ours: Vec<&String> =
        typed.iter().filter(|name| name.starts_with("remedyd_") && !FAMILIES.contains(&name.as_str())).collect();
    assert!(ours.is_empty(), "not in the list above: {ours:?}");
    // No label carries what a request brought.
    for stranger in ["nowhere", "DROP TABLE", "gpu-node-", "decommissioned"] {
        assert!(!scrape.body.contains(stranger), "{stranger} became a label");
    }

    // What we ship to read it names nothing else.
    let known = |name: &str| {
        let of_histogram = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        typed.contains(name) || of_histogram.is_some_and(|family| typed.contains(family))
    };
    let mut read = BTreeSet::new();
    for (place, expression) in expressions() {
        for name in metrics_in(&expression) {
            assert!(known(&name), "{place} reads {name}, which no scrape has: {expression}");
            read.insert(name);
        }
    }
    assert!(read.len() > 40, "only {} metrics are read by what we ship", read.len());
    daemon.stop();
}

/// The families of a scrape.
fn families(scrape: &str) -> BTreeSet<String> {
    scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).map(str::to_owned).collect()
}

/// The metrics of ours that a query reads.
fn metrics_in(expression: &str) -> Vec<String> {
    let words = expression.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    words.filter(|word| word.starts_with("remedyd_") || word.starts_with("process_")).map(str::to_owned).collect()
}

fn shipped(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(below)
}

fn dashboards() -> BTreeMap<String, Value> {
    let files = fs::read_dir(shipped("grafana")).unwrap().map(|entry| entry.unwrap());
    files
        .map(|file| {
            let text = fs::read_to_string(file.path()).unwrap();
            (file.file_name().into_string().unwrap(), serde_json::from_str(&text).unwrap())
        })
        .collect()
}

/// Every query of the rules and the dashboards, and where it stands.
fn expressions() -> Vec<(String, String)> {
    let rules = fs::read_to_string(shipped("remedyd-rules.yml")).unwrap();
    let mut found = Vec::new();
    for rule in rules.split("- alert: ").skip(1) {
        // Its lines stand deeper than the next key.
        let lines = rule.lines().skip_while(|line| !line.contains("expr: |")).skip(1);
        let expression: Vec<&str> = lines.take_while(|line| line.starts_with("          ")).collect();
        found.push((rule.lines().next().unwrap().to_owned(), expression.join(" ")));
    }
    for (file, board) in dashboards() {
        let annotations = board["annotations"]["list"].as_array().unwrap().iter();
        for (what, query) in annotations.map(|annotation| (&annotation["name"], &annotation["expr"])) {
            found.push((format!("{file}: {what}"), query.as_str().unwrap().to_owned()));
        }
        for panel in board["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                found.push((format!("{file}: {}", panel["title"]), target["expr"].as_str().unwrap().to_owned()));
            }
        }
        for variable in board["templating"]["list"].as_array().unwrap() {
            if let Some(query) = variable["definition"].as_str() {
                let inner = query.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(',')).unwrap().0;
                found.push((format!("{file}: ${}", variable["name"]), inner.to_owned()));
            }
        }
    }
    assert!(found.len() > 60, "only {} queries were found", found.len());
    found
}

#[test]
fn every_query_of_the_dashboards_is_promql() {
    let mut rules = String::from("groups:\n  - name: dashboards\n    rules:\n");
    for (n, (place, expression)) in expressions().into_iter().enumerate() {
        let filled = expression.replace("$__range", "7d").replace("$__rate_interval", "1m");
        assert!(!filled.replace("$instance", "").replace("$cluster", "").replace("$mode", "").contains('$'), "{place}");
        writeln!(rules, "      - record: query:number:{n}\n        expr: {}", json!(filled)).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queries.yml");
    let judged = |text: &str| {
        fs::write(&file, text).unwrap();
        run("promtool", &["check", "rules", file.to_str().unwrap()], "")
    };
    assert_exit(&judged(&rules), 0, "the queries");
    assert_ne!(judged(&rules.replacen("sum", "sum by", 1)).status.code(), Some(0), "the program does judge");
}

#[test]
fn dashboards_are_ready_to_be_imported() {
    let boards = dashboards();
    let uids: BTreeSet<&str> = boards.values().map(|board| board["uid"].as_str().unwrap()).collect();
    assert_eq!(uids, BTreeSet::from(["remedyd-fleet", "remedyd-repairs"]));
    for (file, board) in &boards {
        let panels = board["panels"].as_array().unwrap();
        let mut ids = BTreeSet::new();
        let mut cells = BTreeSet::new();
        for panel in panels {
            let title = &panel["title"];
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: two panels with the id of {title}");
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            assert!(place("x") + place("w") <= 24, "{file}: {title} sticks out");
            for (x, y) in (0..place("w")).flat_map(|x| (0..place("h")).map(move |y| (x, y))) {
                assert!(cells.insert((place("x") + x, place("y") + y)), "{file}: {title} lies over another panel");
            }
            if panel["type"] != "row" {
                assert!(!panel["description"].as_str().unwrap().is_empty(), "{file}: {title} says nothing of itself");
                for target in panel["targets"].as_array().unwrap() {
                    assert_eq!(target["datasource"]["uid"], "${DS_PROMETHEUS}", "{file}: {title}");
                }
            }
        }
        assert_eq!(board["templating"]["list"][0]["name"], "DS_PROMETHEUS", "{file}");
    }
}

#[test]
fn every_alert_has_its_page_in_the_runbook() {
    let rules = fs::read_to_string(shipped("remedyd-rules.yml")).unwrap();
    let runbook = fs::read_to_string(shipped("runbook.md")).unwrap();
    let headings: BTreeSet<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let mut names = BTreeSet::new();
    for rule in rules.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        names.insert(name);
        for key in ["severity:", "summary:", "description:", "dashboard_uid:"] {
            assert!(rule.contains(key), "{name} has no {key}");
        }
        let link = format!("runbook.md#{}\n", name.to_lowercase());
        assert!(rule.contains(&link), "{name} leads to another page than {link}");
    }
    assert_eq!(names, headings);
}

/// The series of a daemon with so many instances, of which the first `troubled` have alerts and proposals, and one is
/// repaired. Values are left out.
fn series(instances: usize, troubled: usize) -> BTreeSet<String> {
    let site = Site::webhook_only();
    let mut inventory = String::new();
    for n in 0..instances {
        write!(inventory, "[instances.s-{n}]\nname = \"node-{n}\"\ncluster = \"train-a\"\nhost = \"h-{n}\"\n").unwrap();
    }
    site.write("config/inventory.d/train-a.toml", &inventory);
    let daemon = Daemon::start(&site);
    daemon.wait("all of the store was read", || match daemon.metric("remedyd_store_scrubs_total") {
        Some(n) if n > 0.0 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let began = now();
    for nodes in (0..troubled).collect::<Vec<_>>().chunks(1000) {
        let alerts: Vec<Value> = nodes
            .iter()
            .flat_map(|n| [HEAVY, LIGHT].map(|name| alert(name, &format!("node-{n}"), began, None)))
            .chain([alert(HEAVY, "a-stranger", began, None)])
            .collect();
        daemon.deliver(&message(&alerts));
    }
    let count = |state: &str| daemon.metric(&format!("remedyd_remediations{{state=\"{state}\"}}"));
    daemon.wait("every node has its proposal", || match count("PENDING_APPROVAL") {
        Some(n) if n >= troubled as f64 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(daemon.metric("remedyd_instances{cluster=\"train-a\"}"), Some(instances as f64));
    assert_eq!(daemon.metric("remedyd_alerts{state=\"FIRING\"}"), Some(2.0 * troubled as f64 + 1.0));
    assert_eq!(daemon.metric("remedyd_alerts_unjoined"), Some(1.0));
    assert!(daemon.metric("remedyd_oldest_proposal_timestamp_seconds").unwrap() > 1.7e9);
    daemon.approve(&daemon.wait_for("s-0", "PENDING_APPROVAL"));
    daemon.wait("it is being repaired", || match count("RUNNING") {
        Some(1.0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let scrape = daemon.get("/metrics").body;
    daemon.stop();
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    // A store that is behind for a moment answers a test with 503, as it would at any size.
    let lines = lines.filter(|line| !line.contains("code=\"503\""));
    lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

#[test]
fn a_thousand_times_the_nodes_are_not_one_series_more() {
    let (small, large) = (series(10, 10), series(10_000, 2_000));
    assert_eq!(small.symmetric_difference(&large).collect::<Vec<_>>(), Vec::<&String>::new());
    println!("figures: {} series with 10 instances, {} with 10,000", small.len(), large.len());
    assert!(large.len() < 2000, "{} series", large.len());
}
