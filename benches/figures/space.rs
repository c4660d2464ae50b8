//! How much disk sled takes after a million updates of 10,000 records, beside what they hold.

use std::path::Path;
use std::time::Duration;

use remedyd::clock::{Stopwatch, wall_clock};
use remedyd::domain::{AlertState, Timestamp};
use remedyd::engine::{Change, SYSTEM};
use remedyd::store::Port;
use remedyd::writer::Cause;
use serde_json::{Value, json};

use super::made::{self, Size, hold_back, size_of};
use super::table::{Bar, Line, Spread, digits};

/// Records: every second one is an alert, the others are remediations.
const RECORDS: usize = 10_000;
/// How often each of them changes.
const UPDATES: usize = 100;
/// Changes of one turn.
const TURN: usize = 256;
/// The first byte of the keys that belong to an index, and not to a row.
const INDEXES: u8 = 0x40;

/// What came of one round.
struct Taken {
    /// sled's folder after the store was closed, and the most that it was meanwhile.
    sled: Size,
    most: u64,
    journal: Size,
    /// Keys and values of the rows, and those of the indexes.
    rows: u64,
    indexes: u64,
}

/// The store is written in this process, by the same port as the writer's; nothing of it depends on the time. The program
/// has no part in it.
pub async fn run(_program: &Path, rounds: usize) -> (Vec<Line>, Value) {
    let mut taken = Vec::new();
    for round in 1..=rounds {
        eprintln!("space: round {round} of {rounds}");
        taken.push(tokio::task::spawn_blocking(round_of).await.unwrap());
    }
    let median = |of: fn(&Taken) -> f64| Spread::of(taken.iter().map(of)).median;
    let megabytes = |of: fn(&Taken) -> f64| digits(median(of) / 1e6);
    let ratio = Spread::of(taken.iter().map(|taken| taken.sled.on_disk as f64 / taken.rows as f64));
    let what = format!("sled on disk ÷ its rows, {} updates of {RECORDS} records", RECORDS * UPDATES);
    let beside = format!(
        "{} MB in blocks, {} MB in length, at most {} MB meanwhile; rows {} MB, with indexes {} MB; journal {} MB",
        megabytes(|taken| taken.sled.on_disk as f64),
        megabytes(|taken| taken.sled.length as f64),
        megabytes(|taken| taken.most as f64),
        megabytes(|taken| taken.rows as f64),
        megabytes(|taken| (taken.rows + taken.indexes) as f64),
        megabytes(|taken| taken.journal.length as f64),
    );
    let all = taken.iter().map(|taken| {
        json!({
            "sled_on_disk": taken.sled.on_disk, "sled_length": taken.sled.length, "sled_most": taken.most,
            "journal_length": taken.journal.length, "rows": taken.rows, "indexes": taken.indexes,
        })
    });
    (vec![Line::new(what, Bar::AtMost(6.0), Bar::AtMost(3.0), ratio).beside(beside)], all.collect())
}

fn round_of() -> Taken {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/benches");
    std::fs::create_dir_all(&target).unwrap();
    let folder = tempfile::tempdir_in(target).unwrap();
    let data = folder.path().join("data");
    let (sled, now) = (data.join("sled"), wall_clock());
    let (mut appender, reader) = made::open(&data);
    let mut records = made::records(RECORDS, now);
    assert_eq!(records.len(), RECORDS);
    let cause = Cause::of(SYSTEM);
    let mut most = 0;
    for update in 0..=UPDATES {
        // Neighbours do not change together, and none twice in a turn.
        let order: Vec<usize> = (0..RECORDS).map(|at| at * 7_919 % RECORDS).collect();
        let at = now.plus(Duration::from_secs(60 * update as u64));
        for part in order.chunks(TURN) {
            let changes: Vec<Change> = part.iter().map(|which| records[*which].clone()).collect();
            appender.stage(&cause, "tick", &changes);
            appender.commit(at).unwrap();
            hold_back(&reader);
        }
        records.iter_mut().for_each(|record| change(record, at));
        most = most.max(size_of(&sled).on_disk);
    }
    appender.close().unwrap();
    drop(reader);
    let (size, journal) = (size_of(&sled), size_of(&data.join("journal")));
    let (rows, indexes) = live(&sled);
    Taken { sled: size, most: most.max(size.on_disk), journal, rows, indexes }
}

/// The next version of a record.
fn change(record: &mut Change, at: Timestamp) {
    let later = at.plus(Duration::from_secs(60));
    match record {
        Change::Alert(row) => {
            let is_firing = row.state == AlertState::Firing;
            row.state = if is_firing { AlertState::Resolved } else { AlertState::Firing };
            row.resolved_at = is_firing.then_some(later);
            row.cleared_at = is_firing.then_some(later);
            row.last_seen_at = later;
        }
        Change::Remediation(row) => {
            row.version += 1;
            row.updated_at = later;
        }
        other => unreachable!("no record is {other:?}"),
    }
}

/// How many bytes the keys and values of all rows are, and those of the indexes. There are as many rows as records.
fn live(sled: &Path) -> (u64, u64) {
    let config = sled::Config::new().path(sled).mode(sled::Mode::LowSpace);
    let watch = Stopwatch::start();
    // The threads of the sled that was closed let go of its files a moment later.
    let db = loop {
        match config.open() {
            Ok(db) => break db,
            Err(error) => assert!(watch.elapsed() < Duration::from_secs(5), "{error}"),
        }
        std::thread::park_timeout(Duration::from_millis(5));
    };
    let (mut rows, mut indexes, mut count) = (0, 0, 0);
    for found in db.iter() {
        let (key, value) = found.unwrap();
        let bytes = (key.len() + value.len()) as u64;
        match key[0] {
            // The store's own notes.
            0 => {}
            1..INDEXES => (rows, count) = (rows + bytes, count + 1),
            _ => indexes += bytes,
        }
    }
    assert_eq!(count, RECORDS, "every record is there");
    (rows, indexes)
}
