//! How a route refuses, as responses: the kinds of trouble that its handler may run into, worded in its dialect.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use utoipa::openapi::HeaderBuilder;
use utoipa::openapi::schema::{Schema, Type};
use utoipa::openapi::{ContentBuilder, ObjectBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use crate::http::error::{Kind, Problem};
use crate::http::routes::{Dialect, Route};
use crate::http::together::error::{self, Body};

const PROBLEM: &str = "Problem";
const STATUS: &str = "RpcStatus";

/// The bodies of refusals.
pub(super) fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let mut schemas = vec![(PROBLEM.to_owned(), Problem::schema()), (STATUS.to_owned(), Body::schema())];
    Body::schemas(&mut schemas);
    schemas
}

/// Every refusal of a route, by status: what its handler may say, and what is said before it: who asks is not known, or may
/// not, or the daemon is too busy to ask its handler at all.
pub(super) fn of(route: &Route, kinds: &[Kind]) -> Vec<(StatusCode, Response)> {
    let guard: &[Kind] = if route.needs.is_some() { &[Kind::Unauthenticated, Kind::NotAllowed] } else { &[] };
    let mut by_status: BTreeMap<StatusCode, Vec<Kind>> = BTreeMap::new();
    for kind in kinds.iter().chain(guard).chain(&[Kind::Unavailable, Kind::Internal]) {
        let same = by_status.entry(status(route.dialect, *kind)).or_default();
        if !same.contains(kind) {
            same.push(*kind);
        }
    }
    by_status.into_iter().map(|(status, kinds)| (status, refusal(route.dialect, &kinds))).collect()
}

fn status(dialect: Dialect, kind: Kind) -> StatusCode {
    match dialect {
        Dialect::Problem => kind.status(),
        Dialect::Together => error::code(kind).1,
    }
}

fn refusal(dialect: Dialect, kinds: &[Kind]) -> Response {
    let why: Vec<&str> = kinds.iter().map(|kind| says(*kind)).collect();
    let (content_type, body) = match dialect {
        Dialect::Problem => ("application/problem+json", PROBLEM),
        Dialect::Together => ("application/json", STATUS),
    };
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(body))).build();
    let mut response = ResponseBuilder::new().description(why.join(" ")).content(content_type, content).build();
    let mut header = |name: &str, about: &str| {
        let text = ObjectBuilder::new().schema_type(Type::String);
        let header = HeaderBuilder::new().schema(Some(text)).description(Some(about)).build();
        response.headers.insert(name.to_owned(), header.into());
    };
    for kind in kinds {
        match kind {
            Kind::Unauthenticated => header("WWW-Authenticate", "Always `Bearer`."),
            Kind::Unavailable => header("Retry-After", "After how many seconds to try again."),
            Kind::Taken if dialect == Dialect::Together => {
                header("X-Should-Retry", "Always `false`: clients of this API repeat a 409 otherwise.");
            }
            _ => {}
        }
    }
    with_request_id(response)
}

/// The header that every answer carries.
pub(super) fn with_request_id(mut response: Response) -> Response {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let about = "The request's id: the caller's own where it sent one, else ours. The log and the audit trail have it.";
    let header = HeaderBuilder::new().schema(Some(text)).description(Some(about)).build();
    response.headers.insert("X-Request-Id".to_owned(), header.into());
    response
}

const fn says(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "The request can never be right; the text says why.",
        Kind::Unauthenticated => "No bearer token, or one that is not known.",
        Kind::NotAllowed => {
            "The token's role does not go so far, or without tokens, the request is not from this machine."
        }
        Kind::NotFound => "It does not exist, or the token is not for its cluster.",
        Kind::WrongMethod => "The path does not take the method.",
        Kind::Taken => "The client's own id stands for another remediation.",
        Kind::Precondition => "It is not in a state in which this can be done; the text names the state.",
        Kind::TooLarge => "The body is larger than is read; nothing of it was taken.",
        Kind::TooSlow => "The body did not come in time; nothing of it was taken.",
        Kind::Unavailable | Kind::Damaged => "Nothing is wrong with the request; try again soon.",
        Kind::Closed => "Nothing is taken until somebody helps: the store is read-only, or the disk is full.",
        Kind::Internal => "Our own mistake; the log has more under the request's id.",
    }
}
