//! What is made of real-looking lists.

use super::super::target_groups::parse;
use super::*;

fn clusters() -> Vec<Cluster> {
    ["train-a", "train-b"].map(|id| Cluster { id: ClusterId::parse(id).unwrap(), name: format!("{id}-name") }).into()
}

fn gathered(texts: &[&str], known: &[Instance], mapping: &Mapping) -> Gathered {
    let read: Vec<(PathBuf, Vec<Group>)> =
        texts.iter().enumerate().map(|(n, text)| (PathBuf::from(format!("f{n}.yml")), parse(text).unwrap())).collect();
    gather(&read, known, &clusters(), mapping)
}

fn only(text: &str) -> Instance {
    let gathered = gathered(&[text], &[], &Mapping::default());
    assert_eq!(gathered.remarks, []);
    let [instance] = &gathered.instances[..] else { panic!("{gathered:?}") };
    instance.clone()
}

/// `file:line:column: key: what`, with a `!` in front of mistakes.
fn remarks(texts: &[&str]) -> Vec<String> {
    let gathered = gathered(texts, &[], &Mapping::default());
    let shown = |remark: &Remark| {
        let Remark { origin, at, key, what, is_mistake } = remark;
        format!("{}{}:{}:{}: {key}: {what}", if *is_mistake { "!" } else { "" }, origin.display(), at.line, at.column)
    };
    gathered.remarks.iter().map(shown).collect()
}

#[test]
fn two_exporters_of_one_node_are_one_machine_with_all_that_its_labels_say() {
    let machine = only(
        "- targets: ['10.0.0.7:9100']
  labels: {cluster: train-a, node: gpu-node-7, instance_id: i-7, host_id: h-42, pool: h100, rack: r7, job: node}
- targets: ['10.0.0.7:9400', '[fd00::7]:9400']
  labels: {cluster_name: train-a-name, nodename: gpu-node-7, instance_id: i-7, generation: '3', domain_leaf: l2, provider_id: vm-1, auto_remediation_enabled: 'false'}
",
    );
    assert_eq!(
        (machine.id.as_str(), machine.name.as_str(), machine.cluster_id.as_str()),
        ("i-7", "gpu-node-7", "train-a")
    );
    assert_eq!((machine.host_id.as_str(), machine.pool.as_str(), machine.generation.as_str()), ("h-42", "h100", "3"));
    assert_eq!((machine.provider_id.as_str(), machine.auto_remediation_enabled), ("vm-1", false));
    assert_eq!(machine.addresses, ["10.0.0.7", "fd00::7"]);
    let domains: Vec<_> = machine.domains.iter().map(|(kind, name)| (kind.as_str(), name.as_str())).collect();
    assert_eq!(domains, [("leaf", "l2"), ("rack", "r7")]);
}

#[test]
fn what_no_label_says_is_taken_from_the_address() {
    let machine = only("[{\"targets\": [\"gpu-node-7.example:9100\"], \"labels\": {\"cluster\": \"train-a\"}}]");
    assert_eq!((machine.id.as_str(), machine.name.as_str()), ("gpu-node-7.example", "gpu-node-7.example"));
    assert_eq!((machine.host_id.as_str(), machine.addresses.len()), ("gpu-node-7.example", 0));
    assert!(machine.auto_remediation_enabled);
    let machine = only("- targets: ['10.0.0.7']\n  labels: {cluster: train-a, node: n7}\n");
    assert_eq!(
        (machine.id.as_str(), machine.name.as_str(), &machine.addresses[..]),
        ("n7", "n7", &["10.0.0.7".to_owned()][..])
    );
}

#[test]
fn a_bare_address_is_the_machine_that_named_itself_whatever_the_order() {
    let bare = "- targets: ['10.0.0.7:9400']\n  labels: {cluster: train-a, rack: r7}\n";
    let named = "- targets: ['10.0.0.7:9100']\n  labels: {cluster: train-a, node: n7}\n";
    for texts in [[bare, named], [named, bare]] {
        let gathered = gathered(&texts, &[], &Mapping::default());
        let [machine] = &gathered.instances[..] else { panic!("{gathered:?}") };
        assert_eq!((machine.id.as_str(), machine.domains.get("rack").map(String::as_str)), ("n7", Some("r7")));
    }
}

#[test]
fn what_the_inventory_describes_itself_is_not_described_again() {
    let mut known = only("- targets: [gpu-node-7]\n  labels: {cluster: train-a, instance_id: i-7, pool: own}\n");
    known.addresses.push("10.0.0.7".into());
    let text = "- targets: ['gpu-node-7:9100', '10.0.0.7:9400', 'GPU-NODE-7', new]\n  labels: {cluster: train-a, pool: theirs}\n- targets: [x]\n  labels: {cluster: train-a, instance_id: i-7}\n";
    let found = gathered(&[text], &[known.clone()], &Mapping::default());
    assert_eq!(found.remarks, []);
    assert_eq!(found.instances.iter().map(|machine| machine.id.as_str()).collect::<Vec<_>>(), ["new"]);
    let elsewhere =
        gathered(&["- targets: [gpu-node-7]\n  labels: {cluster: train-b}\n"], &[known], &Mapping::default());
    assert_eq!(elsewhere.instances.len(), 1, "another cluster's node of the same name is another machine");
}

