//! The journal alone: what comes back, what is cut off, and what is found to be damaged.

use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::store::codec::Entry;
use crate::store::samples::at;

/// The journal in `dir` with `turns` more turns, rotated after `segment_bytes`.
fn written(dir: &Path, turns: u64, segment_bytes: u64) -> Journal {
    let mut journal = Journal::resume(dir, read(dir).unwrap().1, 1, segment_bytes).unwrap();
    for _ in 0..turns {
        let seq = journal.seq() + 1;
        journal.append(draft(seq), at(seq as i64), File::sync_data).unwrap();
    }
    journal
}

fn draft(seq: u64) -> Draft {
    let mut draft = Draft::default();
    draft.add(&cause(), &entries(seq));
    draft.add(&cause(), &[]);
    draft
}

fn cause() -> record::RecordedCause {
    record::RecordedCause { request_id: Some("r-1".into()), ..record::RecordedCause::of("ann", "approve") }
}

fn entries(seq: u64) -> Vec<Entry> {
    vec![
        Entry { key: Bytes::from(format!("key {seq}")), value: Some(Bytes::from(vec![b'v'; seq as usize])) },
        Entry { key: Bytes::from_static(b"gone"), value: None },
    ]
}

fn read(dir: &Path) -> Result<(Vec<Record>, End), JournalError> {
    let mut replay = Journal::read_from(dir, 1)?;
    let records = replay.by_ref().collect::<Result<Vec<_>, _>>()?;
    Ok((records, replay.end()))
}

fn files(dir: &Path) -> Vec<PathBuf> {
    segment::list(dir).unwrap().into_iter().map(|segment| segment.path).collect()
}

#[test]
fn what_was_appended_is_read_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let journal = written(dir.path(), 20, 500);
    assert!(files(dir.path()).len() > 3, "it rotates");
    let (records, end) = read(dir.path()).unwrap();
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    for record in &records {
        assert_eq!((record.at, record.epoch), (at(record.seq as i64), 1));
        assert_eq!(record.steps[0].cause, cause());
        assert_eq!(record.steps[0].entries, entries(record.seq));
        assert!(record.steps[1].entries.is_empty());
    }
    assert_eq!((end.seq, end.chain, end.torn), (20, journal.chain(), 0));
}

#[test]
fn reading_begins_at_any_record() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 20, 500);
    for from in 0..=22 {
        let seen: Vec<u64> = Journal::read_from(dir.path(), from).unwrap().map(|record| record.unwrap().seq).collect();
        assert_eq!(seen, (from.max(1)..=20).collect::<Vec<_>>());
    }
}

#[test]
fn a_last_record_cut_at_any_byte_is_cut_off_and_the_journal_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3, SEGMENT_BYTES);
    let file = files(dir.path()).remove(0);
    let three = fs::read(&file).unwrap();
    written(dir.path(), 1, SEGMENT_BYTES);
    let four = fs::read(&file).unwrap();
    for cut in three.len()..four.len() {
        fs::write(&file, &four[..cut]).unwrap();
        let (records, end) = read(dir.path()).unwrap();
        assert_eq!((records.len(), end.torn as usize), (3, cut - three.len()), "cut at {cut}");
        Journal::resume(dir.path(), end, 1, SEGMENT_BYTES).unwrap();
        assert_eq!(fs::read(&file).unwrap(), three, "cut at {cut}");
    }
    written(dir.path(), 1, SEGMENT_BYTES);
    assert_eq!(fs::read(&file).unwrap(), four);
}

#[test]
fn a_last_record_that_never_reached_the_disk_whole_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3, SEGMENT_BYTES);
    let file = files(dir.path()).remove(0);
    let three = fs::read(&file).unwrap().len();
    written(dir.path(), 1, SEGMENT_BYTES);
    let mut bytes = fs::read(&file).unwrap();
    for at in (three..bytes.len()).rev() {
        bytes[at] = 0;
        fs::write(&file, &bytes).unwrap();
        assert_eq!(read(dir.path()).unwrap().0.len(), 3, "zeroes from {at}");
    }
}

