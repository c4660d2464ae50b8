//! The files of one running operation: its lock, and what its program reads and writes.
//!
//! The lock is an flock on `<operation key>.lock`, and that open file is the program's standard error. So the lock lives
//! exactly as long as the program and those of its descendants that keep their standard error, whatever becomes of this
//! process: a restarted daemon waits for what its predecessor began. Input and output are files as well, not pipes: an
//! orphan that writes to a pipe without a reader would be killed in the middle of its act.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use rustix::io::Errno;

/// What may be kept of a program's output before its beginning is given back to the file system.
const KEPT_BYTES: u64 = 64 * 1024;
/// Trimming less often than at this size saves work and still bounds the disk.
const TRIM_ABOVE_BYTES: u64 = 1024 * 1024;
/// Holes are punched in whole blocks of this size.
const BLOCK_BYTES: u64 = 4096;

/// The folder of all operations.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Makes the folder, readable by nobody else, and removes what no living program holds.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let at = |path: &Path| {
            let shown = path.display().to_string();
            move |error: io::Error| io::Error::new(error.kind(), format!("cannot use {shown}: {error}"))
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(at(&path))?;
        for entry in fs::read_dir(&path).map_err(at(&path))? {
            let path = entry.map_err(at(&path))?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("lock") => Lock::remove_unless_held(&path).map_err(at(&path))?,
                Some("in" | "out") => fs::remove_file(&path).map_err(at(&path))?,
                _ => {}
            }
        }
        Ok(Self(path))
    }

    /// Takes the lock of `key`, or nothing while somebody holds it.
    pub(super) fn try_lock(&self, key: &str) -> io::Result<Option<Lock>> {
        Lock::try_take(&self.0.join(format!("{key}.lock")))
    }

    /// A file with `content`, to be read from its beginning. Only the holder of the lock of `key` calls this.
    pub(super) fn input(&self, key: &str, content: &[u8]) -> io::Result<File> {
        let mut file = nameless(&self.0.join(format!("{key}.in")))?;
        file.write_all(content)?;
        file.rewind()?;
        Ok(file)
    }

    /// An empty file. Only the holder of the lock of `key` calls this.
    pub(super) fn output(&self, key: &str) -> io::Result<Output> {
        Ok(Output(nameless(&self.0.join(format!("{key}.out")))?))
    }
}

/// Opens a file that goes by itself with its last user.
fn nameless(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    fs::remove_file(path)?;
    Ok(file)
}

/// The right to run the one program of an operation.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    /// What the program says on its standard error.
    pub(super) stderr: Output,
}

impl Lock {
    fn try_take(path: &Path) -> io::Result<Option<Self>> {
        Self::take(OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?, path)
    }

    /// Takes the lock of `file`, if that is still the file at `path`.
    fn take(file: File, path: &Path) -> io::Result<Option<Self>> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // The holder before us may have removed the file after we opened it: then another one has the name, or none.
        let named = match fs::metadata(path) {
            Ok(named) => named,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let ours = file.metadata()?;
        if (named.dev(), named.ino()) != (ours.dev(), ours.ino()) {
            return Ok(None);
        }
        file.set_len(0)?;
        Ok(Some(Self { path: path.to_owned(), stderr: Output(file) }))
    }

    /// Gives the lock back and removes its file, unless a descendant of the program still holds it.
    pub(super) fn release(self) -> io::Result<()> {
        drop(self.stderr);
        Self::remove_unless_held(&self.path)
    }

    fn remove_unless_held(path: &Path) -> io::Result<()> {
        if let Some(lock) = Self::try_take(path)? {
            // Held until the name is gone, so that nobody takes it in between.
            fs::remove_file(&lock.path)?;
        }
        Ok(())
    }
}

/// A file that a program writes and of which only the end matters.
#[derive(Debug)]
pub(super) struct Output(File);

impl Output {
    /// The same open file once more, for the program.
    pub(super) fn for_child(&self) -> io::Result<File> {
        self.0.try_clone()
    }

