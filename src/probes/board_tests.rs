//! The board in virtual time.

use super::*;
use crate::config::checks::schedule::utc;
use crate::config::checks::{Cron, Probe, Tcp};
use crate::domain::ClusterId;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(millis * 1_000)
}

fn planned(id: &str, every_ms: u64, concurrency: usize) -> Arc<Planned> {
    Arc::new(Planned {
        id: CheckId::parse(id).unwrap(),
        check: Check {
            schedule: Schedule::Every(Duration::from_millis(every_ms)),
            timeout: Duration::from_secs(1),
            concurrency,
            probe: Probe::Tcp(Tcp { port: 22, banner: None }),
        },
        failures_before: 3,
    })
}

fn target(n: u32, host: u32) -> Arc<Target> {
    Arc::new(Target {
        instance_id: InstanceId::parse(&format!("i-{n}")).unwrap(),
        cluster_id: ClusterId::parse("train-a").unwrap(),
        host_id: HostId::parse(&format!("h-{host}")).unwrap(),
        name: "node".into(),
        address: "127.0.0.1".into(),
        generation: "1".into(),
    })
}

fn fleet(n: u32) -> Vec<Arc<Target>> {
    (0..n).map(|n| target(n, n)).collect()
}

const HOUR: i64 = 3_600_000;

/// Begins what may begin; says what began.
fn begin(board: &mut Board, now: Timestamp) -> Vec<Start> {
    std::iter::from_fn(|| board.start(now)).collect()
}

#[test]
fn every_run_begins_once_in_its_interval_and_none_late_where_there_is_room() {
    let mut board = Board::default();
    board.plan(&[(planned("ssh", 1_000, 64), fleet(500)), (planned("page", 2_000, 64), fleet(500))], 128, at(0));
    let mut begun: BTreeMap<(CheckId, InstanceId), Vec<Timestamp>> = BTreeMap::new();
    for millis in 1..=4_000 {
        assert_eq!(board.turn(at(millis)), []);
        for start in begin(&mut board, at(millis)) {
            assert!(start.late.is_some_and(|late| late <= Duration::from_millis(1)), "{:?}", start.late);
            let key = (start.job.planned.id.clone(), start.job.target.instance_id.clone());
            begun.entry(key).or_default().push(at(millis));
            board.ended(&start.job, false, at(millis));
        }
    }
    assert_eq!(begun.len(), 1_000);
    for ((check, _), times) in &begun {
        assert_eq!(times.len(), if check.as_str() == "ssh" { 4 } else { 2 });
    }
    assert_eq!(board.running(), 0);
}

#[test]
fn one_run_a_host_at_a_time_and_who_waits_for_it_holds_up_nobody() {
    let mut board = Board::default();
    let [ssh, page] = ["ssh", "page"].map(|id| planned(id, 1_000, 8));
    board.plan(&[], 64, at(0));
    // Whoever asks last goes first, as long as the host is free.
    board.ask(Arc::clone(&page), target(3, 3), 4, at(0));
    board.ask(Arc::clone(&page), target(2, 1), 3, at(0));
    board.ask(page, target(1, 1), 2, at(0));
    board.ask(Arc::clone(&ssh), target(1, 1), 1, at(0));
    let numbers = |starts: &[Start]| -> Vec<Wanted> { starts.iter().map(|start| start.job.wanted).collect() };
    let first = begin(&mut board, at(0));
    assert_eq!(numbers(&first), [Wanted::Asked(1), Wanted::Asked(4)]);
    board.ended(&first[0].job, false, at(5));
    let second = begin(&mut board, at(5));
    assert_eq!(numbers(&second), [Wanted::Asked(2)]);
    board.ended(&second[0].job, false, at(6));
    assert_eq!(numbers(&begin(&mut board, at(6))), [Wanted::Asked(3)]);
}

