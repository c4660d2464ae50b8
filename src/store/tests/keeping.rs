//! What is kept, what goes, and what is noticed: walks, checkpoints, horizons and the journal's beginning.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;
use crate::domain::{Horizon, State};
use crate::engine::Back;
use crate::store::checkpoint::{self, Checkpoint};
use crate::store::open::open_with;

/// A store that is kept up; a checkpoint is due after every turn, where `every` is zero.
fn kept_up(dir: &Path, every: Duration) -> (Opened, Receiver<UpkeepDone>) {
    let (told, done) = channel();
    let told = Box::new(move |what| drop(told.send(what)));
    let upkeep = Some(UpkeepWanted { every, after: u64::MAX, min_free: 0, told });
    // Small segments: every few turns there is another.
    let opened = open_with(dir, Options { upkeep, ..Options::default() }, 4_000).unwrap().for_writing().unwrap();
    (opened, done)
}

const ALWAYS: Duration = Duration::ZERO;
const NEVER: Duration = Duration::from_secs(1 << 30);

fn checkpointed(done: &Receiver<UpkeepDone>) -> Vec<(u64, crate::domain::Timestamp)> {
    loop {
        match done.recv().unwrap() {
            UpkeepDone::Checkpointed { covered, .. } => return covered,
            UpkeepDone::Walked { .. } => {}
            UpkeepDone::NotCheckpointed => panic!("no checkpoint was made"),
        }
    }
}

/// The rows of remediation `n`; it ended at second `n`, if it did.
fn story(n: u32, has_ended: bool) -> Vec<Change> {
    let mut remediation = samples::remediation(n);
    let mut alert = samples::alert(n, 1);
    let mut hold = samples::hold(n);
    if has_ended {
        remediation.state = State::Succeeded;
        remediation.ended_at = Some(at(i64::from(n)));
        alert.state = AlertState::Resolved;
        alert.cleared_at = Some(at(i64::from(n)));
        hold.ended = Some((at(i64::from(n)), "ann".to_owned()));
    }
    let mut letter = samples::dead_letter(n);
    letter.received_at = at(i64::from(n));
    // Some links have no place in the dossier of their remediation, because of their number or of their size.
    let mut large = samples::link(n, 1);
    if n.is_multiple_of(4) {
        let mut state = n.into();
        let text: String = (0..9_000).map(|_| char::from(b'a' + samples::dice(&mut state, 26) as u8)).collect();
        large.annotations = crate::domain::Labels::from_pairs([("summary", text)]);
    }
    vec![
        Change::Remediation(Box::new(remediation)),
        Change::Link(Box::new(samples::link(n, 0))),
        Change::Link(Box::new(large)),
        Change::Link(Box::new(samples::link(n, 4))),
        Change::Transition(Box::new(samples::transition(n, 1))),
        Change::Transition(Box::new(samples::transition(n, 9))),
        Change::Alias(Box::new(samples::alias(n, &format!("mine/{n}")))),
        Change::Alert(Box::new(alert)),
        Change::Hold(Box::new(hold)),
        Change::DeadLetter(Box::new(letter)),
        Change::Instance(Box::new(samples::instance(n))),
    ]
}

fn horizon(of: fn(crate::domain::Timestamp) -> Horizon, second: i64) -> Change {
    Change::Horizon(Box::new(of(at(second))))
}

fn remediations(before: crate::domain::Timestamp) -> Horizon {
    Horizon::Remediations { before, moved_at: at(1) }
}

fn alerts(before: crate::domain::Timestamp) -> Horizon {
    Horizon::Alerts { before, moved_at: at(1) }
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir.join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn a_start_reads_all_of_sled_and_says_how_much_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = opened(dir.path());
    for n in 1..=200 {
        commit(&mut store.appender, &story(n, n % 2 == 0));
    }
    store.appender.close().unwrap();
    drop(store.reader);
    let (store, done) = kept_up(dir.path(), NEVER);
    let UpkeepDone::Walked { rows, bytes } = done.recv().unwrap() else { panic!("no walk") };
    let of = |kind: &str| rows.iter().find(|(name, _)| *name == kind).unwrap().1;
    assert_eq!((of("remediation"), of("link"), of("alert"), of("cluster")), (200, 600, 200, 0));
    assert!(bytes > 0);
    store.appender.close().unwrap();
}

