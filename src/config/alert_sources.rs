//! `[sources.<id>]`: who sends alerts, whom to ask about them, and how they find their instance.

use std::collections::BTreeMap;

use super::clusters::known_cluster;
use super::table::{Table, Value};
use crate::domain::{Cluster, SourceId, check};
use crate::engine::settings::Source;

/// Labels that may name the instance (DESIGN §4.1), unless the file says otherwise.
const INSTANCE_LABELS: [&str; 11] = [
    "instance_id",
    "node",
    "kubernetes_node",
    "nodename",
    "host",
    "hostname",
    "Hostname",
    "vm",
    "target_vm",
    "exported_instance",
    "instance",
];

/// What decisions need of every source, and the base URLs of its Alertmanagers.
pub(super) fn read(
    table: Table<'_>,
    clusters: &[Cluster],
) -> (BTreeMap<SourceId, Source>, BTreeMap<SourceId, Vec<String>>) {
    let mut sources = BTreeMap::new();
    let mut alertmanagers = BTreeMap::new();
    for (id, value) in table.named(SourceId::parse) {
        if id.as_str() == check::SOURCE {
            value.wrong_key("is the daemon's own name for what active checks find; call the source otherwise");
            continue;
        }
        let Some(mut source) = value.table() else { continue };
        let urls = read_alertmanagers(source.take("alertmanagers"));
        if urls.is_empty() {
            let what = "has no `alertmanagers` to ask: an alert whose end is never delivered stays open unseen";
            source.warn(what);
        }
        let labels = |value: Option<Value<'_>>, default: &[&str]| match value.and_then(|value| value.texts()) {
            Some(texts) => texts.into_iter().map(|(text, _)| text.to_owned()).collect(),
            None => default.iter().map(|&text| text.to_owned()).collect(),
        };
        let cluster_labels = labels(source.take("cluster_labels"), &["cluster", "cluster_name"]);
        let instance_labels = labels(source.take("instance_labels"), &INSTANCE_LABELS);
        let default_cluster = source.take("default_cluster").and_then(|value| known_cluster(&value, clusters));
        source.finish();
        let has_api = !urls.is_empty();
        sources.insert(id.clone(), Source { cluster_labels, instance_labels, default_cluster, has_api });
        alertmanagers.insert(id, urls);
    }
    (sources, alertmanagers)
}

/// The base URLs, without a slash at the end.
fn read_alertmanagers(value: Option<Value<'_>>) -> Vec<String> {
    let mut urls: Vec<String> = Vec::new();
    for (text, item) in value.and_then(|value| value.texts()).unwrap_or_default() {
        let Some(url) = read_url(text, &item) else { continue };
        let base = url.trim_end_matches('/').to_owned();
        if base.contains(['?', '#']) {
            item.wrong("must be a base address, without `?` and `#`");
        } else if urls.contains(&base) {
            item.wrong(format!("`{text}` is named twice"));
        } else {
            urls.push(base);
        }
    }
    urls
}

/// An http or https URL without secrets in front of the host. No message repeats the text: it may hold a secret, and
/// messages end up in logs.
pub(super) fn read_url(text: &str, value: &Value<'_>) -> Option<String> {
    let url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(err) => {
            value.wrong(format!("is no URL: {err}"));
            return None;
        }
    };
    if !matches!(url.scheme(), "http" | "https") {
        value.wrong("must begin with http:// or https://");
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        value.wrong("must not carry a user or a password: URLs end up in logs");
        return None;
    }
    Some(url.to_string())
}
