//! A load of everything at once, what of it was acknowledged, and whether a daemon that came back still has all of it.
//!
//! Four loads run side by side: two post alerts, of which some call for a repair, one creates remediations, one approves
//! and cancels; what is approved calls the driver. They do not stop for a daemon that is down.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::support::client::{Answer, Client};
use crate::support::daemon::{Daemon, together};
use crate::support::driver::{Driver, Manner};
use crate::support::posts::{HEAVY, alert, message};
use crate::support::site::{MAIN, Site};
use crate::support::{SOON, eventually, now};

/// Enough that approvals, creates and alerts seldom stand in each other's way.
const NODES: u64 = 60;

/// A site with many nodes, and a driver that keeps a ledger.
pub fn site() -> (Site, Driver) {
    let site = Site::webhook_only();
    let mut nodes = String::new();
    for n in 0..NODES {
        let _ = writeln!(nodes, "[instances.n-{n}]\ncluster = \"train-a\"\nhost = \"host-{n}\"");
    }
    site.write("config/inventory.d/train-a.toml", &nodes);
    // So that nodes come free again, and repairs run side by side.
    site.policy(&[("cooldown", "0s"), ("settle", "0s"), ("soak", "0s"), ("verify_within", "100ms")]);
    site.change(MAIN, "in_flight = 3", "in_flight = 60");
    site.change(MAIN, "in_flight_percent = 5", "in_flight_percent = 100");
    site.change(MAIN, "ballast = \"16MiB\"", "ballast = \"0B\"");
    let driver = Driver::install(&site, Manner::Done, "1m");
    (site, driver)
}

/// What happened in a test, for people.
#[derive(Default)]
pub struct Figures {
    /// How often a daemon under load was cut off.
    pub cuts: u64,
    /// And how often one on its way up.
    pub early: u64,
    /// Writes that were answered with 2xx.
    pub writes: usize,
    /// What the driver's ledger has.
    pub acts: usize,
    /// How often the driver was asked what became of an act.
    pub questions: usize,
    /// How often sled could not be opened and was made anew.
    pub sled_lost: usize,
    /// How often a turn that was never acknowledged was found half written.
    pub torn: usize,
    pub slowest_start: Duration,
}

impl Figures {
    /// Adds what one store's life left in the driver's ledger and in the log.
    pub fn add(&mut self, writes: usize, driver: &Driver, log: &str) {
        self.writes += writes;
        self.acts += driver.count("acted");
        self.questions += driver.count("query");
        self.sled_lost += log.matches("sled was built anew up to").count();
        self.torn += log.matches("bytes of a turn that was never acknowledged").count();
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cuts, early, writes, acts, questions, sled_lost, torn, slowest_start } = self;
        write!(
            out,
            "{cuts} under load and {early} on the way up, {writes} acknowledged writes, {acts} acts, {questions} \
             questions, sled was lost {sled_lost} times, an unacknowledged turn torn {torn} times, slowest start {slowest_start:?}"
        )
    }
}

/// What was answered with 2xx, and must therefore be on disk for ever.
#[derive(Clone, Default)]
pub struct Acknowledged {
    /// Alerts by the label `n`.
    alerts: BTreeSet<String>,
    /// Remediations by id.
    created: BTreeSet<String>,
    /// Those that somebody approved.
    approved: BTreeSet<String>,
    /// Those that somebody cancelled.
    cancelled: BTreeSet<String>,
}

/// What the loads share.
struct Shared {
    client: Client,
    acknowledged: Mutex<Acknowledged>,
    writes: AtomicUsize,
    /// Nobody writes while what is stored is compared with what was acknowledged.
    door: RwLock<()>,
    ends: AtomicBool,
}

impl Shared {
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

    fn write(&self, path: &str, body: &Value) -> Option<Answer> {
        self.ask("POST", path, Some(body)).filter(Answer::is_success)
    }

    fn acknowledge(&self, note: impl FnOnce(&mut Acknowledged)) {
        note(&mut self.acknowledged.lock().unwrap());
        self.writes.fetch_add(1, Ordering::SeqCst);
    }

    /// A body of one to four alerts; some call for a repair.
    fn deliver(&self, dice: &mut Dice, prefix: &str, count: &mut u64) {
        let mut names = Vec::new();
        let alerts: Vec<Value> = (0..dice.upto(1, 4))
            .map(|_| {
                *count += 1;
                let name = if dice.one_in(4) { HEAVY } else { "NobodyCares" };
                let mut alert = alert(name, &format!("n-{}", dice.upto(0, NODES - 1)), now(), None);
                alert["labels"]["n"] = json!(format!("{prefix}{count}"));
                alert["fingerprint"] = json!(format!("{prefix}{count}"));
                names.push(format!("{prefix}{count}"));
                alert
            })
            .collect();
        if self.write("/api/v1/webhooks/alertmanager", &message(&alerts)).is_some() {
            self.acknowledge(|known| known.alerts.extend(names));
        }
    }

