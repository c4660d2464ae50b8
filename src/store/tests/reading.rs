//! Pages: complete, in order, cut to what the asker sees, whatever is written meanwhile.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::domain::alert::Joined;
use crate::domain::{Mode, Remediation, State};
use crate::store::query::Cursor;

const STATES: [State; 3] = [State::PendingApproval, State::Succeeded, State::Cancelled];

/// Remediation `n` of cluster a or b, one of ten instances, in one of three states, with moments that repeat.
fn varied(n: u32) -> Remediation {
    let mut row = samples::remediation(n);
    row.target.cluster_id = samples::cluster_id(if n.is_multiple_of(3) { "b" } else { "a" });
    row.target.instance_id = samples::instance_id(n % 10);
    row.state = STATES[n as usize % 3];
    row.mode = if n.is_multiple_of(7) { Mode::VmOnly } else { Mode::RebootVm };
    row.created_at = at(i64::from(n / 4));
    row.updated_at = at(i64::from((n * 37) % 501));
    row
}

fn with(rows: impl Iterator<Item = u32>) -> (tempfile::TempDir, Opened) {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = opened(dir.path());
    let changes: Vec<Change> = rows.map(|n| Change::Remediation(Box::new(varied(n)))).collect();
    commit(&mut opened.appender, &changes);
    settle(&opened);
    (dir, opened)
}

/// Follows the pages to the end.
fn all(reader: &Reader, filter: &RemediationFilter, order: Order, size: usize) -> Vec<Remediation> {
    let mut paging = page(size);
    let mut rows = Vec::new();
    loop {
        let found = reader.remediations(filter, order, &paging).unwrap();
        assert!(found.rows.len() <= size);
        rows.extend(found.rows.into_iter().map(|record| record.remediation));
        match found.next {
            Some(next) => paging.after = Some(next),
            None => return rows,
        }
    }
}

#[test]
fn paging_while_others_are_created_repeats_nothing_and_loses_nothing() {
    let (_dir, mut opened) = with(1..=1_000);
    let filter = RemediationFilter::default();
    let mut seen = Vec::new();
    let mut paging = page(37);
    for n in 1_001.. {
        let found = opened.reader.remediations(&filter, Order::default(), &paging).unwrap();
        assert!(found.rows.len() == 37 || found.next.is_none(), "an unfiltered page is full");
        seen.extend(found.rows.into_iter().map(|record| record.remediation.id));
        let Some(next) = found.next else { break };
        paging.after = Some(next);
        // One newer than all, and a change of an old one.
        let mut old = varied(n - 1_000);
        old.state = State::Failed;
        old.updated_at = at(9_000);
        commit(&mut opened.appender, &[Change::Remediation(Box::new(varied(n))), Change::Remediation(Box::new(old))]);
        settle(&opened);
    }
    let distinct: BTreeSet<_> = seen.iter().copied().collect();
    assert_eq!(distinct.len(), seen.len());
    assert_eq!(distinct, (1..=1_000).map(samples::remediation_id).collect());
}

#[test]
fn rows_that_move_between_states_while_they_are_read_are_on_the_page_once() {
    let (_dir, mut opened) = with(1..=60);
    let (filter, reader, ends) = (RemediationFilter::default(), opened.reader.clone(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let reads = scope.spawn(|| {
            let mut pages = 0;
            // A failure must end the one who writes as well.
            let is_whole = |rows: &[Remediation]| {
                rows.len() == 60 && rows.iter().map(|row| row.id).collect::<BTreeSet<_>>().len() == 60
            };
            // Those that are live and those that have ended are found in one order and sorted into the other.
            let order = |pages| Order { by_update: pages % 2 == 1, ascending: false };
            while pages < 300 && is_whole(&all(&reader, &filter, order(pages), 100)) {
                pages += 1;
            }
            ends.store(true, Ordering::SeqCst);
            pages
        });
        for turn in 0.. {
            if ends.load(Ordering::SeqCst) {
                break;
            }
            let moved = (1..=60).map(|n| {
                let state = STATES[(n + turn) as usize % 3];
                Change::Remediation(Box::new(Remediation { state, ..varied(n) }))
            });
            commit(&mut opened.appender, &moved.collect::<Vec<_>>());
        }
        assert_eq!(reads.join().unwrap(), 300, "so many pages had each row once");
    });
}

