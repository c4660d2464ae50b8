//! A store that somebody else uses is left alone; one that is damaged is healed, or read only, and its damage is said.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::daemon::{Daemon, End, refused, serve_on};
use crate::support::posts::{HEAVY, firing};
use crate::support::site::Site;
use crate::support::{address_of_its_own, now};

/// The store is unusable (sysexits' EX_CONFIG).
const UNUSABLE: Option<i32> = Some(78);

/// A stopped site with a few turns in its store.
fn with_history() -> Site {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    for n in 1..=5 {
        daemon.deliver(&firing(HEAVY, &format!("gpu-node-{n}"), now()));
    }
    daemon.stop();
    site
}

/// The segment of the journal that holds everything; an empty one stands behind it after a stop.
fn segment(site: &Site) -> PathBuf {
    let found: Vec<PathBuf> = files(&site.path("data/journal"));
    let [segment, _] = &found[..] else { panic!("two segments: {found:?}") };
    segment.clone()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn a_second_process_on_the_same_store_says_who_has_it_and_harms_nobody() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    daemon.deliver(&firing(HEAVY, "gpu-node-7", now()));
    let before = daemon.wait_for("i-7", "PENDING_APPROVAL");

    let elsewhere = std::net::SocketAddr::new(address_of_its_own().into(), 9720);
    let (code, said) = refused(&site, serve_on(&site, elsewhere));
    assert_eq!(code, UNUSABLE, "{said}");
    assert!(said.contains("data/lock is held by another remedyd: only one process may use a store"), "{said}");

    assert_eq!(daemon.remediations(), std::slice::from_ref(&before));
    daemon.deliver(&firing(HEAVY, "gpu-node-4", now()));
    daemon.wait_for("i-4", "PENDING_APPROVAL");
    let daemon = daemon.restart(End::Stop);
    assert!(daemon.remediations().contains(&before));
    daemon.stop();
}

/// Reads go on, everything else is refused with the reason, and nothing is acted upon.
fn reads_only(site: &Site, because: &str) {
    let (daemon, why) = Daemon::start_read_only(site);
    assert!(why.contains(because), "{why}");
    assert_eq!(daemon.remediations().len(), 5);
    assert_eq!(daemon.get("/-/healthy").status, 200);
    let message = firing(HEAVY, "gpu-node-8", now());
    let hook = daemon.client().ask("POST", "/api/v1/webhooks/alertmanager", Some(&message.to_string())).unwrap();
    assert_eq!(hook.status, 503, "{hook}");
    assert!(hook.body.contains(because), "{hook}");
    let metrics = daemon.get("/metrics").body;
    assert!(metrics.contains("remedyd_store_writable 0\n") && metrics.contains("remedyd_execution_enabled 0\n"));
    daemon.stop();
}

#[test]
fn a_flipped_byte_in_the_journal_is_named_and_nothing_is_cut_off() {
    let site = with_history();
    let segment = segment(&site);
    let whole = fs::read(&segment).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0x40;
    fs::write(&segment, &damaged).unwrap();

    reads_only(&site, &format!("{}: a record's", segment.file_name().unwrap().to_str().unwrap()));
    assert_eq!(fs::read(&segment).unwrap(), damaged, "the journal was changed");

    fs::write(&segment, &whole).unwrap();
    let daemon = Daemon::start(&site);
    assert_eq!(daemon.remediations().len(), 5, "nothing else was changed either");
    daemon.stop();
}

#[test]
fn a_file_where_a_folder_should_be_is_named_and_left() {
    for name in ["data", "data/journal", "data/sled", "data/operations"] {
        let site = Site::webhook_only();
        fs::create_dir_all(site.path(name).parent().unwrap()).unwrap();
        fs::write(site.path(name), "a letter\n").unwrap();
        let (code, said) = refused(&site, serve_on(&site, site.daemon_address()));
        assert_eq!(code, UNUSABLE, "{name}: {said}");
        assert!(said.contains(&site.path(name).display().to_string()), "{name}: {said}");
        assert_eq!(site.read(name), "a letter\n", "{name}");
    }
}

