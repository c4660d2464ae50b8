//! From targets and labels to instances: all that is said of one machine, in any number of groups and files, is one
//! instance.
//!
//! A target is the machine's address, its port aside: node exporter and DCGM exporter of one node are one machine. Labels
//! say the rest, by the names in [`Mapping`]. What contradicts itself is a mistake. What is about none of our clusters, or
//! no machine at all, is passed over with a word: such files are written for Prometheus, which scrapes more than nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::target_groups::{Group, Place, Placed};
use crate::domain::{Cluster, ClusterId, HostId, Instance, InstanceId};

/// How many parts that were passed over are told, of each file or answer.
const MOST_REMARKS: usize = 10;

/// Which labels say what of a machine; of several, the first that is there and not empty. `__meta_*` labels count like
/// any other where they are named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its id; without one, its name, or else its address.
    pub id: Vec<String>,
    /// Its host name; without one, its address where that is a name, or else its id.
    pub name: Vec<String>,
    /// Its cluster, by id or name.
    pub cluster: Vec<String>,
    /// The bare metal below it; without one, its id.
    pub host: Vec<String>,
    /// Its pool.
    pub pool: Vec<String>,
    /// Which machine the id stands for at the moment.
    pub generation: Vec<String>,
    /// The provider's own id.
    pub provider_id: Vec<String>,
    /// `false`: nothing AUTOMATED opens there.
    pub auto_remediation_enabled: Vec<String>,
    /// The failure domains: each label is one kind, besides all that are called `domain_<kind>`, also by another daemon.
    pub domains: Vec<String>,
    /// The cluster of those that name none.
    pub default_cluster: Option<ClusterId>,
}

impl Default for Mapping {
    fn default() -> Self {
        let labels = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Self {
            id: labels(&["instance_id"]),
            name: labels(&["nodename", "node", "hostname"]),
            cluster: labels(&["cluster", "cluster_name"]),
            host: labels(&["host_id"]),
            pool: labels(&["pool"]),
            generation: labels(&["generation"]),
            provider_id: labels(&["provider_id"]),
            auto_remediation_enabled: labels(&["auto_remediation_enabled"]),
            domains: labels(&["rack", "leaf", "pod", "pdu", "nvlink_domain"]),
            default_cluster: None,
        }
    }
}

/// Something about a part of what was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// In which file.
    pub origin: PathBuf,
    /// Where in it.
    pub at: Place,
    /// Which part: `[2].labels.cluster`.
    pub key: String,
    /// What is to be said.
    pub what: String,
    /// It cannot be taken so; otherwise this part was passed over, and the rest was taken.
    pub is_mistake: bool,
}

/// What was made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// In order of their ids.
    pub instances: Vec<Instance>,
    /// In the order of what was read.
    pub remarks: Vec<Remark>,
}

/// Makes instances of all groups. `known` are described elsewhere: what is said of those machines here is not taken.
pub fn gather(read: &[(PathBuf, Vec<Group>)], known: &[Instance], clusters: &[Cluster], mapping: &Mapping) -> Gathered {
    let mut gathering = Gathering {
        known: names_of(known),
        taken: known.iter().map(|instance| &instance.id).collect(),
        clusters,
        mapping,
        drafts: BTreeMap::new(),
        by_address: BTreeMap::new(),
        remarks: Vec::new(),
    };
    // Those that say who they are come first, so that a bare address finds its machine whatever the order of the files.
    for is_named in [true, false] {
        for (origin, groups) in read {
            for (n, group) in groups.iter().enumerate() {
                let from = From { origin, n, group };
                if gathering.pick(group, &[&mapping.id, &mapping.name]).is_some() == is_named {
                    gathering.take(&from);
                }
            }
        }
    }
    gathering.end()
}

/// Where every name and address of instances leads, by cluster.
fn names_of(known: &[Instance]) -> BTreeSet<(ClusterId, String)> {
    let names = known.iter().flat_map(|instance| {
        let names = [instance.id.as_str(), instance.name.as_str()].into_iter();
        let names = names.chain(instance.addresses.iter().map(String::as_str));
        names.map(|name| (instance.cluster_id.clone(), name.to_lowercase()))
    });
    names.collect()
}

