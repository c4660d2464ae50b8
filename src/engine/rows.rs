//! Large rows by key, of which few lie open: the others are packed until somebody asks for them.
//!
//! A fleet has a hundred thousand alerts that nobody asks about for hours. Packed they take a fifth of their room. Whoever asks
//! for a row gets it open and notices nothing.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::{fmt, mem};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::packed::{Packed, Packer};

/// How many rows of a kind lie open: all that a fleet of 10,000 has in use. More do only while a step reads them.
const OPEN: usize = 16_384;

/// How many blocks are laid elsewhere at a time: more of each size than the allocator keeps at hand for a thread, which are 200.
const MOVED: usize = 4096;

/// Rows that lie outside the tree: one of its nodes has room for eleven, and after keys that came in order half of it is empty.
#[derive(Clone)]
pub struct Rows<K, V> {
    rows: BTreeMap<K, Row<V>>,
    /// Which of them are open.
    open: RefCell<BTreeSet<K>>,
    /// How many may be.
    most_open: usize,
    packer: Packer,
    /// The last open row that was looked at whether it can be packed.
    last: Option<K>,
}

#[derive(Clone)]
struct Row<V> {
    open: OnceCell<Box<V>>,
    packed: Option<Packed>,
    /// Since it was looked at whether it can be packed.
    is_used: Cell<bool>,
}

impl<V: DeserializeOwned> Row<V> {
    fn of(row: V) -> Self {
        Self { open: OnceCell::from(Box::new(row)), packed: None, is_used: Cell::new(true) }
    }

    fn get(&self) -> &V {
        self.open.get_or_init(|| {
            let packed = self.packed.as_ref().expect("a row that is not open is packed");
            Box::new(packed.open())
        })
    }
}

impl<K, V> Default for Rows<K, V> {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), open: RefCell::default(), most_open: OPEN, packer: Packer::default(), last: None }
    }
}

/// The same rows under the same keys, packed or not.
impl<K: Ord + Clone, V: DeserializeOwned + PartialEq> PartialEq for Rows<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.rows.keys().eq(other.rows.keys()) && self.values().eq(other.values())
    }
}

impl<K: Ord + Clone, V: DeserializeOwned + Eq> Eq for Rows<K, V> {}

impl<K: Ord + Clone + fmt::Debug, V: DeserializeOwned + fmt::Debug> fmt::Debug for Rows<K, V> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.rows.keys().zip(self.values())).finish()
    }
}

impl<K: Ord + Clone, V: DeserializeOwned> Rows<K, V> {
    /// The row at `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.rows.get_key_value(key).map(|(key, row)| self.used(key, row))
    }

    /// Whether there is one.
    pub fn contains_key(&self, key: &K) -> bool {
        self.rows.contains_key(key)
    }

    /// Every key, in order.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.rows.keys()
    }

    /// Every row, in the order of the keys.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.rows.iter().map(|(key, row)| self.used(key, row))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn used<'a>(&self, key: &K, row: &'a Row<V>) -> &'a V {
        row.is_used.set(true);
        if row.open.get().is_none() {
            self.open.borrow_mut().insert(key.clone());
        }
        row.get()
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let row = self.rows.remove(key)?;
        self.open.get_mut().remove(key);
        row.get();
        row.open.into_inner().map(|row| *row)
    }
}

impl<K: Ord + Clone, V: Serialize + DeserializeOwned> Rows<K, V> {
    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let row = self.rows.get_mut(key)?;
        row.get();
        row.is_used.set(true);
        row.packed = None;
        self.open.get_mut().insert(key.clone());
        row.open.get_mut().map(|row| &mut **row)
    }

    pub(super) fn insert(&mut self, key: K, row: V) {
        self.make_room();
        self.open.get_mut().insert(key.clone());
        self.rows.insert(key, Row::of(row));
    }

    pub(super) fn keep_open(&mut self, most: usize) {
        self.most_open = most;
        self.make_room();
    }

    /// How many lie open.
    pub(super) fn open_rows(&self) -> usize {
        self.open.borrow().len()
    }

    /// Packs what has not been used for longest, or nearly so, until no more lie open than may.
    pub(super) fn make_room(&mut self) {
        while self.open.get_mut().len() > self.most_open {
            self.look();
        }
    }

    /// Looks at the next open rows, `most` of them, and packs those that were not used since they were last looked at. Says
    /// whether all were looked at: then the next look begins with the first again.
    pub(super) fn rest(&mut self, most: usize) -> bool {
        (0..most).any(|_| !self.look())
    }

    /// Whether there is an open row behind the one that was last looked at. If it was not used since, it is packed.
    fn look(&mut self) -> bool {
        let open = self.open.get_mut();
        let after = self.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let Some(key) = open.range((after, Bound::Unbounded)).next().cloned() else { return false };
        let among = self.rows.len();
        if let Some(row) = self.rows.get_mut(&key).filter(|row| !row.is_used.replace(false)) {
            if let Some(opened) = row.open.take()
                && row.packed.is_none()
            {
                row.packed = Some(self.packer.pack(&*opened, among));
            }
            open.remove(&key);
        }
        self.last = Some(key);
        true
    }

    /// Lays the tree and what is packed out anew, without room for more. A block that was packed lies between rows that were
    /// open, and keeps their room from being given back.
    pub(super) fn tighten(&mut self) {
        tighten(&mut self.rows);
        // Thousands at a time: a place that was just left would be the next one's, and nothing would have moved.
        let mut left: Vec<&mut Packed> = self.rows.values_mut().filter_map(|row| row.packed.as_mut()).collect();
        for some in left.chunks_mut(MOVED) {
            let copies: Vec<Packed> = some.iter().map(|packed| (**packed).clone()).collect();
            some.iter_mut().zip(copies).for_each(|(packed, copy)| **packed = copy);
        }
    }
}

