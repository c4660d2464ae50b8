//! The whole store: what was committed is there, whoever asks and whatever happened in between.

mod damaged;
mod dossiers;
mod keeping;
mod reading;
mod reading_checks;
mod starting;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::query::{AlertFilter, HoldFilter, InstanceFilter, Order, Paging, RemediationFilter};
use super::samples::{self, at};
use super::*;
use crate::domain::AlertState;
use crate::engine::Back;

fn opened(dir: &Path) -> Opened {
    open(dir, Options::default()).unwrap().for_writing().unwrap()
}

fn stage(appender: &mut Appender, changes: &[Change]) {
    appender.stage(&Cause::of("ann"), "test", changes);
}

fn commit(appender: &mut Appender, changes: &[Change]) -> u64 {
    stage(appender, changes);
    appender.commit(at(1)).unwrap()
}

#[test]
fn what_is_remembered_of_closed_episodes_is_what_lies_in_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = opened(dir.path());
    let mut state = 7;
    let mut dice = |below| samples::dice(&mut state, below);
    let (mut newest, mut remembered) = ([0; 4], 0);
    for turn in 0..2_000 {
        let n = dice(4);
        // The next episode, or an older one once more; open, ended, or recorded when it had ended long ago.
        let episode = if dice(3) > 0 { newest[n] + 1 } else { newest[n].max(1) };
        newest[n] = newest[n].max(episode);
        let begins = i64::from(episode) * 100;
        let mut alert = samples::alert(n as u32, episode);
        alert.previous_end = (dice(3) > 0).then(|| at(begins - 50));
        (alert.started_at, alert.opened_at) = (at(begins), at(begins));
        if dice(3) > 0 {
            (alert.state, alert.resolved_at) = (AlertState::Resolved, Some(at(begins + 40)));
            alert.cleared_at = Some(at(begins + if dice(4) > 0 { 40 } else { 0 }));
        }
        stage(&mut opened.appender, &[Change::Alert(Box::new(alert))]);
        if dice(5) == 0 {
            opened.appender.commit(at(turn)).unwrap();
        }
        let from = i64::from(newest[n]) * 100 - dice(300) as i64;
        for back in [Back::Far, Back::Covered, Back::During(at(from), at(from + dice(50) as i64))] {
            let keys = [PastKey::Episodes(samples::alert(n as u32, 1).identity, back)];
            let read = past::Stored::new(opened.appender.db.clone(), Arc::clone(&opened.appender.overlay)).past(&keys);
            let is = opened.appender.past(&keys).unwrap().episodes;
            assert_eq!(is, read.unwrap().episodes, "turn {turn}, {back:?}");
            remembered += usize::from(is.values().any(|episodes| episodes.len() == 1));
        }
    }
    assert!(remembered > 500, "{remembered}");
}

/// Waits until sled has everything, without a runtime.
fn settle(opened: &Opened) {
    let mut applied = opened.appender.progress.applied();
    let committed = opened.appender.progress.committed();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(applied.wait_for(|seq| *seq >= committed)).unwrap();
}

fn page(size: usize) -> Paging {
    Paging { size, after: None }
}

/// Everything that a reader can be asked about, as text.
fn answers(reader: &Reader) -> String {
    let all = page(10_000);
    let remediations = reader.remediations(&RemediationFilter::default(), Order::default(), &all).unwrap().rows;
    let histories: Vec<_> =
        remediations.iter().map(|record| reader.transitions(record.remediation.id).unwrap()).collect();
    format!(
        "{remediations:?}\n{histories:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n{:?}",
        reader.alerts(&AlertFilter::default(), &all).unwrap().rows,
        reader.dead_letters(&None, &all).unwrap().rows,
        reader.clusters(&None).unwrap(),
        reader.instances(&InstanceFilter::default(), &all).unwrap().rows,
        reader.holds(&HoldFilter { ended: true, ..HoldFilter::default() }, &all).unwrap().rows,
        reader.alias(&samples::cluster_id("train-a"), "mine/1").unwrap(),
    )
}

#[tokio::test]
async fn what_is_committed_is_read_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { mut appender, reader, .. } = opened(dir.path());
    for n in 1..=50 {
        let seq = commit(&mut appender, &[Change::Remediation(Box::new(samples::remediation(n)))]);
        assert_eq!(seq, u64::from(n));
        reader.caught_up().await.unwrap();
        assert!(reader.remediation(samples::remediation_id(n)).unwrap().is_some());
    }
    assert_eq!(reader.lag(), Lag::default());
}

#[test]
fn one_commit_is_one_sync_and_an_empty_turn_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let syncs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&syncs);
    let synced = Box::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let mut appender =
        open(dir.path(), Options { synced, ..Options::default() }).unwrap().for_writing().unwrap().appender;
    for change in samples::every_row() {
        stage(&mut appender, &[change]);
    }
    assert!(!appender.draft.is_empty());
    assert_eq!(appender.commit(at(1)).unwrap(), 1);
    assert_eq!(syncs.load(Ordering::Relaxed), 1);
    stage(&mut appender, &[]);
    assert!(appender.draft.is_empty());
    assert_eq!(appender.commit(at(2)).unwrap(), 1);
    assert_eq!(syncs.load(Ordering::Relaxed), 1);
}

