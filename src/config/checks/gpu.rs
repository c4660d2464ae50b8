//! What the kinds `dcgm_exporter` and `nvml` have in common: which conditions of a GPU count, and from where on.

use std::collections::BTreeSet;
use std::fmt;

use super::super::table::{Table, Value};

/// From here on a GPU is too hot, in °C. The warning of Azure's cyclecloud-healthagent; NVIDIA's slowdown is near 90.
const TEMPERATURE_CELSIUS: u32 = 93;
/// No machine has more GPUs.
const GPUS: u32 = 64;
/// No GPU has more NVLinks: Hopper's and Blackwell's have 18.
const NVLINKS: u32 = 36;

/// Something that can be wrong with a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// The driver logged an XID.
    Xid,
    /// Memory errors that ECC could not correct, since the driver was loaded.
    DoubleBitEcc,
    /// A bad row of memory could not be replaced.
    RowRemapFailure,
    /// A bad row of memory is replaced at the next reset.
    RowRemapPending,
    /// Links fail, or are down.
    Nvlink,
    /// Too hot.
    Temperature,
    /// Slowed down by heat or by the power supply.
    Throttling,
    /// GPUs are missing.
    GpuCount,
    /// The driver asks for a repair.
    RecoveryAction,
}

impl Condition {
    /// Every condition.
    pub const ALL: [Self; 9] = [
        Self::Xid,
        Self::DoubleBitEcc,
        Self::RowRemapFailure,
        Self::RowRemapPending,
        Self::Nvlink,
        Self::Temperature,
        Self::Throttling,
        Self::GpuCount,
        Self::RecoveryAction,
    ];

    /// Its name in the configuration, and that of its findings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Xid => "xid",
            Self::DoubleBitEcc => "double_bit_ecc",
            Self::RowRemapFailure => "row_remap_failure",
            Self::RowRemapPending => "row_remap_pending",
            Self::Nvlink => "nvlink",
            Self::Temperature => "temperature",
            Self::Throttling => "throttling",
            Self::GpuCount => "gpu_count",
            Self::RecoveryAction => "recovery_action",
        }
    }

    /// Those that count where a file names none: all but `row_remap_pending`, which calls for nothing until the GPU is idle
    /// and which the driver's recovery action tells as well.
    pub fn usual() -> BTreeSet<Self> {
        Self::ALL.into_iter().filter(|condition| *condition != Self::RowRemapPending).collect()
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// What counts as wrong with the GPUs of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Which conditions are looked at.
    pub conditions: BTreeSet<Condition>,
    /// The file names the conditions: one of which there is no value leaves the check without a conclusion.
    pub is_explicit: bool,
    /// XIDs that count as nothing.
    pub ignore_xids: BTreeSet<u32>,
    /// How many GPUs the machine has.
    pub gpus: Option<u32>,
    /// How many NVLinks of each GPU are up.
    pub nvlinks: Option<u32>,
    /// Above this a GPU is too hot, in °C.
    pub temperature_celsius: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            conditions: Condition::usual(),
            is_explicit: false,
            ignore_xids: BTreeSet::new(),
            gpus: None,
            nvlinks: None,
            temperature_celsius: TEMPERATURE_CELSIUS,
        }
    }
}

impl Limits {
    /// Takes its keys out of the table of a kind.
    pub(super) fn read(table: &mut Table<'_>) -> Self {
        let named = table.take("conditions");
        let conditions = named.as_ref().map_or_else(Condition::usual, read_conditions);
        let mut limits = Self { conditions, is_explicit: named.is_some(), ..Self::default() };
        if let Some(value) = limits.effective(table.take("ignore_xids"), Condition::Xid) {
            let items = value.list().unwrap_or_default();
            limits.ignore_xids = items.iter().filter_map(|item| item.number(1..=u32::MAX)).collect();
        }
        limits.gpus =
            limits.effective(table.take("gpus"), Condition::GpuCount).and_then(|value| value.number(1..=GPUS));
        limits.nvlinks =
            limits.effective(table.take("nvlinks"), Condition::Nvlink).and_then(|value| value.number(1..=NVLINKS));
        if let Some(value) = limits.effective(table.take("temperature_celsius"), Condition::Temperature) {
            limits.temperature_celsius = value.number(1..=150).unwrap_or(TEMPERATURE_CELSIUS);
        }
        limits
    }

    /// A key that says more about a condition; it would have no effect where the condition is off.
    fn effective<'a>(&self, value: Option<Value<'a>>, condition: Condition) -> Option<Value<'a>> {
        let value = value?;
        if !self.conditions.contains(&condition) {
            value.wrong_key(format!("has no effect: `conditions` does not name `{condition}`"));
            return None;
        }
        Some(value)
    }
}

fn read_conditions(value: &Value<'_>) -> BTreeSet<Condition> {
    let items = value.texts().unwrap_or_default();
    if items.is_empty() {
        value.wrong("must name at least one condition: a check that looks at nothing finds nothing");
    }
    let one = |text: &str| {
        let all: Vec<&str> = Condition::ALL.iter().map(|condition| condition.as_str()).collect();
        let found = Condition::ALL.into_iter().find(|condition| condition.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no condition; there are {}", all.join(", ")))
    };
    items.iter().filter_map(|(_, item)| item.parsed(one)).collect()
}
