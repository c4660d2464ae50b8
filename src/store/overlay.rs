//! Rows that are staged or committed but not yet in sled, so that the writer sees its own past at once.
//!
//! Whoever looks asks the overlay first and sled second: a row leaves the overlay only after sled has it, so it is always
//! in one of the two.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::codec::Entry;

/// By row key: the turn that wrote it last, and the value; no value where it was removed.
#[derive(Debug, Default)]
pub struct Overlay(Mutex<BTreeMap<Bytes, (u64, Option<Bytes>)>>);

impl Overlay {
    /// Lays the rows of turn `seq` over what is there.
    pub fn put(&self, seq: u64, entries: &[Entry]) {
        let mut rows = self.rows();
        for entry in entries {
            rows.insert(entry.key.clone(), (seq, entry.value.clone()));
        }
    }

    /// Takes away those of these rows that no turn after `seq` has written again.
    pub fn applied<'a>(&self, seq: u64, keys: impl IntoIterator<Item = &'a Bytes>) {
        let mut rows = self.rows();
        for key in keys {
            if rows.get(key).is_some_and(|(written, _)| *written <= seq) {
                rows.remove(key);
            }
        }
    }

    /// What lies over `key`: nothing, a removal, or a value.
    pub fn get(&self, key: &[u8]) -> Option<Option<Bytes>> {
        self.rows().get(key).map(|(_, value)| value.clone())
    }

    /// Everything that lies over keys with this prefix.
    pub fn under(&self, prefix: &Bytes) -> BTreeMap<Bytes, Option<Bytes>> {
        let rows = self.rows();
        let from_prefix = rows.range(prefix.clone()..);
        from_prefix
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, (_, value))| (key.clone(), value.clone()))
            .collect()
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Bytes, (u64, Option<Bytes>)>> {
        // A panic elsewhere leaves the map whole: every change of it is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: &'static str, value: &'static str) -> Entry {
        Entry { key: Bytes::from_static(key.as_bytes()), value: Some(Bytes::from_static(value.as_bytes())) }
    }

    #[test]
    fn a_row_that_was_written_again_outlives_the_application_of_its_first_turn() {
        let overlay = Overlay::default();
        overlay.put(1, &[entry("a", "1"), entry("b", "1")]);
        overlay.put(2, &[entry("a", "2")]);
        overlay.applied(1, [&Bytes::from("a"), &Bytes::from("b")]);
        assert_eq!(overlay.get(b"a"), Some(Some(Bytes::from("2"))));
        assert_eq!(overlay.get(b"b"), None);
        overlay.applied(2, [&Bytes::from("a")]);
        assert_eq!(overlay.get(b"a"), None);
    }

    #[test]
    fn a_prefix_finds_its_rows_and_no_others() {
        let overlay = Overlay::default();
        overlay.put(1, &[entry("a", ""), entry("ab1", ""), entry("ab2", ""), entry("ac", "")]);
        let found: Vec<Bytes> = overlay.under(&Bytes::from("ab")).into_keys().collect();
        assert_eq!(found, ["ab1", "ab2"]);
    }
}
