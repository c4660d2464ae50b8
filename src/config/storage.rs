//! `[storage]`: where everything is kept, and how much room that needs.

use std::path::{Path, PathBuf};

use super::glob::beside;
use super::table::{Table, Value};

/// What `[storage]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The folder of the store.
    pub path: PathBuf,
    /// Below so many free bytes on its disk nothing new is taken, so that what was taken can be carried on.
    pub min_free: u64,
    /// How many bytes are kept aside, to be given up where a start would fail for want of room.
    pub ballast: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Self { path: PathBuf::new(), min_free: 256 << 20, ballast: 16 << 20 }
    }
}

/// Reads the table. `overridden` replaces its path. Nothing where there is no path; that is noted as a mistake.
pub(super) fn read(mut table: Table<'_>, base: &Path, overridden: Option<&Path>) -> Storage {
    let value = if overridden.is_some() { table.take("path") } else { table.require("path") };
    let written = value.and_then(|value| value.text());
    let path = overridden.map(Path::to_owned).or_else(|| written.map(|text| beside(base, text)));
    let mut storage = Storage { path: path.unwrap_or_default(), ..Storage::default() };
    let sizes: [(&'static str, &mut u64); 2] = [("min_free", &mut storage.min_free), ("ballast", &mut storage.ballast)];
    for (key, bytes) in sizes {
        *bytes = table.take(key).as_ref().and_then(Value::size).unwrap_or(*bytes);
    }
    table.finish();
    storage
}
