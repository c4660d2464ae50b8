//! One node, one daemon, one provider with a ledger, one receiver of notices, and a process that ends where it is told to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use remedyd::domain::{EffectId, Identity, Mode, Outcome, Principal, RemediationId, State, Timestamp};
use remedyd::engine::memory::{Memory, Subject};
use remedyd::engine::{
    CallVerb, Change, Command, Delivery, Effect, EffectKind, Engine, Input, Notice, Reply, Report, Selector, Sighting,
    Step,
};

use super::rows::Rows;
use super::site::{cluster, configured, identity, machine, report, source};

/// A life, and how it ends however often the daemon does.
pub struct Story {
    pub name: &'static str,
    /// What happens, at which second.
    pub script: &'static [(u64, Happens)],
    /// How the provider takes the first act that reaches it, the second, and so on; the last is for all that follow.
    pub manners: &'static [Manner],
    /// How the node's remediations end, in their order.
    pub ends: &'static [&'static str],
}

#[derive(Clone, Copy, Debug)]
pub enum Happens {
    Fires(&'static str),
    /// Whatever still fires ends by itself.
    AllEnds,
    Approve,
    Reject,
    Cancel,
    Create,
    Hold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Done,
    NotReady,
    Refuses,
    /// It is done, and the daemon is not told.
    AnswerLost,
    /// The provider never hears of it, and the driver cannot tell.
    NeverArrives,
    /// It is done, the daemon is not told, and no question is ever answered.
    NobodyKnows,
    /// It says that it did it.
    Lies,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Of the process: its drivers go on.
    Kill,
    /// Of the machine: drivers end with it, and what had not reached the provider never does.
    PowerCut,
}

/// What a daemon must not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    ActsAgainAfterStart,
    LeavesBeforeCommit,
    ForgetsNotices,
    ForgetsCalls,
}

enum Coming {
    Happens(Happens),
    Deliver(Report),
    /// A driver reaches the provider.
    Reaches(Box<Effect>, u64),
    Finished(String),
    Answer(Box<Input>, u64),
    Look(Box<Effect>, u64),
    Start,
}

#[derive(Default)]
struct Operation {
    accepted: u32,
    is_finished: bool,
    is_lie: bool,
    /// A driver of ours is at it.
    locked_by: Option<u64>,
    nobody_knows: bool,
}

const START: i64 = 1_800_000_000_000_000;
/// A process is back so long after its end; before a driver has reached the provider.
const DOWN: Duration = Duration::from_secs(5);
const REACHES_AFTER: Duration = Duration::from_secs(10);
const TAKES: Duration = Duration::from_secs(60);
/// Who gets no answer tries again.
const AGAIN: Duration = Duration::from_secs(30);
const TOO_LONG: Duration = Duration::from_secs(10 * 24 * 3600);

pub struct Night {
    story: &'static str,
    manners: VecDeque<Manner>,
    ends: &'static [&'static str],
    engine: Engine,
    rows: Rows,
    is_up: bool,
    life: u64,
    machine: u64,
    now: Timestamp,
    queue: BTreeMap<(Timestamp, u64), Coming>,
    order: u64,
    crashes: VecDeque<u64>,
    end: End,
    bug: Option<Bug>,
    /// Points passed, turns stored, effects let out.
    pub points: u64,
    pub commits: u64,
    pub effects: u64,
    pub refused: Vec<String>,
    ledger: BTreeMap<String, Operation>,
    firing: BTreeMap<&'static str, Timestamp>,
    told: Vec<(EffectId, Notice)>,
    stuck: Option<String>,
}

impl Night {
    pub fn new(story: &Story, crashes: &[u64], end: End, bug: Option<Bug>) -> Self {
        let mut night = Self {
            story: story.name,
            manners: story.manners.iter().copied().collect(),
            ends: story.ends,
            engine: Engine::new([], 1),
            rows: Rows::default(),
            is_up: false,
            life: 0,
            machine: 0,
            now: Timestamp::from_micros(START),
            queue: BTreeMap::new(),
            order: 0,
            crashes: crashes.iter().copied().collect(),
            end,
            bug,
            points: 0,
            commits: 0,
            effects: 0,
            refused: Vec::new(),
            ledger: BTreeMap::new(),
            firing: BTreeMap::new(),
            told: Vec::new(),
            stuck: None,
        };
        for (at, happens) in story.script {
            night.later(Duration::from_secs(*at), Coming::Happens(*happens));
        }
        night
    }

    fn later(&mut self, after: Duration, coming: Coming) {
        self.order += 1;
        self.queue.insert((self.now.plus(after), self.order), coming);
    }

