//! A pair of Alertmanagers without gossip, fed by one Prometheus (SAFETY §1): groups that wait, repeat and forget;
//! messages that come late, twice, out of order or not at all; silences under which an end is lost; restarts after which
//! everything is new.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use remedyd::domain::{Identity, Timestamp, Verdict};
use remedyd::engine::{Delivery, Effect, EffectKind, Input, LookPurpose, Sighting};

use super::daemon::Ack;
use super::site::source;
use super::world::{Coming, Turned, World};

const GROUP_WAIT: Duration = Duration::from_secs(30);
const GROUP_INTERVAL: Duration = Duration::from_secs(300);
/// Shorter than the 4 h that Alertmanager ships with, so that a night has many.
pub const REPEAT_INTERVAL: Duration = Duration::from_secs(3600);
/// Prometheus gives an alert so long a life each time that it sends it.
const STALE_AFTER: Duration = Duration::from_secs(240);
/// A peer that is younger than this knows too little to be asked (SAFETY R9).
const MIN_UPTIME: Duration = Duration::from_secs(600);

/// Which group, see [`super::site::Signal::group`].
pub type GroupKey = usize;

#[derive(Default)]
pub struct Peer {
    is_down: bool,
    /// How often it was started.
    life: u64,
    up_since: Option<Timestamp>,
    /// Prometheus cannot reach it, for the n-th time.
    away: Option<u64>,
    times_away: u64,
    alerts: BTreeMap<usize, Known>,
    groups: BTreeMap<GroupKey, Group>,
}

/// What a peer knows of an alert.
#[derive(Clone, Copy)]
struct Known {
    start: Timestamp,
    end: Option<Timestamp>,
}

#[derive(Default)]
struct Group {
    /// Whether a flush is to come.
    is_awake: bool,
    /// What the notification log says was sent.
    notified: Option<Notified>,
    /// Counts messages.
    sent: u64,
}

struct Notified {
    firing: BTreeSet<usize>,
    resolved: BTreeSet<usize>,
    at: Timestamp,
}

/// One message on its way, perhaps not for the first time.
pub struct Message {
    peer: usize,
    group: GroupKey,
    life: u64,
    number: u64,
    alerts: Vec<(usize, Timestamp, Option<Timestamp>)>,
    /// How many of them are in the message; the log says that all were (`max_alerts`, SAFETY §1.4).
    shown: usize,
    /// After this it is no longer tried.
    until: Timestamp,
    attempt: u32,
    /// A copy that the network made.
    is_copy: bool,
}

/// Which message an answer is about.
pub type Receipt = Rc<Message>;

pub struct Silence {
    pub node: Option<usize>,
    pub name: Option<&'static str>,
    pub until: Timestamp,
}

impl World {
    /// Prometheus sees a change, and tells both peers a little later.
    pub fn tell_peers(&mut self, signal: usize) {
        for peer in 0..self.peers.len() {
            let after = self.within(Duration::ZERO, Duration::from_secs(20));
            self.later(after, Coming::Learn { peer, signal });
        }
    }

    pub fn learns(&mut self, peer: usize, signal: usize) {
        let truth = &self.site.signals[signal];
        let known = &mut self.peers[peer];
        if known.is_down || known.away.is_some() {
            return;
        }
        match (truth.since, known.alerts.get_mut(&signal)) {
            (Some(start), Some(alert)) if alert.end.is_none() && alert.start == start => {}
            (Some(start), _) => {
                known.alerts.insert(signal, Known { start, end: None });
                self.wake(peer, signal);
            }
            (None, Some(alert)) if alert.end.is_none() => {
                // It may have learned nothing of an end for a while; the end itself is what Prometheus says.
                alert.end = Some(truth.ended.unwrap_or(self.now).max(alert.start));
            }
            (None, _) => {}
        }
    }

    fn wake(&mut self, peer: usize, signal: usize) {
        let key = self.site.signals[signal].group;
        let start = self.peers[peer].alerts[&signal].start;
        let life = self.peers[peer].life;
        let group = self.peers[peer].groups.entry(key).or_default();
        if !group.is_awake {
            group.is_awake = true;
            // An alert that is older than `group_wait` does not wait.
            let after = if self.now.since(start) > GROUP_WAIT { Duration::ZERO } else { GROUP_WAIT };
            self.later(after, Coming::Flush { peer, group: key, life });
        }
    }

