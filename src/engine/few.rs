//! Sets that nearly always have one member: an instance has one alert, a host one live remediation, a name one owner.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

/// A set that is never empty. One member costs nothing beside itself; a tree of sets would cost the room of eleven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Few<V> {
    /// Just this.
    One(V),
    /// All of these: two or more.
    #[expect(clippy::box_collection, reason = "what nearly never is should not make what nearly always is larger")]
    More(Box<BTreeSet<V>>),
}

impl<V: Ord> Few<V> {
    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &V> {
        let (one, more) = match self {
            Self::One(value) => (Some(value), None),
            Self::More(values) => (None, Some(values.iter())),
        };
        one.into_iter().chain(more.into_iter().flatten())
    }
}

/// Puts `value` into the set under `key`.
pub fn put<K: Ord, V: Ord>(sets: &mut BTreeMap<K, Few<V>>, key: K, value: V) {
    use std::collections::btree_map::Entry;
    match sets.entry(key) {
        Entry::Vacant(place) => drop(place.insert(Few::One(value))),
        Entry::Occupied(mut place) => match place.get_mut() {
            Few::One(known) if *known == value => {}
            Few::More(values) => drop(values.insert(value)),
            Few::One(_) => {
                let (key, known) = place.remove_entry();
                let Few::One(known) = known else { unreachable!("it was one") };
                sets.insert(key, Few::More(Box::new(BTreeSet::from([known, value]))));
            }
        },
    }
}

/// Takes `value` out of the set under `key`, and the set where it was the last.
pub fn take<K: Ord, V: Ord>(sets: &mut BTreeMap<K, Few<V>>, key: &K, value: &V) {
    let left = match sets.get_mut(key) {
        None => return,
        Some(Few::One(known)) if known == value => None,
        Some(Few::One(_)) => return,
        Some(Few::More(values)) => {
            values.remove(value);
            if values.len() > 1 {
                return;
            }
            values.pop_first()
        }
    };
    match left {
        None => drop(sets.remove(key)),
        Some(last) => {
            if let Some(set) = sets.get_mut(key) {
                *set = Few::One(last);
            }
        }
    }
}

/// The members of the set under `key`, in order.
pub fn of<'a, K: Ord, V: Ord>(sets: &'a BTreeMap<K, Few<V>>, key: &K) -> impl Iterator<Item = &'a V> {
    iter::once(sets.get(key)).flatten().flat_map(Few::iter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_a_map_of_sets_would() {
        let (mut few, mut sets) = (BTreeMap::new(), BTreeMap::<u8, BTreeSet<u8>>::new());
        let mut dice = 1_u32;
        for _ in 0..20_000 {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (key, value, is_put) = ((dice >> 8) as u8 % 4, (dice >> 16) as u8 % 4, dice >> 31 == 0);
            if is_put {
                put(&mut few, key, value);
                sets.entry(key).or_default().insert(value);
            } else {
                take(&mut few, &key, &value);
                if let Some(set) = sets.get_mut(&key) {
                    set.remove(&value);
                }
                sets.retain(|_, set| !set.is_empty());
            }
            assert!(few.keys().eq(sets.keys()));
            for (key, set) in &sets {
                assert!(of(&few, key).eq(set));
                assert_eq!(matches!(few[key], Few::One(_)), set.len() == 1);
            }
        }
    }
}
