//! What active checks make us believe, against a second opinion that is written from DESIGN §4.2 and SAFETY I20 alone.
//!
//! The model keeps the whole history of every check on every node and counts it anew, backwards, each time it is asked: slow
//! and simple. The engine sees the same runs, one at a time, keeps a few counters in a row, and is now and then made anew from
//! its rows. After every input both must believe the same of every node.
//!
//! `REMEDYD_TEST_SEEDS` replaces the number of histories, `REMEDYD_TEST_SEED` the first.

mod dice;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dice::{Dice, number};
use remedyd::domain::matcher::Matchers;
use remedyd::domain::{
    AlertState, Belief, CheckId, CheckKind, Cluster, ClusterId, Finding, HostId, Instance, InstanceId, Observation,
    Probed, Severity, Timestamp, Trust, Verdict,
};
use remedyd::engine::memory::Memory;
use remedyd::engine::settings::{CheckPolicy, Settings};
use remedyd::engine::{Configured, Engine, Input, Reply};
use rows::Rows;

/// How many histories are tried.
const HISTORIES: u64 = 120;
/// How many things happen in each.
const EVENTS: u64 = 140;
const START: i64 = 1_800_000_000_000_000;

#[test]
fn the_engine_believes_what_a_recount_of_everything_says() {
    let first = number("REMEDYD_TEST_SEED", 1);
    let histories = number("REMEDYD_TEST_SEEDS", HISTORIES);
    let mut tally = Tally::default();
    for seed in first..first + histories {
        let mut events = EVENTS;
        if let Err(why) = tell(seed, events, &mut tally) {
            // The shortest beginning that fails: everything after it is noise.
            while events > 1 && tell(seed, events - 1, &mut Tally::default()).is_err() {
                events -= 1;
            }
            panic!("REMEDYD_TEST_SEED={seed}, the first {events} events: {why}");
        }
    }
    println!("{histories} histories, 0 differences: {tally:?}");
    // What is hardly tried proves little.
    let tried = [tally.believed, tally.cleared, tally.doubted, tally.faults, tally.silent, tally.restarts, tally.gone];
    assert!(tried.iter().all(|tried| *tried >= histories / 2), "{tally:?}");
}

#[test]
fn a_recount_with_other_rules_differs() {
    for (lie, what) in [
        (Lie::FaultCounts, "a fault of the prober counts"),
        (Lie::ErrorIsFail, "ERROR is read as FAIL"),
        (Lie::SilentClears, "INCONCLUSIVE is read as PASS"),
        (Lie::OnePass, "one PASS is enough"),
        (Lie::NoRound, "nobody waits for a round"),
        (Lie::UnseenClears, "a device that was not seen is well"),
    ] {
        let is_found = (1..200).any(|seed| history(seed, EVENTS, Some(lie), &mut Tally::default()).is_err());
        assert!(is_found, "nobody saw that {what}");
    }
}

/// How often the things happened that a run is about.
#[derive(Debug, Default)]
struct Tally {
    believed: u64,
    cleared: u64,
    doubted: u64,
    faults: u64,
    silent: u64,
    restarts: u64,
    gone: u64,
    runs: u64,
}

/// A rule that the model gets wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Lie {
    FaultCounts,
    ErrorIsFail,
    SilentClears,
    OnePass,
    NoRound,
    UnseenClears,
}

/// The name of a finding and its device.
type What = (&'static str, &'static str);

/// One thing in the life of a check on a node.
#[derive(Clone, Debug)]
enum Entry {
    Run {
        ended_at: Timestamp,
        now: Timestamp,
        verdict: Verdict,
        found: BTreeSet<What>,
        seen: BTreeSet<&'static str>,
        fault: bool,
    },
    /// Time passed, and something was due.
    Time { now: Timestamp, fault: bool },
    /// A fault of the prober began, or was there when a finding would have been believed.
    Forgotten,
    /// The daemon began.
    Restarted { now: Timestamp },
    /// Another machine has the instance's name now.
    Replaced,
}

/// The thresholds of one check.
#[derive(Clone, Copy, Debug)]
struct Thresholds {
    failures: usize,
    passes: usize,
    round: Duration,
}

