//! `[inventory]`: where it stands who exists, and which labels of service discovery say what.

use super::clusters::known_cluster;
use super::table::{Table, Value};
use crate::domain::Cluster;
use crate::inventory::Mapping;

/// What `[inventory]` says.
#[derive(Default)]
pub(super) struct Named<'a> {
    /// Patterns of our own files.
    pub(super) files: Vec<(&'a str, Value<'a>)>,
    /// Patterns of Prometheus's files.
    pub(super) file_sd: Vec<(&'a str, Value<'a>)>,
    /// Which labels say what.
    pub(super) mapping: Mapping,
}

/// Reads the table.
pub(super) fn read<'a>(mut table: Table<'a>, clusters: &[Cluster]) -> Named<'a> {
    let patterns = |value: Option<Value<'a>>| value.and_then(|value| value.texts()).unwrap_or_default();
    let (files, file_sd) = (patterns(table.take("files")), table.take("file_sd"));
    let default_cluster = table.take("default_cluster");
    let labels = table.take("labels");
    for value in [&default_cluster, &labels].into_iter().flatten().filter(|_| file_sd.is_none()) {
        value.dangling("says nothing: it is about what `file_sd` brings, which is not there");
    }
    let mut mapping = labels.and_then(|value| value.table()).map_or_else(Mapping::default, read_labels);
    mapping.default_cluster = default_cluster.and_then(|value| known_cluster(&value, clusters));
    table.finish();
    Named { files, file_sd: patterns(file_sd), mapping }
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
