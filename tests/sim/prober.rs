//! A prober, and what it is worth: it sees the nodes that are sick, late and not always; it loses its network, runs get lost,
//! and batches overtake each other. What the daemon makes of it is counted anew here, from the runs that it took (SAFETY
//! I20, I21).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use remedyd::domain::{
    Alert, AlertState, Belief, CheckId, Condition, Finding, InstanceId, Observation, Probed, Remediation, Timestamp,
    Trust, Verdict,
};
use remedyd::engine::{Change, ChecksOf, Input};

use super::rows::Key;
use super::world::{Coming, Turned, World};

/// Whether a node answers, and what DCGM's gauges say.
pub const CHECKS: [&str; 2] = ["gpu", "ssh"];
/// How long a round over all nodes takes, as the checks are configured.
pub const ROUND: Duration = Duration::from_secs(300);
pub const FAILURES_BEFORE: u32 = 2;
pub const PASSES_BEFORE: u32 = 2;
/// Rounds are further apart once the world is fair: nothing new is to be seen.
const FAIR_ROUND: Duration = Duration::from_secs(900);

/// A check and an instance.
pub type Pair = (CheckId, InstanceId);

#[derive(Clone, Default)]
pub struct Prober {
    /// Until when it has no network.
    cut_off_until: Timestamp,
    /// The last XID of each machine, which stands until somebody repairs it.
    gauges: BTreeMap<InstanceId, u32>,
    taken: BTreeMap<Pair, Vec<Taken>>,
}

/// A name, an XID, and a device.
type What = (String, Option<u32>, String);

/// One thing in the life of a check on an instance, as the daemon took it, with the turn.
#[derive(Clone, Debug)]
struct Taken {
    turn: u64,
    what: Entry,
}

#[derive(Clone, Debug)]
enum Entry {
    /// What it says, once what was spent before is taken out of it, and everything that it showed.
    Run {
        verdict: Verdict,
        ended_at: Timestamp,
        found: BTreeSet<What>,
        shown: BTreeSet<What>,
        seen: BTreeSet<String>,
        is_fault: bool,
    },
    /// A fault of the prober began elsewhere.
    Forgotten,
    /// The daemon began.
    Started(Timestamp),
    /// Another machine has the name, or nobody looks any more.
    Over,
    /// The machine was repaired while this stood there and is sticky.
    Spent(What),
}

fn what(finding: &Finding) -> What {
    (finding.name.to_string(), finding.xid, finding.device.to_string())
}

fn blames_the_node(found: &BTreeSet<What>) -> bool {
    found.iter().any(|(.., device)| device.is_empty())
}

fn of_alert(alert: &Alert) -> Option<(Pair, What)> {
    let get = |name| alert.labels.get(name).unwrap_or("");
    let check = CheckId::parse(get("check")).ok().filter(|_| alert.source.as_str() == "checks")?;
    let instance = InstanceId::parse(get("instance_id")).ok()?;
    Some(((check, instance), (get("finding").to_owned(), get("xid").parse().ok(), get("device").to_owned())))
}

/// The runs that an input brings.
pub fn runs_of(input: &Input) -> &[Probed] {
    match input {
        Input::Probed { runs, .. } | Input::Looked { runs, .. } => runs,
        _ => &[],
    }
}

type Written = [(Change, Key, Option<Change>)];

/// A check on a node, as the rows and the runs have it.
struct Known {
    pair: Pair,
    node: u32,
    /// What its last run came to, and since when.
    last: Option<(Verdict, Timestamp)>,
    /// Something is believed.
    is_believed: bool,
    /// What was found and nothing has spoken against since.
    stands: BTreeSet<What>,
    /// What of it is an alert that fires.
    believed: BTreeSet<What>,
    /// What of it is an alert of the machine that was there before.
    doubted: BTreeSet<What>,
}

