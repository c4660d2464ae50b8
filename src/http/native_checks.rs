//! Active checks in our own API: what single runs found, what is believed because of them, and a run on demand.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, Request, State};
use serde::Deserialize;
use utoipa::ToSchema;

use super::auth::Asker;
use super::error::{Fault, Kind};
use super::native::{Answer, cluster_id, instance_id, page};
use super::native_rows as rows;
use super::query::{Query, Question};
use super::{ProbeRefusal, Segments, Shared, body};
use crate::domain::{Belief, CheckId, InstanceId, Run, RunId, Verdict};
use crate::store::query::{ConditionFilter, RunFilter};

fn check(query: &Query) -> Result<Option<CheckId>, Fault> {
    query.read("check", "a check id", |text| CheckId::parse(text).ok())
}

/// `GET /api/v1/runs`
pub(super) async fn runs(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    query.only(&["cluster_id", "instance_id", "check", "verdict", "page_size", "page_token"])?;
    let verdicts = format!("one of {}", Verdict::ALL.map(Verdict::as_str).join(", "));
    let mut filter = RunFilter {
        visible: None,
        cluster_id: cluster_id(&query)?,
        instance_id: instance_id(&query)?,
        check: check(&query)?,
        verdict: query.read("verdict", &verdicts, Verdict::parse)?,
    };
    let question = Question::new("runs", &filter);
    let paging = query.paging(&question)?;
    filter.visible.clone_from(&asker.principal.clusters);
    let found = shared.read(move |reader| Ok(reader.runs(&filter, &paging)?)).await?;
    Ok(page(&found, &question, rows::Run::new, rows::Runs::new))
}

/// `GET /api/v1/runs/{id}`
pub(super) async fn run(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments(id): Segments<String>,
) -> Answer {
    let absent = || Fault::not_found("run", &id);
    let known = RunId::parse(&id).ok_or_else(absent)?;
    let found = shared.read(move |reader| Ok(reader.run(known)?)).await?;
    let found = found.filter(|run| asker.principal.sees(&run.cluster_id)).ok_or_else(absent)?;
    Ok(super::json(&rows::Run::new(&found)))
}

/// `GET /api/v1/conditions`
pub(super) async fn conditions(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref());
    query.only(&["cluster_id", "instance_id", "check", "belief", "page_size", "page_token"])?;
    let beliefs = format!("one of {}", Belief::ALL.map(Belief::as_str).join(", "));
    let mut filter = ConditionFilter {
        visible: None,
        cluster_id: cluster_id(&query)?,
        instance_id: instance_id(&query)?,
        check: check(&query)?,
        belief: query.read("belief", &beliefs, Belief::parse)?,
    };
    let question = Question::new("conditions", &filter);
    let paging = query.paging(&question)?;
    filter.visible.clone_from(&asker.principal.clusters);
    let found = shared.read(move |reader| Ok(reader.conditions(&filter, &paging)?)).await?;
    Ok(page(&found, &question, rows::Condition::new, rows::Conditions::new))
}

/// Which checks to run now.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProbe {
    /// Only this one; without it, every check that selects the instance.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,253}$")]
    check: Option<String>,
}

/// `POST /api/v1/instances/{id}/probe`
pub(super) async fn probe(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments(id): Segments<String>,
    request: Request,
) -> Answer {
    let body: NewProbe = body::object(request).await?;
    let absent = || Fault::not_found("instance", &id);
    let instance_id = InstanceId::parse(&id).map_err(|_| absent())?;
    let wanted = instance_id.clone();
    let instance = shared.read(move |reader| Ok(reader.instance(&wanted)?)).await?;
    instance.filter(|instance| asker.principal.sees(&instance.cluster_id)).ok_or_else(absent)?;
    let check = body.check.map(|name| known(&shared, &name)).transpose()?;
    let busy = |_| Fault::new(Kind::Unavailable, "as many runs on demand as may be are under way; try again soon");
    let place = Arc::clone(&shared.probes).try_acquire_owned().map_err(busy)?;
    let runs = (shared.probe)(asker.cause(), instance_id, check);
    // Who asked may go before they end; what they find is evidence all the same, and their place is taken until then.
    let ended = tokio::spawn(async move {
        let _place = place;
        runs.await
    });
    let ids = ended.await.map_err(|error| Fault::new(Kind::Internal, format!("a run on demand: {error}")))??;
    let found = shared.read(move |reader| {
        // It may have moved into a cluster of others while it was probed.
        let seen = |run: &Run| asker.principal.sees(&run.cluster_id);
        let runs = ids.into_iter().map(|id| Ok(reader.run(id)?.filter(seen)));
        runs.filter_map(Result::transpose).collect::<Result<Vec<Run>, Fault>>()
    });
    Ok(super::json(&rows::Probed::new(&found.await?)))
}

/// A check of the configuration in force.
fn known(shared: &Shared, name: &str) -> Result<CheckId, Fault> {
    let check = CheckId::parse(name).ok().filter(|check| shared.config().checks.contains_key(check));
    check.ok_or_else(|| Fault::not_found("check", name))
}

impl From<ProbeRefusal> for Fault {
    fn from(refusal: ProbeRefusal) -> Self {
        let kind = match refusal {
            ProbeRefusal::NotSelected(_) => Kind::Precondition,
            ProbeRefusal::Unavailable(_) => Kind::Unavailable,
            ProbeRefusal::Closed(_) => Kind::Closed,
        };
        Self::new(kind, refusal.to_string())
    }
}
