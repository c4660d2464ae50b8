//! Thirty SIGKILLs at random moments under load: whatever was acknowledged is there after the next start, every start
//! comes up, and the driver's ledger shows nothing twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use remedyd::clock::Stopwatch;
use serde_json::{Value, json};

use crate::support::client::{Answer, Client};
use crate::support::daemon::{Daemon, together};
use crate::support::driver::{Driver, Manner};
use crate::support::posts::{HEAVY, alert, message};
use crate::support::site::{MAIN, Site};
use crate::support::{eventually, now};

const KILLS: u64 = 30;
/// Enough that approvals, creates and alerts seldom stand in each other's way.
const NODES: u64 = 60;
/// The load goes on for so many acknowledged writes after each start, at most, before the kill.
const ACKNOWLEDGED_PER_LIFE: u64 = 60;

/// A seed of one's own finds other moments; a failure names the one that it had.
const SEED: (&str, u64) = ("REMEDYD_TEST_SEED", 20_261_121);

/// xorshift64*: the same seed, the same choices.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % limit
    }
}

/// What was answered with 2xx, and must therefore be on disk.
#[derive(Default)]
struct Acknowledged {
    /// Alerts by the label `n`.
    alerts: BTreeSet<String>,
    /// Remediations by id.
    created: BTreeSet<String>,
    /// Those that somebody approved.
    approved: BTreeSet<String>,
}

/// What the loads share.
struct Load {
    client: Client,
    acknowledged: Mutex<Acknowledged>,
    writes: AtomicUsize,
    /// Nobody writes while what is stored is compared with what was acknowledged.
    rests: AtomicBool,
    ends: AtomicBool,
}

impl Load {
    /// One request; nothing where nobody can say what became of it.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Answer> {
        match self.client.ask(method, path, body.map(ToString::to_string).as_deref()) {
            Ok(answer) => Some(answer),
            Err(_) => {
                // Down, or on its way up.
                std::thread::park_timeout(Duration::from_millis(2));
                None
            }
        }
    }

    fn acknowledge(&self, note: impl FnOnce(&mut Acknowledged)) {
        note(&mut self.acknowledged.lock().unwrap());
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    /// A body of one to four alerts; some call for a repair.
    fn deliver(&self, chance: &mut Chance, prefix: &str, count: &mut u64) {
        let mut names = Vec::new();
        let alerts: Vec<Value> = (0..=chance.below(4))
            .map(|_| {
                *count += 1;
                let name = if chance.below(4) == 0 { HEAVY } else { "NobodyCares" };
                let mut alert = alert(name, &format!("n-{}", chance.below(NODES)), now(), None);
                alert["labels"]["n"] = json!(format!("{prefix}{count}"));
                alert["fingerprint"] = json!(format!("{prefix}{count}"));
                names.push(format!("{prefix}{count}"));
                alert
            })
            .collect();
        let answer = self.ask("POST", "/api/v1/webhooks/alertmanager", Some(&message(&alerts)));
        if answer.is_some_and(|answer| answer.is_success()) {
            self.acknowledge(|known| known.alerts.extend(names));
        }
    }

    fn create(&self, chance: &mut Chance, count: &mut u64) {
        *count += 1;
        let node = chance.below(NODES);
        let path = format!("/v1/compute/clusters/train-a/instances/n-{node}/remediations?remediation_id=c-{count}");
        let body = json!({"mode": "REMEDIATION_MODE_REBOOT_VM", "reason": "load"});
        if let Some(made) = self.ask("POST", &path, Some(&body)).filter(Answer::is_success) {
            let id = made.json()["id"].as_str().unwrap().to_owned();
            self.acknowledge(|known| known.created.extend([id]));
        }
    }

    fn approve(&self, chance: &mut Chance) {
        let waiting = "/api/v1/remediations?state=PENDING_APPROVAL&page_size=20";
        let Some(page) = self.ask("GET", waiting, None).filter(Answer::is_success) else { return };
        let rows = page.json()["remediations"].as_array().unwrap().clone();
        if rows.is_empty() {
            return;
        }
        let row = &rows[usize::try_from(chance.below(rows.len() as u64)).unwrap()];
        let approved = self.ask("POST", &format!("{}/approve", together(row)), Some(&json!({"comment": "load"})));
        if approved.is_some_and(|answer| answer.is_success()) {
            let id = row["id"].as_str().unwrap().to_owned();
            self.acknowledge(|known| known.approved.extend([id]));
        }
    }
}

/// Starts the loads; they end when they are told to.
fn begin(load: &Arc<Load>, seed: u64) -> Vec<std::thread::JoinHandle<()>> {
    let spawn = |n: u64| {
        let load = Arc::clone(load);
        std::thread::spawn(move || {
            let (mut chance, mut count) = (Chance(seed ^ (n << 32)), 0);
            while !load.ends.load(Ordering::SeqCst) {
                if load.rests.load(Ordering::SeqCst) {
                    std::thread::park_timeout(Duration::from_millis(2));
                    continue;
                }
                match n {
                    1 => load.deliver(&mut chance, "a", &mut count),
                    2 => load.deliver(&mut chance, "b", &mut count),
                    3 => load.create(&mut chance, &mut count),
                    _ => load.approve(&mut chance),
                }
            }
        })
    };
    (1..=4).map(spawn).collect()
}

