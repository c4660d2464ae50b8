//! The order of the system calls of a daemon under load, as strace sees it: no answer before its batch is on disk, one sync
//! for many posts, and sled off the way.
//!
//! A trace slows the daemon down several times, so nothing here says how fast it is.

mod calls;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::seen::{Folders, Seen};
use super::load::{Load, Peer};
use super::measured::{OTHERS, spawn_on};
use super::site::{Daemon, Site};
use super::table::{Bar, Line, Spread};

/// Nodes, each with an alert that fires.
const NODES: usize = 1_000;
/// Which system calls are of interest: those that read requests, write answers, and write, cut or sync files.
const TRACED: &str = "trace=read,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,fdatasync,fsync,sync_file_range,msync,\
                      pwritev,ftruncate";
/// How much of what is read and written is kept: an answer's head and body.
const KEPT_BYTES: &str = "500";
/// How much of a trace the figures hold as evidence.
const EXCERPT_LINES: usize = 14;
const EXCERPT_WIDTH: usize = 170;

/// How the posts come, one alert in each.
struct Shape {
    name: &'static str,
    in_flight: usize,
    /// What changes of 1,000 alerts at each sending.
    churn: usize,
    span: Duration,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "one in flight, all change", in_flight: 1, churn: 1_000, span: Duration::from_secs(2) },
    Shape { name: "64 in flight, all change", in_flight: 64, churn: 1_000, span: Duration::from_secs(5) },
    Shape { name: "64 in flight, 5 % churn", in_flight: 64, churn: 50, span: Duration::from_secs(5) },
];

/// One load, traced.
struct Traced {
    seen: Seen,
    /// Posts that the load sent.
    sent: usize,
    /// What each thread of the daemon is called.
    names: BTreeMap<u32, String>,
    excerpt: Vec<String>,
}

impl Traced {
    fn posts(&self) -> usize {
        self.seen.answers.len() + self.seen.refused
    }

    fn changed(&self) -> usize {
        self.seen.answers.iter().filter(|answer| answer.has_changed).count()
    }

    fn posts_per_sync(&self) -> f64 {
        self.posts() as f64 / self.seen.batches.iter().map(|batch| batch.syncs).sum::<usize>() as f64
    }

    /// The names of threads, with how many are called so.
    fn named<'a>(&self, threads: impl IntoIterator<Item = &'a u32>) -> String {
        let mut named = BTreeMap::<&str, usize>::new();
        for thread in threads {
            *named.entry(self.names.get(thread).map_or("ended", String::as_str)).or_default() += 1;
        }
        named.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", ")
    }

    fn json(&self) -> Value {
        let Seen { answers, refused, batches, stray_syncs, writers, answerers, sled } = &self.seen;
        let sled_threads: BTreeMap<String, usize> = sled
            .iter()
            .map(|(thread, count)| {
                (format!("{thread} {}", self.names.get(thread).map_or("ended", |name| name)), *count)
            })
            .collect();
        json!({
            "posts_sent": self.sent, "answered_200": answers.len(), "answered_otherwise": refused,
            "changed_something": self.changed(), "answered_before_the_sync": self.seen.early(),
            "journal_writes": batches.len(), "journal_syncs": batches.iter().map(|batch| batch.syncs).sum::<usize>(),
            "stray_syncs": stray_syncs, "writes_without_exactly_one_sync": self.seen.unpaired(),
            "posts_per_sync": self.posts_per_sync(),
            "writer_threads": self.named(writers), "answering_threads": self.named(answerers),
            "sled_writes_by_the_writer_or_who_answers": self.seen.sled_in_the_way(),
            "sled_writes_by_thread": sled_threads, "excerpt": self.excerpt,
        })
    }
}

