//! What happens to every request around its handler.
//!
//! `outside` sees all of them: it gives each an id and words the refusals that no route words. `guard` belongs to one
//! route: who asks, may they, how long it took, and a panic that ends one request and not the daemon. The handler runs
//! as a task of its own, so that a client that hangs up does not stop a message half way.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::{error, warn};

use super::Shared;
use super::access_log::Asked;
use super::auth::{self, Asker, Denial, Gate};
use super::error::{Fault, Kind};
use super::peer::Peer;
use super::routes::{Dialect, METRICS, Route, UNKNOWN};
use super::server::room::{Room, UnderWay};
use crate::clock::Stopwatch;
use crate::telemetry::metrics::access::Denied;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Enough for every id that tracing systems make.
const MAX_REQUEST_ID: usize = 128;

#[derive(Clone)]
struct RequestId(Arc<str>);

/// A response that a route's guard has counted and worded.
#[derive(Clone, Copy)]
struct Guarded;

/// Around every request, known route or not.
pub(super) async fn outside(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let id = request.headers().get(REQUEST_ID).and_then(|given| plain(given.as_bytes()));
    let id = Arc::<str>::from(id.map_or_else(|| shared.request_ids.next(), str::to_owned));
    let dialect = Dialect::of_path(request.uri().path());
    let head = request.method() == axum::http::Method::HEAD;
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let address = request.extensions().get::<Peer>().and_then(|peer| peer.address);
    let watch = Stopwatch::start();
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if response.extensions_mut().remove::<Guarded>().is_none() {
        if let Some(fault) = response.extensions_mut().remove::<Fault>() {
            let allow = response.headers_mut().remove(axum::http::header::ALLOW);
            response = dialect.word(&fault);
            if let Some(allow) = allow {
                response.headers_mut().insert(axum::http::header::ALLOW, allow);
            }
            if head {
                *response.body_mut() = axum::body::Body::empty();
            }
        }
        shared.metrics.request_ended(UNKNOWN, response.status().as_u16());
        let seconds = watch.elapsed().as_secs_f64();
        let (method, path) = (&method, path.as_str());
        let asked = Asked { handler: UNKNOWN, principal: None, address, request_id: &id, method, path, seconds };
        asked.log(shared.config().server.access_log, &response);
    }
    let id = HeaderValue::from_str(&id).expect("an id is plain text");
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// An id that may go into headers, logs and the journal as it is.
fn plain(text: &[u8]) -> Option<&str> {
    let fits = (1..=MAX_REQUEST_ID).contains(&text.len());
    let plain = text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-:/+=".contains(byte));
    if fits && plain { std::str::from_utf8(text).ok() } else { None }
}

/// Around one route's handler.
pub(super) async fn guard(
    State((shared, route)): State<(Shared, &'static Route)>,
    request: Request,
    next: Next,
) -> Response {
    let timer = shared.metrics.request_began(route.name);
    let id = request.extensions().get::<RequestId>().map_or_else(|| Arc::from(""), |id| Arc::clone(&id.0));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let address = request.extensions().get::<Peer>().and_then(|peer| peer.address);
    let mut asker = None;
    let mut response = match admitted(&shared, route, &id, request).await {
        Ok(request) => {
            asker = request.extensions().get::<Asker>().cloned();
            match enter(&shared, route, &request) {
                Ok(under_way) => run(route, request, next, under_way).await,
                Err(full) => full.into_response(),
            }
        }
        Err(fault) => fault.into_response(),
    };
    if let Some(mut fault) = response.extensions_mut().remove::<Fault>() {
        if fault.kind == Kind::Internal {
            error!(handler = route.name, request.id = &*id, "{} failed: {fault}", route.name);
            fault.detail = format!("internal error; the log has more under request id {id}");
        }
        response = route.dialect.word(&fault);
    }
    if let Some(asker) = &asker {
        turned_away(&shared, route, asker, response.status());
    }
    let seconds = timer.stop_and_record();
    let code = response.status().as_u16();
    shared.metrics.request_ended(route.name, code);
    let principal = asker.as_ref().map(|asker| asker.principal.name.as_str());
    let (handler, method, path) = (route.name, &method, path.as_str());
    Asked { handler, principal, address, request_id: &id, method, path, seconds }
        .log(shared.config().server.access_log, &response);
    response.extensions_mut().insert(Guarded);
    response
}

/// Lets a request in, or says why not; who guesses waits for that.
async fn admitted(shared: &Shared, route: &Route, id: &Arc<str>, request: Request) -> Result<Request, Fault> {
    let Some(needed) = route.needs else { return Ok(request) };
    let (mut parts, body) = request.into_parts();
    let peer = Peer::of(&parts);
    // A scrape from this machine needs no token (DESIGN §4.7); the handler asks nobody's name. One that is sent is looked at.
    let is_anonymous = !parts.headers.contains_key(header::AUTHORIZATION);
    if route.name == METRICS && is_anonymous && peer.this_machine && auth::loopback_only(&parts).is_ok() {
        return Ok(Request::from_parts(parts, body));
    }
    let (config, now) = (shared.config(), shared.clock.now());
    let gate = Gate { tokens: config.tokens.as_deref(), strangers: &shared.strangers, now };
    match gate.admit(&parts, route, needed) {
        Ok(principal) => {
            if config.tokens.is_some() && shared.strangers.right(peer.address, &principal.name, now) {
                shared.metrics.access.used(&principal.name, now);
            }
            parts.extensions.insert(Asker { principal, request_id: Arc::clone(id), address: peer.address });
            Ok(Request::from_parts(parts, body))
        }
        Err(denial) => {
            refused(shared, route, id, &peer, &denial);
            if !denial.delay().is_zero()
                && let Some(_place) = shared.strangers.place()
            {
                tokio::time::sleep(denial.delay()).await;
            }
            Err(denial.fault)
        }
    }
}

/// Counts and logs who was not let in. The same wrong token is told once, a lock once, and a request without a
/// token is only counted: a log that strangers can fill hides what matters.
fn refused(shared: &Shared, route: &Route, id: &str, peer: &Peer, denial: &Denial) {
    shared.metrics.access.denied(denial.reason);
    if denial.wrong.is_some_and(|wrong| wrong.locks) {
        shared.metrics.access.locked_out();
        warn!(peer.address = shown(peer.address), "an address is locked for a minute: too many different wrong tokens");
    }
    let is_repeat = denial.wrong.is_some_and(|wrong| !wrong.is_new);
    if !matches!(denial.reason, Denied::Missing | Denied::Locked) && !is_repeat {
        let whom = denial.whom.as_deref().unwrap_or("nobody");
        warn!(
            handler = route.name,
            principal = whom,
            peer.address = shown(peer.address),
            request.id = id,
            reason = denial.reason.as_str(),
            "{whom} was not let in: {}",
            denial.reason.as_str()
        );
    }
}

/// Counts and logs what a principal was told it may not do, or may not know of.
fn turned_away(shared: &Shared, route: &Route, asker: &Asker, status: StatusCode) {
    let reason = match status {
        StatusCode::FORBIDDEN => Denied::Role,
        StatusCode::NOT_FOUND if asker.principal.clusters.is_some() => Denied::Hidden,
        _ => return,
    };
    shared.metrics.access.denied(reason);
    let (name, role) = (&asker.principal.name, asker.principal.role.as_str());
    warn!(
        handler = route.name,
        principal = name,
        role,
        peer.address = shown(asker.address),
        request.id = &*asker.request_id,
        reason = reason.as_str(),
        "{name} was answered {}",
        status.as_u16()
    );
}

fn shown(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "socket".to_owned(), |address| address.to_string())
}

/// Only who may do this takes room that others need.
fn enter(shared: &Shared, route: &Route, request: &Request) -> Result<UnderWay, Fault> {
    let entered = Room::enter(request, route.class(), &shared.config().server.limits);
    if entered.is_err() {
        shared.metrics.connections.refused(route.class().as_str());
    }
    entered
}

async fn run(route: &Route, request: Request, next: Next, under_way: UnderWay) -> Response {
    let handled = async move {
        let response = next.run(request).await;
        drop(under_way);
        response
    };
    match tokio::spawn(handled).await {
        Ok(response) => response,
        Err(error) => {
            Fault::new(Kind::Internal, format!("the handler of {} ended: {error}", route.name)).into_response()
        }
    }
}
