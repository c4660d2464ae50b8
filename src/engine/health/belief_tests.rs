//! Rows of runs, one letter each, and what becomes believed and cleared by them.

use std::time::Duration;

use super::super::super::conditions::{SUSPICION, suspect_until};
use super::super::super::testing::at;
use super::*;
use crate::domain::matcher::Matchers;
use crate::domain::{CheckId, CheckKind, ClusterId, InstanceId, Severity};

fn policy(failures_before: u32, passes_before: u32, round: u64) -> CheckPolicy {
    CheckPolicy {
        kind: CheckKind::DcgmExporter,
        select: Matchers::default(),
        failures_before,
        passes_before,
        severity: Severity::Critical,
        round: Duration::from_secs(round),
    }
}

fn unknown() -> Condition {
    Condition {
        check: CheckId::parse("gpu").unwrap(),
        kind: CheckKind::DcgmExporter,
        instance_id: InstanceId::parse("i-7").unwrap(),
        cluster_id: ClusterId::parse("train-a").unwrap(),
        generation: "1".into(),
        belief: Belief::Unknown,
        since: at(0),
        verdict: Verdict::Skipped,
        verdict_at: at(0),
        run_id: None,
        fails: None,
        standing: Vec::new(),
        spent: Vec::new(),
        ripe_at: None,
    }
}

fn xid(code: u32) -> Finding {
    Finding { xid: Some(code), is_sticky: true, ..Finding::new("xid", code.to_string()).on("GPU-1") }
}

/// `R` refused, `T` timeout; of a GPU that is seen: `P` pass, `X` XID 79, `Y` XID 48, `H` hot, `B` XID 79 and hot; `p` pass without
/// that GPU; `I` inconclusive, `E` error, `S` skipped.
fn observation(letter: char) -> Observation {
    let seen = |observation: Observation| Observation { devices: vec!["GPU-1".into()], ..observation };
    let hot = || Finding::new("temperature", "97 C").on("GPU-1");
    match letter {
        'R' => Observation::fail(vec![Finding::new("refused", "")], ""),
        'T' => Observation::fail(vec![Finding::new("timeout", "")], ""),
        'P' => seen(Observation::pass("")),
        'p' => Observation::pass(""),
        'X' => seen(Observation::fail(vec![xid(79)], "")),
        'Y' => seen(Observation::fail(vec![xid(48)], "")),
        'H' => seen(Observation::fail(vec![hot()], "")),
        'B' => seen(Observation::fail(vec![xid(79), hot()], "")),
        'I' => Observation::inconclusive(""),
        'E' => Observation::error(""),
        'S' => Observation::skipped(""),
        _ => panic!("no run is written {letter}"),
    }
}

fn name(finding: &Finding) -> String {
    finding.xid.map_or_else(|| finding.name.to_string(), |code| format!("xid{code}"))
}

/// Takes the runs ten seconds apart; a small letter `f` before one says that the prober is at fault. Says what happened after which.
fn told(condition: &mut Condition, policy: &CheckPolicy, runs: &str) -> String {
    let mut told = Vec::new();
    let mut fault = false;
    let mut n = 0;
    for letter in runs.chars() {
        if letter == 'f' {
            fault = true;
            continue;
        }
        n += 1;
        let now = at(n * 10);
        let observation = observation(letter);
        let reading = read(condition, &observation);
        let next = next(condition, &reading, &observation, policy, fault, now, now);
        told.extend(next.believed.iter().map(|finding| format!("{n}+{}", name(finding))));
        told.extend(next.cleared.iter().map(|finding| format!("{n}-{}", name(finding))));
        *condition = next.condition;
        fault = false;
    }
    told.join(" ")
}

