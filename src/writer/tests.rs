//! One thread, one commit, and nothing out before it: the writer over a store that only writes down what it is told.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::domain::{Cluster, ClusterId, DriverId, HostId, Instance, InstanceId, Labels, Mode, Principal, SourceId};
use crate::engine::settings::{ClusterPolicy, Limits, Settings};
use crate::engine::{Command, Configured, Delivery, Past, PastKey, Report, ReportStatus};

/// What the store was told: the kind of each step, and `commit`.
type Told = Arc<Mutex<Vec<&'static str>>>;

struct Disk {
    told: Told,
    fails: bool,
    /// How often it has no room when it is asked.
    short_for: u32,
    is_behind: Arc<AtomicBool>,
}

impl Port for Disk {
    fn past(&mut self, _: &[PastKey]) -> Result<Past, StoreError> {
        Ok(Past::default())
    }

    fn stage(&mut self, _: &Cause, kind: &'static str, _: &[Change]) {
        self.told.lock().unwrap().push(kind);
    }

    fn commit(&mut self, _: Timestamp) -> Result<u64, StoreError> {
        self.told.lock().unwrap().push("commit");
        if self.fails { Err(StoreError::Stopped) } else { Ok(1) }
    }

    fn is_behind(&self) -> bool {
        self.is_behind.load(Ordering::SeqCst)
    }

    fn room(&mut self) -> Result<Result<(), String>, StoreError> {
        self.told.lock().unwrap().push("room");
        let left = self.short_for.saturating_sub(1);
        match std::mem::replace(&mut self.short_for, left) {
            0 => Ok(Ok(())),
            _ => Ok(Err("no room".to_owned())),
        }
    }
}

struct Deaf;

impl Observer for Deaf {
    fn committed(&mut self, _: &[Change], _: &[Decision]) {}

