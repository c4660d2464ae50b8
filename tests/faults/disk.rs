//! What a disk holds after a power cut, made of what the daemon did to it.
//!
//! A file and a folder are alike here: what a sync of it covered is there; what came after its last sync is open. Any
//! part of that may survive: nothing, everything, or some sectors of some writes. A name belongs to its folder: a file
//! whose own bytes are synced is gone all the same while nobody synced the folder that names it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::dice::Dice;

/// Disks write whole sectors, and nothing larger.
const SECTOR: usize = 512;

/// What survives of that which no sync covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survives {
    Nothing,
    Everything,
    /// The dice say it, for each file, folder, write and sector.
    Some,
}

/// The whole folder after a cut: the folders and the files in it, by their path below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub folders: BTreeSet<String>,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    /// What is there.
    pub fn read(folder: &Path) -> Self {
        let mut image = Self::default();
        image.add(folder, "");
        image
    }

    fn add(&mut self, folder: &Path, below: &str) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        self.folders.insert(below.to_owned());
        for entry in entries.map(Result::unwrap) {
            let path = join(below, entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                self.add(&entry.path(), &path);
            } else if let Ok(bytes) = fs::read(entry.path()) {
                self.files.insert(path, bytes);
            }
        }
    }

    /// Makes the folder hold this and nothing else. Files that stay are changed in place: a disk that comes back has the
    /// same inodes, by which the daemon knows that its store is no copy.
    pub fn put(&self, folder: &Path) {
        let there = Self::read(folder);
        for below in there.files.keys().filter(|below| !self.files.contains_key(*below)) {
            fs::remove_file(folder.join(below)).unwrap();
        }
        for below in there.folders.iter().rev().filter(|below| !self.folders.contains(*below)) {
            fs::remove_dir(folder.join(below)).unwrap();
        }
        for below in &self.folders {
            fs::create_dir_all(folder.join(below)).unwrap();
        }
        for (below, bytes) in self.files.iter().filter(|(below, bytes)| there.files.get(*below) != Some(bytes)) {
            fs::write(folder.join(below), bytes).unwrap();
        }
    }

    /// Where this one and another differ, but for the locks of operations, whose content is their
    /// programs' business.
    pub fn differences(&self, other: &Self) -> BTreeSet<String> {
        let names = |image: &Self| -> BTreeSet<String> { image.files.keys().chain(&image.folders).cloned().collect() };
        let all = names(self).union(&names(other)).cloned().collect::<BTreeSet<_>>();
        let differs = |path: &String| {
            self.files.get(path) != other.files.get(path) || self.folders.contains(path) != other.folders.contains(path)
        };
        all.into_iter().filter(|path| !path.starts_with("operations") && differs(path)).collect()
    }
}

fn join(below: &str, name: &str) -> String {
    if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") }
}

/// Something that happened to a file or a folder.
#[derive(Clone, Debug)]
enum Step {
    Write { offset: usize, data: Vec<u8> },
    Length(usize),
    Name { name: String, object: usize },
    NoName { name: String },
}

/// A file or a folder: what is safe, and what is not yet, with the place in the log at which it happened.
#[derive(Clone, Debug, Default)]
struct Object {
    bytes: Vec<u8>,
    names: BTreeMap<String, usize>,
    is_folder: bool,
    open: Vec<(usize, Step)>,
}

