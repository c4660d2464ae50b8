//! What the answers of a run are judged to mean.

use std::net::Ipv4Addr;

use super::ledger::Refusal;
use super::*;
use crate::domain::Verdict;

const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn judged(max_loss_percent: u32, echoes: Echoes) -> Observation {
    judge(&Icmp { max_loss_percent, ..Icmp::default() }, NODE, Duration::from_secs(1), Ok(echoes))
}

fn answers(sent: usize, answered: u64) -> Echoes {
    let rtts = (1..=answered).map(Duration::from_millis).collect();
    Echoes { sent, rtts, sees_errors: true, ..Echoes::default() }
}

fn findings(observation: &Observation) -> Vec<&str> {
    observation.findings.iter().map(|finding| finding.name.as_str()).collect()
}

fn measured(observation: &Observation, name: &str) -> Option<f64> {
    observation.measurements.iter().find(|one| &*one.name == name).map(|one| one.value.get())
}

#[test]
fn all_answers_are_health() {
    let observation = judged(0, answers(3, 3));
    assert_eq!(observation.verdict, Verdict::Pass);
    assert_eq!(
        observation.evidence,
        "3 of 3 echo requests to 192.0.2.7 answered, rtt min/avg/max 1.000/2.000/3.000 ms"
    );
    assert_eq!(measured(&observation, "rtt_min_seconds"), Some(0.001));
    assert_eq!(measured(&observation, "rtt_avg_seconds"), Some(0.002));
    assert_eq!(measured(&observation, "rtt_max_seconds"), Some(0.003));
    assert_eq!(measured(&observation, "loss_ratio"), Some(0.0));
}

#[test]
fn times_are_rounded_to_the_microsecond() {
    let shown = |nanos| Millis(Duration::from_nanos(nanos)).to_string();
    assert_eq!([0, 499, 500, 31_499, 999_999_499].map(shown), ["0.000", "0.000", "0.001", "0.031", "999.999"]);
    assert_eq!(shown(1_234_567_890), "1234.568");
}

/// Thousands of them wait at once: what a run keeps meanwhile is copied and paid for by each.
#[test]
fn a_run_that_waits_takes_half_a_kilobyte_at_most() {
    let target = crate::probes::testing::target("192.0.2.7");
    let (prober, probe) = (crate::probes::Prober::default(), crate::config::checks::Probe::Icmp(Icmp::default()));
    let bytes = size_of_val(&prober.run(&probe, &target, Duration::from_secs(1)));
    assert!(bytes <= 512, "{bytes} bytes");
}

#[test]
fn loss_counts_above_its_limit() {
    for (sent, answered, allowed, is_loss) in
        [(3, 2, 50, false), (3, 1, 50, true), (2, 1, 50, false), (2, 1, 49, true), (10, 9, 10, false), (10, 9, 9, true)]
    {
        let observation = judged(allowed, answers(sent, answered));
        let expected: &[&str] = if is_loss { &["loss"] } else { &[] };
        assert_eq!(findings(&observation), expected, "{answered} of {sent}, {allowed} %");
        assert_eq!(observation.verdict == Verdict::Fail, is_loss);
    }
}

#[test]
fn no_answer_fails_whatever_loss_is_allowed() {
    let observation = judged(99, answers(3, 0));
    assert_eq!((observation.verdict, findings(&observation)), (Verdict::Fail, vec!["timeout"]));
    assert_eq!(measured(&observation, "loss_ratio"), Some(1.0));
    assert_eq!(measured(&observation, "rtt_avg_seconds"), None);
    assert_eq!(observation.evidence, "0 of 3 echo requests to 192.0.2.7 answered: no answer within 1s");

    let deaf = judged(99, Echoes { sees_errors: false, ..answers(3, 0) });
    assert!(deaf.evidence.ends_with("(who refuses is not heard without CAP_NET_RAW)"), "{}", deaf.evidence);
}

#[test]
fn a_refusal_counts_where_nothing_else_was_heard() {
    let unreachable = Some(Refusal { by: Ipv4Addr::new(192, 0, 2, 1).into(), why: "host-unreachable" });
    let observation = judged(50, Echoes { unreachable: unreachable.clone(), ..answers(3, 0) });
    assert_eq!(findings(&observation), ["unreachable"]);
    assert_eq!(&*observation.findings[0].detail, "192.0.2.1 said host-unreachable");
    assert_eq!(findings(&judged(50, Echoes { unreachable, ..answers(3, 2) })), Vec::<&str>::new());
}

#[test]
fn what_keeps_us_from_sending_says_nothing_about_the_node() {
    let not_allowed = Trouble::CannotOpen(socket::CannotOpen::NotAllowed);
    for trouble in [not_allowed, Trouble::Send(rustix::io::Errno::NETUNREACH.into()), Trouble::Socket, Trouble::Ended] {
        let observation = judge(&Icmp::default(), NODE, Duration::from_secs(1), Err(trouble));
        assert_eq!(observation.verdict, Verdict::Error, "{}", observation.evidence);
        assert_eq!(observation.findings, []);
    }
    let unsent = judged(50, answers(0, 0));
    assert_eq!(unsent.verdict, Verdict::Error, "{}", unsent.evidence);
}
