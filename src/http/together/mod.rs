//! Together AI's remediation API, as its SDKs and its CLI use it (CONTRACT §1 and §2).
//!
//! Every answer satisfies their strict validation: required keys are always there, unset optional ones never. The CLI
//! asks `whoami` before each command and finds a remediation by listing every cluster, newest first.

pub(super) mod cluster;
pub(super) mod error;
pub(super) mod lists;
pub(super) mod render;
pub(super) mod timeline;
pub(super) mod whoami;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use self::cluster::Clusters;
use self::render::Remediation;
use self::whoami::{FlatWhoAmI, WhoAmI};
use super::auth::Asker;
use super::error::{Fault, Kind};
use super::openapi::words;
use super::query::{Query, Question};
use super::{Segments, Shared, body};
use crate::domain::{ClusterId, InstanceId, Mode, Record, RemediationId};
use crate::engine::{Command, Reply, Selector};
use crate::store::query::Visible;
use crate::store::reader::Reader;

/// The longest reason or comment; it is shown in one cell of a table.
const MAX_TEXT_BYTES: usize = 4096;

/// `GET /v3/whoami`
pub(super) async fn whoami(Extension(asker): Extension<Asker>) -> Response {
    super::json(&WhoAmI::new(&asker.principal.name))
}

/// `GET /v1/whoami`, its older form: `whoami()` of the SDK 2.42 still asks for it, while the CLI beside it asks `/v3`.
pub(super) async fn whoami_1(Extension(asker): Extension<Asker>) -> Response {
    super::json(&FlatWhoAmI::new(&asker.principal.name))
}

/// `GET /v1/compute/clusters`
pub(super) async fn clusters(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
) -> Result<Response, Fault> {
    let visible = asker.principal.clusters.clone();
    let clusters = shared.read(move |reader| cluster::all(reader, &visible)).await?;
    Ok(super::json(&Clusters { clusters }))
}

/// `GET /v1/compute/clusters/{cluster}`
pub(super) async fn cluster(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments(id): Segments<String>,
) -> Result<Response, Fault> {
    let visible = asker.principal.clusters.clone();
    let answer = shared.read(move |reader| {
        let known = reader.clusters(&visible)?.into_iter().find(|cluster| cluster.id.as_str() == id);
        cluster::describe(reader, known.ok_or_else(|| Fault::not_found("cluster", &id))?)
    });
    Ok(super::json(&answer.await?))
}

/// One page of remediations.
#[derive(Serialize, ToSchema)]
#[schema(as = TogetherRemediations)]
pub(super) struct List {
    remediations: Vec<Remediation>,
    /// Whether more follow.
    has_next: bool,
    /// The `page_token` of the next page; empty on the last one.
    next_page_token: String,
}

/// `GET …/remediations`, of one instance or of all (`-`).
pub(super) async fn list(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments((cluster, instance)): Segments<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = Query::parse(query.as_deref());
    let (mut filter, order) = lists::read(&query)?;
    let place = Place::parse(&cluster, &instance)?;
    filter.cluster_id = Some(place.cluster_id.clone());
    filter.instance_id.clone_from(&place.instance_id);
    let question = Question::new("together", &(&filter, order));
    filter.visible.clone_from(&asker.principal.clusters);
    let paging = query.paging(&question)?;
    let page = shared.read(move |reader| {
        place.exists(reader, &filter.visible)?;
        Ok(reader.remediations(&filter, order, &paging)?)
    });
    let page = page.await?;
    Ok(super::json(&List {
        remediations: page.rows.iter().map(Remediation::whole).collect(),
        has_next: page.next.is_some(),
        next_page_token: question.token(page.next.as_ref()),
    }))
}

/// `GET …/remediations/{id}`
pub(super) async fn get(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments((cluster, instance, id)): Segments<(String, String, String)>,
) -> Result<Response, Fault> {
    let place = Place::parse(&cluster, &instance)?;
    let visible = asker.principal.clusters.clone();
    let record = shared.read(move |reader| {
        place.exists(reader, &visible)?;
        find(reader, &place, &id)?.ok_or_else(|| Fault::not_found("remediation", &id))
    });
    Ok(super::json(&Remediation::whole(&record.await?)))
}