/// What a row holds so.
fn held(row: &Condition, trust: Trust) -> BTreeSet<What> {
    row.standing.iter().filter(|standing| standing.trust == trust).map(|standing| what(&standing.finding)).collect()
}

/// The nodes that are probed: a run that comes to nothing is no look.
fn nodes(known: &[Known]) -> u32 {
    let is_probed = |one: &&Known| matches!(one.last, Some((Verdict::Pass | Verdict::Fail, _)));
    known.iter().filter(is_probed).fold(0, |all, one| all | one.node)
}

/// Those of which something was found that is not believed: ten minutes long where they do not fail any more.
fn suspects(known: &[Known], now: Timestamp) -> u32 {
    let is_suspect = |one: &&Known| {
        let stands = one.stands.iter().any(|what| !one.believed.contains(what) && !one.doubted.contains(what));
        match one.last {
            Some((Verdict::Fail, _)) => stands || !one.is_believed,
            Some((_, since)) => stands && now < since.plus(Duration::from_secs(600)),
            None => stands,
        }
    };
    known.iter().filter(is_suspect).fold(0, |all, one| all | one.node)
}

/// How many nodes make it a fault of the prober; 0 where they do not. `probed` is one that is being probed now.
fn fault(known: &[Known], probed: u32, now: Timestamp) -> u32 {
    let (suspects, nodes) = (suspects(known, now).count_ones(), (nodes(known) | probed).count_ones());
    if suspects >= 3 && suspects * 10 >= nodes * 3 { suspects } else { 0 }
}

impl Prober {
    /// A crash took the turns from this one on.
    pub fn forgets_from(&mut self, turn: u64) {
        for taken in self.taken.values_mut() {
            while taken.last().is_some_and(|last| last.turn >= turn) {
                taken.pop();
            }
        }
    }

    /// What the daemon took is what the backup holds; the world outside is as it is.
    pub fn restored(&mut self, backup: &Self) {
        self.taken = backup.taken.clone();
    }

    pub fn is_well(&mut self) {
        self.cut_off_until = Timestamp::default();
    }

    /// Somebody repaired it: the driver was loaded anew.
    pub fn clears_gauge(&mut self, instance: &InstanceId) {
        self.gauges.remove(instance);
    }

    pub fn clears_all(&mut self) {
        self.gauges.clear();
    }

    /// What the last run came to, and since when all runs do.
    fn last(&self, pair: &Pair) -> Option<(Verdict, Timestamp)> {
        let of_this = self.taken.get(pair)?.iter().rev().take_while(|taken| !matches!(taken.what, Entry::Over));
        let mut runs = of_this.filter_map(|taken| match &taken.what {
            Entry::Run { verdict, ended_at, .. } => Some((*verdict, *ended_at)),
            _ => None,
        });
        let (last, at) = runs.next()?;
        let since = runs.take_while(|(verdict, _)| *verdict == last).last().map_or(at, |(_, first)| first);
        Some((last, since))
    }

    /// Backwards: how many FAIL in a row that count found this, and when the first of them ended. For the node as a whole
    /// every FAIL counts, whatever it found.
    fn streak(&self, pair: &Pair, what: &What) -> (u32, Option<Timestamp>) {
        let is_whole = what.2.is_empty();
        let (mut count, mut since, mut started) = (0, None, Timestamp::default());
        for taken in self.taken.get(pair).into_iter().flatten().rev() {
            match &taken.what {
                Entry::Over | Entry::Forgotten => break,
                // A round begins anew with the daemon.
                Entry::Started(at) => started = started.max(*at),
                Entry::Run { verdict: Verdict::Fail, is_fault: true, .. } => break,
                Entry::Run { verdict: Verdict::Fail, ended_at, found, .. }
                    if found.contains(what) || (count > 0 && is_whole && blames_the_node(found)) =>
                {
                    (count, since) = (count + 1, Some(started.max(*ended_at)));
                }
                Entry::Run { verdict: Verdict::Fail, .. } if is_whole => break,
                Entry::Run { verdict: Verdict::Pass | Verdict::Fail, seen, .. }
                    if is_whole || seen.contains(&what.2) =>
                {
                    break;
                }
                Entry::Run { .. } | Entry::Spent(_) => {}
            }
        }
        (count, since)
    }