    pub fn is_muted(&self, signal: usize) -> bool {
        let signal = &self.site.signals[signal];
        self.silences.iter().any(|silence| {
            self.now < silence.until
                && silence.node.is_none_or(|node| node == signal.node)
                && silence.name.is_none_or(|name| name == signal.sign.name)
        })
    }

    pub fn silence(&mut self, lasts: Duration) {
        self.silences.retain(|silence| self.now < silence.until);
        let signal = self.dice.upto(0, self.site.signals.len() as u64 - 1) as usize;
        let signal = &self.site.signals[signal];
        let (node, name) = (signal.node, signal.sign.name);
        let by_node = self.dice.one_in(2);
        self.note(|world| format!("silenced: {}", if by_node { world.site.instances[node].id.as_str() } else { name }));
        let (node, name) = if by_node { (Some(node), None) } else { (None, Some(name)) };
        self.silences.push(Silence { node, name, until: self.now.plus(lasts) });
        self.tally.count("silences");
    }

    /// A group's time has come: what changed since the last message, or a reminder, is sent (dedup stage of 0.34).
    pub fn flush(&mut self, peer: usize, key: GroupKey, life: u64) {
        if self.peers[peer].is_down || self.peers[peer].life != life {
            return;
        }
        let members: Vec<(usize, Known)> = self.peers[peer]
            .alerts
            .iter()
            .filter(|(signal, _)| self.site.signals[**signal].group == key)
            .map(|(signal, known)| (*signal, *known))
            .collect();
        if members.is_empty() {
            self.peers[peer].groups.remove(&key);
            return;
        }
        let heard: Vec<(usize, Known)> =
            members.iter().copied().filter(|(signal, _)| !self.is_muted(*signal)).collect();
        let of = |wanted: bool| {
            heard.iter().filter(move |(_, known)| known.end.is_some() == wanted).map(|(signal, _)| *signal)
        };
        let (firing, resolved): (BTreeSet<usize>, BTreeSet<usize>) = (of(false).collect(), of(true).collect());
        let now = self.now;
        let group = self.peers[peer].groups.entry(key).or_default();
        let is_needed = match &group.notified {
            None => !firing.is_empty(),
            Some(last) => {
                !firing.is_subset(&last.firing)
                    || (firing.is_empty() && !last.firing.is_empty() && !resolved.is_empty())
                    || !resolved.is_subset(&last.resolved)
                    || (!firing.is_empty() && last.at.plus(REPEAT_INTERVAL) <= now)
            }
        };
        group.sent += 1;
        let number = group.sent;
        if is_needed {
            let alerts: Vec<_> = heard.iter().map(|(signal, known)| (*signal, known.start, known.end)).collect();
            let shown = if !self.is_fair && self.dice.one_in(20) { alerts.len().min(2) } else { alerts.len() };
            let until = now.plus(GROUP_INTERVAL);
            let message = Message { peer, group: key, life, number, alerts, shown, until, attempt: 0, is_copy: false };
            let after = self.within(Duration::ZERO, Duration::from_secs(2));
            self.later(after, Coming::Message(Rc::new(message)));
        } else {
            // The pipeline returned success: what ended is forgotten, whether it was muted or not.
            self.forget(peer, &members);
        }
        if is_needed {
            let muted: Vec<(usize, Known)> =
                members.into_iter().filter(|(signal, _)| !heard.iter().any(|(other, _)| other == signal)).collect();
            self.forget(peer, &muted);
        }
        self.later(GROUP_INTERVAL, Coming::Flush { peer, group: key, life });
    }

    fn forget(&mut self, peer: usize, sent: &[(usize, Known)]) {
        for (signal, was) in sent.iter().filter(|(_, known)| known.end.is_some()) {
            let same = self.peers[peer].alerts.get(signal).is_some_and(|known| known.end == was.end);
            if same {
                self.peers[peer].alerts.remove(signal);
            }
        }
    }