/// Closes a store with some rows, changes sled behind its back, and says what the next walk finds.
fn found_after(tamper: impl FnOnce(&sled::Db)) -> Option<StoreError> {
    let dir = tempfile::tempdir().unwrap();
    let mut store = opened(dir.path());
    for n in 1..=50 {
        commit(&mut store.appender, &story(n, n % 2 == 0));
    }
    store.appender.close().unwrap();
    drop(store.reader);
    let db = database::open(&dir.path().join("sled"), true).unwrap();
    tamper(&db);
    db.flush().unwrap();
    drop(db);
    let (mut store, done) = kept_up(dir.path(), NEVER);
    if done.recv().is_ok() {
        return None;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    Some(runtime.block_on(store.fatal.wait()))
}

#[test]
fn a_walk_finds_what_sled_itself_does_not() {
    fn row(n: u32) -> (bytes::Bytes, Vec<u8>) {
        let entry = codec::encode(&Change::Alert(Box::new(samples::alert(n, 1))));
        (entry.key, entry.value.unwrap().to_vec())
    }
    let put = |n: u32| move |db: &sled::Db| drop(db.insert(row(n).0, row(n).1).unwrap());
    assert!(found_after(|_| {}).is_none());
    type Tamper = Box<dyn FnOnce(&sled::Db)>;
    let cases: [(&str, Tamper); 6] = [
        ("a row is gone", Box::new(|db| drop(db.remove(row(2).0).unwrap()))),
        ("a row is another one", Box::new(put(2))),
        ("a row was added", Box::new(put(99))),
        ("an index key is gone", Box::new(|db| drop(db.remove(&index::keys(&story(2, true)[7])[0]).unwrap()))),
        ("a row cannot be read", Box::new(|db| drop(db.insert(row(2).0, b"?".to_vec()).unwrap()))),
        ("a key of no kind", Box::new(|db| drop(db.insert(b"\x7fwhat", b"").unwrap()))),
    ];
    for (what, tamper) in cases {
        let error = found_after(tamper).unwrap_or_else(|| panic!("{what}: nothing was found"));
        assert!(matches!(error, StoreError::Miscounted(_) | StoreError::Row(_)), "{what}: {error}");
        assert!(error.is_damage_of_sled());
    }
}

#[test]
fn a_checkpoint_that_is_made_while_turns_go_on_is_exact_with_the_journal_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, done) = kept_up(dir.path(), ALWAYS);
    for n in 1..=400 {
        commit(&mut store.appender, &story(n, false));
        if n > 20 {
            commit(&mut store.appender, &story(n - 20, true));
        }
        commit(&mut store.appender, &[Change::Pending(Box::new(samples::effect(n)))]);
        commit(&mut store.appender, &[Change::Settled(samples::effect(n).id)]);
    }
    settle(&store);
    let before = answers(&store.reader);
    let is_enough = |made: &[Checkpoint]| {
        made.len() > 1 && made.last().is_some_and(|newest| newest.until != newest.head.applied.seq)
    };
    while !is_enough(&folder_of(dir.path())) {
        checkpointed(&done);
        commit(&mut store.appender, &[Change::Pending(Box::new(samples::effect(1)))]);
        commit(&mut store.appender, &[Change::Settled(samples::effect(1).id)]);
    }
    let live = || live::read(&database::open(&dir.path().join("sled"), true).unwrap()).unwrap();
    store.appender.close().unwrap();
    drop(store.reader);
    let lived = live();
    let newest = checkpoint::latest(dir.path()).unwrap().unwrap();
    assert!(newest.head.applied.seq > 0);
    // Only what comes behind the checkpoint is there: without it, nothing could be built anew.
    let first = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    let all = segments(dir.path());
    let needed = all.iter().rposition(|path| first(path) <= newest.head.applied.seq + 1).unwrap();
    assert!(needed > 0);
    all[..needed].iter().for_each(|path| fs::remove_file(path).unwrap());
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let store = opened(dir.path());
    assert_eq!(answers(&store.reader), before);
    store.appender.close().unwrap();
    drop(store.reader);
    assert_eq!(live(), lived);
    assert_eq!(folder_of(dir.path()).len(), 2);
}

fn folder_of(dir: &Path) -> Vec<Checkpoint> {
    let files = checkpoint::folder::list(dir).unwrap();
    files.iter().map(|(_, path)| Checkpoint::verify(path).unwrap()).collect()
}

#[test]
fn a_checkpoint_whose_journal_ends_too_early_is_no_base() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = opened(dir.path());
    commit(&mut store.appender, &story(1, false));
    let applied = {
        settle(&store);
        database::applied(&store.appender.db).unwrap()
    };
    store.appender.close().unwrap();
    drop(store.reader);
    let head = checkpoint::Head { identity: identity::Identity { store: uuid::Uuid::nil(), epoch: 1 }, applied };
    let (unfinished, writing) = checkpoint::folder::Unfinished::begin(dir.path(), &head).unwrap();
    writing.end(applied.seq + 1).unwrap();
    unfinished.finish().unwrap();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let error = open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Beyond { .. }), "{error}");
}

