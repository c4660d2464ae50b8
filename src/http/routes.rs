//! Every route there is: what it is called in metrics, which role it needs, and in which dialect it refuses.
//!
//! What is not listed is a 404, and a route without a role is open on purpose.

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;

use super::error::{self, Fault, Kind};
use super::server::room::Class;
use super::{
    Shared, guard, native, native_checks, native_commands, native_store, openapi, ops, sd, status, together, webhook,
};
use crate::domain::Role;

/// Below this an answer fits into a packet or two as it is.
const WORTH_PACKING: u16 = 1024;

/// How errors are worded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `application/problem+json`
    Problem,
    /// Google's status and the `error` object, in one body.
    Together,
}

impl Dialect {
    pub(super) fn word(self, fault: &Fault) -> Response {
        match self {
            Self::Problem => error::problem(fault),
            Self::Together => together::error::status(fault),
        }
    }

    /// What a client of an unknown path most likely speaks.
    pub(super) fn of_path(path: &str) -> Self {
        if path.starts_with("/v1/") || path.starts_with("/v3/") { Self::Together } else { Self::Problem }
    }
}

/// One method of one path.
#[derive(Debug)]
pub struct Route {
    /// The value of the label `handler`.
    pub name: &'static str,
    /// The method.
    pub method: &'static str,
    /// The path, with `{segments}`.
    pub path: &'static str,
    /// Which role it takes; nothing: open to everybody.
    pub needs: Option<Role>,
    /// How it refuses.
    pub dialect: Dialect,
    handler: fn() -> MethodRouter<Shared>,
}

impl Route {
    /// Which other requests it shares a limit with.
    pub fn class(&self) -> Class {
        match (self.name, self.method) {
            (WEBHOOK_NAME, _) => Class::Ingest,
            (METRICS | "healthy" | "ready", _) => Class::Health,
            (_, "GET" | "HEAD") => Class::Read,
            _ => Class::Command,
        }
    }
}

const fn route(
    name: &'static str,
    method: &'static str,
    path: &'static str,
    needs: Option<Role>,
    dialect: Dialect,
    handler: fn() -> MethodRouter<Shared>,
) -> Route {
    Route { name, method, path, needs, dialect, handler }
}

const VIEWER: Option<Role> = Some(Role::Viewer);
const WEBHOOK: Option<Role> = Some(Role::Webhook);
const OPERATOR: Option<Role> = Some(Role::Operator);
const APPROVER: Option<Role> = Some(Role::Approver);
const ADMIN: Option<Role> = Some(Role::Admin);

/// What is about the daemon or about all clusters at once: whoever is let into some of them only is refused.
const ABOUT_ALL: &[&str] = &["reload", METRICS, "enable", "config"];

impl Route {
    /// Whether a principal for some clusters is refused here.
    pub fn is_about_all(&self) -> bool {
        ABOUT_ALL.contains(&self.name)
    }
}

/// The route that is open to this machine, tokens or not.
pub(super) const METRICS: &str = "metrics";

/// Where alerts are delivered.
const WEBHOOK_NAME: &str = "webhook";

/// The name of requests that no route takes, in metrics.
pub(super) const UNKNOWN: &str = "unknown";

const REMEDIATIONS: &str = "/v1/compute/clusters/{cluster}/instances/{instance}/remediations";
const REMEDIATION: &str = "/v1/compute/clusters/{cluster}/instances/{instance}/remediations/{id}";
const APPROVE: &str = "/v1/compute/clusters/{cluster}/instances/{instance}/remediations/{id}/approve";
const REJECT: &str = "/v1/compute/clusters/{cluster}/instances/{instance}/remediations/{id}/reject";
const CANCEL: &str = "/v1/compute/clusters/{cluster}/instances/{instance}/remediations/{id}/cancel";