    fn create(&self, dice: &mut Dice, count: &mut u64) {
        *count += 1;
        let node = dice.upto(0, NODES - 1);
        let path = format!("/v1/compute/clusters/train-a/instances/n-{node}/remediations?remediation_id=c-{count}");
        let body = json!({"mode": "REMEDIATION_MODE_REBOOT_VM", "reason": "load"});
        if let Some(made) = self.write(&path, &body) {
            let id = made.json()["id"].as_str().unwrap().to_owned();
            self.acknowledge(|known| known.created.extend([id]));
        }
    }

    fn review(&self, dice: &mut Dice) {
        let waiting = "/api/v1/remediations?state=PENDING_APPROVAL&page_size=20";
        let Some(page) = self.ask("GET", waiting, None).filter(Answer::is_success) else { return };
        let Some(row) = dice.one_of(page.json()["remediations"].as_array().unwrap().clone()) else { return };
        let id = row["id"].as_str().unwrap().to_owned();
        let (verb, body) = if dice.one_in(8) { ("cancel", json!({})) } else { ("approve", json!({"comment": "load"})) };
        if self.write(&format!("{}/{verb}", together(&row)), &body).is_some() {
            self.acknowledge(|known| match verb {
                "cancel" => known.cancelled.extend([id]),
                _ => known.approved.extend([id]),
            });
        }
    }
}

/// Loads that run until they are told to end.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<std::thread::JoinHandle<()>>,
    /// Rows that ended before the last look.
    ended: BTreeMap<String, Value>,
}

impl Load {
    /// Starts them; `seed` says what they ask for.
    pub fn begin(client: &Client, seed: u64) -> Self {
        let shared = Arc::new(Shared {
            client: client.clone(),
            acknowledged: Mutex::default(),
            writes: AtomicUsize::new(0),
            door: RwLock::new(()),
            ends: AtomicBool::new(false),
        });
        let spawn = |n: u64| {
            let load = Arc::clone(&shared);
            std::thread::spawn(move || {
                let (mut dice, mut count) = (Dice(seed ^ (n << 32)), 0);
                while !load.ends.load(Ordering::SeqCst) {
                    let _one_request = load.door.read().unwrap();
                    match n {
                        1 => load.deliver(&mut dice, "a", &mut count),
                        2 => load.deliver(&mut dice, "b", &mut count),
                        3 => load.create(&mut dice, &mut count),
                        _ => load.review(&mut dice),
                    }
                }
            })
        };
        let threads = (1..=4).map(spawn).collect();
        Self { shared, threads, ended: BTreeMap::new() }
    }

    /// How many writes were acknowledged so far.
    pub fn writes(&self) -> usize {
        self.shared.writes.load(Ordering::SeqCst)
    }

    /// Waits until so many more writes were acknowledged.
    pub fn wait_for(&self, more: u64, daemon: &Daemon<'_>) {
        let wanted = self.writes() + usize::try_from(more).unwrap();
        eventually(SOON, "the load is taken", || {
            let now = self.writes();
            if now >= wanted { Ok(()) } else { Err(format!("{now} of {wanted} writes\n{}", daemon.log_tail())) }
        });
    }

    /// What has been acknowledged up to this moment.
    pub fn acknowledged(&self) -> Acknowledged {
        self.shared.acknowledged.lock().unwrap().clone()
    }

