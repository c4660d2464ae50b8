//! The journal alone: what comes back, what is cut off, and what is found to be damaged.

use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::store::codec::Entry;
use crate::store::samples::{self, at};

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

/// With one value of that length.
fn draft_of(bytes: usize) -> Draft {
    let mut draft = Draft::default();
    draft.add(&cause(), &[Entry { key: Bytes::from_static(b"key"), value: Some(Bytes::from(vec![b'v'; bytes])) }]);
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

/// What the only file in `dir` holds: all of its bytes, and how many of them are header and records; the rest is zeros.
fn held(dir: &Path) -> (Vec<u8>, usize) {
    let (segment, len) = read(dir).unwrap().1.segment.unwrap();
    let bytes = fs::read(&segment.path).unwrap();
    assert!(bytes[len as usize..].iter().all(|byte| *byte == 0));
    (bytes, len as usize)
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
    let (_, three) = held(dir.path());
    written(dir.path(), 1, SEGMENT_BYTES);
    let (bytes, four) = held(dir.path());
    for cut in three..four {
        let mut cut = bytes[..cut].to_vec();
        // A file that grew, and one that had zeros there.
        for behind in [0, 5000] {
            cut.resize(cut.len() + behind, 0);
            fs::write(&file, &cut).unwrap();
            let (records, end) = read(dir.path()).unwrap();
            let torn = cut[three..].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            assert_eq!((records.len(), end.torn as usize), (3, torn), "cut at {}", cut.len());
            Journal::resume(dir.path(), end, 1, SEGMENT_BYTES).unwrap();
            assert_eq!(fs::read(&file).unwrap(), bytes[..three], "cut at {}", cut.len());
        }
    }
    written(dir.path(), 1, SEGMENT_BYTES);
    assert_eq!(held(dir.path()), (bytes, four));
}

#[test]
fn a_last_record_that_never_reached_the_disk_whole_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3, SEGMENT_BYTES);
    let file = files(dir.path()).remove(0);
    let (_, three) = held(dir.path());
    written(dir.path(), 1, SEGMENT_BYTES);
    let (bytes, four) = held(dir.path());
    for from in three..four {
        for to in (from + 1..four).step_by(11).chain([four]) {
            let mut bad = bytes[..four + 9].to_vec();
            bad[from..to].fill(0);
            if bad[..four] != bytes[..four] {
                fs::write(&file, &bad).unwrap();
                assert_eq!(read(dir.path()).unwrap().0.len(), 3, "zeros from {from} to {to}");
            }
        }
    }
}

#[test]
fn small_records_are_written_over_zeros_and_large_ones_lay_none() {
    let dir = tempfile::tempdir().unwrap();
    let length = |dir: &Path| fs::metadata(files(dir).pop().unwrap()).unwrap().len();
    let mut journal = written(dir.path(), 1, SEGMENT_BYTES);
    let laid = length(dir.path());
    assert_eq!(laid, journal.len + AHEAD);
    let mut appended = |bytes: u64| {
        journal.append(draft_of(bytes as usize), at(2), File::sync_data).unwrap();
        assert_eq!(journal.filled, length(dir.path()));
        (journal.len, journal.filled)
    };
    let mut last = 0;
    while last + 20_000 < laid {
        let filled;
        (last, filled) = appended(10_000);
        assert_eq!(filled, laid, "at {last}");
    }
    // Across the edge.
    let (end, filled) = appended(30_000);
    assert_eq!(filled, end + AHEAD);
    let (end, next) = appended(AHEAD - 1000);
    assert_eq!(next, filled);
    let (end, filled) = appended(LARGE.max(filled - end));
    assert_eq!(filled, end, "a large one lays none");
    let (records, found) = read(dir.path()).unwrap();
    assert_eq!((records.len() as u64, found.segment.unwrap().1), (found.seq, end));
    // A start and a rotation cut off what is not used.
    written(dir.path(), 1, SEGMENT_BYTES);
    let (_, held) = held(dir.path());
    assert_eq!(length(dir.path()), held as u64 + AHEAD);
    written(dir.path(), 0, SEGMENT_BYTES);
    assert_eq!(length(dir.path()), held as u64);
    written(dir.path(), 1, SEGMENT_BYTES).rotate(0).unwrap();
    let lengths = files(dir.path()).into_iter().map(|file| fs::metadata(file).unwrap().len());
    assert!(lengths.max().unwrap() < held as u64 + 1000);
}

