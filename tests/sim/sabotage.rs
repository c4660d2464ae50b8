//! One small lie each, told at the harness's own edge, that breaks one invariant: a simulator that does not find it within
//! 100,000 turns is worth nothing for that invariant.

use std::sync::Arc;
use std::time::Duration;

use remedyd::domain::matcher::Matchers;
use remedyd::domain::{
    AlertState, DriverId, Finding, HostId, Identity, Instance, InstanceId, Mode, Observation, Probed, RuleId, State,
    Trigger, Verdict,
};
use remedyd::engine::settings::Enforce;
use remedyd::engine::{
    CallVerb, Change, Configured, EffectKind, Input, Look, LookPurpose, Refusal, Reply, Sighting, Step,
};

use super::site::Site;
use super::world::World;

pub struct Sabotage {
    /// The invariant that it breaks.
    pub finds: &'static str,
    /// What is done, in words.
    pub what: &'static str,
    pub deed: Deed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    ApprovalEndsIt,
    EndWithoutTime,
    HistoryGap,
    SecondReviewWins,
    ReviewForgotten,
    HeavierCall,
    EndNotStored,
    LeaveEarly,
    CallTwice,
    StrangersVouch,
    WrongInventory,
    LimitTimesTen,
    OtherMachine,
    EndOfAlertNotStored,
    FailureAsResolved,
    LinkNotStored,
    RepairsNotStored,
    LoseSynced,
    Miscount,
    HoldNotStored,
    PauseNotStored,
    PendingNotStored,
    HeldNotStored,
    RuleOffUnknown,
    AnswersLost,
    NoPlace,
    NothingSeen,
    EmptyAsSilenced,
    UnconfirmedAsFiring,
    CooldownTimesTen,
    NoFor,
    RestoreUnnoticed,
    TornTurn,
    OtherDriver,
    NoFaultGuard,
    ErrorIsFail,
    InconclusiveIsPass,
    NothingSticks,
    OnePassIsEnough,
    OneFailIsEnough,
    NoRound,
    ConditionNotStored,
    NothingSelected,
}

pub static ALL: [Sabotage; 45] = [
    one("I1", "an approval is stored as a success", Deed::ApprovalEndsIt),
    one("I2", "an end is stored without its time", Deed::EndWithoutTime),
    one("I3", "a line of history is not stored", Deed::HistoryGap),
    one("I4", "a review that came too late is answered as done", Deed::SecondReviewWins),
    one("I5", "an approval is not stored", Deed::ReviewForgotten),
    one("I8", "a call asks for a power cycle instead", Deed::HeavierCall),
    one("I9", "the end of a remediation is not stored", Deed::EndNotStored),
    one("I10", "effects leave before their batch is on disk", Deed::LeaveEarly),
    one("I11", "the daemon is not told that a machine was replaced", Deed::WrongInventory),
    one("I12", "a call is sent once more a quarter of an hour later", Deed::CallTwice),
    one("I13", "a look is answered with somebody else's alerts", Deed::StrangersVouch),
    one("I14", "a restored store is not noticed", Deed::RestoreUnnoticed),
    one("I15", "the daemon reads ten times the limit", Deed::LimitTimesTen),
    one("I19", "a call names another machine", Deed::OtherMachine),
    one("I21", "the end of an alert is not stored", Deed::EndOfAlertNotStored),
    one("I22", "a failed repair is stored as resolved by itself", Deed::FailureAsResolved),
    one("I23", "a link is not stored", Deed::LinkNotStored),
    one("I24", "a node's repairs are not stored", Deed::RepairsNotStored),
    one("I25", "a node's repairs are not stored", Deed::RepairsNotStored),
    one("I26", "a hold is not stored", Deed::HoldNotStored),
    one("I26", "a kill switch is not stored", Deed::PauseNotStored),
    one("I29", "the disk loses a batch that it said was synced", Deed::LoseSynced),
    one("I28", "a call names another driver", Deed::OtherDriver),
    one("I30", "half of a turn reaches the disk", Deed::TornTurn),
    one("I33", "an alert of a message is not accounted for", Deed::Miscount),
    one("proven", "a look after the act sees nothing", Deed::NothingSeen),
    one("truth", "an unconfirmed alert is stored as firing", Deed::UnconfirmedAsFiring),
    one("due", "the daemon reads ten times the cooldown", Deed::CooldownTimesTen),
    one("ripe", "the daemon reads no rule's for", Deed::NoFor),
    one("doubt", "a look that finds nothing is handed on as silenced", Deed::EmptyAsSilenced),
    one("fold", "a hold is not stored", Deed::HoldNotStored),
    one("pending", "an effect has no pending row", Deed::PendingNotStored),
    one("I20", "the daemon is told of forty more nodes, all of them well", Deed::NoFaultGuard),
    one("I20", "ERROR is handed on as FAIL", Deed::ErrorIsFail),
    one("I20", "the daemon reads failures_before = 1", Deed::OneFailIsEnough),
    one("I20", "the daemon reads a round of no time", Deed::NoRound),
    one("I21", "INCONCLUSIVE is handed on as PASS", Deed::InconclusiveIsPass),
    one("I21", "the daemon reads passes_before = 1", Deed::OnePassIsEnough),
    one("sticky", "no finding is handed on as sticky", Deed::NothingSticks),
    one("fold", "what checks make us believe is not stored", Deed::ConditionNotStored),
    one("L1", "the daemon reads checks that select nothing", Deed::NothingSelected),
    one("L1", "what a node waits for is not stored", Deed::HeldNotStored),
    one("L2", "the daemon reads a rule as off", Deed::RuleOffUnknown),
    one("L3", "no answer of a driver arrives", Deed::AnswersLost),
    one("L4", "the daemon reads a limit of none in flight", Deed::NoPlace),
];

