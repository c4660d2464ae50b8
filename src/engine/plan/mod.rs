//! What an approved mode means in steps, and what became of each: check identity, validate the evidence, act, verify.
//!
//! Until plans have cordon and drain, acting is the only step that touches a machine. The rule over everything: an intent
//! is on disk before its call leaves, and a call whose result is not known is asked about, never repeated blindly.

mod act;
mod start;
mod undo;
mod verify;

pub use act::{Answer, acted, lost, resume, retry};
pub use start::{start, validated};
pub use undo::abort;
pub use verify::{recheck, rechecked, soaked, too_late, verified};

use std::collections::{BTreeMap, BTreeSet};

use super::effect::ChecksOf;
use super::lifecycle::{Verb, transit};
use super::turn::Turn;
use crate::domain::check;
use crate::domain::{CheckId, Failure, FailureCode, Identity, Remediation, RemediationId, SourceId};
use crate::engine::SYSTEM;

/// Ends a remediation without a proven repair.
fn fail(turn: &mut Turn<'_>, id: RemediationId, code: FailureCode, detail: String) {
    let reason = format!("{}: {detail}", code.as_str());
    transit(turn, id, Verb::Fail, SYSTEM, &reason, |row| row.failure = Some(Box::new(Failure { code, detail })));
}

/// The linked alerts of sources that can be asked, by source.
fn evidence(turn: &Turn<'_>, row: &Remediation, only_open: bool) -> BTreeMap<SourceId, Vec<Identity>> {
    let mut wanted: BTreeMap<SourceId, Vec<Identity>> = BTreeMap::new();
    let links = turn.memory().remediations().get(&row.id).map_or(&[][..], |record| record.links.as_slice());
    for link in links.iter().filter(|link| !only_open || link.cleared_at.is_none()) {
        if turn.settings().sources.get(&link.source).is_some_and(|source| source.has_api) {
            wanted.entry(link.source.clone()).or_default().push(link.identity);
        }
    }
    wanted
}

/// The checks whose findings are linked. One that cannot be run any more says nothing, and so is no evidence either.
fn checks(turn: &Turn<'_>, row: &Remediation, only_open: bool) -> Option<ChecksOf> {
    let links = turn.memory().remediations().get(&row.id).map_or(&[][..], |record| record.links.as_slice());
    let linked = links
        .iter()
        .filter(|link| link.source.as_str() == check::SOURCE && (!only_open || link.cleared_at.is_none()))
        // An alert of a check is called as the check is.
        .filter_map(|link| CheckId::parse(&link.alert_name).ok());
    let checks: BTreeSet<CheckId> = linked.collect();
    (!checks.is_empty()).then(|| ChecksOf { instance_id: row.instance_id().clone(), checks })
}
