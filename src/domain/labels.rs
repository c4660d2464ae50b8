//! A label set: names and values, sorted by name, each name once.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

/// Sorted name and value pairs; used for labels and for annotations alike.
///
/// All texts lie in one piece of memory that is never changed: an alert is kept and compared in many places, and a copy of its
/// labels costs a count.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Labels {
    /// Name, value, name, value.
    text: Arc<str>,
    /// Where each of them ends.
    ends: Arc<[u32]>,
}

/// Labels that are put together text by text.
#[derive(Default)]
struct Draft {
    text: String,
    ends: Vec<u32>,
}

impl Draft {
    fn add(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(end(&self.text));
    }

    fn finish(self) -> Labels {
        Labels { text: self.text.into(), ends: self.ends.into() }
    }
}

/// Where `text` ends.
fn end(text: &str) -> u32 {
    u32::try_from(text.len()).expect("labels have far less than 4 GiB")
}

impl Labels {
    /// Sorts the pairs; the last value of a repeated name wins, as in JSON objects.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut sorted: Vec<(N, V)> = pairs.into_iter().collect();
        // Alertmanager sends them in order: then there is nothing to sort.
        let is_in_order = sorted.is_sorted_by(|(left, _), (right, _)| left.as_ref() < right.as_ref());
        if !is_in_order {
            // Reversed first, then a stable sort: the last of equal names comes first and is the one that stays.
            sorted.reverse();
            sorted.sort_by(|(left, _), (right, _)| left.as_ref().cmp(right.as_ref()));
            sorted.dedup_by(|(later, _), (first, _)| later.as_ref() == first.as_ref());
        }
        let bytes = sorted.iter().map(|(name, value)| name.as_ref().len() + value.as_ref().len()).sum();
        let mut text = String::with_capacity(bytes);
        // An iterator that knows how many it has: the numbers are written to where they stay.
        let ends = (0..2 * sorted.len()).map(|at| {
            let (name, value) = &sorted[at / 2];
            text.push_str(if at % 2 == 0 { name.as_ref() } else { value.as_ref() });
            end(&text)
        });
        Self { ends: ends.collect(), text: text.into() }
    }

    /// The value of `name`, or nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.text_at(2 * middle).cmp(name) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Some(self.text_at(2 * middle + 1)),
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// All pairs in order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.len()).map(|at| (self.text_at(2 * at), self.text_at(2 * at + 1)))
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.ends.len() / 2
    }

    /// Whether there is no pair at all.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    fn text_at(&self, at: usize) -> &str {
        let begin = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.text[begin..self.ends[at] as usize]
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_map().entries(self.iter()).finish()
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, into: &mut H) {
        self.text.hash(into);
        self.ends.hash(into);
    }
}

/// As a list of pairs.
impl Serialize for Labels {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(self.len()))?;
        for pair in self.iter() {
            list.serialize_element(&pair)?;
        }
        list.end()
    }
}

/// From a list of pairs, which must be in order: so they were written.
impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut draft = Draft::default();
        from.deserialize_seq(Pairs(&mut draft))?;
        let labels = draft.finish();
        let is_sorted = (1..labels.len()).all(|at| labels.text_at(2 * at - 2) < labels.text_at(2 * at));
        if is_sorted { Ok(labels) } else { Err(D::Error::custom("the names of the labels are not in order")) }
    }
}

struct Pairs<'a>(&'a mut Draft);

impl<'de> Visitor<'de> for Pairs<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of names and values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Pair(self.0))?.is_some() {}
        Ok(())
    }
}

struct Pair<'a>(&'a mut Draft);

impl<'de> DeserializeSeed<'de> for Pair<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_tuple(2, self)
    }
}

impl<'de> Visitor<'de> for Pair<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name and a value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<(), A::Error> {
        for at in 0..2 {
            pair.next_element_seed(Text(self.0))?.ok_or_else(|| A::Error::invalid_length(at, &self))?;
        }
        Ok(())
    }
}

struct Text<'a>(&'a mut Draft);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.add(text);
        Ok(())
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
        // In order but for the repeated name.
        let labels = Labels::from_pairs([("a", "1"), ("a", "2"), ("b", "3"), ("b", "4")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "2"), ("b", "4")]);
    }

    #[test]
    fn any_number_of_labels_is_found_and_written_as_pairs() {
        for count in 0..20 {
            let pairs: Vec<(String, String)> = (0..count).map(|n| (format!("n{n:02}"), "v".repeat(n))).collect();
            let labels = Labels::from_pairs(pairs.iter().map(|(name, value)| (name, value)).rev());
            assert_eq!((labels.len(), labels.is_empty()), (count, count == 0));
            assert_eq!(Labels::from_pairs(pairs.iter().map(|(name, value)| (name, value))), labels);
            assert!(pairs.iter().all(|(name, value)| labels.get(name) == Some(value)));
            assert!(["", "n", "n005", "z"].iter().all(|name| labels.get(name).is_none()));
            let text = serde_json::to_string(&labels).unwrap();
            assert_eq!(text, serde_json::to_string(&pairs).unwrap());
            assert_eq!(serde_json::from_str::<Labels>(&text).unwrap(), labels);
        }
    }

    #[test]
    fn what_is_no_list_of_pairs_in_order_is_refused() {
        for bad in [
            r#"{}"#,
            r#"[["a"]]"#,
            r#"[["a","b","c"]]"#,
            r#"[["a",1]]"#,
            r#"[["b","1"],["a","2"]]"#,
            r#"[["a","1"],["a","2"]]"#,
        ] {
            assert!(serde_json::from_str::<Labels>(bad).is_err(), "{bad}");
        }
        assert_eq!(serde_json::from_str::<Labels>(r#"[["\u0061","\n"]]"#).unwrap(), Labels::from_pairs([("a", "\n")]));
    }

    #[test]
    fn order_is_that_of_the_pairs() {
        let sorted = [("a", "b"), ("a", "c"), ("ab", ""), ("b", "")].map(|pair| Labels::from_pairs([pair]));
        assert!(sorted.is_sorted());
        assert!(Labels::default() < sorted[0]);
        // The same letters cut elsewhere are other labels.
        assert_ne!(Labels::from_pairs([("ab", "c")]), Labels::from_pairs([("a", "bc")]));
    }
}
