//! The simulated machines: which faults they have at this moment, and what a repair does to them.
//!
//! Alerts follow from the faults, never the other way round: a repair mends the machine, and then its alerts end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::script::{Fault, Turn};
use crate::domain::Timestamp;

/// An alert as the simulated monitoring holds it.
#[derive(Clone, Debug)]
pub(super) struct Raised {
    /// What it is about.
    pub fault: Fault,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What the simulated repair shop knows of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Running,
    Done,
}

/// Everything that is the case.
#[derive(Debug, Default)]
pub(super) struct World {
    raised: Vec<Raised>,
    operations: BTreeMap<String, Operation>,
    mended: Vec<Fault>,
}

/// How long an alert that ended is remembered: far longer than any message about it takes.
const REMEMBERED: Duration = Duration::from_secs(60);

impl World {
    /// A turn of the script; says whether it changed anything.
    pub(super) fn take(&mut self, turn: &Turn, now: Timestamp) -> bool {
        let known = self.raised.iter_mut().rev().find(|raised| raised.fault == turn.fault);
        match (turn.fires, known) {
            (true, Some(raised)) if raised.ended_at.is_none() => false,
            (true, _) => {
                // The same labels are the same alert: one that fires again is not also one that ended.
                let stays = |raised: &Raised| raised.ended_at.is_none_or(|end| now.since(end) < REMEMBERED);
                self.raised.retain(|raised| raised.fault != turn.fault && stays(raised));
                self.raised.push(Raised { fault: turn.fault.clone(), started_at: now, ended_at: None });
                true
            }
            (false, Some(raised)) if raised.ended_at.is_none() => {
                raised.ended_at = Some(now);
                true
            }
            (false, _) => false,
        }
    }

    /// All alerts, also those that ended a short while ago.
    pub(super) fn raised(&self) -> &[Raised] {
        &self.raised
    }

    /// Whether what a machine has, or had a short while ago, goes away by itself.
    pub(super) fn passes(&self, node: &str) -> bool {
        self.raised.iter().any(|raised| raised.fault.node == node && raised.fault.passes())
    }

    /// What repairs have mended since this was asked last.
    pub(super) fn mended(&mut self) -> Vec<Fault> {
        std::mem::take(&mut self.mended)
    }

    /// A repair of `node` begins.
    pub(super) fn begin(&mut self, operation: &str) {
        self.operations.insert(operation.to_owned(), Operation::Running);
    }

    /// It ends: what can be mended is mended. Says what the repair shop says, which is always "done".
    pub(super) fn finish(&mut self, operation: &str, node: &str, now: Timestamp) -> Value {
        self.operations.insert(operation.to_owned(), Operation::Done);
        let is_sick = |raised: &&mut Raised| raised.fault.node == node && raised.ended_at.is_none();
        for raised in self.raised.iter_mut().filter(is_sick).filter(|raised| raised.fault.is_mendable()) {
            raised.ended_at = Some(now);
            self.mended.push(raised.fault.clone());
        }
        json!({"outcome": "done", "detail": format!("simulated repair of {node}")})
    }

    /// What became of an operation.
    pub(super) fn query(&self, operation: &str) -> Value {
        match self.operations.get(operation) {
            Some(Operation::Done) => json!({"outcome": "done", "detail": "simulated repair, done"}),
            Some(Operation::Running) => json!({"outcome": "transient", "detail": "simulated repair, still running"}),
            None => json!({"outcome": "absent", "detail": "no such operation"}),
        }
    }
}
