//! Everything that may happen to a proposal happens at one moment, in any order: approve, reject, cancel, resolve, expire,
//! escalate, a person's own remediation, and the start of what was approved. Exactly one of them wins; whoever comes later
//! is refused with the state that the winner left (SAFETY I4); an approval of an older version is refused.
//!
//! `SIM_RACES` and `SIM_SEED` replace the number of races and the seed.

#[path = "dice/mod.rs"]
mod dice;
#[path = "rows/mod.rs"]
mod rows;
#[path = "sim_crashes/site.rs"]
mod site;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dice::{Dice, number};
use remedyd::clock::Stopwatch;
use remedyd::domain::matcher::Matchers;
use remedyd::domain::{
    AutoResolve, DriverId, Labels, Mode, Outcome, Principal, RemediationId, Role, RuleId, State, Timestamp,
};
use remedyd::engine::settings::{ClusterPolicy, Enforce, Rule, Settings, Source};
use remedyd::engine::{
    Change, Command, Configured, Delivery, EffectKind, Engine, Input, Refusal, Reply, Report, ReportStatus, Selector,
};
use rows::Rows;
use site::{cluster, machine, source};

const RACES: u64 = 100_000;
const THREADS: u64 = 2;
/// Who must have won so often that the race was one, of those that may end the wait for a person, and the wait to start.
const WINNERS: [(State, &[&str]); 2] = [
    (State::PendingApproval, &["approve", "cancel", "expire", "reject", "resolve", "supersede"]),
    (State::Pending, &["cancel", "resolve", "start"]),
];

const COMPACT_TTL: Duration = Duration::from_secs(60);
const PROPOSAL_TTL: Duration = Duration::from_secs(300);
const COOLDOWN: Duration = Duration::from_secs(3600);

#[test]
fn exactly_one_wins_and_the_others_are_told_of_it() {
    let (races, seed) = (number("SIM_RACES", RACES), number("SIM_SEED", 1));
    let watch = Stopwatch::start();
    let counts: Mutex<Counts> = Mutex::default();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let counts = &counts;
            scope.spawn(move || {
                let mut arena = Arena::new(seed);
                for race in (0..races).filter(|race| race % THREADS == thread) {
                    let seed = seed + race;
                    arena.race(seed).unwrap_or_else(|why| panic!("SIM_SEED={seed} SIM_RACES=1: {why}"));
                }
                let mut all = counts.lock().unwrap();
                for (what, n) in arena.counts {
                    *all.entry(what).or_default() += n;
                }
            });
        }
    });
    let counts = counts.into_inner().unwrap();
    println!("{races} races from seed {seed}, one winner each, in {:.1} s", watch.elapsed().as_secs_f64());
    counts.iter().for_each(|(what, n)| println!("  {n:>7} {what}"));
    if races >= 10_000 {
        let often = |what: &str| counts.get(what).is_some_and(|n| n * 200 >= races);
        for (state, winners) in WINNERS {
            for verb in winners {
                assert!(often(&format!("{} left by {verb}", state.as_str())), "{verb} hardly ever wins");
            }
        }
        for what in ["raised in place", "an older version refused", "a raised mode refused", "too late, and told so"] {
            assert!(often(what), "{what} hardly ever happens");
        }
    }
}

type Counts = BTreeMap<String, u64>;

/// What may happen to a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runner {
    Approve,
    ApproveAsSeen,
    ApproveOlder,
    Reject,
    Cancel,
    Create,
    /// A heavier alert of the same node.
    Raise,
    /// Time: the proposal resolves or expires, or what was approved starts.
    Tick,
}

struct Arena {
    engine: Engine,
    rows: Rows,
    now: Timestamp,
    /// The remediation of this race, its state and version.
    about: Option<(RemediationId, State, u64)>,
    /// Which verbs took it out of which states.
    left: Vec<(State, String)>,
    is_raised: bool,
    counts: Counts,
}

impl Arena {
    fn new(seed: u64) -> Self {
        let now = Timestamp::from_micros(1_800_000_000_000_000);
        let (about, left, counts) = (None, Vec::new(), Counts::new());
        let engine = Engine::new([], seed);
        let mut arena = Self { engine, rows: Rows::default(), now, about, left, is_raised: false, counts };
        arena.step(Input::Configured(Box::new(configured())));
        arena.step(Input::Started);
        arena
    }

    fn count(&mut self, what: impl Into<String>) {
        *self.counts.entry(what.into()).or_default() += 1;
    }

