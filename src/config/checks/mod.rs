//! `[checks.<id>]`: which probes run where, how often, and when what they find counts.

pub mod authorities;
pub mod command;
pub mod coverage;
pub mod dcgm_exporter;
pub mod dns;
pub mod findings;
pub mod gpu;
pub mod http;
pub mod icmp;
pub mod nvml;
pub mod pattern;
pub mod schedule;
pub mod tcp;
#[cfg(test)]
mod testing;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

pub use authorities::Authorities;
pub use command::Command;
pub use dcgm_exporter::DcgmExporter;
pub use dns::Dns;
pub use http::{Http, HttpTls};
pub use icmp::Icmp;
pub use nvml::Nvml;
pub use pattern::Pattern;
pub use schedule::{Cron, Schedule};
pub use tcp::Tcp;

use super::table::{Table, Value};
use crate::domain::matcher::Matchers;
use crate::domain::{CheckId, CheckKind, Severity};
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

    /// The file that it names and that was read with the configuration.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::Http(http) => http.tls.as_ref()?.authorities.as_ref()?.file.as_deref(),
            Self::Tcp(_) | Self::Icmp(_) | Self::Dns(_) | Self::Command(_) | Self::DcgmExporter(_) | Self::Nvml(_) => {
                None
            }
        }
    }
}

/// What all checks share, `[limits.checks]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChecksLimits {
    /// How many runs may be under way at once, of all checks together.
    pub concurrency: usize,
}

impl Default for ChecksLimits {
    fn default() -> Self {
        Self { concurrency: 1024 }
    }
}

/// How long a run may take unless the file says otherwise: a node that answers at all does so within a second.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How often a check runs unless the file says otherwise.
const EVERY: Duration = Duration::from_secs(30);

/// How many runs of one check are under way at once unless the file says otherwise.
const CONCURRENCY: usize = 128;

/// The shortest interval: less would measure the prober.
const SHORTEST: Duration = Duration::from_millis(100);

/// How long a round of a `cron` check is expected to take: all its instances come one after the other, as many at once as its
/// concurrency allows.
const CRON_ROUND: Duration = Duration::from_secs(300);

/// The names of the kinds' tables.
const KINDS: [&str; 7] = ["tcp", "http", "icmp", "dns", "command", "dcgm_exporter", "nvml"];

/// `[limits.checks]`
pub(super) fn read_limits(mut table: Table<'_>) -> ChecksLimits {
    let mut limits = ChecksLimits::default();
    if let Some(value) = table.take("concurrency").and_then(|value| value.number(1..=100_000)) {
        limits.concurrency = value as usize;
    }
    table.finish();
    limits
}