#[test]
fn a_flipped_byte_anywhere_before_the_last_record_is_found() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 11, 700);
    let files = files(dir.path());
    let last = files.last().unwrap();
    assert!(files.len() > 1);
    for file in &files {
        let good = fs::read(file).unwrap();
        // A record and its frame; the last one of the last file is the one that a crash may tear.
        let end = if file == last { good.len() - 8 - draft(11).payload_len() - 32 } else { good.len() };
        for at in 0..end {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            fs::write(file, &bad).unwrap();
            let error = read(dir.path()).unwrap_err();
            assert!(matches!(error, JournalError::Damaged { .. }), "byte {at} of {}: {error}", file.display());
        }
        fs::write(file, &good).unwrap();
    }
    assert_eq!(read(dir.path()).unwrap().0.len(), 11);
}

#[test]
fn damage_is_named_by_file_and_offset() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 1, SEGMENT_BYTES);
    let file = files(dir.path()).remove(0);
    let second = fs::read(&file).unwrap().len();
    written(dir.path(), 2, SEGMENT_BYTES);
    let mut bytes = fs::read(&file).unwrap();
    bytes[second + 50] ^= 1;
    fs::write(&file, bytes).unwrap();
    let text = read(dir.path()).unwrap_err().to_string();
    assert_eq!(
        text,
        format!("the journal is damaged at byte {second} of {}: a record's checksum does not match", file.display())
    );
}

#[test]
fn an_exchanged_record_with_a_good_checksum_breaks_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 1, SEGMENT_BYTES);
    let file = files(dir.path()).remove(0);
    let second = fs::read(&file).unwrap().len();
    written(dir.path(), 2, SEGMENT_BYTES);
    let mut bytes = fs::read(&file).unwrap();
    let (forged, _) = draft(2).seal(2, 1, at(77), &[9; 32]);
    bytes[second..second + forged.len()].copy_from_slice(&forged);
    fs::write(&file, bytes).unwrap();
    assert!(read(dir.path()).unwrap_err().to_string().ends_with("a record's chain does not match"));
}

#[test]
fn a_missing_segment_is_found_even_when_reading_begins_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 20, 500);
    let files = files(dir.path());
    for file in &files[1..files.len() - 1] {
        let bytes = fs::read(file).unwrap();
        fs::remove_file(file).unwrap();
        let error = Journal::read_from(dir.path(), 20).unwrap_err();
        assert!(error.to_string().contains("is missing before it"), "{error}");
        fs::write(file, bytes).unwrap();
    }
}

#[test]
fn a_half_made_segment_is_swept_away() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 2, SEGMENT_BYTES);
    fs::write(dir.path().join("00000000000000000003.journal.new"), b"remed").unwrap();
    written(dir.path(), 1, 1);
    assert_eq!(read(dir.path()).unwrap().0.len(), 3);
    assert_eq!(files(dir.path()).len(), 2);
}

#[test]
fn a_segment_without_records_is_a_good_end() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = written(dir.path(), 2, 1);
    journal.rotate().unwrap();
    assert_eq!(read(dir.path()).unwrap().1.seq, 2);
    written(dir.path(), 1, SEGMENT_BYTES);
    assert_eq!(read(dir.path()).unwrap().0.len(), 3);
}

#[test]
fn after_a_failed_sync_nothing_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = written(dir.path(), 1, SEGMENT_BYTES);
    let failed = journal.append(draft(2), at(2), |_| Err(io::Error::from_raw_os_error(5)));
    assert!(matches!(failed, Err(JournalError::Io { action: "sync", .. })));
    assert!(matches!(journal.append(draft(2), at(2), File::sync_data), Err(JournalError::Closed)));
    assert_eq!(journal.seq(), 1);
}
