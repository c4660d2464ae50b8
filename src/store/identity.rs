//! `store.id`: which store this is, which life of it, and where it lives, so that a copy is noticed.
//!
//! The file says on which machine it was written and which inode it is. Whoever copies the folder, restores it from a
//! backup or unpacks it elsewhere gets another file: the store then begins another life (epoch), without the right to act.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::journal::sync_dir;
use super::{StoreError, show_chain};

const FORMAT: u32 = 1;
/// Where systemd keeps the machine's own id; see machine-id(5).
const MACHINE_ID: &str = "/etc/machine-id";

/// A store and its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The same for every life and every copy.
    pub store: Uuid,
    /// From 1; the right to act belongs to the highest.
    pub epoch: u64,
}

/// What `store.id` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is no such file.
    Nothing,
    /// The store is where it was.
    Same(Identity),
    /// It is a copy, or was restored.
    Other(Identity, String),
}

#[derive(Serialize, Deserialize)]
struct Written {
    format: u32,
    store: Uuid,
    epoch: u64,
    /// A hash of the machine's id, which is not to be shown around.
    machine: String,
    inode: u64,
    /// When the inode came into being, in nanoseconds, where the file system tells: numbers of inodes are used again.
    born: Option<u128>,
    /// What the store was made from, where it was imported; the first start takes it for a copy.
    #[serde(default)]
    imported: Option<String>,
}

fn path(dir: &Path) -> PathBuf {
    dir.join("store.id")
}

/// Reads the file and compares it with where it lies.
///
/// # Errors
/// The file cannot be read. One that is no such file is a copy of nothing that we know: [`Found::Other`].
pub fn read(dir: &Path) -> Result<Found, StoreError> {
    let path = path(dir);
    let io = |source| StoreError::Io { action: "read", path: path.clone(), source };
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(io(error)),
    };
    let Some(written) = serde_json::from_slice::<Written>(&text).ok().filter(|written| written.format == FORMAT) else {
        let unknown = Identity { store: Uuid::new_v4(), epoch: 0 };
        return Ok(Found::Other(unknown, format!("{} is damaged or of another version", path.display())));
    };
    let identity = Identity { store: written.store, epoch: written.epoch };
    let (inode, born) = place(&File::open(&path).map_err(io)?).map_err(io)?;
    let machine = machine();
    let is_known = |here: &str| !here.is_empty() && !written.machine.is_empty();
    let why = if let Some(from) = written.imported {
        format!("it was imported from {from}")
    } else if is_known(&machine) && machine != written.machine {
        "it was written on another machine".to_owned()
    } else if inode != written.inode || (born.is_some() && written.born.is_some() && born != written.born) {
        "its files are copies: it was copied or restored".to_owned()
    } else {
        return Ok(Found::Same(identity));
    };
    Ok(Found::Other(identity, why))
}

/// Writes the file, durable, as belonging here.
///
/// # Errors
/// The disk failed.
pub fn write(dir: &Path, identity: Identity) -> Result<(), StoreError> {
    put(dir, identity, None)
}

/// Writes the file of a store that was made from something else, which `from` names; its first start begins another life.
///
/// # Errors
/// The disk failed.
pub fn write_imported(dir: &Path, identity: Identity, from: String) -> Result<(), StoreError> {
    put(dir, identity, Some(from))
}

fn put(dir: &Path, identity: Identity, imported: Option<String>) -> Result<(), StoreError> {
    let (path, unfinished) = (path(dir), dir.join("store.id.new"));
    let io = |action| {
        let path = path.clone();
        move |source| StoreError::Io { action, path, source }
    };
    let mut file = File::create(&unfinished).map_err(io("create"))?;
    // The inode stays the same when the file is renamed.
    let (inode, born) = place(&file).map_err(io("look at"))?;
    let Identity { store, epoch } = identity;
    let written = Written { format: FORMAT, store, epoch, machine: machine(), inode, born, imported };
    let mut text = serde_json::to_vec(&written).expect("it is a struct of texts and numbers");
    text.push(b'\n');
    file.write_all(&text).map_err(io("write"))?;
    file.sync_all().map_err(io("sync"))?;
    fs::rename(&unfinished, &path).map_err(io("rename"))?;
    Ok(sync_dir(dir)?)
}

fn place(file: &File) -> io::Result<(u64, Option<u128>)> {
    let about = file.metadata()?;
    let born = about.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    Ok((about.ino(), born.map(|since| since.as_nanos())))
}

/// Nothing where the machine has no id, as in some containers; then only the file itself tells a copy.
fn machine() -> String {
    let Ok(id) = fs::read_to_string(MACHINE_ID) else { return String::new() };
    // machine-id(5) asks for a hash with something of the application's own.
    let hash = Sha256::new().chain_update(b"remedyd store ").chain_update(id.trim()).finalize();
    show_chain(&hash[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { store: Uuid::from_u128(7), epoch: 3 };

    #[test]
    fn a_store_that_stays_or_is_renamed_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        fs::create_dir(&one).unwrap();
        assert_eq!(read(&one).unwrap(), Found::Nothing);
        write(&one, IDENTITY).unwrap();
        assert_eq!(read(&one).unwrap(), Found::Same(IDENTITY));
        fs::rename(&one, &other).unwrap();
        assert_eq!(read(&other).unwrap(), Found::Same(IDENTITY));
    }

    #[test]
    fn a_copy_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), IDENTITY).unwrap();
        let copy = tempfile::tempdir().unwrap();
        fs::copy(path(dir.path()), path(copy.path())).unwrap();
        let Found::Other(identity, why) = read(copy.path()).unwrap() else { panic!("a copy was not noticed") };
        assert_eq!(identity, IDENTITY);
        assert!(why.contains("copied"), "{why}");
    }

    #[test]
    fn the_same_inode_with_another_birth_or_machine_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), IDENTITY).unwrap();
        let good: serde_json::Value = serde_json::from_slice(&fs::read(path(dir.path())).unwrap()).unwrap();
        for (key, value) in [("machine", serde_json::json!("00")), ("inode", 1.into()), ("born", 1.into())] {
            if good[key].is_null() || good[key] == "" {
                continue;
            }
            let mut bad = good.clone();
            bad[key] = value;
            // Written in place: the file stays the one that it was.
            fs::write(path(dir.path()), bad.to_string()).unwrap();
            assert!(matches!(read(dir.path()).unwrap(), Found::Other(IDENTITY, _)), "{key}");
        }
        fs::write(path(dir.path()), good.to_string()).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Found::Same(IDENTITY));
    }

    #[test]
    fn an_import_and_a_damaged_file_are_others() {
        let dir = tempfile::tempdir().unwrap();
        write_imported(dir.path(), IDENTITY, "a checkpoint".to_owned()).unwrap();
        let Found::Other(IDENTITY, why) = read(dir.path()).unwrap() else { panic!() };
        assert_eq!(why, "it was imported from a checkpoint");
        fs::write(path(dir.path()), "{}").unwrap();
        assert!(matches!(read(dir.path()).unwrap(), Found::Other(Identity { epoch: 0, .. }, _)));
    }
}
