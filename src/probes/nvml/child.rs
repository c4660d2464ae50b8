//! The process that asks NVML: one question, one line of JSON, and it is gone.

use std::io::Write;

use nvml_wrapper::enum_wrappers::device::{EccCounter, MemoryError, TemperatureSensor};
use nvml_wrapper::enum_wrappers::nv_link::ErrorCounter;
use nvml_wrapper::enums::device::SampleValue;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::sys_exports::field_id;
use nvml_wrapper::{Device, Nvml};
use serde::{Deserialize, Serialize};

use super::super::gpu::Gpu;
use super::super::links::LinkErrors;

/// The hidden verb of the binary that runs this.
pub const VERB: &str = "nvml-probe";
/// Where a driver package puts the library; the name without a number is in development packages only.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// No GPU has more NVLinks.
const LINKS: u32 = 18;

/// What NVML says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// All that it knows.
    Gpus {
        /// The version of the driver.
        driver: String,
        /// Every GPU, those that do not answer as well.
        gpus: Vec<Gpu>,
    },
    /// Nothing.
    None(NoAnswer),
}

/// Why it says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoAnswer {
    /// There is no such library here, so nobody expects GPUs.
    NoLibrary(String),
    /// We may not ask.
    Local(String),
    /// The driver does not answer.
    Unknown(String),
}

/// Asks, and writes the answer.
///
/// # Errors
/// Where nobody reads it.
pub fn ask(out: &mut impl Write) -> std::io::Result<()> {
    let answer = read().unwrap_or_else(|error| Answer::None(no_answer(&error)));
    serde_json::to_writer(&mut *out, &answer)?;
    out.write_all(b"\n")
}

fn no_answer(error: &NvmlError) -> NoAnswer {
    match error {
        NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound => NoAnswer::NoLibrary(error.to_string()),
        NvmlError::NoPermission | NvmlError::InsufficientMemory | NvmlError::FailedToLoadSymbol(_) => {
            NoAnswer::Local(error.to_string())
        }
        _ => NoAnswer::Unknown(error.to_string()),
    }
}

fn read() -> Result<Answer, NvmlError> {
    let nvml = Nvml::builder().lib_path(LIBRARY.as_ref()).init()?;
    let driver = nvml.sys_driver_version().unwrap_or_else(|_| "unknown".to_owned());
    let count = nvml.device_count()?;
    let gpus =
        (0..count).map(|index| nvml.device_by_index(index).map_or_else(|_| silent(index), |gpu| of(&gpu, index)));
    Ok(Answer::Gpus { driver, gpus: gpus.collect() })
}

/// A GPU of which NVML knows no more than that it is there.
fn silent(index: u32) -> Gpu {
    Gpu { device: index.to_string().into(), ..Gpu::default() }
}

fn of(device: &Device<'_>, index: u32) -> Gpu {
    let Ok(uuid) = device.uuid() else { return silent(index) };
    let temperature = device.temperature(TemperatureSensor::Gpu);
    Gpu {
        device: uuid.into(),
        // What every GPU can tell that is not lost.
        is_live: temperature.is_ok() && !matches!(device.memory_info(), Err(NvmlError::GpuLost)),
        temperature_celsius: temperature.ok().map(f64::from),
        throttle_reasons: device.current_throttle_reasons().ok().map(|reasons| reasons.bits()),
        double_bit_ecc: device.total_ecc_errors(MemoryError::Uncorrected, EccCounter::Volatile).ok(),
        row_remap_failure: field(device, field_id::NVML_FI_DEV_REMAPPED_FAILURE).map(|value| value > 0),
        row_remap_pending: field(device, field_id::NVML_FI_DEV_REMAPPED_PENDING).map(|value| value > 0),
        recovery_action: field(device, field_id::NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)
            .and_then(|action| u32::try_from(action).ok()),
        link_errors: link_errors(device),
        links_up: links_up(device),
        ..Gpu::default()
    }
}

fn field(device: &Device<'_>, id: u32) -> Option<u64> {
    let sample = device.field_values_for(&[FieldId(id)]).ok()?.into_iter().next()?.ok()?;
    match sample.value.ok()? {
        SampleValue::U32(value) => Some(value.into()),
        SampleValue::U64(value) => Some(value),
        SampleValue::I64(value) => u64::try_from(value).ok(),
        SampleValue::F64(_) => None,
    }
}

/// Nothing where the GPU has no links.
fn links_up(device: &Device<'_>) -> Option<u32> {
    let states: Vec<bool> = (0..LINKS).map_while(|link| device.link_wrapper_for(link).is_active().ok()).collect();
    let up = states.iter().filter(|is_active| **is_active).count();
    (!states.is_empty()).then(|| u32::try_from(up).unwrap_or(LINKS))
}

/// Nothing where no link counts.
fn link_errors(device: &Device<'_>) -> Option<LinkErrors> {
    let sum = |counter: ErrorCounter| {
        let counts = (0..LINKS).filter_map(|link| device.link_wrapper_for(link).error_counter(counter).ok());
        counts.reduce(u64::saturating_add)
    };
    let crc =
        [ErrorCounter::DlCrcFlit, ErrorCounter::DlCrcData].into_iter().filter_map(sum).reduce(u64::saturating_add);
    let (replay, recovery) = (sum(ErrorCounter::DlReplay), sum(ErrorCounter::DlRecovery));
    crc.or(replay).or(recovery)?;
    Some(LinkErrors { crc: crc.unwrap_or(0), replay: replay.unwrap_or(0), recovery: recovery.unwrap_or(0) })
}
