//! A disk of its own, small enough to be filled: ext4 in a file, or memory where that cannot be mounted.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::statvfs;

/// How large it is.
const SIZE: &str = "64M";
const MIB: usize = 1 << 20;

/// Mounted until it is dropped.
pub struct SmallDisk {
    folder: PathBuf,
    /// What it is, for the figures.
    pub kind: &'static str,
}

impl SmallDisk {
    /// Mounts one at `folder`. Nothing where this process may not mount.
    pub fn mount(folder: &Path, image: &Path) -> Option<Self> {
        fs::create_dir_all(folder).unwrap();
        let run = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
        };
        let (at, file) = (folder.to_str().unwrap(), image.to_str().unwrap());
        let kind = if run("truncate", &["-s", SIZE, file])
            && run("mkfs.ext4", &["-q", "-m", "0", file])
            && run("mount", &["-o", "loop", file, at])
        {
            "ext4"
        } else if run("mount", &["-t", "tmpfs", "-o", &format!("size={SIZE}"), "tmpfs", at]) {
            "tmpfs"
        } else {
            return None;
        };
        Some(Self { folder: folder.to_owned(), kind })
    }

    /// Bytes that are free.
    pub fn free(&self) -> u64 {
        let about = statvfs(&self.folder).unwrap();
        about.f_bavail * about.f_frsize
    }

    /// Somebody else's file takes everything but so many bytes.
    pub fn fill(&self, but: u64) {
        let mut filler = File::options().append(true).create(true).open(self.filler()).unwrap();
        while self.free() > but {
            let part = usize::try_from(self.free() - but).unwrap().min(MIB);
            if filler.write_all(&vec![1; part]).and_then(|()| filler.sync_all()).is_err() {
                break;
            }
        }
    }

    /// It goes away again.
    pub fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("somebody-elses-file")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A daemon that a failed test left may still use it.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
    }
}
