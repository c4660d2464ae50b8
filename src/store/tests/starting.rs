//! Starts: after a stop, after a crash, without sled, beside another process, and on what must not be started on.

use std::fs;

use super::*;
use crate::domain::State;
use crate::store::journal::{Draft, Journal};

/// A store with some of everything, ended things included; closed again.
fn filled(dir: &Path) -> (Vec<Change>, String) {
    let mut opened = opened(dir);
    assert!(opened.live.is_empty());
    commit(&mut opened.appender, &samples::every_row());
    for n in 2..=30 {
        let mut remediation = samples::remediation(n);
        let mut alert = samples::alert(n, 1);
        let mut hold = samples::hold(n);
        commit(
            &mut opened.appender,
            &[
                Change::Alert(Box::new(alert.clone())),
                Change::Remediation(Box::new(remediation.clone())),
                Change::Link(Box::new(samples::link(n, 0))),
                Change::Link(Box::new(samples::link(n, 1))),
                Change::Transition(Box::new(samples::transition(n, 1))),
                Change::Hold(Box::new(hold.clone())),
                Change::Instance(Box::new(samples::instance(n))),
                Change::Pending(Box::new(samples::effect(n))),
            ],
        );
        if n % 2 == 0 {
            remediation.state = State::Succeeded;
            remediation.updated_at = at(5_000 + i64::from(n));
            alert.state = AlertState::Resolved;
            hold.ended = Some((at(9), "ann".to_owned()));
            commit(
                &mut opened.appender,
                &[
                    Change::Remediation(Box::new(remediation)),
                    Change::Transition(Box::new(samples::transition(n, 2))),
                    Change::Alert(Box::new(alert)),
                    Change::Hold(Box::new(hold)),
                    Change::Settled(samples::effect(n).id),
                ],
            );
        }
    }
    settle(&opened);
    let answered = answers(&opened.reader);
    let Opened { appender, .. } = opened;
    let live = live::read(&appender.db).unwrap();
    appender.close().unwrap();
    (live, answered)
}

/// Opens, compares, closes.
fn same(dir: &Path, (live, answered): &(Vec<Change>, String)) {
    let Opened { live: found, appender, reader, last, .. } = opened(dir);
    assert_eq!(found, *live);
    assert_eq!(answers(&reader), *answered);
    assert_eq!((last.seq, last.at), (45, Some(at(1))));
    appender.close().unwrap();
}

/// Adds a turn to the journal alone, as a crash before its application leaves it.
fn behind(dir: &Path, changes: &[Change]) {
    let journal = dir.join("journal");
    let mut replay = Journal::read_from(&journal, 1).unwrap();
    assert!(replay.all(|record| record.is_ok()));
    let mut journal = Journal::resume(&journal, replay.end(), 1, 1 << 20).unwrap();
    let mut draft = Draft::default();
    let cause = journal::record::RecordedCause::of("ann", "test");
    draft.add(&cause, &changes.iter().map(codec::encode).collect::<Vec<_>>());
    journal.append(draft, at(77), fs::File::sync_data).unwrap();
}

#[test]
fn a_new_start_finds_the_same_live_rows_and_gives_the_same_answers() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path());
    same(dir.path(), &before);
    same(dir.path(), &before);
}

#[test]
fn live_rows_are_those_that_can_still_change_in_an_order_that_folds() {
    let dir = tempfile::tempdir().unwrap();
    let (live, _) = filled(dir.path());
    let kinds: Vec<_> = live.iter().map(|change| keys::of(change)[0]).collect();
    use keys::Kind::*;
    let mut runs: Vec<u8> = kinds.iter().copied().filter(|kind| *kind != Link.byte()).collect();
    runs.dedup();
    let order =
        [Execution, Horizon, Pause, Cluster, Instance, NodeMemory, Hold, Remediation, Alert, Condition, Held, Pending];
    assert_eq!(runs, order.map(keys::Kind::byte));
    let count = |kind: keys::Kind| kinds.iter().filter(|byte| **byte == kind.byte()).count();
    assert_eq!((count(Remediation), count(Alert), count(Hold), count(Pending)), (15, 15, 15, 15));
    assert_eq!((count(Link), count(Instance)), (29, 30));
    let mut whose = None;
    for change in &live {
        match change {
            Change::Remediation(row) => whose = Some(row.id),
            Change::Link(link) => assert_eq!(Some(link.remediation_id), whose, "a link stands right behind its own"),
            _ => whose = None,
        }
    }
}

#[test]
fn without_sled_everything_is_built_anew_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path());
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    same(dir.path(), &before);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    fs::create_dir(dir.path().join("sled")).unwrap();
    same(dir.path(), &before);
}

#[test]
fn a_turn_that_was_not_applied_before_the_crash_is_applied_at_start() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    behind(dir.path(), &[Change::Remediation(Box::new(samples::remediation(31)))]);
    let Opened { live, reader, last, appender, .. } = opened(dir.path());
    assert_eq!((last.seq, last.at), (46, Some(at(77))));
    assert!(live.contains(&Change::Remediation(Box::new(samples::remediation(31)))));
    assert!(reader.remediation(samples::remediation_id(31)).unwrap().is_some());
    appender.close().unwrap();
}

