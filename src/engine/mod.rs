//! The functional core: what a signal means, what would repair it, whether that may happen, and what happens next.
//!
//! One door in ([`Input`]), one memory ([`memory::Memory`], changed only by its `apply(&Change)`), one door out
//! ([`Effect`]). [`Engine::step`] is a plain function of what it is given: no clock, no disk, no network, no await.
//! The rooms call one way only: `health → policy → guard → remediation → plan`; what one of them leaves for an earlier
//! one (an instance to look at again, a place that is free) waits in the [`turn::Turn`] until the step's end.

mod agenda;
mod authority;
pub mod change;
mod commands;
pub mod conditions;
mod configured;
pub mod effect;
mod execution;
mod few;
mod guard;
mod health;
mod holds;
pub mod ids;
pub mod input;
mod lifecycle;
pub mod memory;
mod names;
mod packed;
pub mod past;
mod pauses;
mod plan;
mod policy;
pub mod refusal;
mod remediation;
mod retention;
mod rows;
mod said;
pub mod settings;
pub mod signs;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod turn;

use std::collections::BTreeSet;
use std::sync::Arc;

use authority::{check_text, require};
pub use change::Change;
pub use effect::{Call, CallVerb, ChecksOf, Effect, EffectKind, Look, Notice, NoticeEvent};
pub use health::join;
use ids::IdSource;
pub use input::{
    Command, Configured, DeadReport, Delivery, Input, LookPurpose, Report, ReportStatus, Selector, Sighting,
};
use memory::{Memory, Resting};
pub use past::{Back, Past, PastKey};
pub use policy::{Verdict, judge};
pub use refusal::{Refusal, Reply};
pub use settings::Settings;
use turn::Turn;
pub use turn::{Decision, Made};

use health::Asker;

use crate::domain::{ClusterId, EffectId, Probed, RemediationId, Timestamp};

/// The principal of everything that the engine does by itself.
pub const SYSTEM: &str = "remedyd";

/// What one input led to. Effects and reply must not leave before the changes are on disk.
pub struct Step {
    /// The rows to write, in order.
    pub changes: Vec<Change>,
    /// What to do then.
    pub effects: Vec<Effect>,
    /// What to answer then.
    pub reply: Reply,
    /// What rules decided, for the metrics.
    pub decisions: Vec<Decision>,
}

/// Memory, configuration and the source of ids: everything that a step depends on besides its input and the time.
pub struct Engine {
    memory: Memory,
    /// Nothing until the first [`Input::Configured`]: without rules, drivers and times nothing can be decided.
    settings: Option<Arc<Settings>>,
    ids: IdSource,
    inherited: Inherited,
    resting: Resting,
}

/// What an earlier process left under way.
#[derive(Default)]
struct Inherited {
    /// Effects that are pending; what this process wanted is on its way and is not asked for again.
    effects: BTreeSet<EffectId>,
    /// The remediations that wait for an effect.
    waiting: BTreeSet<RemediationId>,
}

impl Engine {
    /// An engine that remembers `live`, the fold of what is on disk. `seed` makes its ids.
    pub fn new<'a>(live: impl IntoIterator<Item = &'a Change>, seed: u64) -> Self {
        let (mut memory, mut waiting) = (Memory::default(), BTreeSet::new());
        for change in live {
            memory.apply(change);
            // Here each row is open; later most are packed.
            if let Change::Remediation(row) = change
                && row.awaits.is_some()
            {
                waiting.insert(row.id);
            }
        }
        let inherited = Inherited { effects: memory.pending().keys().copied().collect(), waiting };
        Self { memory, settings: None, ids: IdSource::new(seed), inherited, resting: Resting::default() }
    }

    /// The same, with no more than so many rows of a kind unpacked: slower, and otherwise no different.
    pub fn with_open_rows(mut self, most: usize) -> Self {
        self.memory.keep_open(most);
        self
    }

    /// What it knows.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// When it has to be stepped again even if nothing happens. Before there is a configuration nothing is due: an overdue
    /// repair would find no driver, and fail.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.settings.as_ref()?;
        self.memory.agenda().first().map(|(at, _)| *at)
    }

    /// By what it decides, once it was told.
    pub fn settings(&self) -> Option<&Arc<Settings>> {
        self.settings.as_ref()
    }

    /// How many places in flight of a cluster are taken, and how many it has.
    pub fn places(&self, cluster: &ClusterId) -> (usize, usize) {
        let limits = self.settings.as_ref().map(|settings| &settings.limits);
        let cap = limits.map_or(0, |limits| guard::in_flight_cap(&self.memory, limits, cluster));
        (self.memory.places_taken(cluster), cap)
    }

    /// Why the prober seems to be at fault, if it does: what fails then opens nothing.
    pub fn prober_fault(&self, now: Timestamp) -> Option<String> {
        health::prober_fault(&self.memory, now)
    }

    /// The stored rows that [`Engine::step`] needs to see for this input at this time.
    pub fn wanted(&self, now: Timestamp, input: &Input) -> Vec<PastKey> {
        let settings = self.settings.clone().unwrap_or_default();
        match input {
            Input::Delivered(delivery) => health::wanted(&self.memory, &settings, delivery, now),
            Input::Probed { runs, .. } | Input::Looked { runs, .. } => {
                health::wanted_by_runs(&self.memory, &settings, runs)
            }
            Input::Tick => health::wanted_by_time(&self.memory, now),
            Input::Asked(_, command) => commands::wanted(command),
            Input::Restored { .. }
            | Input::Configured(_)
            | Input::Started
            | Input::Acted { .. }
            | Input::Notified { .. }
            | Input::Checkpointed { .. } => Vec::new(),
        }
    }

    /// To be called while nothing comes: memory takes less room afterwards, and is no other. Says from when on there is more to do.
    pub fn rest(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.resting.go_on(&mut self.memory, now)
    }

    /// Takes one input.
    pub fn step(&mut self, now: Timestamp, input: Input, past: Past) -> Step {
        if let Input::Configured(configured) = &input {
            self.settings = Some(Arc::clone(&configured.settings));
        }
        let settings = self.settings.clone().unwrap_or_default();
        let mut turn = Turn::new(&mut self.memory, &settings, &mut self.ids, now, past);
        let reply = take(&mut turn, input, &mut self.inherited);
        settle(&mut turn);
        let Made { changes, effects, decisions } = turn.made();
        self.memory.make_room();
        Step { changes, effects, reply, decisions }
    }
}

