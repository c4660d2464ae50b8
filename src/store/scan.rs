//! Paging: walks some ranges of index keys as if they were one, in the order of what follows their prefixes.
//!
//! A cursor is that suffix of the last row that was looked at, so the next page begins strictly after it, whatever was
//! written in between. A page ends early where too many rows in a row of work did not fit the filter; there is a next one
//! only where a row that fits was found for it, or the work ended first: rows that nobody may see leave no trace.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use sled::IVec;

use super::index::Index;
use super::query::{Cursor, Page, Paging};
use super::reader::ReadError;

/// How many rows a page may pass over before it ends short: a few milliseconds of decoding.
const BUDGET: usize = 2_000;

/// The ranges to walk.
pub struct Scan<'a> {
    /// Where.
    pub db: &'a sled::Db,
    /// What the keys of each range begin with; none is a part of another.
    pub prefixes: Vec<Vec<u8>>,
    /// What belongs between them, and no index has: values under suffixes. Whoever sorted it has looked at all of it, which
    /// [`BUDGET`] does not bound.
    pub sorted: BTreeMap<Vec<u8>, IVec>,
    /// Smallest suffix first.
    pub ascending: bool,
}

/// What the keys that begin with `prefix` begin with where the name that follows counts as well, sorted. One look for each name,
/// however many keys have it.
///
/// # Errors
/// sled failed.
pub fn longer(db: &sled::Db, prefix: &[u8]) -> Result<Vec<Vec<u8>>, sled::Error> {
    let mut longer: Vec<Vec<u8>> = Vec::new();
    let (mut from, end) = (prefix.to_vec(), behind(prefix));
    while let Some(found) = db.range(from.as_slice()..end.as_slice()).next() {
        let (key, _) = found?;
        let name = key[prefix.len()..].split(|byte| *byte == 0).next().unwrap_or_default();
        let with_name = Index::longer(prefix, name);
        from = behind(&with_name);
        longer.push(with_name);
    }
    Ok(longer)
}

/// The first key that is behind all those which begin with `prefix`. That ends in the byte of an index or in a zero, so there is
/// a next byte.
fn behind(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

type Found = sled::Result<(IVec, IVec)>;

struct Range<'a> {
    rows: Box<dyn DoubleEndedIterator<Item = Found> + 'a>,
    prefix: usize,
    next: Option<(IVec, IVec)>,
}

impl Range<'_> {
    fn suffix(&self) -> Option<&[u8]> {
        self.next.as_ref().map(|(key, _)| &key[self.prefix..])
    }

    fn advance(&mut self, ascending: bool) -> Result<Option<(IVec, IVec)>, ReadError> {
        let next = if ascending { self.rows.next() } else { self.rows.next_back() };
        Ok(std::mem::replace(&mut self.next, next.transpose()?))
    }
}

impl Scan<'_> {
    /// A page of what `load` makes of suffix and value; `load` says nothing for a row that does not fit.
    pub fn page<T>(
        &self,
        paging: &Paging,
        mut load: impl FnMut(&[u8], &[u8]) -> Result<Option<T>, ReadError>,
    ) -> Result<Page<T>, ReadError> {
        let mut ranges = self.ranges(paging.after.as_ref())?;
        let mut page = Page { rows: Vec::new(), next: None };
        let mut passed = 0;
        let (mut taken, mut looked_at) = (None, None);
        while passed < BUDGET {
            let Some(at) = self.first(&ranges) else { return Ok(page) };
            let range = &mut ranges[at];
            let prefix = range.prefix;
            let Some((key, value)) = range.advance(self.ascending)? else { return Ok(page) };
            match load(&key[prefix..], &value)? {
                Some(_) if page.rows.len() == paging.size.max(1) => {
                    page.next = taken;
                    return Ok(page);
                }
                Some(row) => {
                    page.rows.push(row);
                    taken = Some(Cursor(key[prefix..].to_vec()));
                }
                None => passed += 1,
            }
            looked_at = Some(key.subslice(prefix, key.len() - prefix));
        }
        page.next = looked_at.map(|suffix| Cursor(suffix.to_vec()));
        Ok(page)
    }

    fn ranges(&self, after: Option<&Cursor>) -> Result<Vec<Range<'_>>, ReadError> {
        let of_index = self.prefixes.iter().map(|prefix| {
            let rows = self.db.range::<Vec<u8>, _>(self.bounds(prefix, Bound::Excluded(behind(prefix)), after));
            (Box::new(rows) as Box<dyn DoubleEndedIterator<Item = Found>>, prefix.len())
        });
        let sorted = self.sorted.range(self.bounds(&[], Bound::Unbounded, after));
        let sorted = sorted.map(|(suffix, value)| Ok((IVec::from(suffix.as_slice()), value.clone())));
        let ranges = of_index.chain([(Box::new(sorted) as Box<dyn DoubleEndedIterator<Item = Found> + '_>, 0)]);
        let ranges = ranges.map(|(rows, prefix)| {
            let mut range = Range { rows, prefix, next: None };
            range.advance(self.ascending)?;
            Ok(range)
        });
        ranges.collect()
    }

    /// What begins with `prefix` and comes after the last page.
    fn bounds(&self, prefix: &[u8], end: Bound<Vec<u8>>, after: Option<&Cursor>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
        let passed = after.map(|Cursor(suffix)| Bound::Excluded([prefix, suffix].concat()));
        let begin = Bound::Included(prefix.to_vec());
        match passed {
            Some(passed) if self.ascending => (passed, end),
            Some(passed) => (begin, passed),
            None => (begin, end),
        }
    }

    /// Which range holds the row that comes next.
    fn first(&self, ranges: &[Range<'_>]) -> Option<usize> {
        let waiting = ranges.iter().enumerate().filter_map(|(at, range)| Some((range.suffix()?, at)));
        let first = waiting.min_by(|(left, _), (right, _)| self.order(left, right));
        first.map(|(_, at)| at)
    }

    fn order(&self, left: &[u8], right: &[u8]) -> Ordering {
        if self.ascending { left.cmp(right) } else { right.cmp(left) }
    }
}