impl Object {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Write { offset, data } => put(&mut self.bytes, *offset, data),
            Step::Length(length) => self.bytes.resize(*length, 0),
            Step::Name { name, object } => drop(self.names.insert(name.clone(), *object)),
            Step::NoName { name } => drop(self.names.remove(name)),
        }
    }

    /// A sync that began at `at` has ended.
    fn synced(&mut self, at: usize) {
        let covered = self.open.iter().take_while(|(when, _)| *when < at).count();
        for (_, step) in self.open.drain(..covered).collect::<Vec<_>>() {
            self.take(&step);
        }
    }

    fn after(&self, survives: Survives, dice: &mut Dice) -> Self {
        let mut left = self.clone();
        let steps = std::mem::take(&mut left.open);
        match survives {
            Survives::Nothing => {}
            Survives::Everything => steps.iter().for_each(|(_, step)| left.take(step)),
            Survives::Some if self.is_folder => {
                // File systems write names down in order, so a beginning survives.
                let count = usize::try_from(dice.upto(0, steps.len() as u64)).unwrap();
                steps[..count].iter().for_each(|(_, step)| left.take(step));
            }
            Survives::Some => {
                let luck = dice.upto(0, 2);
                for (_, step) in &steps {
                    match step {
                        _ if luck == 0 => {}
                        Step::Write { offset, data } if luck == 1 => {
                            for (at, sector) in sectors(*offset, data) {
                                if dice.one_in(2) {
                                    put(&mut left.bytes, at, sector);
                                }
                            }
                        }
                        step => left.take(step),
                    }
                }
            }
        }
        left
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

/// A write cut at the edges of sectors.
fn sectors(offset: usize, data: &[u8]) -> Vec<(usize, &[u8])> {
    let (mut at, mut rest, mut all) = (offset, data, Vec::new());
    while !rest.is_empty() {
        let (sector, after) = rest.split_at((SECTOR - at % SECTOR).min(rest.len()));
        all.push((at, sector));
        (at, rest) = (at + sector.len(), after);
    }
    all
}

/// A disk that followed a log.
pub struct Disk {
    objects: Vec<Object>,
    /// Which object an inode stands for; a number that is used again stands for the newer one.
    inodes: BTreeMap<u64, usize>,
    /// The names as a process sees them.
    seen: Vec<BTreeMap<String, usize>>,
    syncs: BTreeMap<u64, usize>,
    /// Paths of the last change: a kill may have come in the middle of it.
    pub last: BTreeSet<String>,
    /// What the shim could not follow.
    pub foreign: Vec<String>,
}

const ROOT: usize = 0;

impl Disk {
    /// Follows the log of a daemon that began with `image` in `folder`.
    pub fn follow(image: &Image, folder: &Path, log: &[u8]) -> Self {
        let mut disk = Self {
            objects: vec![Object { is_folder: true, ..Object::default() }],
            inodes: BTreeMap::new(),
            seen: vec![BTreeMap::new()],
            syncs: BTreeMap::new(),
            last: BTreeSet::new(),
            foreign: Vec::new(),
        };
        for (path, bytes) in image
            .folders
            .iter()
            .filter(|path| !path.is_empty())
            .map(|path| (path, None))
            .chain(image.files.iter().map(|(path, bytes)| (path, Some(bytes))))
        {
            let object =
                Object { bytes: bytes.cloned().unwrap_or_default(), is_folder: bytes.is_none(), ..Object::default() };
            let number = disk.new_object(object);
            let (above, name) = disk.above(path);
            disk.objects[above].names.insert(name.clone(), number);
            disk.seen[above].insert(name, number);
        }
        let records = Records { rest: log, folder: folder.to_str().unwrap().to_owned() }.collect::<Vec<_>>();
        let last = records.iter().rposition(|record| CHANGES.contains(&record.operation));
        for (at, record) in records.iter().enumerate() {
            // What failed, or took only a part, is said by the record after it.
            let result =
                records.get(at + 1).filter(|next| next.operation == RESULT).map(|next| next.number.cast_signed());
            disk.apply(at, record, result, last == Some(at));
        }
        disk
    }

    /// What is there after the cut.
    pub fn after(&self, survives: Survives, dice: &mut Dice) -> Image {
        let left: Vec<Object> = self.objects.iter().map(|object| object.after(survives, dice)).collect();
        let mut image = Image::default();
        let mut waiting = vec![(String::new(), ROOT)];
        while let Some((path, object)) = waiting.pop() {
            if left[object].is_folder {
                waiting.extend(left[object].names.iter().map(|(name, below)| (join(&path, name), *below)));
                image.folders.insert(path);
            } else {
                image.files.insert(path, left[object].bytes.clone());
            }
        }
        image
    }

    fn new_object(&mut self, object: Object) -> usize {
        self.objects.push(object);
        self.seen.push(BTreeMap::new());
        self.objects.len() - 1
    }

    fn find(&self, path: &str) -> Option<usize> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(ROOT, |at, name| self.seen[at].get(name).copied())
    }

    /// The folder that names `path`, and the name.
    fn above(&self, path: &str) -> (usize, String) {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        (self.find(above).unwrap_or_else(|| panic!("nobody made the folder of {path}")), name.to_owned())
    }

    fn name(&mut self, at: usize, path: &str, object: usize) {
        let (above, name) = self.above(path);
        self.seen[above].insert(name.clone(), object);
        self.objects[above].open.push((at, Step::Name { name, object }));
    }

    fn unname(&mut self, at: usize, path: &str) {
        let (above, name) = self.above(path);
        self.seen[above].remove(&name);
        self.objects[above].open.push((at, Step::NoName { name }));
    }

    fn apply(&mut self, at: usize, record: &Record<'_>, result: Option<i64>, is_last: bool) {
        let has_failed = CHANGES.contains(&record.operation) && result.is_some_and(|result| result < 0);
        let known = self.inodes.get(&record.inode).copied();
        if is_last {
            self.last
                .extend([record.path.clone(), record.below(record.data)].into_iter().filter(|path| !path.is_empty()));
            let paths = known.map(|object| self.paths_of(object)).unwrap_or_default();
            self.last.extend(paths);
        }
        if has_failed {
            return;
        }
        match record.operation {
            OPEN => {
                let is_new = record.number & CREATED != 0;
                let object = if is_new {
                    let object = self.new_object(Object::default());
                    self.name(at, &record.path, object);
                    object
                } else {
                    self.find(&record.path).unwrap_or_else(|| panic!("nobody made {}", record.path))
                };
                self.inodes.insert(record.inode, object);
                if record.number & EMPTIED != 0 {
                    self.objects[object].open.push((at, Step::Length(0)));
                }
            }
            WRITE => {
                let taken = result.map_or(record.data.len(), |taken| usize::try_from(taken).unwrap());
                let (offset, data) = (usize::try_from(record.number).unwrap(), record.data[..taken].to_vec());
                self.objects[known.expect("it was opened")].open.push((at, Step::Write { offset, data }));
            }
            TRUNCATE => {
                let length = usize::try_from(record.number).unwrap();
                self.objects[known.expect("it was opened")].open.push((at, Step::Length(length)));
            }
            RENAME => {
                let to = record.below(record.data);
                let object = self.find(&record.path).expect("what is renamed is there");
                self.unname(at, &record.path);
                self.name(at, &to, object);
            }
            UNLINK | RMDIR => self.unname(at, &record.path),
            // What is there already is not made again: that it failed may not have come to be logged.
            MKDIR if self.find(&record.path).is_some() => {}
            MKDIR => {
                let object = self.new_object(Object { is_folder: true, ..Object::default() });
                self.name(at, &record.path, object);
            }
            SYNC_BEGAN => drop(self.syncs.insert(record.number, at)),
            SYNC_ENDED => {
                let began = self.syncs[&record.number];
                self.objects[known.expect("it was opened")].synced(began);
            }
            RESULT | OPENS => {}
            FOREIGN => self.foreign.push(record.path.clone()),
            other => panic!("the log has an operation {other}"),
        }
    }

    fn paths_of(&self, wanted: usize) -> Vec<String> {
        let (mut found, mut waiting) = (Vec::new(), vec![(String::new(), ROOT)]);
        while let Some((path, object)) = waiting.pop() {
            waiting.extend(self.seen[object].iter().map(|(name, below)| (join(&path, name), *below)));
            if object == wanted {
                found.push(path);
            }
        }
        found
    }
}

