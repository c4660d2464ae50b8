//! Every answer that a driver may give after an abort, and what it leads to: the table that the stories draw from.

use super::*;
use crate::domain::{EffectId, FailureCode, Outcome, Remediation, Role};

const OUTCOMES: [Outcome; 5] = [Outcome::Done, Outcome::Refused, Outcome::Transient, Outcome::Unknown, Outcome::Absent];

/// A manual repair of i-7 whose act is out, and the writer's part around it.
struct Repair {
    engine: Engine,
    changes: Vec<Change>,
    calls: Vec<(EffectId, CallVerb)>,
    second: i64,
}

impl Repair {
    fn begun() -> Self {
        let mut repair = Self { engine: Engine::new([], 1), changes: Vec::new(), calls: Vec::new(), second: 0 };
        for input in [configured(|_| {}), Input::Started, create("i-7"), Input::Tick] {
            repair.step(input);
        }
        assert_eq!(repair.out(), Some(CallVerb::Act));
        repair
    }

    fn step(&mut self, input: Input) -> Reply {
        self.second += 1;
        let step = self.engine.step(at(self.second), input, Past::default());
        self.changes.extend(step.changes);
        for effect in step.effects {
            if let EffectKind::Call(call) = &effect.kind {
                self.calls.push((effect.id, call.verb));
            }
        }
        step.reply
    }

    fn row(&self) -> Remediation {
        let row_of =
            |change: &Change| if let Change::Remediation(row) = change { Some(row.as_ref().clone()) } else { None };
        self.changes.iter().rev().find_map(row_of).unwrap()
    }

    /// The call that is waited for.
    fn out(&self) -> Option<CallVerb> {
        let (id, verb) = *self.calls.last()?;
        (self.row().awaits == Some(id)).then_some(verb)
    }

    fn answer(&mut self, outcome: Outcome) {
        let (effect_id, _) = *self.calls.last().unwrap();
        let detail = "said so".to_owned();
        self.step(Input::Acted { effect_id, outcome, detail, generation: None, boot_id: None });
        self.step(Input::Tick);
    }

    fn abort_as(&mut self, role: Role, reason: &str) -> Reply {
        let principal = Principal { name: "ann".into(), role, clusters: None };
        let selector = Selector { cluster_id: None, instance_id: None, remediation: self.row().id.to_string() };
        self.step(Input::Asked(principal, Command::Abort { selector, reason: reason.into() }))
    }

    fn abort(&mut self) {
        let reply = self.abort_as(Role::Operator, "wrong node");
        assert!(matches!(reply, Reply::Remediation(_)), "{reply:?}");
        self.step(Input::Tick);
    }

    /// How it ended, what stands by its own words, and whether the node is held.
    fn ended(&self) -> Option<(FailureCode, &'static str, bool)> {
        let failure = self.row().failure?;
        let known = ["did not happen", "was undone", "the act stands", "happened cannot", "was undone cannot"];
        let what = known.into_iter().rfind(|what| failure.detail.contains(what)).unwrap();
        let is_held = self.engine.memory().hold_on(&InstanceId::parse("i-7").unwrap()).is_some();
        Some((failure.code, what, is_held))
    }

    /// In the middle of undoing.
    fn undoing() -> Self {
        let mut repair = Self::begun();
        repair.abort();
        repair.answer(Outcome::Done);
        assert_eq!(repair.out(), Some(CallVerb::Undo));
        repair
    }
}

#[test]
fn an_abort_waits_for_the_act_and_undoes_only_what_stands() {
    for outcome in OUTCOMES {
        let mut repair = Repair::begun();
        repair.abort();
        assert_eq!((repair.out(), repair.row().version), (Some(CallVerb::Act), 3), "its answer is awaited");
        repair.answer(outcome);
        let (out, ended) = match outcome {
            Outcome::Done => (Some(CallVerb::Undo), None),
            Outcome::Refused | Outcome::Transient => (None, Some((FailureCode::Aborted, "did not happen", false))),
            Outcome::Unknown | Outcome::Absent => (Some(CallVerb::Query), None),
        };
        assert_eq!((repair.out(), repair.ended()), (out, ended), "{outcome:?}");
    }
}

#[test]
fn what_is_asked_after_an_abort_is_undone_or_never_was() {
    for outcome in OUTCOMES {
        let mut repair = Repair::begun();
        repair.answer(Outcome::Unknown);
        assert_eq!(repair.out(), Some(CallVerb::Query));
        repair.abort();
        repair.answer(outcome);
        let (out, ended) = match outcome {
            Outcome::Done => (Some(CallVerb::Undo), None),
            Outcome::Refused | Outcome::Absent => (None, Some((FailureCode::Aborted, "did not happen", false))),
            Outcome::Transient | Outcome::Unknown => (None, None),
        };
        assert_eq!((repair.out(), repair.ended()), (out, ended), "{outcome:?}");
    }
}

#[test]
fn an_undoing_ends_it_or_is_asked_about() {
    for outcome in OUTCOMES {
        let mut repair = Repair::undoing();
        repair.answer(outcome);
        let (out, ended) = match outcome {
            Outcome::Done => (None, Some((FailureCode::Aborted, "was undone", false))),
            Outcome::Refused => (None, Some((FailureCode::Aborted, "the act stands", true))),
            Outcome::Transient => (None, None),
            Outcome::Unknown | Outcome::Absent => (Some(CallVerb::Query), None),
        };
        assert_eq!((repair.out(), repair.ended()), (out, ended), "{outcome:?}");
    }
}

