//! The journal's files: what they are called, how each begins, and in which order they belong.
//!
//! A segment comes into being whole: written under another name, synced, then renamed. So a bad header is always damage.
//! The header carries the segment's number and the chain before it, so that a missing file is found without reading the
//! others.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::{Chain, JournalError, LAST};

const MAGIC: &[u8; 8] = b"remedydJ";
const FORMAT: u32 = 1;
/// How long the header is: magic, format, number, first sequence, chain, CRC32C of all that.
pub const HEADER: usize = 8 + 4 + 8 + 8 + 32 + 4;
const SUFFIX: &str = ".journal";
const UNFINISHED: &str = ".journal.new";

/// One file of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it lies.
    pub path: PathBuf,
    /// From 1, without gaps.
    pub number: u64,
    /// The sequence of its first record.
    pub first: u64,
    /// The chain before its first record.
    pub before: Chain,
}

impl Segment {
    /// Makes a segment without records and with so many zeros, durable together with its name.
    pub fn create(
        dir: &Path,
        number: u64,
        first: u64,
        before: Chain,
        zeros: usize,
    ) -> Result<(Self, File), JournalError> {
        let path = dir.join(format!("{first:020}{SUFFIX}"));
        let unfinished = dir.join(format!("{first:020}{UNFINISHED}"));
        let io = |action, path: &Path| JournalError::io(action, path);
        let mut file = File::create(&unfinished).map_err(io("create", &unfinished))?;
        let segment = Self { path, number, first, before };
        let mut bytes = segment.header().to_vec();
        bytes.resize(HEADER + zeros, 0);
        file.write_all(&bytes).map_err(io("write", &unfinished))?;
        file.sync_all().map_err(io("sync", &unfinished))?;
        fs::rename(&unfinished, &segment.path).map_err(io("rename", &unfinished))?;
        sync_dir(dir)?;
        Ok((segment, file))
    }

    fn header(&self) -> [u8; HEADER] {
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&FORMAT.to_be_bytes());
        header.extend_from_slice(&self.number.to_be_bytes());
        header.extend_from_slice(&self.first.to_be_bytes());
        header.extend_from_slice(&self.before);
        header.extend_from_slice(&crc32c::crc32c(&header).to_be_bytes());
        header.try_into().expect("HEADER is the sum of these parts")
    }

    fn read(path: PathBuf) -> Result<Self, JournalError> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(named) = name.strip_suffix(SUFFIX).and_then(|digits| digits.parse::<u64>().ok()) else {
            return Err(JournalError::damaged(&path, 0, "its name is not that of a segment"));
        };
        let mut header = [0; HEADER];
        let read = File::open(&path).and_then(|mut file| file.read_exact(&mut header));
        match read {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(JournalError::damaged(&path, 0, "it is shorter than a header"));
            }
            Err(error) => return Err(JournalError::io("read", &path)(error)),
        }
        let (number, first) = (u64_at(&header, 12), u64_at(&header, 20));
        let before = header[28..60].try_into().expect("32 bytes were cut");
        let segment = Self { path, number, first, before };
        if segment.header() != header {
            return Err(JournalError::damaged(&segment.path, 0, "its header is damaged or of another version"));
        }
        if !(1..=LAST).contains(&first) || number == 0 {
            return Err(JournalError::damaged(&segment.path, 0, "no turn and no segment has such a number"));
        }
        if named != first {
            return Err(JournalError::damaged(&segment.path, 0, "it was renamed"));
        }
        Ok(segment)
    }
}

fn u64_at(header: &[u8; HEADER], at: usize) -> u64 {
    u64::from_be_bytes(header[at..at + 8].try_into().expect("8 bytes were cut"))
}

/// Every segment in order, each with a good header, without a gap. The first ones may be gone: whether that was allowed is
/// `audit verify`'s question, and whether what is left suffices is the opener's.
///
/// # Errors
/// The folder or a header cannot be read, or a segment is missing.
pub fn list(dir: &Path) -> Result<Vec<Segment>, JournalError> {
    let io = JournalError::io("list", dir);
    let names: Result<Vec<_>, _> = fs::read_dir(dir).and_then(Iterator::collect).map_err(io);
    let mut segments = Vec::new();
    for entry in names? {
        if entry.file_name().to_string_lossy().ends_with(SUFFIX) {
            segments.push(Segment::read(entry.path())?);
        }
    }
    segments.sort_by_key(|segment| segment.first);
    let first = segments.first().map_or(1, |segment| segment.number);
    for (segment, expected) in segments.iter().zip(first..) {
        if segment.number != expected {
            let what = format!("segment {expected} is missing before it, which is segment {}", segment.number);
            return Err(JournalError::damaged(&segment.path, 0, &what));
        }
    }
    Ok(segments)
}

/// Removes what a crash while a segment was being made has left.
pub fn sweep(dir: &Path) -> Result<(), JournalError> {
    let io = JournalError::io("list", dir);
    let names: Result<Vec<_>, _> = fs::read_dir(dir).and_then(Iterator::collect).map_err(io);
    for entry in names? {
        if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
            fs::remove_file(entry.path()).map_err(JournalError::io("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Makes the names in a folder durable.
pub fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir).and_then(|folder| folder.sync_all()).map_err(JournalError::io("sync", dir))
}
