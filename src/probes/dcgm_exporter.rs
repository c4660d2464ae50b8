//! The probe `dcgm_exporter`: one scrape of the node's dcgm-exporter, whichever its version.
//!
//! DCGM 3 and 4 differ in labels and in names, and a counter file may name any field by its old or its new name (DCGM's
//! deprecated aliases). So every spelling is read. DCGM writes a value that it does not have as a number of its own
//! (`DCGM_INT64_BLANK` and those above it, `DCGM_FP64_BLANK`); those are read as absent.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Target;
use super::connect::Deadline;
use super::exposition::{Sample, Unreadable, samples};
use super::fetch::{NoPage, Page, get};
use super::gpu::{Gpu, Reading, judge};
use super::links::{Before, Memory};
use super::resolve::Resolver;
use crate::config::checks::DcgmExporter;
use crate::config::checks::dcgm_exporter::Unreachable;
use crate::domain::{CheckKind, Finding, Observation};

/// Far above what eight GPUs with MIG instances and every field come to.
const PAGE_BYTES: usize = 16 << 20;
/// What a node without its exporter has.
const DOWN: &str = "exporter_down";

/// What every GPU that answers has a value of, by old and new names.
const SIGNS_OF_LIFE: [&str; 11] = [
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_GPU_TEMP_CELSIUS",
    "DCGM_FI_DEV_SM_CLOCK",
    "DCGM_FI_DEV_MEM_CLOCK",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_BOARD_POWER_WATTS",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_GPU_UTIL_RATIO",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_FB_FREE",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
];

/// One run.
pub(super) async fn run(
    spec: &DcgmExporter,
    target: &Target,
    resolver: &Resolver,
    memory: &Memory,
    timeout: Duration,
) -> Observation {
    let page = Page { host: &target.address, port: spec.port, path: &spec.path };
    let url = format!("http://{}:{}{}", page.host, page.port, page.path);
    let page = match get(resolver, page, &Deadline::after(timeout), PAGE_BYTES).await {
        Ok(page) => page,
        Err(NoPage::Ours(why)) => return Observation::error(format!("{url}: {why}")),
        Err(NoPage::Theirs(why)) => return down(spec, format!("{url}: {why}")),
        Err(NoPage::TooLong(bytes)) => return Observation::inconclusive(format!("{url}: more than {bytes} bytes")),
    };
    match scrape(&String::from_utf8_lossy(&page)) {
        Ok(reading) => {
            let before = memory.exchange(target, CheckKind::DcgmExporter, &reading);
            judge(&reading, &spec.limits, before.as_ref())
        }
        Err(error) => Observation::inconclusive(format!("{url} {error}")),
    }
}

/// Nothing is known of the GPUs. Whether that is the node's fault is the operator's to say.
fn down(spec: &DcgmExporter, what: String) -> Observation {
    match spec.unreachable {
        Unreachable::Inconclusive => Observation::inconclusive(what),
        Unreachable::Fail => Observation::fail(vec![Finding::new(DOWN, what.as_str())], what),
    }
}

/// What a page comes to by itself, or after an earlier reading.
pub fn read(page: &str, spec: &DcgmExporter, before: Option<&Before>) -> Observation {
    match scrape(page) {
        Ok(reading) => judge(&reading, &spec.limits, before),
        Err(error) => Observation::inconclusive(error.to_string()),
    }
}

/// A page that says nothing about GPUs.
#[derive(Debug, thiserror::Error)]
pub enum NoScrape {
    /// It is no page of dcgm-exporter, or the exporter sees no GPU.
    #[error("shows no GPU: there is no DCGM metric in it")]
    Empty,
    /// It breaks off or is garbled.
    #[error("shows what cannot be read: {0}")]
    Unreadable(String),
}

