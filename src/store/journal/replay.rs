//! Reading the journal back, every byte checked on the way.
//!
//! Only one kind of damage is harmless: a last record of the last segment that is not whole, with no whole record after
//! it. Its turn was never synced, so nobody was told of it. Everything else stops the reading with file and offset. Any file
//! may end in zeros, which were laid there for records to come.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::JournalError;
use super::record::{self, Chain, HEAD, PAYLOAD_MAX, PAYLOAD_MIN, Record, TAIL};
use super::segment::{self, HEADER, Segment};

/// Where the journal ends, once everything was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The last whole record; 0 if there is none.
    pub seq: u64,
    /// The chain after it.
    pub chain: Chain,
    /// Which life of the store wrote the last record that was read; 0 if none was.
    pub epoch: u64,
    /// The last segment and how many of its bytes are whole; nothing where the journal has not begun.
    pub segment: Option<(Segment, u64)>,
    /// How many bytes of a record that was never completed lie behind them.
    pub torn: u64,
}

/// An iterator over the records from a sequence on.
#[derive(Debug)]
pub struct Replay {
    from: u64,
    seq: u64,
    chain: Chain,
    epoch: u64,
    open: Option<Open>,
    later: std::vec::IntoIter<Segment>,
    torn: u64,
    stopped: bool,
    /// Where the last record that was looked at begins.
    place: u64,
}

#[derive(Debug)]
struct Open {
    segment: Segment,
    file: BufReader<File>,
    len: u64,
    at: u64,
}

enum Frame {
    Whole(Bytes, Chain),
    Nothing,
    Bad(&'static str),
}

impl Replay {
    /// Checks that no segment is missing, and begins with the segment that holds `from`.
    pub fn begin(dir: &Path, from: u64) -> Result<Self, JournalError> {
        let mut segments = segment::list(dir)?;
        let held = segments.iter().rposition(|segment| segment.first <= from.max(1)).unwrap_or(0);
        let mut later = segments.split_off(held).into_iter();
        let open = later.next().map(Open::new).transpose()?;
        let (seq, chain) = match &open {
            Some(open) => (open.segment.first - 1, open.segment.before),
            None => (0, [0; 32]),
        };
        Ok(Self { from, seq, chain, epoch: 0, open, later, torn: 0, stopped: false, place: 0 })
    }

    /// The first record of one segment; nothing where it has none that is whole.
    pub fn first_of(segment: Segment) -> Result<Option<Record>, JournalError> {
        let before = segment.before;
        let mut open = Open::new(segment)?;
        match open.frame(&before)? {
            Frame::Whole(payload, chain) => Ok(Record::read(payload, chain)),
            Frame::Nothing | Frame::Bad(_) => Ok(None),
        }
    }

    /// The turn behind which the reading begins, and the chain there. To be asked before the first record.
    pub fn start(&self) -> (u64, Chain) {
        (self.seq, self.chain)
    }

    /// Where the last record lies that was looked at: the file, and the offset in it.
    pub fn place(&self) -> (PathBuf, u64) {
        (self.open.as_ref().map(|open| open.segment.path.clone()).unwrap_or_default(), self.place)
    }

    /// Where the journal ends. To be asked after the last record.
    pub fn end(self) -> End {
        let segment = self.open.map(|open| (open.segment, open.at));
        End { seq: self.seq, chain: self.chain, epoch: self.epoch, segment, torn: self.torn }
    }

    fn read(&mut self) -> Result<Option<Record>, JournalError> {
        loop {
            let Some(open) = &mut self.open else { return Ok(None) };
            let at = open.at;
            self.place = at;
            match open.frame(&self.chain)? {
                Frame::Whole(payload, chain) => {
                    let Some(record) = Record::read(payload, chain) else {
                        return Err(JournalError::damaged(&open.segment.path, at, "a record's parts do not fit"));
                    };
                    if record.seq != self.seq + 1 {
                        let what = format!("record {} stands where {} belongs", record.seq, self.seq + 1);
                        return Err(JournalError::damaged(&open.segment.path, at, &what));
                    }
                    (self.seq, self.chain, self.epoch) = (record.seq, chain, record.epoch);
                    if record.seq >= self.from {
                        return Ok(Some(record));
                    }
                }
                Frame::Nothing => {
                    let Some(next) = self.later.next() else { return Ok(None) };
                    if next.first != self.seq + 1 || next.before != self.chain {
                        return Err(JournalError::damaged(&next.path, 0, "it does not continue the segment before"));
                    }
                    self.open = Some(Open::new(next)?);
                }
                Frame::Bad(what) => {
                    let rest = open.rest(at)?;
                    if self.later.len() > 0 || has_record_after(&rest, self.seq + 1) {
                        return Err(JournalError::damaged(&open.segment.path, at, what));
                    }
                    self.torn = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
                    return Ok(None);
                }
            }
        }
    }
}

impl Iterator for Replay {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.stopped {
            return None;
        }
        let record = self.read().transpose();
        self.stopped = !matches!(record, Some(Ok(_)));
        record
    }
}