#[test]
fn applying_the_journal_twice_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path());
    let db = database::open(&dir.path().join("sled"), true).unwrap();
    db.remove(keys::APPLIED).unwrap();
    db.flush().unwrap();
    drop(db);
    same(dir.path(), &before);
}

#[test]
fn a_second_process_is_refused_while_anybody_uses_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { appender, reader, .. } = opened(dir.path());
    let refused = open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(refused, StoreError::Locked { .. }));
    let text = format!("{} is held by another remedyd", dir.path().join("lock").display());
    assert!(refused.to_string().starts_with(&text), "{refused}");
    appender.close().unwrap();
    assert!(open(dir.path(), Options::default()).is_err(), "a reader is still there");
    drop(reader);
    opened(dir.path()).appender.close().unwrap();
}

/// Opens for reading only, and says why; what is there answers as it did.
fn reads_only(dir: &Path, answered: &str) -> String {
    let store = open(dir, Options::default()).unwrap().for_writing().unwrap_err();
    assert_eq!(answers(&store.reader), answered);
    store.why
}

/// The segments, oldest first; the last one is empty after a stop.
fn segments(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(dir.join("journal")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn a_journal_that_ends_before_sled_is_left_alone_and_read_beside() {
    let dir = tempfile::tempdir().unwrap();
    let (_, answered) = filled(dir.path());
    let [first, head] = segments(dir.path()).try_into().unwrap();
    fs::remove_file(&head).unwrap();
    let bytes = fs::read(&first).unwrap();
    fs::write(&first, &bytes[..bytes.len() - 1]).unwrap();
    let why = reads_only(dir.path(), &answered);
    assert!(why.starts_with("the journal ends at turn 44 while sled has turn 45"), "{why}");
    assert_eq!(fs::read(&first).unwrap().len(), bytes.len() - 1);
    fs::remove_file(&first).unwrap();
    let why = reads_only(dir.path(), &answered);
    assert!(why.starts_with("the journal ends at turn 0 while sled has turn 45"), "{why}");
    assert!(segments(dir.path()).is_empty(), "nothing new is begun where something was lost");
}

#[test]
fn a_store_that_was_rolled_back_as_a_whole_is_noticed_by_the_sentinel() {
    let dir = tempfile::tempdir().unwrap();
    let (_, answered) = filled(dir.path());
    let old = dir.path().join("old");
    fs::create_dir(&old).unwrap();
    for name in ["journal", "sled"] {
        copy(&dir.path().join(name), &old.join(name));
    }
    let mut appender = opened(dir.path()).appender;
    commit(&mut appender, &[Change::Hold(Box::new(samples::hold(77)))]);
    appender.close().unwrap();
    for name in ["journal", "sled"] {
        fs::remove_dir_all(dir.path().join(name)).unwrap();
        fs::rename(old.join(name), dir.path().join(name)).unwrap();
    }
    let why = reads_only(dir.path(), &answered);
    assert!(why.contains("turn 46 was acknowledged: the store was rolled back"), "{why}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

#[test]
fn a_copied_store_begins_another_life_which_is_noted_once_it_is_on_disk() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = filled(dir.path());
    let there = other.path().join("store");
    copy(dir.path(), &there);
    for _ in 0..2 {
        // As long as nothing of the new life is on disk, it begins again.
        let opened = opened(&there);
        let Restored { epoch, why } = opened.restored.unwrap();
        // The rows of the samples speak of a second life already.
        assert_eq!((epoch, why.as_str()), (3, "its files are copies: it was copied or restored"));
        assert_eq!(answers(&opened.reader), before.1);
        drop(opened.reader);
        opened.appender.close().unwrap();
    }
    let mut store = opened(&there);
    commit(&mut store.appender, &[Change::Hold(Box::new(samples::hold(77)))]);
    let mut execution = samples::execution();
    execution.epoch = 3;
    commit(&mut store.appender, &[Change::Execution(Box::new(execution))]);
    drop(store.reader);
    store.appender.close().unwrap();
    assert_eq!(opened(&there).restored, None);
    same(dir.path(), &before);
}

#[test]
fn a_store_without_its_id_is_one_of_unknown_origin() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    fs::remove_file(dir.path().join("store.id")).unwrap();
    assert_eq!(opened(dir.path()).restored.unwrap().why, "its store.id is gone");
}

#[test]
fn a_store_of_which_nothing_is_left_is_no_new_one() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    for name in ["journal", "sled"] {
        fs::remove_dir_all(dir.path().join(name)).unwrap();
    }
    let error = open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Gone { .. }), "{error}");
}

#[test]
fn sled_alone_is_enough_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path());
    let [first, head] = segments(dir.path()).try_into().unwrap();
    fs::rename(&first, dir.path().join("away")).unwrap();
    same(dir.path(), &before);
    assert_eq!(segments(dir.path()), [head]);
}