/// Everything that ever happened to one check on one node, since it was first probed.
#[derive(Clone, Debug)]
struct Past {
    entries: Vec<Entry>,
    thresholds: Thresholds,
    lie: Option<Lie>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    Nothing,
    Doubted,
    Believed,
}

fn blames_the_node(found: &BTreeSet<What>) -> bool {
    found.iter().any(|(_, device)| device.is_empty())
}

impl Past {
    /// All findings that were ever made.
    fn ever(&self) -> BTreeSet<What> {
        let found = self.entries.iter().filter_map(|entry| match entry {
            Entry::Run { found, .. } => Some(found),
            Entry::Time { .. } | Entry::Forgotten | Entry::Restarted { .. } | Entry::Replaced => None,
        });
        found.flatten().copied().collect()
    }

    /// How an entry reads, with the lie in it.
    fn verdict(&self, entry: &Entry) -> Option<Verdict> {
        let Entry::Run { verdict, .. } = entry else { return None };
        Some(match (self.lie, *verdict) {
            (Some(Lie::ErrorIsFail), Verdict::Error) => Verdict::Fail,
            (Some(Lie::SilentClears), Verdict::Inconclusive) => Verdict::Pass,
            (_, verdict) => verdict,
        })
    }

    /// Whether this run speaks against a finding: a PASS, or a FAIL because of something else. For a part of the node only where
    /// that part was seen, or any part of the machine that came in place of the one `of_before`; for the node as a whole a FAIL only
    /// where it blames nothing but parts.
    fn is_against(&self, entry: &Entry, what: What, of_before: bool) -> bool {
        let Entry::Run { found, seen, fault, .. } = entry else { return false };
        let fault = *fault;
        let is_seen = what.1.is_empty()
            || seen.contains(what.1)
            || (of_before && !seen.is_empty())
            || self.lie == Some(Lie::UnseenClears);
        match self.verdict(entry) {
            Some(Verdict::Pass) => is_seen,
            Some(Verdict::Fail) if fault => false,
            Some(Verdict::Fail) if what.1.is_empty() => !blames_the_node(found),
            Some(Verdict::Fail) => is_seen && !found.contains(&what),
            _ => false,
        }
    }

    /// Backwards from `upto`: how many FAIL in a row that count speak for it, and when the first of them ended.
    ///
    /// A FAIL of the node as a whole is a FAIL whatever it found, and the last of them says what stands.
    fn streak(&self, upto: usize, what: What, of_before: bool) -> (usize, Option<Timestamp>) {
        let is_whole = what.1.is_empty();
        let (mut count, mut since, mut started) = (0, None, Timestamp::default());
        for entry in self.entries[..=upto].iter().rev() {
            match entry {
                Entry::Forgotten | Entry::Replaced => break,
                // A round begins anew with the daemon.
                Entry::Restarted { now } => started = started.max(*now),
                Entry::Run { fault: true, .. }
                    if self.verdict(entry) == Some(Verdict::Fail) && self.lie != Some(Lie::FaultCounts) =>
                {
                    break;
                }
                Entry::Run { found, ended_at, .. } => match self.verdict(entry) {
                    Some(Verdict::Fail)
                        if found.contains(&what) || (count > 0 && is_whole && blames_the_node(found)) =>
                    {
                        (count, since) = (count + 1, Some(started.max(*ended_at)));
                    }
                    // Another way of failing is what stands.
                    Some(Verdict::Fail) if is_whole => break,
                    Some(Verdict::Pass) if is_whole => break,
                    _ if self.is_against(entry, what, of_before) => break,
                    _ => {}
                },
                Entry::Time { .. } => {}
            }
        }
        (count, since)
    }

