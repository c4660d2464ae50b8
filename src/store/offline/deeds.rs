//! Who did what, out of the journal: every request that changed something, by whom, in which role, from where.

use std::net::IpAddr;
use std::path::Path;

use super::take;
use crate::domain::{Role, Timestamp};
use crate::engine::Change;
use crate::store::StoreError;
use crate::store::codec;
use crate::store::journal::Journal;
use crate::store::journal::record::RecordedStep;

/// What somebody asked for, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// The turn that holds it.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The verb: approve, create, hold …
    pub verb: String,
    /// Who: a token's or a client's name, or `local`.
    pub principal: String,
    /// What they were let in as; nothing in journals that were written before it was recorded.
    pub role: Option<Role>,
    /// Where they asked from; nothing on a socket file.
    pub address: Option<IpAddr>,
    /// The request's id, as its answer and the log have it.
    pub request_id: String,
    /// What it changed, in words.
    pub what: Vec<String>,
}

/// Reads the journal of a stopped store and tells every deed of people and clients, in order. Deliveries of alerts are
/// none: they are in the alerts themselves.
///
/// # Errors
/// The store is in use or not there, or its journal is damaged.
pub fn deeds(dir: &Path, tell: &mut dyn FnMut(Deed)) -> Result<(), StoreError> {
    let _lock = take(dir)?;
    for record in Journal::read_from(&dir.join("journal"), 0)? {
        let record = record?;
        for RecordedStep { cause, entries } in record.steps {
            let Some(request_id) = cause.request_id else { continue };
            if cause.kind == "delivered" {
                continue;
            }
            let mut what = Vec::new();
            for entry in &entries {
                what.extend(words(&codec::decode(&entry.key, entry.value.as_deref())?));
            }
            let (seq, at, verb, principal) = (record.seq, record.at, cause.kind, cause.principal);
            tell(Deed { seq, at, verb, principal, role: cause.role, address: cause.address, request_id, what });
        }
    }
    Ok(())
}

/// The rows that people mean when they ask for something.
fn words(change: &Change) -> Option<String> {
    match change {
        Change::Transition(step) => {
            Some(format!("{} of remediation {}: now {}", &*step.verb, step.remediation_id, step.to.as_str()))
        }
        Change::Hold(hold) => {
            let ends = if hold.ended.is_some() { "ended" } else { "set" };
            Some(format!("hold {} on {} {ends}", hold.id, hold.instance_id))
        }
        Change::Execution(row) => {
            Some(format!("life {} of the store may act: {}", row.epoch, row.disabled_because.is_none()))
        }
        Change::Pause(pause) => {
            let turned = pause.resumed.as_ref().map_or("is paused", |_| "goes on");
            let why = pause.resumed.as_ref().map_or(&pause.reason, |resumed| &resumed.reason);
            Some(format!("{} {turned}: {why}", pause.place()))
        }
        Change::Remediation(row) => {
            let abort = row.attempt.as_ref().and_then(|attempt| attempt.abort.as_ref());
            abort.map(|_| format!("remediation {} is to stop", row.id))
        }
        Change::Alert(_)
        | Change::DeadLetter(_)
        | Change::Run(_)
        | Change::Condition(_)
        | Change::ConditionGone(..)
        | Change::Link(_)
        | Change::Alias(_)
        | Change::Held(_)
        | Change::HeldGone(_)
        | Change::Cluster(_)
        | Change::ClusterGone(_)
        | Change::Instance(_)
        | Change::InstanceGone(_)
        | Change::NodeMemory(_)
        | Change::Horizon(_)
        | Change::Pending(_)
        | Change::Settled(_) => None,
    }
}
