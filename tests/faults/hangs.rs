//! A driver and a receiver of notices that hang at the same time: whoever has nothing to do with them notices nothing.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use remedyd::clock::Stopwatch;
use serde_json::json;

use crate::load;
use crate::support::daemon::{Daemon, End};
use crate::support::driver::Manner;
use crate::support::now;
use crate::support::posts::{HEAVY, firing};
use crate::support::receiver::Receiver;
use crate::support::site::MAIN;

/// A person does not wait longer for an approval, whatever else hangs; on a busy machine in debug.
const FAST: Duration = Duration::from_secs(2);

/// Takes connections and never says a word, until it is dropped.
struct Mute {
    address: std::net::SocketAddr,
    taken: Arc<Mutex<Vec<TcpStream>>>,
    thread: Option<std::thread::JoinHandle<()>>,
    ends: Arc<std::sync::atomic::AtomicBool>,
}

impl Mute {
    fn listen(address: std::net::SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let taken: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let ends = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (kept, end) = (Arc::clone(&taken), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if end.load(std::sync::atomic::Ordering::SeqCst) {
                    return;
                }
                kept.lock().unwrap().push(stream);
            }
        });
        Self { address, taken, thread: Some(thread), ends }
    }

    fn calls(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        self.ends.store(true, std::sync::atomic::Ordering::SeqCst);
        // Wakes the thread; it may have gone by itself.
        let _ = TcpStream::connect(self.address);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// The processes of a group.
fn group(id: i32) -> Vec<i32> {
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok()?.parse().ok());
    let is_in = |process: &i32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // Behind the name in brackets: state, parent, group.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        fields.first() != Some(&"Z") && fields.get(2) == Some(&id.to_string().as_str())
    };
    processes.filter(is_in).collect()
}

#[test]
fn what_hangs_holds_up_nobody_else() {
    let (site, driver) = load::site();
    site.change(MAIN, "deadline = \"1m\"", "deadline = \"6s\"");
    let mut receiver = Receiver::new(site.at(8080));
    site.append(MAIN, &format!("[notices.chat.webhook]\nurl = \"{}\"", receiver.url()));
    let mute = Mute::listen(site.at(8080));
    let daemon = Daemon::start(&site);
    let mut slowest = Duration::ZERO;
    let mut approve = |daemon: &Daemon<'_>, node: &str| {
        daemon.deliver(&firing(HEAVY, node, now()));
        let row = daemon.wait_for(node, "PENDING_APPROVAL");
        let since = Stopwatch::start();
        daemon.approve(&row);
        slowest = slowest.max(since.elapsed());
        row["id"].as_str().unwrap().to_owned()
    };

    driver.behave(Manner::Hangs);
    let hung = approve(&daemon, "n-1");
    daemon.wait("the driver hangs", || if driver.count("acted") == 1 { Ok(()) } else { Err(driver.count("acted")) });
    let program = daemon.wait("it is the only one, and waits for what it started", || {
        match driver.running().into_iter().collect::<Vec<_>>()[..] {
            [program] if group(program).len() > 1 => Ok(program),
            ref programs => Err(format!("{programs:?}")),
        }
    });
    driver.behave(Manner::Done);
    daemon.wait("the receiver hangs", || if mute.calls() > 0 { Ok(()) } else { Err("nobody called") });
    let others: Vec<String> = (2..12).map(|n| approve(&daemon, &format!("n-{n}"))).collect();
    for id in &others {
        daemon.wait(&format!("{id} is done"), || {
            let row = daemon.remediation(id);
            if row["attempt"]["outcome"] == "done" { Ok(()) } else { Err(row) }
        });
    }
    assert!(slowest < FAST, "an approval took {slowest:?} beside what hangs");

    // At its deadline it is killed with everything that it started, and asked.
    daemon.wait("the program that hangs is asked about", || match daemon.remediation(&hung) {
        row if row["attempt"]["outcome"] == "done" => Ok(()),
        row => Err(row),
    });
    assert_eq!(group(program), Vec::<i32>::new(), "its group lives on");
    let key = daemon.remediation(&hung)["attempt"]["operation_key"].as_str().unwrap().to_owned();
    let calls: Vec<String> = driver.ledger().into_iter().filter(|line| line.ends_with(&key)).collect();
    assert_eq!(calls, ["act", "acted", "query"].map(|what| format!("{what} {key}")));

    // Nobody was told anything yet; a kill does not change that, and everybody is once the receiver is back.
    let daemon = daemon.restart(End::Kill);
    let called = mute.calls();
    daemon.wait("it is tried again", || if mute.calls() > called { Ok(()) } else { Err(called) });
    drop(mute);
    receiver.go_up();
    let told = daemon.wait("each is told of at least once", || {
        let told = receiver.told();
        let missing: Vec<_> = others
            .iter()
            .chain([&hung])
            .filter(|id| {
                let events = told.iter().filter(|told| told.body["remediation"]["id"] == json!(id));
                !["opened", "ended"].iter().all(|event| events.clone().any(|told| told.body["event"] == *event))
            })
            .collect();
        if missing.is_empty() { Ok(told.clone()) } else { Err(format!("nothing of {missing:?}")) }
    });
    let mut keys: Vec<(&str, String)> = told.iter().map(|told| (&*told.key, told.body.to_string())).collect();
    let all = keys.len();
    keys.sort();
    keys.dedup();
    let distinct = keys.len();
    keys.dedup_by_key(|(key, _)| key.to_owned());
    assert_eq!(keys.len(), distinct, "the same id stands for the same notice");
    driver.assert_at_most_once();
    println!("figures: slowest approval beside a hung driver and receiver {slowest:?}; {all} notices, {distinct} ids");
    daemon.stop();
}
