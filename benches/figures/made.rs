//! Stores full of remediations that ended: made once through the store's own port, kept, and copied for whoever measures.
//!
//! The journal has each remediation as it was opened and as it ended, each in a step of its own; sled has what the applier
//! made of that, indexes and tally included. What lies between the two, such as the versions of an approval, is in its
//! history and not in the journal; an instance's memory is written once, at the end. Alert rows are there as far back as a
//! daemon keeps them.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use remedyd::clock::{Stopwatch, wall_clock};
use remedyd::domain::alert::Joined;
use remedyd::domain::{
    Alert, AlertId, AlertState, Annotation, Attempt, AutoResolve, ClusterId, DriverId, Failure, FailureCode, Horizon,
    HostId, Identity, InstanceId, Labels, Link, Mode, NodeMemory, Outcome, Remediation, RemediationId, Repair, Review,
    RuleId, Severity, SourceId, State, Step, Target, Timestamp, Transition, Trigger, XidEvent,
};
use remedyd::engine::ids::IdSource;
use remedyd::engine::{Change, SYSTEM};
use remedyd::store::{self, Appender, Opened, Options, Port, Reader, offline};
use remedyd::writer::Cause;
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

use super::measured::{MEASURED, OTHERS};
use super::site::{Daemon, Site, node, wait};

/// The nodes that all of it is about.
pub const FLEET: usize = 10_000;
/// How many remediations the first node has in every store, large or small: pages of an instance are full in all of them.
pub const OF_THE_FIRST_NODE: usize = 200;

/// What decides about the form of a store: where any of it has changed, stores are made anew.
const SOURCES: [&str; 3] = ["src/domain", "src/store", "benches/figures/made.rs"];
/// How long a store is good: its times are counted from when it was made, and a daemon cuts a checkpoint each day.
const GOOD: Duration = Duration::from_secs(12 * 3_600);
/// How far back the remediations reach, inside the 90 days for which a daemon keeps them.
const PAST: Duration = Duration::from_secs(60 * 86_400);
/// Alerts that cleared before that are not there any more: a daemon keeps them for 30 days.
const ALERTS: Duration = Duration::from_secs(29 * 86_400);
/// The youngest remediation: all have ended, and no cooldown is left of them.
const YOUNGEST: Duration = Duration::from_secs(2 * 3_600);
/// How many changes a turn has, and how many may wait for sled: beyond that the door of a daemon would be shut.
const TURN: usize = 256;
const WAITING: usize = 20_000;

/// A store that lies ready.
pub struct Made {
    data: PathBuf,
    pub remediations: usize,
}

impl Made {
    /// The store with so many remediations; where there is none that is good, it is made. `program` has started with it
    /// once, and has written what it writes then: the instances of the fleet.
    pub async fn of(program: &Path, remediations: usize) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("target/benches/made-{remediations}"));
        let made = Self { data: folder.join("data"), remediations };
        let (note, version) = (folder.join("made"), version());
        if is_good(&note, &version) {
            return made;
        }
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let watch = Stopwatch::start();
        let data = made.data.clone();
        // In a thread of its own, so that only its threads use both CPUs: nothing is measured meanwhile.
        tokio::task::spawn_blocking(move || {
            let mut both = CpuSet::new();
            both.set(MEASURED);
            both.set(OTHERS);
            sched_setaffinity(None, &both).expect("there are two CPUs");
            make(&data, remediations);
            super::measured::settle_on(OTHERS);
        })
        .await
        .unwrap();
        made.settle(program).await;
        fs::write(note, version).unwrap();
        eprintln!("made {remediations} remediations in {:.0} s", watch.elapsed().as_secs_f64());
        made
    }

    /// A daemon starts with it, and stops.
    async fn settle(&self, program: &Path) {
        let site = Site::new(FLEET, "");
        fs::rename(&self.data, site.data()).unwrap();
        let daemon = site.start(program).await;
        daemon.catch_up().await;
        let page = daemon.get("/api/v1/remediations?cluster_id=fleet&page_size=100").await;
        assert_eq!(page["remediations"].as_array().unwrap().len(), self.remediations.min(100));
        stop(daemon).await;
        fs::rename(site.data(), &self.data).unwrap();
    }

    /// Puts a copy of it where the site has its store. What is never changed in place is linked, `store.id` among it: the
    /// daemon takes the store for the one that it was.
    pub fn place(&self, site: &Site) {
        let to = site.data();
        copy(&self.data.join("sled"), &to.join("sled"), false);
        copy(&self.data.join("checkpoints"), &to.join("checkpoints"), true);
        copy(&self.data.join("journal"), &to.join("journal"), true);
        // The last segment is appended to.
        let last = entries(&self.data.join("journal")).pop().expect("a journal has a segment");
        let copied = to.join("journal").join(last.file_name().unwrap());
        fs::remove_file(&copied).unwrap();
        fs::copy(&last, copied).unwrap();
        fs::hard_link(self.data.join("store.id"), to.join("store.id")).unwrap();
        fs::copy(self.data.join("sentinel"), to.join("sentinel")).unwrap();
    }
}