#[test]
fn a_journal_that_is_gone_is_missed() {
    let site = with_history();
    let kept = site.path("kept");
    fs::rename(site.path("data/journal"), &kept).unwrap();
    reads_only(&site, "the journal ends at turn 0 while sled has turn ");

    fs::remove_dir_all(site.path("data/journal")).unwrap();
    fs::rename(&kept, site.path("data/journal")).unwrap();
    let daemon = Daemon::start(&site);
    assert_eq!(daemon.remediations().len(), 5);
    daemon.stop();
}

#[test]
fn sled_is_built_anew_from_the_journal_with_the_same_answers() {
    let site = with_history();
    let lists = ["alerts", "remediations", "instances"];
    let daemon = Daemon::start(&site);
    let before = lists.map(|kind| daemon.get(&format!("/api/v1/{kind}?page_size=1000")).body);
    daemon.stop();
    fs::remove_dir_all(site.path("data/sled")).unwrap();
    let daemon = Daemon::start(&site);
    assert_eq!(lists.map(|kind| daemon.get(&format!("/api/v1/{kind}?page_size=1000")).body), before);
    daemon.stop();
}

#[test]
fn a_copied_store_takes_alerts_and_acts_only_after_an_admin_enabled_it() {
    let site = with_history();
    let copy = site.path("copy");
    let status =
        std::process::Command::new("cp").args(["-r", "--"]).arg(site.path("data")).arg(&copy).status().unwrap();
    assert!(status.success());
    fs::remove_dir_all(site.path("data")).unwrap();
    fs::rename(&copy, site.path("data")).unwrap();

    let daemon = Daemon::start(&site);
    assert!(daemon.get("/metrics").body.contains("remedyd_execution_enabled 0\n"));
    let waiting = daemon.wait_for("i-1", "PENDING_APPROVAL");
    let approve = format!("/v1/compute/clusters/train-a/instances/-/remediations/{}/approve", id(&waiting));
    assert_eq!(daemon.post(&approve, &serde_json::json!({})).status, 200);
    let daemon = daemon.restart(End::Kill);
    let says_why = daemon.wait_for("i-1", "PENDING");
    let why = says_why["waits_for"].as_str().unwrap_or_default();
    assert!(why.contains("execution is disabled") && why.contains("copied or restored"), "{why}");

    assert_eq!(daemon.post("/api/v1/store/enable", &serde_json::json!({})).status, 200);
    assert!(daemon.get("/metrics").body.contains("remedyd_execution_enabled 1\n"));
    daemon.wait_for("i-1", "RUNNING");
    let daemon = daemon.restart(End::Stop);
    assert!(daemon.get("/metrics").body.contains("remedyd_execution_enabled 1\n"));
    daemon.stop();
}

fn id(remediation: &serde_json::Value) -> &str {
    remediation["id"].as_str().unwrap()
}

#[test]
fn sled_alone_starts_and_answers_with_the_same_bytes() {
    let site = with_history();
    let lists = ["alerts", "remediations", "instances", "holds", "dead-letters"];
    let answers = |daemon: &Daemon<'_>| {
        let mut paths: Vec<String> = lists.iter().map(|list| format!("/api/v1/{list}?page_size=1000")).collect();
        paths.push("/v1/compute/clusters/train-a/instances/-/remediations".to_owned());
        paths.extend(daemon.remediations().iter().map(|row| format!("/api/v1/remediations/{}/history", id(row))));
        paths.into_iter().map(|path| (daemon.get(&path).body, path)).collect::<Vec<_>>()
    };
    let daemon = Daemon::start(&site);
    let before = answers(&daemon);
    assert!(before.len() > 10);
    daemon.stop();
    let mut segments = files(&site.path("data/journal"));
    let head = segments.pop().unwrap();
    assert!(!segments.is_empty());
    fs::create_dir(site.path("away")).unwrap();
    for segment in &segments {
        fs::rename(segment, site.path("away").join(segment.file_name().unwrap())).unwrap();
    }
    assert_eq!(files(&site.path("data/journal")), [head]);
    let daemon = Daemon::start(&site);
    assert_eq!(answers(&daemon), before);
    daemon.stop();
}
