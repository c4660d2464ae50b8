//! Notices: what receivers took, what was given up, and what still waits for them.

use std::collections::BTreeSet;

use prometheus::{IntCounterVec, IntGaugeVec};

use super::Metrics;
use super::families::{Families, Named, follow, whole};
use crate::domain::NoticeId;

const SENT: Named = ("remedyd_notices_sent_total", "Notices that a receiver took.");
const FAILED: Named =
    ("remedyd_notices_failed_total", "Notices that were given up: refused, or not taken within a day.");
const WAITING: Named = (
    "remedyd_notices_waiting",
    "Notices that a receiver has not taken yet; they are tried again. More than 0 for minutes means that it does not take them.",
);

/// The families.
pub(super) struct Receivers {
    sent: IntCounterVec,
    failed: IntCounterVec,
    waiting: IntGaugeVec,
}

impl Receivers {
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            sent: families.counters(SENT, &["receiver"])?,
            failed: families.counters(FAILED, &["receiver"])?,
            waiting: families.int_gauges(WAITING, &["receiver"])?,
        })
    }

    pub(super) fn follow(&self, before: &BTreeSet<NoticeId>, there: &BTreeSet<NoticeId>) {
        for family in [&self.sent, &self.failed] {
            follow(family, before, there, NoticeId::as_str, &[vec![]]);
        }
        follow(&self.waiting, before, there, NoticeId::as_str, &[vec![]]);
    }
}

impl Metrics {
    /// A receiver took a notice, or it was given up. One that left the configuration meanwhile is not counted.
    pub fn notified(&self, receiver: &NoticeId, delivered: bool) {
        if self.is_known(|known| known.receivers.contains(receiver)) {
            let family = if delivered { &self.receivers.sent } else { &self.receivers.failed };
            family.with_label_values(&[receiver.as_str()]).inc();
        }
    }

    /// So many notices wait for a receiver.
    pub fn set_notices_waiting(&self, receiver: &NoticeId, n: u64) {
        if self.is_known(|known| known.receivers.contains(receiver)) {
            self.receivers.waiting.with_label_values(&[receiver.as_str()]).set(whole(n));
        }
    }
}