#[test]
fn a_check_that_hangs_takes_its_own_places_only() {
    let mut board = Board::default();
    board.plan(&[(planned("hangs", 1_000, 4), fleet(50)), (planned("ssh", 1_000, 64), fleet(100))], 64, at(0));
    let (mut hanging, mut passed) = (0, 0);
    for millis in 1..=3_000 {
        board.turn(at(millis));
        for start in begin(&mut board, at(millis)) {
            // Half of the hosts have a run of the check that hangs under way or before them at most.
            if start.job.planned.id.as_str() == "hangs" {
                hanging += 1;
            } else {
                passed += 1;
                board.ended(&start.job, false, at(millis));
            }
        }
    }
    assert_eq!(hanging, 4);
    // Of the hosts that hang nothing else is seen; all others are looked at as planned.
    assert!((3 * 96..=3 * 100).contains(&passed), "{passed}");
}

#[test]
fn a_run_that_is_not_over_is_never_doubled() {
    let mut board = Board::default();
    board.plan(&[(planned("slow", 100, 8), fleet(1))], 64, at(0));
    let mut begun = Vec::new();
    let mut skipped = 0;
    for millis in 1..=1_000 {
        skipped += board.turn(at(millis)).len();
        begun.extend(begin(&mut board, at(millis)));
    }
    assert_eq!((begun.len(), skipped), (1, 9));
    board.ended(&begun[0].job, false, at(1_000));
    board.turn(at(1_100));
    assert_eq!(begin(&mut board, at(1_100)).len(), 1);
}

#[test]
fn a_reload_moves_nothing_that_stays_and_forgets_what_goes() {
    let mut board = Board::default();
    let ssh = || planned("ssh", 1_000, 64);
    board.plan(&[(ssh(), fleet(100)), (planned("page", 1_000, 64), fleet(100))], 1, at(0));
    board.turn(at(500));
    let running = begin(&mut board, at(500));
    assert_eq!(running.len(), 1);
    let theirs = board.entries.iter().filter(|entry| entry.planned.id.as_str() == "ssh");
    let due: BTreeMap<InstanceId, Option<Timestamp>> =
        theirs.map(|entry| (entry.target.instance_id.clone(), entry.due)).collect();
    // A check and some nodes leave while one run is under way and others wait; the check that stays may take longer now.
    let stays = Arc::new(Planned {
        check: Check { timeout: Duration::from_secs(2), ..ssh().check.clone() },
        ..Arc::try_unwrap(ssh()).unwrap()
    });
    board.plan(&[(stays, fleet(60))], 64, at(501));
    for entry in &board.entries {
        assert_eq!(entry.due, due[&entry.target.instance_id], "{entry:?}");
    }
    board.ended(&running[0].job, false, at(502));
    let mut seen = BTreeSet::new();
    for millis in 502..=1_502 {
        board.turn(at(millis));
        for start in begin(&mut board, at(millis)) {
            assert_eq!(start.job.planned.check.timeout, Duration::from_secs(2));
            seen.insert(start.job.target.instance_id.clone());
            board.ended(&start.job, false, at(millis));
        }
    }
    assert_eq!((seen.len(), board.running(), board.planned()), (60, 0, 60));
}

#[test]
fn a_node_that_stays_silent_is_asked_less_often_until_it_answers() {
    let mut board = Board::default();
    board.plan(&[(planned("ssh", 1_000, 64), fleet(1))], 64, at(0));
    let mut begun = Vec::new();
    for millis in 1..=60_000 {
        board.turn(at(millis));
        for start in begin(&mut board, at(millis)) {
            begun.push(millis / 1_000);
            board.ended(&start.job, millis < 40_000, at(millis));
        }
    }
    let pauses: Vec<i64> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..8], [1, 1, 1, 1, 2, 4, 8, 8], "{pauses:?}");
    let answers = begun.iter().position(|second| *second >= 40).unwrap();
    assert!(pauses[answers..].iter().all(|pause| *pause == 1), "from its first answer on as planned: {pauses:?}");
}

