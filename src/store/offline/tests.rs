//! Stopped stores: what is verified is what was written, and what is taken along comes back.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::engine::{Change, PastKey};
use crate::store::journal::Journal;
use crate::store::open::{Opened, Options, open, open_with};
use crate::store::samples::{self, at};
use crate::store::{Appender, Port};
use crate::writer::Cause;

fn opened(dir: &Path) -> Opened {
    open_with(dir, Options::default(), 3_000).unwrap().for_writing().unwrap()
}

fn commit(appender: &mut Appender, changes: &[Change]) {
    appender.stage(&Cause::system(), "test", changes);
    appender.commit(at(1)).unwrap();
}

/// A store with some turns in several segments, stopped.
fn stopped(dir: &Path, turns: u32) {
    let mut store = opened(dir);
    for n in 1..=turns {
        let rows = [
            Change::Remediation(Box::new(samples::remediation(n))),
            Change::Link(Box::new(samples::link(n, 0))),
            Change::Alert(Box::new(samples::alert(n, 1))),
        ];
        commit(&mut store.appender, &rows);
    }
    store.appender.close().unwrap();
}

fn audited(dir: &Path) -> Result<Audit, StoreError> {
    audit(dir, None, &mut |_| {})
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    Journal::files(&dir.join("journal")).unwrap()
}

#[test]
fn a_whole_journal_is_summed_up() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), 30);
    let mut seen = Vec::new();
    let found = audit(dir.path(), None, &mut |seq| seen.push(seq)).unwrap();
    assert_eq!(seen, (1..=30).collect::<Vec<_>>());
    assert_eq!((found.records, found.seq, found.torn), (30, 30, 0));
    assert_eq!((found.first, found.last), (Some((1, at(1))), Some((30, at(1)))));
    assert_eq!(found.agreed, ["the sentinel", "sled"]);
    assert!(found.segments > 3 && found.skipped.is_empty(), "{found:?}");
    let checked = check(dir.path(), &mut |_| {}).unwrap();
    assert!(checked.is_sound(), "{checked:?}");
}

#[test]
fn every_flipped_byte_is_found_with_its_file() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), 30);
    // Whether sled agrees is another question, and it takes long to open.
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let files = segments(dir.path());
    let mut state = 1;
    for n in 0..1_000 {
        let file = &files[samples::dice(&mut state, files.len())];
        let good = fs::read(file).unwrap();
        let mut bad = good.clone();
        let offset = samples::dice(&mut state, bad.len());
        bad[offset] ^= 1 << samples::dice(&mut state, 8);
        fs::write(file, &bad).unwrap();
        let error = audited(dir.path()).expect_err(&format!("flip {n}: byte {offset} of {}", file.display()));
        assert!(error.is_damage_of_journal(), "{error}");
        fs::write(file, good).unwrap();
    }
    audited(dir.path()).unwrap();
}

#[test]
fn removed_bytes_and_files_are_found() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), 30);
    // Whether sled agrees is another question, and it takes long to open.
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let files = segments(dir.path());
    let mut state = 2;
    for n in 0..1_000 {
        let file = &files[samples::dice(&mut state, files.len())];
        let good = fs::read(file).unwrap();
        let from = samples::dice(&mut state, good.len());
        let to = (from + 1 + samples::dice(&mut state, 200)).min(good.len());
        fs::write(file, [&good[..from], &good[to..]].concat()).unwrap();
        assert!(audited(dir.path()).is_err(), "removal {n}: bytes {from} to {to} of {}", file.display());
        fs::write(file, good).unwrap();
    }
    // The empty last one holds nothing.
    for file in &files[..files.len() - 1] {
        let good = fs::read(file).unwrap();
        fs::remove_file(file).unwrap();
        assert!(audited(dir.path()).is_err(), "without {}", file.display());
        fs::write(file, good).unwrap();
    }
    files[..files.len() - 1].iter().for_each(|file| fs::remove_file(file).unwrap());
    let error = audited(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("the turns 1 to 30 are gone, and nothing allowed that"), "{error}");
}

#[test]
fn reordered_bytes_records_and_files_are_found() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), 30);
    // Whether sled agrees is another question, and it takes long to open.
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    let files = segments(dir.path());
    let mut state = 3;
    for n in 0..1_000 {
        let file = &files[samples::dice(&mut state, files.len())];
        let good = fs::read(file).unwrap();
        let mut bad = good.clone();
        let (one, other) = (samples::dice(&mut state, bad.len()), samples::dice(&mut state, bad.len()));
        bad.swap(one, other);
        if bad == good {
            continue;
        }
        fs::write(file, bad).unwrap();
        assert!(audited(dir.path()).is_err(), "exchange {n}: bytes {one} and {other} of {}", file.display());
        fs::write(file, good).unwrap();
    }
    let (one, other) = (fs::read(&files[0]).unwrap(), fs::read(&files[1]).unwrap());
    fs::write(&files[0], &other).unwrap();
    fs::write(&files[1], &one).unwrap();
    assert!(audited(dir.path()).is_err());
}