const fn one(finds: &'static str, what: &'static str, deed: Deed) -> Sabotage {
    Sabotage { finds, what, deed }
}

impl World {
    pub fn does(&self, deed: Deed) -> bool {
        self.sabotage.is_some_and(|sabotage| sabotage.deed == deed)
    }

    /// What a step led to, before it is stored and answered.
    pub fn spoil(&self, step: &mut Step) {
        let Some(Sabotage { deed, .. }) = self.sabotage else { return };
        match deed {
            Deed::ApprovalEndsIt => each_transition(step, |from, to| {
                (from == Some(State::PendingApproval) && to == State::Pending).then_some(State::Succeeded)
            }),
            Deed::FailureAsResolved => each_transition(step, |from, to| {
                (from == Some(State::Running) && to == State::Failed).then_some(State::AutoResolved)
            }),
            Deed::HistoryGap => {
                step.changes.retain(|change| !matches!(change, Change::Transition(row) if row.version == 2))
            }
            Deed::LinkNotStored => step.changes.retain(|change| !matches!(change, Change::Link(_))),
            Deed::RepairsNotStored => step.changes.retain(|change| !matches!(change, Change::NodeMemory(_))),
            Deed::HoldNotStored => step.changes.retain(|change| !matches!(change, Change::Hold(_))),
            Deed::PauseNotStored => step.changes.retain(|change| !matches!(change, Change::Pause(_))),
            Deed::ConditionNotStored => step.changes.retain(|change| !matches!(change, Change::Condition(_))),
            Deed::PendingNotStored => step.changes.retain(|change| !matches!(change, Change::Pending(_))),
            Deed::HeldNotStored => step.changes.retain(|change| !matches!(change, Change::Held(_))),
            Deed::EndNotStored => {
                step.changes.retain(|change| !matches!(change, Change::Remediation(row) if row.state.is_terminal()));
            }
            Deed::EndOfAlertNotStored => {
                step.changes
                    .retain(|change| !matches!(change, Change::Alert(row) if row.state == AlertState::Resolved));
            }
            Deed::EndWithoutTime => each_row(step, |row| row.ended_at = None),
            Deed::ReviewForgotten => each_row(step, |row| {
                if row.trigger == Trigger::Automated {
                    row.review = None;
                }
            }),
            Deed::SecondReviewWins => {
                let late = match &step.reply {
                    Reply::Refused(Refusal::WrongState { id, verb: "approved" | "rejected", .. }) => Some(*id),
                    _ => None,
                };
                let record = late.and_then(|id| self.daemon.engine.memory().remediations().get(&id).cloned());
                if let Some(record) = record {
                    step.reply = Reply::Remediation(Box::new(record));
                }
            }
            Deed::Miscount => {
                if let Reply::Received { merged, .. } = &mut step.reply {
                    *merged = merged.saturating_sub(1);
                }
            }
            Deed::HeavierCall => each_act(step, |call| call.mode = Mode::HostPowerCycle),
            Deed::OtherDriver => each_act(step, |call| {
                call.driver = DriverId::parse("fix").expect("it is a name");
            }),
            Deed::OtherMachine => each_act(step, |call| {
                call.target.instance_id = InstanceId::parse("i-other").expect("it is a name");
            }),
            Deed::LeaveEarly
            | Deed::CallTwice
            | Deed::StrangersVouch
            | Deed::WrongInventory
            | Deed::LimitTimesTen
            | Deed::LoseSynced
            | Deed::RuleOffUnknown
            | Deed::AnswersLost
            | Deed::NoPlace
            | Deed::NothingSeen
            | Deed::EmptyAsSilenced
            | Deed::CooldownTimesTen
            | Deed::NoFor
            | Deed::RestoreUnnoticed
            | Deed::TornTurn
            | Deed::NoFaultGuard
            | Deed::ErrorIsFail
            | Deed::InconclusiveIsPass
            | Deed::NothingSticks
            | Deed::OnePassIsEnough
            | Deed::OneFailIsEnough
            | Deed::NoRound
            | Deed::NothingSelected => {}
            Deed::UnconfirmedAsFiring => {
                for change in &mut step.changes {
                    if let Change::Alert(row) = change
                        && row.state == AlertState::RefiredUnconfirmed
                    {
                        row.state = AlertState::Firing;
                    }
                }
            }
        }
    }