    /// One step; its rows are what the next one may ask for.
    fn step(&mut self, input: Input) -> Reply {
        let past = self.rows.past(&self.engine.wanted(self.now, &input));
        let step = self.engine.step(self.now, input, past);
        for change in &step.changes {
            self.rows.write(change);
            match (change, &mut self.about) {
                (Change::Transition(row), Some((id, ..))) if row.remediation_id == *id => match (row.from, row.to) {
                    (Some(from), to) if from != to => self.left.push((from, row.verb.to_string())),
                    _ => self.is_raised = true,
                },
                (Change::Remediation(row), Some((id, state, version))) if row.id == *id => {
                    (*state, *version) = (row.state, row.version);
                }
                _ => {}
            }
        }
        step.reply
    }

    fn race(&mut self, seed: u64) -> Result<(), String> {
        let mut dice = Dice(seed);
        (self.rows, self.about, self.is_raised) = (Rows::default(), None, false);
        self.left.clear();
        self.says("Light", true);
        let live = self.engine.memory().remediations().values().next();
        let row = &live.ok_or("no proposal opened")?.remediation;
        self.about = Some((row.id, row.state, row.version));
        match dice.upto(0, 2) {
            // All clear for just long enough, while it also expires.
            0 => {
                self.now = self.now.plus(PROPOSAL_TTL.saturating_sub(COMPACT_TTL));
                self.says("Light", false);
                self.now = self.now.plus(COMPACT_TTL);
            }
            1 => self.now = self.now.plus(PROPOSAL_TTL),
            _ => self.now = self.now.plus(Duration::from_secs(10)),
        }
        let mut order = Vec::new();
        for _ in 0..dice.upto(2, 7) {
            let runner = match dice.upto(0, 11) {
                0 | 1 => Runner::Approve,
                2 => Runner::ApproveAsSeen,
                3 => Runner::ApproveOlder,
                4 | 5 => Runner::Reject,
                6 | 7 => Runner::Cancel,
                8 => Runner::Create,
                9 => Runner::Raise,
                _ => Runner::Tick,
            };
            order.push(runner);
        }
        // Somebody always comes.
        order.push(Runner::Cancel);
        for runner in &order {
            self.runs(*runner).map_err(|why| format!("{why}; {order:?}"))?;
        }
        for (state, _) in WINNERS {
            let by: Vec<&String> = self.left.iter().filter(|(from, _)| *from == state).map(|(_, verb)| verb).collect();
            let fits = by.len() == 1 || (by.is_empty() && state == State::Pending);
            if !fits {
                return Err(format!("{} was left by {by:?}; {order:?}", state.as_str()));
            }
            let what = by.first().map(|verb| format!("{} left by {verb}", state.as_str()));
            what.into_iter().for_each(|what| self.count(what));
        }
        self.tidy()
    }

    fn runs(&mut self, runner: Runner) -> Result<(), String> {
        let (id, before, version) = self.about.ok_or("the race is about nothing")?;
        let selector = Selector { cluster_id: None, instance_id: None, remediation: id.to_string() };
        let comment = String::new();
        let approve = |seen_version| Command::Approve {
            selector: selector.clone(),
            mode: None,
            comment: String::new(),
            seen_version,
        };
        let command = match runner {
            Runner::Approve => approve(None),
            Runner::ApproveAsSeen => approve(Some(version)),
            Runner::ApproveOlder => approve(Some(version - 1)),
            Runner::Reject => Command::Reject { selector: selector.clone(), comment, seen_version: None },
            Runner::Cancel => Command::Cancel { selector: selector.clone(), comment, seen_version: None },
            Runner::Create => Command::Create {
                cluster_id: cluster().id,
                instance_id: machine().id,
                mode: Mode::RebootVm,
                reason: "by hand".into(),
                alias: None,
                is_retry: false,
            },
            Runner::Raise => {
                self.says("Heavy", true);
                return Ok(());
            }
            Runner::Tick => {
                self.step(Input::Tick);
                return Ok(());
            }
        };
        let exits = self.left.len();
        let principal = Principal { name: "ann".into(), role: Role::Approver, clusters: None };
        let reply = self.step(Input::Asked(principal, command));
        let has_won = self.left.len() > exits;
        let is_waiting = before == State::PendingApproval;
        let may = match runner {
            Runner::Cancel => is_waiting || before == State::Pending,
            _ => is_waiting,
        };
        match (runner, &reply) {
            (_, Reply::Remediation(record)) if may => {
                let is_own = record.remediation.id == id;
                (has_won && is_own == (runner != Runner::Create))
                    .then_some(())
                    .ok_or("done, and nothing came of it")?;
            }
            // Nothing is in its way: it is no contest.
            (Runner::Create, Reply::Remediation(_)) if before.is_terminal() && !has_won => {}
            (Runner::Create, Reply::Refused(Refusal::Busy { .. })) if !may && !has_won => {
                self.count("busy, and told so")
            }
            (Runner::ApproveOlder, Reply::Refused(Refusal::VersionChanged { version: told, .. }))
                if may && !has_won && *told == version =>
            {
                self.count("an older version refused");
            }
            (Runner::Approve, Reply::Refused(Refusal::ModeRaised { .. })) if may && !has_won && self.is_raised => {
                self.count("a raised mode refused");
            }
            (_, Reply::Refused(Refusal::WrongState { id: named, state, .. }))
                if !may && !has_won && (*named, *state) == (id, before) =>
            {
                self.count("too late, and told so");
            }
            (runner, reply) => return Err(format!("{runner:?} on {} was answered {reply:?}", before.as_str())),
        }
        Ok(())
    }