/// The table.
#[rustfmt::skip]
pub static ROUTES: &[Route] = {
    use Dialect::{Problem, Together};
    &[
        route("healthy", "GET", "/-/healthy", None, Problem, || get(ops::healthy)),
        route("ready", "GET", "/-/ready", None, Problem, || get(ops::ready)),
        route("reload", "POST", "/-/reload", ADMIN, Problem, || post(ops::reload)),
        route("openapi", "GET", "/openapi.json", None, Problem, || get(openapi::openapi)),
        route(METRICS, "GET", "/metrics", VIEWER, Problem, || get(ops::metrics)),

        route(WEBHOOK_NAME, "POST", "/api/v1/webhooks/alertmanager", WEBHOOK, Problem, || post(webhook::bare)),
        route(WEBHOOK_NAME, "POST", "/api/v1/webhooks/alertmanager/{source}", WEBHOOK, Problem, || post(webhook::named)),

        route("alerts", "GET", "/api/v1/alerts", VIEWER, Problem, || get(native::alerts)),
        route("dead_letters", "GET", "/api/v1/dead-letters", VIEWER, Problem, || get(native::dead_letters)),
        route("instances", "GET", "/api/v1/instances", VIEWER, Problem, || get(native::instances)),
        route("remediations", "GET", "/api/v1/remediations", VIEWER, Problem, || get(native::remediations)),
        route("remediation", "GET", "/api/v1/remediations/{id}", VIEWER, Problem, || get(native::remediation)),
        route("history", "GET", "/api/v1/remediations/{id}/history", VIEWER, Problem, || get(native::history)),
        route("create", "POST", "/api/v1/remediations", OPERATOR, Problem, || post(native_commands::create)),
        route("approve", "POST", "/api/v1/remediations/{id}/approve", APPROVER, Problem, || post(native_commands::approve)),
        route("reject", "POST", "/api/v1/remediations/{id}/reject", APPROVER, Problem, || post(native_commands::reject)),
        route("cancel", "POST", "/api/v1/remediations/{id}/cancel", OPERATOR, Problem, || post(native_commands::cancel)),
        route("abort", "POST", "/api/v1/remediations/{id}/abort", OPERATOR, Problem, || post(native_commands::abort)),
        route("holds", "GET", "/api/v1/holds", VIEWER, Problem, || get(native::holds)),
        route("hold", "POST", "/api/v1/holds", OPERATOR, Problem, || post(native::hold)),
        route("unhold", "DELETE", "/api/v1/holds/{id}", OPERATOR, Problem, || delete(native::unhold)),

        route("runs", "GET", "/api/v1/runs", VIEWER, Problem, || get(native_checks::runs)),
        route("run", "GET", "/api/v1/runs/{id}", VIEWER, Problem, || get(native_checks::run)),
        route("conditions", "GET", "/api/v1/conditions", VIEWER, Problem, || get(native_checks::conditions)),
        route("probe", "POST", "/api/v1/instances/{id}/probe", OPERATOR, Problem, || post(native_checks::probe)),

        route("pauses", "GET", "/api/v1/pauses", VIEWER, Problem, || get(native_commands::pauses)),
        route("pause", "POST", "/api/v1/pause", ADMIN, Problem, || post(native_commands::pause)),
        route("resume", "POST", "/api/v1/resume", ADMIN, Problem, || post(native_commands::resume)),

        route("buildinfo", "GET", "/api/v1/status/buildinfo", VIEWER, Problem, || get(status::buildinfo)),
        route("runtimeinfo", "GET", "/api/v1/status/runtimeinfo", VIEWER, Problem, || get(status::runtimeinfo)),
        route("config", "GET", "/api/v1/status/config", ADMIN, Problem, || get(status::config)),

        route("store", "GET", "/api/v1/store", VIEWER, Problem, || get(native_store::store)),
        route("enable", "POST", "/api/v1/store/enable", ADMIN, Problem, || post(native_store::enable)),

        route("service_discovery", "GET", "/sd/http", VIEWER, Problem, || get(sd::http)),

        route("together_whoami", "GET", "/v3/whoami", VIEWER, Together, || get(together::whoami)),
        route("together_whoami", "GET", "/v1/whoami", VIEWER, Together, || get(together::whoami_1)),
        route("together_clusters", "GET", "/v1/compute/clusters", VIEWER, Together, || get(together::clusters)),
        route("together_cluster", "GET", "/v1/compute/clusters/{cluster}", VIEWER, Together, || get(together::cluster)),
        route("together_list", "GET", REMEDIATIONS, VIEWER, Together, || get(together::list)),
        route("together_create", "POST", REMEDIATIONS, OPERATOR, Together, || post(together::create)),
        route("together_get", "GET", REMEDIATION, VIEWER, Together, || get(together::get)),
        route("together_approve", "POST", APPROVE, APPROVER, Together, || post(together::approve)),
        route("together_reject", "POST", REJECT, APPROVER, Together, || post(together::reject)),
        route("together_cancel", "POST", CANCEL, OPERATOR, Together, || post(together::cancel)),
    ]
};

/// Builds the router from the table.
pub(super) fn mount(shared: Shared) -> Router {
    openapi::prepare();
    let mut router = Router::new();
    for route in ROUTES {
        shared.metrics.handler(route.name);
        let guarded = || (route.handler)().layer(from_fn_with_state((shared.clone(), route), guard::guard));
        router = router.route(route.path, guarded());
        if route.dialect == Dialect::Together {
            // Clients of the 3.x line add `/v1` and `/v3` to a base that those of 2.x expect to end in `/v1`.
            router = router.route(&format!("/v1{}", route.path), guarded());
        }
    }
    router
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown)
        .layer(from_fn_with_state(shared.clone(), guard::outside))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(SizeAbove::new(WORTH_PACKING)))
        .with_state(shared)
}

async fn unknown(request: Request) -> Fault {
    Fault::not_found("path", request.uri().path())
}

async fn wrong_method(request: Request) -> Fault {
    let (method, path) = (request.method(), request.uri().path());
    Fault::new(Kind::WrongMethod, format!("`{path}` does not take {method}"))
}
