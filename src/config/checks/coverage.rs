//! What a check would come to: which instances it looks at, and which rules would hear of what it finds.

use std::collections::BTreeMap;

use super::super::table::Value;
use super::findings;
use crate::domain::{CheckId, ClusterId, Instance, RuleId};
use crate::engine::settings::{CheckPolicy, Rule, Settings};

/// The instances that a check looks at, by their clusters.
pub fn selected<'a>(policy: &CheckPolicy, instances: &'a [Instance]) -> BTreeMap<&'a ClusterId, Vec<&'a Instance>> {
    let mut clusters: BTreeMap<&ClusterId, Vec<&Instance>> = BTreeMap::new();
    for instance in instances.iter().filter(|instance| policy.selects(instance)) {
        clusters.entry(&instance.cluster_id).or_default().push(instance);
    }
    clusters
}

/// The rules that match a finding of this check on this instance, where it has no code and names no device.
pub fn rules_for<'a>(
    settings: &'a Settings,
    (check, policy): (&CheckId, &CheckPolicy),
    finding: &str,
    instance: &Instance,
) -> Vec<(&'a RuleId, &'a Rule)> {
    let value_of = |label: &str| match label {
        "alertname" | "check" => check.as_str(),
        "kind" => policy.kind.as_str(),
        "finding" => finding,
        "cluster" => instance.cluster_id.as_str(),
        "instance_id" => instance.id.as_str(),
        "severity" => policy.severity.as_str(),
        "pool" => &instance.pool,
        _ => label.strip_prefix("domain_").and_then(|kind| instance.domains.get(kind)).map_or("", String::as_str),
    };
    settings.rules.iter().filter(|(_, rule)| rule.matchers.matches(value_of)).collect()
}

/// Warns of checks that look at nothing, and of those of which no rule would hear. The first instance of each cluster stands
/// for the others.
pub(in super::super) fn warn(places: &[(CheckId, Value<'_>)], settings: &Settings, instances: &[Instance]) {
    for (id, value) in places {
        let (Some(policy), Some(table)) = (settings.checks.get(id), value.table()) else { continue };
        let clusters = selected(policy, instances);
        if clusters.is_empty() {
            table.warn("looks at no instance: `select` fits none of the inventory");
            continue;
        }
        let is_heard = |instance: &&Instance| {
            findings::of(policy.kind)
                .iter()
                .any(|finding| !rules_for(settings, (id, policy), finding, instance).is_empty())
        };
        if !clusters.values().filter_map(|of_cluster| of_cluster.first()).any(is_heard) {
            table.warn(format!(
                "no rule matches what it finds, so that is seen and opens nothing; a rule with 'check=\"{id}\"' would"
            ));
        }
    }
}