    /// Whether it was found often and long enough, but for a fault of the prober.
    fn is_ripe(&self, upto: usize, what: What, of_before: bool) -> bool {
        let now = match &self.entries[upto] {
            entry @ Entry::Run { now, .. } if self.verdict(entry) == Some(Verdict::Fail) => *now,
            Entry::Time { now, .. } => *now,
            // Only what fails makes anybody believe that something is wrong.
            Entry::Run { .. } | Entry::Forgotten | Entry::Restarted { .. } | Entry::Replaced => return false,
        };
        let (count, since) = self.streak(upto, what, of_before);
        let round = if self.lie == Some(Lie::NoRound) { Duration::ZERO } else { self.thresholds.round };
        count >= self.thresholds.failures && since.is_some_and(|since| now >= since.plus(round))
    }

    /// How many runs in a row speak against it, backwards from `upto`.
    fn misses(&self, upto: usize, what: What, of_before: bool) -> usize {
        let mut misses = 0;
        for entry in self.entries[..=upto].iter().rev() {
            match entry {
                Entry::Replaced => break,
                Entry::Run { found, .. } if self.verdict(entry) == Some(Verdict::Fail) => {
                    if found.contains(&what) || (what.1.is_empty() && blames_the_node(found)) {
                        break;
                    }
                    misses += usize::from(self.is_against(entry, what, of_before));
                }
                Entry::Run { .. } => misses += usize::from(self.is_against(entry, what, of_before)),
                Entry::Time { .. } | Entry::Forgotten | Entry::Restarted { .. } => {}
            }
        }
        misses
    }

    /// What we made of it after each entry.
    fn held(&self, what: What) -> Vec<Held> {
        let passes = if self.lie == Some(Lie::OnePass) { 1 } else { self.thresholds.passes };
        let mut held = Held::Nothing;
        let after = |(at, entry): (usize, &Entry)| {
            let fault = match entry {
                Entry::Run { fault, .. } | Entry::Time { fault, .. } => *fault && self.lie != Some(Lie::FaultCounts),
                Entry::Forgotten | Entry::Restarted { .. } | Entry::Replaced => false,
            };
            let doubted = held == Held::Doubted;
            let is_over = held != Held::Nothing
                && self.is_against(entry, what, doubted)
                && self.misses(at, what, doubted) >= passes;
            held = match (entry, held) {
                (Entry::Replaced, Held::Believed) => Held::Doubted,
                _ if is_over => Held::Nothing,
                _ if self.is_ripe(at, what, doubted) && !fault => Held::Believed,
                _ => held,
            };
            held
        };
        self.entries.iter().enumerate().map(after).collect()
    }

    /// What we believe, and what we hold of each finding.
    fn belief(&self) -> (Belief, BTreeMap<What, Held>) {
        let all: BTreeMap<What, Vec<Held>> = self.ever().into_iter().map(|what| (what, self.held(what))).collect();
        let worst = |at: usize| all.values().map(|held| held[at]).max().unwrap_or(Held::Nothing);
        let last = self.entries.len() - 1;
        let belief = match worst(last) {
            Held::Believed => Belief::Failing,
            Held::Doubted => Belief::Unknown,
            Held::Nothing => {
                // A PASS since which nothing was believed or in doubt.
                let calm = (0..=last).rev().take_while(|at| worst(*at) == Held::Nothing);
                let calm = calm.take_while(|at| !matches!(self.entries[*at], Entry::Replaced));
                let mut passes = calm.filter(|at| self.verdict(&self.entries[*at]) == Some(Verdict::Pass));
                if passes.next().is_some() { Belief::Healthy } else { Belief::Unknown }
            }
        };
        let held = all.into_iter().map(|(what, held)| (what, held[last])).filter(|(_, held)| *held != Held::Nothing);
        (belief, held.collect())
    }

    /// Whether it was found on the machine that is there now, and nothing has spoken against it since: what else a run found,
    /// and runs that came to nothing, do not.
    fn stands(&self, what: What) -> bool {
        for entry in self.entries.iter().rev() {
            match entry {
                Entry::Replaced => return false,
                Entry::Run { found, .. } => match self.verdict(entry) {
                    Some(Verdict::Fail) if found.contains(&what) => return true,
                    // Another way of failing is what stands.
                    Some(Verdict::Fail) if what.1.is_empty() && blames_the_node(found) => return false,
                    _ if self.is_against(entry, what, false) => return false,
                    _ => {}
                },
                Entry::Time { .. } | Entry::Forgotten | Entry::Restarted { .. } => {}
            }
        }
        false
    }

