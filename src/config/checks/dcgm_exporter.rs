//! `[checks.<id>.dcgm_exporter]`

use super::super::table::Table;
use super::gpu::{Condition, Limits};

/// Where dcgm-exporter listens unless it is told otherwise.
const PORT: u16 = 9400;
/// Where it serves its metrics.
const PATH: &str = "/metrics";

/// Scrapes the node's dcgm-exporter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DcgmExporter {
    /// Its port.
    pub port: u16,
    /// The path of its metrics.
    pub path: String,
    /// What it means where it cannot be asked.
    pub unreachable: Unreachable,
    /// What counts as wrong.
    pub limits: Limits,
}

/// What an exporter means that does not answer, or answers with an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unreachable {
    /// Nothing is known about the GPUs.
    #[default]
    Inconclusive,
    /// The node is sick: its exporter always runs, and one that stalls is a sign of a GPU that does.
    Fail,
}

impl Default for DcgmExporter {
    fn default() -> Self {
        Self {
            port: PORT,
            path: PATH.to_owned(),
            unreachable: Unreachable::default(),
            limits: Limits::usual(&Condition::ALL),
        }
    }
}

pub(super) fn read(mut table: Table<'_>) -> Option<DcgmExporter> {
    let port = table.take("port").and_then(|value| value.number(1..=65_535));
    let path = table.take("path").and_then(|value| {
        value.parsed(|text| {
            let fits = text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
            if fits {
                Ok(text.to_owned())
            } else {
                Err(format!("`{text}` is no path: it must begin with a slash and hold no spaces"))
            }
        })
    });
    let unreachable = table.take("unreachable").and_then(|value| {
        value.parsed(|text| match text {
            "inconclusive" => Ok(Unreachable::Inconclusive),
            "fail" => Ok(Unreachable::Fail),
            other => Err(format!("`{other}` is neither inconclusive nor fail")),
        })
    });
    let limits = Limits::read(&mut table, &Condition::ALL);
    if limits.is_explicit && limits.conditions.contains(&Condition::GpuCount) && limits.gpus.is_none() {
        table.wrong("`gpu_count` needs `gpus`: an exporter does not tell how many GPUs there should be");
    }
    table.finish();
    Some(DcgmExporter {
        port: port.and_then(|port| u16::try_from(port).ok()).unwrap_or(PORT),
        path: path.unwrap_or_else(|| PATH.to_owned()),
        unreachable: unreachable.unwrap_or_default(),
        limits,
    })
}