/// By our id, else by the name that a client gave it. Clients may give UUIDs too, even one that is ours elsewhere: what is
/// elsewhere is not there.
fn find(reader: &Reader, place: &Place, id: &str) -> Result<Option<Record>, Fault> {
    let here = |id| Ok(reader.remediation(id)?.filter(|record| place.holds(&record.remediation)));
    if let Some(id) = RemediationId::parse(id)
        && let Some(record) = here(id)?
    {
        return Ok(Some(record));
    }
    reader.alias(&place.cluster_id, id)?.map_or(Ok(None), |alias| here(alias.remediation_id))
}

/// Read-only and unknown fields that a client sends along are ignored: the schema of the body is the whole object.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogetherCreate, description = "A remediation to be created. Other fields are ignored.")]
pub(super) struct Create {
    #[schema(value_type = words::TogetherMode)]
    mode: Option<String>,
    /// Why, in words.
    #[schema(max_length = 4096)]
    reason: Option<String>,
}

/// `POST …/remediations[?remediation_id=K]`
pub(super) async fn create(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments((cluster, instance)): Segments<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Fault> {
    let place = Place::parse(&cluster, &instance)?;
    place.configured(&shared, &asker)?;
    let Some(instance_id) = place.instance_id else {
        return Err(Fault::invalid("instance_id: `-` stands for any instance; a remediation is created for one"));
    };
    let alias = Query::parse(query.as_deref()).one("remediation_id").map(client_id).transpose()?;
    let is_retry = is_retry(request.headers());
    let body: Create = body::object(request).await?;
    let mode = body.mode.ok_or_else(|| Fault::invalid(format!("mode: missing; it is {}", lists::modes())))?;
    let reason = text("reason", body.reason)?;
    let cluster_id = place.cluster_id;
    let mode = lists::wanted_mode(&mode)?;
    answer(shared.ask(&asker, Command::Create { cluster_id, instance_id, mode, reason, alias, is_retry }).await?)
}

/// A yes. Other fields are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogetherApprove)]
pub(super) struct Approve {
    #[schema(max_length = 4096)]
    comment: Option<String>,
    /// What is to be done instead of what was proposed.
    #[schema(value_type = Option<words::TogetherMode>)]
    mode: Option<String>,
}

/// `POST …/remediations/{id}/approve`
pub(super) async fn approve(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments((cluster, instance, id)): Segments<(String, String, String)>,
    request: Request,
) -> Result<Response, Fault> {
    let selector = select(&shared, &asker, &cluster, &instance, id)?;
    let is_retry = is_retry(request.headers());
    let body: Approve = body::object(request).await?;
    let mode: Option<Mode> = body.mode.as_deref().map(lists::wanted_mode).transpose()?;
    let comment = text("comment", body.comment)?;
    review(&shared, &asker, Command::Approve { selector, mode, comment, seen_version: None }, is_retry).await
}

/// A no. Other fields are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogetherReject)]
pub(super) struct Reject {
    #[schema(max_length = 4096)]
    comment: Option<String>,
}

/// `POST …/remediations/{id}/reject`
pub(super) async fn reject(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments((cluster, instance, id)): Segments<(String, String, String)>,
    request: Request,
) -> Result<Response, Fault> {
    let selector = select(&shared, &asker, &cluster, &instance, id)?;
    let is_retry = is_retry(request.headers());
    let body: Reject = body::object(request).await?;
    let comment = text("comment", body.comment)?;
    review(&shared, &asker, Command::Reject { selector, comment, seen_version: None }, is_retry).await
}

/// Nothing is read; other versions' clients may send an object.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogetherCancel)]
pub(super) struct Cancel {}

/// `POST …/remediations/{id}/cancel`
pub(super) async fn cancel(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments((cluster, instance, id)): Segments<(String, String, String)>,
    request: Request,
) -> Result<Response, Fault> {
    let selector = select(&shared, &asker, &cluster, &instance, id)?;
    let is_retry = is_retry(request.headers());
    let Cancel {} = body::object(request).await?;
    let command = Command::Cancel { selector, comment: String::new(), seen_version: None };
    review(&shared, &asker, command, is_retry).await
}

async fn review(shared: &Shared, asker: &Asker, command: Command, is_retry: bool) -> Result<Response, Fault> {
    let command = if is_retry { Command::Again(Box::new(command)) } else { command };
    answer(shared.ask(asker, command).await?)
}

fn answer(reply: Reply) -> Result<Response, Fault> {
    match reply {
        Reply::Remediation(record) => Ok(super::json(&Remediation::whole(&record))),
        Reply::Done
        | Reply::Received { .. }
        | Reply::Hold(_)
        | Reply::Pause(_)
        | Reply::Probed(_)
        | Reply::Refused(_) => Err(Fault::new(Kind::Internal, "the engine answered a command with no remediation")),
    }
}

fn select(shared: &Shared, asker: &Asker, cluster: &str, instance: &str, id: String) -> Result<Selector, Fault> {
    let place = Place::parse(cluster, instance)?;
    place.configured(shared, asker)?;
    Ok(Selector { cluster_id: Some(place.cluster_id), instance_id: place.instance_id, remediation: id })
}

/// The cluster and the instance of a path.
struct Place {
    cluster_id: ClusterId,
    /// Nothing for `-`.
    instance_id: Option<InstanceId>,
}

impl Place {
    /// Text that can be no id is an id that does not exist.
    fn parse(cluster: &str, instance: &str) -> Result<Self, Fault> {
        let cluster_id = ClusterId::parse(cluster).map_err(|_| Fault::not_found("cluster", cluster))?;
        let instance_id = match instance {
            "-" => None,
            name => Some(InstanceId::parse(name).map_err(|_| Fault::not_found("instance", name))?),
        };
        Ok(Self { cluster_id, instance_id })
    }

    /// For commands: the cluster is there and the asker sees it. The rest of the path is the engine's to judge, whose
    /// memory is ahead of what can be read.
    fn configured(&self, shared: &Shared, asker: &Asker) -> Result<(), Fault> {
        let known = shared.config().clusters.iter().any(|cluster| cluster.id == self.cluster_id);
        if known && asker.principal.sees(&self.cluster_id) {
            return Ok(());
        }
        Err(Fault::not_found("cluster", self.cluster_id.as_str()))
    }

    /// For reads: both are there. An instance that left the inventory is still there while it has a remediation.
    fn exists(&self, reader: &Reader, visible: &Visible) -> Result<(), Fault> {
        if !reader.clusters(visible)?.iter().any(|cluster| cluster.id == self.cluster_id) {
            return Err(Fault::not_found("cluster", self.cluster_id.as_str()));
        }
        let Some(id) = &self.instance_id else { return Ok(()) };
        let in_inventory = reader.instance(id)?.is_some_and(|instance| instance.cluster_id == self.cluster_id);
        let here = in_inventory || reader.latest_remediation(&self.cluster_id, id)?.is_some();
        if here { Ok(()) } else { Err(Fault::not_found("instance", id.as_str())) }
    }

    fn holds(&self, remediation: &crate::domain::Remediation) -> bool {
        *remediation.cluster_id() == self.cluster_id
            && self.instance_id.as_ref().is_none_or(|id| id == remediation.instance_id())
    }
}

/// The SDKs of this family count their repeats of a request, and send no idempotency key.
fn is_retry(headers: &HeaderMap) -> bool {
    let count = headers.get("x-stainless-retry-count").and_then(|value| value.to_str().ok());
    count.and_then(|count| count.parse::<u32>().ok()).is_some_and(|count| count > 0)
}

fn client_id(text: &str) -> Result<String, Fault> {
    let fits = text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits {
        return Ok(text.to_owned());
    }
    Err(Fault::invalid("remediation_id: 1 to 128 letters, digits, dots, underscores and hyphens are allowed"))
}

fn text(field: &str, text: Option<String>) -> Result<String, Fault> {
    let text = text.unwrap_or_default();
    if text.len() <= MAX_TEXT_BYTES {
        return Ok(text);
    }
    Err(Fault::invalid(format!("{field}: longer than {MAX_TEXT_BYTES} bytes")))
}
