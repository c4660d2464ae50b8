//! Which instance an alert is about: every candidate label is tried, and only exactly one instance counts.

use std::collections::BTreeSet;

use super::super::memory::Memory;
use super::super::settings::Source;
use crate::domain::alert::Joined;
use crate::domain::{ClusterId, InstanceId, Labels};

/// Finds the instance. `Err` says in words why there is none.
pub fn join(memory: &Memory, source: &Source, labels: &Labels) -> Result<Joined, String> {
    let cluster = cluster(memory, source, labels)?;
    let mut found = BTreeSet::new();
    let mut tried = Vec::new();
    for label in &source.instance_labels {
        if let Some(value) = labels.get(label).filter(|value| !value.is_empty()) {
            tried.push(format!("{label}={value:?}"));
            found.append(&mut memory.named(value, cluster.as_ref()));
        }
    }
    let place = cluster.map_or_else(String::new, |cluster| format!(" in cluster {cluster}"));
    let mut found: Vec<InstanceId> = found.into_iter().collect();
    match (found.pop(), found.is_empty()) {
        (Some(instance_id), true) => match memory.instances().get(&instance_id) {
            Some(row) => Ok(Joined { cluster_id: row.cluster_id.clone(), instance_id }),
            None => Err(format!("instance {instance_id} left the inventory")),
        },
        (Some(last), false) => {
            let others: Vec<&str> = found.iter().take(4).map(InstanceId::as_str).collect();
            Err(cut(format!("ambiguous{place}: {} name {} and {last}", tried.join(", "), others.join(", "))))
        }
        (None, _) if tried.is_empty() => Err("no label names an instance".to_owned()),
        (None, _) => Err(cut(format!("no instance{place} matches {}", tried.join(", ")))),
    }
}

/// Which cluster the labels name; nothing where none does and the source has no default, so that all are searched.
pub fn cluster(memory: &Memory, source: &Source, labels: &Labels) -> Result<Option<ClusterId>, String> {
    let named = source.cluster_labels.iter().find_map(|name| labels.get(name).filter(|value| !value.is_empty()));
    let Some(named) = named else { return Ok(source.default_cluster.clone()) };
    memory
        .clusters()
        .values()
        .find(|cluster| cluster.id.as_str() == named)
        .or_else(|| memory.clusters().values().find(|cluster| cluster.name == named))
        .map(|cluster| Some(cluster.id.clone()))
        .ok_or_else(|| cut(format!("unknown cluster {named:?}")))
}

/// A reason is shown to people: hostile labels must not make it a page.
fn cut(mut reason: String) -> String {
    if let Some((at, _)) = reason.char_indices().nth(400) {
        reason.truncate(at);
        reason.push('…');
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{self, instance};
    use super::*;

    fn world() -> Memory {
        testing::memory(&[
            instance("i-7", "train-a", "gpu-node-7", &["10.0.0.7", "fd00::7"]),
            instance("i-8", "train-a", "gpu-node-8.example.net", &[]),
            instance("i-9", "train-b", "gpu-node-7", &[]),
            instance("i-a", "train-a", "twin.one.net", &[]),
            instance("i-b", "train-a", "twin.two.net", &[]),
        ])
    }

    fn joined(pairs: &[(&str, &str)]) -> Result<String, String> {
        let labels = Labels::from_pairs(pairs.iter().copied());
        join(&world(), &testing::source(None), &labels).map(|joined| joined.instance_id.to_string())
    }

    #[test]
    fn every_spelling_of_a_host_finds_it() {
        for value in [
            "gpu-node-7",
            "GPU-NODE-7.",
            "gpu-node-7:9400",
            "gpu-node-7.example.org:9100",
            "10.0.0.7:9400",
            "10.0.0.7",
            "[fd00::7]:9400",
            "fd00::7",
            "FD00:0:0::7",
            "i-7",
        ] {
            assert_eq!(joined(&[("cluster", "train-a"), ("instance", value)]), Ok("i-7".into()), "{value}");
        }
        assert_eq!(joined(&[("cluster", "train-a"), ("node", "gpu-node-8")]), Ok("i-8".into()));
        assert_eq!(joined(&[("cluster", "train-a"), ("node", "gpu-node-8.example.net")]), Ok("i-8".into()));
    }

    #[test]
    fn labels_that_name_nothing_do_not_disturb_the_one_that_does() {
        let labels = [
            ("cluster", "train-a"),
            ("Hostname", "dcgm-exporter-9hqzt"),
            ("instance", "10.42.3.8:9400"),
            ("node", "gpu-node-7"),
        ];
        assert_eq!(joined(&labels), Ok("i-7".into()));
    }

    #[test]
    fn two_instances_are_none() {
        for labels in [
            vec![("cluster", "train-a"), ("node", "gpu-node-7"), ("hostname", "gpu-node-8")],
            vec![("cluster", "train-a"), ("node", "twin")],
            vec![("node", "gpu-node-7")],
        ] {
            let why = joined(&labels).unwrap_err();
            assert!(why.starts_with("ambiguous"), "{why}");
        }
    }

    #[test]
    fn a_name_is_looked_for_in_its_own_cluster_only() {
        assert_eq!(joined(&[("cluster", "train-b"), ("node", "gpu-node-7")]), Ok("i-9".into()));
        assert_eq!(
            joined(&[("cluster_name", "train-b"), ("node", "gpu-node-8")]).unwrap_err(),
            "no instance in cluster train-b matches node=\"gpu-node-8\""
        );
        assert_eq!(
            joined(&[("cluster", "elsewhere"), ("node", "gpu-node-7")]).unwrap_err(),
            "unknown cluster \"elsewhere\""
        );
        assert_eq!(joined(&[("alertname", "x")]).unwrap_err(), "no label names an instance");
    }

    #[test]
    fn what_left_the_inventory_is_not_found() {
        let mut memory = world();
        memory.apply(&super::super::super::Change::InstanceGone(InstanceId::parse("i-7").unwrap()));
        let labels = Labels::from_pairs([("cluster", "train-a"), ("node", "gpu-node-7")]);
        assert!(join(&memory, &testing::source(None), &labels).is_err());
    }
}
