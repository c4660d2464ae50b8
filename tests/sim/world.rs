//! Time, what comes next in it, and the events of a script.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use remedyd::domain::{ClusterId, Role, Timestamp};
use remedyd::engine::{Effect, Input};

use super::Violation;
use super::alertmanager::{GroupKey, Message, Peer, Silence};
use super::daemon::{Ack, Crash, Daemon};
use super::dice::Dice;
use super::invariants::Judge;
use super::model::Model;
use super::prober::Prober;
use super::provider::Provider;
use super::restore::Backup;
use super::sabotage::Sabotage;
use super::script::{Event, Kind};
use super::site::{SIGNS, Site, Unmet};
use super::tally::Tally;

pub type Turned = Result<(), Violation>;

/// Runs begin here: far enough from zero that a time of a source can lie before it.
const START: i64 = 1_800_000_000_000_000;
/// A batch is on disk after this at the latest.
pub const SYNC_WITHIN: Duration = Duration::from_millis(20);
/// Lines of a trace that are kept.
const TRACED: usize = 60;

pub struct World {
    /// True time; the daemon's own clock is ahead of it by `skew`.
    pub now: Timestamp,
    pub skew: Duration,
    pub dice: Dice,
    queue: BTreeMap<(Timestamp, u64), Coming>,
    order: u64,
    pub site: Site,
    pub peers: Vec<Peer>,
    pub silences: Vec<Silence>,
    pub provider: Provider,
    pub prober: Prober,
    pub daemon: Daemon,
    pub judge: Judge,
    pub model: Model,
    pub backup: Option<Backup>,
    /// Which life of the store this is.
    pub epoch: u64,
    pub tally: Tally,
    pub turns: u64,
    pub sabotage: Option<&'static Sabotage>,
    /// Faults have stopped: everybody answers, and says the truth.
    pub is_fair: bool,
    pub trace: Option<VecDeque<String>>,
}

/// Something that will happen.
pub enum Coming {
    /// Prometheus tells a peer how an alert stands.
    Learn {
        peer: usize,
        signal: usize,
    },
    /// A peer has heard nothing from Prometheus for so long that its alerts end.
    Stale {
        peer: usize,
        away: u64,
    },
    PrometheusBack {
        peer: usize,
    },
    PeerBack {
        peer: usize,
    },
    Flush {
        peer: usize,
        group: GroupKey,
        life: u64,
    },
    Message(Rc<Message>),
    /// A fault goes away by itself, if it is still the same one.
    Heal {
        signal: usize,
        since: Timestamp,
    },
    Break {
        signal: usize,
    },
    /// A call reaches the provider.
    Call {
        effect: Box<Effect>,
        life: u64,
        machine: u64,
    },
    /// The provider has done what it accepted.
    Finished {
        key: String,
    },
    /// A driver has ended.
    Unlock {
        key: String,
        machine: u64,
    },
    /// An answer reaches the daemon, if that is still the process that asked.
    Answer {
        input: Input,
        life: u64,
    },
    Look {
        effect: Box<Effect>,
        life: u64,
    },
    Start {
        life: u64,
    },
    /// The prober goes over all nodes.
    ProbeRound,
    /// An admin lets a restored store act.
    Enable,
    /// What was paused is over.
    Resume(Option<ClusterId>),
}

impl World {
    pub fn new(seed: u64, sabotage: Option<&'static Sabotage>, traced: bool) -> Self {
        Self {
            now: Timestamp::from_micros(START),
            skew: Duration::ZERO,
            dice: Dice(seed),
            queue: BTreeMap::new(),
            order: 0,
            site: Site::new(),
            peers: vec![Peer::default(), Peer::default()],
            silences: Vec::new(),
            provider: Provider::default(),
            prober: Prober::default(),
            daemon: Daemon::new(seed),
            judge: Judge::default(),
            model: Model::default(),
            backup: None,
            epoch: 1,
            tally: Tally::default(),
            turns: 0,
            sabotage,
            is_fair: false,
            trace: traced.then(VecDeque::new),
        }
    }

    /// The events, then the end of all faults, then the last judgement.
    pub fn live_through(&mut self, events: &[Event]) -> Turned {
        self.start()?;
        self.prober_begins();
        for event in events {
            self.advance(event.after)?;
            self.dice = Dice(event.chance);
            self.note(|world| format!("-- {:?}", (event.kind, world.turns)));
            self.happen(event.kind)?;
        }
        self.become_well()?;
        self.check_everything()
    }