    /// A message arrives, or does not; it is tried again until its time is over or it was answered.
    pub fn message(&mut self, message: Rc<Message>) -> Turned {
        let group = self.peers[message.peer].groups.get(&message.group);
        let is_open =
            group.is_some_and(|group| group.sent == message.number) && self.peers[message.peer].life == message.life;
        if !message.is_copy && (!is_open || self.now >= message.until || self.is_answered(&message)) {
            return Ok(());
        }
        let is_lost = !self.is_fair && self.dice.one_in(20);
        if !message.is_copy {
            let pause = Duration::from_millis(500 << message.attempt.min(7)).min(Duration::from_secs(60));
            let pause = pause + self.within(Duration::ZERO, pause);
            self.again(&message, pause.max(Duration::from_secs(1)), false);
            if !self.is_fair && message.attempt == 0 && self.dice.one_in(8) {
                let late = self.within(Duration::ZERO, Duration::from_secs(900));
                self.again(&message, late, true);
            }
        }
        if is_lost || !self.daemon.is_up {
            self.tally.count("messages that found nobody");
            return Ok(());
        }
        let reports = message.shown().iter().map(|(signal, start, end)| self.site.report(*signal, *start, *end));
        let delivery = Delivery::new(source(), None).with_reports(reports);
        self.judge.hears(&delivery);
        self.tally.count("messages");
        self.turn(Input::Delivered(delivery), Ack::Alertmanager(Rc::clone(&message)))?;
        for (signal, start, end) in message.shown() {
            if end.is_none() && self.daemon.is_up {
                self.told_of(*signal, *start);
            }
        }
        Ok(())
    }

    fn again(&mut self, message: &Message, after: Duration, is_copy: bool) {
        let Message { peer, life, number, shown, until, attempt, .. } = *message;
        let (group, alerts) = (message.group, message.alerts.clone());
        let again = Message { peer, group, life, number, alerts, shown, until, attempt: attempt + 1, is_copy };
        self.later(after, Coming::Message(Rc::new(again)));
    }

    fn is_answered(&self, message: &Message) -> bool {
        let group = self.peers[message.peer].groups.get(&message.group);
        let (firing, resolved) = split(message);
        let notified = group.and_then(|group| group.notified.as_ref());
        notified.is_some_and(|last| {
            last.firing == firing && last.resolved == resolved && self.now.since(last.at) < GROUP_INTERVAL
        })
    }

    /// The daemon said 2xx. The answer may still get lost, and then the message comes again.
    pub fn acknowledged(&mut self, message: &Receipt) {
        if message.is_copy || self.peers[message.peer].life != message.life || (!self.is_fair && self.dice.one_in(20)) {
            return;
        }
        let (firing, resolved) = split(message);
        let now = self.now;
        if let Some(group) = self.peers[message.peer].groups.get_mut(&message.group) {
            group.notified = Some(Notified { firing, resolved, at: now });
        }
        let sent: Vec<(usize, Known)> =
            message.alerts.iter().map(|(signal, start, end)| (*signal, Known { start: *start, end: *end })).collect();
        self.forget(message.peer, &sent);
    }

    pub fn peer_restarts(&mut self, down_for: Duration) {
        let at = self.dice.upto(0, self.peers.len() as u64 - 1) as usize;
        // The notification log is on a volume, or it is not.
        let keeps_log = self.dice.one_in(2);
        let peer = &mut self.peers[at];
        if peer.is_down {
            return;
        }
        peer.is_down = true;
        peer.life += 1;
        peer.alerts.clear();
        if keeps_log {
            peer.groups.values_mut().for_each(|group| group.is_awake = false);
        } else {
            peer.groups.clear();
        }
        self.tally.count("Alertmanager restarts");
        self.later(down_for, Coming::PeerBack { peer: at });
    }

    pub fn peer_comes(&mut self, peer: usize) {
        self.peers[peer].is_down = false;
        self.peers[peer].up_since = Some(self.now);
        self.hears_all(peer);
    }

    /// Prometheus sends everything again within a minute.
    fn hears_all(&mut self, peer: usize) {
        for signal in 0..self.site.signals.len() {
            let after = self.within(Duration::ZERO, Duration::from_secs(60));
            self.later(after, Coming::Learn { peer, signal });
        }
    }

    pub fn prometheus_goes(&mut self, lasts: Duration) {
        for peer in 0..self.peers.len() {
            // Sometimes only one of them is cut off.
            if self.peers[peer].away.is_some() || self.dice.one_in(3) {
                continue;
            }
            self.peers[peer].times_away += 1;
            let away = self.peers[peer].times_away;
            self.peers[peer].away = Some(away);
            self.later(STALE_AFTER, Coming::Stale { peer, away });
            self.later(lasts, Coming::PrometheusBack { peer });
        }
        self.tally.count("Prometheus outages");
    }

    pub fn goes_stale(&mut self, peer: usize, away: u64) {
        if self.peers[peer].away == Some(away) {
            let now = self.now;
            self.peers[peer].alerts.values_mut().for_each(|known| {
                known.end.get_or_insert(now);
            });
        }
    }

