//! A provider with a ledger of its own, and drivers that reach it: slow, forgetful, untruthful, or dead in the middle.
//!
//! The ledger, not the daemon, is the judge of what was done (SAFETY §4.3). In cluster `train-a` the provider tells
//! repeats by their operation key; in `train-b` it does whatever it is told, each time, so that only the daemon's own care
//! keeps an act from being done twice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use remedyd::domain::{HostId, InstanceId, Mode, Outcome, Timestamp};
use remedyd::engine::{Call, CallVerb, Effect, EffectKind, Input};

use super::world::{Coming, Turned, World};

#[derive(Default)]
pub struct Provider {
    ledger: BTreeMap<String, Operation>,
    /// Operations whose driver runs; it outlives the daemon, not the machine.
    locked: BTreeSet<String>,
    /// How often the daemon's machine, which is that of its drivers, came up.
    pub machine: u64,
    /// The higher, the worse.
    pub mood: u64,
    /// Until then nobody reaches it.
    pub away_until: Timestamp,
}

struct Operation {
    mode: Mode,
    instance: InstanceId,
    /// How often it was accepted.
    accepted: u32,
    is_finished: bool,
    /// It says that it did it, and did nothing.
    is_lie: bool,
    /// Its generation afterwards.
    generation: Option<String>,
}

impl World {
    /// A driver begins: it holds the operation's lock until its answer is there.
    pub fn takes_lock(&mut self, effect: &Effect) {
        if let EffectKind::Call(call) = &effect.kind
            && call.verb == CallVerb::Act
        {
            self.provider.locked.insert(call.operation_key.clone());
        }
    }

    /// The machine went down, and every driver on it.
    pub fn power_cut(&mut self) {
        self.provider.locked.clear();
        self.provider.machine += 1;
    }

    pub fn called(&mut self, effect: &Effect, life: u64) -> Turned {
        let EffectKind::Call(call) = &effect.kind else { return Ok(()) };
        match call.verb {
            CallVerb::Act => self.acts(effect, call, life),
            CallVerb::Query => {
                let answer = self.is_asked(call);
                self.answers(effect, life, Duration::from_secs(1), answer)
            }
            // Nobody here aborts; and what was done to a machine cannot be taken back.
            CallVerb::Undo => self.answers(effect, life, Duration::from_secs(1), (Outcome::Refused, None)),
        }
    }

    fn acts(&mut self, effect: &Effect, call: &Call, life: u64) -> Turned {
        let key = &call.operation_key;
        if call.driver.as_str() == "rehearse" {
            // It says that it did it, and nothing is touched.
            self.tally.count("rehearsals");
            return self.answers(effect, life, Duration::from_secs(2), (Outcome::Done, None));
        }
        self.tally.count("acts");
        let is_idempotent = call.target.cluster_id.as_str() == "train-a";
        let is_known = self.provider.ledger.contains_key(key);
        let manner = match self.is_fair {
            true => 0,
            // What reached it last still counts, and its answer gets lost.
            false if self.now < self.provider.away_until => 3 + self.dice.upto(0, 2),
            false => self.dice.upto(0, 19 - 4 * self.provider.mood),
        };
        if is_known && is_idempotent {
            let answer = self.is_asked_freely(call);
            return self.answers(effect, life, Duration::from_secs(2), answer);
        }
        let takes = self.within(Duration::from_secs(10), Duration::from_secs(300));
        match manner {
            1 => self.answers(effect, life, Duration::from_secs(2), (Outcome::Refused, None)),
            2 => self.answers(effect, life, Duration::from_secs(2), (Outcome::Transient, None)),
            // Nothing was accepted, and nobody can tell.
            3 => self.answers(effect, life, Duration::from_secs(30), (Outcome::Unknown, None)),
            // Accepted; the driver dies in the middle, and the rest happens or not.
            4 => {
                let is_lie = self.dice.one_in(2);
                self.accepts(call, takes, is_lie)?;
                self.answers(effect, life, takes / 2, (Outcome::Unknown, None))
            }
            // Accepted; the answer is lost, and the driver gives up at its deadline.
            5 => {
                self.accepts(call, takes, false)?;
                let left = call.deadline.since(self.clock());
                self.answers(effect, life, left, (Outcome::Unknown, None))
            }
            _ => {
                let is_lie = !self.is_fair && self.dice.one_in(8);
                let generation = self.accepts(call, takes, is_lie)?;
                self.answers(effect, life, takes + Duration::from_millis(1), (Outcome::Done, generation))
            }
        }
    }

