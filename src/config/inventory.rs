//! `[inventory]`: where it stands who exists, and which labels of service discovery say what.

use std::time::Duration;

use super::alert_sources::read_url;
use super::clusters::known_cluster;
use super::table::{Table, Value};
use crate::domain::{Cluster, DiscoveryId};
use crate::inventory::Mapping;

/// As Prometheus has it.
const REFRESH: Duration = Duration::from_secs(60);

/// More often is no refresh but a load.
const OFTENEST: Duration = Duration::from_secs(1);

/// The name is part of a file's, which has 255 bytes.
const LONGEST_NAME: usize = 200;

/// What `[inventory]` says.
#[derive(Default)]
pub(super) struct Named<'a> {
    /// Patterns of our own files.
    pub(super) files: Vec<(&'a str, Value<'a>)>,
    /// Patterns of Prometheus's files.
    pub(super) file_sd: Vec<(&'a str, Value<'a>)>,
    /// Lists that are asked for.
    pub(super) http_sd: Vec<HttpSdTable<'a>>,
    /// Which labels say what.
    pub(super) mapping: Mapping,
}

/// What `[inventory.http_sd.<id>]` says, its token still unread.
pub(super) struct HttpSdTable<'a> {
    pub(super) id: DiscoveryId,
    pub(super) url: String,
    pub(super) refresh: Duration,
    pub(super) token_file: Option<(&'a str, Value<'a>)>,
    /// The table itself.
    pub(super) value: Value<'a>,
}

/// Reads the table.
pub(super) fn read<'a>(mut table: Table<'a>, clusters: &[Cluster]) -> Named<'a> {
    let patterns = |value: Option<Value<'a>>| value.and_then(|value| value.texts()).unwrap_or_default();
    let (files, file_sd) = (patterns(table.take("files")), table.take("file_sd"));
    let default_cluster = table.take("default_cluster");
    let labels = table.take("labels");
    let http_sd = table.take("http_sd");
    for value in [&default_cluster, &labels].into_iter().flatten().filter(|_| file_sd.is_none() && http_sd.is_none()) {
        value.dangling("says nothing: it is about what `file_sd` and `http_sd` bring, which are not there");
    }
    let mut mapping = labels.and_then(|value| value.table()).map_or_else(Mapping::default, read_labels);
    mapping.default_cluster = default_cluster.and_then(|value| known_cluster(&value, clusters));
    table.finish();
    let http_sd = http_sd.and_then(|value| value.table()).map(read_http_sd).unwrap_or_default();
    Named { files, file_sd: patterns(file_sd), http_sd, mapping }
}

fn read_http_sd(table: Table<'_>) -> Vec<HttpSdTable<'_>> {
    let mut read = Vec::new();
    for (id, value) in table.named(DiscoveryId::parse) {
        let Some(mut table) = value.table() else { continue };
        if id.as_str().len() > LONGEST_NAME {
            value.wrong_key(format!("the name is longer than {LONGEST_NAME} bytes"));
        }
        let url = table.require("url").and_then(|value| read_url(value.text()?, &value));
        let refresh = table.take("refresh").and_then(|value| {
            let refresh = value.duration()?;
            if refresh < OFTENEST {
                value.wrong("must be at least 1s");
            }
            Some(refresh)
        });
        let token_file = table.take("token_file").and_then(|value| value.text().map(|text| (text, value)));
        table.finish();
        let refresh = refresh.unwrap_or(REFRESH);
        read.extend(url.map(|url| HttpSdTable { id, url, refresh, token_file, value }));
    }
    read
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
