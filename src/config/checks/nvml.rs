//! `[checks.<id>.nvml]`

/// Reads this machine's GPUs through NVML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nvml {}
