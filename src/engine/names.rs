//! By which names alerts find instances: ids, host names and addresses in one spelling.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::few::{self, Few};
use super::rows::tighten;
use crate::domain::{Instance, InstanceId};

/// Names and addresses of instances, normalised. Several instances may have one: host names are their clusters' own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameIndex {
    exact: BTreeMap<Box<str>, Few<InstanceId>>,
    short: BTreeMap<Box<str>, Few<InstanceId>>,
}

impl NameIndex {
    /// Adds an instance under its id, its name and its addresses.
    pub fn insert(&mut self, instance: &Instance) {
        for name in names(instance) {
            few::put(&mut self.exact, name.into(), instance.id.clone());
        }
        if let Some(short) = short_name(&normalise(&instance.name)) {
            few::put(&mut self.short, short.into(), instance.id.clone());
        }
    }

    /// Takes an instance out again.
    pub fn remove(&mut self, instance: &Instance) {
        for name in names(instance) {
            few::take(&mut self.exact, &name.into(), &instance.id);
        }
        if let Some(short) = short_name(&normalise(&instance.name)) {
            few::take(&mut self.short, &short.into(), &instance.id);
        }
    }

    /// Lays both trees out anew, without room for more.
    pub fn tighten(&mut self) {
        tighten(&mut self.exact);
        tighten(&mut self.short);
    }

    /// Instances that a label's value names, of those that `counts` says yes to: by the whole name first; by the short name
    /// only where nothing has the whole one, since a short name is a guess.
    pub fn find(&self, value: &str, counts: impl Fn(&InstanceId) -> bool) -> BTreeSet<InstanceId> {
        let value = normalise(value);
        let among = |owners: Option<&Few<InstanceId>>| -> BTreeSet<InstanceId> {
            owners.into_iter().flat_map(Few::iter).filter(|id| counts(id)).cloned().collect()
        };
        let exact = among(self.exact.get(value.as_str()));
        if !exact.is_empty() {
            return exact;
        }
        match short_name(&value) {
            // `node-7.example.net` may mean an instance called `node-7` …
            Some(short) => among(self.exact.get(short)),
            // … and `node-7` one called `node-7.example.net`.
            None => among(self.short.get(value.as_str())),
        }
    }
}

fn names(instance: &Instance) -> BTreeSet<String> {
    let own = [instance.id.as_str(), &instance.name];
    let addresses = instance.addresses.iter().map(String::as_str);
    own.into_iter().chain(addresses).map(normalise).filter(|name| !name.is_empty()).collect()
}

/// The part before the first dot; nothing for addresses and for names without a dot.
fn short_name(name: &str) -> Option<&str> {
    if name.parse::<IpAddr>().is_ok() {
        return None;
    }
    name.split_once('.').map(|(short, _)| short).filter(|short| !short.is_empty())
}

/// Without port, brackets, trailing dot and capitals: `GPU-7.`, `gpu-7:9400` and `[fd00::7]:9400` become one spelling.
fn normalise(value: &str) -> String {
    let value = value.trim();
    let host = match value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => inside,
        None => match value.rsplit_once(':') {
            // More than one colon without brackets is an IPv6 address, not a port.
            Some((host, port)) if !host.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            Some(_) | None => value,
        },
    };
    let host = host.strip_suffix('.').unwrap_or(host).to_lowercase();
    // Addresses have many spellings; the standard library knows the one to compare.
    host.parse::<IpAddr>().map_or(host, |address| address.to_string())
}
