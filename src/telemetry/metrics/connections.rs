//! The `remedyd_http_*` family below the requests: how many connections there are, and whom the server turned away.

use prometheus::{IntCounterVec, IntGaugeVec};

use super::families::{Families, Named};

const OPEN: Named = ("remedyd_http_connections", "Open connections, by kind of listener.");
const CUT_OFF: Named = (
    "remedyd_http_connections_cut_off_total",
    "Connections that the server ended, by reason: too_slow, gave_way (all places were taken), handshake, stop.",
);
const REFUSED: Named = (
    "remedyd_http_requests_refused_total",
    "Requests that were told to come again because as many of their class as may be were under way.",
);

/// Where a connection came from, as the label `listener`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// An address.
    Tcp,
    /// A socket file.
    Unix,
}

/// Why the server ended a connection, as the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutOff {
    /// No request came in time.
    TooSlow,
    /// All places were taken, and it had waited longest.
    GaveWay,
    /// TLS was not agreed upon.
    Handshake,
    /// Its request did not end within the time that a stop has.
    Stop,
}

impl Listener {
    const ALL: [Self; 2] = [Self::Tcp, Self::Unix];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Unix => "unix",
        }
    }
}

impl CutOff {
    const ALL: [Self; 4] = [Self::TooSlow, Self::GaveWay, Self::Handshake, Self::Stop];

    const fn as_str(self) -> &'static str {
        match self {
            Self::TooSlow => "too_slow",
            Self::GaveWay => "gave_way",
            Self::Handshake => "handshake",
            Self::Stop => "stop",
        }
    }
}

/// The values of `class`; `http` gives nothing else.
const CLASSES: [&str; 4] = ["ingest", "read", "command", "health"];

/// What is counted of connections.
pub struct Connections {
    open: IntGaugeVec,
    cut_off: IntCounterVec,
    refused: IntCounterVec,
}

impl Connections {
    /// Registers the family.
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        let connections = Self {
            open: families.int_gauges(OPEN, &["listener"])?,
            cut_off: families.counters(CUT_OFF, &["reason"])?,
            refused: families.counters(REFUSED, &["class"])?,
        };
        Listener::ALL.iter().for_each(|listener| drop(connections.open.with_label_values(&[listener.as_str()])));
        CutOff::ALL.iter().for_each(|reason| drop(connections.cut_off.with_label_values(&[reason.as_str()])));
        CLASSES.iter().for_each(|class| drop(connections.refused.with_label_values(&[class])));
        Ok(connections)
    }

    /// One was accepted.
    pub fn opened(&self, listener: Listener) {
        self.open.with_label_values(&[listener.as_str()]).inc();
    }

    /// One has ended.
    pub fn closed(&self, listener: Listener) {
        self.open.with_label_values(&[listener.as_str()]).dec();
    }

    /// The server ended `n`.
    pub fn cut_off(&self, why: CutOff, n: u64) {
        self.cut_off.with_label_values(&[why.as_str()]).inc_by(n);
    }

    /// A request of `class`, one of a handful of constants, was told to come again.
    pub fn refused(&self, class: &'static str) {
        self.refused.with_label_values(&[class]).inc();
    }
}