fn site() -> (Site, Driver) {
    let site = Site::webhook_only();
    let mut nodes = String::new();
    for n in 0..NODES {
        let _ = writeln!(nodes, "[instances.n-{n}]\ncluster = \"train-a\"\nhost = \"host-{n}\"");
    }
    site.write("config/inventory.d/train-a.toml", &nodes);
    // So that nodes come free again, and repairs run side by side.
    site.policy(&[("cooldown", "0s"), ("settle", "0s"), ("soak", "0s"), ("verify_within", "100ms")]);
    site.change(MAIN, "in_flight_percent = 5", "in_flight_percent = 100");
    let driver = Driver::install(&site, Manner::Done, "1m");
    (site, driver)
}

/// Every row of a list, by a key.
fn everything(daemon: &Daemon<'_>, kind: &str, key: impl Fn(&Value) -> String) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    let mut token = String::new();
    loop {
        let page = daemon.get(&format!("/api/v1/{kind}?page_size=1000&page_token={token}")).json();
        found.extend(page[kind].as_array().unwrap().iter().map(|row| (key(row), row.clone())));
        if page["has_next"] == false {
            return found;
        }
        page["next_page_token"].as_str().unwrap().clone_into(&mut token);
    }
}

/// Everything that was acknowledged before the kill is there.
fn check(daemon: &Daemon<'_>, known: &Acknowledged) {
    let alerts = everything(daemon, "alerts", |row| row["labels"]["n"].as_str().unwrap().to_owned());
    let lost: Vec<&String> = known.alerts.iter().filter(|n| !alerts.contains_key(*n)).collect();
    assert!(lost.is_empty(), "acknowledged alerts are lost: {lost:?}\n{}", daemon.log_tail());

    let remediations = everything(daemon, "remediations", |row| row["id"].as_str().unwrap().to_owned());
    let lost: Vec<&String> = known.created.iter().filter(|id| !remediations.contains_key(*id)).collect();
    assert!(lost.is_empty(), "acknowledged remediations are lost: {lost:?}\n{}", daemon.log_tail());
    for id in &known.approved {
        let row = remediations.get(id).unwrap_or_else(|| panic!("the approved remediation {id} is lost"));
        assert_eq!(row["review"]["by"], "local", "an acknowledged approval is lost: {row}");
    }
}

#[test]
fn nothing_that_was_acknowledged_is_lost_and_nothing_is_done_twice() {
    let seed = std::env::var(SEED.0).map_or(SEED.1, |text| text.parse().expect("a seed is a number"));
    println!("{}={seed}", SEED.0);
    let mut chance = Chance(seed);
    let (site, driver) = site();
    let mut daemon = Daemon::start(&site);
    let load = Arc::new(Load {
        client: daemon.client().clone(),
        acknowledged: Mutex::default(),
        writes: AtomicUsize::new(0),
        rests: AtomicBool::new(false),
        ends: AtomicBool::new(false),
    });
    let threads = begin(&load, seed);
    let mut slowest = Duration::ZERO;
    for life in 1..=KILLS {
        let before = load.writes.load(Ordering::SeqCst);
        let wanted = before + usize::try_from(1 + chance.below(ACKNOWLEDGED_PER_LIFE)).unwrap();
        eventually(crate::support::SOON, "the load is taken", || {
            let now = load.writes.load(Ordering::SeqCst);
            if now >= wanted { Ok(()) } else { Err(format!("{now} of {wanted} writes\n{}", daemon.log_tail())) }
        });
        std::thread::park_timeout(Duration::from_micros(chance.below(5000)));
        daemon.kill();
        if life % 5 == 0 {
            // Killed on its way up as well.
            let starting = Daemon::spawn(&site);
            std::thread::park_timeout(Duration::from_millis(chance.below(120)));
            starting.kill();
        }
        // What is acknowledged from here on is looked for after the next kill.
        let known = std::mem::take(&mut *load.acknowledged.lock().unwrap());
        let since = Stopwatch::start();
        daemon = Daemon::start(&site);
        slowest = slowest.max(since.elapsed());
        load.rests.store(true, Ordering::SeqCst);
        check(&daemon, &known);
        load.rests.store(false, Ordering::SeqCst);
    }
    load.ends.store(true, Ordering::SeqCst);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    check(&daemon, &load.acknowledged.lock().unwrap());

    daemon.wait("every approved repair has ended", || {
        let rows = everything(&daemon, "remediations", |row| row["id"].as_str().unwrap().to_owned());
        let open = rows.values().filter(|row| row["state"] == "PENDING" || row["state"] == "RUNNING").count();
        if open == 0 { Ok(()) } else { Err(format!("{open} are under way")) }
    });
    driver.assert_at_most_once();
    println!(
        "{KILLS} kills, {} acknowledged writes, {} acts, {} questions, slowest start {slowest:?}",
        load.writes.load(Ordering::SeqCst),
        driver.count("acted"),
        driver.count("query"),
    );
    daemon.stop();
}
