//! What checks say that were run because a remediation asked: the answer to a [`super::ChecksOf`].

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::CheckId;

/// What the checks say that a remediation had run.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Those that fail, with what they found.
    pub failing: BTreeMap<CheckId, String>,
    /// Those that do not say, and why.
    pub silent: BTreeMap<CheckId, String>,
    /// Those of the failing that found once more what is linked: a check that fails because of something else does not
    /// confirm it.
    pub confirming: BTreeSet<CheckId>,
}

impl Said {
    /// Nothing where all of them pass, else what is in the way.
    pub fn objection(&self) -> Option<String> {
        let (check, what) = self.failing.first_key_value().or_else(|| self.silent.first_key_value())?;
        let others = (self.failing.len() + self.silent.len()).saturating_sub(1);
        let more = if others == 0 { String::new() } else { format!(", and {others} more do not pass") };
        Some(format!("check {check}: {what}{more}"))
    }
}
