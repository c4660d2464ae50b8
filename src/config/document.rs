//! Files of the configuration: which were read, what they say as TOML, and where in them something stands.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use toml::Spanned;
use toml::de::DeTable;

use super::mistake::{Mistake, Mistakes};

/// Largest file that is read: far above any inventory, far below what could exhaust memory.
const LARGEST_BYTES: u64 = 64 << 20;

/// What was read so far, for the digest and for the watch.
#[derive(Clone, Debug, Default)]
pub(super) struct Files {
    digest: Sha256,
    watched: BTreeSet<PathBuf>,
    read: Vec<PathBuf>,
    listed: Vec<(PathBuf, Vec<OsString>)>,
}

impl Files {
    /// Reads a whole UTF-8 file; the folder is watched from here on, whether or not the file is there.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<String> {
        self.watch(folder_of(path));
        let meta = fs::metadata(path)?;
        if !meta.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        if meta.len() > LARGEST_BYTES {
            return Err(io::Error::other(format!("it is larger than {} MiB", LARGEST_BYTES >> 20)));
        }
        let bytes = fs::read(path)?;
        self.read.push(path.to_owned());
        let name = path.as_os_str().as_encoded_bytes();
        for part in [name, &bytes] {
            self.digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            self.digest.update(part);
        }
        String::from_utf8(bytes).map_err(|err| {
            let line = 1 + err.as_bytes()[..err.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
            io::Error::other(format!("line {line} is not UTF-8 text"))
        })
    }

    /// The names in a folder, in order; it is watched from here on, whether or not it is there.
    pub(super) fn list(&mut self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.watch(folder.to_owned());
        let mut names =
            fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        self.listed.push((folder.to_owned(), names.clone()));
        Ok(names)
    }

    /// Whether everything is still as it was read. Bytes are compared, and nothing is parsed again.
    pub(super) fn are_as_read(&self) -> bool {
        let mut again = Self::default();
        self.listed.iter().all(|(folder, names)| again.list(folder).is_ok_and(|now| now == *names))
            && self.read.iter().all(|path| again.read(path).is_ok())
            && again.digest.finalize() == self.digest.clone().finalize()
    }

    /// Watches a folder.
    pub(super) fn watch(&mut self, folder: PathBuf) {
        self.watched.insert(folder);
    }

    /// SHA-256 in hex over the path and bytes of every file in the order in which they were read, and the folders.
    pub(super) fn finish(&self) -> (String, BTreeSet<PathBuf>) {
        let hex = self.digest.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        (hex, self.watched.clone())
    }
}

/// The folder that a file is in; the current one where the path names none.
pub(super) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

/// One TOML file, and where mistakes in it go.
#[derive(Debug)]
pub(super) struct Document<'a> {
    pub(super) path: &'a Path,
    text: &'a str,
    /// Offsets of the first byte of every line.
    lines: Vec<usize>,
    mistakes: &'a Mistakes,
}

impl<'a> Document<'a> {
    pub(super) fn new(path: &'a Path, text: &'a str, mistakes: &'a Mistakes) -> Self {
        let lines = [0].into_iter().chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Self { path, text, lines, mistakes }
    }

    /// Reads the text; what is no TOML is a mistake, and what could be made of the rest is given all the same.
    pub(super) fn parse(&self) -> Spanned<DeTable<'a>> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            self.mistakes.add_syntax(self.mistake(span, "syntax", error.message().to_owned()));
        }
        root
    }

    /// Notes what is certainly wrong.
    pub(super) fn wrong(&self, span: Range<usize>, key: &str, what: impl Into<String>) {
        self.mistakes.add(self.mistake(span, key, what.into()));
    }

    /// Notes what may be wrong only because a broken file hides its other half.
    pub(super) fn doubtful(&self, span: Range<usize>, key: &str, what: impl Into<String>) {
        self.mistakes.add_doubtful(self.mistake(span, key, what.into()));
    }

    /// Notes what is legal but probably not meant.
    pub(super) fn warn(&self, span: Range<usize>, key: &str, what: impl Into<String>) {
        self.mistakes.warn(self.mistake(span, key, what.into()));
    }

    /// Line and column of an offset, both from 1, the column in characters.
    pub(super) fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or_default();
        (line, 1 + self.text.get(start..offset).map_or(0, |before| before.chars().count()))
    }

    fn mistake(&self, span: Range<usize>, key: &str, what: String) -> Mistake {
        let (line, column) = self.line_and_column(span.start);
        Mistake { file: self.path.to_owned(), line, column, key: key.to_owned(), what }
    }
}
