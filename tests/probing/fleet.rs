//! Nodes that listen on addresses of their own, and a daemon's folder in which a check looks at them every second.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use crate::support::address_of_its_own;
use crate::support::daemon::Daemon;
use crate::support::listener::Listener;
use crate::support::site::{MAIN, Site};

/// The port that all nodes listen on.
const PORT: u16 = 9722;

/// A check of a port. A first FAIL waits a round, so a node has to be away for two.
const SSH: &str = "
[checks.ssh]
every = \"1s\"
failures_before = 2
passes_before = 2
[checks.ssh.tcp]
port = 9722
";

/// What ships waits three minutes for a reboot that somebody else does.
const AT_ONCE: &str = "
[rules.check-unreachable]
for = \"0s\"
";

/// Nodes `i-0`, `i-1` and so on, all of them listening, and the folder of a daemon that probes them. What is clear resolves
/// itself after two seconds.
pub fn fleet(nodes: usize) -> (Site, Vec<Listener>) {
    fleet_at(&addresses(nodes))
}

/// So many addresses for nodes.
pub fn addresses(nodes: usize) -> Vec<IpAddr> {
    (0..nodes).map(|_| IpAddr::V4(address_of_its_own())).collect()
}

/// The same at these addresses, which are few: whoever needs many fleets has them one after the other.
pub fn fleet_at(addresses: &[IpAddr]) -> (Site, Vec<Listener>) {
    let site = Site::webhook_only();
    let mut inventory = String::new();
    for (n, address) in addresses.iter().enumerate() {
        let rest = format!("cluster = \"train-a\"\nhost = \"h-{n}\"\naddresses = [\"{address}\"]");
        writeln!(inventory, "[instances.i-{n}]\nname = \"gpu-node-{n}\"\n{rest}\n").unwrap();
    }
    site.write("config/inventory.d/train-a.toml", &inventory);
    site.append(MAIN, SSH);
    site.write("config/rules.d/90-at-once.toml", AT_ONCE);
    site.policy(&[("compact_ttl", "2s"), ("cooldown", "0s"), ("settle", "0s")]);
    (site, addresses.iter().map(|address| Listener::open(SocketAddr::new(*address, PORT))).collect())
}

/// How many runs of a check ended so, since this daemon began.
pub fn runs(daemon: &Daemon<'_>, check: &str, verdict: &str) -> f64 {
    let name = format!("remedyd_check_runs_total{{check=\"{check}\",verdict=\"{verdict}\"}}");
    daemon.metric(&name).unwrap_or(0.0)
}

/// Waits until so many more runs of a check have ended so.
pub fn wait_runs(daemon: &Daemon<'_>, check: &str, verdict: &str, more: usize) {
    let wanted = runs(daemon, check, verdict) + more as f64;
    daemon.wait(&format!("{more} more runs of {check} that {verdict}"), || {
        let is = runs(daemon, check, verdict);
        if is >= wanted { Ok(()) } else { Err(format!("{is} of {wanted}")) }
    });
}

/// Starts the daemon and waits until every node was found well.
pub fn start<'a>(site: &'a Site, nodes: &[Listener]) -> Daemon<'a> {
    let daemon = Daemon::start(site);
    wait_well(&daemon, nodes.len());
    daemon
}

/// Waits until so many nodes are believed to be well.
pub fn wait_well(daemon: &Daemon<'_>, nodes: usize) {
    daemon.wait(&format!("{nodes} nodes are well"), || match daemon.metric("remedyd_conditions{belief=\"healthy\"}") {
        Some(well) if well == nodes as f64 => Ok(()),
        is => Err(format!("{is:?}")),
    });
}

/// The remediations of a node, newest first.
pub fn remediations(daemon: &Daemon<'_>, node: usize) -> Vec<Value> {
    daemon.rows("remediations", &format!("&instance_id=i-{node}"))
}

/// The nodes of which an alert of checks fires.
pub fn firing(daemon: &Daemon<'_>) -> Vec<String> {
    let alerts = daemon.rows("alerts", "");
    let firing = alerts.iter().filter(|alert| alert["source"] == "checks" && alert["state"] == "FIRING");
    let mut nodes: Vec<String> = firing.map(|alert| alert["instance_id"].as_str().unwrap().to_owned()).collect();
    nodes.sort();
    nodes
}

/// Waits until the daemon does or does not think that it is at fault itself.
pub fn wait_fault(daemon: &Daemon<'_>, wanted: bool) {
    daemon.wait(&format!("a prober fault: {wanted}"), || match daemon.metric("remedyd_prober_fault") {
        Some(is) if (is == 1.0) == wanted => Ok(()),
        is => Err(json!(is)),
    });
}
