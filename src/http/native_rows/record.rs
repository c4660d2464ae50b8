//! A remediation as our own API shows it: its row and its links.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Pairs, time};
use crate::domain::{
    self, AlertId, ClusterId, DriverId, HostId, InstanceId, Record, RemediationId, RuleId, RunId, SourceId,
};
use crate::http::Shown;
use crate::http::openapi::words;

/// One repair of one instance, from proposal to proof.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct Remediation<'a> {
    #[schema(value_type = words::Id)]
    id: RemediationId,
    #[schema(value_type = String)]
    cluster_id: &'a ClusterId,
    #[schema(value_type = String)]
    instance_id: &'a InstanceId,
    /// The instance's host name when the remediation was created.
    instance_name: &'a str,
    /// The bare metal below it.
    #[schema(value_type = String)]
    host_id: &'a HostId,
    /// The provider's own id of it; empty where there is none.
    provider_id: &'a str,
    /// The inventory's generation that the approval is bound to.
    generation: &'a str,
    #[schema(value_type = words::Mode)]
    mode: &'static str,
    #[schema(value_type = words::Trigger)]
    trigger: &'static str,
    #[schema(value_type = words::State)]
    state: &'static str,
    /// One more with each transition or change of mode.
    #[schema(minimum = 1)]
    version: u64,
    /// Why, in words.
    reason: &'a str,
    /// Who asked for it; `remedyd` for the system.
    requested_by: &'a str,
    created_at: Shown,
    updated_at: Shown,
    /// The approval or rejection.
    #[schema(required = true)]
    review: Option<Review<'a>>,
    /// When the repair began.
    #[schema(required = true)]
    started_at: Option<Shown>,
    /// When it ended.
    #[schema(required = true)]
    ended_at: Option<Shown>,
    /// Why it FAILED.
    #[schema(required = true)]
    failure: Option<Failure<'a>>,
    /// How it ended otherwise: expired, superseded, cancelled by whom, unverified.
    #[schema(required = true)]
    note: Option<&'a str>,
    /// The rule that decides its mode.
    #[schema(required = true, value_type = Option<String>)]
    rule: Option<&'a RuleId>,
    #[schema(value_type = words::AutoResolve)]
    auto_resolve: &'static str,
    /// The alert that opened it; nothing where only checks did.
    #[schema(required = true, value_type = Option<words::Id>)]
    opened_by: Option<AlertId>,
    /// The first run of a check whose finding is linked to it.
    #[schema(required = true, value_type = Option<words::Id>)]
    opened_by_run: Option<RunId>,
    /// The id that the client gave it.
    #[schema(required = true)]
    alias: Option<&'a str>,
    /// When a heavier cause last raised its mode in place.
    #[schema(required = true)]
    raised_at: Option<Shown>,
    /// Since when every linked alert is clear.
    #[schema(required = true)]
    clear_since: Option<Shown>,
    /// What keeps it from going on, in words.
    #[schema(required = true)]
    waits_for: Option<&'a str>,
    /// The one action, from intent to outcome.
    #[schema(required = true)]
    attempt: Option<Attempt<'a>>,
    /// What happens to it next by itself.
    #[schema(required = true)]
    due: Option<Due>,
    /// Linked alerts beyond those that are shown.
    links_omitted: u32,
    linked_alerts: Vec<LinkedAlert<'a>>,
}

impl<'a> Remediation<'a> {
    pub(in crate::http) fn new(record: &'a Record) -> Self {
        let row = &record.remediation;
        Self {
            id: row.id,
            cluster_id: &row.target.cluster_id,
            instance_id: &row.target.instance_id,
            instance_name: &row.target.instance_name,
            host_id: &row.target.host_id,
            provider_id: &row.target.provider_id,
            generation: &row.target.generation,
            mode: row.mode.as_str(),
            trigger: row.trigger.as_str(),
            state: row.state.as_str(),
            version: row.version,
            reason: &row.reason,
            requested_by: &row.requested_by,
            created_at: Shown(row.created_at),
            updated_at: Shown(row.updated_at),
            review: row.review.as_deref().map(Review::new),
            started_at: time(row.started_at),
            ended_at: time(row.ended_at),
            failure: row.failure.as_ref().map(|why| Failure { code: why.code.as_str(), detail: &why.detail }),
            note: row.note.as_deref(),
            rule: row.rule.as_ref(),
            auto_resolve: row.auto_resolve.as_str(),
            opened_by: row.opened_by,
            opened_by_run: row.opened_by_run,
            alias: row.alias.as_deref(),
            raised_at: time(row.raised_at),
            clear_since: time(row.clear_since),
            waits_for: row.waits_for.as_deref(),
            attempt: row.attempt.as_deref().map(Attempt::new),
            due: row.due.map(|due| Due { at: Shown(due.at), why: due.why.as_str() }),
            links_omitted: row.links_omitted,
            linked_alerts: record.links.iter().map(LinkedAlert::new).collect(),
        }
    }
}

/// A person's word on a proposal.
#[derive(Serialize, ToSchema)]
struct Review<'a> {
    /// Whose; `Auto-Approved` where a rule approves.
    by: &'a str,
    at: Shown,
    comment: &'a str,
}

impl<'a> Review<'a> {
    fn new(row: &'a domain::Review) -> Self {
        Self { by: &row.by, at: Shown(row.at), comment: &row.comment }
    }
}

/// Why a remediation FAILED.
#[derive(Serialize, ToSchema)]
struct Failure<'a> {
    #[schema(value_type = words::FailureCode)]
    code: &'static str,
    /// The circumstances, in words.
    detail: &'a str,
}

