//! What policy decided, what it waits for, and what people told it to leave alone.

use std::collections::BTreeSet;

use prometheus::{IntCounterVec, IntGauge, IntGaugeVec};

use super::Metrics;
use super::families::{Families, Named, follow, whole};
use crate::domain::{Decided, HeldWhy, RuleId};

const DECISIONS: Named = (
    "remedyd_decisions_total",
    "What policy did with an alert that a rule matches, by rule and decision; shadowed is what it would have proposed.",
);
const HELD: Named =
    ("remedyd_held", "Instances for which policy wants a repair that it does not propose yet, by what is in the way.");
const HOLDS: Named = ("remedyd_holds", "Holds that keep an instance from being touched and have not ended.");
const PAUSED: Named =
    ("remedyd_paused", "Kill switches that are on: whether the one for everything is, and how many clusters' are.");

/// The values of `held{reason}`; [`HeldWhy::as_str`] gives nothing else.
pub(super) const HELD_REASONS: [&str; 9] =
    ["for", "cooldown", "settle", "hold", "paused", "host_busy", "opted_out", "no_driver", "contact_support"];

/// The families.
pub(super) struct Rules {
    decisions: IntCounterVec,
    held: IntGaugeVec,
    holds: IntGauge,
    paused: IntGaugeVec,
}

impl Rules {
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        let rules = Self {
            decisions: families.counters(DECISIONS, &["rule", "decision"])?,
            held: families.int_gauges(HELD, &["reason"])?,
            holds: families.int_gauge(HOLDS)?,
            paused: families.int_gauges(PAUSED, &["scope"])?,
        };
        for reason in HELD_REASONS {
            rules.held.with_label_values(&[reason]);
        }
        for scope in ["everything", "cluster"] {
            rules.paused.with_label_values(&[scope]);
        }
        Ok(rules)
    }

    pub(super) fn follow(&self, before: &BTreeSet<RuleId>, there: &BTreeSet<RuleId>) {
        let decisions = Decided::ALL.map(|decision| vec![decision.as_str()]);
        follow(&self.decisions, before, there, RuleId::as_str, &decisions);
    }
}

impl Metrics {
    /// Policy did something with an alert that a configured rule matches.
    pub fn decided(&self, rule: &RuleId, decision: Decided) {
        self.rules.decisions.with_label_values(&[rule.as_str(), decision.as_str()]).inc();
    }

    /// An instance began to wait for `why`.
    pub fn held(&self, why: &HeldWhy) {
        self.rules.held.with_label_values(&[why.as_str()]).inc();
    }

    /// An instance waits for `why` no longer.
    pub fn unheld(&self, why: &HeldWhy) {
        self.rules.held.with_label_values(&[why.as_str()]).dec();
    }

    /// So many holds have not ended.
    pub fn set_holds(&self, n: u64) {
        self.rules.holds.set(whole(n));
    }

    /// Which kill switches are on: the one for everything, and so many of single clusters.
    pub fn set_paused(&self, is_everything: bool, clusters: u64) {
        self.rules.paused.with_label_values(&["everything"]).set(is_everything.into());
        self.rules.paused.with_label_values(&["cluster"]).set(whole(clusters));
    }
}
