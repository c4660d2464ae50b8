//! A second opinion, slow and simple: what the world should look like, worked out anew from what the daemon took and said.
//!
//! It knows the messages and the answers to looks that are on disk, the notices that left, the configuration, and which
//! nodes are held. It never reads the engine's memory; the rows are only what it is compared with, once all queues are
//! idle: the episodes of every alert, whether a node should have a remediation, and whether doubt about evidence ends.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use remedyd::domain::{
    AlertState, ClusterId, HostId, Identity, Instance, InstanceId, Mode, RemediationId, State, Timestamp, Trigger,
};
use remedyd::engine::{Effect, EffectKind, Look, LookPurpose, NoticeEvent};

use super::daemon::{Ack, Errand};
use super::prober::CHECKS;
use super::world::{Turned, World};

/// Reminders closer together than this do not move when an alert was last seen.
const SEEN_STEP: Duration = Duration::from_secs(60);
/// A doubt is asked about again after 30 s, and leaves with its batch; a longer pause means that something was in the way.
const ASKED_AGAIN: Duration = Duration::from_millis(30_025);

#[derive(Clone, Default)]
pub struct Model {
    /// All that was said of each alert, in the order in which it was taken.
    said: BTreeMap<usize, Vec<(Timestamp, Word)>>,
    /// What that amounts to.
    episodes: BTreeMap<usize, Vec<Episode>>,
    /// Alerts of which something was said since they were last compared.
    fresh: BTreeSet<usize>,
    /// The last notice about each remediation.
    told: BTreeMap<RemediationId, Told>,
    /// Since when looks confirm nothing, and when the last one did so.
    doubts: BTreeMap<RemediationId, (Timestamp, Timestamp)>,
}

#[derive(Clone, Copy)]
enum Word {
    Fires(Timestamp),
    Ended(Timestamp, Timestamp),
    /// A look saw it, silenced or not.
    Seen(bool),
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Episode {
    is_confirmed: bool,
    is_muted: bool,
    start: Timestamp,
    newest_start: Timestamp,
    end: Option<Timestamp>,
    opened_at: Timestamp,
    seen_at: Timestamp,
}

#[derive(Clone)]
struct Told {
    version: u64,
    state: State,
    mode: Mode,
    cluster: ClusterId,
    instance: InstanceId,
    host: HostId,
    at: Timestamp,
}

/// What a look truly found: which alerts, and which of them silenced; nothing where it could not be read.
pub type Found = Option<Vec<(usize, bool)>>;

impl Model {
    fn hears(&mut self, signal: usize, at: Timestamp, word: Word, refire_hold: Duration) {
        let said = self.said.entry(signal).or_default();
        said.push((at, word));
        self.episodes.insert(signal, episodes(said, refire_hold));
        self.fresh.insert(signal);
    }

    fn open(&self, signal: usize) -> Option<&Episode> {
        self.episodes.get(&signal)?.iter().find(|episode| episode.end.is_none())
    }

    /// Whether others of its cluster may take its place in flight: time in a queue is no doubt.
    fn may_queue(&self, id: RemediationId) -> bool {
        let cluster = self.told.get(&id).map(|told| &told.cluster);
        self.live()
            .any(|(other, told)| *other != id && Some(&told.cluster) == cluster && told.state != State::PendingApproval)
    }