#[test]
fn a_record_across_the_end_of_the_zeros_is_there_whole_or_not_at_all() {
    const SECTOR: usize = 512;
    let dir = tempfile::tempdir().unwrap();
    let mut journal = written(dir.path(), 1, SEGMENT_BYTES);
    // Large ones lay no zeros, so that a small file has an edge.
    let left = (journal.filled - journal.len) as usize;
    journal.append(draft_of(left - 6000), at(2), File::sync_data).unwrap();
    let before = fs::read(&journal.segment.path).unwrap();
    assert!(journal.len < journal.filled);
    journal.append(draft_of(20_000), at(3), File::sync_data).unwrap();
    let (path, after) = (journal.segment.path.clone(), fs::read(&journal.segment.path).unwrap());
    let (records, from, to) = (journal.seq - 1, before.len() - 6000, journal.len as usize);
    let mut dice = 7;
    for _ in 0..60 {
        // The file is as long as before, as long as after, or something in between; each sector is old, new or a hole.
        let longer = samples::dice(&mut dice, 4) * (to + SECTOR - before.len()) / 3;
        let mut disk = before.clone();
        disk.resize(before.len() + longer, 0);
        let most = samples::dice(&mut dice, 8);
        for sector in from / SECTOR..disk.len().div_ceil(SECTOR) {
            let place = sector * SECTOR..disk.len().min((sector + 1) * SECTOR);
            if samples::dice(&mut dice, 8) <= most {
                disk[place.clone()].copy_from_slice(&after[place]);
            }
        }
        fs::write(&path, &disk).unwrap();
        let is_whole = disk.len() >= to && disk[..to] == after[..to];
        let (read, end) = read(dir.path()).unwrap();
        assert_eq!(read.len() as u64, records + u64::from(is_whole));
        Journal::resume(dir.path(), end, 1, SEGMENT_BYTES).unwrap();
        assert_eq!(fs::read(&path).unwrap(), after[..held(dir.path()).1]);
    }
}

#[test]
fn a_disk_without_room_for_zeros_still_takes_records() {
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    for room in 0..=40 {
        let mut disk = Vec::new();
        let written = write_ahead(&[7; 40], 25, |rest, done| {
            assert_eq!(done as usize, disk.len());
            let taken = rest.len().min(room - disk.len()).min(9);
            disk.extend_from_slice(&rest[..taken]);
            if taken == 0 { Err(full()) } else { Ok(taken) }
        });
        assert_eq!(written.ok(), (room >= 25).then_some(room), "room for {room}");
    }
    let failed = write_ahead(&[7; 40], 25, |_, done| if done < 30 { Ok(10) } else { Err(io::ErrorKind::Other.into()) });
    assert!(failed.is_err(), "another error is one wherever it comes");
}

#[test]
fn only_an_end_looks_like_one() {
    let dir = tempfile::tempdir().unwrap();
    let ended = || Journal::has_ended(dir.path()).unwrap();
    let mut journal = written(dir.path(), 1, 1);
    assert!(!ended());
    journal.end_segment().unwrap();
    assert!(ended());
    // A start that only reads leaves it so; a turn that was torn, or a new file that the power took, does not.
    drop(written(dir.path(), 0, 1));
    assert!(ended());
    let path = files(dir.path()).pop().unwrap();
    let header = fs::read(&path).unwrap();
    for behind in [&b"\0"[..], b"x", b"torn"] {
        fs::write(&path, [&header, behind].concat()).unwrap();
        drop(written(dir.path(), 0, 1));
        assert_eq!((ended(), fs::read(&path).unwrap()), (false, [&header[..], b"\0"].concat()));
    }
    let mut journal = written(dir.path(), 1, 1);
    journal.rotate(1).unwrap();
    assert!(!ended());
    drop(journal);
    assert_eq!(written(dir.path(), 1, 1).seq, 3);
    assert_eq!(read(dir.path()).unwrap().0.len(), 3);
}

#[test]
fn zeros_are_an_end_only_where_no_record_follows() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 2, SEGMENT_BYTES);
    let file = files(dir.path()).remove(0);
    let (_, two) = held(dir.path());
    written(dir.path(), 1, SEGMENT_BYTES);
    let (bytes, three) = held(dir.path());
    written(dir.path(), 1, SEGMENT_BYTES);
    let (whole, four) = held(dir.path());
    // The third record is zeros: the fourth shows that it was there.
    let mut bad = whole.clone();
    bad[two..three].fill(0);
    fs::write(&file, &bad).unwrap();
    assert!(matches!(read(dir.path()), Err(JournalError::Damaged { offset, .. }) if offset == two as u64));
    // Something that is no record behind zeros was never acknowledged.
    let mut bad = bytes;
    bad[four + 700] = 1;
    fs::write(&file, &bad).unwrap();
    let (records, end) = read(dir.path()).unwrap();
    assert_eq!((records.len(), end.torn as usize), (3, four + 701 - three));
    // Where the cut of a full file was lost, the next one goes on; with a record missing it does not.
    fs::write(&file, &whole).unwrap();
    written(dir.path(), 1, 1);
    assert_eq!(files(dir.path()).len(), 2);
    fs::write(&file, &whole).unwrap();
    assert_eq!(read(dir.path()).unwrap().0.len(), 5);
    let mut bad = whole;
    bad[three..four].fill(0);
    fs::write(&file, &bad).unwrap();
    assert!(read(dir.path()).unwrap_err().to_string().ends_with("it does not continue the segment before"));
}

#[test]
fn a_flipped_byte_anywhere_before_the_last_record_is_found() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 11, 700);
    let files = files(dir.path());
    let (_, end) = read(dir.path()).unwrap().1.segment.unwrap();
    let last = files.last().unwrap();
    assert!(files.len() > 1);
    for file in &files {
        let good = fs::read(file).unwrap();
        // A record and its frame; the last one of the last file is the one that a crash may tear.
        let end = if file == last { end as usize - 8 - draft(11).payload_len() - 32 } else { good.len() };
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
    let (_, second) = held(dir.path());
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
    let (_, second) = held(dir.path());
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
    journal.rotate(0).unwrap();
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