    /// Until nothing is left that could happen.
    pub fn live(mut self) -> Self {
        let last = self.now.plus(TOO_LONG);
        self.start();
        loop {
            let coming = self.queue.first_key_value().map(|((at, _), _)| *at);
            // The horizons move for as long as there is a daemon.
            let is_quiet = |(_, subject): &(Timestamp, Subject)| *subject == Subject::Horizons;
            if self.is_up && coming.is_none() && self.engine.memory().agenda().iter().all(is_quiet) {
                break;
            }
            let due = self.engine.next_deadline().filter(|_| self.is_up);
            let Some(next) = due.into_iter().chain(coming).min() else { break };
            if next > last {
                let live = self.engine.memory().remediations().values().next().map(|live| live.remediation.clone());
                self.stuck = Some(format!("something goes on for ever: {live:?}"));
                break;
            }
            self.now = self.now.max(next);
            if due == Some(next) && coming.is_none_or(|coming| next <= coming) {
                self.turn(Input::Tick, None);
            } else if let Some((_, coming)) = self.queue.pop_first() {
                self.comes(coming);
            }
        }
        self
    }

    fn start(&mut self) {
        self.engine = Engine::new(self.rows.live(), 7 + self.life);
        self.is_up = true;
        let pending: Vec<Effect> = self.engine.memory().pending().values().cloned().collect();
        if self.bug == Some(Bug::ForgetsCalls) {
            let is_call =
                |row: &Change| matches!(row, Change::Pending(effect) if matches!(effect.kind, EffectKind::Call(_)));
            self.engine = Engine::new(self.rows.live().filter(|row| !is_call(row)), 7);
        }
        self.turn(Input::Configured(Box::new(configured())), None);
        if self.bug == Some(Bug::ActsAgainAfterStart) {
            pending
                .into_iter()
                .filter(|effect| matches!(effect.kind, EffectKind::Call(_)))
                .for_each(|act| self.leaves(act));
        }
        if self.is_up {
            self.turn(Input::Started, None);
        }
    }

    /// A point at which the process may end; says whether it did. `sender` waits for an answer and will try again.
    fn ends_here(&mut self, sender: &mut Option<Coming>) -> bool {
        self.points += 1;
        if self.crashes.front() != Some(&(self.points - 1)) {
            return false;
        }
        self.crashes.pop_front();
        self.is_up = false;
        self.life += 1;
        if self.end == End::PowerCut {
            self.machine += 1;
            self.ledger.values_mut().for_each(|operation| operation.locked_by = None);
        }
        if let Some(sender) = sender.take() {
            self.later(AGAIN, sender);
        }
        self.later(DOWN, Coming::Start);
        true
    }

    fn turn(&mut self, input: Input, mut sender: Option<Coming>) {
        let past = self.rows.past(&self.engine.wanted(self.now, &input));
        let Step { changes, mut effects, reply, .. } = self.engine.step(self.now, input, past);
        if self.bug == Some(Bug::LeavesBeforeCommit) {
            effects.drain(..).for_each(|effect| self.leaves(effect));
        }
        if changes.is_empty() && effects.is_empty() {
            return self.answered(reply);
        }
        if self.ends_here(&mut sender) {
            return;
        }
        changes.iter().for_each(|change| drop(self.rows.write(change)));
        self.commits += 1;
        if self.ends_here(&mut sender) {
            return;
        }
        self.answered(reply);
        for effect in effects {
            if self.ends_here(&mut None) {
                return;
            }
            self.leaves(effect);
            self.effects += 1;
            if self.ends_here(&mut None) {
                return;
            }
        }
    }

    fn answered(&mut self, reply: Reply) {
        if let Reply::Refused(refusal) = reply {
            self.refused.push(refusal.to_string());
        }
    }

    fn comes(&mut self, coming: Coming) {
        match coming {
            Coming::Happens(happens) => self.happens(happens),
            Coming::Start => self.start(),
            Coming::Deliver(_) if !self.is_up => self.later(AGAIN, coming),
            Coming::Deliver(report) => {
                let delivery = Delivery::new(source(), None).with_reports([report.clone()]);
                self.turn(Input::Delivered(delivery), Some(Coming::Deliver(report)));
            }
            Coming::Reaches(effect, machine) => {
                if machine == self.machine {
                    self.reaches(&effect);
                }
            }
            Coming::Finished(key) => self.finished(&key),
            Coming::Answer(input, life) => {
                if life == self.life && self.is_up {
                    self.turn(*input, None);
                }
            }
            Coming::Look(effect, life) => {
                let EffectKind::Look(look) = &effect.kind else { return };
                if life == self.life && self.is_up {
                    let stands: BTreeSet<Identity> = self.firing.keys().map(|name| identity(name)).collect();
                    let wanted = look.wanted.values().flatten().filter(|identity| stands.contains(identity));
                    let found = Ok(wanted.map(|identity| Sighting { identity: *identity, muted: false }).collect());
                    self.turn(Input::Looked { effect_id: effect.id, found, runs: Vec::new() }, None);
                }
            }
        }
    }

