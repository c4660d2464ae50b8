//! Our own probes, in a process that does nothing else.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use remedyd::clock::Stopwatch;
use remedyd::config::checks::http::{Headers, Method, NodeUrl};
use remedyd::config::checks::{Http, Icmp, Probe, Tcp};
use remedyd::domain::{ClusterId, HostId, InstanceId, Verdict};
use remedyd::probes::{Prober, Target};
use tokio::task::JoinSet;

use super::super::measured::{Figures, MEASURED, Process};
use super::fping::Targets;
use super::{CONCURRENCY, NODES};

const TIMEOUT: Duration = Duration::from_secs(1);

/// Checks for as long as `span`.
pub fn checks(kind: &str, port: u16, span: Duration) -> Figures {
    let mut process = Process::in_role(MEASURED, &["as-prober", kind, &port.to_string(), &span.as_secs().to_string()]);
    figures(&mut process, |fields| fields[2])
}

/// One look at every target.
pub fn sweep(targets: &Targets, packets: u32) -> Figures {
    let mut process = Process::in_role(MEASURED, &["as-pinger", &packets.to_string(), targets.path()]);
    // Whether the right ones are silent: every silent one that answers is one more that is wrong.
    figures(&mut process, |fields| targets.wrong(fields[2], fields[3]))
}

fn figures(process: &mut Process, wrong: impl Fn(&[u64]) -> u64) -> Figures {
    assert_eq!(process.line(), "ready");
    let before = process.cpu();
    process.tell("go");
    let line = process.line();
    let cpu = process.cpu() - before;
    let fields: Vec<u64> = line.split(' ').map(|field| field.parse().unwrap()).collect();
    Figures {
        checks: fields[0],
        wrong: wrong(&fields),
        wall: Duration::from_micros(fields[1]),
        cpu,
        rss_bytes: process.rss_bytes(),
    }
}

fn target(address: &str) -> Target {
    Target {
        instance_id: InstanceId::parse("i-7").unwrap(),
        cluster_id: ClusterId::parse("train-a").unwrap(),
        host_id: HostId::parse("h-7").unwrap(),
        name: "node-7".into(),
        address: address.into(),
        generation: "1".into(),
    }
}

/// The address of a node, of which all answer.
pub fn address(node: usize) -> String {
    format!("127.1.{}.{}", node / 250 % 250, node % 250 + 1)
}

/// As the daemon has it: as many threads as it may use CPUs.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()
}

/// Waits until somebody has looked at us and says go, and waits again after `work` so that we can be looked at.
fn when_told(work: impl FnOnce() -> String) {
    let mut lines = std::io::stdin().lock().lines();
    println!("ready");
    std::io::stdout().flush().unwrap();
    lines.next();
    println!("{}", work());
    std::io::stdout().flush().unwrap();
    lines.next();
}

/// The role behind [`checks`].
pub fn prober(kind: &str, port: u16, span: Duration) {
    let probe: Arc<Probe> = Arc::new(match kind {
        "tcp" => tcp(port),
        _ => http(port),
    });
    let targets: Arc<Vec<Target>> = Arc::new((0..NODES).map(|node| target(&address(node))).collect());
    let runtime = runtime();
    when_told(|| {
        let (prober, next) = (Arc::new(Prober::default()), Arc::new(AtomicUsize::new(0)));
        let watch = Stopwatch::start();
        let passed = runtime.block_on(async {
            let mut runners = JoinSet::new();
            for _ in 0..CONCURRENCY {
                let (prober, probe, targets, next) = (prober.clone(), probe.clone(), targets.clone(), next.clone());
                runners.spawn(async move {
                    let (mut done, mut passed) = (0, 0);
                    while watch.elapsed() < span {
                        let target = &targets[next.fetch_add(1, Ordering::Relaxed) % NODES];
                        let observation = prober.run(&probe, target, TIMEOUT).await;
                        done += 1;
                        passed += u64::from(observation.verdict == Verdict::Pass);
                    }
                    (done, passed)
                });
            }
            runners.join_all().await
        });
        let wall = watch.elapsed();
        let done: u64 = passed.iter().map(|(done, _)| done).sum();
        let passed: u64 = passed.iter().map(|(_, passed)| passed).sum();
        format!("{done} {} {}", wall.as_micros(), done - passed)
    });
}

/// A connection.
fn tcp(port: u16) -> Probe {
    Probe::Tcp(Tcp { port, banner: None })
}

/// A page with a status that is well.
fn http(port: u16) -> Probe {
    let http = Http {
        url: NodeUrl::parse(&format!("http://{{address}}:{port}/")).unwrap(),
        method: Method::Get,
        headers: Headers::default(),
        status: vec![200..=299],
        body_matches: None,
        body_not_matches: None,
        header_matches: BTreeMap::new(),
        tls: None,
    };
    Probe::Http(Box::new(http))
}

/// The role behind [`sweep`]: `done micros passed failed`. One sweep is not counted, as a daemon makes the same again and again,
/// and fping too leaves out what it sets up before the first request.
pub fn pinger(packets: u32, file: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    let spec = Icmp { packets, max_loss_percent: 99, ..Icmp::default() };
    let targets: Arc<Vec<Target>> = Arc::new(text.lines().map(target).collect());
    let (prober, probe) = (Arc::new(Prober::default()), Arc::new(Probe::Icmp(spec)));
    let runtime = runtime();
    // From inside, as the daemon's schedule does it.
    let sweep = || {
        let (prober, probe, targets) = (prober.clone(), probe.clone(), targets.clone());
        let sweep = runtime.spawn(async move {
            let mut runs = JoinSet::new();
            for target in 0..targets.len() {
                let (prober, probe, targets) = (prober.clone(), probe.clone(), targets.clone());
                runs.spawn(async move { prober.run(&probe, &targets[target], TIMEOUT).await.verdict });
            }
            runs.join_all().await
        });
        runtime.block_on(sweep).unwrap()
    };
    sweep();
    when_told(|| {
        let watch = Stopwatch::start();
        let verdicts = sweep();
        let wall = watch.elapsed();
        let count = |verdict| verdicts.iter().filter(|one| **one == verdict).count();
        format!("{} {} {} {}", verdicts.len(), wall.as_micros(), count(Verdict::Pass), count(Verdict::Fail))
    });
}
