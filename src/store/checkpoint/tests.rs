//! Checkpoints alone: what was written is read back, and anything else is refused.

use std::collections::BTreeSet;

use super::*;
use crate::engine::Change;
use crate::store::samples;
use crate::store::{codec, dossier, keys};

const IDENTITY: Identity = Identity { store: Uuid::from_u128(9), epoch: 4 };

fn head() -> Head {
    Head { identity: IDENTITY, applied: Applied { seq: 70, at: samples::at(7), chain: [0xa5; 32] } }
}

fn rows() -> Vec<codec::Entry> {
    let mut rows: Vec<_> = samples::every_row().iter().map(codec::encode).collect();
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    rows
}

fn written(rows: &[codec::Entry]) -> Vec<u8> {
    let mut writing = Writing::begin(Vec::new(), &head()).unwrap();
    for row in rows {
        writing.row(&row.key, row.value.as_ref().unwrap()).unwrap().unwrap();
    }
    let (text, count, bytes) = writing.end(75).unwrap();
    assert_eq!((count, bytes), (rows.len() as u64, text.len() as u64));
    text
}

fn read_back(text: &[u8]) -> Result<(Vec<codec::Entry>, Checkpoint), StoreError> {
    let mut reading = Reading::begin(text, Path::new("a.checkpoint"))?;
    let mut rows = Vec::new();
    while let Some(row) = reading.next()? {
        rows.push(row);
    }
    Ok((rows, reading.checkpoint()?))
}

#[test]
fn what_was_written_is_read_back_byte_for_byte() {
    let text = written(&rows());
    let (found, checkpoint) = read_back(&text).unwrap();
    assert_eq!(found, rows());
    assert_eq!((checkpoint.head, checkpoint.until), (head(), 75));
    assert_eq!((checkpoint.rows, checkpoint.bytes), (rows().len() as u64, text.len() as u64));
    let text = String::from_utf8(text).unwrap();
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with("{\"format\":2,\"store\":\"00000000-0000-0000-0000-000000000009\",\"epoch\":4,\"seq\":70,")
    );
    assert!(text.contains("\n{\"cluster\":{\"id\":\"train-a\",\"name\":\"Training A\"}}\n"), "{text}");
}

#[test]
fn every_flipped_or_cut_byte_is_found() {
    let good = written(&rows());
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 0x04;
        let error = read_back(&bad).expect_err(&format!("byte {at} of {}", good.len()));
        assert!(matches!(error, StoreError::BadCheckpoint { .. }), "{error}");
        assert!(read_back(&good[..at]).is_err(), "cut at {at}");
    }
    let longer = [&good[..], b"\n"].concat();
    assert!(read_back(&longer).unwrap_err().to_string().ends_with("something stands behind it"));
}

#[test]
fn rows_that_are_out_of_order_or_doubled_are_refused_whatever_the_hash_says() {
    let mut rows = rows();
    rows.swap(0, 1);
    assert!(read_back(&written(&rows)).unwrap_err().to_string().contains("does not come after the one before"));
    rows[0] = rows[1].clone();
    assert!(read_back(&written(&rows)).is_err());
}

#[test]
fn rows_of_a_remediation_stand_together_and_those_of_before_by_their_keys() {
    let two = [1, 2].into_iter().flat_map(|n| {
        let (remediation, link) = (samples::remediation(n), samples::link(n, 0));
        [Change::Remediation(Box::new(remediation)), Change::Link(Box::new(link))]
    });
    let together: Vec<_> = two.map(|change| codec::encode(&change)).collect();
    let mut by_key = together.clone();
    by_key.sort_by_key(|row| row.key.clone());
    let before = |rows: &[codec::Entry]| {
        let (text, _, _) = {
            let mut writing = Writing::begin_as(Vec::new(), &head(), BY_KEY).unwrap();
            rows.iter().for_each(|row| writing.row(&row.key, row.value.as_ref().unwrap()).unwrap().unwrap());
            writing.end(75).unwrap()
        };
        text
    };
    assert_eq!(read_back(&written(&together)).unwrap().0, together);
    assert_eq!(read_back(&before(&by_key)).unwrap().0, by_key);
    assert!(read_back(&written(&by_key)).is_err() && read_back(&before(&together)).is_err());
    // Whether a row is too large for its dossier, and comes behind others, is no business of who reads.
    let mut late = together.clone();
    late.swap(0, 1);
    assert_eq!(read_back(&written(&late)).unwrap().0, late);
    late[1] = late[0].clone();
    assert!(read_back(&written(&late)).is_err(), "the same row twice");
}