/// One group, and where it stands.
#[derive(Clone, Copy)]
struct From<'a> {
    origin: &'a Path,
    n: usize,
    group: &'a Group,
}

/// Something that was said, and by whom.
#[derive(Clone, Debug)]
struct Told<T> {
    what: T,
    place: String,
}

struct Draft<'a> {
    cluster: ClusterId,
    from: From<'a>,
    at: Place,
    addresses: Vec<String>,
    name: Option<Told<String>>,
    host: Option<Told<String>>,
    pool: Option<Told<String>>,
    generation: Option<Told<String>>,
    provider_id: Option<Told<String>>,
    enabled: Option<Told<String>>,
    domains: BTreeMap<String, Told<String>>,
}

struct Gathering<'a> {
    known: BTreeSet<(ClusterId, String)>,
    taken: BTreeSet<&'a InstanceId>,
    clusters: &'a [Cluster],
    mapping: &'a Mapping,
    drafts: BTreeMap<InstanceId, Draft<'a>>,
    by_address: BTreeMap<(ClusterId, String), InstanceId>,
    remarks: Vec<Remark>,
}

impl<'a> Gathering<'a> {
    /// The first of these labels that is there and says something.
    fn pick<'g>(&self, group: &'g Group, names: &[&'a Vec<String>]) -> Option<(&'a str, &'g Placed)> {
        let names = names.iter().flat_map(|names| names.iter());
        names
            .filter_map(|name| Some((name.as_str(), group.labels.get(name)?)))
            .find(|(_, found)| !found.text.is_empty())
    }

    fn remark(&mut self, from: &From<'_>, at: Place, part: &str, is_mistake: bool, what: impl Into<String>) {
        let key = format!("[{}].{part}", from.n);
        self.remarks.push(Remark { origin: from.origin.to_owned(), at, key, what: what.into(), is_mistake });
    }

    fn take(&mut self, from: &From<'a>) {
        let Some(cluster) = self.cluster(from) else { return };
        for target in &from.group.targets {
            let Some(address) = address(&target.text) else {
                let what =
                    format!("`{}` is no host with or without a port, so it is no machine here", cut(&target.text));
                self.remark(from, target.at, "targets", false, what);
                continue;
            };
            self.take_target(from, &cluster, target.at, address);
        }
    }

    fn cluster(&mut self, from: &From<'a>) -> Option<ClusterId> {
        let found = self.pick(from.group, &[&self.mapping.cluster]);
        let Some((label, named)) = found else {
            if self.mapping.default_cluster.is_none() {
                let at = from.group.targets.first().map(|target| target.at).unwrap_or_default();
                let labels = self.mapping.cluster.join(", ");
                let what =
                    format!("none of the labels {labels} names a cluster, and there is no default_cluster: not taken");
                self.remark(from, at, "labels", false, what);
            }
            return self.mapping.default_cluster.clone();
        };
        let is_it = |cluster: &&Cluster| cluster.id.as_str() == named.text || cluster.name == named.text;
        let known = self.clusters.iter().find(is_it).map(|cluster| cluster.id.clone());
        if known.is_none() {
            let what = format!("there is no [clusters.{}]: not taken", cut(&named.text));
            self.remark(from, named.at, &format!("labels.{label}"), false, what);
        }
        known
    }