    /// The last verdict about the machine that is there now, and since when runs come to that.
    fn last(&self) -> Option<(Verdict, Timestamp)> {
        let of_this = self.entries.iter().rev().take_while(|entry| !matches!(entry, Entry::Replaced));
        let mut runs = of_this.filter_map(|entry| match entry {
            Entry::Run { ended_at, .. } => self.verdict(entry).map(|verdict| (verdict, *ended_at)),
            Entry::Time { .. } | Entry::Forgotten | Entry::Restarted { .. } | Entry::Replaced => None,
        });
        let (last, at) = runs.next()?;
        let since = runs.take_while(|(verdict, _)| *verdict == last).last().map_or(at, |(_, first)| first);
        Some((last, since))
    }
}

/// A check and an instance.
type Pair = (&'static str, usize);

/// All that the model knows.
struct Model {
    pasts: BTreeMap<Pair, Past>,
    /// What came of the last recount of each; one is counted anew whenever something is added to it.
    counted: BTreeMap<Pair, (Belief, BTreeMap<What, Held>)>,
    lie: Option<Lie>,
}

impl Model {
    fn add(&mut self, pair: Pair, entry: Entry) {
        let past = self.pasts.get_mut(&pair).expect("it is there");
        past.entries.push(entry);
        self.counted.insert(pair, past.belief());
    }

    fn forget(&mut self, is_gone: impl Fn(&Pair) -> bool) {
        self.pasts.retain(|pair, _| !is_gone(pair));
        self.counted.retain(|pair, _| !is_gone(pair));
    }

    /// Nodes of which a check says something, and those of which something was found that is not believed (I20): ten minutes
    /// long where they do not fail any more.
    fn nodes(&self, now: Timestamp) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let is_suspect = |pair: &Pair, past: &Past| {
            let (belief, held) = &self.counted[pair];
            let stands = past.ever().into_iter().any(|what| !held.contains_key(&what) && past.stands(what));
            match past.last() {
                Some((Verdict::Fail, _)) => stands || *belief != Belief::Failing,
                Some((_, since)) => stands && now < since.plus(Duration::from_secs(600)),
                None => stands,
            }
        };
        let says = |past: &Past| past.last().is_some_and(|(last, _)| matches!(last, Verdict::Pass | Verdict::Fail));
        let probed = self.pasts.iter().filter(|(_, past)| says(past)).map(|((_, node), _)| *node).collect();
        let suspect = self.pasts.iter().filter(|(pair, past)| is_suspect(pair, past)).map(|((_, node), _)| *node);
        (probed, suspect.collect())
    }

    fn is_fault(&self, now: Timestamp) -> bool {
        let (probed, suspect) = self.nodes(now);
        suspect.len() >= 3 && suspect.len() * 100 >= probed.len() * 30
    }

    /// Says whether this FAIL, counted in, is one of too many.
    fn would_be_fault(&self, pair: Pair, found: &BTreeSet<What>, now: Timestamp) -> bool {
        let (mut probed, mut suspect) = self.nodes(now);
        probed.insert(pair.1);
        let held = self.counted.get(&pair).map(|(_, held)| held);
        let is_believed = |what: &What| held.and_then(|held| held.get(what)) == Some(&Held::Believed);
        if !found.iter().all(is_believed) {
            suspect.insert(pair.1);
        }
        suspect.len() >= 3 && suspect.len() * 100 >= probed.len() * 30
    }

    fn forget_counts(&mut self) {
        for pair in self.pasts.keys().copied().collect::<Vec<_>>() {
            self.add(pair, Entry::Forgotten);
        }
    }

    fn restarts(&mut self, now: Timestamp) {
        for pair in self.pasts.keys().copied().collect::<Vec<_>>() {
            self.add(pair, Entry::Restarted { now });
        }
    }

    fn hears(&mut self, pair: Pair, thresholds: Thresholds, run: &Probed, now: Timestamp) {
        let name = |device: &str| DEVICES.into_iter().find(|known| *known == device).unwrap_or("");
        let what = |finding: &Finding| {
            let known = NAMES.into_iter().find(|known| *known == finding.name.as_str()).expect("we named it");
            (known, name(&finding.device))
        };
        let found: BTreeSet<What> = run.observation.findings.iter().map(what).collect();
        let fault = run.observation.verdict == Verdict::Fail && self.would_be_fault(pair, &found, now);
        if fault && !self.is_fault(now) {
            self.forget_counts();
        }
        let lie = self.lie;
        self.pasts.entry(pair).or_insert(Past { entries: Vec::new(), thresholds, lie });
        let seen = run.observation.devices.iter().map(|device| name(device)).collect();
        let (ended_at, verdict) = (run.ended_at, run.observation.verdict);
        self.add(pair, Entry::Run { ended_at, now, verdict, found, seen, fault });
    }

    fn time(&mut self, now: Timestamp) {
        let fault = self.is_fault(now);
        for pair in self.pasts.keys().copied().collect::<Vec<_>>() {
            self.add(pair, Entry::Time { now, fault });
            let past = &self.pasts[&pair];
            let last = past.entries.len() - 1;
            let (_, held) = &self.counted[&pair];
            let is_lost = |what: &What| {
                held.get(what) != Some(&Held::Believed)
                    && past.is_ripe(last, *what, held.get(what) == Some(&Held::Doubted))
            };
            if fault && past.ever().iter().any(is_lost) {
                self.add(pair, Entry::Forgotten);
            }
        }
    }
}

