//! Pages of what checks found, and of what is believed because of them.

use std::collections::BTreeSet;

use super::*;
use crate::domain::{Belief, Condition, Horizon, Run, Verdict};
use crate::store::query::{ConditionFilter, Cursor, RunFilter, Visible};

/// Run `n` of one of four checks on one of ten instances of cluster a or b; moments repeat.
fn run(n: u32) -> Run {
    Run {
        check: samples::check_id(n % 4),
        instance_id: samples::instance_id(n % 10),
        cluster_id: samples::cluster_id(if n.is_multiple_of(3) { "b" } else { "a" }),
        ended_at: at(i64::from(n / 4)),
        verdict: Verdict::ALL[n as usize % 5],
        ..samples::run(n)
    }
}

/// Of check `n / 20` on instance `n % 20`.
fn condition(n: u32) -> Condition {
    Condition {
        check: samples::check_id(n / 20),
        instance_id: samples::instance_id(n % 20),
        cluster_id: samples::cluster_id(if n.is_multiple_of(3) { "b" } else { "a" }),
        belief: Belief::ALL[n as usize % 3],
        ..samples::condition(n)
    }
}

fn with(changes: impl Iterator<Item = Change>) -> (tempfile::TempDir, Opened) {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = opened(dir.path());
    commit(&mut opened.appender, &changes.collect::<Vec<_>>());
    settle(&opened);
    (dir, opened)
}

fn runs(reader: &Reader, filter: &RunFilter, size: usize) -> Vec<Run> {
    let (mut paging, mut rows) = (page(size), Vec::new());
    loop {
        let found = reader.runs(filter, &paging).unwrap();
        assert!(found.rows.len() <= size);
        rows.extend(found.rows);
        let Some(next) = found.next else { return rows };
        paging.after = Some(next);
    }
}

fn conditions(reader: &Reader, filter: &ConditionFilter, size: usize) -> Vec<Condition> {
    let (mut paging, mut rows) = (page(size), Vec::new());
    loop {
        let found = reader.conditions(filter, &paging).unwrap();
        assert!(found.rows.len() <= size);
        rows.extend(found.rows);
        let Some(next) = found.next else { return rows };
        paging.after = Some(next);
    }
}

fn visibilities() -> [Visible; 4] {
    let (a, b) = (samples::cluster_id("a"), samples::cluster_id("b"));
    [None, Some(BTreeSet::from([a, b.clone()])), Some(BTreeSet::from([b])), Some(BTreeSet::new())]
}

fn fits<T: PartialEq>(wanted: &Option<T>, is: &T) -> bool {
    wanted.as_ref().is_none_or(|wanted| wanted == is)
}

fn is_seen(visible: &Visible, cluster: &crate::domain::ClusterId) -> bool {
    visible.as_ref().is_none_or(|visible| visible.contains(cluster))
}

#[test]
fn every_filter_of_runs_gives_what_a_plain_search_gives() {
    let (_dir, opened) = with((1..=200).map(|n| Change::Run(Box::new(run(n)))));
    let mut rows: Vec<Run> = (1..=200).map(run).collect();
    rows.sort_by_key(|row| std::cmp::Reverse((row.ended_at, row.id)));
    let mut tried = 0;
    for visible in visibilities() {
        for cluster_id in [None, Some(samples::cluster_id("a")), Some(samples::cluster_id("nowhere"))] {
            for instance_id in [None, Some(samples::instance_id(4))] {
                for check in [None, Some(samples::check_id(2)), Some(samples::check_id(9))] {
                    for verdict in [None, Some(Verdict::Fail)] {
                        let filter = RunFilter {
                            visible: visible.clone(),
                            cluster_id: cluster_id.clone(),
                            instance_id: instance_id.clone(),
                            check: check.clone(),
                            verdict,
                        };
                        let wanted = rows.iter().filter(|row| {
                            is_seen(&visible, &row.cluster_id)
                                && fits(&cluster_id, &row.cluster_id)
                                && fits(&instance_id, &row.instance_id)
                                && fits(&check, &row.check)
                                && fits(&verdict, &row.verdict)
                        });
                        let wanted: Vec<_> = wanted.cloned().collect();
                        tried += wanted.len();
                        assert_eq!(runs(&opened.reader, &filter, 7), wanted, "{filter:?}");
                    }
                }
            }
        }
    }
    assert!(tried > 1_000);
}

#[test]
fn every_filter_of_conditions_gives_what_a_plain_search_gives() {
    let (_dir, opened) = with((0..100).map(|n| Change::Condition(Box::new(condition(n)))));
    let mut rows: Vec<Condition> = (0..100).map(condition).collect();
    rows.sort_by(|one, other| (&one.check, &one.instance_id).cmp(&(&other.check, &other.instance_id)));
    let mut tried = 0;
    for visible in visibilities() {
        for cluster_id in [None, Some(samples::cluster_id("a")), Some(samples::cluster_id("nowhere"))] {
            for instance_id in [None, Some(samples::instance_id(4))] {
                for check in [None, Some(samples::check_id(2)), Some(samples::check_id(9))] {
                    for belief in [None, Some(Belief::Failing), Some(Belief::Healthy)] {
                        let filter = ConditionFilter {
                            visible: visible.clone(),
                            cluster_id: cluster_id.clone(),
                            instance_id: instance_id.clone(),
                            check: check.clone(),
                            belief,
                        };
                        let wanted = rows.iter().filter(|row| {
                            is_seen(&visible, &row.cluster_id)
                                && fits(&cluster_id, &row.cluster_id)
                                && fits(&instance_id, &row.instance_id)
                                && fits(&check, &row.check)
                                && fits(&belief, &row.belief)
                        });
                        let wanted: Vec<_> = wanted.cloned().collect();
                        tried += wanted.len();
                        assert_eq!(conditions(&opened.reader, &filter, 7), wanted, "{filter:?}");
                    }
                }
            }
        }
    }
    assert!(tried > 500);
}