    /// How many runs in a row speak against this, backwards.
    fn misses(&self, pair: &Pair, what: &What) -> u32 {
        let mut misses = 0;
        for taken in self.taken.get(pair).into_iter().flatten().rev() {
            match &taken.what {
                Entry::Over => break,
                Entry::Run { verdict: Verdict::Fail, found, .. }
                    if found.contains(what) || (what.2.is_empty() && blames_the_node(found)) =>
                {
                    break;
                }
                Entry::Run { verdict: Verdict::Fail, is_fault: true, .. } => {}
                Entry::Run { verdict: Verdict::Pass | Verdict::Fail, seen, .. } => {
                    misses += u32::from(what.2.is_empty() || seen.contains(&what.2));
                }
                Entry::Run { .. } | Entry::Forgotten | Entry::Started(_) | Entry::Spent(_) => {}
            }
        }
        misses
    }

    /// What was found, and nothing has spoken against since: backwards, until everything was spoken of.
    fn stands(&self, pair: &Pair) -> BTreeSet<What> {
        let (mut stands, mut spent) = (BTreeSet::new(), BTreeSet::new());
        let (mut is_node_told, mut is_gpu_told) = (false, pair.0.as_str() != "gpu");
        for taken in self.taken.get(pair).into_iter().flatten().rev() {
            if is_node_told && is_gpu_told {
                break;
            }
            match &taken.what {
                Entry::Over => break,
                Entry::Spent(what) => drop(spent.insert(what.clone())),
                Entry::Run { verdict: Verdict::Fail, found, seen, is_fault, .. } => {
                    let is_told = |what: &What| if what.2.is_empty() { is_node_told } else { is_gpu_told };
                    stands.extend(found.iter().filter(|what| !is_told(what) && !spent.contains(*what)).cloned());
                    // A FAIL of the node in another way is what stands; one that counts speaks against all that it saw well.
                    is_node_told |= blames_the_node(found) || !is_fault;
                    is_gpu_told |= !is_fault && !seen.is_empty();
                }
                Entry::Run { verdict: Verdict::Pass, seen, .. } => {
                    is_node_told = true;
                    is_gpu_told |= !seen.is_empty();
                }
                Entry::Run { .. } | Entry::Forgotten | Entry::Started(_) => {}
            }
        }
        stands
    }

    /// Whether it stood there before a repair, and was never seen gone since.
    fn is_spent(&self, pair: &Pair, what: &What) -> bool {
        for taken in self.taken.get(pair).into_iter().flatten().rev() {
            match &taken.what {
                Entry::Spent(spent) if spent == what => return true,
                Entry::Over => return false,
                Entry::Run { verdict: Verdict::Pass | Verdict::Fail, shown, seen, .. }
                    if seen.contains(&what.2) && !shown.contains(what) =>
                {
                    return false;
                }
                _ => {}
            }
        }
        false
    }

    /// What stood on the gauges of a machine when it was last looked at.
    fn gauges_of(&self, pair: &Pair) -> BTreeSet<What> {
        let mut gone: BTreeSet<&str> = BTreeSet::new();
        let mut stands = BTreeSet::new();
        for taken in self.taken.get(pair).into_iter().flatten().rev() {
            match &taken.what {
                Entry::Over => break,
                Entry::Run { verdict: Verdict::Pass | Verdict::Fail, shown, seen, .. } => {
                    stands.extend(shown.iter().filter(|what| what.1.is_some() && !gone.contains(&*what.2)).cloned());
                    gone.extend(seen.iter().map(String::as_str));
                }
                Entry::Run { .. } | Entry::Forgotten | Entry::Started(_) | Entry::Spent(_) => {}
            }
        }
        stands
    }
}

