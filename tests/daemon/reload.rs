//! Files that change under a running daemon: taken as a whole, or not at all.

use rustix::process::Signal;
use serde_json::json;

use crate::support::daemon::Daemon;
use crate::support::now;
use crate::support::posts::{HEAVY, LIGHT, firing};
use crate::support::site::Site;

const RULES: &str = "config/rules.d/10-together.toml";
const SUCCESSFUL: &str = "remedyd_config_last_reload_successful";

/// How a rule begins in its file; nothing else reads like it.
fn rule(mode: &str) -> String {
    format!("match = ['alertname=\"{LIGHT}\"']\nfor = \"0s\"\nmode = \"{mode}\"\nenforce")
}

/// Waits until the log says this so many times.
fn wait_logged(daemon: &Daemon<'_>, words: &str, times: usize) {
    daemon.wait(&format!("the log says {times} × `{words}`"), || match daemon.log().matches(words).count() {
        found if found >= times => Ok(()),
        found => Err(format!("{found} times")),
    });
}

fn wait_successful(daemon: &Daemon<'_>, wanted: f64) {
    daemon.wait(&format!("{SUCCESSFUL} is {wanted}"), || match daemon.metric(SUCCESSFUL) {
        Some(found) if (found - wanted).abs() < f64::EPSILON => Ok(()),
        found => Err(format!("{found:?}")),
    });
}

#[test]
fn a_rule_that_is_changed_in_its_file_takes_effect() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    daemon.deliver(&firing(LIGHT, "gpu-node-1", now()));
    assert_eq!(daemon.wait_for("i-1", "PENDING_APPROVAL")["mode"], "reboot_vm");

    site.change(RULES, &rule("reboot_vm"), &rule("vm_only"));
    wait_logged(&daemon, "took a new configuration", 1);
    daemon.deliver(&firing(LIGHT, "gpu-node-2", now()));
    assert_eq!(daemon.wait_for("i-2", "PENDING_APPROVAL")["mode"], "vm_only");
    daemon.stop();
}

#[test]
fn a_broken_rule_is_refused_and_the_old_ones_stay_in_force() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    wait_successful(&daemon, 1.0);
    let good = site.read(RULES);
    site.change(RULES, &rule("reboot_vm"), &rule("hammer"));
    wait_successful(&daemon, 0.0);
    wait_logged(&daemon, "10-together.toml:", 1);
    assert!(daemon.log().contains("`hammer` is no mode"), "{}", daemon.log_tail());

    daemon.deliver(&firing(LIGHT, "gpu-node-1", now()));
    assert_eq!(daemon.wait_for("i-1", "PENDING_APPROVAL")["mode"], "reboot_vm");
    let refused = daemon.post("/-/reload", &json!({}));
    assert_eq!(refused.status, 400, "{refused}");
    assert!(refused.body.contains("10-together.toml:") && refused.body.contains("rules.npd-kernel-deadlock.mode"));

    let status = |of: &str| daemon.get(&format!("/api/v1/status/{of}")).json()["data"].clone();
    let config = status("config");
    assert_eq!(config["rules"]["npd-kernel-deadlock"]["mode"], "reboot_vm", "what is in force is shown");
    let mistake = &config["last_reload_failure"]["mistakes"][0];
    assert!(mistake.as_str().is_some_and(|text| text.contains("rules.npd-kernel-deadlock.mode")), "{mistake}");
    assert_eq!(status("runtimeinfo")["reloadConfigSuccess"], false);

    // Back to what is in force: nothing new is taken, and the files are right again.
    site.write(RULES, &good);
    wait_successful(&daemon, 1.0);
    daemon.wait("the status knows as well", || match status("config") {
        config if config["last_reload_failure"].is_null() => Ok(()),
        config => Err(config["last_reload_failure"].to_string()),
    });
    assert_eq!(status("config")["digest"], config["digest"]);
    assert_eq!(status("runtimeinfo")["reloadConfigSuccess"], true);
    site.change(RULES, &rule("reboot_vm"), &rule("hammer"));
    wait_successful(&daemon, 0.0);
    site.change(RULES, &rule("hammer"), &rule("vm_only"));
    wait_successful(&daemon, 1.0);
    daemon.stop();
}

#[test]
fn a_node_that_joins_the_inventory_takes_its_alerts_along() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    daemon.deliver(&firing(HEAVY, "gpu-node-99", now()));
    let [alert] = &daemon.rows("alerts", "")[..] else { panic!("one alert") };
    assert!(alert["instance_id"].is_null() && alert["unjoined_reason"].is_string(), "{alert}");
    assert!(daemon.remediations().is_empty());

    let lines = "[instances.i-99]\nname = \"gpu-node-99\"\ncluster = \"train-a\"\nhost = \"h-0099\"\n";
    site.write("config/inventory.d/late.toml", lines);
    let proposal = daemon.wait_for("i-99", "PENDING_APPROVAL");
    let [joined] = &daemon.rows("alerts", "")[..] else { panic!("one alert") };
    assert_eq!((&joined["id"], &joined["instance_id"]), (&alert["id"], &"i-99".into()));
    assert_eq!(joined["remediation_id"], proposal["id"]);
    daemon.stop();
}

#[test]
fn sighup_and_the_reload_endpoint_read_everything_again() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    assert_eq!(daemon.post("/-/reload", &json!({})).status, 200);

    // A mistake that the watch has told already is told again only to somebody who asks.
    site.change(RULES, &rule("reboot_vm"), &rule("hammer"));
    let not_taken = "the configuration was not taken";
    wait_logged(&daemon, not_taken, 1);
    daemon.signal(Signal::HUP);
    wait_logged(&daemon, not_taken, 2);
    assert_eq!(daemon.log().matches("SIGHUP: reading the configuration again").count(), 1);

    // Whoever is answered 200 finds the new rules in force, whether or not the watch was faster.
    site.change(RULES, &rule("hammer"), &rule("vm_only"));
    assert_eq!(daemon.post("/-/reload", &json!({})).status, 200);
    daemon.deliver(&firing(LIGHT, "gpu-node-1", now()));
    assert_eq!(daemon.wait_for("i-1", "PENDING_APPROVAL")["mode"], "vm_only");
    daemon.stop();
}