    /// Enters it into the ledger. Says what the generation will be.
    fn accepts(&mut self, call: &Call, takes: Duration, is_lie: bool) -> Result<Option<String>, super::Violation> {
        let makes_new = matches!(call.mode, Mode::VmOnly | Mode::HostAware);
        let next: u64 = call.target.generation.parse::<u64>().unwrap_or(0) + 1;
        let generation = makes_new.then(|| if is_lie { call.target.generation.clone() } else { next.to_string() });
        let instance = call.target.instance_id.clone();
        let fresh = Operation {
            mode: call.mode,
            instance,
            accepted: 0,
            is_finished: false,
            is_lie,
            generation: generation.clone(),
        };
        let operation = self.provider.ledger.entry(call.operation_key.clone()).or_insert(fresh);
        operation.accepted += 1;
        let accepted = operation.accepted;
        self.must("I28", call.target.cluster_id.as_str() != "train-c", || {
            format!("{} is in the ledger, and its cluster only rehearses", call.operation_key)
        })?;
        self.must("I12", accepted <= 1, || format!("{} was accepted {accepted} times", call.operation_key))?;
        self.later(takes, Coming::Finished { key: call.operation_key.clone() });
        Ok(generation)
    }

    /// The work is done: what the mode can cure is cured, and a new machine stands where the old one was.
    pub fn finished(&mut self, key: &str) {
        let Some(operation) = self.provider.ledger.get_mut(key) else { return };
        operation.is_finished = true;
        let (mode, id, is_lie) = (operation.mode, operation.instance.clone(), operation.is_lie);
        let generation = operation.generation.clone();
        self.note(|_| format!("the provider finished {mode} on {id} (lie: {is_lie})"));
        if is_lie {
            return;
        }
        let Some(node) = self.site.instances.iter().position(|instance| instance.id == id) else { return };
        // Not every repair loads the driver anew: what stands on a gauge may go on standing there.
        if generation.is_some() || self.is_fair || self.dice.one_in(2) {
            self.prober.clears_gauge(&id);
        }
        for signal in 0..self.site.signals.len() {
            let is_cured =
                self.site.signals[signal].node == node && !self.site.signals[signal].sign.cure.is_heavier_than(mode);
            if is_cured {
                self.heal(signal);
            }
        }
        if let Some(generation) = generation {
            let instance = &mut self.site.instances[node];
            if mode == Mode::HostAware {
                instance.host_id = HostId::parse(&format!("h-{}-{generation}", instance.name)).unwrap();
            }
            instance.generation = generation;
        }
    }

    fn is_asked(&mut self, call: &Call) -> (Outcome, Option<String>) {
        if self.provider.locked.contains(&call.operation_key) {
            return (Outcome::Unknown, None);
        }
        if !self.is_fair && (self.now < self.provider.away_until || self.dice.one_in(5)) {
            return (if self.dice.one_in(2) { Outcome::Unknown } else { Outcome::Transient }, None);
        }
        self.is_asked_freely(call)
    }

    fn is_asked_freely(&self, call: &Call) -> (Outcome, Option<String>) {
        match self.provider.ledger.get(&call.operation_key) {
            None => (Outcome::Absent, None),
            Some(operation) if operation.is_finished => (Outcome::Done, operation.generation.clone()),
            Some(_) => (Outcome::Unknown, None),
        }
    }

    fn answers(
        &mut self,
        effect: &Effect,
        life: u64,
        after: Duration,
        (outcome, generation): (Outcome, Option<String>),
    ) -> Turned {
        let EffectKind::Call(call) = &effect.kind else { return Ok(()) };
        let detail = format!("{} said {}", call.verb.as_str(), outcome.as_str());
        let input = Input::Acted { effect_id: effect.id, outcome, detail, generation, boot_id: None };
        if !self.is_fair && self.dice.one_in(10) {
            // It answers twice, and changes its mind.
            let mut again = input.clone();
            if let Input::Acted { outcome, .. } = &mut again {
                let words = [Outcome::Done, Outcome::Refused, Outcome::Transient, Outcome::Unknown, Outcome::Absent];
                *outcome = self.dice.one_of(words).expect("there are words");
            }
            self.later(after + Duration::from_secs(3), Coming::Answer { input: again, life });
        }
        if call.verb == CallVerb::Act {
            self.later(after, Coming::Unlock { key: call.operation_key.clone(), machine: self.provider.machine });
        }
        self.later(after, Coming::Answer { input, life });
        Ok(())
    }

    pub fn unlock(&mut self, key: &str, machine: u64) {
        if machine == self.provider.machine {
            self.provider.locked.remove(key);
        }
    }
}