/// Each round with a daemon of its own, to which every shape of load is sent in turn.
pub async fn run(program: &Path, rounds: usize) -> (Vec<Line>, Value) {
    seen::check_itself();
    let mut all: Vec<[Traced; SHAPES.len()]> = Vec::new();
    for round in 1..=rounds {
        eprintln!("trace: round {round} of {rounds}");
        let site = Site::new(NODES, "");
        let daemon = site.start(program).await;
        let load = Arc::new(Load::new(Peer::Remedyd, daemon.at, NODES, 1));
        assert_eq!(load.send_all().await.refused, 0, "posts were refused");
        let [one, many, mixed] = &SHAPES;
        let one = traced(&site, &daemon, &load, one).await;
        let many = traced(&site, &daemon, &load, many).await;
        let mixed = traced(&site, &daemon, &load, mixed).await;
        all.push([one, many, mixed]);
    }
    let told = |round: &[Traced; SHAPES.len()]| {
        SHAPES.iter().zip(round).map(|(shape, traced)| (shape.name.to_owned(), traced.json())).collect::<Value>()
    };
    (lines(&all), all.iter().map(told).collect())
}

/// Sends a load to a daemon that has applied everything so far, under strace.
async fn traced(site: &Site, daemon: &Daemon, load: &Arc<Load>, shape: &Shape) -> Traced {
    daemon.catch_up().await;
    let strace = Strace::attach(daemon.process.id()).await;
    let sent = load.send_for(shape.in_flight, shape.churn, shape.span).await;
    let names = names(daemon.process.id());
    let trace = strace.end();
    // As strace spells them, which looks through links.
    let data = fs::canonicalize(site.data()).unwrap().display().to_string();
    let folders = Folders { journal: format!("{data}/journal/"), sled: format!("{data}/sled") };
    let seen = Seen::of(&trace, &folders);
    let excerpt = excerpt(&trace, &seen, &data);
    let traced = Traced { seen, sent: sent.micros.len(), names, excerpt };
    eprintln!(
        "trace, {}: {} posts, {} changed something, {} batches, {:.1} posts for each sync",
        shape.name,
        traced.posts(),
        traced.changed(),
        traced.seen.batches.len(),
        traced.posts_per_sync()
    );
    traced
}

/// What must never happen counts over all rounds: a median would hide it.
fn lines(all: &[[Traced; SHAPES.len()]]) -> Vec<Line> {
    let never = |what: &str, sum: usize| Line::new(what, Bar::AtMost(0.0), Bar::Shown, Spread::of([sum as f64]));
    let sum = |of: fn(&Traced) -> usize| all.iter().flatten().map(of).sum::<usize>();
    let last = &all.last().expect("there is a round")[1];
    let one_by_one = all.iter().map(|round| &round[0]);
    let not_one = one_by_one.clone().flat_map(|one| &one.seen.answers).filter(|answer| answer.batches != 1).count();
    let mut lines = vec![
        never("answers of 200 before the fdatasync of what they changed", sum(|traced| traced.seen.early()))
            .beside(format!("of {} that changed something", sum(Traced::changed))),
        never("posts one by one: without exactly one journal fdatasync before the 200", not_one)
            .beside(format!("of {}", one_by_one.map(|one| one.seen.answers.len()).sum::<usize>())),
        never("journal writes without exactly one fdatasync before the next", sum(|traced| traced.seen.unpaired()))
            .beside(format!("of {}; by {}", sum(|traced| traced.seen.batches.len()), last.named(&last.seen.writers))),
        never("sled writes by the writer or by threads that answer", sum(|traced| traced.seen.sled_in_the_way()))
            .beside(format!("{} answer", last.named(&last.seen.answerers))),
        // A trace in which sled is not seen at all would hold the line above.
        Line::new(
            "sled writes by other threads",
            Bar::AtLeast(1.0),
            Bar::Shown,
            Spread::of([sum(|traced| traced.seen.sled_elsewhere()) as f64]),
        )
        .beside(last.named(last.seen.sled.keys())),
        never("posts that the trace lacks", sum(missed)).beside(format!(
            "of {}; {} were told to come again, as a trace slows sled down too",
            sum(|traced| traced.sent),
            sum(|traced| traced.seen.refused)
        )),
    ];
    for (at, shape) in SHAPES.iter().enumerate().skip(1) {
        let batches: usize = all.iter().map(|round| round[at].seen.batches.len()).sum();
        let posts: usize = all.iter().map(|round| round[at].posts()).sum();
        // Anything above 1 means that posts share a sync.
        lines.push(
            Line::new(
                format!("posts per journal fdatasync, {}", shape.name),
                Bar::AtLeast(1.01),
                Bar::Shown,
                Spread::of(all.iter().map(|round| round[at].posts_per_sync())),
            )
            .beside(format!("{posts} posts, {batches} batches")),
        );
    }
    lines
}

