//! What people ask for in our own dialect: a remediation of their own, a word on one that waits, and the kill switch.
//!
//! Whoever decides says what they saw: an approval carries the `version` that it is about, and a remediation that has
//! changed since is refused and not approved unseen (DESIGN §4.5).

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Asker;
use super::error::{Fault, Kind};
use super::native::known;
use super::openapi::words;
use super::query::Query;
use super::{Segments, Shared, Shown, body, native_rows as rows};
use crate::domain::{ClusterId, InstanceId, Mode, Pause};
use crate::engine::{Command, Reply, Selector};

type Answer = Result<Response, Fault>;

/// The body of `POST /api/v1/remediations`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRemediation {
    /// Which machine.
    instance_id: String,
    /// Its cluster; to name it guards against a machine that moved.
    cluster_id: Option<String>,
    /// What is to be done.
    #[schema(value_type = words::Mode)]
    mode: String,
    /// Why, in words. At most 4096 bytes.
    #[schema(max_length = 4096)]
    #[serde(default)]
    reason: String,
    /// The client's own id, unique in the cluster: the same request under the same id opens one remediation.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,128}$")]
    remediation_id: Option<String>,
}

/// `POST /api/v1/remediations`
pub(super) async fn create(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Answer {
    let body: NewRemediation = body::object(request).await?;
    let absent = || Fault::not_found("instance", &body.instance_id);
    let instance_id = InstanceId::parse(&body.instance_id).map_err(|_| absent())?;
    let mode = mode(&body.mode)?;
    let cluster_id = match &body.cluster_id {
        Some(id) => cluster(id)?,
        None => {
            let id = instance_id.clone();
            let found = shared.read(move |reader| Ok(reader.instance(&id)?)).await?;
            let found = found.filter(|instance| asker.principal.sees(&instance.cluster_id));
            found.ok_or_else(absent)?.cluster_id
        }
    };
    let (reason, alias) = (body.reason, body.remediation_id);
    let command = Command::Create { cluster_id, instance_id, mode, reason, alias, is_retry: false };
    let shown = remediation(shared.ask(&asker, command).await?)?;
    Ok((StatusCode::CREATED, shown).into_response())
}

/// The body of `POST /api/v1/remediations/{id}/approve`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The version that the approver saw.
    #[schema(value_type = u64)]
    #[serde(default, deserialize_with = "body::whole")]
    version: Option<u64>,
    /// Instead of the proposed mode.
    #[schema(value_type = Option<words::Mode>)]
    mode: Option<String>,
    /// What the approver has to say. At most 4096 bytes.
    #[schema(max_length = 4096)]
    #[serde(default)]
    comment: String,
}

/// `POST /api/v1/remediations/{id}/approve`
pub(super) async fn approve(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments(id): Segments<String>,
    request: Request,
) -> Answer {
    let selector = select(id)?;
    let Approval { version, mode: other, comment } = body::object(request).await?;
    let seen_version = Some(version.ok_or_else(|| Fault::invalid("version: missing; send the one that you saw"))?);
    let mode = other.as_deref().map(mode).transpose()?;
    remediation(shared.ask(&asker, Command::Approve { selector, mode, comment, seen_version }).await?)
}

/// The body of `POST /api/v1/remediations/{id}/reject` and `…/cancel`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Refuse)]
pub struct Refusal {
    /// The version that the caller saw; without one, whichever it is.
    #[serde(default, deserialize_with = "body::whole")]
    version: Option<u64>,
    /// Why. At most 4096 bytes.
    #[schema(max_length = 4096)]
    #[serde(default)]
    comment: String,
}

/// `POST /api/v1/remediations/{id}/reject`
pub(super) async fn reject(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments(id): Segments<String>,
    request: Request,
) -> Answer {
    let selector = select(id)?;
    let Refusal { version: seen_version, comment } = body::object(request).await?;
    remediation(shared.ask(&asker, Command::Reject { selector, comment, seen_version }).await?)
}

/// `POST /api/v1/remediations/{id}/cancel`
pub(super) async fn cancel(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments(id): Segments<String>,
    request: Request,
) -> Answer {
    let selector = select(id)?;
    let Refusal { version: seen_version, comment } = body::object(request).await?;
    remediation(shared.ask(&asker, Command::Cancel { selector, comment, seen_version }).await?)
}

/// What stops a remediation that has begun.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAbort {
    /// Why, in words; goes into the history. At most 4096 bytes.
    #[schema(max_length = 4096, pattern = r"\S")]
    reason: String,
}

/// `POST /api/v1/remediations/{id}/abort`
pub(super) async fn abort(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments(id): Segments<String>,
    request: Request,
) -> Answer {
    let selector = select(id)?;
    let NewAbort { reason } = body::object(request).await?;
    remediation(shared.ask(&asker, Command::Abort { selector, reason }).await?)
}

