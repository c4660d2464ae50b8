//! The recorded messages of `tests/wire/alertmanager`, and a site whose inventory knows the machines in them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::client::{Answer, Client};
use super::site::{MAIN, Site};

/// The clusters of `tests/wire/inventory.toml`, besides the shipped one.
pub const CLUSTERS: [&str; 7] =
    ["gpu-prod-1", "gpu-prod-2", "gpu-prod-3", "eu-west-h200", "k8s-h200-1", "k8s-h100", "c-7f21"];

/// Shipped rules that wait; here none does, so that what a message leads to has happened when it is answered.
const WAITING: [&str; 7] = [
    "prom-gpu-nvlink-error",
    "prom-gpu-thermal-slowdown",
    "prom-gpu-over-temperature",
    "prom-gpu-pcie-replay-high",
    "prom-gpu-count-low",
    "prom-ib-port-down",
    "prom-node-down",
];

/// One recorded body.
pub struct Body {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Body {
    /// By the start of its name, such as `03-` or `h11a`.
    pub fn named<'a>(bodies: &'a [Self], start: &str) -> &'a Self {
        bodies.iter().find(|body| body.name.starts_with(start)).unwrap_or_else(|| panic!("no body is called {start}…"))
    }

    /// Its alerts, of one that is JSON.
    pub fn alerts(&self) -> Vec<Value> {
        let message: Value = serde_json::from_slice(&self.bytes).unwrap();
        message["alerts"].as_array().unwrap().clone()
    }
}

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/alertmanager").join(kind)
}

fn body(kind: &str, name: &str) -> Body {
    Body { name: name.to_owned(), bytes: fs::read(folder(kind).join(name)).unwrap() }
}

/// What a real Alertmanager sent, in the order in which it did.
pub fn genuine() -> Vec<Body> {
    let manifest = fs::read_to_string(folder("genuine").join("manifest.jsonl")).unwrap();
    let entries = manifest.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.map(|entry| body("genuine", entry["file"].as_str().unwrap())).collect()
}

/// What none would send, in order of names.
pub fn handwritten() -> Vec<Body> {
    let mut names: Vec<String> = fs::read_dir(folder("handwritten"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names.iter().map(|name| body("handwritten", name)).collect()
}

/// A site that knows the machines of the recorded messages, with a source that nobody is asked about. An alert that
/// names no cluster may be about any.
pub fn site() -> Site {
    let site = Site::webhook_only();
    site.change(MAIN, "default_cluster = \"train-a\"                  #", "#");
    let clusters = CLUSTERS.map(|id| format!("[clusters.{id}]\nname = \"{id}\"\nact = \"rehearse\"\n"));
    site.append(MAIN, &clusters.join("\n"));
    let inventory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/inventory.toml");
    site.write("config/inventory.d/recorded.toml", &fs::read_to_string(inventory).unwrap());
    let at_once = WAITING.map(|rule| format!("[rules.{rule}]\nfor = \"0s\"\n"));
    site.write("config/rules.d/90-at-once.toml", &at_once.join("\n"));
    site
}

/// Posts bytes to the webhook as Alertmanager does.
pub fn post(client: &Client, source: &str, bytes: &[u8]) -> Answer {
    let path = format!("/api/v1/webhooks/alertmanager/{source}");
    post_as(client, &path, "Content-Type: application/json\r\nUser-Agent: Alertmanager/0.25.0\r\n", bytes)
}

/// Posts bytes with these lines in the head.
pub fn post_as(client: &Client, path: &str, lines: &str, bytes: &[u8]) -> Answer {
    let head = format!("POST {path} HTTP/1.0\r\nHost: localhost\r\n{lines}Content-Length: {}\r\n\r\n", bytes.len());
    let request = [head.as_bytes(), bytes].concat();
    client.insist(&format!("POST {path}"), || client.send(&request))
}
