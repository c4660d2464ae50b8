//! What each hot part of an alert's way costs by itself: parse, join, match, step, encode, append.
//!
//! `cargo bench --bench parts [-- PART]`; with `-- --test` every part runs once.

mod world;

use std::fs::File;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use remedyd::clock::Stopwatch;
use remedyd::domain::{Labels, Timestamp};
use remedyd::engine::{Change, Input, join, judge};
use remedyd::store::journal::record::RecordedCause;
use remedyd::store::journal::{Draft, Journal, SEGMENT_BYTES};
use remedyd::store::{Encoder, Entry, encode};
use remedyd::writer::TURN_ALERTS;
use world::{NODES, Said, World, body, load, read, source};

criterion_group! {
    name = parts;
    // Each part does one thing and varies little.
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = parsing, joining, matching, stepping, encoding, appending
}
criterion_main!(parts);

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros((1_790_000_000 + second) * 1_000_000)
}

fn fires(node: usize) -> Said {
    Said { node, started_at: at(0), ended_at: None }
}

/// The body of a post, as far as the delivery that enters the writer.
fn parsing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    for alerts in [1, 64, 256] {
        let body = body((0..alerts).map(fires));
        let delivery = read(&body);
        assert_eq!((delivery.reports().len(), delivery.dead.len()), (alerts, 0));
        group.throughput(Throughput::Elements(alerts as u64));
        group.bench_function(BenchmarkId::from_parameter(alerts), |bencher| bencher.iter(|| read(black_box(&body))));
    }
}

/// An alert's labels to its instance among 10,000, or to the reason why there is none.
fn joining(criterion: &mut Criterion) {
    let loaded = load();
    let world = World::new(&loaded);
    let (memory, source) = (world.engine.memory(), &loaded.config.settings.sources[&source()]);
    assert_eq!(memory.instances().len(), NODES);
    let known: Vec<Labels> = (0..1_000).map(|node| labels(&body([fires(node * (NODES / 1_000))]))).collect();
    let unknown = [labels(&body([fires(NODES)]))];
    let mut group = criterion.benchmark_group("join");
    for (name, labels) in [("found", &known[..]), ("unknown", &unknown[..])] {
        assert!(labels.iter().all(|labels| join(memory, source, labels).is_ok() == (name == "found")));
        let mut turns = labels.iter().cycle();
        group.bench_function(name, |bencher| bencher.iter(|| join(memory, source, turns.next().expect("it cycles"))));
    }
}

fn labels(body: &[u8]) -> Labels {
    read(body).reports().next().expect("one alert").labels.clone()
}

/// The rules that ship over one alert: one that a rule names and its code decides, and one that none knows.
fn matching(criterion: &mut Criterion) {
    let loaded = load();
    let mut world = World::new(&loaded);
    world.fall_sick(0..1);
    let memory = world.engine.memory();
    let known = memory.alerts().values().next().expect("it fell sick");
    let instance = memory.instances().get(known.instance().expect("it was joined")).expect("it is there");
    let mut unknown = known.clone();
    let labels = known.labels.iter().map(|(name, value)| (name, if name == "alertname" { "Unknown" } else { value }));
    unknown.labels = Labels::from_pairs(labels);
    let mut group = criterion.benchmark_group("match");
    for (name, alert, wants) in [("one rule", known, 1), ("no rule", &unknown, 0)] {
        assert_eq!(judge(&loaded.config.settings, instance, alert).count(), wants);
        group.bench_function(name, |bencher| {
            bencher.iter(|| judge(&loaded.config.settings, instance, black_box(alert)).count());
        });
    }
}

/// The same alert again, and one that ends or begins at each delivery.
fn stepping_again(group: &mut BenchmarkGroup<'_, WallTime>, world: &mut World, how: &str) {
    let started_at = world.now();
    let repeat = read(&body([Said { node: 7, started_at, ended_at: None }]));
    // The first of them says something new: another start.
    world.step(Input::Delivered(repeat.clone()));
    group.bench_function(format!("repeat{how}"), |bencher| {
        bencher.iter_custom(|turns| {
            let mut sum = Duration::ZERO;
            for _ in 0..turns {
                let (step, took) = world.step(Input::Delivered(repeat.clone()));
                assert!(step.changes.is_empty(), "a repeat changes nothing");
                sum += took;
            }
            sum
        });
    });
    let mut churned = Said { node: 8, started_at, ended_at: None };
    world.step(Input::Delivered(read(&body([churned]))));
    group.bench_function(format!("churned{how}"), |bencher| {
        bencher.iter_custom(|turns| {
            let mut sum = Duration::ZERO;
            for _ in 0..turns {
                churned = match churned.ended_at {
                    None => Said { ended_at: Some(world.now()), ..churned },
                    Some(_) => Said { started_at: world.now(), ended_at: None, ..churned },
                };
                let (step, took) = world.step(Input::Delivered(read(&body([churned]))));
                assert!(step.changes.iter().any(|change| matches!(change, Change::Alert(_))), "it ends or begins");
                sum += took;
            }
            sum
        });
    });
}

