//! The daemon as a writer runs it: turns whose rows are in the page cache, batches that are on disk, effects and answers
//! that leave only then, and the end of the process between any two of these.

use std::collections::BTreeSet;
use std::time::Duration;

use remedyd::domain::{EffectId, Mode, RemediationId, Timestamp};
use remedyd::engine::{Change, Effect, EffectKind, Engine, Input, Reply, Step};

use super::alertmanager::Receipt;
use super::dice::Dice;
use super::model::Found;
use super::prober::runs_of;
use super::rows::{Key, Rows};
use super::sabotage::Deed;
use super::world::{Coming, Turned, World};

/// Everything is judged again after so many turns.
const EVERYTHING_EVERY: u64 = 1000;

/// How long an answer of the Alertmanagers may take.
pub const SLOWEST_LOOK: Duration = Duration::from_secs(120);

pub struct Daemon {
    pub engine: Engine,
    /// With what is not on disk yet.
    pub rows: Rows,
    pub is_up: bool,
    /// Which process this is.
    pub life: u64,
    seed: u64,
    /// Turns whose rows a power cut would take.
    tail: Vec<Unsynced>,
    /// The last turns that are on disk; for a disk that lies.
    synced: Vec<Unsynced>,
    armed: Option<Crash>,
    /// Effects that this process let out and that have no answer yet.
    pub out: BTreeSet<EffectId>,
    /// When this process began, by its own clock.
    pub started_at: Timestamp,
    /// Whether this process took up what the last one left.
    pub has_begun: bool,
    /// How long no process ran.
    pub downtime: Duration,
    down_since: Option<Timestamp>,
    /// Its store is another life of itself, and no process has taken that down yet.
    pub restored: Option<u64>,
}

struct Unsynced {
    /// Which turn it was.
    turn: u64,
    /// When it was, by the daemon's clock.
    at: Timestamp,
    undo: Vec<(Key, Option<Change>)>,
    effects: Vec<Effect>,
    reply: Reply,
    ack: Ack,
}

/// Who waits for the answer to an input.
#[derive(Clone)]
pub enum Ack {
    Nobody,
    Alertmanager(Receipt),
    /// Nobody waits, but this is what a look for the evidence of a remediation found.
    /// The checks that it had run: whether one of them failed.
    Source(RemediationId, Found, bool),
    Person(Errand),
}

/// What somebody asked for.
#[derive(Clone, Copy)]
pub struct Errand {
    pub verb: &'static str,
    pub about: Option<RemediationId>,
    /// The version that they saw.
    pub seen: Option<u64>,
    /// The mode that they named.
    pub mode: Option<Mode>,
}

/// How and when a process ends.
#[derive(Clone, Copy)]
pub struct Crash {
    /// After so many turns more.
    turns: u64,
    point: Point,
    /// The machine goes down, and with it what the drivers were doing.
    is_power_cut: bool,
    down_for: Duration,
    /// How far the clock is ahead of where it should be afterwards.
    jump: Duration,
    /// How many of the unsynced turns reached the disk nevertheless.
    kept: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Point {
    BeforeCommit,
    /// The batch is on disk, and nothing of it left.
    AfterCommit,
    /// Effects and answers left; no result arrived.
    AfterRelease,
}

impl Crash {
    pub fn any(dice: &mut Dice, is_power_cut: bool) -> Self {
        Self {
            turns: dice.upto(0, 12),
            point: [Point::BeforeCommit, Point::AfterCommit, Point::AfterRelease][dice.upto(0, 2) as usize],
            is_power_cut,
            down_for: Duration::from_secs(if dice.one_in(4) { dice.upto(60, 3600) } else { dice.upto(1, 60) }),
            jump: Duration::from_secs(if dice.one_in(4) { dice.upto(1, 1800) } else { 0 }),
            kept: dice.upto(0, 8),
        }
    }
}

/// What a process remembers at its start. In one world of eight hardly any row lies open: all that is asked for was packed.
fn fold<'a>(live: impl Iterator<Item = &'a Change>, seed: u64) -> Engine {
    let engine = Engine::new(live, seed);
    if seed.is_multiple_of(8) { engine.with_open_rows(1) } else { engine }
}

