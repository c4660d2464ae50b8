//! Our clusters as Together's objects, with all the keys that strict validation wants (CONTRACT §2.4).
//!
//! Much of the schema is about capacity that is bought, which we know nothing of: those numbers are zero and those lists
//! are empty. The literals without a neutral value (`gpu_type`, `cluster_type`, `billing_type`) say the commonest thing.

use serde::Serialize;
use utoipa::ToSchema;

use super::render::Remediation;
use super::timeline::{self, LifecycleEvent};
use crate::domain::{self, Instance, State};
use crate::http::error::Fault;
use crate::store::query::{InstanceFilter, Paging, Visible};
use crate::store::reader::Reader;

/// How many instances are read at once.
const READ_AT_ONCE: usize = 1000;

/// Every cluster that the asker sees.
#[derive(Serialize, ToSchema)]
#[schema(as = TogetherClusters)]
pub(in crate::http) struct Clusters {
    pub(super) clusters: Vec<Cluster>,
}

/// A cluster with its nodes. What Together sells and we know nothing of is zero or empty.
#[derive(Serialize, ToSchema)]
#[schema(as = TogetherCluster)]
pub(in crate::http) struct Cluster {
    cluster_id: String,
    cluster_name: String,
    /// Degraded while a node is being repaired, else Ready.
    status: &'static str,
    region: &'static str,
    project_id: &'static str,
    cluster_type: &'static str,
    billing_type: &'static str,
    gpu_type: &'static str,
    cuda_version: &'static str,
    nvidia_driver_version: &'static str,
    /// The real field holds a credential.
    kube_config: &'static str,
    num_gpus: u32,
    num_reserved_gpus: u32,
    num_capacity_pool_gpus: u32,
    num_cpu_workers: u32,
    allocated_preemptible_gpus: u32,
    desired_preemptible_gpus: u32,
    #[schema(value_type = Vec<Object>)]
    add_ons: [(); 0],
    #[schema(value_type = Vec<Object>)]
    control_plane_nodes: [(); 0],
    #[schema(value_type = Vec<Object>)]
    phase_transitions: [(); 0],
    #[schema(value_type = Vec<Object>)]
    volumes: [(); 0],
    gpu_worker_nodes: Vec<Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_lifecycle_events: Option<Vec<LifecycleEvent>>,
}

/// A node of a cluster.
#[derive(Serialize, ToSchema)]
#[schema(as = TogetherNode)]
struct Node {
    host_name: String,
    node_id: String,
    instance_id: String,
    status: &'static str,
    auto_remediation_enabled: bool,
    /// Its latest remediation, without linked alerts; left out where it never had one.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    latest_remediation: Option<Remediation>,
    memory_gib: f64,
    num_cpu_cores: u32,
    num_gpus: u32,
    #[schema(value_type = Vec<Object>)]
    networks: [(); 0],
    #[schema(value_type = Vec<Object>)]
    phase_transitions: [(); 0],
}

/// Every cluster that the asker sees. The CLI reads this before each command, so what happened is left out.
pub(super) fn all(reader: &Reader, visible: &Visible) -> Result<Vec<Cluster>, Fault> {
    let clusters = reader.clusters(visible)?.into_iter();
    clusters.map(|cluster| Ok(Cluster { node_lifecycle_events: None, ..describe(reader, cluster)? })).collect()
}

/// One cluster with its nodes and what happened to them.
pub(super) fn describe(reader: &Reader, cluster: domain::Cluster) -> Result<Cluster, Fault> {
    let filter = InstanceFilter { visible: None, cluster_id: Some(cluster.id.clone()) };
    let mut paging = Paging { size: READ_AT_ONCE, after: None };
    let mut nodes = Vec::new();
    let mut degraded = false;
    let mut remediations = Vec::new();
    loop {
        let page = reader.instances(&filter, &paging)?;
        for (instance, _) in page.rows {
            let latest = reader.latest_remediation(&cluster.id, &instance.id)?;
            degraded |= latest.as_ref().is_some_and(|latest| latest.state.is_in_flight());
            nodes.push(Node::new(instance, latest.as_ref()));
            remediations.extend(latest);
        }
        match page.next {
            Some(next) => paging.after = Some(next),
            None => break,
        }
    }
    let events = timeline::of(remediations.iter());
    Ok(Cluster { node_lifecycle_events: Some(events), ..Cluster::new(cluster, nodes, degraded) })
}

