//! Our own API: lists of what is stored, newest first, the history of a remediation, and holds.
//!
//! Parameters and body fields that nobody reads are refused, so that a misspelt filter never answers with everything.

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Asker;
use super::error::{Fault, Kind};
use super::query::{Query, Question};
use super::{Segments, Shared, body, native_rows as rows};
use crate::config::duration;
use crate::domain::{
    AlertState, ClusterId, Hold, HoldId, InstanceId, Mode, Record, RemediationId, Severity, State as RemediationState,
    Trigger,
};
use crate::engine::{Command, Reply};
use crate::store::query::{AlertFilter, HoldFilter, InstanceFilter, Order, Page, RemediationFilter};

pub(super) type Answer = Result<Response, Fault>;

pub(super) fn page<'a, T, R, P: Serialize>(
    found: &'a Page<T>,
    question: &Question,
    row: impl Fn(&'a T) -> R,
    page: impl FnOnce(Vec<R>, bool, String) -> P,
) -> Response {
    let rows = found.rows.iter().map(row).collect();
    super::json(&page(rows, found.next.is_some(), question.token(found.next.as_ref())))
}

pub(super) fn cluster_id(query: &Query) -> Result<Option<ClusterId>, Fault> {
    query.read("cluster_id", "a cluster id", |text| ClusterId::parse(text).ok())
}

pub(super) fn instance_id(query: &Query) -> Result<Option<InstanceId>, Fault> {
    query.read("instance_id", "an instance id", |text| InstanceId::parse(text).ok())
}

fn truth(text: &str) -> Option<bool> {
    text.parse().ok()
}

/// `GET /api/v1/alerts`
pub(super) async fn alerts(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    query.only(&[
        "cluster_id",
        "instance_id",
        "state",
        "severity",
        "alert_name",
        "joined",
        "page_size",
        "page_token",
    ])?;
    let state = |text: &str| AlertState::ALL.into_iter().find(|state| state.as_str() == text);
    let severity = |text: &str| Severity::ALL.into_iter().find(|severity| severity.as_str() == text);
    let mut filter = AlertFilter {
        visible: None,
        cluster_id: cluster_id(&query)?,
        instance_id: instance_id(&query)?,
        state: query.read("state", "one of FIRING, RESOLVED, REFIRED_UNCONFIRMED", state)?,
        severity: query.read("severity", "one of info, warning, critical", severity)?,
        alert_name: query.one("alert_name").map(str::to_owned),
        joined: query.read("joined", "true or false", truth)?,
    };
    let question = Question::new("alerts", &filter);
    let paging = query.paging(&question)?;
    filter.visible.clone_from(&asker.principal.clusters);
    let found = shared.read(move |reader| Ok(reader.alerts(&filter, &paging)?)).await?;
    Ok(page(&found, &question, rows::Alert::new, rows::Alerts::new))
}

/// `GET /api/v1/dead-letters`
pub(super) async fn dead_letters(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    query.only(&["page_size", "page_token"])?;
    let question = Question::new("dead-letters", &());
    let paging = query.paging(&question)?;
    let visible = asker.principal.clusters.clone();
    let found = shared.read(move |reader| Ok(reader.dead_letters(&visible, &paging)?)).await?;
    Ok(page(&found, &question, rows::DeadLetter::new, rows::DeadLetters::new))
}

/// `GET /api/v1/instances`
pub(super) async fn instances(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    query.only(&["cluster_id", "page_size", "page_token"])?;
    let mut filter = InstanceFilter { visible: None, cluster_id: cluster_id(&query)? };
    let question = Question::new("instances", &filter);
    let paging = query.paging(&question)?;
    filter.visible.clone_from(&asker.principal.clusters);
    let found = shared.read(move |reader| Ok(reader.instances(&filter, &paging)?)).await?;
    let sees_all = asker.principal.clusters.is_none();
    Ok(page(
        &found,
        &question,
        |(instance, held)| rows::Instance::new(instance, held.as_ref(), sees_all),
        rows::Instances::new,
    ))
}