/// Lays a tree out anew, without room for more. One whose keys came in order is half empty.
pub(super) fn tighten<T: Default + IntoIterator + FromIterator<T::Item>>(tree: &mut T) {
    *tree = mem::take(tree).into_iter().collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of very different lengths, like one another only in part.
    fn row(dice: u32) -> Vec<String> {
        (0..dice % 7).map(|n| format!("node {} has fallen off the bus for the {n}th time", dice % 1000)).collect()
    }

    fn truly_open<K, V>(rows: &Rows<K, V>) -> usize {
        rows.rows.values().filter(|row| row.open.get().is_some()).count()
    }

    #[test]
    fn it_holds_what_a_map_would_however_few_of_it_are_open() {
        for most in [0, 1, 7, 63] {
            let (mut rows, mut map) = (Rows::<u8, Vec<String>>::default(), BTreeMap::<u8, Vec<String>>::new());
            rows.keep_open(most);
            let (mut dice, mut packed) = (1_u32, 0);
            for step in 0..10_000 {
                dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let key = (dice >> 8) as u8 % 64;
                match dice >> 30 {
                    0 => {
                        rows.insert(key, row(dice));
                        map.insert(key, row(dice));
                    }
                    1 if dice & 64 == 0 => assert_eq!(rows.remove(&key), map.remove(&key)),
                    2 => {
                        let (row, other) = (rows.get_mut(&key), map.get_mut(&key));
                        assert_eq!(row.as_deref(), other.as_deref());
                        row.into_iter().chain(other).for_each(|row| row.push("again".to_owned()));
                    }
                    _ => assert_eq!((rows.get(&key), rows.contains_key(&key)), (map.get(&key), map.contains_key(&key))),
                }
                let before = rows.open_rows();
                match dice >> 24 & 31 {
                    0 => drop(rows.rest(usize::from(key))),
                    1 => rows.tighten(),
                    _ => {}
                }
                rows.make_room();
                let open = rows.open_rows();
                assert!(open <= most && truly_open(&rows) == open);
                packed += before - open;
                assert_eq!((rows.len(), rows.is_empty()), (map.len(), map.is_empty()));
                if step % 500 == 0 {
                    let copy = rows.clone();
                    assert!(copy == rows && copy.keys().eq(map.keys()) && copy.values().eq(map.values()));
                }
            }
            assert!(packed > 1000 || most == 63, "{packed}");
            let mut other = rows.clone();
            other.get_mut(map.keys().next().unwrap()).unwrap().push("other".to_owned());
            assert_ne!(other, rows);
        }
    }

    #[test]
    fn what_is_in_use_stays_open() {
        let mut rows = Rows::<u8, Vec<String>>::default();
        rows.keep_open(4);
        for key in 0..200 {
            rows.insert(key, row(6));
            assert!(rows.get(&0).is_some());
            rows.make_room();
            // Among the first all are new, so that one is as good as another.
            assert!(key < 10 || rows.open.borrow().contains(&0), "{key}");
        }
    }

    #[test]
    fn what_was_only_read_is_not_packed_again() {
        let mut rows = Rows::<u8, Vec<String>>::default();
        (0..10).for_each(|key| rows.insert(key, row(6)));
        rows.keep_open(0);
        let blocks = |rows: &Rows<u8, Vec<String>>| -> Vec<*const u8> {
            rows.rows.values().map(|row| row.packed.as_ref().unwrap().block().as_ptr()).collect()
        };
        let before = blocks(&rows);
        assert_eq!((rows.values().count(), rows.open_rows()), (10, 10));
        rows.make_room();
        assert_eq!((blocks(&rows), rows.open_rows()), (before, 0));
    }
}
