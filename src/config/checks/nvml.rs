//! `[checks.<id>.nvml]`

use super::super::table::Table;
use super::gpu::{Condition, Limits};
use crate::domain::InstanceId;

/// Reads this machine's GPUs through NVML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nvml {
    /// Which instance this machine is; without it the one whose name is the machine's.
    pub instance: Option<InstanceId>,
    /// What counts as wrong.
    pub limits: Limits,
}

impl Default for Nvml {
    fn default() -> Self {
        Self { instance: None, limits: Limits::usual(&Condition::NVML) }
    }
}

pub(super) fn read(mut table: Table<'_>) -> Option<Nvml> {
    let instance = table.take("instance").and_then(|value| value.parsed(InstanceId::parse));
    let limits = Limits::read(&mut table, &Condition::NVML);
    table.finish();
    Some(Nvml { instance, limits })
}