    fn take_target(&mut self, from: &From<'a>, cluster: &ClusterId, at: Place, address: String) {
        let place = format!("{}:{}:{}", from.origin.display(), at.line, at.column);
        let told = |text: &str| Told { what: text.to_owned(), place: place.clone() };
        let mapping = self.mapping;
        let label = |names: &'a Vec<String>| self.pick(from.group, &[names]).map(|(_, found)| told(&found.text));
        let (name, host, pool) = (label(&mapping.name), label(&mapping.host), label(&mapping.pool));
        let (generation, provider_id) = (label(&mapping.generation), label(&mapping.provider_id));
        let enabled = label(&mapping.auto_remediation_enabled);
        let domains: Vec<(String, Told<String>)> =
            self.domains(from.group).map(|(kind, text)| (kind, told(text))).collect();
        let own_id = self.pick(from.group, &[&mapping.id, &mapping.name]);
        let is_known = |text: &str| self.known.contains(&(cluster.clone(), text.to_lowercase()));
        let is_named = name.as_ref().is_some_and(|name| is_known(&name.what));
        if is_named || is_known(&address) || own_id.is_some_and(|(_, id)| is_known(&id.text)) {
            return;
        }
        let id = match own_id {
            Some((label, id)) => InstanceId::parse(&id.text).map_err(|error| (format!("labels.{label}"), id.at, error)),
            None => match self.by_address.get(&(cluster.clone(), address.to_lowercase())) {
                Some(id) => Ok(id.clone()),
                None => InstanceId::parse(&address).map_err(|error| ("targets".to_owned(), at, error)),
            },
        };
        let id = match id {
            Ok(id) => id,
            Err((part, at, error)) => return self.remark(from, at, &part, true, error.to_string()),
        };
        let blank = Draft {
            cluster: cluster.clone(),
            from: *from,
            at,
            addresses: Vec::new(),
            name: None,
            host: None,
            pool: None,
            generation: None,
            provider_id: None,
            enabled: None,
            domains: BTreeMap::new(),
        };
        if self.taken.contains(&id) {
            let what = format!("instance {id} is described already, in another cluster");
            return self.remark(from, at, "labels", true, what);
        }
        let draft = self.drafts.entry(id.clone()).or_insert(blank);
        let mut contradictions = Vec::new();
        if draft.cluster != *cluster {
            contradictions.push(("cluster", draft.cluster.to_string(), draft.from.origin.display().to_string()));
        }
        for (key, slot, said) in [
            ("name", &mut draft.name, name),
            ("host", &mut draft.host, host),
            ("pool", &mut draft.pool, pool),
            ("generation", &mut draft.generation, generation),
            ("provider_id", &mut draft.provider_id, provider_id),
            ("auto_remediation_enabled", &mut draft.enabled, enabled),
        ] {
            contradictions.extend(agree(slot, said).map(|before| (key, before.what, before.place)));
        }
        for (kind, said) in domains {
            let mut slot = draft.domains.remove(&kind);
            contradictions.extend(agree(&mut slot, Some(said)).map(|before| ("domains", before.what, before.place)));
            draft.domains.extend(slot.map(|slot| (kind, slot)));
        }
        if !draft.addresses.contains(&address) {
            draft.addresses.push(address.clone());
        }
        let other = self.by_address.insert((cluster.clone(), address.to_lowercase()), id.clone());
        for (key, before, place) in contradictions {
            let what = format!("of {id} the {key} is another than `{}`, which stands at {place}", cut(&before));
            self.remark(from, at, "labels", true, what);
        }
        if let Some(other) = other.filter(|other| *other != id) {
            let what = format!("`{address}` is the address of {other} too; alerts could not tell them apart");
            self.remark(from, at, "targets", true, what);
        }
    }

    /// The kinds of domain that a group names, and which one of each.
    fn domains<'g>(&self, group: &'g Group) -> impl Iterator<Item = (String, &'g str)> + use<'g, 'a> {
        let mapping = self.mapping;
        group.labels.iter().filter_map(move |(name, found)| {
            // The second is how our own `/sd/http` calls them.
            let kind = name.strip_prefix("domain_").or_else(|| name.strip_prefix("__meta_remedyd_domain_"));
            let kind = match kind {
                Some(kind) => kind,
                None if mapping.domains.contains(name) => name,
                None => return None,
            };
            (!kind.is_empty() && !found.text.is_empty()).then(|| (kind.to_owned(), found.text.as_str()))
        })
    }

    fn end(mut self) -> Gathered {
        let mut instances: BTreeMap<InstanceId, Instance> = BTreeMap::new();
        let mut names: BTreeMap<(ClusterId, String), InstanceId> = BTreeMap::new();
        for (id, draft) in std::mem::take(&mut self.drafts) {
            let (from, at) = (draft.from, draft.at);
            match instance(&id, draft) {
                Ok(instance) => {
                    let name = (instance.cluster_id.clone(), instance.name.to_lowercase());
                    if let Some(other) = names.insert(name, id.clone()) {
                        let what =
                            format!("{other} is called `{}` too; alerts could not tell them apart", instance.name);
                        self.remark(&from, at, "labels", true, what);
                    }
                    instances.insert(id, instance);
                }
                Err(what) => self.remark(&from, at, "labels", true, what),
            }
        }
        cap(&mut self.remarks);
        self.remarks.sort_by(|one, other| (&one.origin, one.at).cmp(&(&other.origin, other.at)));
        Gathered { instances: instances.into_values().collect(), remarks: self.remarks }
    }
}

