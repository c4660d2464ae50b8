//! The shim (`shim.c`) around one daemon: built once per site, loaded into the daemon alone, and told what to do.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::site::Site;

/// What can be changed and read while the daemon runs: the places in the control file, as `shim.c` has them.
#[derive(Clone, Copy, Debug)]
pub enum Control {
    /// Nanoseconds that are added to the wall clock.
    ClockOffset = 0,
    /// The n-th sync from now fails once.
    SyncFails = 1,
    /// With this.
    SyncErrno = 2,
    /// Everything that adds to the disk fails with this.
    WriteErrno = 3,
    /// So many bytes may be added in all.
    Room = 4,
    /// What the faults are about: [`JOURNAL`], [`OTHERS`], or both.
    Where = 5,
    /// Which syncs are said to be done and are not: those of [`FILES`] or of [`FOLDERS`].
    Lies = 6,
    /// Bytes that were added.
    Grown = 7,
    /// Syncs of what `Where` names.
    Syncs = 8,
    /// Readings of the wall clock.
    ClockReads = 9,
    /// Microseconds that each sync takes longer.
    SyncTakes = 10,
}

/// How many numbers the control file holds.
const CONTROLS: usize = 11;

/// The segments of the journal.
pub const JOURNAL: i64 = 1;
/// Everything else below the folder.
pub const OTHERS: i64 = 2;

/// What may be lied about.
pub const FILES: i64 = 1;
pub const FOLDERS: i64 = 2;

/// What `open` and the rest say about a bad disk.
pub const EIO: i64 = 5;
/// And about a full one.
pub const ENOSPC: i64 = 28;

/// The library and the files that it shares with the test.
pub struct Shim {
    library: PathBuf,
    folder: PathBuf,
    control_file: PathBuf,
    control: File,
    log: PathBuf,
}

impl Shim {
    /// Builds it for the store of `site`.
    pub fn build(site: &Site) -> Self {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/shim.c");
        let library = site.path("shim.so");
        let built = Command::new("cc")
            .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .output()
            .unwrap_or_else(|error| panic!("cc, which tests/run installs, cannot be started: {error}"));
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let control_file = site.path("control");
        fs::write(&control_file, [0; CONTROLS * 8]).unwrap();
        let control = OpenOptions::new().read(true).write(true).open(&control_file).unwrap();
        let shim = Self { library, folder: site.path("data"), control_file, control, log: site.path("disk.log") };
        shim.set(Control::Where, JOURNAL | OTHERS);
        shim
    }

    /// Changes a number.
    pub fn set(&self, what: Control, number: i64) {
        self.control.write_all_at(&number.to_ne_bytes(), what as u64 * 8).unwrap();
    }

    /// Reads a number.
    pub fn get(&self, what: Control) -> i64 {
        let mut bytes = [0; 8];
        self.control.read_exact_at(&mut bytes, what as u64 * 8).unwrap();
        i64::from_ne_bytes(bytes)
    }

    /// Loads it into a daemon that is to be started, with a fresh log where one is wanted.
    pub fn load(&self, command: &mut Command, has_log: bool) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAULTS_FOLDER", &self.folder)
            .env("FAULTS_CONTROL", &self.control_file);
        if has_log {
            let _ = fs::remove_file(&self.log);
            command.env("FAULTS_LOG", &self.log);
        }
    }

    /// What the last daemon did to its disk.
    pub fn log(&self) -> Vec<u8> {
        fs::read(&self.log).unwrap_or_default()
    }
}