    /// Everything that `daemon` lacks of what was acknowledged, holds in parts only, or lets the driver do unasked.
    pub fn faults(&mut self, daemon: &Daemon<'_>, known: &Acknowledged, driver: &Driver) -> Vec<String> {
        let shared = Arc::clone(&self.shared);
        let _nobody_writes = shared.door.write().unwrap();
        let mut faults = Vec::new();
        let mut must = |holds: bool, what: &dyn Fn() -> String| {
            if !holds {
                faults.push(what());
            }
        };
        // Read first: whoever is called in between is in no list yet.
        let ledger = driver.ledger();
        let alerts = everything(daemon, "alerts", |row| row["id"].as_str().unwrap().to_owned());
        let numbers: BTreeSet<&str> = alerts.values().filter_map(|row| row["labels"]["n"].as_str()).collect();
        for n in &known.alerts {
            must(numbers.contains(n.as_str()), &|| format!("the acknowledged alert {n} is lost"));
        }
        let rows = everything(daemon, "remediations", |row| row["id"].as_str().unwrap().to_owned());
        for id in &known.created {
            must(rows.contains_key(id), &|| format!("the acknowledged remediation {id} is lost"));
        }
        for id in &known.approved {
            let row = rows.get(id);
            let is_there = row.is_some_and(|row| row["review"]["by"] == "local" && row["review"]["comment"] == "load");
            must(is_there, &|| format!("the acknowledged approval of {id} is lost: {row:?}"));
        }
        for id in &known.cancelled {
            let row = rows.get(id);
            let is_there = row.is_some_and(|row| row["state"] == "CANCELLED");
            must(is_there, &|| format!("the acknowledged end of {id} is lost: {row:?}"));
        }
        for (id, before) in &self.ended {
            must(rows.get(id) == Some(before), &|| format!("{id} had ended as {before} and is {:?}", rows.get(id)));
        }
        for key in ledger.iter().filter_map(|line| line.strip_prefix("act ")) {
            let row = key.rsplit_once("-act-").and_then(|(id, _)| rows.get(id));
            let is_known = row.is_some_and(|row| !row["attempt"].is_null());
            must(is_known, &|| format!("the driver was called for {key}, of which nothing is known: {row:?}"));
        }
        let acted: BTreeSet<String> = driver.ledger().into_iter().collect();
        for (id, row) in &rows {
            let has_acted = row["attempt"]["operation_key"]
                .as_str()
                .is_some_and(|key| row["attempt"]["outcome"] != "done" || acted.contains(&format!("acted {key}")));
            must(row["attempt"].is_null() || has_acted, &|| format!("{id} says done and nobody did it: {row}"));
            let links = row["linked_alerts"].as_array().unwrap();
            let has_alerts = links.iter().all(|link| alerts.contains_key(link["alert_id"].as_str().unwrap()));
            must(has_alerts, &|| format!("an alert of {id} is lost: {row}"));
            must(row["trigger"] == "manual" || !links.is_empty(), &|| format!("the alerts of {id} are lost: {row}"));
        }
        for (id, alert) in &alerts {
            let Some(row) = alert["remediation_id"].as_str().map(|id| rows.get(id)) else { continue };
            let is_there = row.is_some_and(|row| {
                row["linked_alerts"].as_array().unwrap().iter().any(|link| link["alert_id"] == id.as_str())
            });
            must(is_there, &|| format!("alert {id} names a remediation that does not name it: {alert} {row:?}"));
        }
        let terminal = ["SUCCEEDED", "FAILED", "CANCELLED", "AUTO_RESOLVED"];
        for (id, row) in rows.into_iter().filter(|(_, row)| terminal.iter().any(|state| row["state"] == *state)) {
            if self.ended.contains_key(&id) {
                continue;
            }
            let one = daemon.remediation(&id);
            must(one == row, &|| format!("{id} is {row} in the list and {one} by itself"));
            let history = daemon.get(&format!("/api/v1/remediations/{id}/history")).json()["history"].clone();
            let steps = history.as_array().unwrap();
            let versions: Vec<u64> = steps.iter().map(|step| step["version"].as_u64().unwrap()).collect();
            let is_whole = versions == (1..=row["version"].as_u64().unwrap()).collect::<Vec<_>>()
                && steps.windows(2).all(|pair| pair[1]["from"] == pair[0]["to"])
                && steps.last().is_some_and(|last| last["to"] == row["state"]);
            must(is_whole, &|| format!("the history of {id} does not lead to {row}: {history}"));
            self.ended.insert(id, row);
        }
        faults
    }

    /// Ends the load, and waits until every repair that was approved has ended.
    pub fn end(mut self, daemon: &Daemon<'_>, driver: &Driver) -> usize {
        self.shared.ends.store(true, Ordering::SeqCst);
        std::mem::take(&mut self.threads).into_iter().for_each(|thread| thread.join().unwrap());
        daemon.wait("every approved repair has ended", || {
            let rows = everything(daemon, "remediations", |row| row["id"].as_str().unwrap().to_owned());
            let open = rows.values().filter(|row| row["state"] == "PENDING" || row["state"] == "RUNNING").count();
            if open == 0 { Ok(()) } else { Err(format!("{open} are under way")) }
        });
        let known = self.acknowledged();
        let faults = self.faults(daemon, &known, driver);
        assert!(faults.is_empty(), "{faults:#?}");
        self.writes()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
    }
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

/// The driver's own ledger: nothing was carried out twice, neither an operation nor another one for the same
/// remediation, and nobody was called again without having been asked in between.
pub fn doubled(driver: &Driver) -> Vec<String> {
    let mut doubled = Vec::new();
    let (mut acted, mut called) = (BTreeSet::new(), BTreeSet::new());
    for line in driver.ledger() {
        let (what, key) = line.split_once(' ').unwrap();
        let id = key.rsplit_once("-act-").map_or(key, |(id, _)| id).to_owned();
        let is_fresh = match what {
            "acted" => acted.insert(id),
            "act" => called.insert(key.to_owned()),
            _ => {
                // Whoever was asked may be called again, if the answer was that there is nothing of it.
                called.remove(key);
                true
            }
        };
        if !is_fresh {
            doubled.push(line);
        }
    }
    doubled
}
