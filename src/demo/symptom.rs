//! How a trouble looks from outside: the alert that a monitoring system would raise for it, and a sentence for people.

use std::collections::BTreeMap;

use super::script::{Fault, Trouble};

/// Labels and annotations of an alert.
pub(super) struct Symptom {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
}

impl Fault {
    /// What is wrong, in words.
    pub(super) fn words(&self) -> String {
        let part = self.part;
        match self.trouble {
            Trouble::FellOffBus => format!("GPU {part} fell off the bus (XID 79)"),
            Trouble::FellOffBusSeenTwice => format!("the kernel says the same: GPU {part} cannot be reached"),
            Trouble::RowRemap => format!("GPU {part} has a bad row of memory that cannot be remapped"),
            Trouble::Thermal => format!("GPU {part} throttles at 91 °C"),
            Trouble::LinkDown => format!("rail {part} (mlx5_{part}) is down"),
            Trouble::FirmwareHang => format!("GPU {part}: its firmware does not answer (XID 119)"),
            Trouble::OptedOut | Trouble::Stranger => format!("GPU {part} has an uncorrectable memory error (XID 48)"),
        }
    }

    /// The alert of it.
    pub(super) fn symptom(&self) -> Symptom {
        let (name, severity, xid) = match self.trouble {
            Trouble::FellOffBus => ("GPUFellOffBus", "critical", Some("79")),
            Trouble::FellOffBusSeenTwice => ("DmesgGpuFallenOffBus", "critical", Some("79")),
            Trouble::RowRemap => ("GpuRowRemapFailure", "critical", None),
            Trouble::Thermal => ("GpuSmClockThermalThrottle", "warning", None),
            Trouble::LinkDown => ("IBRailsDownOrDegraded", "critical", None),
            Trouble::FirmwareHang => ("GPUFirmwareHang", "critical", Some("119")),
            Trouble::OptedOut | Trouble::Stranger => ("GPUDoubleBitEcc", "critical", Some("48")),
        };
        let part = if self.trouble == Trouble::LinkDown { "rail" } else { "gpu" };
        let number = self.part.to_string();
        let mut labels = vec![
            ("alertname", name),
            ("cluster", self.cluster),
            ("node", self.node.as_str()),
            ("severity", severity),
            ("phc", "true"),
            (part, number.as_str()),
        ];
        labels.extend(xid.map(|code| ("xid", code)));
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let summary = format!("{} on {}", self.words(), self.node);
        Symptom {
            labels: labels.into_iter().map(owned).collect(),
            annotations: BTreeMap::from([("summary".to_owned(), summary)]),
        }
    }
}