impl Daemon {
    pub fn new(seed: u64) -> Self {
        Self {
            engine: fold([].into_iter(), seed),
            rows: Rows::default(),
            is_up: false,
            life: 0,
            seed,
            tail: Vec::new(),
            synced: Vec::new(),
            armed: None,
            out: BTreeSet::new(),
            started_at: Timestamp::default(),
            has_begun: false,
            downtime: Duration::ZERO,
            down_since: None,
            restored: None,
        }
    }

    pub fn deadline(&self) -> Option<Timestamp> {
        if self.is_up { self.engine.next_deadline() } else { None }
    }

    pub fn has_unsynced(&self) -> bool {
        !self.tail.is_empty()
    }

    /// What a key held when the disk was last synced.
    pub fn on_disk(&self, id: RemediationId) -> Option<remedyd::domain::Remediation> {
        let key = id.as_bytes().as_slice();
        let before = self.tail.iter().flat_map(|turn| &turn.undo).find_map(|((_, at), before)| match before {
            Some(Change::Remediation(row)) if row.id == id => Some(Some((**row).clone())),
            None if at == key => Some(None),
            _ => None,
        });
        before.unwrap_or_else(|| self.rows.remediation(id).cloned())
    }

    /// No more crashes, please.
    pub fn disarm(&mut self) {
        self.armed = None;
    }
}

impl World {
    /// A process begins on the rows that are there.
    pub fn start(&mut self) -> Turned {
        let clock = self.clock();
        let daemon = &mut self.daemon;
        daemon.started_at = clock;
        daemon.engine = fold(daemon.rows.live(), daemon.seed ^ daemon.life << 48);
        daemon.is_up = true;
        daemon.has_begun = false;
        daemon.out.clear();
        if let Some(since) = daemon.down_since.take() {
            daemon.downtime += self.now.since(since);
        }
        self.note(|_| "the daemon starts".to_owned());
        self.says_restored()?;
        self.turn(Input::Configured(Box::new(self.told())), Ack::Nobody)?;
        self.prober_restarts();
        self.turn(Input::Started, Ack::Nobody)
    }

    /// No process runs for a while; what it had not synced, and what it was to do yet, is nobody's.
    pub fn goes_down(&mut self, lasts: Duration) {
        let now = self.now;
        let daemon = &mut self.daemon;
        daemon.tail.clear();
        daemon.synced.clear();
        daemon.armed = None;
        daemon.is_up = false;
        daemon.life += 1;
        daemon.down_since.get_or_insert(now);
        let life = daemon.life;
        self.later(lasts, Coming::Start { life });
    }

    pub fn reload(&mut self) -> Turned {
        self.tally.count("reloads");
        if !self.daemon.is_up {
            return Ok(());
        }
        self.note(|_| "reload".to_owned());
        self.turn(Input::Configured(Box::new(self.told())), Ack::Nobody)
    }

    pub fn arm(&mut self, crash: Crash) -> Turned {
        self.daemon.armed = Some(crash);
        self.dies(Point::AfterRelease)
    }