fn missed(traced: &Traced) -> usize {
    traced.sent.abs_diff(traced.posts())
}

/// The calls around a batch in the middle of a trace: the last posts that were read before it, the batch, and the first
/// answers behind it.
fn excerpt(trace: &str, seen: &Seen, data: &str) -> Vec<String> {
    let Some(batch) = seen.batches.get(seen.batches.len() / 2) else { return Vec::new() };
    let synced = batch.synced.unwrap_or(batch.written);
    let mut shown: BTreeSet<usize> = BTreeSet::new();
    let mut asked: Vec<usize> =
        seen.answers.iter().map(|answer| answer.asked).filter(|at| *at < batch.written).collect();
    asked.sort_unstable();
    shown.extend(asked.iter().rev().take(3));
    shown.extend(seen.answers.iter().map(|answer| answer.answered).filter(|at| *at > synced).take(4));
    // What the writer does in between, and sled; other posts would drown it.
    let lines: Vec<&str> = trace.lines().collect();
    let end = shown.last().map_or(synced, |last| *last);
    let is_file = |line: &str| line.contains(data) || line.contains("<... fdatasync") || line.contains("<... fsync");
    shown.extend((batch.written..=end).filter(|at| is_file(lines[*at])));
    let cut = |at: &usize| {
        let line = lines[*at].replace(data, "");
        let mut short: String = line.chars().take(EXCERPT_WIDTH).collect();
        if short.len() < line.len() {
            short.push('…');
        }
        short
    };
    shown.iter().take(EXCERPT_LINES).map(cut).collect()
}

/// What the threads of a process are called.
fn names(process: u32) -> BTreeMap<u32, String> {
    let name = |thread: u32| {
        let name = fs::read_to_string(format!("/proc/{process}/task/{thread}/comm")).ok()?;
        Some((thread, name.trim_end().to_owned()))
    };
    threads(process).into_iter().filter_map(name).collect()
}

fn threads(process: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn trace_in(folder: &TempDir) -> PathBuf {
    folder.path().join("trace")
}

/// strace on a process that runs; the process goes on without it when this is dropped.
struct Strace {
    child: Child,
    folder: TempDir,
}

impl Strace {
    /// Waits until every thread is traced.
    async fn attach(process: u32) -> Self {
        // Not beside the configuration: the daemon watches that folder.
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-tt", "-y", "-s", KEPT_BYTES, "-e", TRACED, "-p", &process.to_string(), "-o"]);
        let child = spawn_on(OTHERS, command.arg(trace_in(&folder)).stdin(Stdio::null()));
        let mut strace = Self { child, folder };
        let is_traced = |thread: u32| {
            let status = fs::read_to_string(format!("/proc/{process}/task/{thread}/status")).unwrap_or_default();
            !status.contains("TracerPid:\t0\n")
        };
        while !threads(process).into_iter().all(is_traced) {
            if let Some(status) = strace.child.try_wait().unwrap() {
                panic!("strace could not trace the daemon: {status}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        strace
    }

    /// Lets the process go, and says what was seen.
    fn end(mut self) -> String {
        self.stop();
        String::from_utf8_lossy(&fs::read(trace_in(&self.folder)).unwrap()).into_owned()
    }

    fn stop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // Not SIGKILL: strace writes the end of its file, and lets go.
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let _ = self.child.wait();
        }
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.stop();
    }
}
