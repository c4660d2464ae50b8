//! `[checks.<id>]`: which probes run where, how often, and when what they find counts.

pub mod command;
pub mod dcgm_exporter;
pub mod dns;
pub mod http;
pub mod icmp;
pub mod nvml;
pub mod pattern;
pub mod schedule;
pub mod tcp;
pub mod trust;

use std::collections::BTreeMap;
use std::time::Duration;

pub use command::Command;
pub use dcgm_exporter::DcgmExporter;
pub use dns::Dns;
pub use http::{Http, HttpTls};
pub use icmp::Icmp;
pub use nvml::Nvml;
pub use pattern::Pattern;
pub use schedule::Schedule;
pub use tcp::Tcp;
pub use trust::Trust;

use super::table::Table;
use crate::domain::{CheckId, CheckKind};
use crate::engine::settings::CheckPolicy;

/// What the prober needs to know of one check; what decides is in [`CheckPolicy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// When it runs.
    pub schedule: Schedule,
    /// How long one run may take.
    pub timeout: Duration,
    /// How many runs of it may be under way at once.
    pub concurrency: usize,
    /// What it does.
    pub probe: Probe,
}

/// What a check does, by its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// `[checks.<id>.tcp]`
    Tcp(Tcp),
    /// `[checks.<id>.http]`
    Http(Box<Http>),
    /// `[checks.<id>.icmp]`
    Icmp(Icmp),
    /// `[checks.<id>.dns]`
    Dns(Box<Dns>),
    /// `[checks.<id>.command]`
    Command(Command),
    /// `[checks.<id>.dcgm_exporter]`
    DcgmExporter(Box<DcgmExporter>),
    /// `[checks.<id>.nvml]`
    Nvml(Nvml),
}

impl Probe {
    /// Its kind.
    pub fn kind(&self) -> CheckKind {
        match self {
            Self::Tcp(_) => CheckKind::Tcp,
            Self::Http(_) => CheckKind::Http,
            Self::Icmp(_) => CheckKind::Icmp,
            Self::Dns(_) => CheckKind::Dns,
            Self::Command(_) => CheckKind::Command,
            Self::DcgmExporter(_) => CheckKind::DcgmExporter,
            Self::Nvml(_) => CheckKind::Nvml,
        }
    }
}

/// Every check, and what the engine has to know of it.
pub(super) fn read(table: Table<'_>) -> (BTreeMap<CheckId, Check>, BTreeMap<CheckId, CheckPolicy>) {
    let checks = table.named(CheckId::parse).into_iter().filter_map(|(id, value)| {
        let mut table = value.table()?;
        let [tcp, http, icmp, dns] =
            ["tcp", "http", "icmp", "dns"].map(|kind| table.take(kind).and_then(|value| value.table()));
        let probe = None
            .or(tcp.and_then(tcp::read).map(Probe::Tcp))
            .or(http.and_then(http::read).map(Box::new).map(Probe::Http))
            .or(icmp.and_then(icmp::read).map(Probe::Icmp))
            .or(dns.and_then(dns::read).map(Box::new).map(Probe::Dns));
        table.finish();
        let every = Duration::from_secs(30);
        Some((id, Check { schedule: Schedule::Every(every), timeout: every, concurrency: 1, probe: probe? }))
    });
    (checks.collect(), BTreeMap::new())
}