/// Every check, and what the engine has to know of it.
pub(super) fn read(named: &[(CheckId, Value<'_>)]) -> (BTreeMap<CheckId, Check>, BTreeMap<CheckId, CheckPolicy>) {
    let read = named.iter().filter_map(|(id, value)| {
        let (check, policy) = read_check(id, value.table()?)?;
        Some(((id.clone(), check), (id.clone(), policy)))
    });
    read.unzip()
}

fn read_check(id: &CheckId, mut table: Table<'_>) -> Option<(Check, CheckPolicy)> {
    let schedule = read_schedule(&mut table);
    let timeout = table.take("timeout").map_or(Some(TIMEOUT), |value| read_timeout(&value, schedule.as_ref()));
    let timeout = match schedule {
        // A check that runs every second is not to wait five for an answer that nobody asked about.
        Some(Schedule::Every(every)) => timeout.map(|timeout| timeout.min(every)),
        Some(Schedule::Cron(_)) | None => timeout,
    };
    let select = table.take("select").map_or_else(|| Some(Matchers::default()), |value| read_select(&value));
    let failures_before = read_count(&mut table, "failures_before", 3);
    let passes_before = read_count(&mut table, "passes_before", 2);
    let severity = table.take("severity").map_or(Some(Severity::Critical), |value| read_severity(&value));
    let concurrency = table.take("concurrency").and_then(|value| value.number(1..=100_000));
    let probe = read_probe(id, &mut table);
    table.finish();
    let (schedule, probe) = (schedule?, probe?);
    let round = match &schedule {
        Schedule::Every(every) => *every,
        Schedule::Cron(_) => CRON_ROUND,
    };
    let policy = CheckPolicy {
        kind: probe.kind(),
        select: select?,
        failures_before: failures_before?,
        passes_before: passes_before?,
        severity: severity?,
        round,
    };
    let concurrency = concurrency.map_or(CONCURRENCY, |number| number as usize);
    Some((Check { schedule, timeout: timeout?, concurrency, probe }, policy))
}

fn read_schedule(table: &mut Table<'_>) -> Option<Schedule> {
    let (every, cron, zone) = (table.take("every"), table.take("cron"), table.take("zone"));
    if let (None, Some(zone)) = (&cron, &zone) {
        zone.wrong_key("has no effect: only `cron` is read in a zone");
    }
    match (every, cron) {
        (Some(every), None) => {
            let span = every.duration()?;
            if span < SHORTEST {
                every.wrong(format!("must be at least {}", super::show_duration(SHORTEST)));
                return None;
            }
            Some(Schedule::Every(span))
        }
        (None, Some(cron)) => {
            let zone = match zone {
                Some(zone) => zone.parsed(schedule::zone)?,
                None => schedule::utc(),
            };
            cron.parsed(|text| Cron::parse(text, &zone)).map(Box::new).map(Schedule::Cron)
        }
        (Some(_), Some(cron)) => {
            cron.wrong_key("a check runs by `every` or by `cron`, and `every` is there already");
            None
        }
        (None, None) => Some(Schedule::Every(EVERY)),
    }
}

fn read_timeout(value: &Value<'_>, schedule: Option<&Schedule>) -> Option<Duration> {
    let timeout = value.duration()?;
    if timeout.is_zero() {
        value.wrong("must be longer than 0s, else no run could ever pass");
        return None;
    }
    if let Some(Schedule::Every(every)) = schedule
        && timeout > *every
    {
        let (timeout, every) = (super::show_duration(timeout), super::show_duration(*every));
        value.wrong(format!("a run may take {timeout} and the next one is due after {every}; it must not be longer"));
        return None;
    }
    Some(timeout)
}

fn read_select(value: &Value<'_>) -> Option<Matchers> {
    let items = value.texts()?;
    if items.is_empty() && value.list().is_some_and(|list| list.is_empty()) {
        value.wrong(
            "must hold at least one matcher, such as 'pool=\"h100\"'; without `select` a check looks at every instance",
        );
        return None;
    }
    let read = |item: &Value<'_>| {
        let matchers = item.parsed(Matchers::parse)?;
        let is_known = |name: &&str| CheckPolicy::LABELS.contains(name) || name.starts_with("domain_");
        let unknown: Vec<&str> = matchers.label_names().into_iter().filter(|name| !is_known(name)).collect();
        if let Some(name) = unknown.first() {
            let known = CheckPolicy::LABELS.join(", ");
            item.wrong(format!("an instance has no label `{name}`; there are {known} and domain_<kind>"));
            return None;
        }
        Some(matchers)
    };
    items.iter().map(|(_, item)| read(item)).try_fold(Matchers::default(), |all, one| Some(all.and(one?)))
}

fn read_count(table: &mut Table<'_>, name: &'static str, otherwise: u32) -> Option<u32> {
    table.take(name).map_or(Some(otherwise), |value| value.number(1..=100))
}

fn read_severity(value: &Value<'_>) -> Option<Severity> {
    value.parsed(|text| {
        let found = Severity::ALL.into_iter().find(|severity| severity.as_str() == text);
        found.ok_or_else(|| format!("`{text}` is none of info, warning, critical"))
    })
}

/// The one table that says what the check does.
fn read_probe(id: &CheckId, table: &mut Table<'_>) -> Option<Probe> {
    let mut named = KINDS.iter().filter_map(|kind| Some((*kind, table.take(kind)?)));
    let first = named.next();
    if let Some((_, second)) = named.next() {
        let first = first.map_or("", |(kind, _)| kind);
        second.wrong_key(format!("a check has one kind, and `{first}` is there already"));
        return None;
    }
    let Some((kind, value)) = first else {
        // An unknown kind is said by `finish`, with the known ones.
        if table.is_empty() {
            let kinds = KINDS.join(", ");
            table.wrong(format!("needs its kind: a table such as [checks.{id}.tcp]; there are {kinds}"));
        }
        return None;
    };
    let table = value.table()?;
    match kind {
        "tcp" => tcp::read(table).map(Probe::Tcp),
        "http" => http::read(table).map(Box::new).map(Probe::Http),
        "icmp" => icmp::read(table).map(Probe::Icmp),
        "dns" => dns::read(table).map(Box::new).map(Probe::Dns),
        "command" => command::read(id, table).map(Probe::Command),
        "dcgm_exporter" => dcgm_exporter::read(table).map(Box::new).map(Probe::DcgmExporter),
        _ => nvml::read(table).map(Probe::Nvml),
    }
}
