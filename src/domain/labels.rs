//! A label set: names and values, sorted by name, each name once.

use serde::{Deserialize, Serialize};

/// Sorted name and value pairs; used for labels and for annotations alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(Box<[(Box<str>, Box<str>)]>);

impl Labels {
    /// Sorts the pairs; the last value of a repeated name wins, as in JSON objects.
    pub fn from_pairs<N: Into<Box<str>>, V: Into<Box<str>>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut sorted: Vec<(Box<str>, Box<str>)> =
            pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        // Reversed first, then a stable sort: the last of equal names comes first and is the one that stays.
        sorted.reverse();
        sorted.sort_by(|left, right| left.0.cmp(&right.0));
        sorted.dedup_by(|later, first| later.0 == first.0);
        Self(sorted.into())
    }

    /// The value of `name`, or nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(known, _)| known.as_ref().cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    /// All pairs in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no pair at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_and_keeps_the_last_of_a_repeated_name() {
        let labels = Labels::from_pairs([("b", "1"), ("a", "2"), ("b", "3")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "3")]);
        assert_eq!(labels.get("b"), Some("3"));
        assert_eq!(labels.get("c"), None);
    }
}
