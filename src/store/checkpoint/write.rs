//! Writing a checkpoint, line by line.

use std::io::{self, Write};

use sha2::{Digest, Sha256};

use super::{FORMAT, Head, before_hash, show_chain};
use crate::store::codec::{self, BadRow};

/// A checkpoint that is being written.
#[derive(Debug)]
pub struct Writing<W> {
    out: W,
    sum: Sha256,
    line: Vec<u8>,
    rows: u64,
    bytes: u64,
}

impl<W: Write> Writing<W> {
    /// Begins with the first line.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(out: W, head: &Head) -> io::Result<Self> {
        Self::begin_as(out, head, FORMAT)
    }

    pub(super) fn begin_as(out: W, head: &Head, format: u32) -> io::Result<Self> {
        let mut writing = Self { out, sum: Sha256::new(), line: head.write(format), rows: 0, bytes: 0 };
        writing.end_line()?;
        Ok(writing)
    }

    /// Adds a row. Rows come as they lie in sled.
    ///
    /// # Errors
    /// The row is damaged; nothing of it was written.
    pub fn row(&mut self, key: &[u8], value: &[u8]) -> Result<io::Result<()>, BadRow> {
        codec::to_line(key, value, &mut self.line)?;
        self.rows += 1;
        Ok(self.end_line())
    }

    /// Adds the last line, and says how many rows and bytes it all is.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn end(mut self, until: u64) -> io::Result<(W, u64, u64)> {
        self.line.extend_from_slice(before_hash(self.rows, until).as_bytes());
        self.sum.update(&self.line);
        self.line.extend_from_slice(show_chain(&self.sum.clone().finalize()).as_bytes());
        self.line.extend_from_slice(b"\"}");
        self.end_line()?;
        self.out.flush()?;
        Ok((self.out, self.rows, self.bytes))
    }

    /// What is written to.
    pub fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// How many bytes were written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.line.push(b'\n');
        self.sum.update(&self.line);
        self.bytes += self.line.len() as u64;
        let written = self.out.write_all(&self.line);
        self.line.clear();
        written
    }
}