    fn live(&self) -> impl Iterator<Item = (&RemediationId, &Told)> {
        self.told.iter().filter(|(_, told)| !told.state.is_terminal())
    }
}

/// All episodes of one alert, from everything that was ever said of it (SAFETY R5 to R8).
fn episodes(said: &[(Timestamp, Word)], hold: Duration) -> Vec<Episode> {
    let mut all: Vec<Episode> = Vec::new();
    for (at, word) in said.iter().copied() {
        let ends: Vec<Timestamp> = all.iter().filter_map(|episode| episode.end).collect();
        let open = all.iter_mut().find(|episode| episode.end.is_none());
        match (word, open) {
            (Word::Seen(muted), open) => open.into_iter().for_each(|open| open.is_muted = muted),
            (Word::Fires(start), None) => all.push(Episode {
                is_confirmed: ends.iter().all(|end| *end < start),
                is_muted: false,
                start,
                newest_start: start,
                end: None,
                opened_at: at,
                seen_at: at,
            }),
            (Word::Fires(start), Some(open)) => {
                let is_newer = ends.iter().all(|end| *end < start);
                open.is_muted = false;
                if open.is_confirmed && is_newer && start.plus(hold) >= open.start {
                    open.start = open.start.min(start);
                }
                let was_confirmed = open.is_confirmed;
                open.is_confirmed |= (is_newer && start > open.start) || at >= open.opened_at.plus(hold);
                if at.since(open.seen_at) >= SEEN_STEP || open.is_confirmed != was_confirmed {
                    open.seen_at = at;
                }
                if !was_confirmed && is_newer && start > open.start {
                    open.start = start;
                }
                open.newest_start = open.newest_start.max(start);
            }
            (Word::Ended(_, end), Some(open)) if end >= open.newest_start => {
                let is_old = ends.iter().any(|known| end <= *known);
                if !(is_old && open.is_confirmed && at < open.seen_at.plus(hold)) {
                    open.end = Some(end);
                }
            }
            (Word::Ended(start, end), _) => {
                let overlaps = |known: &Episode| known.end.is_some_and(|last| start <= last && known.start <= end);
                if !all.iter().any(overlaps) {
                    let (is_confirmed, newest_start, end) = (true, start, Some(end));
                    let (is_muted, opened_at, seen_at) = (false, at, at);
                    all.push(Episode { is_confirmed, is_muted, start, newest_start, end, opened_at, seen_at });
                }
            }
        }
    }
    all
}

impl World {
    /// A turn is on disk, and somebody was waiting for it.
    pub fn model_hears(&mut self, at: Timestamp, ack: &Ack) {
        let hold = self.site.settings.policy.refire_hold;
        match ack {
            Ack::Alertmanager(message) => {
                for (signal, start, end) in message.shown() {
                    let word = end.map_or(Word::Fires(*start), |end| Word::Ended((*start).min(end), end));
                    self.model.hears(*signal, at, word, hold);
                }
            }
            Ack::Source(id, found, is_failing) => {
                let is_waiting = self.model.told.get(id).is_some_and(|told| told.state == State::Pending);
                match found {
                    _ if !is_waiting => {}
                    Some(found) if !found.is_empty() => {
                        self.model.doubts.remove(id);
                        for (signal, muted) in found {
                            self.model.hears(*signal, at, Word::Seen(*muted), hold);
                        }
                    }
                    // A check that fails confirms it as well.
                    Some(_) if *is_failing => drop(self.model.doubts.remove(id)),
                    Some(_) | None if self.model.may_queue(*id) => drop(self.model.doubts.remove(id)),
                    Some(_) | None => self.model.doubts.entry(*id).or_insert((at, at)).1 = at,
                }
            }
            // Time that was paused is no doubt either.
            Ack::Person(Errand { verb: "pause" | "resume", .. }) => self.model.doubts.clear(),
            Ack::Nobody | Ack::Person(_) => {}
        }
    }

    /// An effect leaves that was decided by a turn at that time.
    pub fn model_sees(&mut self, at: Timestamp, effect: &Effect) -> Turned {
        match &effect.kind {
            EffectKind::Look(Look { remediation_id, purpose: LookPurpose::Validate, .. }) => {
                let clock = self.clock();
                self.model.doubts.retain(|id, (_, last)| id != remediation_id || clock.since(*last) <= ASKED_AGAIN);
                Ok(())
            }
            EffectKind::Notify(notice) => {
                let known = self.model.told.get(&notice.remediation_id);
                if known.is_none_or(|known| known.version < notice.version) {
                    let (version, state, mode, at) = (notice.version, notice.state, notice.mode, effect.created_at);
                    let (instance, host) = (notice.target.instance_id.clone(), notice.target.host_id.clone());
                    let cluster = notice.target.cluster_id.clone();
                    let told = Told { version, state, mode, cluster, instance, host, at };
                    self.model.told.insert(notice.remediation_id, told);
                }
                // One that an earlier process left comes late: its alerts may be over.
                let opens = notice.event == NoticeEvent::Opened && notice.trigger == Trigger::Automated;
                let is_ripe = !opens || effect.created_at < at || self.has_ripe(&notice.alerts, at);
                self.must("ripe", is_ripe, || {
                    format!(
                        "{} opened, and no {:?} has fired for so long as its rule says",
                        notice.remediation_id, notice.alerts
                    )
                })
            }
            EffectKind::Look(_) | EffectKind::Call(_) => Ok(()),
        }
    }

    fn has_ripe(&self, names: &[String], at: Timestamp) -> bool {
        // What checks find is judged where it becomes believed (`prober`).
        names.iter().any(|name| CHECKS.contains(&name.as_str()))
            || (0..self.site.signals.len()).any(|signal| {
                let sign = self.site.signals[signal].sign;
                let open = self.model.open(signal).filter(|open| open.is_confirmed && !open.is_muted);
                names.iter().any(|name| name == sign.name)
                    && open.is_some_and(|open| open.opened_at.plus(sign.waits()) <= at)
            })
    }

    /// Compares, if nothing is under way.
    pub fn check_model(&mut self) -> Turned {
        let is_due = self.daemon.deadline().is_some_and(|due| due <= self.clock());
        if !self.daemon.is_up || !self.daemon.has_begun || self.daemon.has_unsynced() || is_due {
            return Ok(());
        }
        for signal in std::mem::take(&mut self.model.fresh) {
            self.compare_episodes(signal)?;
        }
        for (node, wants) in self.wanted() {
            self.compare_node(&self.site.inventory[node], &wants)?;
        }
        let patience = self.site.settings.policy.validate_within;
        let stuck = self.model.live().find(|(id, told)| {
            let doubt = self.model.doubts.get(id);
            told.state == State::Pending && doubt.is_some_and(|(since, last)| *last >= since.plus(patience))
        });
        self.must("doubt", stuck.is_none(), || {
            format!("{:?} waits on and on, and its sources confirm nothing", stuck.map(|(id, _)| id))
        })
    }