/// `GET /api/v1/remediations`
pub(super) async fn remediations(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    query.only(&["cluster_id", "instance_id", "state", "mode", "trigger", "page_size", "page_token"])?;
    let trigger = |text: &str| Trigger::ALL.into_iter().find(|known| known.as_str() == text);
    let states = format!("one of {}", RemediationState::ALL.map(RemediationState::as_str).join(", "));
    let modes = format!("one of {}", Mode::ALL.map(Mode::as_str).join(", "));
    let mut filter = RemediationFilter {
        visible: None,
        cluster_id: cluster_id(&query)?,
        instance_id: instance_id(&query)?,
        states: query.many("state", &states, RemediationState::parse)?,
        modes: query.many("mode", &modes, Mode::parse)?,
        triggers: query.many("trigger", "one of manual, automated", trigger)?,
    };
    let question = Question::new("remediations", &filter);
    let paging = query.paging(&question)?;
    filter.visible.clone_from(&asker.principal.clusters);
    let found = shared.read(move |reader| Ok(reader.remediations(&filter, Order::default(), &paging)?)).await?;
    Ok(page(&found, &question, rows::Remediation::new, rows::Remediations::new))
}

/// `GET /api/v1/remediations/{id}`
pub(super) async fn remediation(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments(id): Segments<String>,
) -> Answer {
    let record = shared.read(move |reader| seen(&asker, reader.remediation(known(&id)?)?, &id)).await?;
    Ok(super::json(&rows::Remediation::new(&record)))
}

/// `GET /api/v1/remediations/{id}/history`
pub(super) async fn history(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments(id): Segments<String>,
) -> Answer {
    let entries = shared.read(move |reader| {
        let found = known(&id)?;
        seen(&asker, reader.remediation(found)?, &id)?;
        Ok(reader.transitions(found)?)
    });
    Ok(super::json(&rows::History::new(entries.await?)))
}

pub(super) fn known(id: &str) -> Result<RemediationId, Fault> {
    RemediationId::parse(id).ok_or_else(|| Fault::not_found("remediation", id))
}

fn seen(asker: &Asker, record: Option<Record>, id: &str) -> Result<Record, Fault> {
    let seen = record.filter(|record| asker.principal.sees(record.remediation.cluster_id()));
    seen.ok_or_else(|| Fault::not_found("remediation", id))
}

/// `GET /api/v1/holds`
pub(super) async fn holds(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    query.only(&["instance_id", "ended", "page_size", "page_token"])?;
    let mut filter = HoldFilter {
        visible: None,
        instance_id: instance_id(&query)?,
        ended: query.read("ended", "true or false", truth)?.unwrap_or(false),
    };
    let question = Question::new("holds", &filter);
    let paging = query.paging(&question)?;
    filter.visible.clone_from(&asker.principal.clusters);
    let found = shared.read(move |reader| Ok(reader.holds(&filter, &paging)?)).await?;
    Ok(page(&found, &question, rows::Hold::new, rows::Holds::new))
}

/// A hold to be set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewHold {
    /// The node.
    instance_id: String,
    /// Why, in words. At most 4096 bytes.
    #[schema(max_length = 4096, pattern = r"\S")]
    reason: String,
    /// How long, more than nothing and at most 90 days: whole numbers with d, h, m, s or ms, largest first, such as `1h30m`.
    #[schema(pattern = r"^(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m)?(?:[0-9]+s)?(?:[0-9]+ms)?$", min_length = 2)]
    r#for: String,
}

/// `POST /api/v1/holds`
pub(super) async fn hold(State(shared): State<Shared>, Extension(asker): Extension<Asker>, request: Request) -> Answer {
    let body: NewHold = body::object(request).await?;
    let unknown = |_| Fault::not_found("instance", &body.instance_id);
    let instance_id = InstanceId::parse(&body.instance_id).map_err(unknown)?;
    let span = duration::parse(&body.r#for).map_err(|error| Fault::invalid(format!("for: {error}")))?;
    let reply = shared.ask(&asker, Command::Hold { instance_id, reason: body.reason, span }).await?;
    Ok((StatusCode::CREATED, super::json(&rows::Hold::new(&held(reply)?))).into_response())
}

/// `DELETE /api/v1/holds/{id}`
pub(super) async fn unhold(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments(id): Segments<String>,
) -> Answer {
    let hold_id = HoldId::parse(&id).ok_or_else(|| Fault::not_found("hold", &id))?;
    let reply = shared.ask(&asker, Command::Unhold { hold_id }).await?;
    Ok(super::json(&rows::Hold::new(&held(reply)?)))
}

fn held(reply: Reply) -> Result<Hold, Fault> {
    match reply {
        Reply::Hold(hold) => Ok(*hold),
        Reply::Done
        | Reply::Received { .. }
        | Reply::Remediation(_)
        | Reply::Pause(_)
        | Reply::Probed(_)
        | Reply::Refused(_) => {
            Err(Fault::new(Kind::Internal, "the engine answered a command about a hold with no hold"))
        }
    }
}