const OPEN: u32 = 1;
const WRITE: u32 = 2;
const TRUNCATE: u32 = 3;
const RENAME: u32 = 4;
const UNLINK: u32 = 5;
const MKDIR: u32 = 6;
const RMDIR: u32 = 7;
const SYNC_BEGAN: u32 = 8;
const SYNC_ENDED: u32 = 9;
const RESULT: u32 = 10;
const FOREIGN: u32 = 11;
/// An open that makes or empties a file begins.
const OPENS: u32 = 12;
const CHANGES: [u32; 8] = [OPEN, WRITE, TRUNCATE, RENAME, UNLINK, MKDIR, RMDIR, OPENS];
const CREATED: u64 = 1;
const EMPTIED: u64 = 2;

/// One record of the shim's log, with its path below the folder.
struct Record<'a> {
    operation: u32,
    path: String,
    data: &'a [u8],
    inode: u64,
    number: u64,
    folder: String,
}

impl Record<'_> {
    /// A path in the data, where it is one below the folder.
    fn below(&self, text: &[u8]) -> String {
        if self.operation != RENAME {
            return String::new();
        }
        below(&self.folder, std::str::from_utf8(text).expect("paths are text"))
    }
}

fn below(folder: &str, path: &str) -> String {
    path.strip_prefix(folder).map_or(path, |rest| rest.trim_start_matches('/')).to_owned()
}

/// The records of a log; one that a kill cut off is none.
struct Records<'a> {
    rest: &'a [u8],
    folder: String,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let head = self.rest.get(..32)?;
        let small = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().unwrap());
        let large = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap());
        let (path_end, data_length) = (32 + small(4) as usize, usize::try_from(large(8)).unwrap());
        let data = self.rest.get(path_end..path_end + data_length)?;
        let path = below(&self.folder, std::str::from_utf8(&self.rest[32..path_end]).expect("paths are text"));
        self.rest = &self.rest[path_end + data_length..];
        let folder = self.folder.clone();
        Some(Record { operation: small(0), path, data, inode: large(16), number: large(24), folder })
    }
}

#[test]
fn a_folder_that_was_there_keeps_what_is_in_it_where_a_cut_comes_before_its_mkdir_is_known_to_have_failed() {
    let image = Image {
        folders: ["", "sled"].map(str::to_owned).into(),
        files: BTreeMap::from([("sled/db".to_owned(), b"rows".to_vec())]),
    };
    let path = "/data/sled";
    let mut log = Vec::new();
    log.extend(MKDIR.to_ne_bytes());
    log.extend(u32::try_from(path.len()).unwrap().to_ne_bytes());
    log.extend([0; 24]);
    log.extend(path.as_bytes());
    let disk = Disk::follow(&image, Path::new("/data"), &log);
    assert_eq!(disk.last, BTreeSet::from(["sled".to_owned()]));
    assert_eq!(disk.after(Survives::Everything, &mut Dice(1)), image);
}