impl World {
    /// It loses its network for a while.
    pub fn prober_cut_off(&mut self, lasts: Duration) {
        self.prober.cut_off_until = self.now.plus(lasts);
        self.note(|_| format!("the prober is cut off for {} s", lasts.as_secs()));
        self.tally.count("prober faults");
    }

    /// One round over all nodes, in batches that overtake each other, and the next round after it.
    pub fn probe_round(&mut self) -> Turned {
        self.later(if self.is_fair { FAIR_ROUND } else { ROUND }, Coming::ProbeRound);
        if !self.daemon.is_up {
            return Ok(());
        }
        let nodes: Vec<InstanceId> = self.site.inventory.iter().map(|instance| instance.id.clone()).collect();
        let checks: Vec<CheckId> = self.site.settings.checks.keys().cloned().collect();
        let mut batches: [Vec<Probed>; 3] = Default::default();
        for node in nodes {
            for check in &checks {
                if !self.is_fair && self.dice.one_in(20) {
                    continue;
                }
                let run = self.probes(check, &node);
                let at = self.dice.upto(0, 2) as usize;
                batches[if self.is_fair { 0 } else { at }].extend(run);
            }
        }
        let life = self.daemon.life;
        for runs in batches.into_iter().filter(|runs| !runs.is_empty()) {
            let after = self.within(Duration::ZERO, Duration::from_secs(20));
            self.later(after, Coming::Answer { input: Input::Probed { runs, on_demand: false }, life });
        }
        Ok(())
    }

    /// One run, as it looks from here.
    fn probes(&mut self, check: &CheckId, node: &InstanceId) -> Option<Probed> {
        let instance = self.site.instance(node)?;
        let generation = instance.generation.clone();
        let at = self.site.instances.iter().position(|one| one.id == *node)?;
        let firing = |name: &str, xid: Option<u32>| {
            self.site.signals.iter().any(|signal| {
                signal.node == at
                    && signal.since.is_some()
                    && signal.sign.name == name
                    && (xid.is_none() || signal.sign.xid == xid)
            })
        };
        let is_down = firing("NicDown", None) || firing("DriverStuck", None);
        let fresh = [79, 48].into_iter().find(|code| firing("Xid", Some(*code)));
        let is_cut_off = self.now < self.prober.cut_off_until;
        // The exporter sees the code once; the gauge keeps it.
        if let Some(code) = fresh {
            self.prober.gauges.insert(node.clone(), code);
        }
        let gauge = self.prober.gauges.get(node).copied();
        let manner = if self.is_fair { 99 } else { self.dice.upto(0, 39) };
        let mut observation = match (check.as_str(), manner) {
            (_, 0) => Observation::inconclusive("half an answer"),
            (_, 1) => Observation::error("no descriptor was free"),
            (_, 2) => Observation::skipped("no such program"),
            (_, 3) => Observation::fail(vec![Finding::new("timeout", "no answer")], "no answer"),
            _ if is_cut_off => Observation::fail(vec![Finding::new("timeout", "no answer")], "no answer"),
            ("ssh", 4..=8) if is_down => Observation::fail(vec![Finding::new("refused", "it refused")], "it refused"),
            ("ssh", 9) => Observation::pass("it answered, by chance"),
            ("ssh", _) if is_down => Observation::fail(vec![Finding::new("timeout", "no answer")], "no answer"),
            ("gpu", _) if gauge.is_some() => {
                let finding =
                    Finding { xid: gauge, is_sticky: true, ..Finding::new("xid", "the last code").on("GPU-0") };
                Observation::fail(vec![finding], "the gauge stands")
            }
            _ => Observation::pass("all is well"),
        };
        // Now and then the GPU is not in the scrape.
        if !is_cut_off && manner > 3 && (self.is_fair || !self.dice.one_in(10)) {
            observation.devices = vec!["GPU-0".into()];
        }
        let started_at = self.clock();
        let instance_id = node.clone();
        Some(Probed { check: check.clone(), instance_id, generation, started_at, ended_at: started_at, observation })
    }