/// A checksum over all sources that decide about the form.
fn version() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    format!("{:08x}", SOURCES.iter().fold(0, |sum, source| checksum(sum, &root.join(source))))
}

fn checksum(sum: u32, path: &Path) -> u32 {
    match path.is_dir() {
        true => entries(path).iter().fold(sum, |sum, entry| checksum(sum, entry)),
        false => crc32c::crc32c_append(sum, &fs::read(path).unwrap()),
    }
}

fn is_good(note: &Path, version: &str) -> bool {
    let Ok(about) = fs::metadata(note) else { return false };
    let age = wall_clock().since(Timestamp::from_micros(about.mtime() * 1_000_000));
    age < GOOD && fs::read_to_string(note).is_ok_and(|text| text == version)
}

/// What lies in a folder, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn copy(from: &Path, to: &Path, links: bool) {
    fs::create_dir_all(to).unwrap();
    for entry in entries(from) {
        let there = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &there, links);
        } else if links {
            fs::hard_link(&entry, &there).unwrap();
        } else {
            fs::copy(&entry, &there).unwrap();
        }
    }
}

/// How much a folder is: the lengths of its files, and the blocks that they take on the disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    pub length: u64,
    pub on_disk: u64,
}

/// The size of a folder with all that is in it.
pub fn size_of(folder: &Path) -> Size {
    let mut size = Size::default();
    let Ok(found) = fs::read_dir(folder) else { return size };
    // A file may go while we look.
    for (path, about) in found.flatten().filter_map(|entry| Some((entry.path(), entry.metadata().ok()?))) {
        let more = match about.is_dir() {
            true => size_of(&path),
            false => Size { length: about.len(), on_disk: about.blocks() * 512 },
        };
        size.length += more.length;
        size.on_disk += more.on_disk;
    }
    size
}

/// Ends a daemon as systemd does, and waits until it is gone.
pub async fn stop(daemon: Daemon) {
    let id = daemon.process.id();
    kill_process(Pid::from_raw(id as i32).unwrap(), Signal::TERM).unwrap();
    wait(|| async { fate(id).0 == "Z" }).await;
    assert_eq!(fate(id).1, "0", "a daemon that is stopped exits with 0");
}

/// The state of a process that nobody has waited for, and its exit code.
fn fate(id: u32) -> (String, String) {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split_whitespace().collect();
    (fields[0].to_owned(), fields[fields.len() - 1].to_owned())
}