const CHECKS: [&str; 2] = ["gpu", "ssh"];
const NAMES: [&str; 4] = ["timeout", "refused", "lost", "double_bit_ecc"];
const DEVICES: [&str; 3] = ["", "GPU-0", "GPU-1"];

/// The engine with its rows.
struct Subject {
    engine: Engine,
    rows: Rows,
    now: Timestamp,
    settings: Settings,
    instances: Vec<Instance>,
    seed: u64,
}

impl Subject {
    fn input(&mut self, input: Input) -> Reply {
        let past = self.rows.past(&self.engine.wanted(self.now, &input));
        let step = self.engine.step(self.now, input, past);
        step.changes.iter().for_each(|change| drop(self.rows.write(change)));
        step.reply
    }

    fn configure(&mut self) {
        let settings = Arc::new(self.settings.clone());
        let clusters = vec![Cluster { id: cluster(), name: "train-a".to_owned() }];
        let instances = self.instances.clone();
        self.input(Input::Configured(Box::new(Configured { settings, clusters, instances })));
    }

    fn restart(&mut self) {
        self.seed += 1;
        self.engine = Engine::new(self.rows.live(), self.seed);
        self.configure();
    }
}

fn cluster() -> ClusterId {
    ClusterId::parse("train-a").unwrap()
}

fn instance(n: usize, generation: u64) -> Instance {
    Instance {
        id: InstanceId::parse(&format!("i-{n}")).unwrap(),
        name: format!("gpu-node-{n}"),
        cluster_id: cluster(),
        host_id: HostId::parse(&format!("h-{n}")).unwrap(),
        addresses: Vec::new(),
        provider_id: String::new(),
        pool: String::new(),
        generation: generation.to_string(),
        domains: BTreeMap::new(),
        auto_remediation_enabled: true,
    }
}

fn policy(thresholds: Thresholds) -> CheckPolicy {
    CheckPolicy {
        kind: CheckKind::DcgmExporter,
        select: Matchers::default(),
        failures_before: thresholds.failures as u32,
        passes_before: thresholds.passes as u32,
        severity: Severity::Critical,
        round: thresholds.round,
    }
}

fn tell(seed: u64, events: u64, tally: &mut Tally) -> Result<(), String> {
    history(seed, events, None, tally)
}

