//! `[checks.<id>.nvml]`

use super::super::table::Table;
use super::gpu::Limits;
use crate::domain::InstanceId;

/// Reads this machine's GPUs through NVML.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nvml {
    /// Which instance this machine is; without it the one whose name is the machine's.
    pub instance: Option<InstanceId>,
    /// What counts as wrong.
    pub limits: Limits,
}

pub(super) fn read(mut table: Table<'_>) -> Option<Nvml> {
    let instance = table.take("instance").and_then(|value| value.parsed(InstanceId::parse));
    let limits = Limits::read(&mut table);
    table.finish();
    Some(Nvml { instance, limits })
}
