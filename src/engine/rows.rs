//! Large rows by key.

use std::collections::BTreeMap;

/// Rows that lie outside the tree: one of its nodes has room for eleven, and after keys that came in order half of it is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rows<K, V>(BTreeMap<K, Box<V>>);

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord, V> Rows<K, V> {
    /// The row at `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.get(key).map(|row| &**row)
    }

    /// Whether there is one.
    pub fn contains_key(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Every key, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    /// Every row, in the order of the keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.0.values().map(|row| &**row)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.0.get_mut(key).map(|row| &mut **row)
    }

    pub(super) fn insert(&mut self, key: K, row: V) {
        self.0.insert(key, Box::new(row));
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        self.0.remove(key).map(|row| *row)
    }
}
