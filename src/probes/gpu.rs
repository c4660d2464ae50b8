//! What a machine's GPUs say, from wherever it was read, and what of it is wrong.
//!
//! A value that is not there is no evidence: it makes no finding. Where nothing is known of any GPU the answer is
//! INCONCLUSIVE, and a condition that the operator named and of which there is no value makes it so as well.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::links::{self, Before, LinkErrors};
use crate::config::checks::gpu::{Condition, Limits};
use crate::domain::{Finding, Measurement, Observation, Quantity};

/// Slowdowns that heat or the power supply force upon a GPU: by hardware (0x08), by the driver for heat (0x20), by hardware
/// for heat (0x40) and by the power brake (0x80), as NVML numbers them (`nvmlClocksEventReason…`). The other reasons, such
/// as being idle or at its power cap, are everyday life.
const SLOWDOWNS: [(u64, &str); 4] = [
    (0x08, "hardware slowdown"),
    (0x20, "thermal slowdown by the driver"),
    (0x40, "thermal slowdown by hardware"),
    (0x80, "power brake"),
];
/// The GPUs of one machine at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// One for each GPU that was named.
    pub gpus: Vec<Gpu>,
    /// How many there are, where whoever was asked knows that.
    pub counted: Option<u32>,
}

/// One GPU. What is not known of it is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its UUID, else its index.
    pub device: Box<str>,
    /// It answers: there is a current value of what every GPU has, such as a temperature.
    pub is_live: bool,
    /// Of its core.
    pub temperature_celsius: Option<f64>,
    /// NVML's mask of what holds its clocks down.
    pub throttle_reasons: Option<u64>,
    /// Memory errors that ECC could not correct, since the driver was loaded.
    pub double_bit_ecc: Option<u64>,
    /// A row of memory could not be replaced.
    pub row_remap_failure: Option<bool>,
    /// A row of memory is replaced at the next reset.
    pub row_remap_pending: Option<bool>,
    /// What the driver asks for: NVML's recovery action, 0 for nothing.
    pub recovery_action: Option<u32>,
    /// The last XID, 0 for none since the driver was loaded. With MIG each instance may have its own.
    pub last_xids: BTreeSet<u32>,
    /// XIDs of the last minutes, and how often.
    pub recent_xids: BTreeMap<u32, u64>,
    /// Errors of its NVLinks since they came up.
    pub link_errors: Option<LinkErrors>,
    /// How many of its NVLinks are up.
    pub links_up: Option<u32>,
}

/// What is wrong.
///
/// One look at a counter tells history, not state, so errors of links count from the second reading on. Uncorrectable
/// memory errors are counted since the driver was loaded, and are state: they go with a reset or a reboot.
pub fn judge(reading: &Reading, limits: &Limits, before: Option<&Before>) -> Observation {
    let live = reading.gpus.iter().filter(|gpu| gpu.is_live).count();
    let mut findings = Vec::new();
    for condition in &limits.conditions {
        if *condition == Condition::GpuCount {
            findings.extend(missing(reading, limits, live));
            continue;
        }
        for gpu in &reading.gpus {
            findings.extend(of_gpu(*condition, gpu, limits, before).into_iter().map(|found| found.on(&gpu.device)));
        }
    }
    let unknown: Vec<&str> = limits
        .conditions
        .iter()
        .filter(|condition| !reading.gpus.iter().any(|gpu| is_known(**condition, gpu)))
        .map(|condition| condition.as_str())
        .collect();
    let mut evidence = evidence(reading, live, &findings);
    if !unknown.is_empty() {
        evidence.push_str(&format!("; no value for {}", unknown.join(", ")));
    }
    findings.truncate(Finding::KEPT);
    let mut observation = if !findings.is_empty() {
        Observation::fail(findings, evidence)
    } else if live == 0 || (limits.is_explicit && !unknown.is_empty()) {
        Observation::inconclusive(evidence)
    } else {
        Observation::pass(evidence)
    };
    observation.devices = reading.gpus.iter().filter(|gpu| gpu.is_live).map(|gpu| gpu.device.clone()).collect();
    observation.measurements = measurements(reading, live);
    observation
}

fn of_gpu(condition: Condition, gpu: &Gpu, limits: &Limits, before: Option<&Before>) -> Vec<Finding> {
    let found = |is_so: bool, detail: String| Vec::from_iter(is_so.then(|| Finding::new(condition.as_str(), detail)));
    match condition {
        Condition::Xid => xids(gpu, limits),
        Condition::DoubleBitEcc => {
            let count = gpu.double_bit_ecc.unwrap_or(0);
            found(count > 0, format!("{count} uncorrectable memory errors since the driver was loaded"))
        }
        Condition::RowRemapFailure => {
            found(gpu.row_remap_failure == Some(true), "a row of memory could not be remapped".to_owned())
        }
        Condition::RowRemapPending => {
            found(gpu.row_remap_pending == Some(true), "a row of memory is remapped at the next reset".to_owned())
        }
        Condition::Nvlink => Vec::from_iter(links::judge(gpu, limits, before)),
        Condition::Temperature => {
            let (celsius, limit) = (gpu.temperature_celsius.unwrap_or(0.0), limits.temperature_celsius);
            found(celsius > f64::from(limit), format!("{celsius} °C, above {limit} °C"))
        }
        Condition::Throttling => {
            let reasons = gpu.throttle_reasons.unwrap_or(0);
            let words: Vec<&str> =
                SLOWDOWNS.iter().filter(|(bit, _)| reasons & bit != 0).map(|(_, word)| *word).collect();
            found(!words.is_empty(), format!("{} (reasons 0x{reasons:x})", words.join(", ")))
        }
        Condition::RecoveryAction => {
            let action = gpu.recovery_action.unwrap_or(0);
            let one = found(action != 0, format!("the driver asks for {} ({action})", action_words(action)));
            one.into_iter().map(|found| Finding { recovery_action: Some(action), ..found }).collect()
        }
        // Of the machine as a whole.
        Condition::GpuCount => Vec::new(),
    }
}

