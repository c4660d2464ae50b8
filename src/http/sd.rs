//! Our inventory as Prometheus's `http_sd` reads it, so that what is repaired is also what is scraped.
//!
//! ```yaml
//! http_sd_configs: [{url: "http://127.0.0.1:9720/sd/http?port=9100", authorization: {credentials_file: …}}]
//! ```
//!
//! `cluster`, `node` and `instance_id` become labels of the target, by which its alerts find their instance again; the
//! rest is `__meta_remedyd_*`, which is gone unless it is relabelled.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Shared;
use super::auth::Asker;
use super::error::Fault;
use super::query::Query;
use crate::domain::{ClusterId, Instance};
use crate::store::query::{InstanceFilter, Paging};

/// How many instances are read at once.
const READ_AT_ONCE: usize = 1000;

/// What Prometheus reads.
#[derive(Serialize, ToSchema)]
#[serde(transparent)]
#[schema(as = TargetGroups)]
pub(super) struct Groups(Vec<Group>);

/// A group of one target, since no two instances have all labels in common.
#[derive(Serialize, ToSchema)]
#[schema(as = TargetGroup)]
struct Group {
    targets: [String; 1],
    labels: BTreeMap<String, String>,
}

/// `GET /sd/http`
pub(super) async fn http(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    RawQuery(query): RawQuery,
) -> Result<Response, Fault> {
    let query = Query::parse(query.as_deref());
    query.only(&["cluster_id", "pool", "port"])?;
    let cluster_id = query.read("cluster_id", "a cluster id", |text| ClusterId::parse(text).ok())?;
    let port = query.read("port", "a port from 1 to 65535", |text| text.parse().ok().filter(|port: &u16| *port > 0))?;
    let pool = query.one("pool").map(str::to_owned);
    let filter = InstanceFilter { visible: asker.principal.clusters.clone(), cluster_id };
    let groups = shared.read(move |reader| {
        let mut paging = Paging { size: READ_AT_ONCE, after: None };
        let mut groups = Vec::new();
        loop {
            let page = reader.instances(&filter, &paging)?;
            let wanted = page.rows.iter().map(|(instance, _)| instance);
            let wanted = wanted.filter(|instance| pool.as_ref().is_none_or(|pool| *pool == instance.pool));
            groups.extend(wanted.map(|instance| group(instance, port)));
            match page.next {
                Some(next) => paging.after = Some(next),
                None => return Ok(groups),
            }
        }
    });
    Ok(super::json(&Groups(groups.await?)))
}

fn group(instance: &Instance, port: Option<u16>) -> Group {
    let host = instance.addresses.first().unwrap_or(&instance.name);
    let target = match port {
        None => host.clone(),
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
    };
    let mut labels: BTreeMap<String, String> = [
        ("cluster", instance.cluster_id.as_str()),
        ("node", &instance.name),
        ("instance_id", instance.id.as_str()),
        ("__meta_remedyd_host_id", instance.host_id.as_str()),
        ("__meta_remedyd_pool", &instance.pool),
        ("__meta_remedyd_generation", &instance.generation),
        ("__meta_remedyd_provider_id", &instance.provider_id),
        ("__meta_remedyd_auto_remediation_enabled", if instance.auto_remediation_enabled { "true" } else { "false" }),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let domains = instance.domains.iter();
    labels.extend(domains.map(|(kind, name)| (format!("__meta_remedyd_domain_{kind}"), name.clone())));
    Group { targets: [target], labels }
}