    fn happens(&mut self, happens: Happens) {
        match happens {
            Happens::Fires(name) => {
                self.firing.insert(name, self.now);
                self.later(Duration::ZERO, Coming::Deliver(report(name, self.now, None)));
            }
            Happens::AllEnds => {
                let firing: Vec<&'static str> = self.firing.keys().copied().collect();
                firing.into_iter().for_each(|name| self.ends(name));
            }
            Happens::Approve | Happens::Reject | Happens::Cancel | Happens::Create | Happens::Hold => {
                self.asks(happens)
            }
        }
    }

    fn ends(&mut self, name: &'static str) {
        if let Some(since) = self.firing.remove(name) {
            self.later(Duration::ZERO, Coming::Deliver(report(name, since, Some(self.now))));
        }
    }

    /// A person asks, and asks again if the daemon does not answer.
    fn asks(&mut self, happens: Happens) {
        let again = Coming::Happens(happens);
        if !self.is_up {
            return self.later(AGAIN, again);
        }
        let (cluster_id, instance_id) = (cluster().id, machine().id);
        let live = self.engine.memory().live_on(&instance_id).map(|live| live.remediation.id);
        let selector =
            |id: RemediationId| Selector { cluster_id: None, instance_id: None, remediation: id.to_string() };
        let comment = String::new();
        let command = match (happens, live) {
            (Happens::Create, _) => {
                let (reason, alias) = ("by hand".to_owned(), Some("ticket-1".to_owned()));
                Command::Create { cluster_id, instance_id, mode: Mode::RebootVm, reason, alias, is_retry: false }
            }
            (Happens::Hold, _) => {
                Command::Hold { instance_id, reason: "hands off".into(), span: Duration::from_secs(7200) }
            }
            (Happens::Reject, Some(id)) => Command::Reject { selector: selector(id), comment, seen_version: None },
            (Happens::Cancel, Some(id)) => Command::Cancel { selector: selector(id), comment, seen_version: None },
            (_, Some(id)) => Command::Approve { selector: selector(id), mode: None, comment, seen_version: None },
            // What they saw is over: they asked before, and the answer was lost.
            (_, None) if self.rows.remediations().next().is_some() => return,
            // The alert is still on its way.
            (_, None) => return self.later(AGAIN, again),
        };
        self.turn(Input::Asked(Principal::local(), command), Some(again));
    }

    fn leaves(&mut self, effect: Effect) {
        let effect = Box::new(effect);
        match &effect.kind {
            EffectKind::Notify(notice) => {
                if self.bug == Some(Bug::ForgetsNotices) && notice.version == 2 {
                    return;
                }
                self.told.push((effect.id, notice.clone()));
                let input = Box::new(Input::Notified { effect_id: effect.id, failure: None });
                self.later(Duration::from_secs(1), Coming::Answer(input, self.life));
            }
            EffectKind::Look(_) => self.later(Duration::from_secs(1), Coming::Look(effect, self.life)),
            EffectKind::Call(call) if call.verb == CallVerb::Act => {
                self.ledger.entry(call.operation_key.clone()).or_default().locked_by = Some(self.machine);
                self.later(REACHES_AFTER, Coming::Reaches(effect, self.machine));
            }
            EffectKind::Call(call) => {
                let operation = self.ledger.get(&call.operation_key);
                let outcome = match operation {
                    Some(known) if known.locked_by.is_some() || known.nobody_knows => Outcome::Unknown,
                    Some(known) if known.accepted > 0 && !known.is_finished => Outcome::Unknown,
                    Some(known) if known.accepted > 0 => Outcome::Done,
                    Some(_) | None => Outcome::Absent,
                };
                self.answers(&effect, Duration::from_secs(1), outcome);
            }
        }
    }