#[test]
fn every_filter_and_order_gives_what_a_plain_search_gives() {
    let (_dir, opened) = with(1..=200);
    let rows: Vec<Remediation> = (1..=200).map(varied).collect();
    let cluster = |name: &str| samples::cluster_id(name);
    let visible = [
        None,
        Some(BTreeSet::from([cluster("a"), cluster("b")])),
        Some(BTreeSet::from([cluster("b")])),
        Some(BTreeSet::new()),
    ];
    let states = [
        BTreeSet::new(),
        BTreeSet::from([State::Succeeded]),
        BTreeSet::from([State::Cancelled, State::PendingApproval]),
    ];
    let mut tried = 0;
    for visible in &visible {
        for cluster_id in [None, Some(cluster("a")), Some(cluster("nowhere"))] {
            for instance_id in [None, Some(samples::instance_id(4))] {
                for states in &states {
                    for modes in [BTreeSet::new(), BTreeSet::from([Mode::VmOnly])] {
                        for (by_update, ascending) in [(false, false), (false, true), (true, false), (true, true)] {
                            let filter = RemediationFilter {
                                visible: visible.clone(),
                                cluster_id: cluster_id.clone(),
                                instance_id: instance_id.clone(),
                                states: states.clone(),
                                modes: modes.clone(),
                                triggers: BTreeSet::new(),
                            };
                            let order = Order { by_update, ascending };
                            let found: Vec<_> =
                                all(&opened.reader, &filter, order, 7).iter().map(|row| row.id).collect();
                            assert_eq!(found, plainly(&rows, &filter, order), "{filter:?} {order:?}");
                            tried += found.len();
                        }
                    }
                }
            }
        }
    }
    assert!(tried > 1_000);
}

fn plainly(rows: &[Remediation], filter: &RemediationFilter, order: Order) -> Vec<crate::domain::RemediationId> {
    let mut wanted: Vec<&Remediation> = rows
        .iter()
        .filter(|row| filter.visible.as_ref().is_none_or(|visible| visible.contains(&row.target.cluster_id)))
        .filter(|row| filter.cluster_id.as_ref().is_none_or(|id| *id == row.target.cluster_id))
        .filter(|row| filter.instance_id.as_ref().is_none_or(|id| *id == row.target.instance_id))
        .filter(|row| filter.states.is_empty() || filter.states.contains(&row.state))
        .filter(|row| filter.modes.is_empty() || filter.modes.contains(&row.mode))
        .collect();
    wanted.sort_by_key(|row| (if order.by_update { row.updated_at } else { row.created_at }, row.id));
    if !order.ascending {
        wanted.reverse();
    }
    wanted.iter().map(|row| row.id).collect()
}

#[test]
fn a_filtered_page_may_be_short_and_says_where_to_go_on() {
    let (_dir, opened) = with(1..=5_000);
    let filter = RemediationFilter { modes: BTreeSet::from([Mode::EvictWithoutReplacement]), ..Default::default() };
    let found = opened.reader.remediations(&filter, Order::default(), &page(10)).unwrap();
    assert!(found.rows.is_empty() && found.next.is_some());
    assert!(all(&opened.reader, &filter, Order::default(), 10).is_empty());
}

#[test]
fn the_newest_remediation_of_an_instance_in_a_cluster_is_found() {
    let (_dir, opened) = with(1..=100);
    let newest = |cluster, instance| {
        let found = opened.reader.latest_remediation(&samples::cluster_id(cluster), &samples::instance_id(instance));
        found.unwrap().map(|row| row.id)
    };
    assert_eq!(newest("b", 3), Some(samples::remediation_id(93)));
    assert_eq!(newest("a", 3), Some(samples::remediation_id(83)));
    assert_eq!((newest("a", 77), newest("nowhere", 3)), (None, None));
}