impl Open {
    fn new(segment: Segment) -> Result<Self, JournalError> {
        let io = |action| JournalError::io(action, &segment.path);
        let mut file = File::open(&segment.path).map_err(io("open"))?;
        let len = file.metadata().map_err(io("read"))?.len();
        file.seek(SeekFrom::Start(HEADER as u64)).map_err(io("read"))?;
        Ok(Self { file: BufReader::with_capacity(1 << 16, file), segment, len, at: HEADER as u64 })
    }

    /// Reads the frame at `self.at` and moves behind it if it is whole.
    fn frame(&mut self, before: &Chain) -> Result<Frame, JournalError> {
        let left = self.len - self.at;
        if left == 0 {
            return Ok(Frame::Nothing);
        }
        // Where less than a head is left, the rest decides.
        let mut head = [0; HEAD];
        if left >= HEAD as u64 {
            self.fill(&mut head)?;
        }
        if head == [0; HEAD] && self.rest(self.at)?.iter().all(|byte| *byte == 0) {
            return Ok(Frame::Nothing);
        }
        if left < (HEAD + PAYLOAD_MIN + TAIL) as u64 {
            return Ok(Frame::Bad("a record is cut off"));
        }
        let (length, sum) = (u32_at(&head, 0) as usize, u32_at(&head, 4));
        if !(PAYLOAD_MIN..=PAYLOAD_MAX).contains(&length) || (HEAD + length + TAIL) as u64 > left {
            return Ok(Frame::Bad("a record is cut off, or its length is damaged"));
        }
        let mut payload = vec![0; length];
        let mut chain = [0; TAIL];
        self.fill(&mut payload)?;
        self.fill(&mut chain)?;
        if crc32c::crc32c(&payload) != sum {
            return Ok(Frame::Bad("a record's checksum does not match"));
        }
        if record::link(before, &payload) != chain {
            return Ok(Frame::Bad("a record's chain does not match"));
        }
        self.at += (HEAD + length + TAIL) as u64;
        Ok(Frame::Whole(payload.into(), chain))
    }

    /// Everything from `at` to the end of the file. No frame can be read after it.
    fn rest(&mut self, at: u64) -> Result<Vec<u8>, JournalError> {
        let mut rest = Vec::new();
        let read = self.file.seek(SeekFrom::Start(at)).and_then(|_| self.file.read_to_end(&mut rest));
        read.map_err(JournalError::io("read", &self.segment.path))?;
        Ok(rest)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), JournalError> {
        self.file.read_exact(buffer).map_err(JournalError::io("read", &self.segment.path))
    }
}

/// Whether anything behind the bad frame at the beginning of `rest`, which is that of turn `bad`, looks like a record that was
/// written after it.
fn has_record_after(rest: &[u8], bad: u64) -> bool {
    (1..rest.len()).any(|start| looks_like_a_record(&rest[start..], bad))
}

fn looks_like_a_record(bytes: &[u8], after: u64) -> bool {
    if bytes.len() < HEAD + PAYLOAD_MIN + TAIL {
        return false;
    }
    let length = u32_at(bytes, 0) as usize;
    if !(PAYLOAD_MIN..=bytes.len() - HEAD - TAIL).contains(&length) {
        return false;
    }
    let payload = &bytes[HEAD..HEAD + length];
    let seq = u64::from_be_bytes(payload[..8].try_into().expect("8 bytes were cut"));
    // The number rules out nearly everything before the costly comparison.
    seq > after && seq - after <= u64::from(u32::MAX) && crc32c::crc32c(payload) == u32_at(bytes, 4)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes were cut"))
}
