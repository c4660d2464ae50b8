//! The folder of the checkpoints: how they are called, which is the newest, and how many are kept.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use tracing::warn;

use super::{Checkpoint, Head, Writing};
use crate::store::StoreError;
use crate::store::journal::sync_dir;

/// How many are kept: where the newest turns out to be damaged, there is another.
const KEPT: usize = 2;
const SUFFIX: &str = ".checkpoint";
const UNFINISHED: &str = ".checkpoint.new";

fn folder(dir: &Path) -> PathBuf {
    dir.join("checkpoints")
}

/// The finished files of the store in `dir` by the turn that they begin with, oldest first.
///
/// # Errors
/// The folder cannot be read.
pub fn list(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut found: Vec<(u64, PathBuf)> = names(dir)?
        .into_iter()
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            Some((name.strip_suffix(SUFFIX)?.parse().ok()?, path))
        })
        .collect();
    found.sort_unstable();
    Ok(found)
}

fn names(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let folder = folder(dir);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect()),
    };
    entries.map_err(|source| StoreError::Io { action: "list", path: folder, source })
}

/// The newest checkpoint of the store in `dir` that is whole. Damaged ones are passed over with a warning.
///
/// # Errors
/// None is whole, and of one nobody can tell because the disk failed.
pub fn latest(dir: &Path) -> Result<Option<Checkpoint>, StoreError> {
    let mut unread = None;
    for (_, path) in list(dir)?.into_iter().rev() {
        match Checkpoint::verify(&path) {
            Ok(checkpoint) => return Ok(Some(checkpoint)),
            Err(error) => {
                warn!("passed over a checkpoint: {error}");
                if !matches!(error, StoreError::BadCheckpoint { .. }) {
                    unread.get_or_insert(error);
                }
            }
        }
    }
    unread.map_or(Ok(None), Err)
}

/// A file that nobody takes for a checkpoint until it was finished.
#[derive(Debug)]
pub struct Unfinished {
    dir: PathBuf,
    /// Where it is written.
    pub path: PathBuf,
    finished: PathBuf,
}

impl Unfinished {
    /// Begins the file of a checkpoint of the store in `dir`. What earlier ones left unfinished goes.
    ///
    /// # Errors
    /// The disk failed.
    pub fn begin(dir: &Path, head: &Head) -> Result<(Self, Writing<BufWriter<File>>), StoreError> {
        let folder = folder(dir);
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { action, path, source }
        };
        if !folder.is_dir() {
            fs::create_dir(&folder).map_err(io("create", &folder))?;
            sync_dir(dir)?;
        }
        for path in names(dir)? {
            if path.to_string_lossy().ends_with(UNFINISHED) {
                fs::remove_file(&path).map_err(io("remove", &path))?;
            }
        }
        let seq = head.applied.seq;
        let path = folder.join(format!("{seq:020}{UNFINISHED}"));
        let file = File::create(&path).map_err(io("create", &path))?;
        let writing = Writing::begin(BufWriter::with_capacity(1 << 16, file), head).map_err(io("write", &path))?;
        Ok((Self { dir: folder.clone(), path, finished: folder.join(format!("{seq:020}{SUFFIX}")) }, writing))
    }

    /// Gives the file its name, now that it was written, synced and verified, and removes what is older than the last
    /// ones that are kept.
    ///
    /// # Errors
    /// The disk failed.
    pub fn finish(self) -> Result<PathBuf, StoreError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::Io { action, path, source }
        };
        fs::rename(&self.path, &self.finished).map_err(io("rename", &self.path))?;
        sync_dir(&self.dir)?;
        let store = self.dir.parent().expect("it was made by joining");
        let all = list(store)?;
        for (_, path) in &all[..all.len().saturating_sub(KEPT)] {
            fs::remove_file(path).map_err(io("remove", path))?;
        }
        Ok(self.finished.clone())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Where it was finished, there is nothing of that name; else it would only take room until the next one.
        let _ = fs::remove_file(&self.path);
    }
}