#[test]
fn a_journal_that_was_written_anew_is_found_by_those_who_know_its_head() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), 10);
    let head = audited(dir.path()).map(|found| (found.seq, found.chain)).unwrap();
    audit(dir.path(), Some(head), &mut |_| {}).unwrap();
    let mut store = opened(dir.path());
    commit(&mut store.appender, &[Change::Hold(Box::new(samples::hold(1)))]);
    store.appender.close().unwrap();
    drop(store.reader);
    audit(dir.path(), Some(head), &mut |_| {}).unwrap();
    let forged = audit(dir.path(), Some((head.0, [7; 32])), &mut |_| {}).unwrap_err().to_string();
    assert!(forged.ends_with("turn 10 is not the turn 10 that --head knows"), "{forged}");
    let longer = audit(dir.path(), Some((99, head.1)), &mut |_| {}).unwrap_err().to_string();
    assert!(longer.ends_with("the journal ends at turn 11, and --head knows turn 99"), "{longer}");
    // Shorter by its last turn: sled and the sentinel know.
    segments(dir.path())[..].iter().rev().take(2).for_each(|file| fs::remove_file(file).unwrap());
    let error = audited(dir.path()).unwrap_err().to_string();
    assert!(error.ends_with("the journal ends at turn 10, and the sentinel knows turn 11"), "{error}");
}

#[test]
fn a_running_store_and_an_empty_folder_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = audited(dir.path()).unwrap_err();
    assert!(matches!(nothing, StoreError::NoStore { .. }), "{nothing}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    let store = opened(dir.path());
    assert!(matches!(audited(dir.path()), Err(StoreError::Locked { .. })));
    assert!(matches!(check(dir.path(), &mut |_| {}), Err(StoreError::Locked { .. })));
    assert!(matches!(rebuild_sled(dir.path()), Err(StoreError::Locked { .. })));
    assert!(matches!(export(dir.path(), None, &mut Vec::new()), Err(StoreError::Locked { .. })));
    store.appender.close().unwrap();
}

#[test]
fn an_export_comes_back_as_a_store_that_knows_where_it_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let (one, other, file) = (dir.path().join("one"), dir.path().join("other"), dir.path().join("a.checkpoint"));
    stopped(&one, 30);
    let wrote = export(&one, Some(&file), &mut Vec::new()).unwrap();
    assert_eq!((wrote.rows, wrote.seq), (90, 30));
    let mut out = Vec::new();
    export(&one, None, &mut out).unwrap();
    assert_eq!(out, fs::read(&file).unwrap());
    assert!(matches!(import(&one, &file), Err(StoreError::NotEmpty { .. })));
    assert_eq!(import(&other, &file).unwrap(), wrote);

    let found = audited(&other).unwrap();
    assert_eq!((found.records, found.first, found.seq), (1, Some((31, at(1))), 31));
    assert!(check(&other, &mut |_| {}).unwrap().is_sound());
    for is_rebuilt in [false, true] {
        if is_rebuilt {
            rebuild_sled(&other).unwrap();
        }
        let mut store = opened(&other);
        let restored = store.restored.clone().expect("an import begins another life");
        assert!(restored.why.contains("a.checkpoint") && restored.epoch == 2, "{restored:?}");
        assert_eq!(store.last.seq, 31);
        let keys = [PastKey::Remediation(samples::remediation_id(7))];
        assert_eq!(store.appender.past(&keys).unwrap().remediations[&samples::remediation_id(7)].links.len(), 1);
        store.appender.close().unwrap();
    }
    fs::write(&file, "{}").unwrap();
    let third = dir.path().join("third");
    assert!(matches!(import(&third, &file), Err(StoreError::BadCheckpoint { line: 1, .. })));
    assert!(!third.exists(), "what cannot be read makes nothing");
}