    /// What comes to the daemon.
    pub fn spoiled_input(&self, mut input: Input) -> Option<Input> {
        let is_lost = self.does(Deed::AnswersLost) && matches!(input, Input::Acted { .. });
        if let Input::Probed { runs, .. } | Input::Looked { runs, .. } = &mut input {
            runs.iter_mut().for_each(|run| self.spoil_run(run));
        }
        if let Input::Probed { runs, .. } = &mut input
            && self.does(Deed::NoFaultGuard)
        {
            let first = runs.first().cloned();
            let well = |run: &Probed, node: &Instance| Probed {
                instance_id: node.id.clone(),
                generation: node.generation.clone(),
                observation: Observation::pass("it is always well"),
                ..run.clone()
            };
            runs.splice(0..0, first.iter().flat_map(|run| crowd().map(|node| well(run, &node))).collect::<Vec<_>>());
        }
        (!is_lost).then_some(input)
    }

    fn spoil_run(&self, run: &mut Probed) {
        let observation = &mut run.observation;
        match observation.verdict {
            Verdict::Error if self.does(Deed::ErrorIsFail) => {
                observation.verdict = Verdict::Fail;
                observation.findings = vec![Finding::new("timeout", "no answer")];
            }
            Verdict::Inconclusive if self.does(Deed::InconclusiveIsPass) => {
                observation.verdict = Verdict::Pass;
                observation.devices = vec!["GPU-0".into()];
            }
            Verdict::Fail if self.does(Deed::NothingSticks) => {
                observation.findings.iter_mut().for_each(|finding| finding.is_sticky = false);
            }
            _ => {}
        }
    }

    pub fn spoiled_look(&self, found: Result<Vec<Sighting>, String>, look: &Look) -> Result<Vec<Sighting>, String> {
        match found {
            Ok(found)
                if found.is_empty() && look.purpose == LookPurpose::Validate && self.does(Deed::EmptyAsSilenced) =>
            {
                let silenced = |identity: &Identity| Sighting { identity: *identity, muted: true };
                Ok(look.wanted.values().flatten().map(silenced).collect())
            }
            Ok(_) if look.purpose == LookPurpose::Verify && self.does(Deed::NothingSeen) => Ok(Vec::new()),
            Ok(found) if found.is_empty() && self.does(Deed::StrangersVouch) => {
                let identity = self.site.signals[0].identity;
                Ok(vec![Sighting { identity, muted: false }])
            }
            other => other,
        }
    }

    /// What the daemon reads of its files.
    pub fn spoiled_settings(&self, mut told: Configured) -> Configured {
        let settings = Arc::make_mut(&mut told.settings);
        if self.does(Deed::LimitTimesTen) {
            settings.limits.in_flight *= 10;
            settings.limits.in_flight_percent = 100;
        }
        if self.does(Deed::CooldownTimesTen) {
            settings.policy.cooldown *= 10;
        }
        if self.does(Deed::NoFor) {
            settings.rules.values_mut().for_each(|rule| rule.hold_for = Duration::ZERO);
        }
        for policy in settings.checks.values_mut() {
            if self.does(Deed::OnePassIsEnough) {
                policy.passes_before = 1;
            }
            if self.does(Deed::OneFailIsEnough) {
                policy.failures_before = 1;
            }
            if self.does(Deed::NoRound) {
                policy.round = Duration::ZERO;
            }
            if self.does(Deed::NothingSelected) {
                policy.select = Matchers::parse("name=\"nobody\"").expect("it is a matcher");
            }
        }
        if self.does(Deed::NoPlace) {
            settings.limits.in_flight = 0;
        }
        if self.does(Deed::RuleOffUnknown) {
            let rule = settings.rules.get_mut(&RuleId::parse("hbm").expect("it is a name"));
            rule.expect("the rule is there").enforce = Enforce::Off;
        }
        if self.does(Deed::WrongInventory) {
            told.instances = Site::new().inventory;
        }
        if self.does(Deed::NoFaultGuard) {
            told.instances.extend(crowd());
        }
        told
    }
}

/// Forty nodes that nobody has.
fn crowd() -> impl Iterator<Item = Instance> {
    let there = Site::new().inventory[0].clone();
    (0..40).map(move |n| Instance {
        id: InstanceId::parse(&format!("i-crowd-{n}")).expect("it is a name"),
        name: format!("crowd-{n}"),
        host_id: HostId::parse(&format!("h-crowd-{n}")).expect("it is a name"),
        ..there.clone()
    })
}

fn each_transition(step: &mut Step, to: impl Fn(Option<State>, State) -> Option<State>) {
    for change in &mut step.changes {
        if let Change::Transition(row) = change {
            row.to = to(row.from, row.to).unwrap_or(row.to);
        }
    }
}

fn each_row(step: &mut Step, edit: impl Fn(&mut remedyd::domain::Remediation)) {
    for change in &mut step.changes {
        if let Change::Remediation(row) = change {
            edit(row);
        }
    }
}

fn each_act(step: &mut Step, edit: impl Fn(&mut remedyd::engine::Call)) {
    for effect in &mut step.effects {
        if let EffectKind::Call(call) = &mut effect.kind
            && call.verb == CallVerb::Act
        {
            edit(call);
        }
    }
}
