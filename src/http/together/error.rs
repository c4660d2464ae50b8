//! Refusals as Together's clients read them: Google's status and the `error` object in one body.
//!
//! Either form alone leaves a client with an empty or garbled message (CONTRACT §2.6). A wrong state is a 400 and no 409,
//! because the SDKs repeat a 409 twice before they show it. They repeat every 5xx too, and obey the header
//! `x-should-retry`, which says where that helps.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::{Fault, Kind, headers};
use crate::http::json_text;
use crate::http::openapi::words;

/// Google's status, and beside it the `error` object that the 3.x clients read.
#[derive(Serialize, ToSchema)]
#[schema(as = RpcStatus)]
pub(in crate::http) struct Body<'a> {
    /// A number of google.rpc.Code.
    #[schema(value_type = i32)]
    code: u8,
    /// What is wrong, with what.
    message: &'a str,
    #[schema(value_type = Vec<words::ProtobufAny>)]
    details: [(); 0],
    error: Error<'a>,
}

/// The same for clients that look for an object.
#[derive(Serialize, ToSchema)]
#[schema(as = TogetherError)]
struct Error<'a> {
    message: &'a str,
    /// The name of the code in lower case.
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'static str>,
    /// The name of the code.
    code: &'static str,
}

/// Google's number and its two spellings, with the status code.
pub(in crate::http) const fn code(kind: Kind) -> (u8, StatusCode, &'static str, &'static str) {
    match kind {
        Kind::Invalid => (3, StatusCode::BAD_REQUEST, "invalid_argument", "INVALID_ARGUMENT"),
        Kind::TooLarge => (3, StatusCode::PAYLOAD_TOO_LARGE, "invalid_argument", "INVALID_ARGUMENT"),
        Kind::TooSlow => (3, StatusCode::BAD_REQUEST, "invalid_argument", "INVALID_ARGUMENT"),
        Kind::WrongMethod => (3, StatusCode::METHOD_NOT_ALLOWED, "invalid_argument", "INVALID_ARGUMENT"),
        Kind::NotFound => (5, StatusCode::NOT_FOUND, "not_found", "NOT_FOUND"),
        Kind::Taken => (6, StatusCode::CONFLICT, "already_exists", "ALREADY_EXISTS"),
        Kind::NotAllowed => (7, StatusCode::FORBIDDEN, "permission_denied", "PERMISSION_DENIED"),
        Kind::Precondition => (9, StatusCode::BAD_REQUEST, "failed_precondition", "FAILED_PRECONDITION"),
        Kind::Internal => (13, StatusCode::INTERNAL_SERVER_ERROR, "internal", "INTERNAL"),
        Kind::Unavailable | Kind::Closed | Kind::Damaged => {
            (14, StatusCode::SERVICE_UNAVAILABLE, "unavailable", "UNAVAILABLE")
        }
        Kind::Unauthenticated => (16, StatusCode::UNAUTHORIZED, "unauthenticated", "UNAUTHENTICATED"),
    }
}

/// The fault in Together's dialect.
pub(in crate::http) fn status(fault: &Fault) -> Response {
    let (number, status, kind, name) = code(fault.kind);
    let message = fault.detail.as_str();
    let body = Body { code: number, message, details: [], error: Error { message, kind, param: None, code: name } };
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], json_text(&body)).into_response();
    headers(fault.kind, &mut response);
    if let Some(helps) = repeat_helps(fault.kind) {
        let value = HeaderValue::from_static(if helps { "true" } else { "false" });
        response.headers_mut().insert(HeaderName::from_static("x-should-retry"), value);
    }
    response
}

/// Whether the same request may fare better in a moment; nothing where the status code alone tells an SDK not to try.
const fn repeat_helps(kind: Kind) -> Option<bool> {
    match kind {
        Kind::Unavailable | Kind::Damaged => Some(true),
        // A name stays taken, what is closed waits for a person, and our own mistake is made again.
        Kind::Taken | Kind::Closed | Kind::Internal => Some(false),
        Kind::Invalid
        | Kind::TooLarge
        | Kind::TooSlow
        | Kind::WrongMethod
        | Kind::NotFound
        | Kind::NotAllowed
        | Kind::Precondition
        | Kind::Unauthenticated => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_a_repeat_helps_and_where_it_does_not() {
        for (kind, code, helps) in [
            (Kind::Unavailable, 503, Some("true")),
            (Kind::Damaged, 503, Some("true")),
            (Kind::Closed, 503, Some("false")),
            (Kind::Internal, 500, Some("false")),
            (Kind::Taken, 409, Some("false")),
            (Kind::Precondition, 400, None),
            (Kind::TooSlow, 400, None),
        ] {
            let response = status(&Fault::new(kind, "x"));
            let said = response.headers().get("x-should-retry").map(|value| value.to_str().unwrap());
            assert_eq!((response.status().as_u16(), said), (code, helps), "{kind:?}");
            let waits = response.headers().contains_key(header::RETRY_AFTER);
            assert_eq!(waits, code == 503, "{kind:?}");
        }
    }
}
