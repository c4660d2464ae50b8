//! What people ask for: a remediation of their own, and what happens to one that is in the way (CONTRACT §2.6).

use std::time::Duration;

use super::super::lifecycle::{Verb, begin, transit};
use super::super::refusal::{Refusal, Reply};
use super::super::turn::Turn;
use super::super::{check_text, pauses, require};
use super::links::link;
use super::open::blank;
use super::review::{check_mode, reply};
use crate::domain::{Alias, ClusterId, InstanceId, Mode, Principal, Record, RemediationId, Role, State, Trigger};
use crate::engine::Change;

/// For how long a repeat is taken for the same request.
pub(super) const RETRY_WINDOW: Duration = Duration::from_secs(600);

/// What a create asks for.
pub struct Wanted<'a> {
    /// Where.
    pub cluster_id: &'a ClusterId,
    /// Which machine.
    pub instance_id: &'a InstanceId,
    /// What.
    pub mode: Mode,
    /// Why.
    pub reason: &'a str,
    /// The client's own id.
    pub alias: Option<&'a str>,
    /// The client says that it lost an answer.
    pub is_retry: bool,
}

/// Opens a manual remediation, or finds the one that the same request opened before.
pub fn create(turn: &mut Turn<'_>, principal: &Principal, wanted: &Wanted<'_>) -> Result<Reply, Refusal> {
    let cluster_id = wanted.cluster_id;
    if !principal.sees(cluster_id) || !turn.memory().clusters().contains_key(cluster_id) {
        return Err(Refusal::NotFound { kind: "cluster", name: cluster_id.to_string() });
    }
    let instance = turn.memory().instances().get(wanted.instance_id).filter(|row| row.cluster_id == *cluster_id);
    let Some(instance) = instance.cloned() else {
        return Err(Refusal::NotFound { kind: "instance", name: wanted.instance_id.to_string() });
    };
    let role = match wanted.mode {
        Mode::HostPowerCycle | Mode::EvictWithoutReplacement => Role::Approver,
        Mode::RebootVm | Mode::VmOnly | Mode::HostAware => Role::Operator,
    };
    require(principal, role, "create")?;
    check_text("reason", wanted.reason)?;
    if let Some(alias) = wanted.alias {
        check_alias(alias)?;
        if let Some(record) = named(turn, cluster_id, alias) {
            return same_or_taken(record, wanted, alias);
        }
    }
    check_mode(turn, cluster_id, wanted.mode)?;
    let on_instance = turn.memory().live_on(&instance.id).cloned();
    if let Some(live) = on_instance.as_ref().filter(|live| live.remediation.state != State::PendingApproval) {
        return repeated_or_busy(turn, principal, live, wanted);
    }
    let elsewhere =
        turn.memory().live_on_host(&instance.host_id).find(|live| live.remediation.instance_id() != &instance.id);
    if let Some(live) = elsewhere {
        let host = instance.host_id.to_string();
        let is_foreign = !principal.sees(live.remediation.cluster_id());
        return Err(if is_foreign { Refusal::HostBusy { host } } else { busy(live, format!("host {host}")) });
    }
    if let Some(pause) = pauses::on(turn.memory(), cluster_id) {
        let (place, reason, by) = (pause.place().to_string(), pause.reason.clone(), pause.paused_by.clone());
        return Err(Refusal::Paused { place, reason, by, since: pause.paused_at });
    }
    if let Some(hold) = turn.memory().hold_on(&instance.id) {
        let (instance, reason) = (instance.id.to_string(), hold.reason.clone());
        return Err(Refusal::Held { instance, reason, until: hold.expires_at });
    }
    let id = open_manual(turn, principal, &instance, wanted, on_instance);
    Ok(reply(turn, id, Vec::new()))
}

fn open_manual(
    turn: &mut Turn<'_>,
    principal: &Principal,
    instance: &crate::domain::Instance,
    wanted: &Wanted<'_>,
    superseded: Option<Record>,
) -> RemediationId {
    let mut row = blank(turn, instance, wanted.mode, Trigger::Manual);
    let id = row.id;
    row.reason = wanted.reason.to_owned();
    row.requested_by.clone_from(&principal.name);
    row.alias = wanted.alias.map(str::to_owned);
    if let Some(old) = &superseded {
        let reason = format!("superseded by {id}");
        let note = reason.clone();
        transit(turn, old.remediation.id, Verb::Supersede, &principal.name, &reason, |row| row.note = Some(note));
    }
    let reason = if wanted.reason.is_empty() { "created" } else { wanted.reason };
    let inherited = superseded.iter().flat_map(|old| &old.links);
    begin(turn, row, reason, inherited.clone().map(|link| link.alert_name.clone()).collect());
    if let Some(alias) = wanted.alias {
        let cluster_id = instance.cluster_id.clone();
        let alias = Alias { cluster_id, alias: alias.to_owned(), remediation_id: id };
        turn.record(Change::Alias(Box::new(alias)));
    }
    for inherited in inherited {
        link(turn, id, inherited.identity);
    }
    turn.stirred.insert(id);
    turn.touched.insert(instance.id.clone());
    id
}

fn named(turn: &Turn<'_>, cluster: &ClusterId, alias: &str) -> Option<Record> {
    let id = turn.past.aliases.get(&(cluster.clone(), alias.to_owned()))?;
    turn.record_of(*id).cloned()
}

fn same_or_taken(record: Record, wanted: &Wanted<'_>, alias: &str) -> Result<Reply, Refusal> {
    let row = &record.remediation;
    if row.instance_id() == wanted.instance_id && row.reason == wanted.reason && row.mode == wanted.mode {
        return Ok(Reply::Remediation(Box::new(record)));
    }
    Err(Refusal::AliasTaken { alias: alias.to_owned(), id: row.id })
}

fn repeated_or_busy(
    turn: &Turn<'_>,
    principal: &Principal,
    live: &Record,
    wanted: &Wanted<'_>,
) -> Result<Reply, Refusal> {
    let row = &live.remediation;
    let is_own = row.trigger == Trigger::Manual && row.requested_by == principal.name;
    let is_same = is_own && row.mode == wanted.mode && row.reason == wanted.reason;
    if wanted.is_retry && wanted.alias.is_none() && is_same && turn.now().since(row.created_at) < RETRY_WINDOW {
        return Ok(Reply::Remediation(Box::new(live.clone())));
    }
    Err(busy(live, format!("instance {}", row.instance_id())))
}

fn busy(live: &Record, place: String) -> Refusal {
    let row = &live.remediation;
    Refusal::Busy { id: row.id, state: row.state, mode: row.mode, place }
}

fn check_alias(alias: &str) -> Result<(), Refusal> {
    let fits = (1..=128).contains(&alias.len());
    if fits && alias.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)) {
        return Ok(());
    }
    let why = "1 to 128 letters, digits, dots, underscores and hyphens are allowed".to_owned();
    Err(Refusal::Invalid { field: "remediation_id", why })
}