#[test]
fn a_damaged_row_does_not_get_into_a_checkpoint() {
    let mut writing = Writing::begin(Vec::new(), &head()).unwrap();
    let row = rows().remove(0);
    let mut value = row.value.unwrap().to_vec();
    *value.last_mut().unwrap() ^= 1;
    assert!(writing.row(&row.key, &value).is_err());
    assert!(writing.row(keys::APPLIED, b"").is_err());
}

#[test]
fn the_newest_whole_one_counts_and_two_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(latest(dir.path()).unwrap(), None);
    let mut paths = Vec::new();
    for seq in 1..=3 {
        let mut head = head();
        head.applied.seq = seq;
        let (unfinished, writing) = folder::Unfinished::begin(dir.path(), &head).unwrap();
        assert_eq!(latest(dir.path()).unwrap().map(|found| found.head.applied.seq), (seq > 1).then_some(seq - 1));
        writing.end(seq).unwrap();
        paths.push(unfinished.finish().unwrap());
    }
    assert_eq!(folder::list(dir.path()).unwrap(), [(2, paths[1].clone()), (3, paths[2].clone())]);
    assert_eq!(latest(dir.path()).unwrap().unwrap().path, paths[2]);
    std::fs::write(&paths[2], "{}").unwrap();
    assert_eq!(latest(dir.path()).unwrap().unwrap().path, paths[1]);
}

#[test]
fn what_a_crash_left_unfinished_goes_with_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let (given_up, _) = folder::Unfinished::begin(dir.path(), &head()).unwrap();
    let path = given_up.path.clone();
    drop(given_up);
    assert!(!path.exists());
    let (left, _) = folder::Unfinished::begin(dir.path(), &head()).unwrap();
    let left = std::mem::ManuallyDrop::new(left);
    let mut next = head();
    next.applied.seq += 1;
    folder::Unfinished::begin(dir.path(), &next).unwrap();
    assert!(!left.path.exists());
}

#[test]
fn a_chain_is_read_as_it_is_shown() {
    let chain: Chain = std::array::from_fn(|n| n as u8 * 7);
    assert_eq!(parse_chain(&show_chain(&chain)), Some(chain));
    for bad in ["", "zz", &"é".repeat(32), &"+f".repeat(32)] {
        assert_eq!(parse_chain(bad), None, "{bad}");
    }
}

#[test]
fn a_restored_sled_holds_the_same_rows_and_their_indexes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.checkpoint");
    std::fs::write(&path, written(&rows())).unwrap();
    let checkpoint = Checkpoint::verify(&path).unwrap();
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    let db = database::open(&one, false).unwrap();
    assert_eq!(checkpoint.restore(&db).unwrap(), head().applied);
    assert_eq!(database::applied(&db).unwrap(), head().applied);
    let same = database::open(&other, false).unwrap();
    let rows: Vec<Row> = rows().into_iter().map(|row| row.try_into().unwrap()).collect();
    fill(&same, &rows).unwrap();
    database::note_applied(&same, head().applied).unwrap();
    let all = |db: &sled::Db| db.iter().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(all(&db), all(&same));
    let indexes: usize = rows.iter().map(|row| row.index.len()).sum();
    // A dossier is one key for several rows.
    let places: BTreeSet<_> = rows.iter().map(|row| dossier::home(&row.entry)).collect();
    assert_eq!(all(&db).iter().filter(|(key, _)| key[0] != 0).count(), places.len() + indexes);
}