#[test]
fn a_cursor_from_elsewhere_is_refused_without_a_panic() {
    let (_dir, opened) = with(1..=10);
    let reader = &opened.reader;
    for bytes in [&b""[..], b"x", &[0xff; 23], &[0xff; 25], &[0; 4_096]] {
        let paging = Paging { size: 10, after: Some(Cursor(bytes.to_vec())) };
        let refused = |answer: Result<(), ReadError>| assert!(matches!(answer, Err(ReadError::BadCursor)), "{bytes:?}");
        refused(reader.remediations(&RemediationFilter::default(), Order::default(), &paging).map(drop));
        refused(reader.alerts(&AlertFilter::default(), &paging).map(drop));
        refused(reader.dead_letters(&None, &paging).map(drop));
        refused(reader.holds(&HoldFilter::default(), &paging).map(drop));
    }
    for bytes in [&b""[..], b"\xff", b"a/b", &[b'a'; 300]] {
        let paging = Paging { size: 10, after: Some(Cursor(bytes.to_vec())) };
        assert!(matches!(reader.instances(&InstanceFilter::default(), &paging), Err(ReadError::BadCursor)));
    }
    for bytes in [[0; 24], [0xff; 24]] {
        let paging = Paging { size: 10, after: Some(Cursor(bytes.to_vec())) };
        for (by_update, ascending) in [(false, false), (false, true), (true, false), (true, true)] {
            let order = Order { by_update, ascending };
            let found = reader.remediations(&RemediationFilter::default(), order, &paging).unwrap();
            assert!(found.rows.is_empty() || found.rows.len() == 10);
        }
    }
}

#[test]
fn alerts_are_found_by_place_state_and_join() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = opened(dir.path());
    let rows: Vec<Change> = (1..=30)
        .map(|n| {
            let mut alert = samples::alert(n, 1);
            let cluster_id = samples::cluster_id(if n % 3 == 0 { "b" } else { "a" });
            alert.joined = match n % 5 {
                0 => Err("no such instance".to_owned()),
                _ => Ok(Joined { cluster_id, instance_id: samples::instance_id(n % 2) }),
            };
            alert.state = if n % 2 == 0 { AlertState::Resolved } else { AlertState::Firing };
            Change::Alert(Box::new(alert))
        })
        .collect();
    commit(&mut opened.appender, &rows);
    settle(&opened);
    let found = |filter: AlertFilter| -> Vec<i64> {
        let mut paging = page(4);
        let mut seconds = Vec::new();
        loop {
            let page = opened.reader.alerts(&filter, &paging).unwrap();
            seconds.extend(page.rows.iter().map(|alert| alert.opened_at.as_micros() / 1_000_000));
            let Some(next) = page.next else { return seconds };
            paging.after = Some(next);
        }
    };
    let plainly = |wanted: fn(i64) -> bool| (1..=30).rev().filter(|n| wanted(*n)).collect::<Vec<i64>>();
    let b = samples::cluster_id("b");
    assert_eq!(found(AlertFilter::default()), plainly(|_| true));
    assert_eq!(found(AlertFilter { joined: Some(false), ..Default::default() }), plainly(|n| n % 5 == 0));
    assert_eq!(found(AlertFilter { joined: Some(true), ..Default::default() }), plainly(|n| n % 5 != 0));
    assert_eq!(
        found(AlertFilter { visible: Some(BTreeSet::from([b.clone()])), ..Default::default() }),
        plainly(|n| n % 5 != 0 && n % 3 == 0)
    );
    assert_eq!(
        found(AlertFilter { visible: Some(BTreeSet::from([b.clone()])), joined: Some(false), ..Default::default() }),
        plainly(|_| false)
    );
    assert_eq!(
        found(AlertFilter { cluster_id: Some(b), state: Some(AlertState::Firing), ..Default::default() }),
        plainly(|n| n % 5 != 0 && n % 3 == 0 && n % 2 == 1)
    );
    assert_eq!(
        found(AlertFilter { instance_id: Some(samples::instance_id(1)), ..Default::default() }),
        plainly(|n| n % 5 != 0 && n % 2 == 1)
    );
    assert_eq!(found(AlertFilter { state: Some(AlertState::Resolved), ..Default::default() }), plainly(|n| n % 2 == 0));
}