    /// One input, one step, its rows written and judged.
    pub fn turn(&mut self, input: Input, ack: Ack) -> Turned {
        if !self.daemon.is_up {
            return Ok(());
        }
        self.turns += 1;
        self.note(|_| format!("> {}", brief(&input)));
        let runs = runs_of(&input).to_vec();
        let Some(input) = self.spoiled_input(input) else { return Ok(()) };
        self.daemon.has_begun |= matches!(input, Input::Started);
        if let Input::Acted { effect_id, .. } | Input::Looked { effect_id, .. } = &input {
            self.daemon.out.remove(effect_id);
        }
        let clock = self.clock();
        let past = self.daemon.rows.past(&self.daemon.engine.wanted(clock, &input));
        let mut step = self.daemon.engine.step(clock, input, past);
        // In one world of eight memory is tidied after each step: what the first round has seen, the second packs.
        if self.daemon.seed % 8 == 1 {
            for now in [clock, clock.plus(Duration::from_secs(5))] {
                while self.daemon.engine.rest(now).is_some_and(|more| more <= now) {}
            }
        }
        self.spoil(&mut step);
        let Step { changes, effects, reply, decisions: _ } = step;
        let written: Vec<(Change, Key, Option<Change>)> = changes
            .into_iter()
            .map(|change| {
                let (key, before) = self.daemon.rows.write(&change);
                (change, key, before)
            })
            .collect();
        for (change, ..) in &written {
            self.note(|_| format!("    {}", brief_change(change)));
        }
        self.daemon.out.extend(effects.iter().map(|effect| effect.id));
        self.check_probed(&runs, &written)?;
        self.check_turn(&written)?;
        let undo = written.into_iter().map(|(_, key, before)| (key, before)).collect();
        if self.does(Deed::LeaveEarly) {
            for effect in &effects {
                self.leaves(effect.clone())?;
            }
        }
        self.daemon.tail.push(Unsynced { turn: self.turns, at: clock, undo, effects, reply, ack });
        if self.turns.is_multiple_of(EVERYTHING_EVERY) {
            self.check_everything()?;
        }
        self.dies(Point::BeforeCommit)?;
        if self.daemon.is_up && (self.daemon.tail.len() >= 8 || !self.dice.one_in(4)) {
            self.commit()?;
        }
        Ok(())
    }

    /// Everything written so far is on disk; what waited for that leaves.
    pub fn commit(&mut self) -> Turned {
        if self.daemon.tail.is_empty() {
            return Ok(());
        }
        let batch = std::mem::take(&mut self.daemon.tail);
        self.dies(Point::AfterCommit)?;
        if !self.daemon.is_up {
            batch.iter().for_each(|turn| self.model_hears(turn.at, &turn.ack));
            return Ok(());
        }
        let mut synced = Vec::new();
        for Unsynced { turn, at, undo, effects, reply, ack } in batch {
            self.model_hears(at, &ack);
            self.answered(&ack, &reply)?;
            synced.push(Unsynced { turn, at, undo, effects: Vec::new(), reply: Reply::Done, ack: Ack::Nobody });
            for effect in effects {
                self.model_sees(at, &effect)?;
                self.leaves(effect)?;
            }
        }
        self.daemon.synced = synced;
        self.dies(Point::AfterRelease)
    }

    fn leaves(&mut self, effect: Effect) -> Turned {
        self.check_leaving(&effect)?;
        let (life, machine) = (self.daemon.life, self.provider.machine);
        let effect = Box::new(effect);
        match &effect.kind {
            EffectKind::Call(_) => {
                self.takes_lock(&effect);
                if self.does(Deed::CallTwice) {
                    let again = Coming::Call { effect: effect.clone(), life, machine };
                    self.later(Duration::from_secs(900), again);
                }
                let after = self.within(Duration::ZERO, Duration::from_secs(5));
                self.later(after, Coming::Call { effect, life, machine });
            }
            EffectKind::Look(_) => {
                let slowest = if self.dice.one_in(6) { SLOWEST_LOOK } else { Duration::from_secs(10) };
                let after = self.within(Duration::from_millis(5), slowest);
                self.later(after, Coming::Look { effect, life });
            }
            EffectKind::Notify(_) => {
                let failure = (!self.is_fair && self.dice.one_in(10)).then(|| "no route".to_owned());
                let input = Input::Notified { effect_id: effect.id, failure };
                let after = self.within(Duration::from_millis(5), Duration::from_secs(60));
                self.later(after, Coming::Answer { input, life });
            }
        }
        Ok(())
    }

