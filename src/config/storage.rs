//! `[storage]`: where everything is kept, and how much room that needs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::duration;
use super::glob::beside;
use super::table::{Table, Value};
use crate::engine::settings::Retention;

/// What `[storage]` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The folder of the store.
    pub path: PathBuf,
    /// Below so many free bytes on its disk nothing new is taken, so that what was taken can be carried on.
    pub min_free: u64,
    /// How many bytes are kept aside, to be given up where a start would fail for want of room.
    pub ballast: u64,
    /// How old the newest checkpoint may get.
    pub checkpoint_every: Duration,
    /// How many bytes of journal there may be behind the newest checkpoint.
    pub checkpoint_after: u64,
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            path: PathBuf::new(),
            min_free: 256 << 20,
            ballast: 16 << 20,
            checkpoint_every: Duration::from_secs(24 * 3_600),
            checkpoint_after: 1 << 30,
        }
    }
}

/// Less would hide what people are still looking at.
const SHORTEST: Duration = Duration::from_secs(3_600);

/// Reads the table: how it is stored, and how long it is kept. `overridden` replaces its path. No path at all is noted as
/// a mistake.
pub(super) fn read(mut table: Table<'_>, base: &Path, overridden: Option<&Path>) -> (Storage, Retention) {
    let value = if overridden.is_some() { table.take("path") } else { table.require("path") };
    let written = value.and_then(|value| value.text());
    let path = overridden.map(Path::to_owned).or_else(|| written.map(|text| beside(base, text)));
    let mut storage = Storage { path: path.unwrap_or_default(), ..Storage::default() };
    let sizes: [(&'static str, &mut u64); 3] = [
        ("min_free", &mut storage.min_free),
        ("ballast", &mut storage.ballast),
        ("checkpoint_after", &mut storage.checkpoint_after),
    ];
    for (key, bytes) in sizes {
        *bytes = table.take(key).as_ref().and_then(Value::size).unwrap_or(*bytes);
    }
    read_span(&mut table, "checkpoint_every", &mut storage.checkpoint_every);
    let mut retention = Retention::default();
    read_span(&mut table, "audit_retention", &mut retention.audit);
    let mut kept = table.table("retention");
    read_span(&mut kept, "remediations", &mut retention.remediations);
    read_span(&mut kept, "alerts", &mut retention.alerts);
    read_span(&mut kept, "runs", &mut retention.runs);
    kept.finish();
    table.finish();
    (storage, retention)
}

fn read_span(table: &mut Table<'_>, key: &'static str, span: &mut Duration) {
    let Some(value) = table.take(key) else { return };
    let Some(read) = value.duration() else { return };
    if read < SHORTEST {
        value.wrong(format!("must be at least {}", duration::show(SHORTEST)));
    }
    *span = read;
}
