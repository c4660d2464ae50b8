//! The probe `icmp` against a real kernel: addresses that answer, one that does not, and each way to be allowed to ask.
//!
//! Each test runs in a network namespace of its own, where sysctls and links are set and a capability is dropped without
//! anybody noticing.

use std::process::Command;
use std::time::Duration;

use remedyd::config::checks::{Icmp, Probe};
use remedyd::domain::{ClusterId, HostId, InstanceId, Observation, Verdict};
use remedyd::probes::{Prober, Target};
use rustix::process::getuid;

const ENOUGH: Duration = Duration::from_secs(10);

fn target(address: &str) -> Target {
    Target {
        instance_id: InstanceId::parse("i-7").unwrap(),
        cluster_id: ClusterId::parse("train-a").unwrap(),
        host_id: HostId::parse("h-7").unwrap(),
        name: "node-7".into(),
        address: address.into(),
        generation: "1".into(),
    }
}

async fn ping(prober: &Prober, address: &str, timeout: Duration) -> Observation {
    prober.run(&Probe::Icmp(Icmp::default()), &target(address), timeout).await
}

fn findings(observation: &Observation) -> Vec<&str> {
    observation.findings.iter().map(|finding| finding.name.as_str()).collect()
}

/// Set in the process that runs inside the namespace.
const INSIDE: &str = "REMEDYD_TEST_INSIDE";

/// Runs `body` in a network namespace where `groups` may ping and `setup` was done; without CAP_NET_RAW unless `is_raw`. There
/// the same test runs once more, in a process of its own. What it prints is shown where it fails.
fn inside(test: &str, groups: &str, is_raw: bool, setup: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        return tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(body);
    }
    let drop = if is_raw { "" } else { "setpriv --bounding-set=-net_raw --inh-caps=-net_raw" };
    let script = format!(
        "set -e; ip link set lo up; echo '{groups}' >/proc/sys/net/ipv4/ping_group_range; {setup}
         exec {drop} \"$0\" --exact {test} --nocapture"
    );
    let program = std::env::current_exe().unwrap();
    let namespace = if getuid().is_root() { "-n" } else { "-rn" };
    let mut command = Command::new("unshare");
    let output = command.args([namespace, "sh", "-c", &script]).arg(program).env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

/// Nobody may use datagram sockets; only root may.
const NOBODY: &str = "1 0";
const ROOT: &str = "0 0";

async fn alive() {
    let prober = Prober::default();
    for address in ["127.0.0.1", "127.9.8.7", "::1"] {
        let observation = ping(&prober, address, ENOUGH).await;
        assert_eq!(observation.verdict, Verdict::Pass, "{address}: {}", observation.evidence);
        assert!(observation.evidence.starts_with("3 of 3"), "{}", observation.evidence);
    }
    let large = Icmp { size: *Icmp::SIZE.end(), packets: *Icmp::PACKETS.end(), ..Icmp::default() };
    let observation = prober.run(&Probe::Icmp(large), &target("127.0.0.1"), ENOUGH).await;
    assert_eq!(observation.verdict, Verdict::Pass, "{}", observation.evidence);
    assert!(observation.evidence.starts_with("10 of 10"), "{}", observation.evidence);
    let observation = ping(&prober, "198.51.100.7", ENOUGH).await;
    assert_eq!(observation.verdict, Verdict::Error, "the route is missing on our side: {}", observation.evidence);
}

#[test]
fn a_raw_socket_pings() {
    inside("a_raw_socket_pings", NOBODY, true, "", alive());
}

#[test]
fn a_datagram_socket_pings() {
    inside("a_datagram_socket_pings", ROOT, false, "", alive());
}

/// The largest requests are several times what the link takes at once.
const NARROW: &str = "ip link set lo mtu 1500;";

#[test]
fn requests_larger_than_the_link_go_in_fragments_over_a_raw_socket() {
    inside("requests_larger_than_the_link_go_in_fragments_over_a_raw_socket", NOBODY, true, NARROW, alive());
}

#[test]
fn requests_larger_than_the_link_go_in_fragments_over_a_datagram_socket() {
    inside("requests_larger_than_the_link_go_in_fragments_over_a_datagram_socket", ROOT, false, NARROW, alive());
}

async fn not_allowed() {
    for address in ["127.0.0.1", "::1"] {
        let observation = ping(&Prober::default(), address, ENOUGH).await;
        assert_eq!(observation.verdict, Verdict::Error);
        for word in ["net.ipv4.ping_group_range", "AmbientCapabilities=CAP_NET_RAW"] {
            assert!(observation.evidence.contains(word), "{}", observation.evidence);
        }
    }
}

#[test]
fn who_may_not_is_told_what_to_do() {
    inside("who_may_not_is_told_what_to_do", NOBODY, false, "", not_allowed());
}

async fn silent() {
    let prober = Prober::default();
    for address in ["127.0.0.1", "::1"] {
        let observation = ping(&prober, address, Duration::from_millis(400)).await;
        assert_eq!(findings(&observation), ["timeout"], "{}", observation.evidence);
        assert!(observation.evidence.contains("0 of 3"), "{}", observation.evidence);
    }
}

/// A machine that ignores echo requests. Over loopback our own requests come in as well, which must not be taken for answers.
const SILENT: &str =
    "echo 1 >/proc/sys/net/ipv4/icmp_echo_ignore_all; echo 1 >/proc/sys/net/ipv6/icmp/echo_ignore_all;";

#[test]
fn a_silent_node_times_out_over_a_raw_socket() {
    inside("a_silent_node_times_out_over_a_raw_socket", NOBODY, true, SILENT, silent());
}

#[test]
fn a_silent_node_times_out_over_a_datagram_socket() {
    inside("a_silent_node_times_out_over_a_datagram_socket", ROOT, false, SILENT, silent());
}

async fn unreachable() {
    let prober = Prober::default();
    for (address, said) in
        [("203.0.113.9", "203.0.113.1 said host-unreachable"), ("2001:db8::9", "2001:db8::1 said address-unreachable")]
    {
        let observation = ping(&prober, address, ENOUGH).await;
        assert_eq!(findings(&observation), ["unreachable"], "{}", observation.evidence);
        assert_eq!(&*observation.findings[0].detail, said);
    }
}

/// Nobody has that address on the link: our own kernel says so, as a router would.
#[test]
fn an_address_that_nobody_has_is_unreachable() {
    let link = "ip link add near type veth peer name far; ip link set near up; ip link set far up;
         ip addr add 203.0.113.1/24 dev near; ip addr add 2001:db8::1/64 dev near nodad;";
    inside("an_address_that_nobody_has_is_unreachable", NOBODY, true, link, unreachable());
}
