//! What must happen in the end: L1 to L4 of SAFETY §4.3, once the world is fair, and how late it happened meanwhile.

use std::time::Duration;

use remedyd::domain::{AlertState, DueWhy, HeldWhy, InstanceId, Role, State, Timestamp};

use super::alertmanager::REPEAT_INTERVAL;
use super::site::Unmet;
use super::world::{Turned, World};

/// Longer than `for`, `refire_hold`, `settle` and `cooldown`.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);
/// How many rounds of approvals the end takes: each may wake another repair.
const ROUNDS: u64 = 24;
/// A proposal that opens within this of being told, and of its rule's `for`, is on time.
const ON_TIME: Duration = Duration::from_secs(2);
/// A fault that lasted so long should have had a remediation.
const WORTH_ONE: Duration = Duration::from_secs(600);

impl World {
    /// No new faults, no more crashes, no lies, everybody there; then also no faults.
    pub fn become_well(&mut self) -> Turned {
        self.is_fair = true;
        self.note(|_| "== the world becomes fair".to_owned());
        self.daemon.disarm();
        self.cancel_faults();
        self.provider.mood = 0;
        self.prober.is_well();
        self.peers_become_well();
        self.advance(Duration::from_secs(3700))?;
        self.enables(Role::Admin)?;
        self.site.restore();
        self.reload()?;
        self.lift_all()?;
        self.resume_all()?;
        // Everything that fires is said again, and confirmed by being said once more.
        self.advance(REPEAT_INTERVAL * 2 + PATIENCE)?;
        self.check_l1()?;
        for _ in 0..ROUNDS {
            self.approve_all()?;
            self.advance(Duration::from_secs(1800))?;
            // What the provider built anew is in the inventory before anything is approved again.
            self.site.restore();
            self.reload()?;
            self.lift_all()?;
        }
        self.note(|_| "== every fault ends".to_owned());
        for signal in 0..self.site.signals.len() {
            self.heal(signal);
        }
        self.prober.clears_all();
        self.advance(Duration::from_secs(1200))?;
        self.say_every_end()?;
        self.advance(PATIENCE)?;
        self.check_l4()
    }

    /// L1, L2: whatever calls for a repair has one, or a row says why not.
    fn check_l1(&mut self) -> Turned {
        for signal in &self.site.signals {
            let instance = &self.site.instances[signal.node];
            let calls = self.site.calls(signal.sign).is_some() && signal.since.is_some();
            if !calls {
                continue;
            }
            let memory = self.daemon.engine.memory();
            let is_linked = memory
                .live_on(&instance.id)
                .is_some_and(|live| live.links.iter().any(|link| link.identity == signal.identity));
            let held = memory.held().get(&instance.id);
            let says_until = held.is_some_and(|held| match held.why {
                HeldWhy::For | HeldWhy::Cooldown | HeldWhy::Settle | HeldWhy::Hold(_) => held.until.is_some(),
                HeldWhy::Paused
                | HeldWhy::HostBusy(_)
                | HeldWhy::OptedOut
                | HeldWhy::NoDriver
                | HeldWhy::ContactSupport => true,
            });
            self.must("L1", is_linked || says_until, || {
                let (sign, xid) = (signal.sign.name, signal.sign.xid);
                format!("{sign} {xid:?} fires on {} without a remediation; held: {held:?}", instance.id)
            })?;
        }
        Ok(())
    }

    /// L3, L4: nothing is under way, and nothing waits for its turn.
    fn check_l4(&mut self) -> Turned {
        for record in self.daemon.engine.memory().remediations().values() {
            let row = &record.remediation;
            let invariant = if row.state.is_in_flight() { "L3" } else { "L4" };
            let is_done = row.state == State::PendingApproval && row.due.is_some_and(|due| due.why == DueWhy::Expire);
            self.must(invariant, is_done, || {
                format!(
                    "{} is {} long after the last fault; it waits for {:?}",
                    row.id,
                    row.state.as_str(),
                    row.waits_for
                )
            })?;
        }
        Ok(())
    }