    /// A remediation has checks run.
    pub fn checks_looked(&mut self, of: Option<&ChecksOf>) -> Vec<Probed> {
        let Some(of) = of else { return Vec::new() };
        let mut runs = Vec::new();
        for check in &of.checks {
            if (self.is_fair || !self.dice.one_in(15)) && self.site.settings.checks.contains_key(check) {
                runs.extend(self.probes(check, &of.instance_id));
            }
        }
        self.tally.count("looks with checks");
        runs
    }

    /// What a turn took of runs, and whether what it made of them is right.
    pub fn check_probed(&mut self, runs: &[Probed], written: &Written) -> Turned {
        let turn = self.turns;
        self.takes_changes(turn, written);
        let opened = written.iter().filter_map(|(change, _, before)| {
            let was = matches!(before, Some(Change::Alert(before)) if before.state == AlertState::Firing);
            match change {
                Change::Alert(alert) if alert.state == AlertState::Firing && !was => of_alert(alert),
                _ => None,
            }
        });
        let opened: Vec<(Pair, What)> = opened.collect();
        let closed = written.iter().filter_map(|(change, ..)| match change {
            Change::Alert(alert) if alert.state == AlertState::Resolved => of_alert(alert),
            _ => None,
        });
        let closed: Vec<(Pair, What)> = closed.collect();
        if runs.is_empty() && opened.is_empty() && closed.is_empty() {
            return Ok(());
        }
        let mut known = self.known();
        type Held = (bool, BTreeSet<What>, BTreeSet<What>);
        let held_by = |one: &Known| -> Held { (one.is_believed, one.believed.clone(), one.doubted.clone()) };
        let after: BTreeMap<Pair, Held> = known.iter().map(|one| (one.pair.clone(), held_by(one))).collect();
        // As it was before this turn.
        for (change, _, before) in written.iter().rev() {
            let Change::Condition(row) = change else { continue };
            match before {
                Some(Change::Condition(before)) => {
                    let there = known.iter_mut().find(|one| one.pair.0 == row.check && one.pair.1 == row.instance_id);
                    there.into_iter().for_each(|one| {
                        one.is_believed = before.belief == Belief::Failing;
                        (one.believed, one.doubted) = (held(before, Trust::Believed), held(before, Trust::Doubted));
                    });
                }
                _ => known.retain(|one| one.pair.0 != row.check || one.pair.1 != row.instance_id),
            }
        }
        if runs.is_empty() {
            let fault = fault(&known, 0, self.clock());
            opened.iter().try_for_each(|(pair, what)| self.check_believed(pair, what, fault))?;
            return closed.iter().try_for_each(|(pair, what)| self.check_cleared(pair, what, written));
        }
        for run in runs {
            let pair = (run.check.clone(), run.instance_id.clone());
            let there = self.site.instance(&run.instance_id);
            let is_taken = there.is_some_and(|there| there.generation == run.generation)
                && self.site.settings.checks.contains_key(&run.check);
            if !is_taken {
                continue;
            }
            self.tally.count("runs");
            let shown: BTreeSet<What> = run.observation.findings.iter().map(what).collect();
            let found: BTreeSet<What> =
                shown.iter().filter(|what| !self.prober.is_spent(&pair, what)).cloned().collect();
            let verdict = match run.observation.verdict {
                Verdict::Fail if found.is_empty() => Verdict::Pass,
                verdict => verdict,
            };
            let was_fault = fault(&known, 0, self.clock()) > 0;
            let bit = self.bit(&pair.1);
            let at = known.iter().position(|one| one.pair == pair).unwrap_or_else(|| {
                known.push(Known {
                    pair: pair.clone(),
                    node: bit,
                    last: None,
                    is_believed: false,
                    stands: BTreeSet::new(),
                    believed: BTreeSet::new(),
                    doubted: BTreeSet::new(),
                });
                known.len() - 1
            });
            // One that finds nothing but what is believed makes no suspect.
            if verdict == Verdict::Fail && !found.is_subset(&known[at].believed) {
                known[at].last = Some((verdict, run.ended_at));
                known[at].stands.extend(found.iter().cloned());
            }
            let many = fault(&known, bit, self.clock());
            let is_fault = verdict == Verdict::Fail && many > 0;
            if is_fault && !was_fault {
                self.tally.count("faults of the prober");
                self.forgotten(turn);
            }
            let seen = run.observation.devices.iter().map(ToString::to_string).collect();
            let what = Entry::Run { verdict, ended_at: run.ended_at, found, shown, seen, is_fault };
            self.prober.taken.entry(pair.clone()).or_default().push(Taken { turn, what });
            (known[at].last, known[at].stands) = (self.prober.last(&pair), self.prober.stands(&pair));
            (known[at].is_believed, known[at].believed, known[at].doubted) =
                after.get(&pair).cloned().unwrap_or_default();
            let fault = if is_fault { many } else { 0 };
            for (_, what) in opened.iter().filter(|(of, _)| *of == pair) {
                self.check_believed(&pair, what, fault)?;
            }
            for (_, what) in closed.iter().filter(|(of, _)| *of == pair) {
                self.check_cleared(&pair, what, written)?;
            }
        }
        runs.iter().filter(|run| run.observation.verdict == Verdict::Fail).try_for_each(|run| self.check_reaches(run))
    }