#[test]
fn findings_come_and_go_by_their_thresholds() {
    for (failures, passes, runs, expected) in [
        // Three in a row, whatever the node's way to fail; then only two passes clear them.
        (3, 2, "RRR", "3+refused"),
        (3, 2, "RRPRRR", "6+refused"),
        (3, 2, "RTT", "3+timeout"),
        (3, 2, "RRRTTTPP", "3+refused 4+timeout 8-refused 8-timeout"),
        (3, 2, "RRRPRPP", "3+refused 7-refused"),
        // What says nothing neither counts nor breaks a row.
        (3, 2, "RERIRS", "5+refused"),
        (3, 2, "RRREEEIIISSS", "3+refused"),
        (3, 2, "RRRPEP", "3+refused 6-refused"),
        // A finding about a GPU is counted by itself, and cleared only by a run that saw the GPU.
        (2, 2, "XX", "2+xid79"),
        (2, 2, "XHXH", ""),
        (2, 2, "XXpppp", "2+xid79"),
        (2, 2, "XXpPPp", "2+xid79 5-xid79"),
        (2, 2, "XXHH", "2+xid79 4+temperature 4-xid79"),
        (2, 2, "BBXX", "2+xid79 2+temperature 4-temperature"),
        (2, 2, "XXRRRR", "2+xid79 4+refused"),
        // A GPU that is to blame speaks for the node that answered.
        (2, 2, "RRHH", "2+refused 4+temperature 4-refused"),
        // A run that did not see the GPU neither counts for its finding nor against it.
        (2, 2, "RHRHR", "4+temperature"),
        // In a fault of the prober nothing counts, and nothing counted before is worth anything.
        (3, 2, "RRfRRR", ""),
        (3, 2, "RRfRRRR", "6+refused"),
        (3, 2, "RRRfRfRPP", "3+refused 7-refused"),
        (1, 1, "RP", "1+refused 2-refused"),
    ] {
        let policy = policy(failures, passes, 0);
        assert_eq!(told(&mut unknown(), &policy, runs), expected, "{failures}/{passes} {runs}");
    }
}

#[test]
fn what_is_found_often_enough_still_waits_for_a_whole_round() {
    let (policy, mut condition) = (policy(1, 1, 30), unknown());
    assert_eq!(told(&mut condition, &policy, "R"), "");
    assert_eq!(condition.ripe_at, Some(at(40)));
    assert_eq!(suspect_until(&condition), Some(Timestamp::MAX));
    assert!(ripen(&condition, &policy, false, at(39)).believed.is_empty());
    let ripe = ripen(&condition, &policy, false, at(40));
    assert_eq!((ripe.believed.len(), ripe.condition.belief, ripe.condition.ripe_at), (1, Belief::Failing, None));
    // Where others failed meanwhile as well, it has to be found anew.
    let faulty = ripen(&condition, &policy, true, at(40));
    assert_eq!((faulty.believed.len(), faulty.condition.ripe_at, faulty.condition.fails), (0, None, None));
    let mut faulty = faulty.condition;
    assert_eq!(told(&mut faulty, &policy, "R"), "");
    assert_eq!(faulty.ripe_at, Some(at(40)));
}

#[test]
fn what_stood_there_before_a_repair_says_nothing_until_it_moves() {
    let policy = policy(2, 2, 0);
    let mut condition = unknown();
    assert_eq!(told(&mut condition, &policy, "XX"), "2+xid79");
    condition.spent = vec![xid(79)];
    // The gauge still shows it: as good as a PASS. Another code, or the same one after the gauge moved, is news.
    assert_eq!(told(&mut condition, &policy, "XXXX"), "2-xid79");
    assert_eq!(condition.belief, Belief::Healthy);
    assert_eq!(told(&mut condition.clone(), &policy, "YY"), "2+xid48");
    assert_eq!(told(&mut condition.clone(), &policy, "PXX"), "3+xid79");
    assert_eq!(told(&mut condition.clone(), &policy, "pEXX"), "", "a scrape without the GPU moved nothing");
    assert_eq!(told(&mut condition, &policy, "BB"), "2+temperature");
}

#[test]
fn a_run_that_says_the_same_changes_nothing() {
    let policy = policy(2, 2, 0);
    for runs in ["PP", "RRR", "BBB", "EE", "II", "SS", "fRfR"] {
        let mut condition = unknown();
        told(&mut condition, &policy, runs);
        let before = condition.clone();
        let last: String = runs.chars().rev().take(if runs.starts_with('f') { 2 } else { 1 }).collect();
        told(&mut condition, &policy, &last.chars().rev().collect::<String>());
        assert_eq!(condition, before, "{runs}");
    }
}

#[test]
fn what_is_not_believed_counts_against_the_prober_and_for_a_while_whatever_came_since() {
    let policy = policy(2, 2, 0);
    for (runs, expected) in [
        ("R", "while it fails"),
        ("RE", "for a while"),
        ("RI", "for a while"),
        ("REE", "for a while"),
        ("RP", "not"),
        ("RR", "not"),
        // An old XID excuses no new silence.
        ("XXR", "while it fails"),
        ("XXRE", "for a while"),
        ("XXX", "not"),
        ("XXRR", "not"),
        ("P", "not"),
        ("E", "not"),
        ("fR", "while it fails"),
    ] {
        let mut condition = unknown();
        told(&mut condition, &policy, runs);
        let is = match suspect_until(&condition) {
            None => "not",
            Some(Timestamp::MAX) => "while it fails",
            Some(until) if until == condition.verdict_at.plus(SUSPICION) => "for a while",
            Some(_) => "at another time",
        };
        assert_eq!(is, expected, "{runs}");
    }
}

