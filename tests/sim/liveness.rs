//! What must happen in the end: L1 to L4 of SAFETY §4.3, once the world is fair, and how late it happened meanwhile.

use std::time::Duration;

use remedyd::domain::{DueWhy, HeldWhy, State};

use super::alertmanager::REPEAT_INTERVAL;
use super::world::{Turned, World};

/// Longer than `for`, `refire_hold`, `settle` and `cooldown`.
const PATIENCE: Duration = Duration::from_secs(2 * 3600);
/// How many rounds of approvals the end takes: each may wake another repair.
const ROUNDS: u64 = 24;
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
        self.peers_become_well();
        self.advance(Duration::from_secs(3700))?;
        self.site.restore();
        self.reload()?;
        self.lift_all()?;
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
                HeldWhy::HostBusy(_) | HeldWhy::OptedOut | HeldWhy::NoDriver | HeldWhy::ContactSupport => true,
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
        for record in self.daemon.engine.memory().remediations().values() {
            let row = &record.remediation;
            let Some(attempt) = row.attempt.as_ref().filter(|_| row.state == State::Running) else { continue };
            let policy = &self.site.settings.policy;
            let step = attempt.deadline.since(attempt.intended_at);
            let grace = Duration::from_secs(900) + self.daemon.downtime;
            let bound = attempt.intended_at.plus(step * 2 + policy.verify_within + grace).plus(self.skew);
            self.must("L3", self.clock() <= bound, || {
                format!("{} is RUNNING since {} and waits for {:?}", row.id, attempt.intended_at, row.waits_for)
            })?;
        }
        Ok(())
    }

    /// A fault is over that never got a remediation.
    pub fn count_unmet(&mut self, signal: usize) {
        let truth = &self.site.signals[signal];
        let Some(since) = truth.since.filter(|_| truth.unmet) else { return };
        let Some(hold_for) = self.site.calls(truth.sign) else { return };
        if self.now.since(since) < WORTH_ONE + hold_for || self.is_fair {
            return;
        }
        let instance = &self.site.instances[truth.node].id;
        let held = self.daemon.engine.memory().held().get(instance);
        let why = match held.map(|held| held.why.as_str()) {
            Some(why) => why,
            None if self.is_muted(signal) => "silenced",
            None if !self.daemon.is_up => "daemon down",
            None if self.site.instance(instance).is_none() => "not in the inventory",
            None => "not told in time",
        };
        *self.tally.never.entry(why).or_default() += 1;
    }
}