/// The body of `POST /api/v1/pause`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPause {
    /// Why nothing may begin. At most 4096 bytes.
    #[schema(max_length = 4096, pattern = r"\S")]
    reason: String,
    /// Where; nothing means everywhere.
    cluster_id: Option<String>,
}

/// `POST /api/v1/pause`
pub(super) async fn pause(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Answer {
    let NewPause { reason, cluster_id } = body::object(request).await?;
    let cluster_id = cluster_id.as_deref().map(cluster).transpose()?;
    switched(shared.ask(&asker, Command::Pause { cluster_id, reason }).await?)
}

/// The body of `POST /api/v1/resume`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resumption {
    /// Why things may begin again. At most 4096 bytes.
    #[schema(max_length = 4096)]
    #[serde(default)]
    reason: String,
    /// Which switch is turned off; nothing means the one for everything.
    cluster_id: Option<String>,
}

/// `POST /api/v1/resume`
pub(super) async fn resume(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Answer {
    let Resumption { reason, cluster_id } = body::object(request).await?;
    let cluster_id = cluster_id.as_deref().map(cluster).transpose()?;
    switched(shared.ask(&asker, Command::Resume { cluster_id, reason }).await?)
}

/// Every switch of a list; they are few, so that one page holds them.
#[derive(Serialize, ToSchema)]
pub(super) struct Pauses<'a> {
    pauses: Vec<PauseRow<'a>>,
    has_next: bool,
    next_page_token: &'static str,
}

/// A kill switch.
#[derive(Serialize, ToSchema)]
#[schema(as = Pause)]
pub(super) struct PauseRow<'a> {
    /// Null: everywhere.
    #[schema(required = true, value_type = Option<String>)]
    cluster_id: Option<&'a ClusterId>,
    reason: &'a str,
    paused_by: &'a str,
    paused_at: Shown,
    #[schema(required = true)]
    resumed_at: Option<Shown>,
    #[schema(required = true)]
    resumed_by: Option<&'a str>,
    #[schema(required = true)]
    resume_reason: Option<&'a str>,
}

impl<'a> PauseRow<'a> {
    fn new(row: &'a Pause) -> Self {
        let resumed = row.resumed.as_ref();
        Self {
            cluster_id: row.cluster_id.as_ref(),
            reason: &row.reason,
            paused_by: &row.paused_by,
            paused_at: Shown(row.paused_at),
            resumed_at: resumed.map(|resumed| Shown(resumed.at)),
            resumed_by: resumed.map(|resumed| resumed.by.as_str()),
            resume_reason: resumed.map(|resumed| resumed.reason.as_str()),
        }
    }
}

/// `GET /api/v1/pauses`: the switches that are on; with `ended=true` also those that were.
pub(super) async fn pauses(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    query.only(&["ended"])?;
    let ended = query.read("ended", "true or false", |text| text.parse().ok())?.unwrap_or(false);
    let visible = asker.principal.clusters.clone();
    let found = shared.read(move |reader| Ok(reader.pauses(&visible)?)).await?;
    let pauses = found.iter().filter(|row| ended || row.resumed.is_none()).map(PauseRow::new).collect();
    Ok(super::json(&Pauses { pauses, has_next: false, next_page_token: "" }))
}

fn select(id: String) -> Result<Selector, Fault> {
    known(&id)?;
    Ok(Selector { cluster_id: None, instance_id: None, remediation: id })
}

fn cluster(id: &str) -> Result<ClusterId, Fault> {
    ClusterId::parse(id).map_err(|_| Fault::not_found("cluster", id))
}

fn mode(name: &str) -> Result<Mode, Fault> {
    let modes = || Mode::ALL.map(Mode::as_str).join(", ");
    let shown = || name.chars().take(64).collect::<String>();
    Mode::parse(name).ok_or_else(|| Fault::invalid(format!("mode: `{}` is not one of {}", shown(), modes())))
}

fn remediation(reply: Reply) -> Answer {
    match reply {
        Reply::Remediation(record) => Ok(super::json(&rows::Remediation::new(&record))),
        Reply::Done
        | Reply::Received { .. }
        | Reply::Hold(_)
        | Reply::Pause(_)
        | Reply::Probed(_)
        | Reply::Refused(_) => {
            Err(Fault::new(Kind::Internal, "the engine answered a command about a remediation with none"))
        }
    }
}

fn switched(reply: Reply) -> Answer {
    match reply {
        Reply::Pause(pause) => Ok(super::json(&PauseRow::new(&pause))),
        Reply::Done
        | Reply::Received { .. }
        | Reply::Hold(_)
        | Reply::Remediation(_)
        | Reply::Probed(_)
        | Reply::Refused(_) => {
            Err(Fault::new(Kind::Internal, "the engine answered a command about a switch with none"))
        }
    }
}
