//! `inventory.d/*.toml`: the instances that exist, each with its place in clusters, hosts and failure domains.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::clusters::known_cluster;
use super::table::{Table, Value};
use crate::domain::{Cluster, ClusterId, HostId, Instance, InstanceId};

/// Reads the instances of all files, in order of their ids.
pub(super) fn read<'a>(files: impl IntoIterator<Item = Table<'a>>, clusters: &[Cluster]) -> Vec<Instance> {
    let mut instances: BTreeMap<InstanceId, Instance> = BTreeMap::new();
    let mut described: BTreeMap<InstanceId, Value<'a>> = BTreeMap::new();
    let mut names: BTreeMap<(ClusterId, String), Value<'a>> = BTreeMap::new();
    for mut file in files {
        for (id, value) in file.table("instances").named(InstanceId::parse) {
            if let Some(other) = described.get(&id) {
                value.wrong_key(format!("the instance is described already at {}", other.place()));
                continue;
            }
            described.insert(id.clone(), value.clone());
            let Some(table) = value.table() else { continue };
            let Some((instance, name_at)) = read_instance(&id, table, &value, clusters) else { continue };
            // Alerts name hosts in either case, so two names that differ in nothing else are one name.
            let name = (instance.cluster_id.clone(), instance.name.to_lowercase());
            if let Some(other) = names.get(&name) {
                let (key, place) = (&other.key, other.place());
                let what = format!("`{}` names {key} at {place} too; alerts could not tell them apart", instance.name);
                name_at.map_or_else(|| value.wrong_key(what.clone()), |at| at.wrong(what.clone()));
                continue;
            }
            names.insert(name, value);
            instances.insert(id, instance);
        }
        file.finish();
    }
    instances.into_values().collect()
}

fn read_instance<'a>(
    id: &InstanceId,
    mut table: Table<'a>,
    whole: &Value<'a>,
    clusters: &[Cluster],
) -> Option<(Instance, Option<Value<'a>>)> {
    let name_at = table.take("name");
    let name = name_at.as_ref().map_or(Some(id.as_str()), Value::text);
    let cluster_id = table.require("cluster").and_then(|value| known_cluster(&value, clusters));
    let host_id = match table.take("host") {
        Some(value) => value.parsed(HostId::parse),
        None => HostId::parse(id.as_str()).map_err(|err| whole.wrong_key(err.to_string())).ok(),
    };
    let addresses = table.take("addresses").and_then(|value| value.texts()).unwrap_or_default();
    let addresses = addresses.into_iter().filter_map(|(text, value)| read_address(text, &value)).collect();
    let mut optional = |key| table.take(key).and_then(|value| value.string()).unwrap_or_default().to_owned();
    let (provider_id, pool, generation) = (optional("provider_id"), optional("pool"), optional("generation"));
    let enabled = table.take("auto_remediation_enabled").and_then(|value| value.boolean()).unwrap_or(true);
    let domains = table.table("domains").named(parse_domain_kind).into_iter();
    let domains = domains.filter_map(|(kind, value)| Some((kind, value.text()?.to_owned()))).collect();
    table.finish();
    let instance = Instance {
        id: id.clone(),
        name: name?.to_owned(),
        cluster_id: cluster_id?,
        host_id: host_id?,
        addresses,
        provider_id,
        pool,
        generation,
        domains,
        auto_remediation_enabled: enabled,
    };
    Some((instance, name_at))
}

/// An IP address or a host name, without a port: alerts are compared after theirs is cut off.
fn read_address(text: &str, value: &Value<'_>) -> Option<String> {
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if text.parse::<IpAddr>().is_ok() || is_name {
        return Some(text.to_owned());
    }
    value.wrong(format!("`{text}` is neither an IP address nor a host name (ports and brackets do not belong here)"));
    None
}

/// Domains are matchable as `domain_<kind>`, so the kind has to fit into a label name.
fn parse_domain_kind(text: &str) -> Result<String, String> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no kind of domain: letters, digits and _ only"))
    }
}
