//! Rows of remediations that come in any order and size, some inside their dossiers and some beside them: whoever asks finds the
//! last of each, and whoever counts finds neither more nor fewer.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use sled::IVec;

use super::*;
use crate::domain::{Labels, State};
use crate::store::batch::{Batch, Highest, Row};
use crate::store::codec::Entry;
use crate::store::database::tally;
use crate::store::keys::Kind;
use crate::store::walk::Walk;

/// How many remediations share the rows, so that they are written again and again.
const REMEDIATIONS: usize = 5;

/// A row of one of them, new or as it never was before.
fn row(turn: usize, dice: &mut impl FnMut(usize) -> usize) -> Row {
    let n = dice(REMEDIATIONS) as u32 + 1;
    // Random letters: LZ4 makes nothing of them, so that some rows are too large for a dossier.
    let letters = [1, 100, 5_000, 9_000][dice(4)];
    let text: String = (0..letters).map(|_| char::from(b'a' + dice(26) as u8)).collect();
    let change = match dice(5) {
        0 => {
            let mut row = samples::remediation(n);
            row.state = State::ALL[dice(State::ALL.len())];
            row.note = Some(text);
            row.updated_at = at(turn as i64);
            Change::Remediation(Box::new(row))
        }
        1 | 2 => {
            let mut link = samples::link(n, dice(7) as u32);
            link.annotations = Labels::from_pairs([("summary", text)]);
            Change::Link(Box::new(link))
        }
        3 => {
            let transition = samples::transition(n, dice(12) as u64 + 1);
            Change::Transition(Box::new(crate::domain::Transition { reason: text, ..transition }))
        }
        _ => Change::Alert(Box::new(samples::alert(n, 1))),
    };
    Row { entry: codec::encode(&change), index: index::keys(&change) }
}

fn rows_of(db: &sled::Db, n: u32, kind: Kind) -> BTreeMap<Vec<u8>, IVec> {
    dossier::of::<StoreError>(db, &keys::remediation(samples::remediation_id(n)), &[kind]).unwrap()
}

#[test]
fn rows_inside_dossiers_and_beside_them_are_found_and_counted_alike() {
    let dir = tempfile::tempdir().unwrap();
    let db = database::open(dir.path(), false).unwrap();
    let (mut highest, mut model) = (Highest::default(), BTreeMap::<Bytes, Bytes>::new());
    let mut walk = Walk::begin(crate::domain::Horizons::default()).only_reading();
    let (mut state, mut walks, mut moved, mut kept) = (11, 0, 0, BTreeSet::<Vec<u8>>::new());
    let mut dice = |below| samples::dice(&mut state, below);
    for turn in 0..600 {
        let mut batch: BTreeMap<Bytes, Row> = BTreeMap::new();
        for _ in 0..=dice(4) {
            let row = row(turn, &mut dice);
            batch.insert(row.entry.key.clone(), row);
        }
        // Any row may go: horizons take whole remediations, and what is left of one must not mislead.
        if dice(8) == 0
            && let Some((key, _)) = model.iter().nth(dice(model.len().max(1)))
        {
            batch.insert(key.clone(), Row { entry: Entry { key: key.clone(), value: None }, index: Vec::new() });
        }
        // In an order of their own: first a batch may have to learn of a row whose dossier it has written already.
        let mut batch: Vec<Row> = batch.into_values().collect();
        let first = dice(batch.len());
        batch.rotate_left(first);
        let mut watched = Batch::begin(&db, &mut walk, &mut highest).unwrap();
        for row in &batch {
            watched.put(row).unwrap();
            let Entry { key, value } = &row.entry;
            let lay = |value: &Bytes| dossier::home(&Entry { key: key.clone(), value: Some(value.clone()) });
            moved += usize::from(model.get(key).zip(value.as_ref()).is_some_and(|(old, new)| lay(old) != lay(new)));
            match value {
                Some(value) => model.insert(key.clone(), value.clone()),
                None => model.remove(key),
            };
        }
        watched.apply().unwrap();

        database::compare(&db).unwrap_or_else(|error| panic!("turn {turn}: {error}"));
        for kind in [Kind::Remediation, Kind::Link, Kind::Transition, Kind::Alert] {
            let known: Vec<_> = model.iter().filter(|(key, _)| key[0] == kind.byte()).collect();
            assert_eq!(tally(&db).unwrap().rows(kind), known.len() as u64, "turn {turn}");
            for (key, value) in &known {
                let found = dossier::get::<StoreError>(&db, key).unwrap();
                assert_eq!(found.as_deref(), Some(&***value), "turn {turn}: {key:?}");
            }
            // An alert belongs to no remediation.
            if kind != Kind::Alert {
                let found: Vec<_> = (1..=REMEDIATIONS).flat_map(|n| rows_of(&db, n as u32, kind)).collect();
                let wanted: Vec<_> = known.iter().map(|(key, value)| (key.to_vec(), IVec::from(&***value))).collect();
                assert_eq!(found, wanted, "turn {turn}");
            }
        }
        // A walk is always under way: it ends with an error where it has counted a row twice or not at all, and a checkpoint must
        // not have one twice.
        let keep = |key: &[u8], _: &[u8]| {
            assert!(kept.insert(key.to_vec()), "turn {turn}: {key:?} comes again");
            Ok(())
        };
        if walk.step_over(&db, 1 + dice(10), keep).unwrap_or_else(|error| panic!("turn {turn}: {error}")).is_some() {
            walk = Walk::begin(crate::domain::Horizons::default()).only_reading();
            kept.clear();
            walks += 1;
        }
    }
    assert!(walks > 10 && moved > 50, "{walks} walks, {moved} rows moved into dossiers or out of them");

    // All of it anew, in the order of a checkpoint, is the same. A walk leaves out what has lost its remediation.
    for n in 1..=REMEDIATIONS {
        let change = Change::Remediation(Box::new(samples::remediation(n as u32)));
        let row = Row { entry: codec::encode(&change), index: index::keys(&change) };
        batch::fill(&db, std::slice::from_ref(&row)).unwrap();
        model.insert(row.entry.key, row.entry.value.unwrap());
    }
    let mut rows = Vec::new();
    walk = Walk::begin(crate::domain::Horizons::default()).only_reading();
    let mut keep = |key: &[u8], value: &[u8]| {
        rows.push((key.to_vec(), value.to_vec()));
        Ok(())
    };
    while walk.step(&db, &mut keep).unwrap().is_none() {}
    assert_eq!(rows.len(), model.len());
    let rows = rows.into_iter().map(|(key, value)| Entry { key: key.into(), value: Some(value.into()) });
    let rows: Vec<Row> = rows.map(|entry| Row::try_from(entry).unwrap()).collect();
    assert!(rows.is_sorted_by_key(|row| (dossier::home(&row.entry), row.entry.key.clone())));
    let other = tempfile::tempdir().unwrap();
    let same = database::open(other.path(), false).unwrap();
    batch::fill(&same, &rows).unwrap();
    let all = |db: &sled::Db| db.iter().collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(all(&same), all(&db));
}