impl From<Unreadable> for NoScrape {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// The GPUs that a page of dcgm-exporter shows.
///
/// # Errors
/// Where there are none, or where a line about them cannot be read.
pub fn scrape(page: &str) -> Result<Reading, NoScrape> {
    let mut gpus: BTreeMap<Box<str>, Gpu> = BTreeMap::new();
    let mut links = BTreeMap::new();
    for sample in samples(page, "DCGM_")? {
        // Switches, CPUs and their cores have neither; the templates of links and of old name spaces spell it differently.
        let Some(device) = sample.label(&["UUID", "uuid", "gpu_uuid", "gpu", "GPU"]) else { continue };
        let gpu = gpus.entry(device.into()).or_insert_with(|| Gpu { device: device.into(), ..Gpu::default() });
        take(gpu, &sample);
        if let (Some(kind), Some(value)) = (link_error(sample.name), present(sample.value)) {
            let link = sample.label(&["nvlink"]).unwrap_or_default().to_owned();
            links.insert((Box::<str>::from(device), sample.name, link), (kind, whole(value)));
        }
    }
    for ((device, ..), (kind, count)) in links {
        let Some(gpu) = gpus.get_mut(&device) else { continue };
        let errors = gpu.link_errors.get_or_insert_default();
        let sum = match kind {
            LinkError::Crc => &mut errors.crc,
            LinkError::Replay => &mut errors.replay,
            LinkError::Recovery => &mut errors.recovery,
        };
        *sum = sum.saturating_add(count);
    }
    if gpus.is_empty() {
        return Err(NoScrape::Empty);
    }
    Ok(Reading { gpus: gpus.into_values().collect(), counted: None })
}

/// Adds one sample. With MIG a GPU repeats it for each of its instances: the worst counts.
fn take(gpu: &mut Gpu, sample: &Sample<'_>) {
    let Some(value) = present(sample.value) else { return };
    gpu.is_live |= SIGNS_OF_LIFE.contains(&sample.name);
    match sample.name {
        "DCGM_FI_DEV_GPU_TEMP" | "DCGM_FI_DEV_GPU_TEMP_CELSIUS" => {
            gpu.temperature_celsius = Some(gpu.temperature_celsius.map_or(value, |other| other.max(value)));
        }
        "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS" | "DCGM_FI_DEV_CLOCKS_EVENT_REASONS" => {
            gpu.throttle_reasons = Some(gpu.throttle_reasons.unwrap_or(0) | whole(value));
        }
        "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL" => gpu.double_bit_ecc = gpu.double_bit_ecc.max(Some(whole(value))),
        "DCGM_FI_DEV_ROW_REMAP_FAILURE" | "DCGM_FI_DEV_ROW_REMAP_FAILED" => {
            gpu.row_remap_failure = gpu.row_remap_failure.max(Some(value > 0.0));
        }
        "DCGM_FI_DEV_ROW_REMAP_PENDING" => gpu.row_remap_pending = gpu.row_remap_pending.max(Some(value > 0.0)),
        "DCGM_FI_DEV_GET_GPU_RECOVERY_ACTION" | "DCGM_FI_DEV_GPU_RECOVERY_ACTION" => {
            gpu.recovery_action = gpu.recovery_action.max(code(value));
        }
        "DCGM_FI_DEV_XID_ERRORS" | "DCGM_FI_DEV_XID_ERROR" => gpu.last_xids.extend(code(value)),
        "DCGM_EXP_XID_ERRORS_COUNT" => {
            // Without an XID: there was none in the window.
            let xid = sample.label(&["xid"]).and_then(|text| text.parse().ok()).unwrap_or(0);
            let times = gpu.recent_xids.entry(xid).or_default();
            *times = whole(value).max(*times);
        }
        // 0 is down, 1 is up, 2 sleeps (`nvmlNvlinkState`); one sample for each link.
        "DCGM_FI_DEV_NVLINK_GET_STATE" | "DCGM_FI_DEV_NVLINK_STATE" => {
            gpu.links_up = Some(gpu.links_up.unwrap_or(0) + u32::from(value > 0.0));
        }
        _ => {}
    }
}

enum LinkError {
    Crc,
    Replay,
    Recovery,
}

/// The counters of a GPU's links together. Those of single lanes (`…_L0`) are in them.
fn link_error(name: &str) -> Option<LinkError> {
    match name.strip_prefix("DCGM_FI_DEV_NVLINK_")? {
        "CRC_FLIT_ERROR_COUNT_TOTAL"
        | "CRC_FLIT_ERROR_TOTAL"
        | "CRC_DATA_ERROR_COUNT_TOTAL"
        | "CRC_DATA_ERROR_TOTAL"
        | "ERROR_DL_CRC"
        | "CRC_ERROR_TOTAL" => Some(LinkError::Crc),
        "REPLAY_ERROR_COUNT_TOTAL" | "REPLAY_ERROR_TOTAL" | "ERROR_DL_REPLAY" | "REPLAY_TOTAL" => {
            Some(LinkError::Replay)
        }
        "RECOVERY_ERROR_COUNT_TOTAL"
        | "RECOVERY_ERROR_TOTAL"
        | "ERROR_DL_RECOVERY"
        | "RECOVERY_TOTAL"
        | "COUNT_LINK_RECOVERY_FAILED_EVENTS"
        | "RECOVERY_FAILED_TOTAL" => Some(LinkError::Recovery),
        _ => None,
    }
}

/// The value, unless it is one of those that stand for none: 0x7ffffff0 and 0x7ffffffffffffff0 and a few above each, 2⁴⁷ of
/// a fraction (dcgm_structs.h).
fn present(value: f64) -> Option<f64> {
    let is_blank = (2_147_483_632.0..=2_147_483_647.0).contains(&value) || value >= 140_737_488_355_328.0;
    (value.is_finite() && value >= 0.0 && !is_blank).then_some(value)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`present` lets only small positive values in"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

fn code(value: f64) -> Option<u32> {
    u32::try_from(whole(value)).ok()
}

#[cfg(test)]
mod tests;