    /// The last bytes, at most `limit`, and whether there was more before them.
    pub(super) fn tail(&self, limit: u64) -> io::Result<(Vec<u8>, bool)> {
        let size = self.0.metadata()?.len();
        let from = size.saturating_sub(limit.min(KEPT_BYTES));
        let mut bytes = vec![0; usize::try_from(size - from).unwrap_or(0)];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.0.read_at(&mut bytes[filled..], from + filled as u64)? {
                0 => break,
                more => filled += more,
            }
        }
        bytes.truncate(filled);
        Ok((bytes, from > 0))
    }

    /// Frees the disk below all but the end, without moving it: the program may be writing at this moment. A file system
    /// that cannot punch holes keeps everything until the program ends, at its deadline at the latest.
    pub(super) fn trim(&self) {
        let Ok(meta) = self.0.metadata() else { return };
        let needless = meta.len().saturating_sub(KEPT_BYTES) / BLOCK_BYTES * BLOCK_BYTES;
        if meta.blocks() * 512 > TRIM_ABOVE_BYTES && needless > 0 {
            let _ = fallocate(&self.0, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, needless);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (Folder, tempfile::TempDir) {
        let temporary = tempfile::tempdir().unwrap();
        (Folder::open(temporary.path().join("operations")).unwrap(), temporary)
    }

    fn names(folder: &Folder) -> Vec<String> {
        fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn one_holder_at_a_time() {
        let (folder, _temporary) = folder();
        let lock = folder.try_lock("k").unwrap().unwrap();
        assert!(folder.try_lock("k").unwrap().is_none());
        assert!(folder.try_lock("other").unwrap().is_some());
        lock.release().unwrap();
        assert!(folder.try_lock("k").unwrap().is_some());
    }

    #[test]
    fn the_lock_lasts_as_long_as_the_childs_standard_error() {
        let (folder, _temporary) = folder();
        let lock = folder.try_lock("k").unwrap().unwrap();
        let child = lock.stderr.for_child().unwrap();
        lock.release().unwrap();
        assert!(folder.try_lock("k").unwrap().is_none());
        let again = Folder::open(folder.0.clone()).unwrap();
        assert_eq!(names(&again), ["k.lock"], "a start leaves what is held");
        drop(child);
        let again = Folder::open(folder.0.clone()).unwrap();
        assert!(names(&again).is_empty(), "a start removes what nobody holds");
    }

    #[test]
    fn a_lock_on_a_removed_file_is_none() {
        let (folder, _temporary) = folder();
        let path = folder.0.join("k.lock");
        // What a waiter holds that opened the file just before its holder removed it.
        let early = || OpenOptions::new().read(true).append(true).create(true).open(&path).unwrap();
        let (first, second) = (early(), early());
        folder.try_lock("k").unwrap().unwrap().release().unwrap();
        assert!(Lock::take(first, &path).unwrap().is_none(), "nothing has the name");
        let _other = folder.try_lock("k").unwrap().unwrap();
        assert!(Lock::take(second, &path).unwrap().is_none(), "another file has the name");
    }

    #[test]
    fn input_and_output_leave_no_name_behind() {
        let (folder, _temporary) = folder();
        let input = folder.input("k", b"hello").unwrap();
        let output = folder.output("k").unwrap();
        assert_eq!(io::read_to_string(input).unwrap(), "hello");
        output.for_child().unwrap().write_all(b"world").unwrap();
        assert_eq!(output.tail(3).unwrap(), (b"rld".to_vec(), true));
        assert_eq!(output.tail(5).unwrap(), (b"world".to_vec(), false));
        assert!(names(&folder).is_empty());
    }

    #[test]
    fn trimming_frees_the_disk_and_keeps_the_end() {
        let (folder, _temporary) = folder();
        let output = folder.output("k").unwrap();
        let mut child = output.for_child().unwrap();
        child.write_all(&vec![b'x'; 4 << 20]).unwrap();
        child.write_all(b"end").unwrap();
        let before = output.tail(1000).unwrap();
        output.trim();
        assert_eq!(output.tail(1000).unwrap(), before);
        child.write_all(b"more").unwrap();
        assert_eq!(output.tail(7).unwrap(), (b"endmore".to_vec(), true));
    }
}