#[test]
fn what_is_asked_for_goes_before_a_backlog_of_its_check() {
    let mut board = Board::default();
    let ssh = planned("ssh", 1_000, 4);
    board.plan(&[(Arc::clone(&ssh), fleet(1_000))], 1_024, at(0));
    board.turn(at(1_000));
    let under_way = begin(&mut board, at(1_000));
    assert_eq!(under_way.len(), 4);
    board.ask(ssh, target(2_000, 2_000), 7, at(1_000));
    board.ended(&under_way[0].job, false, at(1_001));
    let next = begin(&mut board, at(1_001));
    assert_eq!(next.iter().map(|start| start.job.wanted).collect::<Vec<_>>(), [Wanted::Asked(7)]);
}

fn nightly(expression: &str) -> Arc<Planned> {
    let cron = Cron::parse(expression, &utc()).unwrap();
    let like = planned("night", 1_000, 4);
    let check = Check { schedule: Schedule::Cron(Box::new(cron)), ..like.check.clone() };
    Arc::new(Planned { id: like.id.clone(), check, failures_before: 3 })
}

#[test]
fn a_round_that_takes_its_time_is_not_late() {
    let mut board = Board::default();
    board.plan(&[(nightly("* * * * *"), fleet(100))], 1_024, at(0));
    board.turn(at(60_000));
    let (mut n, mut millis) = (0, 60_000);
    let mut under_way = begin(&mut board, at(millis));
    while !under_way.is_empty() {
        assert!(under_way.iter().all(|start| start.late.is_none()));
        n += under_way.len();
        millis += 100;
        under_way.drain(..).for_each(|start| board.ended(&start.job, false, at(millis)));
        under_way = begin(&mut board, at(millis));
    }
    assert_eq!(n, 100);
}

#[test]
fn cron_follows_the_clock_on_the_wall() {
    let mut board = Board::default();
    board.plan(&[(nightly("0 3 * * *"), fleet(1))], 64, at(0));
    assert_eq!(board.next_due(), Some(at(3 * HOUR)));
    // The wall clock is set one hour forward: three o'clock comes an hour sooner, and is not told twice.
    board.drifts(HOUR * 1_000, at(1_000));
    board.turn(at(2 * HOUR - 1));
    assert!(begin(&mut board, at(2 * HOUR - 1)).is_empty());
    board.turn(at(2 * HOUR));
    let begun = begin(&mut board, at(2 * HOUR));
    assert_eq!(begun.len(), 1);
    board.ended(&begun[0].job, false, at(2 * HOUR));
    board.turn(at(25 * HOUR));
    assert!(begin(&mut board, at(25 * HOUR)).is_empty());
    assert_eq!(board.next_due(), Some(at(26 * HOUR)));
    // A clock that is slewed moves nothing.
    board.drifts(HOUR * 1_000 + 900_000, at(25 * HOUR));
    assert_eq!(board.next_due(), Some(at(26 * HOUR)));
}

#[test]
fn a_wall_clock_that_is_set_back_a_little_repeats_nothing() {
    let mut board = Board::default();
    board.plan(&[(nightly("0 3 * * *"), fleet(1))], 64, at(0));
    board.turn(at(3 * HOUR));
    let begun = begin(&mut board, at(3 * HOUR));
    assert_eq!(begun.len(), 1);
    board.ended(&begun[0].job, false, at(3 * HOUR));
    // Two minutes back: it is three o'clock again in two minutes.
    board.drifts(-120_000_000, at(3 * HOUR + 1_000));
    assert_eq!(board.entries[0].due, Some(at(27 * HOUR + 120_000)));
    // A configuration that leaves it as it is changes nothing of that.
    board.plan(&[(nightly("0 3 * * *"), fleet(1))], 64, at(3 * HOUR + 2_000));
    board.drifts(-60_000_000, at(3 * HOUR + 3_000));
    assert_eq!(board.entries[0].due, Some(at(27 * HOUR + 60_000)));
    // A day back: the clock was wrong before, and three o'clock is told as it comes.
    board.drifts(-24 * HOUR * 1_000, at(3 * HOUR + 4_000));
    assert_eq!(board.entries[0].due, Some(at(27 * HOUR)));
}