    /// The source says that an alert fires, or that it ended.
    fn says(&mut self, name: &str, fires: bool) {
        let was_raised = self.is_raised;
        let report = Report {
            status: if fires { ReportStatus::Firing } else { ReportStatus::Resolved },
            labels: Labels::from_pairs([("alertname", name), ("node", "gpu-node-7")]),
            annotations: Labels::default(),
            truncated: false,
            started_at: self.now,
            ended_at: (!fires).then_some(self.now),
            fingerprint: String::new(),
        };
        let delivery = Delivery::new(source(), None).with_reports([report]);
        self.step(Input::Delivered(delivery));
        if self.is_raised && !was_raised {
            self.count("raised in place");
        }
    }

    /// Ends whatever the race left, and lets the node cool down.
    fn tidy(&mut self) -> Result<(), String> {
        self.now = self.now.plus(Duration::from_secs(1));
        self.says("Light", false);
        self.says("Heavy", false);
        let live: Vec<RemediationId> = self.engine.memory().remediations().keys().copied().collect();
        for id in live {
            let selector = Selector { cluster_id: None, instance_id: None, remediation: id.to_string() };
            self.step(Input::Asked(
                Principal::local(),
                Command::Cancel { selector, comment: String::new(), seen_version: None },
            ));
        }
        let calls = self.engine.memory().pending().values().filter(|effect| matches!(effect.kind, EffectKind::Call(_)));
        for effect_id in calls.map(|effect| effect.id).collect::<Vec<_>>() {
            let (outcome, detail) = (Outcome::Refused, "no".to_owned());
            self.step(Input::Acted { effect_id, outcome, detail, generation: None, boot_id: None });
        }
        self.now = self.now.plus(COOLDOWN * 2);
        self.step(Input::Tick);
        let left = self.engine.memory().remediations().values().next();
        left.map_or(Ok(()), |left| Err(format!("{:?} is left", left.remediation)))
    }
}

fn configured() -> Configured {
    let mut settings = Settings::default();
    let default_cluster = Some(cluster().id);
    let instance_labels = vec!["node".to_owned()];
    settings
        .sources
        .insert(source(), Source { cluster_labels: Vec::new(), instance_labels, default_cluster, has_api: false });
    let act = DriverId::parse("fix").unwrap();
    let policy = ClusterPolicy { act, modes: Mode::ALL.into(), act_deadline: Duration::from_secs(600) };
    settings.clusters.insert(cluster().id, policy);
    for (name, mode) in [("Heavy", Mode::HostAware), ("Light", Mode::RebootVm)] {
        let rule = Rule {
            matchers: Matchers::parse(&format!("alertname={name:?}")).unwrap(),
            hold_for: Duration::ZERO,
            mode: Some(mode),
            enforce: Enforce::Propose,
            auto_resolve: AutoResolve::Alert,
        };
        settings.rules.insert(RuleId::parse(&name.to_lowercase()).unwrap(), rule);
    }
    settings.policy.compact_ttl = COMPACT_TTL;
    settings.policy.proposal_ttl = PROPOSAL_TTL;
    settings.policy.cooldown = COOLDOWN;
    settings.policy.settle = Duration::ZERO;
    Configured { settings: Arc::new(settings), clusters: vec![cluster()], instances: vec![machine()] }
}
