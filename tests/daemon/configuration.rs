//! A configuration with mistakes is refused with every mistake at its place; what a live daemon says is well formed.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::daemon::{Daemon, refused, remedyd, serve_on};
use crate::support::now;
use crate::support::posts::{HEAVY, firing};
use crate::support::site::{MAIN, Site};

#[test]
fn every_mistake_is_told_at_once_with_its_place_by_serve_and_by_check() {
    let site = Site::shipped();
    site.change(MAIN, "cooldown = \"30m\"", "cooldown = \"half an hour\"");
    site.change(MAIN, "act = \"rehearse\"", "act = \"nobody\"");
    site.append(MAIN, "[limits.cluster2]\nin_flight = 1");
    site.write("config/rules.d/90-site.toml", "[rules.mine]\nmatch = ['alertname=']\nmode = 'harder'\n");
    site.write("config/inventory.d/more.toml", "[instances.i-99]\ncluster = 'train-z'\n");

    let (code, said) = refused(&site, serve_on(&site, site.daemon_address()));
    assert_eq!(code, Some(3), "{said}");
    for (file, key) in [
        (MAIN, "policy.cooldown"),
        (MAIN, "clusters.train-a.act"),
        (MAIN, "limits.cluster2"),
        ("config/rules.d/90-site.toml", "rules.mine.match"),
        ("config/rules.d/90-site.toml", "rules.mine.mode"),
        ("config/inventory.d/more.toml", "instances.i-99.cluster"),
    ] {
        let path = site.path(file).display().to_string();
        let is_told = said.lines().any(|line| is_at(line, &path, key));
        assert!(is_told, "no line FILE:LINE:COLUMN: {key} in\n{said}");
    }
    assert_eq!(said.lines().count(), 6, "{said}");
    assert!(!site.path("data").exists(), "nothing was made");

    let checked = remedyd().arg("check").arg(format!("--config.file={}", site.config_file().display())).output();
    let checked = checked.unwrap();
    assert_eq!((checked.status.code(), String::from_utf8(checked.stderr).unwrap()), (Some(3), said));
}

/// Whether a line reads `FILE:LINE:COLUMN: KEY…: …`.
fn is_at(line: &str, file: &str, key: &str) -> bool {
    let Some(rest) = line.strip_prefix(file).and_then(|rest| rest.strip_prefix(':')) else { return false };
    let mut parts = rest.splitn(3, ':');
    let mut number = || parts.next().is_some_and(|text| text.parse::<u32>().is_ok_and(|n| n > 0));
    number() && number() && parts.next().is_some_and(|what| what.trim_start().starts_with(key))
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named() {
    let site = Site::shipped();
    site.append(MAIN, "[server");
    let (code, said) = refused(&site, serve_on(&site, site.daemon_address()));
    assert_eq!(code, Some(3));
    assert!(said.contains("config/remedyd.toml:") && said.contains(": syntax: "), "{said}");

    std::fs::remove_file(site.config_file()).unwrap();
    let (code, said) = refused(&site, serve_on(&site, site.daemon_address()));
    assert_eq!(code, Some(3));
    assert!(said.contains("config/remedyd.toml:"), "{said}");
}

#[test]
fn promtool_finds_nothing_to_say_about_a_live_scrape() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    daemon.deliver(&firing(HEAVY, "gpu-node-7", now()));
    let proposal = daemon.wait_for("i-7", "PENDING_APPROVAL");
    daemon.approve(&proposal);
    daemon.wait_for("i-7", "RUNNING");
    let scrape = daemon.get("/metrics").body;

    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool is there: tests/run installs it");
    promtool.stdin.take().unwrap().write_all(scrape.as_bytes()).unwrap();
    let said = promtool.wait_with_output().unwrap();
    let words = [said.stdout, said.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert_eq!((said.status.code(), words.as_str()), (Some(0), ""));
    for metric in ["remedyd_remediations{state=\"RUNNING\"} 1", "remedyd_alerts_stored_total{source=\"main\"} 1"] {
        assert!(scrape.contains(metric), "{metric} is not in\n{scrape}");
    }
    daemon.stop();
}
