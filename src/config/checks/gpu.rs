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

    /// Those that NVML can be asked about: it tells of an XID only while it happens.
    pub const NVML: [Self; 8] = [
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

impl Limits {
    /// What holds where a file says nothing: every condition but `row_remap_pending`, which calls for nothing until the GPU is
    /// idle, and which the driver's recovery action tells as well.
    pub fn usual(conditions: &[Condition]) -> Self {
        let counts = conditions.iter().copied().filter(|condition| *condition != Condition::RowRemapPending);
        Self {
            conditions: counts.collect(),
            is_explicit: false,
            ignore_xids: BTreeSet::new(),
            gpus: None,
            nvlinks: None,
            temperature_celsius: TEMPERATURE_CELSIUS,
        }
    }

    /// Takes its keys out of the table of a kind that can tell these conditions.
    pub(super) fn read(table: &mut Table<'_>, conditions: &[Condition]) -> Self {
        let mut limits = Self::usual(conditions);
        if let Some(named) = table.take("conditions") {
            limits = Self { conditions: read_conditions(&named, conditions), is_explicit: true, ..limits };
        }
        if conditions.contains(&Condition::Xid)
            && let Some(value) = limits.effective(table.take("ignore_xids"), Condition::Xid)
        {
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

fn read_conditions(value: &Value<'_>, known: &[Condition]) -> BTreeSet<Condition> {
    let items = value.texts().unwrap_or_default();
    if items.is_empty() {
        value.wrong("must name at least one condition: a check that looks at nothing finds nothing");
    }
    let one = |text: &str| {
        let all: Vec<&str> = known.iter().map(|condition| condition.as_str()).collect();
        let found = known.iter().copied().find(|condition| condition.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is no condition of this kind of check; there are {}", all.join(", ")))
    };
    items.iter().filter_map(|(_, item)| item.parsed(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::{Overrides, load};

    /// What is wrong with one table of a check.
    fn mistakes(table: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("remedyd.toml");
        std::fs::write(&path, format!("storage.path = \"data\"\n[checks.c]\nevery = \"1m\"\n[checks.c.{table}"))
            .unwrap();
        let mistakes = load(&path, &Overrides::default()).err().unwrap_or_default();
        let told = |mistake: &super::super::super::Mistake| {
            let about = mistake.key.strip_prefix("checks.c.")?;
            Some(format!("{about}: {}", mistake.what))
        };
        mistakes.iter().filter_map(told).filter(|told| !told.starts_with("every")).collect()
    }

    #[test]
    fn what_has_no_effect_and_what_is_none_is_refused() {
        let all = "xid, double_bit_ecc, row_remap_failure, row_remap_pending, nvlink, temperature, throttling, gpu_count, recovery_action";
        for (table, mistake) in [
            ("dcgm_exporter]\nport = 0", "dcgm_exporter.port: must be a whole number from 1 to 65535, not 0".to_owned()),
            ("dcgm_exporter]\npath = \"metrics\"", "dcgm_exporter.path: `metrics` is no path: it must begin with a slash and hold no spaces".to_owned()),
            ("dcgm_exporter]\nunreachable = \"skip\"", "dcgm_exporter.unreachable: `skip` is neither inconclusive nor fail".to_owned()),
            ("dcgm_exporter]\nconditions = [\"xids\"]", format!("dcgm_exporter.conditions: `xids` is no condition of this kind of check; there are {all}")),
            ("dcgm_exporter]\nconditions = []", "dcgm_exporter.conditions: must name at least one condition: a check that looks at nothing finds nothing".to_owned()),
            ("dcgm_exporter]\nconditions = [\"xid\"]\ngpus = 8", "dcgm_exporter.gpus: has no effect: `conditions` does not name `gpu_count`".to_owned()),
            ("dcgm_exporter]\nconditions = [\"gpu_count\"]", "dcgm_exporter: `gpu_count` needs `gpus`: an exporter does not tell how many GPUs there should be".to_owned()),
            ("nvml]\nconditions = [\"xid\"]", format!("nvml.conditions: `xid` is no condition of this kind of check; there are {}", all.replacen("xid, ", "", 1))),
            ("nvml]\ninstance = \"a b\"", "nvml.instance: `a b` is no instance id: 1 to 253 letters, digits, dots, underscores and hyphens are allowed".to_owned()),
            ("command]", "command.argv: is missing, and there is no default for it".to_owned()),
            ("command]\nargv = []", "command.argv: must name a program".to_owned()),
            ("command]\nargv = [\"check\"]", "command.argv: the program must be an absolute path: there is no shell and no search path".to_owned()),
        ] {
            assert_eq!(mistakes(table), [mistake], "{table}");
        }
        assert!(mistakes("nvml]\nignore_xids = [31]")[0].starts_with("nvml.ignore_xids: is not a known key"));
    }
}