    /// What the stored rows believe, and what the last run of each said.
    fn known(&self) -> Vec<Known> {
        let known = self.daemon.rows.conditions().filter_map(|row| {
            let node = self.bit(&row.instance_id);
            let pair = (row.check.clone(), row.instance_id.clone());
            let (last, stands) = (self.prober.last(&pair), self.prober.stands(&pair));
            let is_believed = row.belief == Belief::Failing;
            let (believed, doubted) = (held(row, Trust::Believed), held(row, Trust::Doubted));
            (node != 0).then_some(Known { pair, node, last, is_believed, stands, believed, doubted })
        });
        known.collect()
    }

    /// A node as a set of itself; none where it is not one of ours.
    fn bit(&self, node: &InstanceId) -> u32 {
        self.site.instances.iter().position(|one| one.id == *node).map_or(0, |at| 1 << at)
    }

    /// What the other rows of a turn say about checks.
    fn takes_changes(&mut self, turn: u64, written: &Written) {
        for (change, _, before) in written {
            match (change, before) {
                (Change::ConditionGone(check, instance), _) => {
                    let taken = self.prober.taken.entry((check.clone(), instance.clone())).or_default();
                    taken.push(Taken { turn, what: Entry::Over });
                }
                (Change::Condition(row), Some(Change::Condition(before))) if row.generation != before.generation => {
                    let taken = self.prober.taken.entry((row.check.clone(), row.instance_id.clone())).or_default();
                    taken.push(Taken { turn, what: Entry::Over });
                }
                (Change::Condition(row), Some(Change::Condition(before))) => {
                    for spent in row.spent.iter().filter(|spent| !before.spent.contains(spent)) {
                        let taken = self.prober.taken.entry((row.check.clone(), row.instance_id.clone())).or_default();
                        taken.push(Taken { turn, what: Entry::Spent(what(spent)) });
                    }
                }
                (Change::Remediation(row), Some(Change::Remediation(before))) => {
                    let is_done =
                        |row: &Remediation| row.attempt.as_ref().is_some_and(|attempt| attempt.done_at.is_some());
                    if is_done(row) && !is_done(before) {
                        self.repaired(turn, row.instance_id());
                    }
                }
                _ => {}
            }
        }
    }