#[test]
fn what_lies_behind_a_horizon_is_gone_for_everybody_at_once_and_later_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, done) = kept_up(dir.path(), ALWAYS);
    for n in 1..=30 {
        commit(&mut store.appender, &story(n, n != 5));
    }
    commit(&mut store.appender, &[horizon(remediations, 20), horizon(alerts, 10)]);
    settle(&store);
    let seen = answers(&store.reader);
    let all = page(100);
    let reader = &store.reader;
    let ids = |rows: Vec<u32>| rows.into_iter().map(samples::remediation_id).collect::<Vec<_>>();
    let found = reader.remediations(&RemediationFilter::default(), Order::default(), &all).unwrap().rows;
    let found: Vec<_> = found.iter().map(|record| record.remediation.id).collect();
    assert_eq!(found, ids((20..=30).rev().chain([5]).collect()), "one that is live stays");
    assert_eq!(reader.alerts(&AlertFilter::default(), &all).unwrap().rows.len(), 22);
    assert_eq!(reader.dead_letters(&None, &all).unwrap().rows.len(), 21);
    let holds = HoldFilter { ended: true, ..HoldFilter::default() };
    assert_eq!(reader.holds(&holds, &all).unwrap().rows.len(), 12);
    assert!(reader.remediation(samples::remediation_id(19)).unwrap().is_none());
    assert!(reader.transitions(samples::remediation_id(19)).unwrap().is_empty());
    assert!(reader.alias(&samples::cluster_id("train-a"), "mine/19").unwrap().is_none());
    let train = samples::cluster_id("train-a");
    assert!(reader.latest_remediation(&train, &samples::instance_id(19)).unwrap().is_none());
    assert!(reader.latest_remediation(&train, &samples::instance_id(5)).unwrap().is_some());
    let past = |appender: &mut Appender, n: u32| {
        let keys = [
            PastKey::Alias(train.clone(), format!("mine/{n}")),
            PastKey::Remediation(samples::remediation_id(n)),
            PastKey::Episodes(samples::alert(n, 1).identity, Back::Far),
            PastKey::DeadLetter(samples::dead_letter(n).id),
        ];
        let past = appender.past(&keys).unwrap();
        (past.remediations.len(), past.aliases.len(), past.episodes.len(), past.dead_letters.len())
    };
    assert_eq!(past(&mut store.appender, 9), (0, 0, 0, 0));
    assert_eq!(past(&mut store.appender, 15), (0, 0, 1, 1));
    assert_eq!(past(&mut store.appender, 20), (1, 1, 1, 1));
    assert_eq!(past(&mut store.appender, 5), (1, 1, 1, 0));

    // Until a walk has begun behind the horizon: whichever was under way does not know it.
    loop {
        commit(&mut store.appender, &[Change::Pending(Box::new(samples::effect(1)))]);
        commit(&mut store.appender, &[Change::Settled(samples::effect(1).id)]);
        checkpointed(&done);
        settle(&store);
        let tally = database::tally(&store.appender.db).unwrap();
        let rows = |kind| tally.rows(kind);
        use keys::Kind::*;
        // Dead letters come last: a walk may be between the two.
        if rows(Remediation) == 12 && rows(DeadLetter) == 21 {
            assert_eq!([rows(Link), rows(Transition), rows(Alias), rows(Hold)], [36, 24, 12, 12]);
            assert_eq!([rows(Alert), rows(Instance)], [22, 30]);
            break;
        }
    }
    assert_eq!(answers(&store.reader), seen);
    store.appender.close().unwrap();
    drop(store.reader);
    // Built anew from the whole journal the old rows are there again, and nobody sees them.
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    fs::remove_dir_all(dir.path().join("checkpoints")).unwrap();
    let mut store = opened(dir.path());
    assert_eq!(database::tally(&store.appender.db).unwrap().rows(keys::Kind::Remediation), 30);
    assert_eq!(answers(&store.reader), seen);
    assert_eq!(past(&mut store.appender, 9), (0, 0, 0, 0));
    store.appender.close().unwrap();
}

#[test]
fn the_journal_goes_up_to_its_horizon_and_the_rest_suffices() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, done) = kept_up(dir.path(), ALWAYS);
    let mut covered = Vec::new();
    for n in 1.. {
        commit(&mut store.appender, &story(n, n % 2 == 0));
        if n % 20 == 0 {
            covered = checkpointed(&done);
            if covered.len() > 3 {
                break;
            }
        }
    }
    let from = covered.last().unwrap().0;
    let before = segments(dir.path()).len();
    commit(&mut store.appender, &[Change::Horizon(Box::new(Horizon::Journal { from }))]);
    // A walk that begins after the horizon was applied has seen the pruning, which comes right behind it.
    settle(&store);
    checkpointed(&done);
    let answered = answers(&store.reader);
    store.appender.close().unwrap();
    drop(store.reader);
    let left = segments(dir.path());
    assert!(left.len() < before && left[0].ends_with(format!("{from:020}.journal")), "{left:?}");
    for is_rebuilt in [false, true] {
        if is_rebuilt {
            fs::remove_dir_all(dir.path().join("sled")).unwrap();
        }
        let store = opened(dir.path());
        assert_eq!(answers(&store.reader), answered);
        store.appender.close().unwrap();
    }
}

#[test]
fn a_checkpoint_that_cannot_be_made_stops_nobody() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("checkpoints"), "in the way").unwrap();
    let (mut store, done) = kept_up(dir.path(), ALWAYS);
    commit(&mut store.appender, &story(1, false));
    while done.recv().unwrap() != UpkeepDone::NotCheckpointed {
        commit(&mut store.appender, &story(1, false));
    }
    commit(&mut store.appender, &story(2, false));
    settle(&store);
    assert!(store.reader.remediation(samples::remediation_id(2)).unwrap().is_some());
    store.appender.close().unwrap();
}
