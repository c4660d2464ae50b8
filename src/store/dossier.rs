//! What sled holds of a remediation in one place: its row, its first links and the first entries of its history.
//!
//! They come together and change together: a proposal comes with a link and an entry, and an alert that ends changes its link and
//! the row. What sled has to do goes by keys far more than by bytes (8 to 14 µs for each key that changes), so these share one.
//! To everybody else they are rows as all others, with keys of their own: in the journal, in checkpoints, in sums, and for whoever
//! reads or walks over sled by [`get`], [`of`] and [`each`]. What has no place in it (links and entries beyond the first, and those
//! that are large) lies right behind it, so a dossier is bounded, and everything of a remediation is side by side.
//!
//! A dossier is a byte that says how many parts it has, then for each its kind, its number and its length (one byte, one byte,
//! four big-endian), then the parts, each as [`super::form`] sealed it.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use sled::IVec;

use super::codec::BadRow;
use super::keys::Kind;

/// How many links are inside: nearly all remediations have no more.
const LINKS: u8 = 4;
/// How many entries of the history are: those of a repair that went well.
const ENTRIES: u8 = 8;
/// How many bytes a link or an entry inside has at most.
const PART: usize = 4 << 10;

/// The key of a dossier: the remediation's own.
const KEY: usize = 1 + 16;
/// What the head of each part takes, in bytes: kind, number, length.
const HEAD: usize = 1 + 1 + 4;

/// Which part of a dossier; they are sorted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    kind: u8,
    number: u8,
}

/// Where a row lies that belongs to a remediation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key of its dossier.
    pub dossier: Bytes,
    /// Which part it is of that; nothing where it is never inside.
    slot: Option<Slot>,
    /// Its key in sled where it lies outside.
    pub outside: Bytes,
}

impl Place {
    /// That of the row at `key`; nothing where it belongs to no remediation, and lies where its key says.
    pub fn of(key: &[u8]) -> Option<Self> {
        let kind = Kind::of(key)?;
        let (id, number) = key[1..].split_first_chunk::<16>()?;
        let number = match kind {
            Kind::Remediation if number.is_empty() => Some(0),
            Kind::Link => small(u32::from_be_bytes(number.try_into().ok()?).into(), LINKS),
            // They count from 1.
            Kind::Transition => small(u64::from_be_bytes(number.try_into().ok()?), ENTRIES + 1),
            _ => return None,
        };
        let dossier = [&[Kind::Remediation.byte()], &id[..]].concat();
        let outside = match kind {
            Kind::Remediation => dossier.clone(),
            _ => [&dossier[..], &[kind.byte()], &key[KEY..]].concat(),
        };
        let slot = number.map(|number| Slot { kind: kind.byte(), number });
        Some(Self { dossier: dossier.into(), slot, outside: outside.into() })
    }

    /// Which part a row with this value is.
    pub fn slot_for(&self, value: &[u8]) -> Option<Slot> {
        self.slot.filter(|slot| slot.kind == Kind::Remediation.byte() || value.len() <= PART)
    }
}

fn small(number: u64, below: u8) -> Option<u8> {
    u8::try_from(number).ok().filter(|number| *number < below)
}

/// A dossier that is being changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dossier(BTreeMap<Slot, Bytes>);

impl Dossier {
    /// The one that [`Dossier::seal`] made these bytes of, which lie at `key`.
    ///
    /// # Errors
    /// It is damaged.
    pub fn open(key: &[u8], value: &[u8]) -> Result<Self, BadRow> {
        let whole = Bytes::copy_from_slice(value);
        Ok(Self(parts(key, value)?.into_iter().map(|(slot, at)| (slot, whole.slice(at))).collect()))
    }

    /// A part of it.
    pub fn get(&self, place: &Place) -> Option<Bytes> {
        self.0.get(&place.slot?).cloned()
    }

    /// Puts a part in.
    pub fn put(&mut self, slot: Slot, value: Bytes) {
        self.0.insert(slot, value);
    }

    /// Takes a part out, where it is there.
    pub fn take(&mut self, place: &Place) {
        if let Some(slot) = place.slot {
            self.0.remove(&slot);
        }
    }

    /// As sled holds it; nothing where there is nothing in it.
    pub fn seal(&self) -> Option<Vec<u8>> {
        if self.0.is_empty() {
            return None;
        }
        let bytes: usize = self.0.values().map(Bytes::len).sum();
        let mut value = Vec::with_capacity(1 + self.0.len() * HEAD + bytes);
        value.push(u8::try_from(self.0.len()).expect("there are fewer slots"));
        for (slot, part) in &self.0 {
            value.extend_from_slice(&[slot.kind, slot.number]);
            value.extend_from_slice(&u32::try_from(part.len()).expect("rows are far smaller").to_be_bytes());
        }
        self.0.values().for_each(|part| value.extend_from_slice(part));
        Some(value)
    }
}