#[test]
fn a_foreign_journal_is_left_alone_and_sled_is_read_beside() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut answered = String::new();
    for (dir, n) in [(&other, 2), (&dir, 1)] {
        let mut store = opened(dir.path());
        commit(&mut store.appender, &[Change::Hold(Box::new(samples::hold(n)))]);
        settle(&store);
        answered = answers(&store.reader);
        store.appender.close().unwrap();
    }
    for (ours, theirs) in segments(dir.path()).iter().zip(segments(other.path())) {
        fs::copy(theirs, ours).unwrap();
    }
    let why = reads_only(dir.path(), &answered);
    assert!(why.starts_with("turn 1 of the journal is not the turn 1 that sled has"), "{why}");
}

#[test]
fn damage_in_the_journal_leaves_reads_only() {
    let dir = tempfile::tempdir().unwrap();
    let (_, answered) = filled(dir.path());
    let head = segments(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&head).unwrap();
    bytes[30] ^= 1;
    fs::write(&head, &bytes).unwrap();
    let why = reads_only(dir.path(), &answered);
    assert!(why.contains("its header is damaged"), "{why}");
    assert!(why.contains("only reads are answered"), "{why}");
    assert_eq!(fs::read(&head).unwrap(), bytes);
}

#[test]
fn a_lost_part_of_sled_is_no_empty_store() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path());
    fs::remove_file(dir.path().join("sled/db")).unwrap();
    same(dir.path(), &before);
    assert!(dir.path().join("sled.damaged/conf").exists(), "what was there is kept aside");
}

#[test]
fn a_suspect_sled_is_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path());
    let db = database::open(&dir.path().join("sled"), true).unwrap();
    db.remove(keys::remediation(samples::remediation_id(2))).unwrap();
    db.flush().unwrap();
    drop(db);
    suspect(dir.path(), "a row is missing").unwrap();
    same(dir.path(), &before);
    assert!(!dir.path().join("sled.suspect").exists());
}

#[test]
fn a_damaged_sled_beside_a_damaged_journal_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let first = segments(dir.path()).remove(0);
    let mut bytes = fs::read(&first).unwrap();
    bytes[200] ^= 1;
    fs::write(&first, bytes).unwrap();
    fs::remove_file(dir.path().join("sled/db")).unwrap();
    let error = open(dir.path(), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Beyond { .. }), "{error}");
    assert!(dir.path().join("sled/conf").exists() && !dir.path().join("sled.new").exists());
}

#[test]
fn a_half_written_snapshot_does_not_stop_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path());
    fs::write(dir.path().join("sled/snap.0000000000FFFFFF.generating"), b"").unwrap();
    same(dir.path(), &before);
}

#[test]
fn rows_of_another_form_are_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path());
    let db = database::open(&dir.path().join("sled"), true).unwrap();
    db.insert(keys::SCHEMA, &9_u32.to_be_bytes()).unwrap();
    db.flush().unwrap();
    drop(db);
    same(dir.path(), &before);
}

#[test]
fn garbage_in_place_of_sled_is_healed() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path());
    let files: Vec<_> = fs::read_dir(dir.path().join("sled")).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in files.iter().filter(|path| path.is_file()) {
        let length = fs::metadata(path).map_or(4096, |about| about.len());
        fs::write(path, vec![0xa5; length as usize]).unwrap();
        same(dir.path(), &before);
    }
}

#[test]
fn folders_above_the_store_are_made_too() {
    let dir = tempfile::tempdir().unwrap();
    opened(&dir.path().join("var/lib/remedyd")).appender.close().unwrap();
    fs::write(dir.path().join("var/file"), "").unwrap();
    let error = open(&dir.path().join("var/file/store"), Options::default()).unwrap_err();
    assert!(matches!(error, StoreError::Io { action: "create", .. }), "{error}");
}

#[test]
fn a_full_disk_is_told_apart_from_a_broken_store() {
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    let path = std::path::PathBuf::from("sled");
    assert!(StoreError::Io { action: "open", path: path.clone(), source: full() }.is_want_of_room());
    assert!(StoreError::from(sled::Error::Io(full())).is_want_of_room());
    let denied = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    assert!(!StoreError::Io { action: "open", path, source: denied }.is_want_of_room());
    assert!(!StoreError::Stopped.is_want_of_room());
}

#[test]
fn after_an_unclean_end_a_sled_with_rows_of_another_moment_is_built_anew_before_anybody_reads() {
    let dir = tempfile::tempdir().unwrap();
    let before = filled(dir.path());
    // As a kill leaves the journal: without an empty last segment.
    fs::remove_file(segments(dir.path()).pop().unwrap()).unwrap();
    let db = database::open(&dir.path().join("sled"), true).unwrap();
    let mut older = samples::remediation(3);
    older.version += 7;
    let entry = codec::encode(&Change::Remediation(Box::new(older)));
    db.insert(&entry.key, entry.value.unwrap().to_vec()).unwrap();
    db.flush().unwrap();
    drop(db);
    same(dir.path(), &before);
    assert!(dir.path().join("sled.damaged").exists());
}
