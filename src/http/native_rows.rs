//! Rows of our own API: the words of the domain, every key always there, `null` where there is nothing.
//!
//! What a row looks like is said once, here: the answers are written from these types, and `/openapi.json` is read off
//! them.

mod checks;
mod record;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::Shown;
use super::openapi::words;
use crate::domain::{self, Transition};
use crate::domain::{
    AlertId, ClusterId, DeadLetterId, Execution, HeldWhy, HoldId, HostId, InstanceId, Labels, RemediationId, RuleId,
    SourceId, Timestamp,
};

pub(super) use checks::{Condition, Probed, Run};
pub(super) use record::Remediation;

fn time(moment: Option<Timestamp>) -> Option<Shown> {
    moment.map(Shown)
}

/// Labels or annotations, as an object.
struct Pairs<'a>(&'a Labels);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter())
    }
}

/// One page of a list.
macro_rules! page {
    ($(#[$doc:meta])* $name:ident, $(#[$key:meta])? $rows:ident: $row:ty) => {
        $(#[$doc])*
        #[derive(Serialize, ToSchema)]
        pub(super) struct $name<'a> {
            $(#[$key])?
            $rows: Vec<$row>,
            /// Whether more follow.
            has_next: bool,
            /// The `page_token` of the next page; empty on the last one.
            next_page_token: String,
        }

        impl<'a> $name<'a> {
            pub(super) fn new($rows: Vec<$row>, has_next: bool, next_page_token: String) -> Self {
                Self { $rows, has_next, next_page_token }
            }
        }
    };
}

page!(/// One page of alerts, newest first.
    Alerts, alerts: Alert<'a>);
page!(/// One page of alerts that could not be read, newest first.
    DeadLetters, #[serde(rename = "dead-letters")] dead_letters: DeadLetter<'a>);
page!(/// One page of instances.
    Instances, instances: Instance<'a>);
page!(/// One page of remediations, newest first.
    Remediations, remediations: Remediation<'a>);
page!(/// One page of holds, newest first.
    Holds, holds: Hold<'a>);
page!(/// One page of runs of checks, newest first.
    Runs, runs: Run<'a>);
page!(/// One page of what is believed because of checks, by check and instance.
    Conditions, conditions: Condition<'a>);

/// One episode of an alert.
#[derive(Serialize, ToSchema)]
pub(super) struct Alert<'a> {
    #[schema(value_type = words::Id)]
    id: AlertId,
    /// Which source told us.
    #[schema(value_type = String)]
    source: &'a SourceId,
    /// The instance's cluster; null where it joined none.
    #[schema(required = true, value_type = Option<String>)]
    cluster_id: Option<&'a ClusterId>,
    /// The instance that it joined.
    #[schema(required = true, value_type = Option<String>)]
    instance_id: Option<&'a InstanceId>,
    /// Why it joined none.
    #[schema(required = true)]
    unjoined_reason: Option<&'a str>,
    /// The label `alertname`.
    alert_name: &'a str,
    #[schema(value_type = words::Severity)]
    severity: &'static str,
    #[schema(value_type = words::AlertState)]
    state: &'static str,
    /// Silenced or inhibited at its source when we last asked.
    muted: bool,
    /// As the source sent them.
    #[schema(value_type = words::Texts)]
    labels: Pairs<'a>,
    /// As the source last sent them; over-long values are cut.
    #[schema(value_type = words::Texts)]
    annotations: Pairs<'a>,
    /// When it began, in the source's time.
    started_at: Shown,
    /// When it ended, in the source's time.
    #[schema(required = true)]
    resolved_at: Option<Shown>,
    /// When the source last asserted it, in our time, in steps of 60 s.
    last_seen_at: Shown,
    /// The last remediation that it was linked to.
    #[schema(required = true, value_type = Option<words::Id>)]
    remediation_id: Option<RemediationId>,
}

impl<'a> Alert<'a> {
    pub(super) fn new(row: &'a domain::Alert) -> Self {
        let joined = row.joined.as_ref();
        Self {
            id: row.id,
            source: &row.source,
            cluster_id: joined.ok().map(|joined| &joined.cluster_id),
            instance_id: joined.ok().map(|joined| &joined.instance_id),
            unjoined_reason: joined.err().map(String::as_str),
            alert_name: row.name(),
            severity: row.severity.as_str(),
            state: row.state.as_str(),
            muted: row.muted,
            labels: Pairs(&row.labels),
            annotations: Pairs(&row.annotations),
            started_at: Shown(row.started_at),
            resolved_at: time(row.resolved_at),
            last_seen_at: Shown(row.last_seen_at),
            remediation_id: row.remediation_id,
        }
    }
}

/// An alert inside a readable message that could not be read itself; kept for a person.
#[derive(Serialize, ToSchema)]
pub(super) struct DeadLetter<'a> {
    /// The same text refused for the same reason has the same id.
    #[schema(value_type = words::Id)]
    id: DeadLetterId,
    /// Which source sent it.
    #[schema(value_type = String)]
    source: &'a SourceId,
    /// What is wrong with it.
    reason: &'a str,
    /// The alert's JSON as received, cut to 16 KiB.
    raw: &'a str,
    /// When it first came.
    received_at: Shown,
}

impl<'a> DeadLetter<'a> {
    pub(super) fn new(row: &'a domain::DeadLetter) -> Self {
        Self {
            id: row.id,
            source: &row.source,
            reason: &row.reason,
            raw: &row.raw,
            received_at: Shown(row.received_at),
        }
    }
}

/// A VM or node of the inventory, with what policy wants for it and cannot have yet.
#[derive(Serialize, ToSchema)]
pub(super) struct Instance<'a> {
    /// What API paths call it; unique in the whole inventory.
    #[schema(value_type = String)]
    id: &'a InstanceId,
    /// Its host name.
    name: &'a str,
    #[schema(value_type = String)]
    cluster_id: &'a ClusterId,
    /// The bare metal below it.
    #[schema(value_type = String)]
    host_id: &'a HostId,
    /// Addresses by which alerts may name it.
    addresses: &'a [String],
    /// The provider's own id; empty where there is none.
    provider_id: &'a str,
    /// Free grouping; empty where there is none.
    pool: &'a str,
    /// Changes whenever the id comes to stand for another machine.
    generation: &'a str,
    /// Failure domains: kind to name.
    domains: &'a BTreeMap<String, String>,
    /// False: nothing opens here by itself.
    auto_remediation_enabled: bool,
    /// What policy wants here and why it does not happen yet; null where nothing waits.
    #[schema(required = true)]
    held: Option<Held<'a>>,
}

impl<'a> Instance<'a> {
    pub(super) fn new(row: &'a domain::Instance, waiting: Option<&'a domain::Held>, sees_all: bool) -> Self {
        Self {
            id: &row.id,
            name: &row.name,
            cluster_id: &row.cluster_id,
            host_id: &row.host_id,
            addresses: &row.addresses,
            provider_id: &row.provider_id,
            pool: &row.pool,
            generation: &row.generation,
            domains: &row.domains,
            auto_remediation_enabled: row.auto_remediation_enabled,
            held: waiting.map(|waiting| Held::new(waiting, sees_all)),
        }
    }
}

/// What policy wants for a node, and what is in the way.
#[derive(Serialize, ToSchema)]
struct Held<'a> {
    /// The rule that wants it.
    #[schema(value_type = String)]
    rule: &'a RuleId,
    /// The repair that it wants; null where no driver of the cluster offers a fitting one.
    #[schema(required = true, value_type = Option<words::Mode>)]
    mode: Option<&'static str>,
    #[schema(value_type = words::HeldBecause)]
    why: &'static str,
    /// The id of the hold or of the remediation that is in the way, where the asker may see it.
    #[schema(required = true)]
    by: Option<String>,
    since: Shown,
    /// When the engine looks again by itself.
    #[schema(required = true)]
    until: Option<Shown>,
}

impl<'a> Held<'a> {
    fn new(row: &'a domain::Held, sees_all: bool) -> Self {
        // What is in the way, where it has a name of its own.
        let by = match &row.why {
            HeldWhy::Hold(id) => Some(id.to_string()),
            // A host may be shared with a cluster that the asker does not see.
            HeldWhy::HostBusy(id) if sees_all => Some(id.to_string()),
            HeldWhy::HostBusy(_)
            | HeldWhy::For
            | HeldWhy::Cooldown
            | HeldWhy::Settle
            | HeldWhy::Paused
            | HeldWhy::OptedOut
            | HeldWhy::NoDriver
            | HeldWhy::ContactSupport => None,
        };
        Self {
            rule: &row.rule,
            mode: row.mode.map(domain::Mode::as_str),
            why: row.why.as_str(),
            by,
            since: Shown(row.since),
            until: time(row.until),
        }
    }
}

/// Every transition of a remediation, in order.
#[derive(Serialize, ToSchema)]
pub(super) struct History {
    history: Vec<Entry>,
}

impl History {
    pub(super) fn new(rows: Vec<Transition>) -> Self {
        Self { history: rows.into_iter().map(Entry::new).collect() }
    }
}

/// One entry of a remediation's history.
#[derive(Serialize, ToSchema)]
#[schema(as = HistoryEntry)]
struct Entry {
    /// From 1.
    #[schema(minimum = 1)]
    version: u64,
    time: Shown,
    /// The state before; null for the creation.
    #[schema(required = true, value_type = Option<words::State>)]
    from: Option<&'static str>,
    /// The state after; the same for a change of mode.
    #[schema(value_type = words::State)]
    to: &'static str,
    /// The mode after.
    #[schema(value_type = words::Mode)]
    mode: &'static str,
    /// Who: a token's name, or `remedyd`.
    principal: String,
    /// What happened: create, approve, reject, cancel, raise, resolve, expire, supersede, start, abort, succeed, fail.
    #[schema(value_type = String)]
    verb: Box<str>,
    /// Why, in words.
    reason: String,
}

impl Entry {
    fn new(row: Transition) -> Self {
        Self {
            version: row.version,
            time: Shown(row.at),
            from: row.from.map(domain::State::as_str),
            to: row.to.as_str(),
            mode: row.mode.as_str(),
            principal: row.principal,
            verb: row.verb,
            reason: row.reason,
        }
    }
}

/// "Do not touch this node."
#[derive(Serialize, ToSchema)]
pub(super) struct Hold<'a> {
    #[schema(value_type = words::Id)]
    id: HoldId,
    #[schema(value_type = String)]
    cluster_id: &'a ClusterId,
    #[schema(value_type = String)]
    instance_id: &'a InstanceId,
    /// Why, in words.
    reason: &'a str,
    /// Who set it; `remedyd` for the engine.
    created_by: &'a str,
    created_at: Shown,
    /// When it ends by itself.
    expires_at: Shown,
    /// When it ended; null while it stands.
    #[schema(required = true)]
    ended_at: Option<Shown>,
    /// Who ended it; `remedyd` where it expired.
    #[schema(required = true)]
    ended_by: Option<&'a str>,
}

impl<'a> Hold<'a> {
    pub(super) fn new(row: &'a domain::Hold) -> Self {
        let ended = row.ended.as_ref();
        Self {
            id: row.id,
            cluster_id: &row.cluster_id,
            instance_id: &row.instance_id,
            reason: &row.reason,
            created_by: &row.created_by,
            created_at: Shown(row.created_at),
            expires_at: Shown(row.expires_at),
            ended_at: ended.map(|(at, _)| Shown(*at)),
            ended_by: ended.map(|(_, by)| by.as_str()),
        }
    }
}

/// What the store as a whole may do.
#[derive(Serialize, ToSchema)]
pub(super) struct Store {
    execution: Acting,
}

/// Whether this store may act on machines.
#[derive(Serialize, ToSchema)]
struct Acting {
    enabled: bool,
    /// Why nothing may act; null where everything may.
    #[schema(required = true)]
    disabled_because: Option<String>,
    /// Which life of the store this is: 1 for the first, one more for each copy or restore.
    #[schema(minimum = 1)]
    epoch: u64,
    /// Since when; null in the first life.
    #[schema(required = true)]
    changed_at: Option<Shown>,
    /// Who disabled or enabled it; `remedyd` for the engine.
    #[schema(required = true)]
    changed_by: Option<String>,
}

impl Store {
    /// A store that was never copied has no row: it is in its first life, and may act.
    pub(super) fn new(row: Option<Execution>) -> Self {
        let execution = match row {
            None => Acting { enabled: true, disabled_because: None, epoch: 1, changed_at: None, changed_by: None },
            Some(row) => Acting {
                enabled: row.disabled_because.is_none(),
                disabled_because: row.disabled_because,
                epoch: row.epoch,
                changed_at: Some(Shown(row.changed_at)),
                changed_by: Some(row.changed_by),
            },
        };
        Self { execution }
    }
}

#[cfg(test)]
mod tests;