/// Where in `value` the parts are, sorted.
fn parts(key: &[u8], value: &[u8]) -> Result<Vec<(Slot, Range<usize>)>, BadRow> {
    let bad = || BadRow::new(key, "it is no dossier");
    let (count, rest) = value.split_first().ok_or_else(bad)?;
    let (heads, _) = rest.as_chunks::<HEAD>();
    let heads = heads.get(..usize::from(*count)).ok_or_else(bad)?;
    let mut from = 1 + heads.len() * HEAD;
    let mut parts = Vec::with_capacity(heads.len());
    for [kind, number, length @ ..] in heads {
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| bad())?;
        let until = from.checked_add(length).filter(|until| *until <= value.len()).ok_or_else(bad)?;
        parts.push((Slot { kind: *kind, number: *number }, from..until));
        from = until;
    }
    let is_sorted = parts.is_sorted_by(|(one, _), (next, _)| one < next);
    if from == value.len() && is_sorted { Ok(parts) } else { Err(bad()) }
}

/// A row of a dossier: its own key, and where in the dossier it is.
type Found = (Vec<u8>, Range<usize>);

/// The rows of the dossier at `key`.
fn split(key: &[u8], value: &[u8]) -> Result<Vec<Found>, BadRow> {
    let id = &key[1..];
    let own = |slot: Slot| match Kind::of(&[slot.kind]) {
        Some(Kind::Remediation) if slot.number == 0 => Ok(key.to_vec()),
        Some(Kind::Link) => Ok([&[slot.kind], id, &u32::from(slot.number).to_be_bytes()].concat()),
        Some(Kind::Transition) => Ok([&[slot.kind], id, &u64::from(slot.number).to_be_bytes()].concat()),
        _ => Err(BadRow::new(key, "its dossier has a part that is no such row")),
    };
    parts(key, value)?.into_iter().map(|(slot, at)| Ok((own(slot)?, at))).collect()
}

/// The key of the row that lies at `key` outside of its dossier; nothing where `key` is no such place.
fn from_outside(key: &[u8]) -> Option<Vec<u8>> {
    let (kind, number) = key.get(KEY..)?.split_first()?;
    let is_part = matches!(Kind::of(&[*kind]), Some(Kind::Link | Kind::Transition));
    is_part.then(|| [&[*kind], &key[1..KEY], number].concat())
}

/// A key behind all that belongs to the same remediation as what lies at `key`, and before the next; `key` itself where that
/// belongs to none.
pub fn end(key: &[u8]) -> Vec<u8> {
    match key.get(..KEY) {
        Some(dossier) if Kind::of(key) == Some(Kind::Remediation) => [dossier, &[u8::MAX]].concat(),
        _ => key.to_vec(),
    }
}

/// Hands what lies at `key` in sled to `each`, with its own key: a row, those of a dossier in order, or what is no row.
///
/// # Errors
/// The dossier is damaged, or `each` failed.
pub fn each<E: From<BadRow>>(
    key: &[u8],
    value: &[u8],
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    if Kind::of(key) != Some(Kind::Remediation) {
        return each(key, value);
    }
    if let Some(own) = from_outside(key) {
        return each(&own, value);
    }
    split(key, value)?.into_iter().try_for_each(|(own, at)| each(&own, &value[at]))
}

/// The value of the row at `key`, wherever it lies.
///
/// # Errors
/// sled failed, or the dossier is damaged.
pub fn get<E: From<BadRow> + From<sled::Error>>(db: &sled::Db, key: &[u8]) -> Result<Option<IVec>, E> {
    let Some(place) = Place::of(key) else { return Ok(db.get(key)?) };
    if let Some(slot) = place.slot
        && let Some(value) = db.get(&place.dossier)?
        && let Some((_, at)) = parts(&place.dossier, &value)?.into_iter().find(|(found, _)| *found == slot)
    {
        return Ok(Some(value.subslice(at.start, at.len())));
    }
    if place.outside == place.dossier { Ok(None) } else { Ok(db.get(&place.outside)?) }
}

/// The rows of these kinds that belong to the remediation whose row has the key `remediation`, by their keys.
///
/// # Errors
/// As for [`get`].
pub fn of<E: From<BadRow> + From<sled::Error>>(
    db: &sled::Db,
    remediation: &[u8],
    kinds: &[Kind],
) -> Result<BTreeMap<Vec<u8>, IVec>, E> {
    let mut rows = BTreeMap::new();
    for found in db.scan_prefix(remediation) {
        let (key, value) = found?;
        match from_outside(&key) {
            Some(own) => drop(rows.insert(own, value)),
            None => {
                let parts = split(&key, &value)?.into_iter();
                rows.extend(parts.map(|(own, at)| (own, value.subslice(at.start, at.len()))));
            }
        }
    }
    rows.retain(|key, _| Kind::of(key).is_some_and(|kind| kinds.contains(&kind)));
    Ok(rows)
}

