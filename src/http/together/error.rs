//! Refusals as Together's clients read them: Google's status and the `error` object in one body.
//!
//! Either form alone leaves a client with an empty or garbled message (CONTRACT §2.6). A wrong state is a 400 and no 409,
//! because the SDKs repeat a 409 twice before they show it; where 409 is right a header asks them not to.

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
        Kind::Unavailable | Kind::Damaged => (14, StatusCode::SERVICE_UNAVAILABLE, "unavailable", "UNAVAILABLE"),
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
    if fault.kind == Kind::Taken {
        response.headers_mut().insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
    }
    response
}