    fn turned(&mut self, _: &Turned<'_>) {}
}

struct Outcome {
    told: Vec<&'static str>,
    replies: Vec<Option<Reply>>,
    effects: usize,
    is_ok: bool,
}

/// Queues these inputs, then lets the writer run until it has taken them all.
fn run(inputs: Vec<Input>, fails: bool) -> Outcome {
    let told = Told::default();
    let (inlet, lanes) = inlet(LANE);
    let mut answers = Vec::new();
    for input in inputs {
        let (envelope, answer) = inlet::envelope(Cause::system(), input, false);
        inlet.lane(&envelope.input).try_send(envelope).unwrap();
        answers.push(answer);
    }
    let (effects_out, mut effects) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel();
    stop.send(()).unwrap();
    let disk = Disk { told: Arc::clone(&told), fails, short_for: 0, is_behind: Arc::default() };
    let clock = Arc::new(Clock::start(None));
    let door = inlet.door().clone();
    let writer = Writer::new(Engine::new([], 1), disk, clock, lanes, door, effects_out, Box::new(Deaf));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let is_ok = writer.run(runtime.handle(), stopped).is_ok();
    let replies = answers.iter_mut().map(|answer| answer.try_recv().ok().and_then(Result::ok)).collect();
    let told = told.lock().unwrap().iter().copied().filter(|kind| *kind != "room").collect();
    Outcome { told, replies, effects: std::iter::from_fn(|| effects.try_recv().ok()).count(), is_ok }
}

fn configured() -> Input {
    let id = ClusterId::parse("train-a").unwrap();
    let (act, modes) = (DriverId::parse("fix").unwrap(), Mode::ALL.into());
    let policy = ClusterPolicy { act, modes, act_deadline: Duration::from_secs(600) };
    let mut settings = Settings { limits: Limits { in_flight: 9, in_flight_percent: 100 }, ..Settings::default() };
    settings.clusters.insert(id.clone(), policy);
    let instance = Instance {
        id: InstanceId::parse("i-7").unwrap(),
        name: "gpu-node-7".to_owned(),
        cluster_id: id.clone(),
        host_id: HostId::parse("h-0042").unwrap(),
        addresses: Vec::new(),
        provider_id: String::new(),
        pool: String::new(),
        generation: String::new(),
        domains: std::collections::BTreeMap::new(),
        auto_remediation_enabled: true,
    };
    let clusters = vec![Cluster { name: id.to_string(), id }];
    Input::Configured(Box::new(Configured { settings: Arc::new(settings), clusters, instances: vec![instance] }))
}

fn create() -> Input {
    let (cluster_id, instance_id) = (ClusterId::parse("train-a").unwrap(), InstanceId::parse("i-7").unwrap());
    let (reason, alias) = (String::new(), None);
    let command = Command::Create { cluster_id, instance_id, mode: Mode::RebootVm, reason, alias, is_retry: false };
    Input::Asked(Principal::local(), command)
}

fn delivered(n: usize) -> Input {
    let report = Report {
        status: ReportStatus::Firing,
        labels: Labels::from_pairs([("n", n.to_string())]),
        annotations: Labels::default(),
        truncated: false,
        started_at: Timestamp::from_micros(0),
        ended_at: None,
        fingerprint: String::new(),
    };
    let source = SourceId::parse("main").unwrap();
    Input::Delivered(Delivery::new(source, None).with_reports([report]))
}

#[test]
fn commands_go_first_and_what_is_due_does_not_wait_for_a_full_lane() {
    let storm = (0..LANE).map(delivered);
    let outcome = run(storm.chain([configured(), create()]).collect(), false);
    let commands: Vec<&str> = outcome.told.iter().copied().filter(|kind| *kind != "commit").take(2).collect();
    assert_eq!(commands, ["configured", "create"]);
    let created = outcome.told.iter().position(|kind| *kind == "create").unwrap();
    let next_turn = outcome.told[created..].iter().position(|kind| *kind == "commit").unwrap() + created + 1;
    assert_eq!(outcome.told[next_turn], "tick", "the repair starts in the very next turn");
    assert!(outcome.told[next_turn..].contains(&"delivered"), "the storm was not over by then");
    assert_eq!(outcome.effects, 1);
    assert!(outcome.is_ok && outcome.replies.iter().all(Option::is_some));
}

#[test]
fn a_turn_takes_no_more_alerts_than_its_bound() {
    let outcome = run((0..LANE).map(delivered).collect(), false);
    let turns = outcome.told.split(|kind| *kind == "commit");
    let most = turns.map(<[_]>::len).max().unwrap();
    assert!(most <= TURN_ALERTS, "{most} alerts in one turn");
}

#[test]
fn a_commit_that_fails_lets_neither_effects_nor_replies_out() {
    let outcome = run(vec![configured(), create()], true);
    assert!(!outcome.is_ok);
    assert_eq!((outcome.effects, outcome.replies), (0, vec![None, None]));
    assert_eq!(outcome.told.iter().filter(|kind| **kind == "commit").count(), 1, "nothing is tried after it");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_nothing_is_stepped_what_can_be_asked_again_is_refused_and_results_wait() {
    let told = Told::default();
    let (inlet, lanes) = inlet(LANE);
    let (effects_out, _effects) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel();
    let disk = Disk { told: Arc::clone(&told), fails: false, short_for: 1, is_behind: Arc::default() };
    let (clock, door) = (Arc::new(Clock::start(None)), inlet.door().clone());
    let writer = Writer::new(Engine::new([], 1), disk, clock, lanes, door.clone(), effects_out, Box::new(Deaf));
    let runtime = tokio::runtime::Handle::current();
    // Sent before the writer looks at the disk: later the door itself refuses.
    let (asked, answer) = inlet::envelope(Cause::system(), create(), false);
    inlet.lane(&asked.input).try_send(asked).unwrap();
    let running = tokio::task::spawn_blocking(move || writer.run(&runtime, stopped).is_ok());
    let reported = inlet.report(Cause::system(), configured());

    let Ok(Err(Unavailable::Closed(why))) = answer.await else { panic!("it was not refused") };
    assert_eq!(&*why, "no room");
    assert_eq!(door.is_ready(), Err("no room".into()));
    assert_eq!(inlet.submit(Cause::system(), create()).await, Err(Unavailable::Closed("no room".into())));
    assert!(told.lock().unwrap().iter().all(|kind| *kind == "room"), "nothing is stepped");

    assert_eq!(reported.await, Ok(Reply::Done));
    assert_eq!(door.is_ready(), Ok(()));
    assert!(matches!(inlet.submit(Cause::system(), create()).await, Ok(Reply::Remediation(_))));
    stop.send(()).unwrap();
    assert!(running.await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_store_is_behind_commands_are_taken_and_signals_wait() {
    let (told, is_behind) = (Told::default(), Arc::new(AtomicBool::new(true)));
    let (inlet, lanes) = inlet(LANE);
    let (effects_out, _effects) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel();
    let disk = Disk { told: Arc::clone(&told), fails: false, short_for: 0, is_behind: Arc::clone(&is_behind) };
    let (clock, door) = (Arc::new(Clock::start(None)), inlet.door().clone());
    let writer = Writer::new(Engine::new([], 1), disk, clock, lanes, door, effects_out, Box::new(Deaf));
    let runtime = tokio::runtime::Handle::current();
    let running = tokio::task::spawn_blocking(move || writer.run(&runtime, stopped).is_ok());

    let (signal, mut answer) = inlet::envelope(Cause::system(), delivered(1), false);
    inlet.lane(&signal.input).try_send(signal).unwrap();
    assert_eq!(inlet.report(Cause::system(), configured()).await, Ok(Reply::Done));
    assert!(matches!(inlet.submit(Cause::system(), create()).await, Ok(Reply::Remediation(_))));
    assert!(answer.try_recv().is_err() && !told.lock().unwrap().contains(&"delivered"), "the signal waits");
    is_behind.store(false, Ordering::SeqCst);
    assert!(matches!(answer.await, Ok(Ok(Reply::Received { .. }))));
    // What was taken before a stop is answered, behind or not.
    is_behind.store(true, Ordering::SeqCst);
    let (signal, answer) = inlet::envelope(Cause::system(), delivered(2), false);
    inlet.lane(&signal.input).try_send(signal).unwrap();
    stop.send(()).unwrap();
    assert!(matches!(answer.await, Ok(Ok(Reply::Received { .. }))));
    assert!(running.await.unwrap());
}

#[test]
fn memory_is_tidied_while_nothing_comes_and_whatever_comes_goes_first() {
    let (inlet, lanes) = inlet(LANE);
    let disk = Disk { told: Told::default(), fails: false, short_for: 0, is_behind: Arc::default() };
    let (effects, _effects) = mpsc::unbounded_channel();
    let clock = Arc::new(Clock::start(None));
    let (engine, door) = (Engine::new([], 1), inlet.door().clone());
    let mut writer = Writer::new(engine, disk, Arc::clone(&clock), lanes, door, effects, Box::new(Deaf));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_stop, mut stopped) = oneshot::channel();
    let mut wait = |writer: &mut Writer<Disk>| runtime.block_on(writer.wait(&mut stopped));

    assert!(matches!(wait(&mut writer), Woken::Quiet), "at once after a start");
    for input in [configured(), create()] {
        let (envelope, _) = inlet::envelope(Cause::system(), input, false);
        inlet.lane(&envelope.input).try_send(envelope).unwrap();
        let Woken::Input(envelope) = wait(&mut writer) else { panic!("an input goes first") };
        writer.rests_at = None;
        writer.turn(Some(*envelope)).unwrap();
        assert!(writer.rests_at.is_some_and(|at| at > Timestamp::from_micros(0)), "every turn wakes rows");
    }
    // The act of the remediation is out; until its result comes nothing is due.
    writer.turn(None).unwrap();
    assert!(matches!(wait(&mut writer), Woken::Quiet));
    // What lies open will be packed later: that is when it is looked at again.
    let mut rests = 0;
    while writer.rests_at.is_some_and(|at| at.since(clock.now()) < HEARTBEAT / 2) {
        writer.rest();
        rests += 1;
        assert!(rests < 100);
    }
    assert!(rests > 1 && writer.rests_at.is_some());
}
