//! Inventories of Prometheus: its files as they are, and ours as it reads them.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::now;
use crate::support::posts::{HEAVY, firing};
use crate::support::site::{MAIN, Site};

const FILE_SD: &str = "file_sd = [\"sd/*.json\", \"sd/*.yml\"]";

/// A site that reads Prometheus's files; its folder `sd` is there and empty.
fn site() -> Site {
    let site = Site::webhook_only();
    site.change(MAIN, &format!("# {FILE_SD} "), FILE_SD);
    site.write("config/sd/README", "");
    site
}

fn instance(daemon: &Daemon<'_>, id: &str) -> Option<Value> {
    daemon.rows("instances", "").into_iter().find(|row| row["id"] == id)
}

#[test]
fn a_file_of_prometheus_is_an_inventory_as_it_is() {
    let site = site();
    let json = json!([
        {"targets": ["10.9.0.1:9100", "10.9.0.2:9100"], "labels": {"cluster": "train-a", "rack": "r9", "job": "node"}},
        {"targets": ["www:443"], "labels": {"cluster": "web"}}
    ]);
    site.write("config/sd/nodes.json", &json.to_string());
    let yaml = "- targets: ['10.9.0.3:9400']\n  labels: {cluster: train-a, node: sd-node-3, __meta_datacenter: x}\n";
    site.write("config/sd/gpus.yml", yaml);
    let daemon = Daemon::start(&site);
    let found = instance(&daemon, "sd-node-3").expect("one of the YAML file");
    assert_eq!((&found["name"], &found["addresses"]), (&json!("sd-node-3"), &json!(["10.9.0.3"])), "{found}");
    assert_eq!(instance(&daemon, "10.9.0.1").unwrap()["domains"], json!({"rack": "r9"}));
    assert!(instance(&daemon, "www").is_none(), "none of ours");
    assert!(daemon.log().contains("nodes.json:1:") && daemon.log().contains("there is no [clusters.web]"));
    daemon.deliver(&firing(HEAVY, "sd-node-3", now()));
    daemon.wait_for("sd-node-3", "PENDING_APPROVAL");

    // As Prometheus's tools write such files: beside, then over it. What cannot be read changes nothing.
    site.write(
        "config/sd/gpus.yml",
        &format!("{yaml}- targets: ['10.9.0.4']\n  labels: {{cluster: train-a, node: sd-node-4}}\n"),
    );
    daemon.wait("the new node is there", || instance(&daemon, "sd-node-4").ok_or("it is not"));
    site.write("config/sd/gpus.yml", "- targets: [10.9.0.3\n");
    let refused = daemon.post("/-/reload", &json!({}));
    assert_eq!(refused.status, 400, "{refused}");
    assert!(refused.body.contains("gpus.yml:1:12: syntax: "), "{refused}");
    site.write("config/sd/gpus.yml", "");
    let refused = daemon.post("/-/reload", &json!({}));
    assert!(refused.body.contains("gpus.yml:1:1: syntax: is empty"), "{refused}");
    assert!(instance(&daemon, "sd-node-3").is_some() && instance(&daemon, "sd-node-4").is_some());
    daemon.stop();
}

#[test]
fn our_list_is_what_our_own_file_sd_reads() {
    let (site, other) = (site(), site());
    let daemon = Daemon::start(&site);
    let listed = daemon.get("/sd/http?port=9100");
    let groups = listed.json();
    let groups = groups.as_array().unwrap();
    assert_eq!(groups.len(), 8, "{listed}");
    let seven = groups.iter().find(|group| group["labels"]["instance_id"] == "i-7").unwrap();
    assert_eq!(seven["targets"], json!(["127.0.0.7:9100"]), "{seven}");
    assert_eq!(seven["labels"]["node"], "gpu-node-7");
    assert_eq!(daemon.get("/sd/http?cluster_id=nowhere").json(), json!([]));
    assert_eq!(daemon.get("/sd/http?pool=nothing").json(), json!([]));
    assert_eq!(daemon.get("/sd/http?port=0").status, 400);
    assert_eq!(daemon.get("/sd/http?cluster=train-a").status, 400, "a misspelt filter never answers with everything");

    other.change(MAIN, "files = [\"inventory.d/*.toml\"]", "");
    other.write("config/sd/ours.json", &listed.body);
    let again = Daemon::start(&other);
    for (ours, theirs) in daemon.rows("instances", "").iter().zip(again.rows("instances", "")) {
        for key in ["id", "name", "cluster_id", "addresses"] {
            assert_eq!(ours[key], theirs[key], "{key} of {theirs}");
        }
    }
    again.stop();
    daemon.stop();
}

/// Ends it with the test.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_real_prometheus_takes_its_targets_from_us() {
    let site = site();
    let daemon = Daemon::start(&site);
    let address = site.daemon_address();
    let config = format!(
        "scrape_configs:\n- job_name: nodes\n  http_sd_configs:\n  - url: 'http://{address}/sd/http?port=1'\n    refresh_interval: 1s\n"
    );
    site.write("prometheus.yml", &config);
    let checked = Command::new("promtool").args(["check", "config"]).arg(site.path("prometheus.yml")).output().unwrap();
    assert!(checked.status.success(), "{checked:?}");
    let theirs = site.at(9090);
    let prometheus = Command::new("prometheus")
        .arg(format!("--config.file={}", site.path("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", site.path("tsdb").display()))
        .arg(format!("--web.listen-address={theirs}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _prometheus = Peer(prometheus.unwrap());
    let client = Client::new(theirs);
    let found = daemon.wait("prometheus has all eight", || {
        let answer = client.ask("GET", "/api/v1/targets?state=active", None).map_err(|error| error.to_string())?;
        let targets: Value = serde_json::from_str(&answer.body).map_err(|error| error.to_string())?;
        let active = targets["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
        if active.len() == 8 { Ok(active) } else { Err(answer.to_string()) }
    });
    let seven = found.iter().find(|target| target["labels"]["instance_id"] == "i-7").unwrap();
    assert_eq!(seven["labels"]["node"], "gpu-node-7", "{seven}");
    assert_eq!(seven["labels"]["instance"], "127.0.0.7:1", "{seven}");
    assert_eq!(seven["discoveredLabels"]["__meta_remedyd_host_id"], "h-0042", "{seven}");
    daemon.stop();
}