/// One history, told to both.
fn history(seed: u64, events: u64, lie: Option<Lie>, tally: &mut Tally) -> Result<(), String> {
    let mut dice = Dice(seed);
    // Few nodes, so that some failures are many.
    let nodes = dice.upto(3, 12) as usize;
    let mut generations = vec![1; nodes];
    let all: BTreeMap<&'static str, Thresholds> = CHECKS
        .into_iter()
        .map(|check| {
            let (failures, passes) = (dice.upto(1, 4) as usize, dice.upto(1, 3) as usize);
            (check, Thresholds { failures, passes, round: Duration::from_secs(dice.upto(10, 90)) })
        })
        .collect();
    // How sick this night is, in percent.
    let sickness = [3, 10, 30][dice.upto(0, 2) as usize];
    let mut subject = Subject {
        engine: Engine::new([], seed),
        rows: Rows::default(),
        now: Timestamp::from_micros(START),
        settings: Settings::default(),
        instances: (0..nodes).map(|n| instance(n, 1)).collect(),
        seed,
    };
    for (check, thresholds) in &all {
        subject.settings.checks.insert(CheckId::parse(check).unwrap(), policy(*thresholds));
    }
    subject.configure();
    let mut model = Model { pasts: BTreeMap::new(), counted: BTreeMap::new(), lie };
    let mut sick: BTreeSet<Pair> = BTreeSet::new();
    let mut is_cut_off = false;
    let mut told: Vec<String> = Vec::new();
    for _ in 0..events {
        pass_time(&mut subject, &mut model, &mut dice)?;
        let now = subject.now;
        match dice.upto(0, 99) {
            0..=1 => {
                is_cut_off = !is_cut_off;
                told.push(format!("{now}: cut off: {is_cut_off}"));
            }
            2..=3 => {
                let node = dice.upto(0, nodes as u64 - 1) as usize;
                generations[node] += 1;
                tally.doubted += 1;
                told.push(format!("{now}: i-{node} is replaced"));
                if let Some(there) = subject.instances.iter_mut().find(|one| one.id.as_str() == format!("i-{node}")) {
                    there.generation = generations[node].to_string();
                    subject.configure();
                    let about: Vec<Pair> = model.pasts.keys().filter(|(_, at)| *at == node).copied().collect();
                    about.into_iter().for_each(|pair| model.add(pair, Entry::Replaced));
                }
            }
            4 => {
                // A check or a node leaves, and another comes back.
                tally.gone += 1;
                if dice.one_in(2) {
                    let node = dice.upto(0, nodes as u64 - 1) as usize;
                    let id = format!("i-{node}");
                    let was = subject.instances.len();
                    subject.instances.retain(|one| one.id.as_str() != id);
                    if subject.instances.len() == was {
                        subject.instances.push(instance(node, generations[node]));
                    } else {
                        model.forget(|(_, at)| *at == node);
                    }
                    told.push(format!("{now}: {id} leaves or comes"));
                } else {
                    let check = dice.one_of(CHECKS).expect("there are checks");
                    let id = CheckId::parse(check).unwrap();
                    match subject.settings.checks.remove(&id) {
                        Some(_) => model.forget(|(of, _)| *of == check),
                        None => drop(subject.settings.checks.insert(id, policy(all[check]))),
                    }
                    told.push(format!("{now}: {check} leaves or comes"));
                }
                subject.configure();
            }
            5..=7 => {
                tally.restarts += 1;
                let before = subject.engine.memory().clone();
                subject.restart();
                if before != *subject.engine.memory() {
                    return Err("a restart changed what is known".to_owned());
                }
                // While nobody looked, others may have failed as well.
                subject.input(Input::Started);
                model.restarts(subject.now);
            }
            _ => {
                let batch: Vec<(Pair, Probed)> = (0..dice.upto(1, 6))
                    .map(|_| {
                        let pair = (CHECKS[dice.upto(0, 1) as usize], dice.upto(0, nodes as u64 - 1) as usize);
                        if dice.upto(0, 99) < sickness && !sick.remove(&pair) {
                            sick.insert(pair);
                        }
                        let is_sick = is_cut_off || sick.contains(&pair);
                        // Now and then one comes late, from a machine that is gone.
                        let old = u64::from(dice.one_in(40));
                        (pair, probed(pair, is_sick, generations[pair.1] - old, now, &mut dice))
                    })
                    .collect();
                let silent = says_nothing(&batch);
                tally.silent += u64::from(silent);
                tally.runs += batch.len() as u64;
                let before = subject.rows.clone();
                for (pair, run) in &batch {
                    told.push(format!(
                        "{now}: {} on i-{}: {} {:?} seen {:?}, ended {}",
                        pair.0,
                        pair.1,
                        run.observation.verdict,
                        run.observation
                            .findings
                            .iter()
                            .map(|one| (one.name.as_str(), &*one.device))
                            .collect::<Vec<_>>(),
                        run.observation.devices,
                        run.ended_at
                    ));
                    let is_listed = subject.instances.iter().any(|one| one.id == run.instance_id);
                    let is_current = run.generation == generations[pair.1].to_string();
                    if is_listed && is_current && subject.settings.checks.contains_key(&run.check) {
                        model.hears(*pair, all[pair.0], run, now);
                    }
                }
                let was_fault = subject.engine.prober_fault(subject.now).is_some();
                let runs = batch.into_iter().map(|(_, run)| run).collect();
                subject.input(Input::Probed { runs, on_demand: false });
                tally.faults += u64::from(!was_fault && subject.engine.prober_fault(subject.now).is_some());
                if silent {
                    changed_nothing(&before, &subject.rows)?;
                }
            }
        }
        // What is due at this very moment.
        pass_due(&mut subject, &mut model, now)?;
        compare(&subject, &model).map_err(|why| {
            let last = told.iter().rev().take(40).rev();
            format!("{why}\n{all:#?}\n{}", last.cloned().collect::<Vec<_>>().join("\n"))
        })?;
    }
    let ends = subject.rows.alerts().filter(|alert| alert.state == AlertState::Resolved).count() as u64;
    tally.believed += subject.rows.alerts().count() as u64;
    tally.cleared += ends;
    Ok(())
}

