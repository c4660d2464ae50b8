//! `[inventory]`: where it stands who exists, and which labels of service discovery say what.

use std::collections::BTreeMap;
use std::time::Duration;

use super::alert_sources::read_url;
use super::clusters::known_cluster;
use super::table::{Table, Value};
use crate::domain::Cluster;
use crate::inventory::Mapping;

/// How often an `http_sd` is asked, unless the file says otherwise; as Prometheus does.
const REFRESH: Duration = Duration::from_secs(60);

/// What `[inventory]` says.
#[derive(Default)]
pub(super) struct Named<'a> {
    /// Patterns of our own files.
    pub(super) files: Vec<(&'a str, Value<'a>)>,
    /// Patterns of Prometheus's files.
    pub(super) file_sd: Vec<(&'a str, Value<'a>)>,
    /// What is asked over HTTP.
    pub(super) http_sd: BTreeMap<String, HttpSd>,
    /// Which labels say what.
    pub(super) mapping: Mapping,
}

/// `[inventory.http_sd.<id>]`: a list of targets that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSd {
    /// Where.
    pub url: String,
    /// How often.
    pub refresh: Duration,
}

/// Reads the table.
pub(super) fn read<'a>(mut table: Table<'a>, clusters: &[Cluster]) -> Named<'a> {
    let patterns = |value: Option<Value<'a>>| value.and_then(|value| value.texts()).unwrap_or_default();
    let (files, file_sd) = (patterns(table.take("files")), table.take("file_sd"));
    let http_sd = read_http_sd(table.table("http_sd"));
    let discovers = file_sd.is_some() || !http_sd.is_empty();
    let default_cluster = table.take("default_cluster");
    let labels = table.take("labels");
    for value in [&default_cluster, &labels].into_iter().flatten().filter(|_| !discovers) {
        value.dangling("says nothing: it is about what `file_sd` and `http_sd` bring, and neither is there");
    }
    let mut mapping = labels.and_then(|value| value.table()).map_or_else(Mapping::default, read_labels);
    mapping.default_cluster = default_cluster.and_then(|value| known_cluster(&value, clusters));
    table.finish();
    Named { files, file_sd: patterns(file_sd), http_sd, mapping }
}

fn read_http_sd(table: Table<'_>) -> BTreeMap<String, HttpSd> {
    let mut found = BTreeMap::new();
    for (id, value) in table.named(parse_id) {
        let Some(mut table) = value.table() else { continue };
        let url = table.require("url").and_then(|value| read_url(value.text()?, &value));
        let refresh = table.take("refresh").and_then(|value| {
            let refresh = value.duration()?;
            if refresh < Duration::from_secs(1) {
                value.wrong("must be 1s or longer: others have to answer");
            }
            Some(refresh)
        });
        table.finish();
        found.extend(url.map(|url| (id, HttpSd { url, refresh: refresh.unwrap_or(REFRESH) })));
    }
    found
}

/// Fit for a file name and for a metric's label.
fn parse_id(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len());
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if fits && plain {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no id: 1 to 64 letters, digits, underscores and hyphens"))
    }
}

fn read_labels(mut table: Table<'_>) -> Mapping {
    let mut mapping = Mapping::default();
    let keys: [(&'static str, &mut Vec<String>); 9] = [
        ("id", &mut mapping.id),
        ("name", &mut mapping.name),
        ("cluster", &mut mapping.cluster),
        ("host", &mut mapping.host),
        ("pool", &mut mapping.pool),
        ("generation", &mut mapping.generation),
        ("provider_id", &mut mapping.provider_id),
        ("auto_remediation_enabled", &mut mapping.auto_remediation_enabled),
        ("domains", &mut mapping.domains),
    ];
    for (key, labels) in keys {
        if let Some(texts) = table.take(key).and_then(|value| value.texts()) {
            *labels = texts.into_iter().map(|(text, _)| text.to_owned()).collect();
        }
    }
    table.finish();
    mapping
}