/// When the engine looks at a remediation by itself, and what happens then.
#[derive(Serialize, ToSchema)]
struct Due {
    at: Shown,
    #[schema(value_type = words::DueWhy)]
    why: &'static str,
}

/// One operation at a backend.
#[derive(Serialize, ToSchema)]
struct Attempt<'a> {
    /// The same for every call about this operation.
    operation_key: &'a str,
    #[schema(value_type = String)]
    driver: &'a DriverId,
    #[schema(value_type = words::Step)]
    step: &'static str,
    /// When the intent was written.
    intended_at: Shown,
    /// After this no further call begins.
    deadline: Shown,
    /// How many calls came to nothing.
    retries: u32,
    /// The last answer.
    #[schema(required = true, value_type = Option<words::Outcome>)]
    outcome: Option<&'static str>,
    /// The last answer's words.
    detail: &'a str,
    /// The generation that the backend reports after the act.
    #[schema(required = true)]
    generation: Option<&'a str>,
    /// The boot id that the backend reports after the act.
    #[schema(required = true)]
    boot_id: Option<&'a str>,
    /// When `done` was reported.
    #[schema(required = true)]
    done_at: Option<Shown>,
    /// A person's word that it is to stop.
    #[schema(required = true)]
    abort: Option<Abort<'a>>,
}

impl<'a> Attempt<'a> {
    fn new(row: &'a domain::Attempt) -> Self {
        Self {
            operation_key: &row.operation_key,
            driver: &row.driver,
            step: row.step.as_str(),
            intended_at: Shown(row.intended_at),
            deadline: Shown(row.deadline),
            retries: row.retries,
            outcome: row.outcome.map(domain::Outcome::as_str),
            detail: &row.detail,
            generation: row.generation.as_deref(),
            boot_id: row.boot_id.as_deref(),
            done_at: time(row.done_at),
            abort: row.abort.as_ref().map(Abort::new),
        }
    }
}

/// A person's word that an operation is to stop, though its act has begun.
#[derive(Serialize, ToSchema)]
struct Abort<'a> {
    by: &'a str,
    at: Shown,
    /// Why, in their words.
    reason: &'a str,
    /// The undoing; null as long as it is not known that there is something to undo.
    #[schema(required = true)]
    undo: Option<Undo>,
}

impl<'a> Abort<'a> {
    fn new(row: &'a domain::Abort) -> Self {
        let undo = row.undo.map(|undo| Undo {
            intended_at: Shown(undo.intended_at),
            deadline: Shown(undo.deadline),
            retries: undo.retries,
        });
        Self { by: &row.by, at: Shown(row.at), reason: &row.reason, undo }
    }
}

/// The undoing of one operation.
#[derive(Serialize, ToSchema)]
struct Undo {
    /// When the intent was written.
    intended_at: Shown,
    /// After this no further call begins.
    deadline: Shown,
    /// How many calls came to nothing.
    retries: u32,
}

/// An alert that is linked to a remediation, as it stood last.
#[derive(Serialize, ToSchema)]
struct LinkedAlert<'a> {
    /// Its latest episode.
    #[schema(value_type = words::Id)]
    alert_id: AlertId,
    #[schema(value_type = String)]
    source: &'a SourceId,
    alert_name: &'a str,
    #[schema(value_type = words::Severity)]
    severity: &'static str,
    /// As the source sent them.
    #[schema(value_type = words::Texts)]
    annotations: Pairs<'a>,
    annotation: Annotation<'a>,
    started_at: Shown,
    /// When it ended; null while it does not count as clear.
    #[schema(required = true)]
    resolved_at: Option<Shown>,
    /// How often it came back while linked.
    refires: u32,
}

impl<'a> LinkedAlert<'a> {
    fn new(row: &'a domain::Link) -> Self {
        let typed = &row.annotation;
        Self {
            alert_id: row.alert_id,
            source: &row.source,
            alert_name: &row.alert_name,
            severity: row.severity.as_str(),
            annotations: Pairs(&row.annotations),
            annotation: Annotation {
                title: &typed.title,
                description: &typed.description,
                summary_line: &typed.summary_line,
                xids: typed.xids.iter().map(Xid::new).collect(),
                slurm_reason: typed.slurm_reason.as_deref(),
            },
            started_at: Shown(row.started_at),
            resolved_at: time(row.resolved_at),
            refires: row.refires,
        }
    }
}

/// What a person reads about an alert.
#[derive(Serialize, ToSchema)]
struct Annotation<'a> {
    /// From the annotation `summary`, else the alert's name.
    title: &'a str,
    /// From the annotation `description`.
    description: &'a str,
    /// From the annotation `evidence`, else one line made of what is known.
    summary_line: &'a str,
    /// The XIDs that the alert names.
    xids: Vec<Xid<'a>>,
    /// The reason that Slurm gives for an unavailable node.
    #[schema(required = true)]
    slurm_reason: Option<&'a str>,
}

/// One XID of an alert.
#[derive(Serialize, ToSchema)]
struct Xid<'a> {
    /// NVIDIA's number.
    code: u32,
    /// NVIDIA's name; empty where the catalogue lacks the code.
    mnemonic: &'a str,
    /// How often.
    count: u32,
}

impl<'a> Xid<'a> {
    fn new(row: &'a domain::XidEvent) -> Self {
        Self { code: row.code, mnemonic: &row.mnemonic, count: row.count }
    }
}
