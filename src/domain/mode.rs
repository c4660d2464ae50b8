//! What a repair does to a machine, and which repair is heavier than which.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The five ways to repair a node. The order of the variants is no weight: ask [`Mode::weight`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Restart the same VM on the same host; local data stays.
    RebootVm,
    /// A new VM, on the same host where that is possible; local data is lost.
    VmOnly,
    /// Cordon the host and bring up a new VM on another one; local data is lost.
    HostAware,
    /// Power-cycle the bare metal; host and node identity stay.
    HostPowerCycle,
    /// Drain and remove the node for good. Only a person chooses this.
    EvictWithoutReplacement,
}

impl Mode {
    /// Every mode, lightest first, the one without a weight last.
    pub const ALL: [Self; 5] =
        [Self::RebootVm, Self::VmOnly, Self::HostAware, Self::HostPowerCycle, Self::EvictWithoutReplacement];

    /// How heavy the repair is; nothing for the mode that stands outside the scale and that policy never chooses.
    pub const fn weight(self) -> Option<u8> {
        match self {
            Self::RebootVm => Some(1),
            Self::VmOnly => Some(2),
            Self::HostAware => Some(3),
            Self::HostPowerCycle => Some(4),
            Self::EvictWithoutReplacement => None,
        }
    }

    /// Whether both have a weight and this one's is larger.
    pub fn is_heavier_than(self, other: Self) -> bool {
        matches!((self.weight(), other.weight()), (Some(mine), Some(theirs)) if mine > theirs)
    }

    /// The name in configuration files, driver calls, metrics and our own API: `host_aware`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RebootVm => "reboot_vm",
            Self::VmOnly => "vm_only",
            Self::HostAware => "host_aware",
            Self::HostPowerCycle => "host_power_cycle",
            Self::EvictWithoutReplacement => "evict_without_replacement",
        }
    }

    /// Reads the name that [`Mode::as_str`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == text)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