    fn happen(&mut self, kind: Kind) -> Turned {
        let lasts = Duration::from_secs(self.dice.upto(60, 7200));
        match kind {
            Kind::Fault => {
                let signal = self.any_signal();
                self.break_for(signal, lasts);
            }
            Kind::Flap => {
                let signal = self.any_signal();
                let mut at = 0;
                for _ in 0..self.dice.upto(2, 6) {
                    let (up, down) = (self.dice.upto(5, 400), self.dice.upto(5, 400));
                    let (breaks, heals) = (Duration::from_secs(at), Duration::from_secs(at + up));
                    self.later(breaks, Coming::Break { signal });
                    self.later(heals, Coming::Heal { signal, since: self.now.plus(breaks) });
                    at += up + down;
                }
            }
            Kind::Burst => {
                let node = self.dice.upto(0, self.site.instances.len() as u64 - 1) as usize;
                for signal in 0..self.site.signals.len() {
                    let is_there =
                        self.site.signals[signal].node == node && self.site.signals[signal].sign.xid.is_some();
                    if is_there && !self.dice.one_in(4) {
                        let at = Duration::from_millis(self.dice.upto(0, 180_000));
                        self.later(at, Coming::Break { signal });
                        self.later(at + lasts, Coming::Heal { signal, since: self.now.plus(at) });
                    }
                }
            }
            Kind::Outage => {
                let cluster = self.dice.one_of(self.site.clusters.clone()).expect("there are clusters").id;
                let which = self.dice.upto(0, SIGNS.len() as u64 - 1) as usize;
                for (signal, node) in (0..).zip(self.site.signals.iter().map(|signal| signal.node)).collect::<Vec<_>>()
                {
                    let is_there = self.site.instances[node].cluster_id == cluster && signal % SIGNS.len() == which;
                    if is_there {
                        self.break_for(signal, lasts);
                    }
                }
            }
            Kind::Heal => {
                let firing: Vec<usize> =
                    (0..self.site.signals.len()).filter(|at| self.site.signals[*at].since.is_some()).collect();
                if let Some(signal) = self.dice.one_of(firing) {
                    self.heal(signal);
                }
            }
            Kind::Silence => self.silence(lasts),
            Kind::PeerRestarts => self.peer_restarts(Duration::from_secs(1)),
            Kind::PeerDown => self.peer_restarts(lasts),
            Kind::PrometheusDown => self.prometheus_goes(lasts),
            Kind::Person => return self.person(),
            Kind::Race => return self.race(),
            Kind::Reload => {
                let mut dice = self.dice.clone();
                self.site.edit(&mut dice);
                return self.reload();
            }
            Kind::Kill | Kind::PowerCut => {
                let crash = Crash::any(&mut self.dice, kind == Kind::PowerCut);
                return self.arm(crash);
            }
            Kind::Backup => return self.backs_up(),
            Kind::Restore => self.restores(),
            Kind::CutOff => self.prober_cut_off(lasts),
            Kind::Mood => {
                self.provider.mood = self.dice.upto(0, 3);
                if self.dice.one_in(2) {
                    self.provider.away_until = self.now.plus(lasts);
                }
            }
        }
        Ok(())
    }

    /// A signal, as often as faults of its kind are.
    fn any_signal(&mut self) -> usize {
        let node = self.dice.upto(0, self.site.instances.len() as u64 - 1) as usize;
        let mut at = self.dice.upto(0, SIGNS.iter().map(|sign| sign.share).sum::<u64>() - 1);
        let sign = SIGNS.iter().position(|sign| {
            let is_it = at < sign.share;
            at = at.saturating_sub(sign.share);
            is_it
        });
        node * SIGNS.len() + sign.expect("the draw is below the sum of the shares")
    }

    fn break_for(&mut self, signal: usize, lasts: Duration) {
        self.breaks(signal);
        // Half of all faults stay until somebody repairs the node.
        if self.dice.one_in(2) {
            self.later(lasts, Coming::Heal { signal, since: self.now });
        }
    }

    pub fn breaks(&mut self, signal: usize) {
        if self.site.signals[signal].since.is_some() {
            return;
        }
        let now = self.now;
        self.note(|world| format!("breaks: {}", world.name_of(signal)));
        let truth = &mut self.site.signals[signal];
        (truth.since, truth.ended) = (Some(now), None);
        truth.unmet = Some(Unmet::default());
        self.tally.count("faults");
        self.tell_peers(signal);
    }

    pub fn heal(&mut self, signal: usize) {
        if self.site.signals[signal].since.is_none() {
            return;
        }
        self.note(|world| format!("heals: {}", world.name_of(signal)));
        self.count_unmet(signal);
        let now = self.now;
        let truth = &mut self.site.signals[signal];
        (truth.since, truth.ended, truth.unmet) = (None, Some(now), None);
        self.tell_peers(signal);
    }