fn pass_time(subject: &mut Subject, model: &mut Model, dice: &mut Dice) -> Result<(), String> {
    let until = subject.now.plus(Duration::from_millis(dice.upto(0, 20_000)));
    pass_due(subject, model, until)?;
    subject.now = until;
    Ok(())
}

fn pass_due(subject: &mut Subject, model: &mut Model, until: Timestamp) -> Result<(), String> {
    for _ in 0..100 {
        let Some(due) = subject.engine.next_deadline().filter(|due| *due <= until) else { return Ok(()) };
        subject.now = subject.now.max(due);
        model.time(subject.now);
        subject.input(Input::Tick);
    }
    Err("it is due again and again".to_owned())
}

fn says_nothing(batch: &[(Pair, Probed)]) -> bool {
    let is_silent = |verdict| matches!(verdict, Verdict::Inconclusive | Verdict::Error | Verdict::Skipped);
    batch.iter().all(|(_, run)| is_silent(run.observation.verdict))
}

/// INCONCLUSIVE, ERROR and SKIPPED change nothing but what was last seen.
fn changed_nothing(before: &Rows, after: &Rows) -> Result<(), String> {
    let alerts = |rows: &Rows| rows.alerts().cloned().collect::<Vec<_>>();
    if alerts(before) != alerts(after) {
        return Err("runs that say nothing changed an alert".to_owned());
    }
    for condition in after.conditions() {
        let known = before
            .conditions()
            .find(|one| (&one.check, &one.instance_id) == (&condition.check, &condition.instance_id));
        let Some(known) = known else { continue };
        let same = remedyd::domain::Condition {
            verdict: known.verdict,
            verdict_at: known.verdict_at,
            run_id: known.run_id,
            ..condition.clone()
        };
        if same != *known {
            return Err(format!("runs that say nothing made {condition:?} of {known:?}"));
        }
    }
    Ok(())
}

