//! Any texts as configuration: taken, or every mistake has a place inside a file that is there.
//!
//! The first byte says which of the five files is any text; the others are the ones that belong to a right one.
#![no_main]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::{Corpus, fuzz_target};
use remedyd::config::{Loaded, Mistake, Overrides, load};
use tempfile::TempDir;

const FILES: [(&str, &str); 5] = [
    ("remedyd.toml", include_str!("../site/remedyd.toml")),
    ("rules.toml", include_str!("../site/rules.toml")),
    ("inventory.toml", include_str!("../site/inventory.toml")),
    ("tokens.toml", include_str!("../site/tokens.toml")),
    ("xid.csv", include_str!("../site/xid.csv")),
];

/// In memory, where the machine has a place for that.
static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() }.expect("a folder can be made")
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((&which, text)) = input.split_first() else { return Corpus::Reject };
    let folder = FOLDER.path();
    for (n, (name, right)) in FILES.iter().enumerate() {
        let bytes = if n == usize::from(which) % FILES.len() { text } else { right.as_bytes() };
        fs::write(folder.join(name), bytes).expect("a file can be written");
    }
    let main = folder.join(FILES[0].0);
    let read = load(&main, &Overrides::default());
    match &read {
        Ok(Loaded { config, instances, warnings, .. }) => {
            warnings.iter().for_each(|warning| inside(&main, warning));
            let again = load(&main, &Overrides::default()).expect("the same files are right again");
            let (first, second) = (format!("{config:?} {instances:?}"), format!("{:?} {:?}", again.config, again.instances));
            assert_eq!(first, second, "the same files mean something else");
            assert!(!config.storage.path.as_os_str().is_empty(), "no storage path, and no mistake");
            let local = config.server.listen.iter().all(|place| place.is_local());
            assert!(local || config.tokens.as_ref().is_some_and(|tokens| !tokens.is_empty()), "open to everybody");
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty(), "refused without a word");
            mistakes.iter().for_each(|mistake| inside(&main, mistake));
            assert!(mistakes.is_sorted(), "the mistakes are in no order");
        }
    }
    Corpus::Keep
});

/// The mistake's place is in a file that was read, at most one character behind the end of a line.
fn inside(main: &Path, mistake: &Mistake) {
    let Mistake { file, line, column, key, what } = mistake;
    assert!(!key.is_empty() && !what.is_empty(), "{mistake}");
    let bytes = fs::read(file).unwrap_or_else(|err| panic!("{mistake}: {err}"));
    if std::str::from_utf8(&bytes).is_err() {
        // What is no text has no lines; its first is named, or whoever named the file.
        return assert!(file != main || (*line, *column) == (1, 1), "{mistake}");
    }
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.split('\n').collect();
    assert!((1..=lines.len()).contains(line), "{mistake}: there are {} lines", lines.len());
    let most = lines[line - 1].chars().count() + 1;
    assert!((1..=most).contains(column), "{mistake}: the line has {most} columns");
}