    fn reaches(&mut self, effect: &Effect) {
        let EffectKind::Call(call) = &effect.kind else { return };
        let manner = if self.manners.len() > 1 { self.manners.pop_front() } else { self.manners.front().copied() };
        let manner = manner.expect("a story says how the provider takes an act");
        let operation = self.ledger.entry(call.operation_key.clone()).or_default();
        match manner {
            Manner::NotReady => self.answers(effect, Duration::from_secs(1), Outcome::Transient),
            Manner::Refuses => self.answers(effect, Duration::from_secs(1), Outcome::Refused),
            Manner::NeverArrives => self.answers(effect, Duration::from_secs(1), Outcome::Unknown),
            Manner::Done | Manner::Lies | Manner::AnswerLost | Manner::NobodyKnows => {
                operation.accepted += 1;
                operation.is_lie = manner == Manner::Lies;
                operation.nobody_knows = manner == Manner::NobodyKnows;
                self.later(TAKES, Coming::Finished(call.operation_key.clone()));
                let is_told = matches!(manner, Manner::Done | Manner::Lies);
                let outcome = if is_told { Outcome::Done } else { Outcome::Unknown };
                self.answers(effect, TAKES + Duration::from_secs(1), outcome);
            }
        }
        // A driver that answers has ended; one that is still at it keeps the operation's lock until it has.
        let at_work = matches!(manner, Manner::Done | Manner::Lies | Manner::AnswerLost | Manner::NobodyKnows);
        if let Some(operation) = self.ledger.get_mut(&call.operation_key).filter(|_| !at_work) {
            operation.locked_by = None;
        }
    }

    fn finished(&mut self, key: &str) {
        let Some(operation) = self.ledger.get_mut(key) else { return };
        operation.is_finished = true;
        operation.locked_by = None;
        if !operation.is_lie {
            self.ends("Light");
            self.ends("Auto");
            // What a reboot does not cure stays, unless it was more than a reboot.
            let was_heavy = self.rows.remediations().last().is_some_and(|row| row.mode == Mode::HostAware);
            if was_heavy {
                self.ends("Heavy");
            }
        }
    }

    fn answers(&mut self, effect: &Effect, after: Duration, outcome: Outcome) {
        let (detail, generation, boot_id) = ("said so".to_owned(), None, None);
        let input = Input::Acted { effect_id: effect.id, outcome, detail, generation, boot_id };
        self.later(after, Coming::Answer(Box::new(input), self.life));
    }

    /// What must be so in the end, however often the process ended.
    pub fn judge(&self) -> Result<(), String> {
        if let Some(why) = &self.stuck {
            return Err(why.clone());
        }
        for (key, operation) in &self.ledger {
            if operation.accepted > 1 {
                return Err(format!("{key} was accepted {} times", operation.accepted));
            }
        }
        if let Some(row) = self.rows.remediations().find(|row| !row.state.is_terminal()) {
            return Err(format!("{} is stuck in {}: {:?}", row.id, row.state.as_str(), row.waits_for));
        }
        let mut told: BTreeMap<(RemediationId, u64), EffectId> = BTreeMap::new();
        let mut words: BTreeMap<EffectId, &Notice> = BTreeMap::new();
        for (id, notice) in &self.told {
            let what = (notice.remediation_id, notice.version);
            if *told.entry(what).or_insert(*id) != *id {
                return Err(format!("{what:?} is told of under two ids"));
            }
            if *words.entry(*id).or_insert(notice) != notice {
                return Err(format!("notice {id} says one thing and then another"));
            }
            if self.rows.transitions(what.0).all(|step| (step.version, step.to) != (what.1, notice.state)) {
                return Err(format!("{what:?} is told of, and no such version was stored"));
            }
        }
        for row in self.rows.remediations() {
            let missing = (1..=row.version).find(|version| !told.contains_key(&(row.id, *version)));
            if let Some(version) = missing {
                return Err(format!("nobody was told of version {version} of {}", row.id));
            }
        }
        let ends: Vec<String> = self.rows.remediations().map(ended).collect();
        if ends != self.ends {
            return Err(format!("{:?} ended {ends:?}, not {:?}", self.story, self.ends));
        }
        let mut folded = Memory::default();
        self.rows.live().for_each(|change| folded.apply(change));
        match (folded == *self.engine.memory(), folded.pending().is_empty()) {
            (true, true) => Ok(()),
            (true, false) => Err(format!("something is pending for ever: {:?}", folded.pending())),
            (false, _) => Err("memory is not the fold of the stored rows".to_owned()),
        }
    }
}

fn ended(row: &remedyd::domain::Remediation) -> String {
    match (row.state, &row.failure) {
        (State::Failed, Some(failure)) => format!("FAILED {}", failure.code.as_str()),
        (state, _) => state.as_str().to_owned(),
    }
}