/// The key in sled at which a row lies.
#[cfg(test)]
pub fn home(entry: &super::codec::Entry) -> Bytes {
    let Some(place) = Place::of(&entry.key) else { return entry.key.clone() };
    match entry.value.as_deref().and_then(|value| place.slot_for(value)) {
        Some(_) => place.dossier,
        None => place.outside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Change;
    use crate::store::codec::Entry;
    use crate::store::{codec, samples};

    /// Two links, one of them beyond the first, and two entries.
    fn entries() -> Vec<Entry> {
        let changes = [
            Change::Remediation(Box::new(samples::remediation(1))),
            Change::Link(Box::new(samples::link(1, 3))),
            Change::Link(Box::new(samples::link(1, 4))),
            Change::Transition(Box::new(samples::transition(1, 8))),
            Change::Transition(Box::new(samples::transition(1, 9))),
        ];
        changes.iter().map(codec::encode).collect()
    }

    fn dossier() -> (Bytes, Vec<u8>) {
        let mut dossier = Dossier::default();
        for Entry { key, value } in entries() {
            let (place, value) = (Place::of(&key).unwrap(), value.unwrap());
            if let Some(slot) = place.slot_for(&value) {
                dossier.put(slot, value);
            }
        }
        (entries()[0].key.clone(), dossier.seal().unwrap())
    }

    #[test]
    fn every_row_comes_out_as_it_went_in_wherever_it_lies() {
        let (at, value) = dossier();
        let mut inside = Vec::new();
        each::<BadRow>(&at, &value, |key, value| {
            inside.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .unwrap();
        let all: Vec<_> =
            entries().into_iter().map(|entry| (entry.key.to_vec(), entry.value.unwrap().to_vec())).collect();
        assert_eq!(inside, [all[0].clone(), all[1].clone(), all[3].clone()]);
        for (key, value) in [&all[2], &all[4]] {
            let place = Place::of(key).unwrap();
            assert!(place.outside.starts_with(&at) && place.slot_for(value).is_none());
            let own = |found: &[u8], there: &[u8]| {
                assert_eq!((found, there), (&key[..], &value[..]));
                Ok::<_, BadRow>(())
            };
            each(&place.outside, value, own).unwrap();
        }
        assert_eq!(Dossier::open(&at, &value).unwrap().seal(), Some(value));
    }

    #[test]
    fn what_is_large_is_never_inside_but_for_the_row_itself() {
        let large = vec![0; PART + 1];
        let slots = entries().into_iter().map(|entry| Place::of(&entry.key).unwrap().slot_for(&large).is_some());
        assert_eq!(slots.collect::<Vec<_>>(), [true, false, false, false, false]);
    }

    #[test]
    fn rows_of_no_remediation_lie_where_their_keys_say() {
        for change in samples::every_row() {
            let entry = codec::encode(&change);
            let belongs = matches!(change, Change::Remediation(_) | Change::Link(_) | Change::Transition(_));
            assert_eq!(Place::of(&entry.key).is_some(), belongs, "{change:?}");
            if !belongs {
                assert_eq!(home(&entry), entry.key);
            }
        }
        assert_eq!((Place::of(b""), Place::of(b"\x05short"), Place::of(b"\x06short")), (None, None, None));
    }

    #[test]
    fn a_damaged_dossier_is_refused() {
        let (at, good) = dossier();
        let rows = |value: &[u8]| {
            let mut rows = Vec::new();
            each::<BadRow>(&at, value, |key, value| {
                rows.push(codec::decode(key, Some(value))?);
                Ok(())
            })
            .map(|()| rows)
        };
        let whole = rows(&good).unwrap();
        for cut in 0..good.len() {
            assert!(rows(&good[..cut]).is_err(), "cut at {cut}");
        }
        assert!(rows(&[&good[..], b"\0"].concat()).is_err());
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(rows(&bad).is_err(), "bit {bit} of byte {at}");
            }
        }
        assert_eq!(whole.len(), 3);
        // As nobody wrote it, although every part is whole.
        let mut twice = good.clone();
        twice[0] += 1;
        let head = good[1..=HEAD].to_vec();
        let first = &good[1 + 3 * HEAD..][..u32::from_be_bytes(head[2..].try_into().unwrap()) as usize];
        twice.splice(1..1, head);
        twice.splice(1 + 4 * HEAD..1 + 4 * HEAD, first.iter().copied());
        assert!(rows(&twice).is_err());
    }
}