#[test]
fn the_journal_says_who_did_what() {
    let dir = tempfile::tempdir().unwrap();
    let mut appender = opened(dir.path()).appender;
    let cause = Cause { request_id: Some("r-1".into()), ..Cause::of("ann") };
    appender.stage(&cause, "asked", &[Change::Hold(Box::new(samples::hold(1)))]);
    appender.commit(at(7)).unwrap();
    appender.close().unwrap();
    let record = journal::Journal::read_from(&dir.path().join("journal"), 1).unwrap().next().unwrap().unwrap();
    let step = &record.steps[0];
    assert_eq!((record.at, step.cause.principal.as_str(), step.cause.kind.as_str()), (at(7), "ann", "asked"));
    assert_eq!(step.cause.request_id.as_deref(), Some("r-1"));
    let change = codec::decode(&step.entries[0].key, step.entries[0].value.as_deref()).unwrap();
    assert_eq!(change, Change::Hold(Box::new(samples::hold(1))));
}

#[test]
fn the_past_shows_what_is_staged_committed_and_applied_alike() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = opened(dir.path());
    let identity = samples::alert(1, 1).identity;
    let train = samples::cluster_id("train-a");
    let id = samples::remediation_id(1);
    let letter = samples::dead_letter(1).id;
    let keys = [
        PastKey::Episodes(identity, Back::Far),
        PastKey::Alias(train.clone(), "mine/1".to_owned()),
        PastKey::DeadLetter(letter),
        PastKey::Remediation(samples::remediation_id(2)),
    ];
    assert!(opened.appender.past(&keys).unwrap().episodes.is_empty());

    for episode in 1..=20 {
        commit(&mut opened.appender, &[Change::Alert(Box::new(samples::alert(1, episode)))]);
        if episode == 10 {
            settle(&opened);
        }
    }
    stage(&mut opened.appender, &samples::every_row());
    let mut newest = samples::alert(1, 20);
    newest.state = AlertState::Resolved;
    stage(&mut opened.appender, &[Change::Alert(Box::new(newest.clone()))]);
    let seen = |opened: &mut Opened| {
        let past = opened.appender.past(&keys).unwrap();
        let episodes = &past.episodes[&identity];
        let numbers: Vec<u32> = episodes.iter().map(|alert| alert.episode).collect();
        assert_eq!(numbers, (5..=20).rev().collect::<Vec<u32>>());
        assert_eq!(episodes[0], (&newest).into());
        assert_eq!(past.aliases[&(train.clone(), "mine/1".to_owned())], id);
        assert_eq!(past.remediations[&id].links, [samples::link(1, 0)]);
        assert!(past.dead_letters.contains(&letter));
        assert_eq!(past.remediations.len(), 1);
    };
    seen(&mut opened);
    opened.appender.commit(at(2)).unwrap();
    seen(&mut opened);
    settle(&opened);
    seen(&mut opened);
    assert!(opened.appender.overlay.under(&bytes::Bytes::new()).is_empty(), "what is applied leaves the overlay");
}

#[test]
fn a_turn_of_many_batches_is_applied_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = opened(dir.path());
    let rows: Vec<Change> = (1..=1_000).map(|n| Change::Alert(Box::new(samples::alert(n, 1)))).collect();
    commit(&mut opened.appender, &rows);
    settle(&opened);
    assert_eq!(opened.reader.alerts(&AlertFilter::default(), &page(2_000)).unwrap().rows.len(), 1_000);
}

#[test]
fn what_goes_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = opened(dir.path());
    let before = opened.appender.db.len();
    let (rows, removals): (Vec<_>, Vec<_>) = samples::removals().into_iter().unzip();
    commit(&mut opened.appender, &rows);
    commit(&mut opened.appender, &removals);
    settle(&opened);
    assert_eq!(opened.appender.db.len(), before + 2, "only the notes of the applied turn and of the tally are new");
}

#[test]
fn after_a_failed_applier_nothing_is_taken_and_the_app_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut opened = opened(dir.path());
    commit(&mut opened.appender, &[Change::Hold(Box::new(samples::hold(1)))]);
    settle(&opened);
    let key = keys::of(&Change::Hold(Box::new(samples::hold(1))));
    opened.appender.db.insert(&key, b"damaged").unwrap();
    commit(&mut opened.appender, &[Change::Hold(Box::new(samples::hold(1)))]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let error = runtime.block_on(opened.fatal.wait());
    assert!(matches!(error, StoreError::Row(_)), "{error}");
    assert!(matches!(runtime.block_on(opened.reader.caught_up()), Err(ReadError::Stopped | ReadError::Lagging)));
    while !opened.appender.applier.has_ended() {
        std::thread::yield_now();
    }
    stage(&mut opened.appender, &[Change::Hold(Box::new(samples::hold(2)))]);
    assert!(matches!(opened.appender.commit(at(9)), Err(StoreError::Stopped)));
    assert_eq!(journal::Journal::read_from(&dir.path().join("journal"), 1).unwrap().count(), 2);
}
