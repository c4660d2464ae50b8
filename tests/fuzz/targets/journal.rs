//! Any bytes as a journal: every record that is read stands in the files as written, numbered and chained from the first.
//!
//! The input is a script that builds segments, with good checksums where it asks for them, so that what lies behind the
//! checksums is reached too; then it flips and cuts. The judge reads the files anew, by the documented form alone.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use remedyd::domain::Timestamp;
use remedyd::store::journal::record::RecordedCause;
use remedyd::store::journal::{Draft, Journal, SEGMENT_BYTES};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Magic, format, number, first sequence, chain, CRC32C.
const HEADER: usize = 64;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a folder can be made")
});

struct Segment {
    first: u64,
    bytes: Vec<u8>,
}

fuzz_target!(|script: &[u8]| {
    let dir = FOLDER.path().join("journal");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir(&dir).expect("a folder can be made");
    let segments = build(script);
    let mut paths: Vec<PathBuf> = Vec::new();
    for segment in &segments {
        paths.push(dir.join(format!("{:020}.journal", segment.first)));
        fs::write(paths.last().expect("just put there"), &segment.bytes).expect("a file can be written");
    }
    let Ok(mut replay) = Journal::read_from(&dir, 1) else { return };
    let frames: Vec<(Vec<u8>, [u8; 32])> = good_frames(&segments);
    let (start, _) = replay.start();
    let mut seen = 0;
    for record in replay.by_ref() {
        let Ok(record) = record else { return }; // Damage stops the reading; what came before was checked.
        let Some((payload, chain)) = frames.get(seen) else { panic!("record {} is not in the files", record.seq) };
        seen += 1;
        assert_eq!(record.seq, start + seen as u64, "a number is missing");
        assert_eq!(record.seq.to_be_bytes(), payload[..8], "another record stands there");
        assert_eq!(record.chain, *chain, "its chain is not over what stands there");
    }
    let end = replay.end();
    assert_eq!(end.seq, start + seen as u64);
    // What is whole goes on: one more turn, and everything is read again.
    let mut journal = Journal::resume(&dir, end, 1, SEGMENT_BYTES).expect("a journal that ends well goes on");
    let mut draft = Draft::default();
    let cause = RecordedCause::of("ann", "tick");
    draft.add(&cause, &[]);
    journal.append(draft, Timestamp::from_micros(1), |_| Ok(())).expect("there is room");
    let again = Journal::read_from(&dir, 1).expect("it was readable").map(|record| record.map(|record| record.seq));
    let again: Vec<u64> = again.collect::<Result<_, _>>().expect("it was readable");
    assert_eq!(
        again,
        (start + 1..=start + seen as u64 + 1).collect::<Vec<_>>(),
        "what was read before is not read after one more turn"
    );
});

/// The frames from the first segment on, as long as their sums and chains are right.
fn good_frames(segments: &[Segment]) -> Vec<(Vec<u8>, [u8; 32])> {
    let mut frames = Vec::new();
    let mut before = [0; 32];
    let mut sorted: Vec<&Segment> = segments.iter().collect();
    sorted.sort_by_key(|segment| segment.first);
    for segment in sorted {
        let mut rest = segment.bytes.get(HEADER..).unwrap_or_default();
        while let Some((head, behind)) = rest.split_at_checked(8) {
            let length = u32::from_be_bytes(head[..4].try_into().expect("four bytes")) as usize;
            let Some((payload, behind)) = behind.split_at_checked(length) else { break };
            let Some((chain, behind)) = behind.split_at_checked(32) else { break };
            let expected: [u8; 32] = Sha256::new().chain_update(before).chain_update(payload).finalize().into();
            if crc32c::crc32c(payload).to_be_bytes() != head[4..] || chain != expected || length < 28 {
                break;
            }
            before = expected;
            frames.push((payload.to_vec(), expected));
            rest = behind;
        }
    }
    frames
}

/// Reads the script: each step is a byte that says what, and what that needs.
fn build(script: &[u8]) -> Vec<Segment> {
    let mut script = script.iter().copied();
    let (mut seq, mut chain) = (0, [0; 32]);
    let mut segments = vec![begin(1, 1, chain)];
    while let Some(step) = script.next() {
        let number = segments.len() as u64 + 1;
        let last = segments.last_mut().expect("there is always one");
        match step % 8 {
            // A whole record with a number that is right, and any steps.
            0..=2 => {
                let mut payload = Vec::new();
                seq += 1;
                payload.extend_from_slice(&u64::to_be_bytes(seq));
                payload.extend_from_slice(&[0; 16]);
                let length = usize::from(script.next().unwrap_or(0));
                payload.extend_from_slice(&u32::from(step / 8).to_be_bytes());
                payload.extend(script.by_ref().take(length));
                chain = append(&mut last.bytes, &payload, chain);
            }
            // A whole record with one step of one entry.
            3 => {
                let mut payload = Vec::new();
                seq += 1;
                payload.extend_from_slice(&u64::to_be_bytes(seq));
                payload.extend_from_slice(&[0; 16]);
                payload.extend_from_slice(&1_u32.to_be_bytes());
                let cause = br#"{"principal":"a","kind":"b"}"#;
                payload.extend_from_slice(&(cause.len() as u32).to_be_bytes());
                payload.extend_from_slice(cause);
                payload.extend_from_slice(&1_u32.to_be_bytes());
                let length = script.next().unwrap_or(0);
                payload.extend_from_slice(&u32::from(length).to_be_bytes());
                payload.extend(script.by_ref().take(usize::from(length)));
                payload.push(0);
                chain = append(&mut last.bytes, &payload, chain);
            }
            // The next segment.
            4 => segments.push(begin(number, seq + 1, chain)),
            // Any bytes.
            5 => {
                let length = usize::from(script.next().unwrap_or(0));
                last.bytes.extend(script.by_ref().take(length));
            }
            // A byte is another.
            6 => {
                let at = usize::from(script.next().unwrap_or(0)) * 256 + usize::from(script.next().unwrap_or(0));
                let length = last.bytes.len();
                if length > 0 {
                    last.bytes[at % length] ^= script.next().unwrap_or(1);
                }
            }
            // The end is missing.
            _ => {
                let most = last.bytes.len();
                last.bytes.truncate(most - usize::from(script.next().unwrap_or(1)).min(most));
            }
        }
    }
    segments.dedup_by_key(|segment| segment.first);
    segments
}

fn begin(number: u64, first: u64, before: [u8; 32]) -> Segment {
    let mut bytes = b"remedydJ".to_vec();
    bytes.extend_from_slice(&1_u32.to_be_bytes());
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(&first.to_be_bytes());
    bytes.extend_from_slice(&before);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
    Segment { first, bytes }
}

fn append(bytes: &mut Vec<u8>, payload: &[u8], before: [u8; 32]) -> [u8; 32] {
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(payload).to_be_bytes());
    bytes.extend_from_slice(payload);
    let chain: [u8; 32] = Sha256::new().chain_update(before).chain_update(payload).finalize().into();
    bytes.extend_from_slice(&chain);
    chain
}