    /// Whatever the gauges of this machine show stands there anyhow from now on.
    fn repaired(&mut self, turn: u64, node: &InstanceId) {
        for pair in self.prober.taken.keys().filter(|(_, of)| of == node).cloned().collect::<Vec<_>>() {
            let spent = self.prober.gauges_of(&pair);
            let taken = self.prober.taken.entry(pair).or_default();
            taken.extend(spent.into_iter().map(|what| Taken { turn, what: Entry::Spent(what) }));
        }
    }

    /// The daemon begins.
    pub fn prober_restarts(&mut self) {
        let (turn, now) = (self.turns, self.clock());
        for taken in self.prober.taken.values_mut() {
            taken.push(Taken { turn, what: Entry::Started(now) });
        }
    }

    fn forgotten(&mut self, turn: u64) {
        for taken in self.prober.taken.values_mut() {
            taken.push(Taken { turn, what: Entry::Forgotten });
        }
    }

    /// I20: enough FAIL in a row, for long enough, and not of too many nodes at once.
    fn check_believed(&mut self, pair: &Pair, what: &What, fault: u32) -> Turned {
        self.tally.count("findings believed");
        let (count, since) = self.prober.streak(pair, what);
        self.must("I20", fault == 0, || format!("{what:?} of {pair:?} is believed while {fault} nodes fail at once"))?;
        self.must("I20", count >= FAILURES_BEFORE, || format!("{what:?} of {pair:?} is believed after {count} FAIL"))?;
        let is_ripe = since.is_some_and(|since| self.clock() >= since.plus(ROUND));
        self.must("I20", is_ripe, || format!("{what:?} of {pair:?} is believed, and was found first at {since:?}"))?;
        self.must("sticky", !self.prober.is_spent(pair, what), || {
            format!("{what:?} of {pair:?} stood there before the repair, and is believed again")
        })
    }

    /// I21: enough PASS in a row, or nobody looks any more and nobody waits for it.
    fn check_cleared(&mut self, pair: &Pair, what: &What, written: &Written) -> Turned {
        let is_over = written.iter().any(
            |(change, ..)| matches!(change, Change::ConditionGone(check, node) if (check, node) == (&pair.0, &pair.1)),
        );
        if is_over {
            return Ok(());
        }
        self.tally.count("findings cleared");
        let misses = self.prober.misses(pair, what);
        self.must("I21", misses >= PASSES_BEFORE, || format!("{what:?} of {pair:?} is cleared after {misses} PASS"))
    }

    /// L1: what was found often and long enough is believed, once everything that is due has happened.
    fn check_reaches(&self, run: &Probed) -> Turned {
        let pair = (run.check.clone(), run.instance_id.clone());
        if self.daemon.deadline().is_some_and(|due| due <= self.clock()) {
            return Ok(());
        }
        let found: BTreeSet<&What> = match self.prober.taken.get(&pair).and_then(|taken| taken.last()) {
            Some(Taken { what: Entry::Run { verdict: Verdict::Fail, found, is_fault: false, .. }, .. }) => {
                found.iter().collect()
            }
            _ => return Ok(()),
        };
        let row: Option<&Condition> =
            self.daemon.rows.conditions().find(|row| (&row.check, &row.instance_id) == (&pair.0, &pair.1));
        let is_spent = |one: &What| row.is_some_and(|row| row.spent.iter().any(|spent| what(spent) == *one));
        for one in found {
            let (count, since) = self.prober.streak(&pair, one);
            let is_due = count >= FAILURES_BEFORE && since.is_some_and(|since| self.clock() >= since.plus(ROUND));
            let is_believed = row.is_some_and(|row| row.belief == Belief::Failing);
            self.must("L1", !is_due || is_believed || is_spent(one), || {
                format!("{one:?} of {pair:?} failed {count} times since {since:?}, and nobody believes it")
            })?;
        }
        Ok(())
    }

    /// The first round.
    pub fn prober_begins(&mut self) {
        self.later(Duration::from_secs(30), Coming::ProbeRound);
    }
}