/// The gauge of the last XID keeps its value until the driver is loaded again, so what it shows is sticky even where the
/// code is recent as well.
fn xids(gpu: &Gpu, limits: &Limits) -> Vec<Finding> {
    let recent = gpu.recent_xids.iter().filter(|(_, times)| **times > 0).map(|(code, _)| code);
    let codes: BTreeSet<u32> = gpu.last_xids.iter().chain(recent).copied().collect();
    let counts = codes.into_iter().filter(|code| *code != 0 && !limits.ignore_xids.contains(code));
    let finding = |code: u32| {
        let is_last = gpu.last_xids.contains(&code);
        let mut detail = format!("XID {code}");
        if is_last {
            detail.push_str(", the last that the driver logged");
        }
        if let Some(times) = gpu.recent_xids.get(&code) {
            detail.push_str(&format!(", {times} in the exporter's window"));
        }
        Finding { xid: Some(code), is_sticky: is_last, ..Finding::new(Condition::Xid.as_str(), detail) }
    };
    counts.map(finding).collect()
}

fn missing(reading: &Reading, limits: &Limits, live: usize) -> Option<Finding> {
    let wanted = limits.gpus.or(reading.counted)?;
    // Nobody said that there is none.
    let is_blank = reading.gpus.is_empty() && reading.counted.is_none();
    if is_blank || live >= wanted as usize {
        return None;
    }
    let silent: Vec<&str> = reading.gpus.iter().filter(|gpu| !gpu.is_live).map(|gpu| &*gpu.device).collect();
    let mut detail = format!("{live} of {wanted} GPUs answer");
    if !silent.is_empty() {
        detail.push_str(&format!("; silent: {}", silent.join(", ")));
    }
    Some(Finding::new(Condition::GpuCount.as_str(), detail))
}

fn is_known(condition: Condition, gpu: &Gpu) -> bool {
    match condition {
        Condition::Xid => !gpu.last_xids.is_empty() || !gpu.recent_xids.is_empty(),
        Condition::DoubleBitEcc => gpu.double_bit_ecc.is_some(),
        Condition::RowRemapFailure => gpu.row_remap_failure.is_some(),
        Condition::RowRemapPending => gpu.row_remap_pending.is_some(),
        Condition::Nvlink => gpu.link_errors.is_some() || gpu.links_up.is_some(),
        Condition::Temperature => gpu.temperature_celsius.is_some(),
        Condition::Throttling => gpu.throttle_reasons.is_some(),
        Condition::GpuCount => true,
        Condition::RecoveryAction => gpu.recovery_action.is_some(),
    }
}

/// NVML's `nvmlDeviceGpuRecoveryAction_t`.
fn action_words(action: u32) -> &'static str {
    match action {
        1 => "a reset of the GPU",
        2 => "a reboot of the node",
        3 => "peer-to-peer traffic to be drained",
        4 => "a drain and a reset",
        5 => "a recovery of the IMEX domain",
        6 => "a reset of the bus",
        7 => "a reboot of the system",
        _ => "something unknown",
    }
}

fn hottest(reading: &Reading) -> Option<f64> {
    reading.gpus.iter().filter_map(|gpu| gpu.temperature_celsius).reduce(f64::max)
}

fn evidence(reading: &Reading, live: usize, findings: &[Finding]) -> String {
    let mut text = format!("{live} of {} GPUs answer", reading.gpus.len());
    if let Some(celsius) = hottest(reading) {
        text.push_str(&format!(", the hottest at {celsius} °C"));
    }
    for found in findings.iter().take(Finding::KEPT) {
        let of = if found.device.is_empty() { String::new() } else { format!("{}: ", found.device) };
        text.push_str(&format!("; {of}{} ({})", found.name, found.detail));
    }
    if findings.len() > Finding::KEPT {
        text.push_str(&format!("; and {} more", findings.len() - Finding::KEPT));
    }
    text
}

fn measurements(reading: &Reading, live: usize) -> Vec<Measurement> {
    let gpus = u32::try_from(live).ok().and_then(|live| Measurement::new("gpus", f64::from(live)));
    let celsius = reading.gpus.iter().filter_map(|gpu| {
        let value = Quantity::new(gpu.temperature_celsius?)?;
        Some(Measurement { name: "temperature_celsius".into(), device: gpu.device.clone(), value })
    });
    gpus.into_iter().chain(celsius).take(Measurement::KEPT).collect()
}
