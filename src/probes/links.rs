//! What the NVLinks of GPUs say, and what of it is wrong.
//!
//! Their counters grow until the links come up anew, so one look tells history and not state: errors count from the second
//! reading of the same machine on.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Target;
use super::gpu::{Gpu, Reading};
use crate::clock::Stopwatch;
use crate::config::checks::gpu::{Condition, Limits};
use crate::domain::{CheckKind, Finding, InstanceId};

/// How many nodes' last readings are kept; the design ends at 20,000 nodes.
const NODES: usize = 50_000;
/// From here on CRC errors of NVLinks matter, per second: DCGM's `DCGM_LIMIT_MAX_NVLINK_CRC_ERROR`. A replay or a recovery
/// matters each time, as it does to DCGM's health watch.
const CRC_PER_SECOND: f64 = 100.0;

/// Errors of all NVLinks of one GPU, each a count that only grows until the links come up anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkErrors {
    /// Damaged packets that were noticed.
    pub crc: u64,
    /// Packets that were sent again.
    pub replay: u64,
    /// Times that a link had to be trained again.
    pub recovery: u64,
}

/// What was read the time before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Before {
    /// How long ago.
    pub elapsed: Duration,
    /// The errors of each GPU's links then.
    pub link_errors: BTreeMap<Box<str>, LinkErrors>,
}

/// What the links of each node showed last, so that the next reading tells what is new. Lost at a restart: then the first
/// reading counts nothing.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<(InstanceId, CheckKind), Seen>>);

#[derive(Debug)]
struct Seen {
    generation: Box<str>,
    at: Stopwatch,
    link_errors: BTreeMap<Box<str>, LinkErrors>,
}

impl Memory {
    /// Keeps this reading, and gives back the one before it if that was of the same machine.
    pub(super) fn exchange(&self, target: &Target, kind: CheckKind, reading: &Reading) -> Option<Before> {
        let link_errors: BTreeMap<_, _> =
            reading.gpus.iter().filter_map(|gpu| Some((gpu.device.clone(), gpu.link_errors?))).collect();
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (target.instance_id.clone(), kind);
        if link_errors.is_empty() {
            nodes.remove(&key);
            return None;
        }
        let seen = Seen { generation: target.generation.clone(), at: Stopwatch::start(), link_errors };
        let before = nodes.insert(key, seen).filter(|before| before.generation == target.generation);
        if nodes.len() > NODES {
            nodes.pop_first();
        }
        before.map(|before| Before { elapsed: before.at.elapsed(), link_errors: before.link_errors })
    }
}

/// One finding for all links of a GPU.
pub(super) fn judge(gpu: &Gpu, limits: &Limits, before: Option<&Before>) -> Option<Finding> {
    let mut words = Vec::new();
    if let (Some(up), Some(wanted)) = (gpu.links_up, limits.nvlinks)
        && up < wanted
    {
        words.push(format!("{up} of {wanted} links up"));
    }
    if let (Some(errors), Some(before)) = (gpu.link_errors, before)
        && let Some(earlier) = before.link_errors.get(&gpu.device)
    {
        let seconds = before.elapsed.as_secs_f64().max(1.0);
        // A count that shrank began anew with the links.
        let crc = errors.crc.saturating_sub(earlier.crc);
        let replay = errors.replay.saturating_sub(earlier.replay);
        let recovery = errors.recovery.saturating_sub(earlier.recovery);
        #[expect(clippy::cast_precision_loss, reason = "a rate is compared with a round number")]
        let is_noisy = crc as f64 / seconds >= CRC_PER_SECOND;
        if is_noisy {
            words.push(format!("{crc} CRC errors in {seconds:.0} s"));
        }
        if replay > 0 {
            words.push(format!("{replay} replays in {seconds:.0} s"));
        }
        if recovery > 0 {
            words.push(format!("{recovery} recoveries in {seconds:.0} s"));
        }
    }
    (!words.is_empty()).then(|| Finding::new(Condition::Nvlink.as_str(), words.join(", ")))
}