    /// Ends the process if this is the point for it.
    fn dies(&mut self, point: Point) -> Turned {
        let Some(crash) = self.daemon.armed.as_mut().filter(|_| self.daemon.is_up) else { return Ok(()) };
        if crash.point != point {
            return Ok(());
        }
        if crash.turns > 0 {
            crash.turns -= 1;
            return Ok(());
        }
        let crash = *crash;
        self.daemon.armed = None;
        self.note(|_| format!("the daemon dies (power cut: {})", crash.is_power_cut));
        self.tally.count(if crash.is_power_cut { "power cuts" } else { "kills" });
        let mut lost = std::mem::take(&mut self.daemon.tail);
        // Records are kept in their order; one that the disk cut is no record.
        let kept = if self.does(Deed::TornTurn) { 0 } else { crash.kept as usize }.min(lost.len());
        for turn in lost.drain(..kept).collect::<Vec<_>>() {
            self.model_hears(turn.at, &turn.ack);
        }
        if self.does(Deed::LoseSynced) {
            lost.splice(0..0, std::mem::take(&mut self.daemon.synced));
        }
        if self.does(Deed::TornTurn)
            && let Some(torn) = lost.iter_mut().find(|turn| turn.undo.len() > 1)
        {
            torn.undo.drain(..torn.undo.len() / 2);
        }
        if let Some(first) = lost.first() {
            self.prober.forgets_from(first.turn);
        }
        for (key, before) in lost.into_iter().rev().flat_map(|turn| turn.undo.into_iter().rev()) {
            self.daemon.rows.put_back(key, before);
        }
        self.goes_down(crash.down_for);
        self.skew += crash.jump;
        if crash.is_power_cut {
            self.power_cut();
        }
        self.judge.rebuild(&self.daemon.rows);
        self.untold();
        self.forgets_enabling();
        self.check_acknowledged()?;
        self.check_untorn()
    }
}

fn brief(input: &Input) -> String {
    match input {
        Input::Restored { .. }
        | Input::Configured(_)
        | Input::Started
        | Input::Tick
        | Input::Checkpointed { .. }
        | Input::Notified { .. } => input.kind().to_owned(),
        Input::Delivered(delivery) => {
            let said = delivery.reports().map(|report| {
                let get = |name| report.labels.get(name).unwrap_or("");
                format!(
                    "{:?} {}{} {} from {}",
                    report.status,
                    get("alertname"),
                    get("xid"),
                    get("node"),
                    report.started_at
                )
            });
            format!("delivered: {}", said.collect::<Vec<_>>().join("; "))
        }
        Input::Probed { runs, .. } => {
            let said =
                runs.iter().map(|run| format!("{} {} on {}", run.check, run.observation.verdict, run.instance_id));
            format!("probed: {}", said.collect::<Vec<_>>().join("; "))
        }
        Input::Asked(principal, command) => format!("{} asks {command:?}", principal.name),
        Input::Acted { outcome, detail, .. } => format!("acted: {outcome:?} {detail}"),
        Input::Looked { found, .. } => match found {
            Ok(found) => {
                format!("looked: {} there, {} muted", found.len(), found.iter().filter(|one| one.muted).count())
            }
            Err(why) => format!("looked: {why}"),
        },
    }
}

fn brief_change(change: &Change) -> String {
    match change {
        Change::Transition(row) => format!(
            "{} on version {}: {} {:?} -> {:?} {} ({})",
            row.remediation_id, row.version, row.verb, row.from, row.to, row.mode, row.reason
        ),
        Change::Alert(row) => format!(
            "alert {} {} episode {} {:?} muted={} {:?}",
            row.name(),
            row.labels.get("node").unwrap_or(""),
            row.episode,
            row.state,
            row.muted,
            row.joined.as_ref().map(|joined| joined.instance_id.to_string())
        ),
        Change::Held(row) => format!("held {} {:?} until {:?}", row.instance_id, row.why, row.until),
        Change::Pending(effect) => match &effect.kind {
            EffectKind::Call(call) => format!("pending {} {}", call.verb.as_str(), call.operation_key),
            EffectKind::Look(look) => format!("pending look {:?}", look.purpose),
            EffectKind::Notify(_) => "pending notice".to_owned(),
        },
        Change::Remediation(row) => format!(
            "{} {} v{} waits {:?} due {:?} awaits {:?}",
            row.id,
            row.state.as_str(),
            row.version,
            row.waits_for,
            row.due,
            row.awaits.is_some()
        ),
        Change::Link(row) => format!("link {} of {} cleared {:?}", row.alert_name, row.remediation_id, row.cleared_at),
        other => {
            let text = format!("{other:?}");
            text.chars().take(60).collect()
        }
    }
}
