//! The simulated nodes: two clusters, racks of eight, a leaf switch for every two racks.

/// Nodes in a rack.
pub(super) const IN_RACK: usize = 8;

/// One simulated machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// The id in API paths.
    pub id: String,
    /// The host name that alerts carry.
    pub name: String,
    /// The bare metal below it.
    pub host: String,
    /// Its cluster.
    pub cluster: &'static str,
    /// Its rack.
    pub rack: String,
    /// Its leaf switch.
    pub leaf: String,
    /// Whether its owner allows repairs that nobody asked for.
    pub opted_out: bool,
}

/// The clusters: three quarters of the nodes train, the others serve.
pub(super) const CLUSTERS: [&str; 2] = ["train-a", "infer-b"];

/// Makes `n` nodes; the one at `opted_out` belongs to somebody who wants to be asked first.
pub(super) fn nodes(n: usize, opted_out: usize) -> Vec<Node> {
    let node = |at: usize| {
        let number = at + 1;
        let rack = at / IN_RACK + 1;
        Node {
            id: format!("i-{number}"),
            name: format!("gpu-{number:03}"),
            host: format!("h-{number:04}"),
            cluster: if at < n - n / 4 { CLUSTERS[0] } else { CLUSTERS[1] },
            rack: format!("r{rack}"),
            leaf: format!("leaf-{}", rack.div_ceil(2)),
            opted_out: at == opted_out,
        }
    };
    (0..n).map(node).collect()
}

/// The inventory file of the nodes.
pub(super) fn inventory(nodes: &[Node]) -> String {
    let mut text = "# The simulated fleet of `remedyd demo`.\n".to_owned();
    for node in nodes {
        let Node { id, name, host, cluster, rack, leaf, opted_out } = node;
        let enabled = if *opted_out { "auto_remediation_enabled = false\n" } else { "" };
        text.push_str(&format!(
            "\n[instances.{id}]\nname = \"{name}\"\ncluster = \"{cluster}\"\nhost = \"{host}\"\npool = \"h100\"\n\
             generation = \"1\"\n{enabled}[instances.{id}.domains]\nrack = \"{rack}\"\nleaf = \"{leaf}\"\n"
        ));
    }
    text
}