#[test]
fn paging_while_runs_come_in_repeats_nothing_and_loses_nothing() {
    let (_dir, mut opened) = with((1..=300).map(|n| Change::Run(Box::new(run(n)))));
    let (mut seen, mut paging) = (Vec::new(), page(37));
    for n in 301.. {
        let found = opened.reader.runs(&RunFilter::default(), &paging).unwrap();
        seen.extend(found.rows.into_iter().map(|row| row.id));
        let Some(next) = found.next else { break };
        paging.after = Some(next);
        commit(&mut opened.appender, &[Change::Run(Box::new(run(n)))]);
        settle(&opened);
    }
    let distinct: BTreeSet<_> = seen.iter().copied().collect();
    assert_eq!(distinct.len(), seen.len());
    assert_eq!(distinct, (1..=300).map(|n| run(n).id).collect());
}

#[test]
fn paging_while_conditions_change_their_mind_repeats_nothing() {
    let (_dir, mut opened) = with((0..100).map(|n| Change::Condition(Box::new(condition(n)))));
    let (mut seen, mut paging) = (Vec::new(), page(9));
    for n in 0.. {
        let found = opened.reader.conditions(&ConditionFilter::default(), &paging).unwrap();
        seen.extend(found.rows.into_iter().map(|row| (row.check, row.instance_id)));
        let Some(next) = found.next else { break };
        paging.after = Some(next);
        let other = Condition { belief: Belief::ALL[(n as usize + 1) % 3], ..condition(n) };
        commit(&mut opened.appender, &[Change::Condition(Box::new(other))]);
        settle(&opened);
    }
    assert_eq!(seen.len(), 100);
    assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_condition_that_is_gone_or_well_again_is_not_among_the_failing() {
    let (_dir, mut opened) = with((1..=3).map(|n| Change::Condition(Box::new(samples::condition(n)))));
    let well = Condition { belief: Belief::Healthy, ..samples::condition(1) };
    let gone = samples::condition(2);
    let changes = [Change::Condition(Box::new(well)), Change::ConditionGone(gone.check, gone.instance_id)];
    commit(&mut opened.appender, &changes);
    settle(&opened);
    let failing = ConditionFilter { belief: Some(Belief::Failing), ..ConditionFilter::default() };
    assert_eq!(conditions(&opened.reader, &failing, 9), [samples::condition(3)]);
    assert_eq!(conditions(&opened.reader, &ConditionFilter::default(), 9).len(), 2);
}

#[test]
fn runs_behind_the_horizon_are_not_seen() {
    let (_dir, mut opened) = with((1..=9).map(|n| Change::Run(Box::new(samples::run(n)))));
    assert!(opened.reader.run(samples::run(3).id).unwrap().is_some());
    commit(&mut opened.appender, &[Change::Horizon(Box::new(Horizon::Runs { before: at(5), moved_at: at(9) }))]);
    settle(&opened);
    let left: Vec<_> = runs(&opened.reader, &RunFilter::default(), 4).into_iter().map(|row| row.id).collect();
    assert_eq!(left, [9, 8, 7, 6, 5].map(|n| samples::run(n).id));
    assert_eq!(opened.reader.run(samples::run(4).id).unwrap(), None);
    assert_eq!(opened.reader.run(samples::run(5).id).unwrap(), Some(samples::run(5)));
}

#[test]
fn cursors_from_elsewhere_are_refused() {
    let (_dir, opened) = with(samples::every_row().into_iter());
    let reader = &opened.reader;
    for bytes in [&b""[..], b"x", &[0xff; 23], &[0xff; 25]] {
        let paging = Paging { size: 9, after: Some(Cursor(bytes.to_vec())) };
        assert!(matches!(reader.runs(&RunFilter::default(), &paging), Err(ReadError::BadCursor)), "{bytes:?}");
    }
    let of_check = ConditionFilter { check: Some(samples::check_id(1)), ..ConditionFilter::default() };
    let whole = b"check-1\0i-1";
    let ask = |filter: &ConditionFilter, bytes: &[u8]| {
        reader.conditions(filter, &Paging { size: 9, after: Some(Cursor(bytes.to_vec())) })
    };
    for bytes in [&b""[..], b"\xff", b"check-1", b"\0i-1", b"check-1\0", b"check-1\0i/1", &[b'a'; 300]] {
        assert!(matches!(ask(&ConditionFilter::default(), bytes), Err(ReadError::BadCursor)), "{bytes:?}");
    }
    assert!(matches!(ask(&of_check, whole), Err(ReadError::BadCursor)), "one of a list of all checks");
    assert!(ask(&ConditionFilter::default(), whole).is_ok() && ask(&of_check, b"i-1").is_ok());
}