#[test]
fn what_is_asked_about_an_undoing_is_undone_once_more_or_is_gone() {
    for outcome in OUTCOMES {
        let mut repair = Repair::undoing();
        repair.answer(Outcome::Unknown);
        repair.answer(outcome);
        let (out, ended) = match outcome {
            Outcome::Done => (Some(CallVerb::Undo), None),
            Outcome::Refused | Outcome::Absent => (None, Some((FailureCode::Aborted, "was undone", false))),
            Outcome::Transient | Outcome::Unknown => (None, None),
        };
        assert_eq!((repair.out(), repair.ended()), (out, ended), "{outcome:?}");
    }
}

#[test]
fn whatever_is_answered_after_an_abort_it_ends_and_acts_no_more() {
    // Every sequence of four answers, then silence until all deadlines are over.
    for n in 0..OUTCOMES.len().pow(4) {
        let words: Vec<Outcome> = (0..4).map(|at| OUTCOMES[n / OUTCOMES.len().pow(at) % OUTCOMES.len()]).collect();
        for abort_after in 0..3 {
            let mut repair = Repair::begun();
            for (at, word) in words.iter().enumerate() {
                if at == abort_after && repair.row().state == State::Running {
                    repair.abort();
                }
                let acts = repair.calls.iter().filter(|(_, verb)| *verb == CallVerb::Act).count();
                repair.answer(*word);
                let is_aborted = repair.row().attempt.is_some_and(|attempt| attempt.abort.is_some());
                let more = repair.calls.iter().filter(|(_, verb)| *verb == CallVerb::Act).count() - acts;
                assert!(!is_aborted || more == 0, "{words:?} after {abort_after}: it acts after the abort");
            }
            while !repair.row().state.is_terminal() {
                assert!(repair.second < 20_000, "{words:?} after {abort_after}: {:?}", repair.row());
                match repair.out() {
                    Some(_) => repair.answer(Outcome::Unknown),
                    None => repair.second += 60,
                }
                repair.step(Input::Tick);
            }
            let fold = Engine::new(&repair.changes, 2);
            assert!(fold.memory() == repair.engine.memory(), "{words:?}: memory is not the fold of the rows");
        }
    }
}

#[test]
fn an_abort_needs_an_operator_and_a_reason_and_is_said_once() {
    let mut repair = Repair::begun();
    let viewer = repair.abort_as(Role::Viewer, "x");
    assert!(
        matches!(viewer, Reply::Refused(Refusal::NotAllowed { verb: "abort", needed: "operator", .. })),
        "{viewer:?}"
    );
    for reason in [String::new(), "  ".into(), "x".repeat(4097)] {
        let refused = repair.abort_as(Role::Operator, &reason);
        assert!(matches!(refused, Reply::Refused(Refusal::Invalid { field: "reason", .. })), "{refused:?}");
    }
    assert_eq!(repair.row().version, 2);
    repair.abort();
    let first = repair.row();
    repair.abort_as(Role::Operator, "another reason");
    assert_eq!(repair.row(), first, "the second word changes nothing");
    let line_of =
        |change: &Change| if let Change::Transition(line) = change { Some(line.as_ref().clone()) } else { None };
    let line = repair.changes.iter().rev().find_map(line_of).unwrap();
    assert_eq!((line.from, line.to, line.version), (Some(State::Running), State::Running, 3));
    assert_eq!((line.principal.as_str(), &*line.verb, line.reason.as_str()), ("ann", "abort", "wrong node"));
}

#[test]
fn what_waits_for_a_call_that_no_row_knows_is_asked_about_after_a_start() {
    let mut repair = Repair::begun();
    let known: Vec<Change> =
        repair.changes.iter().filter(|change| !matches!(change, Change::Pending(_))).cloned().collect();
    repair.engine = Engine::new(&known, 2);
    for input in [configured(|_| {}), Input::Started, Input::Tick] {
        repair.step(input);
    }
    assert_eq!(repair.out(), Some(CallVerb::Query));
}

#[test]
fn a_restored_store_asks_before_it_undoes_once_more() {
    let mut repair = Repair::begun();
    repair.abort();
    repair.answer(Outcome::Done);
    assert_eq!(repair.out(), Some(CallVerb::Undo));
    repair.answer(Outcome::Transient);
    // As it is where the act was done before somebody aborted it.
    let mut row = repair.row();
    row.attempt.as_mut().unwrap().done_at = Some(at(3));
    repair.changes.push(Change::Remediation(Box::new(row)));
    repair.engine = Engine::new(&repair.changes, 2);
    let restored = Input::Restored { epoch: 2, why: "it was copied".to_owned() };
    for input in [restored, configured(|_| {}), Input::Started] {
        repair.step(input);
    }
    repair.step(Input::Asked(Principal::local(), Command::Enable));
    repair.second += 600;
    repair.step(Input::Tick);
    assert_eq!(repair.out(), Some(CallVerb::Query));
}
