//! A folder as an operator would have it: the shipped configuration, with exactly the changes that a test names.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{DAEMON_PORT, address_of_its_own};

/// The folder, and the address that belongs to it.
pub struct Site {
    folder: TempDir,
    address: Ipv4Addr,
}

impl Site {
    /// The shipped files, unchanged.
    pub fn shipped() -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config"), &folder.path().join("config"));
        Self { folder, address: address_of_its_own() }
    }

    /// The shipped files with a source that only sends: nobody is asked before an act, or to verify one.
    pub fn webhook_only() -> Self {
        let site = Self::shipped();
        site.change(MAIN, "alertmanagers = [\"http://127.0.0.1:9093\"] ", "# webhook only");
        site
    }

    /// The address with a port.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.address), port)
    }

    /// Where the daemon of this site listens.
    pub fn daemon_address(&self) -> SocketAddr {
        self.at(DAEMON_PORT)
    }

    /// A path below the folder: `config/…` is the configuration, `data` the store.
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    /// All bytes of the journal. Records are written over zeros, so its length alone does not tell whether one was.
    pub fn journal(&self) -> Vec<Vec<u8>> {
        let mut files: Vec<_> =
            fs::read_dir(self.path("data/journal")).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        files.into_iter().map(|file| fs::read(file).unwrap()).collect()
    }

    /// The main configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.path(MAIN)
    }

    /// What a file says.
    pub fn read(&self, file: &str) -> String {
        let path = self.path(file);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes a whole file, as an editor does: beside it, then over it.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        let fresh = path.with_extension("fresh");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&fresh, text).unwrap();
        fs::rename(&fresh, &path).unwrap();
    }

    /// Changes the one place in a file that says `from`.
    pub fn change(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert_eq!(text.matches(from).count(), 1, "`{from}` must stand in {file} once");
        self.write(file, &text.replacen(from, to, 1));
    }

    /// Adds lines to a file.
    pub fn append(&self, file: &str, lines: &str) {
        self.write(file, &format!("{}\n{lines}\n", self.read(file)));
    }

    /// Gives keys of `[policy]` another time; each must be there already.
    pub fn policy(&self, keys: &[(&str, &str)]) {
        for (key, value) in keys {
            let text = self.read(MAIN);
            let start = format!("{key} = \"");
            let found: Vec<&str> = text.lines().filter(|line| line.starts_with(&start)).collect();
            let [line] = found[..] else { panic!("`{key}` must stand in {MAIN} once") };
            self.write(MAIN, &text.replace(line, &format!("{start}{value}\"")));
        }
    }

    /// Lets the cluster act by another driver, described by these lines.
    pub fn act_by(&self, driver: &str, lines: &str) {
        self.change(MAIN, "act = \"rehearse\" ", &format!("act = \"{driver}\" "));
        self.append(MAIN, lines);
    }
}

/// The main file, as seen from the folder.
pub const MAIN: &str = "config/remedyd.toml";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