#[test]
fn a_program_speaks_for_all_parts_that_it_knows() {
    let bad = || Observation::fail(vec![Finding::new("bad", "").on("GPU-1")], "");
    for (runs, expected) in
        [("DpDpDp", ""), ("DDpp", "2+bad 4-bad"), ("DDpDpp", "2+bad 6-bad"), ("DDRR", "2+bad 4+refused 4-bad")]
    {
        let policy = CheckPolicy { kind: CheckKind::Command, ..policy(2, 2, 0) };
        let mut condition = Condition { kind: CheckKind::Command, ..unknown() };
        let mut told = Vec::new();
        for (n, letter) in runs.chars().enumerate() {
            let now = at(n as i64 * 10);
            let observation = if letter == 'D' { bad() } else { observation(letter) };
            let reading = read(&condition, &observation);
            let next = next(&condition, &reading, &observation, &policy, false, now, now);
            told.extend(next.believed.iter().map(|finding| format!("{}+{}", n + 1, name(finding))));
            told.extend(next.cleared.iter().map(|finding| format!("{}-{}", n + 1, name(finding))));
            condition = next.condition;
        }
        assert_eq!(told.join(" "), expected, "{runs}");
    }
}

#[test]
fn a_part_of_the_machine_that_was_replaced_is_clear_once_other_parts_are_seen_well() {
    let old = Finding::new("double_bit_ecc", "").on("GPU-old");
    let standing = |trust| Standing { finding: old.clone(), trust, seen: 0, missed: 0, since: at(0) };
    for (trust, runs, clears) in [
        (Trust::Doubted, "PP", true),
        (Trust::Doubted, "PHP", true),
        (Trust::Doubted, "P", false),
        // Nobody saw any part of it.
        (Trust::Doubted, "pppp", false),
        (Trust::Doubted, "EIES", false),
        // The machine is the same: what is not seen is not well.
        (Trust::Believed, "PPPP", false),
    ] {
        let mut condition = Condition { standing: vec![standing(trust)], ..unknown() };
        let told = told(&mut condition, &policy(3, 2, 0), runs);
        assert_eq!(told.contains("-double_bit_ecc"), clears, "{trust:?} {runs}");
    }
}

#[test]
fn a_new_finding_is_not_passed_over_for_old_suspicions() {
    let mut condition = unknown();
    for n in 0..200 {
        let observation = Observation::fail(vec![Finding::new("odd", "").on(&format!("part-{n}"))], "");
        let reading = read(&condition, &observation);
        condition = next(&condition, &reading, &observation, &policy(2, 2, 0), false, at(n), at(n)).condition;
        assert!(condition.standing.len() <= Finding::KEPT);
    }
    assert_eq!(told(&mut condition, &policy(2, 2, 0), "RR"), "2+refused");
}

#[test]
fn only_what_fails_makes_anybody_believe_something() {
    // Ripe in the second run, but for the round; then a run that says nothing comes, and the time says the rest.
    for silent in ["E", "I", "S", "p"] {
        let mut condition = unknown();
        let policy = policy(2, 2, 15);
        assert_eq!(told(&mut condition, &policy, "XX"), "", "{silent}");
        let observation = observation(silent.chars().next().unwrap());
        let reading = read(&condition, &observation);
        let late = at(1000);
        let next = next(&condition, &reading, &observation, &policy, false, late, late);
        assert!(next.believed.is_empty() && next.condition.ripe_at.is_some_and(|at| at <= late), "{silent}");
        assert_eq!(ripen(&next.condition, &policy, false, late).believed.len(), 1, "{silent}");
    }
}

#[test]
fn what_is_believed_is_what_was_seen_last() {
    let action = |action| {
        let finding = Finding { recovery_action: Some(action), ..Finding::new("recovery", "").on("GPU-1") };
        Observation::fail(vec![finding], "")
    };
    let mut condition = unknown();
    let mut believed = Vec::new();
    for (n, wanted) in [3, 3, 2].into_iter().enumerate() {
        let now = at(n as i64 * 10);
        let reading = read(&condition, &action(wanted));
        let next = next(&condition, &reading, &action(wanted), &policy(3, 2, 0), false, now, now);
        believed.extend(next.believed.iter().map(|finding| finding.recovery_action));
        condition = next.condition;
    }
    assert_eq!(believed, [Some(2)]);
}