#[test]
fn an_alert_that_joins_later_moves_to_its_instance() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = opened(dir.path());
    let joined = samples::alert(1, 1);
    let mut unjoined = joined.clone();
    unjoined.joined = Err("no such instance".to_owned());
    commit(&mut opened.appender, &[Change::Alert(Box::new(unjoined))]);
    settle(&opened);
    commit(&mut opened.appender, &[Change::Alert(Box::new(joined))]);
    settle(&opened);
    let count = |filter: &AlertFilter| opened.reader.alerts(filter, &page(9)).unwrap().rows.len();
    assert_eq!(count(&AlertFilter { joined: Some(false), ..Default::default() }), 0);
    assert_eq!(count(&AlertFilter { instance_id: Some(samples::instance_id(1)), ..Default::default() }), 1);
    assert_eq!(count(&AlertFilter::default()), 1);
}

#[test]
fn instances_come_by_id_with_what_they_wait_for() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = opened(dir.path());
    let mut rows: Vec<Change> = (1..=25).map(|n| Change::Instance(Box::new(samples::instance(n)))).collect();
    rows.push(Change::Held(Box::new(samples::held(7))));
    commit(&mut opened.appender, &rows);
    settle(&opened);
    for visible in [None, Some(BTreeSet::from([samples::cluster_id("train-a"), samples::cluster_id("b")]))] {
        let filter = InstanceFilter { visible, cluster_id: None };
        let mut paging = page(4);
        let mut found = Vec::new();
        loop {
            let page = opened.reader.instances(&filter, &paging).unwrap();
            found.extend(page.rows);
            let Some(next) = page.next else { break };
            paging.after = Some(next);
        }
        assert_eq!(found.len(), 25);
        assert!(found.is_sorted_by_key(|(instance, _)| instance.id.clone()));
        let held: Vec<_> = found.iter().filter_map(|(_, held)| held.clone()).collect();
        assert_eq!(held, [samples::held(7)]);
    }
    let elsewhere = InstanceFilter { visible: Some(BTreeSet::from([samples::cluster_id("b")])), cluster_id: None };
    assert!(opened.reader.instances(&elsewhere, &page(9)).unwrap().rows.is_empty());
}

#[test]
fn who_sees_one_cluster_sees_nothing_of_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = opened(dir.path());
    commit(&mut opened.appender, &samples::every_row());
    settle(&opened);
    let reader = &opened.reader;
    let elsewhere = Some(BTreeSet::from([samples::cluster_id("b")]));
    assert!(reader.clusters(&elsewhere).unwrap().is_empty());
    assert!(reader.dead_letters(&elsewhere, &page(9)).unwrap().rows.is_empty());
    let holds = |visible| reader.holds(&HoldFilter { visible, ..Default::default() }, &page(9)).unwrap().rows.len();
    assert_eq!((holds(elsewhere), holds(None)), (0, 1));
    assert_eq!(reader.dead_letters(&None, &page(9)).unwrap().rows.len(), 1);
}

#[test]
fn what_the_asker_may_not_see_makes_no_next_page() {
    let (_dir, opened) = with(1..=200);
    let own = Some(BTreeSet::from([samples::cluster_id("b")]));
    let newest_first: Vec<u32> = (1..=6).rev().map(|n| 30 * n).collect();
    let filter =
        RemediationFilter { visible: own, instance_id: Some(samples::instance_id(0)), ..RemediationFilter::default() };
    let found = opened.reader.remediations(&filter, Order::default(), &page(newest_first.len())).unwrap();
    assert_eq!(found.rows.len(), newest_first.len());
    assert_eq!(found.next, None, "older ones are all of another cluster");
    let part = opened.reader.remediations(&filter, Order::default(), &page(2)).unwrap();
    let Some(Cursor(place)) = part.next else { panic!("there are more") };
    assert!(place.ends_with(samples::remediation_id(newest_first[1]).as_bytes()), "it leads behind the last one shown");
}
