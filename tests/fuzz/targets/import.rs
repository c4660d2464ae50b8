//! Any bytes as a checkpoint to import: refused, or a store from which every row comes out again as it went in, and which
//! acts on nothing.
//!
//! The input begins with how much of a good file's frame it gets: all of it is the input's own, or its lines stand between
//! a good first and a good last line, so that what lies behind the hash is reached too.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use remedyd::store::{self, Options, offline};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a folder can be made")
});

fuzz_target!(|input: &[u8]| {
    let Some((frame, text)) = input.split_first() else { return };
    let bytes = match frame % 2 {
        0 => text.to_vec(),
        _ => framed(text, 1 + frame / 2 % 2),
    };
    let (file, dir) = (FOLDER.path().join("file"), FOLDER.path().join("store"));
    fs::write(&file, &bytes).expect("a file can be written");
    let _ = fs::remove_dir_all(&dir);
    match offline::import(&dir, &file) {
        Ok(moved) => judge(&dir, &bytes, moved.rows),
        // What cannot be read is refused before anything is made of it.
        Err(_) => assert!(!dir.join("store.id").exists(), "a store was made of what was refused"),
    }
});

/// The store opens, may not act, and holds the file's rows and its own note of where its journal begins.
fn judge(dir: &Path, bytes: &[u8], rows: u64) {
    let opened = store::open(dir, Options::default()).expect("what was imported opens");
    let opened = opened.for_writing().expect("what was imported can be written to");
    assert!(opened.restored.is_some(), "it may act at once");
    opened.appender.close().expect("it closes");
    drop(opened.reader);
    let out: PathBuf = dir.join("out");
    offline::export(dir, Some(&out), &mut Vec::new()).expect("it can be exported");
    let (went_in, came_out) = (lines(bytes), lines(&fs::read(out).expect("it was written")));
    assert_eq!(went_in.len() as u64, rows, "rows were counted otherwise than they stand there");
    let is_note = |line: &&Vec<u8>| line.starts_with(b"{\"horizon\":{\"of\":\"journal\"");
    let mut kept: Vec<&Vec<u8>> = came_out.iter().filter(|line| !is_note(line)).collect();
    let mut given: Vec<&Vec<u8>> = went_in.iter().filter(|line| !is_note(line)).collect();
    kept.sort();
    given.sort();
    assert_eq!(kept, given, "a row is another one than in the file");
}

/// What stands between the first and the last line.
fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    lines.retain(|line| !line.is_empty());
    lines.pop();
    lines.into_iter().skip(1).collect()
}

/// A file of this format with a good frame around these lines. Its turn is the first eight bytes.
fn framed(text: &[u8], format: u8) -> Vec<u8> {
    let (seq, rows) = text.split_at(text.len().min(8));
    let seq = seq.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let mut bytes = format!(
        "{{\"format\":{format},\"store\":\"6baf6f52-657c-4161-b58a-a390547b6ebf\",\"epoch\":1,\"seq\":{seq},\"chain\":\"{}\",\
         \"at\":\"2026-11-25T16:58:50.909615Z\"}}\n",
        "cd".repeat(32)
    )
    .into_bytes();
    bytes.extend_from_slice(rows);
    if !rows.is_empty() && !rows.ends_with(b"\n") {
        bytes.push(b'\n');
    }
    let count = rows.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    bytes.extend_from_slice(format!("{{\"rows\":{count},\"until\":{seq},\"sha256\":\"").as_bytes());
    let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.extend_from_slice(format!("{hash}\"}}\n").as_bytes());
    bytes
}
