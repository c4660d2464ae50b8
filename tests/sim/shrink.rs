//! Makes a failing script small: events are taken away, in halves, quarters and so on, while it still fails alike.

use super::sabotage::Sabotage;
use super::script::Script;
use super::{Violation, run};

/// How many shorter scripts are tried.
const TRIES: usize = 400;

pub struct Shrunk {
    pub script: Script,
    pub violation: Violation,
    pub trace: Vec<String>,
}

pub fn shrink(script: &Script, violation: Violation, sabotage: Option<&'static Sabotage>) -> Shrunk {
    let (mut script, mut violation) = (script.clone(), violation);
    let mut tries = 0;
    let mut chunk = script.events.len() / 2;
    while chunk > 0 {
        let (mut at, mut is_shorter) = (0, false);
        while at < script.events.len() && tries < TRIES {
            tries += 1;
            let mut fewer = script.clone();
            let gone: Vec<_> = fewer.events.drain(at..(at + chunk).min(script.events.len())).collect();
            // Time goes on as it did, so that what stays still meets.
            if let Some(next) = fewer.events.get_mut(at) {
                next.after += gone.iter().map(|event| event.after).sum::<std::time::Duration>();
            }
            match run(&fewer, sabotage, false).violation {
                Some(same) if same.invariant == violation.invariant => {
                    (script, violation, is_shorter) = (fewer, same, true);
                }
                Some(_) | None => at += chunk,
            }
        }
        if !is_shorter || chunk > 1 {
            chunk /= 2;
        }
    }
    let trace = run(&script, sabotage, true).trace;
    Shrunk { script, violation, trace }
}