#[test]
fn a_check_names_the_part_that_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    stopped(dir.path(), 10);
    let damaged = |dir: &Path| -> BTreeSet<String> {
        let parts = check(dir, &mut |_| {}).unwrap().parts;
        parts.into_iter().filter(|part| part.found.is_err()).map(|part| part.name).collect()
    };
    assert!(damaged(dir.path()).is_empty());
    fs::create_dir(dir.path().join("checkpoints")).unwrap();
    fs::write(dir.path().join("checkpoints/00000000000000000007.checkpoint"), "{}\n").unwrap();
    assert_eq!(damaged(dir.path()).pop_first().unwrap(), "checkpoint 00000000000000000007.checkpoint");
    fs::remove_dir_all(dir.path().join("checkpoints")).unwrap();
    let file = segments(dir.path()).remove(0);
    let good = fs::read(&file).unwrap();
    fs::write(&file, &good[..good.len() - 1]).unwrap();
    assert_eq!(damaged(dir.path()).pop_first().unwrap(), "journal");
    fs::write(&file, &good).unwrap();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    assert_eq!(damaged(dir.path()).pop_first().unwrap(), "sled");
    rebuild_sled(dir.path()).unwrap();
    assert!(damaged(dir.path()).is_empty());
    drop(open(dir.path(), Options::default()).unwrap());
}

#[test]
fn an_export_of_nothing_is_imported_as_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to, file) = (dir.path().join("from"), dir.path().join("to"), dir.path().join("file"));
    stopped(&from, 0);
    assert_eq!(export(&from, Some(&file), &mut Vec::new()).unwrap().rows, 0);
    assert_eq!(import(&to, &file).unwrap().rows, 0);
    let store = opened(&to);
    assert!(store.restored.is_some());
    store.appender.close().unwrap();
}

#[test]
fn a_file_of_a_turn_that_cannot_be_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to, file) = (dir.path().join("from"), dir.path().join("to"), dir.path().join("file"));
    stopped(&from, 3);
    export(&from, Some(&file), &mut Vec::new()).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let last = u64::MAX.to_string();
    let text =
        text.replace("\"seq\":3", &format!("\"seq\":{last}")).replace("\"until\":3", &format!("\"until\":{last}"));
    let (rows, _) = text.split_at(text.rfind("{\"rows\":").unwrap());
    let (before, _) = text.split_at(text.rfind("\"sha256\":\"").unwrap() + 10);
    let hash = <sha2::Sha256 as sha2::Digest>::digest(rows);
    fs::write(&file, format!("{before}{}\"}}\n", crate::store::show_chain(&hash))).unwrap();
    let error = import(&to, &file).unwrap_err();
    assert!(matches!(error, StoreError::BadCheckpoint { line: 1, .. }), "{error}");
    assert!(!to.join("store.id").exists());
}

#[test]
fn a_checkpoint_that_needs_its_journal_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    stopped(&from, 3);
    let identity = crate::store::identity::Identity { store: uuid::Uuid::nil(), epoch: 1 };
    let head = crate::store::checkpoint::Head { identity, applied: Default::default() };
    let (unfinished, writing) = crate::store::checkpoint::folder::Unfinished::begin(&from, &head).unwrap();
    writing.end(3).unwrap();
    let error = import(&to, &unfinished.finish().unwrap()).unwrap_err();
    assert!(matches!(error, StoreError::Inexact { seq: 0, until: 3, .. }), "{error}");
    assert!(!to.join("store.id").exists());
}

#[test]
fn an_import_that_broke_off_is_no_new_store() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to, file) = (dir.path().join("from"), dir.path().join("to"), dir.path().join("file"));
    stopped(&from, 3);
    export(&from, Some(&file), &mut Vec::new()).unwrap();
    import(&to, &file).unwrap();
    for part in ["journal", "sled"] {
        fs::remove_dir_all(to.join(part)).unwrap();
    }
    for _ in 0..2 {
        let error = open(&to, Options::default()).unwrap_err();
        assert!(matches!(error, StoreError::Gone { .. }), "{error}");
        // As half of a backup has it.
        let _ = fs::remove_file(to.join("store.id"));
    }
}

#[test]
fn a_sled_too_old_for_the_journal_is_built_anew_from_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to, file) = (dir.path().join("from"), dir.path().join("to"), dir.path().join("file"));
    stopped(&from, 3);
    export(&from, Some(&file), &mut Vec::new()).unwrap();
    import(&to, &file).unwrap();
    // An empty one, as a lost file leaves it.
    fs::remove_dir_all(to.join("sled")).unwrap();
    drop(crate::store::database::open(&to.join("sled"), false).unwrap());
    let store = opened(&to);
    assert!(store.reader.remediation(samples::remediation_id(3)).unwrap().is_some());
    store.appender.close().unwrap();
}