/// Waits until sled is not too far behind, as the door of a daemon does.
pub fn hold_back(reader: &Reader) {
    while reader.lag().changes > WAITING {
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Opens a store that is ours.
pub fn open(data: &Path) -> (Appender, Reader) {
    let Opened { appender, reader, .. } = store::open(data, Options::default()).unwrap().for_writing().unwrap();
    (appender, reader)
}

fn make(data: &Path, remediations: usize) {
    let (mut appender, reader) = open(data);
    let now = wall_clock();
    let mut fleet = Fleet::new(now);
    let step = (PAST - YOUNGEST) / u32::try_from(remediations).unwrap();
    let (mut at, mut staged) = (now.minus(PAST), 0);
    stage(&mut appender, SYSTEM, "configured", &horizons(now, at));
    for number in 0..remediations {
        let life = fleet.life(number, remediations, now.minus(PAST).plus(step * number as u32));
        stage(&mut appender, "main", "delivered", &life.opened);
        stage(&mut appender, SYSTEM, "tick", &life.ended);
        at = at.max(life.ends_at);
        staged += life.opened.len() + life.ended.len();
        if staged >= TURN {
            appender.commit(at).unwrap();
            hold_back(&reader);
            staged = 0;
        }
        if number % 50_000 == 0 && number > 0 {
            eprintln!("made {number} of {remediations} remediations");
        }
    }
    for memories in fleet.memories().chunks(32) {
        stage(&mut appender, SYSTEM, "tick", memories);
        appender.commit(at).unwrap();
        hold_back(&reader);
    }
    appender.close().unwrap();
    // Whoever may read has the folder, too.
    drop(reader);
    // As the daemon's own would be: a checkpoint of everything.
    let (folder, unnamed) = (data.join("checkpoints"), data.join("export"));
    let moved = offline::export(data, Some(&unnamed), &mut std::io::sink()).unwrap();
    fs::create_dir_all(&folder).unwrap();
    fs::rename(unnamed, folder.join(format!("{:020}.checkpoint", moved.seq))).unwrap();
}

/// So many rows without a past: every second one is an alert that fires, the others are proposals.
pub fn records(count: usize, now: Timestamp) -> Vec<Change> {
    let mut fleet = Fleet::new(now);
    let lives = (0..count / 2).flat_map(|number| fleet.life(number, count / 2, now).opened);
    lives.filter(|change| matches!(change, Change::Alert(_) | Change::Remediation(_))).collect()
}

fn stage(appender: &mut Appender, who: &str, kind: &'static str, changes: &[Change]) {
    appender.stage(&Cause::of(who), kind, changes);
}

/// How far back a daemon with the default retention sees, so that it has nothing to catch up with.
fn horizons(now: Timestamp, first: Timestamp) -> [Change; 3] {
    let days = |days: u64| now.minus(Duration::from_secs(days * 86_400));
    [
        Horizon::Remediations { before: days(90), moved_at: now },
        Horizon::Alerts { before: days(30), moved_at: now },
        Horizon::Runs { before: days(7).max(first), moved_at: now },
    ]
    .map(|horizon| Change::Horizon(Box::new(horizon)))
}

/// All rows of one remediation.
struct Life {
    opened: Vec<Change>,
    ended: Vec<Change>,
    ends_at: Timestamp,
}

/// What is remembered from one remediation to the next.
struct Fleet {
    now: Timestamp,
    ids: IdSource,
    nodes: Vec<Node>,
}

/// One node, with the only alert that it ever has, again and again.
struct Node {
    target: Target,
    identity: Identity,
    labels: Labels,
    annotations: Labels,
    episodes: u32,
    repairs: VecDeque<Repair>,
}

impl Node {
    /// As the inventory and the load name it.
    fn new(number: usize) -> Self {
        let name = node(number);
        let labels = [
            ("alertname", "DmesgGpuFallenOffBus".to_owned()),
            ("cluster", "fleet".to_owned()),
            ("node", name.clone()),
            ("instance", format!("{name}:9100")),
            ("job", "node-problem-detector".to_owned()),
            ("gpu", (number % 8).to_string()),
            ("rack", format!("r{:04}", number / 32)),
            ("severity", "critical".to_owned()),
            ("phc", "true".to_owned()),
        ];
        let description =
            format!("NVRM: Xid (PCI:0000:4e:00): 79, GPU has fallen off the bus on {name}, seen in the kernel log.");
        let annotations = [
            ("summary", format!("GPU fell off the bus on {name}")),
            ("description", description),
            ("runbook_url", "https://runbooks.example.com/gpu/fallen-off-bus".to_owned()),
        ];
        let labels = Labels::from_pairs(labels);
        Self {
            target: Target {
                cluster_id: ClusterId::parse("fleet").unwrap(),
                instance_id: InstanceId::parse(&name).unwrap(),
                instance_name: name,
                host_id: HostId::parse(&format!("host-{number:06}")).unwrap(),
                provider_id: String::new(),
                generation: String::new(),
            },
            identity: Identity::of(&source(), &labels),
            labels,
            annotations: Labels::from_pairs(annotations),
            episodes: 0,
            repairs: VecDeque::new(),
        }
    }

    fn alert(&self, number: usize, at: Timestamp, remediation_id: RemediationId) -> Alert {
        let target = &self.target;
        Alert {
            id: AlertId::of(self.identity, self.episodes),
            identity: self.identity,
            episode: self.episodes,
            source: source(),
            fingerprint: format!("{number:016x}"),
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            truncated: false,
            state: AlertState::Firing,
            muted: false,
            severity: Severity::Critical,
            xid: Some(79),
            joined: Ok(Joined { cluster_id: target.cluster_id.clone(), instance_id: target.instance_id.clone() }),
            started_at: at.minus(seconds(30)),
            newest_start: at.minus(seconds(30)),
            resolved_at: None,
            previous_end: None,
            opened_at: at,
            cleared_at: None,
            last_seen_at: at,
            remediation_id: Some(remediation_id),
            run_id: None,
        }
    }
}

/// How a remediation goes: its verbs, when each was said, by whom, why, and the state after it.
struct Course {
    verbs: Vec<(&'static str, u64, &'static str, String, State)>,
    /// How long after the beginning its alert clears.
    clears: u64,
}

impl Course {
    /// Of 100, how many end how: 45 SUCCEEDED, 28 AUTO_RESOLVED, 15 CANCELLED, 12 FAILED.
    fn of(number: usize, created: String) -> Self {
        let clear = "every linked alert cleared and stayed clear".to_owned();
        let approved =
            || ("approve", 600, "ann", "approved as host_aware: seen it, go ahead".to_owned(), State::Pending);
        let started = || ("start", 600, SYSTEM, "host_aware by driver rehearse".to_owned(), State::Running);
        let create = ("create", 0, SYSTEM, created, State::PendingApproval);
        // Whoever comes next to it ended otherwise.
        match number * 37 % 100 {
            0..45 => Self {
                verbs: vec![create, approved(), started(), ("succeed", 1_500, SYSTEM, clear, State::Succeeded)],
                clears: 1_080,
            },
            45..73 => Self { verbs: vec![create, ("resolve", 720, SYSTEM, clear, State::AutoResolved)], clears: 420 },
            73..88 => {
                let said = "the job on it is more important, tomorrow".to_owned();
                Self { verbs: vec![create, ("reject", 1_200, "ben", said, State::Cancelled)], clears: 2_400 }
            }
            _ => {
                let why = format!("{}: {NOT_CLEARED}", FailureCode::NotCleared.as_str());
                Self {
                    verbs: vec![create, approved(), started(), ("fail", 2_410, SYSTEM, why, State::Failed)],
                    clears: 2_700,
                }
            }
        }
    }
}

const NOT_CLEARED: &str = "the driver said done, and 1 of 1 linked alerts did not clear: DmesgGpuFallenOffBus";

fn source() -> SourceId {
    SourceId::parse("main").unwrap()
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Fleet {
    fn new(now: Timestamp) -> Self {
        Self { now, ids: IdSource::new(7), nodes: (0..FLEET).map(Node::new).collect() }
    }

    /// The first node has as many in every store; the others get theirs in turn, neighbours far apart.
    fn node_of(number: usize, remediations: usize) -> usize {
        let every = (remediations / OF_THE_FIRST_NODE).max(1);
        let is_first = number.is_multiple_of(every) && number / every < OF_THE_FIRST_NODE;
        if is_first { 0 } else { 1 + number * 7_919 % (FLEET - 1) }
    }

    fn life(&mut self, number: usize, remediations: usize, created_at: Timestamp) -> Life {
        let which = Self::node_of(number, remediations);
        let id = RemediationId::new(self.ids.next(created_at));
        let node = &mut self.nodes[which];
        node.episodes += 1;
        let reason = format!("DmesgGpuFallenOffBus (xid 79) on {}", node.target.instance_name);
        let course = Course::of(number, format!("rule dmesg-gpu-fallen-off-bus: {reason}"));
        let mut alert = node.alert(which, created_at, id);
        let mut row = opened(id, node, reason, created_at, alert.id);
        let mut link = link(&alert, id);
        let mut history = history(&row, &course, created_at).into_iter();

        let mut first = vec![Change::Remediation(Box::new(row.clone())), history.next().expect("it was created")];
        first.extend([Change::Alert(Box::new(alert.clone())), Change::Link(Box::new(link.clone()))]);

        let clears_at = created_at.plus(seconds(course.clears));
        end(&mut row, &course);
        let ends_at = row.ended_at.expect("it has ended");
        (alert.state, alert.resolved_at) = (AlertState::Resolved, Some(clears_at.minus(seconds(15))));
        (alert.cleared_at, alert.last_seen_at) = (Some(clears_at), clears_at.minus(seconds(60)));
        if clears_at <= ends_at {
            (link.resolved_at, link.cleared_at) = (alert.resolved_at, alert.cleared_at);
            row.clear_since = alert.cleared_at;
        }
        let acted = row.attempt.is_some();
        let (host_id, mode, state) = (row.target.host_id.clone(), row.mode, row.state);
        node.repairs.push_front(Repair { remediation_id: id, host_id, mode, state, acted, ended_at: ends_at });
        node.repairs.truncate(NodeMemory::KEPT);

        let mut last = vec![Change::Remediation(Box::new(row)), Change::Link(Box::new(link))];
        last.extend(history);
        if self.now.since(clears_at) < ALERTS {
            last.push(Change::Alert(Box::new(alert)));
        } else {
            first.retain(|change| !matches!(change, Change::Alert(_)));
        }
        Life { opened: first, ended: last, ends_at }
    }

    fn memories(&self) -> Vec<Change> {
        let repaired = self.nodes.iter().filter(|node| !node.repairs.is_empty());
        let memory = |node: &Node| NodeMemory {
            instance_id: node.target.instance_id.clone(),
            repairs: node.repairs.iter().cloned().collect(),
        };
        repaired.map(|node| Change::NodeMemory(Box::new(memory(node)))).collect()
    }
}

/// A proposal as a rule opens it.
fn opened(id: RemediationId, node: &Node, reason: String, created_at: Timestamp, alert: AlertId) -> Remediation {
    Remediation {
        id,
        target: node.target.clone(),
        mode: Mode::HostAware,
        trigger: Trigger::Automated,
        state: State::PendingApproval,
        version: 1,
        reason,
        requested_by: SYSTEM.to_owned(),
        created_at,
        updated_at: created_at,
        review: None,
        started_at: None,
        ended_at: None,
        failure: None,
        note: None,
        rule: Some(RuleId::parse("dmesg-gpu-fallen-off-bus").unwrap()),
        auto_resolve: AutoResolve::Alert,
        opened_by: Some(alert),
        opened_by_run: None,
        alias: None,
        links_omitted: 0,
        raised_at: None,
        clear_since: None,
        validating_since: None,
        validated_at: None,
        attempt: None,
        awaits: None,
        waits_for: None,
        next_try: None,
        due: None,
    }
}

fn link(alert: &Alert, remediation_id: RemediationId) -> Link {
    let text = |name: &str| alert.annotations.get(name).unwrap_or_default().to_owned();
    let mnemonic = "ROBUST_CHANNEL_GPU_HAS_FALLEN_OFF_THE_BUS".to_owned();
    Link {
        remediation_id,
        n: 0,
        identity: alert.identity,
        alert_id: alert.id,
        source: alert.source.clone(),
        alert_name: alert.name().to_owned(),
        severity: alert.severity,
        annotations: alert.annotations.clone(),
        annotation: Annotation {
            title: text("summary"),
            description: text("description"),
            summary_line: "xid 79 x1".to_owned(),
            xids: vec![XidEvent { code: 79, mnemonic, count: 1 }],
            slurm_reason: None,
        },
        started_at: alert.started_at,
        resolved_at: None,
        cleared_at: None,
        refires: 0,
    }
}

fn history(row: &Remediation, course: &Course, created_at: Timestamp) -> Vec<Change> {
    let mut from = None;
    let mut lines = Vec::with_capacity(course.verbs.len());
    for (at, (verb, after, principal, reason, to)) in course.verbs.iter().enumerate() {
        lines.push(Change::Transition(Box::new(Transition {
            remediation_id: row.id,
            version: at as u64 + 1,
            at: created_at.plus(seconds(*after)),
            from: from.replace(*to),
            to: *to,
            mode: row.mode,
            principal: (*principal).to_owned(),
            verb: (*verb).into(),
            reason: reason.clone(),
        })));
    }
    lines
}

/// What the verbs of its course leave in the row.
fn end(row: &mut Remediation, course: &Course) {
    for (verb, after, principal, reason, state) in &course.verbs[1..] {
        let at = row.created_at.plus(seconds(*after));
        row.version += 1;
        row.state = *state;
        row.updated_at = at;
        match *verb {
            "approve" => {
                let comment = "seen it, go ahead".to_owned();
                row.review = Some(Box::new(Review { by: (*principal).to_owned(), at, comment }));
            }
            "start" => {
                row.started_at = Some(at);
                row.attempt = Some(Box::new(attempt(row.id, at)));
            }
            "reject" => {
                row.review = Some(Box::new(Review { by: (*principal).to_owned(), at, comment: reason.clone() }));
                row.note = Some(format!("rejected by {principal}"));
            }
            "resolve" => row.note = Some(reason.clone()),
            "fail" => {
                row.failure = Some(Box::new(Failure { code: FailureCode::NotCleared, detail: NOT_CLEARED.to_owned() }));
            }
            _ => {}
        }
        row.ended_at = state.is_terminal().then_some(at);
    }
}

fn attempt(id: RemediationId, at: Timestamp) -> Attempt {
    Attempt {
        operation_key: format!("{id}-{}-1", Step::Act.as_str()),
        driver: DriverId::parse("rehearse").unwrap(),
        step: Step::Act,
        intended_at: at,
        deadline: at.plus(seconds(600)),
        retries: 0,
        must_ask: false,
        outcome: Some(Outcome::Done),
        detail: "rehearsed: nothing was touched".to_owned(),
        generation: None,
        boot_id: None,
        done_at: Some(at.plus(seconds(2))),
        abort: None,
    }
}