impl Cluster {
    fn new(cluster: domain::Cluster, gpu_worker_nodes: Vec<Node>, degraded: bool) -> Self {
        Self {
            cluster_id: cluster.id.to_string(),
            cluster_name: cluster.name,
            status: if degraded { "Degraded" } else { "Ready" },
            region: "local",
            project_id: "remedyd",
            cluster_type: "KUBERNETES",
            billing_type: "RESERVED",
            gpu_type: "H100_SXM",
            cuda_version: "",
            nvidia_driver_version: "",
            kube_config: "",
            num_gpus: 0,
            num_reserved_gpus: 0,
            num_capacity_pool_gpus: 0,
            num_cpu_workers: 0,
            allocated_preemptible_gpus: 0,
            desired_preemptible_gpus: 0,
            add_ons: [],
            control_plane_nodes: [],
            phase_transitions: [],
            volumes: [],
            gpu_worker_nodes,
            node_lifecycle_events: None,
        }
    }
}

impl Node {
    fn new(instance: Instance, latest: Option<&domain::Remediation>) -> Self {
        Self {
            host_name: instance.name,
            node_id: instance.id.to_string(),
            instance_id: instance.id.to_string(),
            status: latest.map_or("Running", |latest| phase(latest.state)),
            auto_remediation_enabled: instance.auto_remediation_enabled,
            latest_remediation: latest.map(Remediation::alone),
            memory_gib: 0.0,
            num_cpu_cores: 0,
            num_gpus: 0,
            networks: [],
            phase_transitions: [],
        }
    }
}

/// What the vendor's pages call a node whose latest remediation is in this state.
const fn phase(state: State) -> &'static str {
    match state {
        State::Quarantining => "Cordoning",
        State::Quarantined => "Draining",
        State::Running => "Repairing",
        State::PendingApproval
        | State::Pending
        | State::Succeeded
        | State::Failed
        | State::Cancelled
        | State::AutoResolved => "Running",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::{instance, proposal};

    #[test]
    fn every_key_that_strict_clients_want_is_there() {
        let mut latest = proposal().remediation;
        latest.state = State::Running;
        let id = domain::ClusterId::parse("c-1").unwrap();
        let cluster = domain::Cluster { id, name: "train".into() };
        let shown =
            serde_json::to_value(Cluster::new(cluster, vec![Node::new(instance(), Some(&latest))], true)).unwrap();
        let keys = "add_ons allocated_preemptible_gpus billing_type cluster_id cluster_name cluster_type \
            control_plane_nodes cuda_version desired_preemptible_gpus gpu_type gpu_worker_nodes kube_config \
            num_capacity_pool_gpus num_cpu_workers num_gpus num_reserved_gpus nvidia_driver_version phase_transitions \
            project_id region status volumes";
        assert_eq!(shown.as_object().unwrap().keys().collect::<Vec<_>>(), keys.split_whitespace().collect::<Vec<_>>());
        assert_eq!(shown["status"], "Degraded");
        let node = &shown["gpu_worker_nodes"][0];
        for key in "host_name memory_gib networks node_id num_cpu_cores num_gpus phase_transitions".split(' ') {
            assert!(!node[key].is_null(), "{key}");
        }
        assert_eq!(node["status"], "Repairing");
        assert_eq!(node["latest_remediation"]["state"], "RUNNING");
        assert_eq!(node["latest_remediation"].get("linked_alerts"), None);
    }
}
