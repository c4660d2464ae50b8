//! Messages as Alertmanager posts them, for tests that play its part.

use remedyd::domain::Timestamp;
use serde_json::{Value, json};

/// The alert that calls for `host_aware` by the shipped rules.
pub const HEAVY: &str = "DmesgGpuFallenOffBus";
/// The alert that calls for `reboot_vm`.
pub const LIGHT: &str = "NpdKernelDeadlock";

/// One alert of one node.
pub fn alert(name: &str, node: &str, started_at: Timestamp, ended_at: Option<Timestamp>) -> Value {
    json!({
        "status": if ended_at.is_some() { "resolved" } else { "firing" },
        "labels": {"alertname": name, "cluster": "train-a", "node": node, "severity": "critical", "phc": "true"},
        "annotations": {"summary": format!("{name} on {node}")},
        "startsAt": started_at.to_string(),
        "endsAt": ended_at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string()),
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": format!("{name}-{node}"),
    })
}

/// A message of these alerts.
pub fn message(alerts: &[Value]) -> Value {
    let is_firing = alerts.iter().any(|alert| alert["status"] == "firing");
    json!({
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
        "status": if is_firing { "firing" } else { "resolved" },
        "receiver": "remedyd",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": alerts,
    })
}

/// A message of one alert that fires.
pub fn firing(name: &str, node: &str, started_at: Timestamp) -> Value {
    message(&[alert(name, node, started_at, None)])
}

/// A message of one alert that ended.
pub fn resolved(name: &str, node: &str, started_at: Timestamp, ended_at: Timestamp) -> Value {
    message(&[alert(name, node, started_at, Some(ended_at))])
}