fn probed(pair: Pair, is_sick: bool, generation: u64, now: Timestamp, dice: &mut Dice) -> Probed {
    let ended_at = now.minus(Duration::from_millis(dice.upto(0, 3000)));
    let mut observation = match dice.upto(0, 19) {
        0 => Observation::inconclusive("it may mean anything"),
        1 => Observation::error("no descriptor was free"),
        2 => Observation::skipped("no such program"),
        // A sick node may pass once, and a healthy one may fail once.
        3 => fail(pair.0, dice),
        4 => Observation::pass("all is well"),
        _ if is_sick => fail(pair.0, dice),
        _ => Observation::pass("all is well"),
    };
    observation.devices = DEVICES[1..].iter().filter(|_| !dice.one_in(4)).map(|device| (*device).into()).collect();
    Probed {
        check: CheckId::parse(pair.0).unwrap(),
        instance_id: InstanceId::parse(&format!("i-{}", pair.1)).unwrap(),
        generation: generation.to_string(),
        started_at: ended_at,
        ended_at,
        observation,
    }
}

fn fail(check: &str, dice: &mut Dice) -> Observation {
    let whole = || Finding::new("timeout", "no answer");
    let mut findings = Vec::new();
    if check == "ssh" || dice.one_in(5) {
        findings.push(if dice.one_in(3) { Finding::new("refused", "it refused") } else { whole() });
    }
    if check == "gpu" {
        for device in &DEVICES[1..] {
            if dice.one_in(2) {
                let name = if dice.one_in(3) { "lost" } else { "double_bit_ecc" };
                findings.push(Finding::new(name, "it was seen").on(device));
            }
        }
    }
    if findings.is_empty() {
        findings.push(whole());
    }
    Observation::fail(findings, "it failed")
}

/// Both believe the same.
fn compare(subject: &Subject, model: &Model) -> Result<(), String> {
    let mut folded = Memory::default();
    subject.rows.live().for_each(|change| folded.apply(change));
    if folded != *subject.engine.memory() {
        return Err("memory is not the fold of the rows".to_owned());
    }
    let fault = subject.engine.prober_fault(subject.now);
    if fault.is_some() != model.is_fault(subject.now) {
        return Err(format!("a fault of the prober: {fault:?}, and by a recount {:?}", model.nodes(subject.now)));
    }
    let conditions = subject.rows.conditions().count();
    if conditions != model.pasts.len() {
        return Err(format!("{conditions} conditions, and {} pasts", model.pasts.len()));
    }
    let mut fires = BTreeSet::new();
    for condition in subject.rows.conditions() {
        let check = CHECKS.into_iter().find(|check| *check == condition.check.as_str()).expect("it is ours");
        let pair = (check, condition.instance_id.as_str()[2..].parse().expect("it is ours"));
        let (belief, held) = &model.counted[&pair];
        let is: BTreeMap<(&str, &str), Held> = condition
            .standing
            .iter()
            .filter_map(|standing| {
                let held = match standing.trust {
                    Trust::Suspected => return None,
                    Trust::Believed => Held::Believed,
                    Trust::Doubted => Held::Doubted,
                };
                Some(((standing.finding.name.as_str(), &*standing.finding.device), held))
            })
            .collect();
        if condition.belief != *belief || !is.iter().eq(held.iter()) {
            let entries: Vec<String> = model.pasts[&pair].entries.iter().map(|entry| format!("{entry:?}")).collect();
            return Err(format!(
                "{check} on i-{}: {:?} {is:?}, and by a recount {belief:?} {held:?}\n{}\n",
                pair.1,
                condition.belief,
                entries.join("\n")
            ));
        }
        for ((name, device), held) in held {
            fires.insert((
                check.to_owned(),
                condition.instance_id.to_string(),
                *name,
                *device,
                *held == Held::Believed,
            ));
        }
    }
    let open = subject.engine.memory().alerts().values().map(|alert| {
        let get = |name| alert.labels.get(name).unwrap_or("").to_owned();
        let is_firing = alert.state == AlertState::Firing;
        (get("check"), get("instance_id"), get("finding"), get("device"), is_firing)
    });
    let open: BTreeSet<_> = open.collect();
    let fires: BTreeSet<_> = fires
        .into_iter()
        .map(|(check, id, name, device, is)| (check, id, name.to_owned(), device.to_owned(), is))
        .collect();
    if open != fires { Err(format!("alerts {open:?}, and findings {fires:?}")) } else { Ok(()) }
}