/// The engine's step for a delivery of one alert, while all nodes are sick; for a new one, while more and more are.
fn stepping(criterion: &mut Criterion) {
    let loaded = load();
    let mut world = World::new(&loaded);
    world.fall_sick(0..NODES);
    assert_eq!((world.engine.memory().alerts().len(), world.engine.memory().remediations().len()), (NODES, NODES));
    let mut group = criterion.benchmark_group("step");
    stepping_again(&mut group, &mut world, "");
    world.engine = world.engine.with_open_rows(0);
    stepping_again(&mut group, &mut world, ", rows packed");
    let (mut world, mut node) = (World::new(&loaded), 0);
    group.bench_function("new, a proposal opens", |bencher| {
        bencher.iter_custom(|turns| {
            let mut sum = Duration::ZERO;
            for _ in 0..turns {
                if node == NODES {
                    (world, node) = (World::new(&loaded), 0);
                }
                let said = Said { node, started_at: world.now(), ended_at: None };
                let (step, took) = world.step(Input::Delivered(read(&body([said]))));
                assert!(step.changes.iter().any(|change| matches!(change, Change::Remediation(_))), "a proposal opens");
                sum += took;
                node += 1;
            }
            sum
        });
    });
}

/// What the first alert of a node changes: its own row, and those of the proposal that it opens.
fn opening(node: usize) -> Vec<Change> {
    let mut world = World::new(&load());
    let said = Said { node, started_at: world.now(), ended_at: None };
    world.step(Input::Delivered(read(&body([said])))).0.changes
}

/// A row as the bytes that the journal and sled hold.
fn encoding(criterion: &mut Criterion) {
    let changes = opening(7);
    let find = |is_it: fn(&Change) -> bool| changes.iter().rev().find(|change| is_it(change)).expect("it was changed");
    let (mut group, mut encoder) = (criterion.benchmark_group("encode"), Encoder::default());
    for (name, change) in [
        ("alert", find(|change| matches!(change, Change::Alert(_)))),
        ("remediation", find(|change| matches!(change, Change::Remediation(_)))),
    ] {
        group.throughput(Throughput::Bytes(encoder.encode(change).value.map_or(0, |value| value.len() as u64)));
        group.bench_function(name, |bencher| bencher.iter(|| encoder.encode(black_box(change))));
    }
}

/// A turn of 256 alerts: sealed and written, without waiting for the disk and with it.
fn appending(criterion: &mut Criterion) {
    let mut world = World::new(&load());
    let started_at = world.now();
    let message = (0..TURN_ALERTS).map(|node| Said { node, started_at, ended_at: None });
    let (step, _) = world.step(Input::Delivered(read(&body(message))));
    let alerts = step.changes.iter().filter(|change| matches!(change, Change::Alert(_)));
    let entries: Vec<Entry> = alerts.take(TURN_ALERTS).map(encode).collect();
    assert_eq!(entries.len(), TURN_ALERTS);
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::Elements(TURN_ALERTS as u64));
    for (name, is_synced) in [("without fdatasync", false), ("with fdatasync", true)] {
        let sync = |file: &File| if is_synced { file.sync_data() } else { Ok(()) };
        // Beside the build, where there is a disk: what /tmp lies on may be memory, and would make every sync free.
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/benches");
        std::fs::create_dir_all(&target).unwrap();
        let folder = tempfile::tempdir_in(target).unwrap();
        let dir = folder.path().join("journal");
        let mut journal = empty(&dir);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|turns| {
                let mut sum = Duration::ZERO;
                for _ in 0..turns {
                    let draft = draft(&entries);
                    let watch = Stopwatch::start();
                    let seq = journal.append(draft, at(1), sync).unwrap();
                    sum += watch.elapsed();
                    // A bench writes gigabytes; a disk need not keep them.
                    if seq.is_multiple_of(64) {
                        Journal::prune(&dir, seq).unwrap();
                    }
                }
                sum
            });
        });
    }
}

fn empty(dir: &Path) -> Journal {
    Journal::prepare(dir).unwrap();
    let end = Journal::read_from(dir, 1).unwrap().end();
    Journal::resume(dir, end, 1, SEGMENT_BYTES).unwrap()
}

fn draft(entries: &[Entry]) -> Draft {
    let mut draft = Draft::default();
    draft.add(&RecordedCause::of("main", "delivered"), entries);
    draft
}
