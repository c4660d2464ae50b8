//! How many rows sled holds, and what they sum up to: changed in the same batch as the rows, so that a row that was lost,
//! changed or added behind our back shows (S9).
//!
//! sled finds a damaged page by itself; this finds what it does not: a page that went missing as a whole. Rows and index
//! keys count by the first byte of their keys. The store's own notes do not count.

use std::collections::BTreeMap;

use super::codec::BadRow;
use super::keys::{Kind, TALLY};

/// First byte, rows, sum.
const ENTRY: usize = 1 + 8 + 8;

/// What one kind of key amounts to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub rows: u64,
    /// The wrapping sum of their checksums.
    sum: u64,
}

/// What all keys amount to, by their first byte. Equal for equal contents, in whichever order they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<u8, Count>);

impl Tally {
    /// A key is there that was not.
    pub fn add(&mut self, key: &[u8], value: &[u8]) {
        self.change(key, value, |count, sum| Count {
            rows: count.rows.wrapping_add(1),
            sum: count.sum.wrapping_add(sum),
        });
    }

    /// A key is gone, or has another value that is added in its place.
    pub fn take(&mut self, key: &[u8], value: &[u8]) {
        self.change(key, value, |count, sum| Count {
            rows: count.rows.wrapping_sub(1),
            sum: count.sum.wrapping_sub(sum),
        });
    }

    fn change(&mut self, key: &[u8], value: &[u8], next: impl Fn(Count, u64) -> Count) {
        let Some(first) = key.first().copied().filter(|first| *first != 0) else { return };
        let sum = u64::from(crc32c::crc32c_append(crc32c::crc32c(key), value));
        let count = next(self.0.get(&first).copied().unwrap_or_default(), sum);
        // None of a kind is written as nothing, so that equal contents are equal.
        if count == Count::default() {
            self.0.remove(&first);
        } else {
            self.0.insert(first, count);
        }
    }

    /// How many rows there are of a kind.
    pub fn rows(&self, kind: Kind) -> u64 {
        self.0.get(&kind.byte()).map_or(0, |count| count.rows)
    }

    /// Everything that is no row: the index keys.
    pub fn indexes(&self) -> Self {
        Self(self.0.iter().filter(|(first, _)| Kind::of(&[**first]).is_none()).map(|(k, v)| (*k, *v)).collect())
    }

    /// In words, in what `self` (what was found) differs from what was counted; nothing where it does not.
    pub fn differs_from(&self, counted: &Self) -> Option<String> {
        let first = self.0.keys().chain(counted.0.keys()).find(|first| self.0.get(first) != counted.0.get(first))?;
        let rows = |tally: &Self| tally.0.get(first).map_or(0, |count| count.rows);
        let what = match Kind::of(&[*first]) {
            Some(kind) => format!("rows of kind `{}`", kind.name()),
            None => format!("keys of index {first:#04x}"),
        };
        let (found, counted) = (rows(self), rows(counted));
        Some(if found == counted {
            format!("the {found} {what} are not those that were written")
        } else {
            format!("there are {found} {what}, and {counted} were written")
        })
    }

    /// The note.
    pub fn write(&self) -> Vec<u8> {
        let mut note = Vec::with_capacity(self.0.len() * ENTRY + 4);
        for (first, count) in &self.0 {
            note.push(*first);
            note.extend_from_slice(&count.rows.to_be_bytes());
            note.extend_from_slice(&count.sum.to_be_bytes());
        }
        note.extend_from_slice(&crc32c::crc32c(&note).to_be_bytes());
        note
    }

    /// What the note says.
    ///
    /// # Errors
    /// It is damaged.
    pub fn read(note: &[u8]) -> Result<Self, BadRow> {
        let bad = || BadRow::new(TALLY, "its checksum does not match");
        let (body, sum) = note.split_last_chunk::<4>().ok_or_else(bad)?;
        let (entries, rest) = body.as_chunks::<ENTRY>();
        if crc32c::crc32c(body) != u32::from_be_bytes(*sum) || !rest.is_empty() {
            return Err(bad());
        }
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let read = |entry: &[u8; ENTRY]| {
            let [first, rest @ ..] = entry;
            (*first, Count { rows: number(&rest[..8]), sum: number(&rest[8..]) })
        };
        Ok(Self(entries.iter().map(read).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(&[u8], &[u8])]) -> Tally {
        let mut tally = Tally::default();
        rows.iter().for_each(|(key, value)| tally.add(key, value));
        tally
    }

    #[test]
    fn equal_contents_have_equal_tallies_whatever_happened_before() {
        let mut tally = of(&[(b"\x05b", b"2"), (b"\x05a", b"0"), (b"\x41a", b"x")]);
        tally.take(b"\x05a", b"0");
        tally.add(b"\x05a", b"1");
        tally.take(b"\x41a", b"x");
        tally.add(b"\0note", b"not counted");
        assert_eq!(tally, of(&[(b"\x05a", b"1"), (b"\x05b", b"2")]));
        assert_eq!((tally.rows(Kind::Remediation), tally.rows(Kind::Alert)), (2, 0));
    }

    #[test]
    fn a_lost_added_or_changed_row_shows() {
        let counted = of(&[(b"\x05a", b"1"), (b"\x05b", b"2")]);
        let lost = of(&[(b"\x05b", b"2")]).differs_from(&counted).unwrap();
        assert_eq!(lost, "there are 1 rows of kind `remediation`, and 2 were written");
        let changed = of(&[(b"\x05a", b"1"), (b"\x05b", b"3")]).differs_from(&counted).unwrap();
        assert_eq!(changed, "the 2 rows of kind `remediation` are not those that were written");
        let added = of(&[(b"\x05a", b"1"), (b"\x05b", b"2"), (b"\x41a", b"x")]).differs_from(&counted).unwrap();
        assert_eq!(added, "there are 1 keys of index 0x41, and 0 were written");
        assert_eq!(counted.differs_from(&counted.clone()), None);
    }

    #[test]
    fn the_note_is_read_back_and_its_damage_is_found() {
        let tally = of(&[(b"\x05a", b"1"), (b"\x41b", b"2")]);
        let note = tally.write();
        assert_eq!(Tally::read(&note).unwrap(), tally);
        for at in 0..note.len() {
            let mut bad = note.clone();
            bad[at] ^= 4;
            assert!(Tally::read(&bad).is_err(), "byte {at}");
        }
        assert!(Tally::read(b"").is_err());
    }
}