    pub fn prometheus_comes(&mut self, peer: usize) {
        self.peers[peer].away = None;
        self.hears_all(peer);
    }

    /// Reads both peers, as a look asks.
    pub fn looked(&mut self, effect: &Effect, life: u64) -> Turned {
        let EffectKind::Look(look) = &effect.kind else { return Ok(()) };
        if life != self.daemon.life || !self.daemon.is_up {
            return Ok(());
        }
        let is_blind = self
            .peers
            .iter()
            .any(|peer| peer.is_down || peer.up_since.is_some_and(|since| self.now.since(since) < MIN_UPTIME));
        let asks_nobody = look.wanted.is_empty();
        let found = if asks_nobody {
            Ok(Vec::new())
        } else if is_blind || (!self.is_fair && self.dice.one_in(15)) {
            Err("one of the Alertmanagers cannot be asked".to_owned())
        } else {
            let wanted = look.wanted.values().flatten();
            Ok(wanted.filter_map(|identity| self.sighted(*identity)).collect::<Vec<Sighting>>())
        };
        let runs = self.checks_looked(look.checks.as_ref());
        let is_failing = runs.iter().any(|run| run.observation.verdict == Verdict::Fail);
        if look.purpose == LookPurpose::Validate
            && found.as_ref().is_ok_and(|found| is_failing || found.iter().any(|sighting| !sighting.muted))
        {
            self.judge.confirmed.insert(look.remediation_id, self.clock());
        }
        if found.as_ref().is_ok_and(Vec::is_empty) {
            self.judge.gone.insert(look.remediation_id);
        } else {
            self.judge.gone.remove(&look.remediation_id);
        }
        self.tally.count("looks");
        let ack = match look.purpose {
            LookPurpose::Validate => {
                let seen = |one: &Sighting| (self.site.by_identity[&one.identity], one.muted);
                let seen = found.as_ref().ok().map(|found| found.iter().map(seen).collect());
                Ack::Source(look.remediation_id, seen, is_failing)
            }
            LookPurpose::Recheck | LookPurpose::Verify | LookPurpose::Resolve => Ack::Nobody,
        };
        let found = self.spoiled_look(found, look);
        let input = Input::Looked { effect_id: effect.id, found, runs };
        if !self.is_fair && self.dice.one_in(10) {
            self.later(Duration::from_secs(1), Coming::Answer { input: input.clone(), life });
        }
        self.turn(input, ack)
    }

    fn sighted(&self, identity: Identity) -> Option<Sighting> {
        let signal = *self.site.by_identity.get(&identity)?;
        let shows = |peer: &Peer| peer.alerts.get(&signal).is_some_and(|known| known.end.is_none());
        let is_there = self.peers.iter().any(shows);
        is_there.then(|| Sighting { identity, muted: self.is_muted(signal) })
    }

    /// Both come back, know the truth, and say it to whoever listens.
    pub fn peers_become_well(&mut self) {
        self.silences.clear();
        for at in 0..self.peers.len() {
            self.peers[at].away = None;
            if self.peers[at].is_down {
                self.peer_comes(at);
            } else {
                self.hears_all(at);
            }
        }
    }

    /// The last true word on every alert: what a person would do who posts the ends that got lost.
    pub fn say_every_end(&mut self) -> Turned {
        let ended: Vec<usize> =
            (0..self.site.signals.len()).filter(|at| self.site.signals[*at].since.is_none()).collect();
        let now = self.now;
        let reports = ended.iter().map(|signal| self.site.report(*signal, now, Some(now)));
        let delivery = Delivery::new(source(), None).with_reports(reports);
        self.judge.hears(&delivery);
        let alerts: Vec<_> = ended.into_iter().map(|signal| (signal, now, Some(now))).collect();
        let (shown, until, attempt) = (alerts.len(), now, 0);
        let message = Message { peer: 0, group: 0, life: 0, number: 0, alerts, shown, until, attempt, is_copy: true };
        self.turn(Input::Delivered(delivery), Ack::Alertmanager(Rc::new(message)))
    }
}

fn split(message: &Message) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let of =
        |ended: bool| message.alerts.iter().filter(move |(.., end)| end.is_some() == ended).map(|(signal, ..)| *signal);
    (of(false).collect(), of(true).collect())
}

impl Message {
    /// What the message says.
    pub fn shown(&self) -> &[(usize, Timestamp, Option<Timestamp>)] {
        &self.alerts[..self.shown]
    }
}
