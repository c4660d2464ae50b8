//! The board in virtual time.

use super::*;
use crate::config::checks::{Probe, Tcp};
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
            assert!(start.late <= Duration::from_millis(1), "{:?}", start.late);
            let key = (start.job.planned.id.clone(), start.job.target.instance_id.clone());
            begun.entry(key).or_default().push(at(millis));
            board.ended(&start.job, false);
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
    board.ask(Arc::clone(&ssh), target(1, 1), 1, at(0));
    board.ask(Arc::clone(&page), target(1, 1), 2, at(0));
    board.ask(Arc::clone(&page), target(2, 1), 3, at(0));
    board.ask(page, target(3, 3), 4, at(0));
    let numbers = |starts: &[Start]| -> Vec<Wanted> { starts.iter().map(|start| start.job.wanted).collect() };
    let first = begin(&mut board, at(0));
    assert_eq!(numbers(&first), [Wanted::Asked(1), Wanted::Asked(4)]);
    board.ended(&first[0].job, false);
    let second = begin(&mut board, at(5));
    assert_eq!((numbers(&second), second[0].late), (vec![Wanted::Asked(2)], Duration::from_millis(5)));
    board.ended(&second[0].job, false);
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
                board.ended(&start.job, false);
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
    board.ended(&begun[0].job, false);
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
    board.ended(&running[0].job, false);
    let mut seen = BTreeSet::new();
    for millis in 502..=1_502 {
        board.turn(at(millis));
        for start in begin(&mut board, at(millis)) {
            assert_eq!(start.job.planned.check.timeout, Duration::from_secs(2));
            seen.insert(start.job.target.instance_id.clone());
            board.ended(&start.job, false);
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
            board.ended(&start.job, millis < 40_000);
        }
    }
    let pauses: Vec<i64> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(pauses[..8], [1, 1, 1, 1, 2, 4, 8, 8], "{pauses:?}");
    assert_eq!(pauses.last(), Some(&1));
}
