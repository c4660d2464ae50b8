//! Debian's Alertmanager as a process, asked and told through its own API.

use std::fs::File;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use remedyd::domain::Timestamp;
use serde_json::{Value, json};

use super::client::Client;
use super::site::Site;
use super::{SOON, eventually, now};

/// Debian's name of the program.
const PROGRAM: &str = "prometheus-alertmanager";

/// Where it listens, as everywhere.
const PORT: u16 = 9093;

/// A running Alertmanager without peers.
pub struct Alertmanager {
    child: Child,
    address: SocketAddr,
    client: Client,
}

impl Alertmanager {
    /// Starts it with a configuration file of the site, which is taken as it is.
    pub fn start(site: &Site, config: &str) -> Self {
        let address = site.at(PORT);
        let log = || File::options().create(true).append(true).open(site.path("alertmanager.log")).unwrap();
        let child = Command::new(PROGRAM)
            .arg(format!("--config.file={}", site.path(config).display()))
            .arg(format!("--storage.path={}", site.path("alertmanager").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .unwrap_or_else(|error| panic!("{PROGRAM} cannot be started ({error}): tests/run installs it"));
        let started = Self { child, address, client: Client::new(address) };
        eventually(SOON, "Alertmanager is ready", || match started.client.ask("GET", "/-/ready", None) {
            Ok(answer) if answer.status == 200 => Ok(()),
            Ok(answer) => Err(format!("{answer}\n{}", site.read("alertmanager.log"))),
            Err(error) => Err(format!("{error}\n{}", site.read("alertmanager.log"))),
        });
        started
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it serves.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// An alert of one node fires from `started_at` on, as Prometheus would say it.
    pub fn fire(&self, name: &str, node: &str, started_at: Timestamp) {
        self.say(name, node, started_at, None);
    }

    /// That alert has ended at this moment.
    pub fn resolve(&self, name: &str, node: &str, started_at: Timestamp) {
        self.say(name, node, started_at, Some(now()));
    }

    fn say(&self, name: &str, node: &str, started_at: Timestamp, ended_at: Option<Timestamp>) {
        let mut alert = json!({
            "labels": labels(name, node),
            "annotations": {"summary": format!("{name} on {node}")},
            "startsAt": started_at.to_string(),
            "generatorURL": "http://prometheus.example/graph",
        });
        if let Some(ended_at) = ended_at {
            alert["endsAt"] = json!(ended_at.to_string());
        }
        let answer = self.client.post("/api/v2/alerts", &json!([alert]));
        assert!(answer.is_success(), "{answer}");
    }

    /// Silences a node; the answer is the silence's id, and it is in force.
    pub fn silence(&self, node: &str) -> String {
        let matcher = json!({"name": "node", "value": node, "isRegex": false, "isEqual": true});
        let silence = json!({
            "matchers": [matcher],
            "startsAt": now().to_string(),
            "endsAt": "2099-01-01T00:00:00Z",
            "createdBy": "test",
            "comment": "test",
        });
        let answer = self.client.post("/api/v2/silences", &silence).json();
        eventually(SOON, "the node's alerts are silenced", || match self.states(node).as_slice() {
            states if !states.is_empty() && states.iter().all(|state| state == "suppressed") => Ok(()),
            states => Err(format!("{states:?}")),
        });
        answer["silenceID"].as_str().unwrap().to_owned()
    }

    /// Ends a silence; the node's alerts are active again.
    pub fn unsilence(&self, node: &str, silence: &str) {
        let answer = self.client.ask("DELETE", &format!("/api/v2/silence/{silence}"), None).unwrap();
        assert!(answer.is_success(), "{answer}");
        eventually(SOON, "the node's alerts are active", || match self.states(node).as_slice() {
            states if states.iter().all(|state| state == "active") => Ok(()),
            states => Err(format!("{states:?}")),
        });
    }

    /// How Alertmanager sees the alerts of a node that it holds.
    fn states(&self, node: &str) -> Vec<String> {
        let held = self.client.get(&format!("/api/v2/alerts?filter=node%3D%22{node}%22")).json();
        let held = held.as_array().unwrap();
        held.iter().map(|alert| alert["status"]["state"].as_str().unwrap().to_owned()).collect()
    }
}

fn labels(name: &str, node: &str) -> Value {
    json!({"alertname": name, "cluster": "train-a", "node": node, "severity": "critical", "phc": "true"})
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