/// Two instances of one name would make every alert about either of them ambiguous.
#[test]
fn a_name_that_the_inventory_has_already_is_that_machine_under_whatever_id() {
    let known = only("- targets: [10.0.0.1]\n  labels: {cluster: train-a, instance_id: i-7, node: gpu-node-7}\n");
    let text = "- targets: ['10.0.0.7:9100']\n  labels: {cluster: train-a, instance_id: vm-99, nodename: GPU-Node-7}\n";
    assert_eq!(gathered(&[text], &[known], &Mapping::default()).instances, []);
}

#[test]
fn meta_labels_and_a_default_cluster_count_where_they_are_named() {
    let text = "- targets: ['10.0.0.7:9100']\n  labels: {__meta_consul_node: n7, __meta_x: y}\n";
    let mapping = Mapping {
        id: vec!["__meta_consul_node".into()],
        default_cluster: ClusterId::parse("train-b").ok(),
        ..Mapping::default()
    };
    let found = gathered(&[text], &[], &mapping);
    let [machine] = &found.instances[..] else { panic!("{found:?}") };
    assert_eq!((machine.id.as_str(), machine.cluster_id.as_str()), ("n7", "train-b"));
}

#[test]
fn what_is_not_ours_is_passed_over_with_a_word() {
    assert_eq!(
        remarks(&[
            "- targets: [a]\n- targets: [b]\n  labels: {cluster: web}\n- targets: ['https://x/y', 'c:port']\n  labels: {cluster: train-a}\n"
        ]),
        [
            "f0.yml:1:13: [0].labels: none of the labels cluster, cluster_name names a cluster, and there is no default_cluster: not taken",
            "f0.yml:3:21: [1].labels.cluster: there is no [clusters.web]: not taken",
            "f0.yml:4:13: [2].targets: `https://x/y` is no host with or without a port, so it is no machine here",
            "f0.yml:4:28: [2].targets: `c:port` is no host with or without a port, so it is no machine here",
        ]
    );
}

#[test]
fn contradictions_are_mistakes_with_both_places() {
    let one = "- targets: ['10.0.0.7:9100']\n  labels: {cluster: train-a, instance_id: i-7, pool: a}\n";
    for (other, wanted) in [
        (
            "- targets: ['10.0.0.7:9400']\n  labels: {cluster: train-a, instance_id: i-7, pool: b}\n",
            "!f1.yml:1:13: [0].labels: of i-7 the pool is another than `a`, which stands at f0.yml:1:13",
        ),
        (
            "- targets: ['10.0.0.8']\n  labels: {cluster: train-b, instance_id: i-7}\n",
            "!f1.yml:1:13: [0].labels: of i-7 the cluster is another than `train-a`, which stands at f0.yml",
        ),
        (
            "- targets: ['10.0.0.7']\n  labels: {cluster: train-a, instance_id: i-8}\n",
            "!f1.yml:1:13: [0].targets: `10.0.0.7` is the address of i-7 too; alerts could not tell them apart",
        ),
        (
            "- targets: ['10.0.0.8']\n  labels: {cluster: train-a, instance_id: i-8, node: I-7}\n",
            "!f1.yml:1:13: [0].labels: i-7 is called `I-7` too; alerts could not tell them apart",
        ),
        (
            "- targets: ['x']\n  labels: {cluster: train-a, instance_id: a/b}\n",
            "!f1.yml:2:43: [0].labels.instance_id: `a/b` is no instance id: 1 to 253 letters, digits, dots, underscores and hyphens are allowed",
        ),
        (
            "- targets: ['[fd00::7]:1']\n  labels: {cluster: train-a}\n",
            "!f1.yml:1:13: [0].targets: `fd00::7` is no instance id: 1 to 253 letters, digits, dots, underscores and hyphens are allowed",
        ),
        (
            "- targets: ['x']\n  labels: {cluster: train-a, auto_remediation_enabled: no way}\n",
            "!f1.yml:1:13: [0].labels: of x auto_remediation_enabled is `no way`, neither true nor false",
        ),
    ] {
        assert_eq!(remarks(&[one, other]), [wanted]);
    }
}

#[test]
fn a_target_is_an_address_with_or_without_a_port() {
    for (target, wanted) in [
        ("n:9100", Some("n")),
        ("n", Some("n")),
        ("10.0.0.1:1", Some("10.0.0.1")),
        ("[::1]:9100", Some("::1")),
        ("[::1]", Some("::1")),
        ("fd00::1", Some("fd00::1")),
        ("n:", None),
        (":9100", None),
        ("[n]:1", None),
        ("[::1]x", None),
        ("http://n:1/", None),
        ("a b", None),
        ("", None),
    ] {
        assert_eq!(address(target).as_deref(), wanted, "{target}");
    }
}