    pub fn name_of(&self, signal: usize) -> String {
        let signal = &self.site.signals[signal];
        let xid = signal.sign.xid.map_or_else(String::new, |code| format!(" {code}"));
        format!("{}{xid} on {}", signal.sign.name, self.site.instances[signal.node].id)
    }

    /// The daemon's clock.
    pub fn clock(&self) -> Timestamp {
        self.now.plus(self.skew)
    }

    pub fn later(&mut self, after: Duration, coming: Coming) {
        self.order += 1;
        self.queue.insert((self.now.plus(after), self.order), coming);
    }

    /// Some whole number of milliseconds.
    pub fn within(&mut self, least: Duration, most: Duration) -> Duration {
        Duration::from_millis(self.dice.upto(least.as_millis() as u64, most.as_millis() as u64))
    }

    /// Lets time pass, with everything that comes in it.
    pub fn advance(&mut self, span: Duration) -> Turned {
        let until = self.now.plus(span);
        loop {
            let coming = self.queue.first_key_value().map(|((at, _), _)| *at);
            let due = self.daemon.deadline().map(|due| due.minus(self.skew).max(self.now));
            let is_tick = due.is_some_and(|due| coming.is_none_or(|coming| due <= coming));
            let next = due.into_iter().chain(coming).min();
            let is_idle = next.is_none_or(|next| next.since(self.now) > SYNC_WITHIN);
            if is_idle && self.daemon.has_unsynced() {
                // What leaves with the batch may be answered before anything else happens.
                self.commit()?;
                continue;
            }
            let Some(next) = next.filter(|next| *next <= until) else { break };
            self.now = self.now.max(next);
            if is_tick {
                self.turn(Input::Tick, Ack::Nobody)?;
            } else if let Some((_, coming)) = self.queue.pop_first() {
                self.comes(coming)?;
            }
        }
        self.now = until;
        self.check_model()
    }

    fn comes(&mut self, coming: Coming) -> Turned {
        match coming {
            Coming::Learn { peer, signal } => self.learns(peer, signal),
            Coming::Stale { peer, away } => self.goes_stale(peer, away),
            Coming::PrometheusBack { peer } => self.prometheus_comes(peer),
            Coming::PeerBack { peer } => self.peer_comes(peer),
            Coming::Flush { peer, group, life } => self.flush(peer, group, life),
            Coming::Message(message) => return self.message(message),
            Coming::Heal { signal, since } => {
                if self.site.signals[signal].since == Some(since) {
                    self.heal(signal);
                }
            }
            Coming::Break { signal } => self.breaks(signal),
            Coming::Call { effect, life, machine } => {
                // A power cut takes a driver before it reached anybody.
                if machine == self.provider.machine {
                    return self.called(&effect, life);
                }
            }
            Coming::Finished { key } => self.finished(&key),
            Coming::Unlock { key, machine } => self.unlock(&key, machine),
            Coming::Answer { input, life } => {
                if life == self.daemon.life && self.daemon.is_up {
                    return self.turn(input, Ack::Nobody);
                }
            }
            Coming::Resume(cluster_id) => return self.resumes(cluster_id),
            Coming::ProbeRound => return self.probe_round(),
            Coming::Enable => return self.enables(Role::Admin),
            Coming::Look { effect, life } => return self.looked(&effect, life),
            Coming::Start { life } => {
                if life == self.daemon.life && !self.daemon.is_up {
                    return self.start();
                }
            }
        }
        Ok(())
    }

    /// Forgets what faults have still in store.
    pub fn cancel_faults(&mut self) {
        self.queue.retain(|_, coming| !matches!(coming, Coming::Break { .. }));
    }

    pub fn note(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_none() {
            return;
        }
        let line = format!("{:>9.1} s  {}", self.now.since(Timestamp::from_micros(START)).as_secs_f64(), line(self));
        let trace = self.trace.as_mut().expect("it is traced");
        trace.push_back(line);
        if trace.len() > TRACED {
            trace.pop_front();
        }
    }

    /// Breaks off where something does not hold, unless the run looks for a violation of another invariant.
    pub fn must(&self, invariant: &'static str, holds: bool, why: impl FnOnce() -> String) -> Turned {
        if holds || self.sabotage.is_some_and(|sabotage| sabotage.finds != invariant) {
            return Ok(());
        }
        Err(Violation { invariant, why: why() })
    }
}
