//! Who exists: clusters, instances on hosts, and what we remember of each instance's repairs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ClusterId, HostId, InstanceId, Mode, RemediationId, State, Timestamp};

/// A set of instances that one provider and one policy look after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// What API paths and alert labels call it.
    pub id: ClusterId,
    /// What people call it; alert labels may carry it too.
    pub name: String,
}

/// A VM or node, as the inventory describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Unique in the whole inventory.
    pub id: InstanceId,
    /// Host name as alerts carry it; may be fully qualified.
    pub name: String,
    /// The cluster that it belongs to.
    pub cluster_id: ClusterId,
    /// The bare metal below it; one live remediation per host.
    pub host_id: HostId,
    /// Addresses by which alerts may name it.
    pub addresses: Vec<String>,
    /// The provider's own id of the VM, handed to drivers; empty when there is none.
    pub provider_id: String,
    /// Free grouping, matchable as `pool`; empty when there is none.
    pub pool: String,
    /// Changes whenever the id comes to stand for another machine; an approval is bound to it.
    pub generation: String,
    /// Failure domains: kind to name, matchable as `domain_<kind>`.
    pub domains: BTreeMap<String, String>,
    /// False: nothing AUTOMATED opens here; people may still create remediations.
    pub auto_remediation_enabled: bool,
}

/// The last repairs of one instance, newest first, at most [`NodeMemory::KEPT`]; outlives the remediations' own rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMemory {
    /// Whose memory this is.
    pub instance_id: InstanceId,
    /// Newest first.
    pub repairs: Vec<Repair>,
}

impl NodeMemory {
    /// How many repairs are remembered.
    pub const KEPT: usize = 32;
}

/// One remediation that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Which one it was.
    pub remediation_id: RemediationId,
    /// On which host.
    pub host_id: HostId,
    /// What was, or would have been, done.
    pub mode: Mode,
    /// How it ended.
    pub state: State,
    /// Whether the action began, so that the machine was touched.
    pub acted: bool,
    /// When it ended.
    pub ended_at: Timestamp,
}