    fn compare_episodes(&self, signal: usize) -> Turned {
        let identity: Identity = self.site.signals[signal].identity;
        let should: Vec<_> = self.model.episodes[&signal]
            .iter()
            .map(|episode| {
                (
                    episode.is_confirmed || episode.end.is_some(),
                    episode.is_muted && episode.end.is_none(),
                    episode.start,
                    episode.newest_start,
                    episode.end,
                )
            })
            .collect();
        let is: Vec<_> = self
            .daemon
            .rows
            .episodes(identity)
            .map(|alert| {
                (
                    alert.state != AlertState::RefiredUnconfirmed,
                    alert.muted && alert.state != AlertState::Resolved,
                    alert.started_at,
                    alert.newest_start,
                    alert.resolved_at,
                )
            })
            .collect();
        self.must("truth", is == should, || {
            format!("the episodes of {} are {is:?}, and by all that was said {should:?}", self.name_of(signal))
        })
    }

    /// Which alerts call for a repair, by their place in the inventory.
    fn wanted(&self) -> BTreeMap<usize, Vec<(usize, &Episode)>> {
        let mut wanted: BTreeMap<usize, Vec<(usize, &Episode)>> = BTreeMap::new();
        for signal in self.model.episodes.keys().copied() {
            let waits = self.site.calls(self.site.signals[signal].sign);
            let Some((open, waits)) = self.model.open(signal).zip(waits) else { continue };
            let is_ripe = open.is_confirmed && !open.is_muted && open.opened_at.plus(waits) <= self.clock();
            if let Some(node) = self.place_of(signal).filter(|_| is_ripe) {
                wanted.entry(node).or_default().push((signal, open));
            }
        }
        wanted
    }

    /// The only machine of the inventory that an alert's labels name.
    fn place_of(&self, signal: usize) -> Option<usize> {
        let labels = &self.site.signals[signal].labels;
        let (cluster, name) = (labels.get("cluster")?, labels.get("node")?);
        let named = |one: &Instance| one.cluster_id.as_str() == cluster && one.name == name;
        let place = self.site.inventory.iter().position(named)?;
        (!self.site.inventory[place + 1..].iter().any(named)).then_some(place)
    }

    /// A node whose alerts call for a repair has one with all of them linked, unless there is a reason why not.
    fn compare_node(&self, instance: &Instance, wants: &[(usize, &Episode)]) -> Turned {
        let now = self.clock();
        if let Some((live, _)) = self.model.live().find(|(_, told)| told.instance == instance.id) {
            let is_linked = |signal: usize| {
                let identity = self.site.signals[signal].identity;
                self.daemon.rows.links(*live).any(|link| link.identity == identity)
            };
            let missing = wants.iter().find(|(signal, _)| !is_linked(*signal));
            return self.must("due", missing.is_none(), || {
                format!("{:?} is not linked to {live}", missing.map(|(signal, _)| self.name_of(*signal)))
            });
        }
        let modes = &self.site.settings.clusters[&instance.cluster_id].modes;
        let fitting = |wanted: Mode| {
            let able = [Mode::RebootVm, Mode::VmOnly, Mode::HostAware].into_iter().filter(|mode| modes.contains(mode));
            able.into_iter().find(|mode| *mode == wanted || mode.is_heavier_than(wanted))
        };
        let able = wants.iter().filter_map(|(signal, _)| fitting(self.site.signals[*signal].sign.cure));
        let heaviest = able.reduce(|one, other| if other.is_heavier_than(one) { other } else { one });
        let newest = wants.iter().map(|(_, open)| open.newest_start).max();
        let (Some(mode), Some(newest)) = (heaviest, newest) else { return Ok(()) };
        let policy = &self.site.settings.policy;
        let ended = || self.model.told.values().filter(|told| told.state.is_terminal() && told.instance == instance.id);
        let last = ended().map(|told| told.at).max();
        let settles = last.is_some_and(|last| newest <= last && now < last.plus(policy.settle));
        let cools = ended().any(|told| {
            told.state != State::AutoResolved && !mode.is_heavier_than(told.mode) && now < told.at.plus(policy.cooldown)
        });
        let is_held = self.daemon.rows.holds().any(|hold| hold.instance_id == instance.id && now < hold.expires_at);
        let stops = |switch: &Option<ClusterId>| switch.as_ref().is_none_or(|cluster| *cluster == instance.cluster_id);
        let is_paused = self.daemon.rows.pauses().any(|pause| stops(&pause.cluster_id));
        let is_busy = self.model.live().any(|(_, told)| told.host == instance.host_id);
        let has_reason = settles || cools || is_held || is_paused || is_busy || !instance.auto_remediation_enabled;
        self.must("due", has_reason, || {
            let names: Vec<String> = wants.iter().map(|(signal, _)| self.name_of(*signal)).collect();
            format!("{names:?} call for {mode} on {}, and nothing is in the way", instance.id)
        })
    }
}