/// A file for a whole data centre would be a warning for each of its web servers.
fn cap(remarks: &mut Vec<Remark>) {
    let mut said: BTreeMap<PathBuf, usize> = BTreeMap::new();
    remarks.retain_mut(|remark| {
        let said = said.entry(remark.origin.clone()).or_default();
        *said += usize::from(!remark.is_mistake);
        if !remark.is_mistake && *said == MOST_REMARKS {
            remark.what += "; further ones of this kind are not told";
        }
        remark.is_mistake || *said <= MOST_REMARKS
    });
}

/// Takes what is said, unless something else was said before: that is given back.
fn agree(slot: &mut Option<Told<String>>, said: Option<Told<String>>) -> Option<Told<String>> {
    match (&*slot, said) {
        (_, None) => None,
        (None, said) => {
            *slot = said;
            None
        }
        (Some(before), Some(said)) => (before.what != said.what).then(|| before.clone()),
    }
}

fn instance(id: &InstanceId, draft: Draft<'_>) -> Result<Instance, String> {
    let text = |told: Option<Told<String>>| told.map(|told| told.what).unwrap_or_default();
    let own_name = draft.addresses.iter().find(|address| address.parse::<IpAddr>().is_err());
    let name = draft.name.map(|told| told.what).or_else(|| own_name.cloned()).unwrap_or_else(|| id.to_string());
    let host = draft.host.map_or_else(|| id.to_string(), |told| told.what);
    let enabled = text(draft.enabled);
    let auto_remediation_enabled = match enabled.as_str() {
        "" | "true" => true,
        "false" => false,
        other => return Err(format!("of {id} auto_remediation_enabled is `{}`, neither true nor false", cut(other))),
    };
    let is_plain = |kind: &str| kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if let Some(kind) = draft.domains.keys().find(|kind| !is_plain(kind)) {
        return Err(format!("`{}` is no kind of domain: letters, digits and _ only", cut(kind)));
    }
    Ok(Instance {
        id: id.clone(),
        cluster_id: draft.cluster,
        host_id: HostId::parse(&host).map_err(|error| format!("of {id}: {error}"))?,
        addresses: draft.addresses.into_iter().filter(|address| *address != name).collect(),
        name,
        provider_id: text(draft.provider_id),
        pool: text(draft.pool),
        generation: text(draft.generation),
        domains: draft.domains.into_iter().map(|(kind, told)| (kind, told.what)).collect(),
        auto_remediation_enabled,
    })
}

/// The host of `host:port`, `[v6]:port` or either without a port; nothing for what is no host, such as a URL to probe.
fn address(target: &str) -> Option<String> {
    let host = match target.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_number);
            (is_port && host.parse::<Ipv6Addr>().is_ok()).then_some(host)?
        }
        None => match target.rsplit_once(':') {
            Some(_) if target.parse::<Ipv6Addr>().is_ok() => target,
            Some((host, port)) if is_number(port) => host,
            Some(_) => return None,
            None => target,
        },
    };
    let is_name = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    (!host.is_empty() && (is_name(host) || host.parse::<IpAddr>().is_ok())).then(|| host.to_owned())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Enough of a text to find it by.
fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