fn take(turn: &mut Turn<'_>, input: Input, inherited: &mut Inherited) -> Reply {
    match input {
        Input::Restored { epoch, why } => execution::disable(turn, epoch, why),
        Input::Configured(configured) => configured::take(turn, *configured),
        Input::Started => {
            health::restarted(turn);
            restart(turn, &std::mem::take(inherited));
        }
        Input::Delivered(delivery) => return health::deliver(turn, delivery),
        Input::Probed { runs, on_demand } => {
            let asker = if on_demand { Asker::Person } else { Asker::Schedule };
            return health::probed(turn, &runs, asker);
        }
        Input::Asked(principal, command) => {
            return commands::take(turn, &principal, command).unwrap_or_else(Reply::Refused);
        }
        Input::Acted { effect_id, outcome, detail, generation, boot_id } => {
            if let Some(EffectKind::Call(call)) = settled(turn, effect_id) {
                plan::acted(turn, &call, plan::Answer { outcome, detail, generation, boot_id });
            }
        }
        Input::Looked { effect_id, found, runs } => {
            // Whoever waited for them: they are evidence.
            health::probed(turn, &runs, Asker::Remediation);
            if let Some(EffectKind::Look(look)) = settled(turn, effect_id) {
                looked(turn, &look, found, &runs);
            }
        }
        Input::Notified { effect_id, failure: _ } => {
            turn.settle(effect_id);
        }
        Input::Checkpointed { covered } => retention::checkpointed(turn, &covered),
        Input::Tick => agenda::tick(turn),
    }
    Reply::Done
}

/// Somebody looked, as a remediation asked.
fn looked(turn: &mut Turn<'_>, look: &Look, found: Result<Vec<Sighting>, String>, runs: &[Probed]) {
    let said = health::say(turn, look, runs);
    match look.purpose {
        LookPurpose::Validate => {
            if plan::validated(turn, look, found, &said) {
                agenda::start(turn, look.remediation_id);
            }
        }
        LookPurpose::Recheck => plan::rechecked(turn, look.remediation_id, &said),
        LookPurpose::Verify => plan::verified(turn, look.remediation_id, found, &said),
        LookPurpose::Resolve => remediation::probed(turn, look.remediation_id, &said),
    }
}

/// Removes a pending effect, and says what it was where the result is still waited for. A repeat, or the result of
/// something that was overtaken, is only tidied away.
fn settled(turn: &mut Turn<'_>, effect_id: EffectId) -> Option<EffectKind> {
    let kind = turn.memory().pending().get(&effect_id)?.kind.clone();
    turn.settle(effect_id);
    let remediation = match &kind {
        EffectKind::Call(call) => call.remediation_id,
        EffectKind::Look(look) => look.remediation_id,
        EffectKind::Notify(_) => return None,
    };
    let awaited = turn.memory().remediations().get(&remediation)?.remediation.awaits;
    (awaited == Some(effect_id)).then_some(kind)
}

/// Asks again for everything that was pending. A call may or may not have left the last process, so it becomes a question.
/// What waits for an effect of which there is no row, as no commit of ours leaves it, does not wait for ever.
fn restart(turn: &mut Turn<'_>, inherited: &Inherited) {
    let pending: Vec<Effect> =
        inherited.effects.iter().filter_map(|id| turn.memory().pending().get(id).cloned()).collect();
    for effect in pending {
        match &effect.kind {
            EffectKind::Call(call) => {
                let id = call.remediation_id;
                if settled(turn, effect.id).is_some() {
                    plan::resume(turn, id);
                }
            }
            EffectKind::Look(_) | EffectKind::Notify(_) => turn.want_again(effect),
        }
    }
    for id in &inherited.waiting {
        let awaited = turn.memory().remediations().get(id).and_then(|record| record.remediation.awaits);
        if awaited.is_some_and(|effect| !turn.memory().pending().contains_key(&effect)) {
            plan::lost(turn, *id);
        }
    }
}

/// Lets everybody look again whom the input concerned, until nobody is left.
fn settle(turn: &mut Turn<'_>) {
    loop {
        if let Some(instance) = turn.repaired.pop_first() {
            health::spend(turn, &instance);
        } else if let Some(instance) = turn.touched.pop_first() {
            policy::evaluate(turn, &instance);
        } else if let Some(remediation) = turn.stirred.pop_first() {
            remediation::sync_links(turn, remediation);
        } else if let Some(cluster) = turn.freed.pop_first() {
            agenda::start_waiting(turn, &cluster);
        } else {
            break;
        }
    }
}