    /// L3 while it lasts: RUNNING ends in bounded time, however the driver behaves.
    pub fn check_l3(&self) -> Turned {
        if self.judge.disabled_since.is_some() {
            return Ok(());
        }
        for record in self.daemon.engine.memory().remediations().values() {
            let row = &record.remediation;
            let Some(attempt) = row.attempt.as_ref().filter(|_| row.state == State::Running) else { continue };
            let policy = &self.site.settings.policy;
            let step = attempt.deadline.since(attempt.intended_at);
            let grace = Duration::from_secs(900) + self.daemon.downtime + self.judge.disabled_for;
            let bound = attempt.intended_at.plus(step * 2 + policy.verify_within + grace).plus(self.skew);
            self.must("L3", self.clock() <= bound, || {
                format!("{} is RUNNING since {} and waits for {:?}", row.id, attempt.intended_at, row.waits_for)
            })?;
        }
        Ok(())
    }

    /// The daemon hears of a firing.
    pub fn told_of(&mut self, signal: usize, start: Timestamp) {
        let now = self.now;
        let truth = &self.site.signals[signal];
        let Some(unmet) = truth.unmet.filter(|unmet| unmet.told.is_none() && truth.since == Some(start)) else {
            return;
        };
        let instance = self.site.instance(&self.site.instances[truth.node].id);
        let episode = self.daemon.rows.last_episode(truth.identity);
        let excuse = match episode {
            None => Some("the turn was lost"),
            Some(alert) if alert.state != AlertState::Firing => Some("unconfirmed"),
            Some(alert) if alert.joined.is_err() => Some("unjoined"),
            Some(alert) if alert.instance() != instance.map(|instance| &instance.id) => Some("another machine's name"),
            Some(_) if self.site.calls(truth.sign).is_none() => Some("rule off"),
            Some(_) => {
                let held = instance.and_then(|there| self.daemon.engine.memory().held().get(&there.id));
                held.map(|held| held.why.as_str()).or(unmet.excuse)
            }
        };
        self.site.signals[signal].unmet = Some(Unmet { told: Some(now), excuse });
        // An end of which nobody told: for the daemon it never ceased to fire, and is linked already.
        let identity = self.site.signals[signal].identity;
        let linked = self.daemon.engine.memory().linked_to(identity).next();
        if linked.is_some_and(|id| {
            self.daemon.rows.links(id).any(|link| link.identity == identity && link.cleared_at.is_none())
        }) {
            self.met(signal);
        }
    }

    /// A crash took rows away: what the daemon was told in them, it was not told.
    pub fn untold(&mut self) {
        for signal in &mut self.site.signals {
            let episode = self.daemon.rows.last_episode(signal.identity);
            let is_known = episode.is_some_and(|alert| alert.state != AlertState::Resolved);
            if let Some(unmet) = signal.unmet.as_mut().filter(|_| !is_known) {
                unmet.told = None;
            }
        }
    }

    /// A row says what a node waits for.
    pub fn excused(&mut self, instance: &InstanceId, why: &'static str) {
        let Some(node) = self.site.instances.iter().position(|known| known.id == *instance) else { return };
        for signal in self.site.signals.iter_mut().filter(|signal| signal.node == node) {
            if let Some(unmet) = &mut signal.unmet {
                unmet.excuse = Some(why);
            }
        }
    }

    /// A firing found its remediation.
    pub fn met(&mut self, signal: usize) {
        let truth = &mut self.site.signals[signal];
        let (Some(since), Some(unmet)) = (truth.since, truth.unmet.take()) else { return };
        let Some(hold_for) = self.site.calls(self.site.signals[signal].sign).filter(|_| !self.is_fair) else { return };
        let told = unmet.told.unwrap_or(self.now);
        self.tally.told_after.push(told.since(since).as_secs());
        let late = self.now.since(told.plus(hold_for)).as_secs();
        if late <= ON_TIME.as_secs() {
            self.tally.on_time += 1;
        } else {
            self.tally.late.entry(unmet.excuse.unwrap_or("nothing that was said")).or_default().push(late);
        }
    }

    /// A fault is over that never got a remediation.
    pub fn count_unmet(&mut self, signal: usize) {
        let truth = &self.site.signals[signal];
        let (Some(since), Some(unmet)) = (truth.since, truth.unmet) else { return };
        let Some(hold_for) = self.site.calls(truth.sign) else { return };
        if self.now.since(since) < WORTH_ONE + hold_for || self.is_fair {
            return;
        }
        let why = match unmet {
            Unmet { told: None, .. } if self.is_muted(signal) => "silenced at the source",
            Unmet { told: None, .. } if !self.daemon.is_up => "daemon down",
            Unmet { told: None, .. } => "not told by the source",
            Unmet { excuse, .. } => excuse.unwrap_or("nothing that was said"),
        };
        *self.tally.never.entry(why).or_default() += 1;
    }
}
