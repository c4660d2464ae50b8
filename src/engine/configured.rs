//! A configuration is taken as a whole: who exists now, and everything that its rules make different.

use super::change::Change;
use super::health;
use super::input::Configured;
use super::lifecycle;
use super::retention;
use super::turn::Turn;
use crate::domain::{ClusterId, InstanceId, RemediationId};

/// Writes the inventory's differences and lets everybody who has an open alert or a live remediation be looked at.
pub fn take(turn: &mut Turn<'_>, configured: Configured) {
    let gone: Vec<ClusterId> = turn
        .memory()
        .clusters()
        .keys()
        .filter(|id| !configured.clusters.iter().any(|cluster| cluster.id == **id))
        .cloned()
        .collect();
    let kept: std::collections::BTreeSet<&InstanceId> =
        configured.instances.iter().map(|instance| &instance.id).collect();
    let left: Vec<InstanceId> = turn.memory().instances().keys().filter(|id| !kept.contains(id)).cloned().collect();
    for cluster in configured.clusters {
        if turn.memory().clusters().get(&cluster.id) != Some(&cluster) {
            turn.record(Change::Cluster(Box::new(cluster)));
        }
    }
    for instance in configured.instances {
        if turn.memory().instances().get(&instance.id) != Some(&instance) {
            turn.touched.insert(instance.id.clone());
            turn.record(Change::Instance(Box::new(instance)));
        }
    }
    for instance in left {
        turn.touched.insert(instance.clone());
        turn.record(Change::InstanceGone(instance));
    }
    for cluster in gone {
        turn.record(Change::ClusterGone(cluster));
    }
    health::recheck(turn);
    health::rejoin(turn);
    let troubled: Vec<InstanceId> = turn.memory().troubled().chain(turn.memory().held().keys()).cloned().collect();
    turn.touched.extend(troubled);
    let live: Vec<(RemediationId, ClusterId)> = turn
        .memory()
        .remediations()
        .values()
        .map(|record| (record.remediation.id, record.remediation.cluster_id().clone()))
        .collect();
    for (id, cluster) in live {
        // Other times may be in force: deadlines are computed again.
        lifecycle::amend(turn, id, |_| {});
        turn.stirred.insert(id);
        turn.freed.insert(cluster);
    }
    retention::advance(turn);
}
