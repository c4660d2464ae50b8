//! `[checks.<id>.dcgm_exporter]`

/// Scrapes the node's dcgm-exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DcgmExporter {}
