//! `[clusters.<id>]` and `[drivers.<id>.<kind>]`: what is looked after, and what acts there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Driver;
use super::table::{Table, Value};
use crate::domain::{Cluster, ClusterId, DriverId, Mode};
use crate::engine::settings::ClusterPolicy;

/// How long a program may run that acts on a machine, unless the file says otherwise: a VM's rebuild takes minutes.
const DEADLINE: Duration = Duration::from_secs(600);

/// What a rehearsal may take beyond what it pretends to take.
const REHEARSAL_SLACK: Duration = Duration::from_secs(60);

/// Every cluster, and what can be done in those whose driver is known.
pub(super) fn read(
    table: Table<'_>,
    drivers: &BTreeMap<DriverId, Driver>,
) -> (Vec<Cluster>, BTreeMap<ClusterId, ClusterPolicy>) {
    let mut clusters: Vec<Cluster> = Vec::new();
    let mut policies = BTreeMap::new();
    for (id, value) in table.named(ClusterId::parse) {
        let Some(mut table) = value.table() else { continue };
        let written = table.take("name");
        let name = written.as_ref().and_then(Value::text).unwrap_or(id.as_str()).to_owned();
        let is_taken = |other: &Cluster| other.name == name || other.name == id.as_str() || other.id.as_str() == name;
        if let Some(other) = clusters.iter().find(|other| is_taken(other)) {
            let what = format!("`{name}` would also mean [clusters.{}]; ids and names must differ", other.id);
            written.map_or_else(|| value.wrong_key(what.clone()), |written| written.wrong(what.clone()));
        }
        let act = table.require("act").and_then(|value| Some((value.parsed(DriverId::parse)?, value)));
        table.finish();
        clusters.push(Cluster { id: id.clone(), name });
        let Some((act, value)) = act else { continue };
        let Some(driver) = drivers.get(&act) else {
            value.dangling(format!("there is no [drivers.{act}]"));
            continue;
        };
        let (modes, act_deadline) = match driver {
            Driver::DryRun { takes, modes } => (modes.clone(), takes.saturating_add(REHEARSAL_SLACK)),
            Driver::Command { deadline, modes, .. } => (modes.clone(), *deadline),
        };
        policies.insert(id, ClusterPolicy { act, modes, act_deadline });
    }
    (clusters, policies)
}

/// Every driver that is described without a mistake.
pub(super) fn read_drivers(table: Table<'_>) -> BTreeMap<DriverId, Driver> {
    let mut drivers = BTreeMap::new();
    for (id, value) in table.named(DriverId::parse) {
        let Some(mut table) = value.table() else { continue };
        let driver = match (table.take("dry_run"), table.take("command")) {
            (Some(kind), None) => kind.table().map(read_dry_run),
            (None, Some(kind)) => kind.table().and_then(read_command),
            (Some(_), Some(second)) => {
                second.wrong_key("a driver has one kind, and `dry_run` is there already");
                None
            }
            (None, None) => {
                // An unknown kind is said by `finish`, with the known ones.
                if table.is_empty() {
                    table.wrong(format!("needs its kind: a table [drivers.{id}.dry_run] or [drivers.{id}.command]"));
                }
                None
            }
        };
        table.finish();
        drivers.extend(driver.map(|driver| (id, driver)));
    }
    drivers
}

fn read_dry_run(mut table: Table<'_>) -> Driver {
    let takes = table.take("takes").and_then(|value| value.duration()).unwrap_or(Duration::ZERO);
    let modes = read_modes(table.take("modes"));
    table.finish();
    Driver::DryRun { takes, modes }
}

fn read_command(mut table: Table<'_>) -> Option<Driver> {
    let argv = table.require("argv").and_then(|value| value.argv());
    let deadline = table.take("deadline").and_then(|value| {
        let deadline = value.duration()?;
        if deadline.is_zero() {
            value.wrong("must be longer than 0s, else no call could ever begin");
        }
        Some(deadline)
    });
    let modes = read_modes(table.take("modes"));
    table.finish();
    Some(Driver::Command { argv: argv?, deadline: deadline.unwrap_or(DEADLINE), modes })
}

/// What a driver can do; everything unless the file narrows it.
fn read_modes(value: Option<Value<'_>>) -> BTreeSet<Mode> {
    let Some(value) = value else { return Mode::ALL.into() };
    let items = value.texts().unwrap_or_default();
    if items.is_empty() {
        value.wrong("must name at least one mode: a driver that can do nothing cannot act");
    }
    items.iter().filter_map(|(_, item)| read_mode(item)).collect()
}

/// A mode by its name.
pub(super) fn read_mode(value: &Value<'_>) -> Option<Mode> {
    value.parsed(|text| {
        let all: Vec<&str> = Mode::ALL.iter().map(|mode| mode.as_str()).collect();
        Mode::parse(text).ok_or_else(|| format!("`{text}` is no mode; there are {}", all.join(", ")))
    })
}

/// The cluster that a value names, if it is one of `clusters`.
pub(super) fn known_cluster(value: &Value<'_>, clusters: &[Cluster]) -> Option<ClusterId> {
    let id = value.parsed(ClusterId::parse)?;
    if !clusters.iter().any(|cluster| cluster.id == id) {
        value.dangling(format!("there is no [clusters.{id}]"));
        return None;
    }
    Some(id)
}
