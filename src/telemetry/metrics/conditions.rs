//! What active checks make us believe, and whether the prober itself seems to be at fault.

use prometheus::{IntGauge, IntGaugeVec};

use super::Metrics;
use super::families::{Families, Named, whole};
use crate::domain::Belief;

const CONDITIONS: Named = (
    "remedyd_conditions",
    "Instances as active checks see them, one for each check that looks at one, by what is believed.",
);
const SUSPECT: Named = ("remedyd_suspect_nodes", "Nodes of which a check found something that is not believed yet.");
const PROBER_FAULT: Named = (
    "remedyd_prober_fault",
    "Whether so many nodes fail at once that the prober is taken to be at fault, and no failure counts.",
);

/// The families.
pub(super) struct Conditions {
    conditions: IntGaugeVec,
    suspect: IntGauge,
    prober_fault: IntGauge,
}

impl Conditions {
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        let conditions = Self {
            conditions: families.int_gauges(CONDITIONS, &["belief"])?,
            suspect: families.int_gauge(SUSPECT)?,
            prober_fault: families.int_gauge(PROBER_FAULT)?,
        };
        for belief in Belief::ALL {
            conditions.conditions.with_label_values(&[belief.label()]);
        }
        Ok(conditions)
    }
}

impl Metrics {
    /// So many conditions are of this belief.
    pub fn set_conditions(&self, belief: Belief, n: u64) {
        self.conditions.conditions.with_label_values(&[belief.label()]).set(whole(n));
    }

    /// So many nodes fail without being believed to, and whether that is taken for a fault of the prober.
    pub fn set_suspect(&self, nodes: u64, is_fault: bool) {
        self.conditions.suspect.set(whole(nodes));
        self.conditions.prober_fault.set(is_fault.into());
    }
}
