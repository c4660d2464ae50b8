//! Inventories of Prometheus: its files as they are, and ours as it reads them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::daemon::{Daemon, End};
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

/// What a list of targets is asked for, and answers.
#[derive(Clone)]
enum Says {
    List(Value),
    Text(&'static str),
    Status(u16),
    /// Takes the request and never answers.
    Nothing,
}

/// A service of Prometheus's `http_sd` that does as it is told, at an address that it keeps to the end of the test.
struct ListServer {
    address: SocketAddr,
    says: Arc<Mutex<Says>>,
    heard: Arc<Mutex<Vec<String>>>,
}

impl ListServer {
    fn start(address: SocketAddr, says: Says) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let server = Self { address, says: Arc::new(Mutex::new(says)), heard: Arc::default() };
        let (says, heard) = (Arc::clone(&server.says), Arc::clone(&server.heard));
        // It ends with the test's process.
        thread::spawn(move || {
            let mut stalled = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let Some(head) = head(&mut stream) else { continue };
                heard.lock().unwrap().push(head);
                let (status, body) = match says.lock().unwrap().clone() {
                    Says::List(list) => (200, list.to_string()),
                    Says::Text(text) => (200, text.to_owned()),
                    Says::Status(status) => (status, String::new()),
                    Says::Nothing => {
                        stalled.push(stream);
                        continue;
                    }
                };
                let head = format!("HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Type: application/json\r\n");
                // Who asked may have gone.
                let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        server
    }

    fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// The head of one request; nothing where the client went away.
fn head(stream: &mut TcpStream) -> Option<String> {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        text.extend(byte);
    }
    Some(String::from_utf8_lossy(&text).to_lowercase())
}

fn nodes(names: &[&str]) -> Says {
    let group = |name: &&str| json!({"targets": [format!("{name}:9100")], "labels": {"cluster": "train-a"}});
    Says::List(names.iter().map(group).collect())
}

/// Which instances of the list are known, by their ids.
fn known(daemon: &Daemon<'_>) -> Vec<String> {
    let ids = daemon.rows("instances", "").into_iter().filter_map(|row| row["id"].as_str().map(str::to_owned));
    ids.filter(|id| id.starts_with("hs-")).collect()
}

fn wait_known(daemon: &Daemon<'_>, wanted: &[&str]) {
    daemon.wait(&format!("{wanted:?} are known"), || {
        let found = known(daemon);
        if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

fn fetches(daemon: &Daemon<'_>, result: &str) -> f64 {
    let name = format!("remedyd_inventory_fetches_total{{result=\"{result}\",source=\"netbox\"}}");
    daemon.metric(&name).expect("it is there from the start")
}

/// Waits until one more fetch has come to this result.
fn wait_fetched(daemon: &Daemon<'_>, result: &str) {
    let before = fetches(daemon, result);
    daemon.wait(&format!("a fetch is {result}"), || {
        let now = fetches(daemon, result);
        if now > before { Ok(()) } else { Err(now) }
    });
}

#[test]
fn a_list_that_is_asked_for_is_an_inventory_and_stays_one_while_its_server_is_ill() {
    let site = site();
    site.write("config/netbox.token", "s3cret-of-netbox\n");
    let list = ListServer::start(site.at(8082), nodes(&["hs-1", "hs-2", "hs-3"]));
    let table = format!(
        "[inventory.http_sd.netbox]\nurl = \"http://{}/sd?key=hidden\"\nrefresh = \"1s\"\ntoken_file = \"netbox.token\"",
        list.address
    );
    site.append(MAIN, &table);
    let mut daemon = Daemon::start(&site);
    wait_known(&daemon, &["hs-1", "hs-2", "hs-3"]);
    let asked = &list.heard()[0];
    assert!(asked.starts_with("get /sd?key=hidden http/1.1\r\n"), "{asked}");
    assert!(asked.contains("\r\nx-prometheus-refresh-interval-seconds: 1\r\n"), "{asked}");
    assert!(asked.contains("\r\nauthorization: bearer s3cret-of-netbox\r\n"), "{asked}");

    list.say(nodes(&["hs-4", "hs-3", "hs-2"]));
    wait_known(&daemon, &["hs-2", "hs-3", "hs-4"]);
    wait_fetched(&daemon, "unchanged");
    for (ill, result) in [
        (Says::List(json!([])), "empty"),
        (Says::Status(500), "failed"),
        (Says::Status(302), "failed"),
        (Says::Text("<html>all is well</html>"), "failed"),
        (Says::Text(""), "failed"),
        // It is a list, but no configuration: two machines of one name.
        (
            Says::List(json!([
                {"targets": ["hs-5"], "labels": {"cluster": "train-a", "instance_id": "a", "node": "hs"}},
                {"targets": ["hs-6"], "labels": {"cluster": "train-a", "instance_id": "b", "node": "hs"}}
            ])),
            "failed",
        ),
        (Says::Nothing, "failed"),
    ] {
        list.say(ill);
        wait_fetched(&daemon, result);
        assert_eq!(known(&daemon), ["hs-2", "hs-3", "hs-4"]);
        assert_eq!(daemon.post("/-/reload", &json!({})).status, 200, "what is kept is a good configuration");
    }
    list.say(nodes(&["hs-4"]));
    wait_known(&daemon, &["hs-4"]);
    let log = daemon.log();
    for said in [
        "/sd knows no target any more; the 3 that were known stay",
        "/sd: HTTP status 500; what was known of it stays",
        "/sd answers well again",
        "/sd knows 1 targets, of 3 before: more than half are gone at once",
    ] {
        assert_eq!(log.matches(said).count(), 1, "{said}\n{log}");
    }
    assert!(!log.contains("s3cret") && !log.contains("hidden"), "{log}");

    // Its server does not come back, and neither does ours forget.
    list.say(Says::Status(503));
    for end in [End::Stop, End::Kill] {
        daemon = daemon.restart(end);
        assert_eq!(known(&daemon), ["hs-4"]);
        wait_fetched(&daemon, "failed");
        assert_eq!(known(&daemon), ["hs-4"]);
        let confirmed = daemon.metric("remedyd_inventory_last_success_timestamp_seconds{source=\"netbox\"}");
        assert!(confirmed.is_some_and(|at| at > 1e9), "{confirmed:?}");
    }
    list.say(nodes(&["hs-7"]));
    wait_known(&daemon, &["hs-7"]);
    daemon.stop();
}

#[test]
fn another_daemon_is_a_list_like_any_other() {
    let (site, other) = (site(), site());
    let first = Daemon::start(&site);
    other.change(MAIN, "files = [\"inventory.d/*.toml\"]", "");
    let table = format!(
        "[inventory.http_sd.netbox]\nurl = \"http://{}/sd/http?port=9100\"\nrefresh = \"1s\"",
        site.daemon_address()
    );
    other.append(MAIN, &table);
    let labels = ["host", "pool", "generation", "provider_id", "auto_remediation_enabled"]
        .map(|key| format!("{key} = [\"__meta_remedyd_{key}\"]").replace("_host\"", "_host_id\""));
    other.append(MAIN, &format!("[inventory.labels]\n{}", labels.join("\n")));
    let second = Daemon::start(&other);
    let same = |first: &Daemon<'_>, second: &Daemon<'_>| {
        second.wait("both know the same", || {
            let keys = ["id", "name", "cluster_id", "host_id", "pool", "generation", "addresses", "domains"];
            let shown = |daemon: &Daemon<'_>| -> Vec<Value> {
                let rows = daemon.rows("instances", "").into_iter();
                rows.map(|row| keys.iter().map(|key| row[*key].clone()).collect()).collect()
            };
            let (ours, theirs) = (shown(first), shown(second));
            if ours == theirs { Ok(ours.len()) } else { Err(format!("{ours:?}\n{theirs:?}")) }
        })
    };
    assert_eq!(same(&first, &second), 8);
    site.write("config/inventory.d/more.toml", "[instances.i-9]\ncluster = \"train-a\"\nhost = \"h-9\"\n");
    first.wait("the first knows one more", || match first.rows("instances", "").len() {
        9 => Ok(()),
        n => Err(n),
    });
    assert_eq!(same(&first, &second), 9);
    second.stop();
    first.stop();
}
