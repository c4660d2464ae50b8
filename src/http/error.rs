//! What can go wrong with a request, and how it is worded for those who read RFC 9457.
//!
//! Handlers return a [`Fault`] and know no dialect; the guard in front of them words it in the dialect of their route.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::engine::Refusal;
use crate::store::reader::ReadError;
use crate::writer::Unavailable;

/// A request that is not answered as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Fault {
    /// What kind of trouble it is.
    pub kind: Kind,
    /// What is wrong, with what, in words for the caller.
    pub detail: String,
}

/// The kinds of trouble, by what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request can never be right.
    Invalid,
    /// Who asks is not known.
    Unauthenticated,
    /// Who asks may not do this.
    NotAllowed,
    /// It does not exist, or the caller must not know that it does.
    NotFound,
    /// The path exists, the method on it does not.
    WrongMethod,
    /// The client's own id stands for something else.
    Taken,
    /// The thing is not in a state in which this can be done.
    Precondition,
    /// The body is larger than is read.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// Nothing is wrong with the request; try again soon.
    Unavailable,
    /// Nothing is taken until somebody helps: the store is read-only, or the disk is full.
    Closed,
    /// The store is damaged where this was asked; it is built anew, so trying again helps.
    Damaged,
    /// Our own mistake.
    Internal,
}

impl Fault {
    /// A fault of `kind`.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// A request that can never be right.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, detail)
    }

    /// The same words as [`Refusal::NotFound`], so that a refusal here looks like one of the engine.
    pub fn not_found(kind: &'static str, name: &str) -> Self {
        Refusal::NotFound { kind, name: name.chars().take(253).collect() }.into()
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let kind = match &refusal {
            Refusal::NotFound { .. } => Kind::NotFound,
            Refusal::WrongState { .. }
            | Refusal::Busy { .. }
            | Refusal::HostBusy { .. }
            | Refusal::ModeRaised { .. }
            | Refusal::VersionChanged { .. }
            | Refusal::Held { .. }
            | Refusal::Paused { .. }
            | Refusal::NotPaused { .. } => Kind::Precondition,
            Refusal::AliasTaken { .. } => Kind::Taken,
            Refusal::Invalid { .. } => Kind::Invalid,
            Refusal::NotAllowed { .. } => Kind::NotAllowed,
        };
        Self::new(kind, refusal.to_string())
    }
}

impl From<Unavailable> for Fault {
    fn from(unavailable: Unavailable) -> Self {
        let kind = match unavailable {
            Unavailable::Closed(_) => Kind::Closed,
            Unavailable::Overloaded | Unavailable::Stopping => Kind::Unavailable,
        };
        Self::new(kind, unavailable.to_string())
    }
}

impl From<ReadError> for Fault {
    fn from(error: ReadError) -> Self {
        let kind = match error {
            ReadError::Lagging | ReadError::Stopped => Kind::Unavailable,
            ReadError::BadCursor => Kind::Invalid,
            ReadError::Broken(_) => Kind::Damaged,
        };
        Self::new(kind, error.to_string())
    }
}

/// Carries the fault to the guard, which knows the dialect.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl Kind {
    /// The status code outside Together's dialect.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Invalid => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NotAllowed => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::WrongMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::Taken | Self::Precondition => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Unavailable | Self::Closed | Self::Damaged => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// Headers that belong to a fault in every dialect.
pub(super) fn headers(kind: Kind, response: &mut Response) {
    match kind {
        Kind::Unauthenticated => {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Kind::Unavailable | Kind::Closed | Kind::Damaged => {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Kind::Invalid
        | Kind::NotAllowed
        | Kind::NotFound
        | Kind::WrongMethod
        | Kind::Taken
        | Kind::Precondition
        | Kind::TooLarge
        | Kind::TooSlow
        | Kind::Internal => {}
    }
}

/// RFC 9457, with the members that everybody reads.
#[derive(Serialize, ToSchema)]
pub(super) struct Problem<'a> {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'a str,
    /// The status code.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong, with what, and what to do about it.
    detail: &'a str,
}

/// The fault as `application/problem+json`.
pub(super) fn problem(fault: &Fault) -> Response {
    let status = fault.kind.status();
    let body = Problem {
        kind: "about:blank",
        title: status.canonical_reason().unwrap_or(""),
        status: status.as_u16(),
        detail: &fault.detail,
    };
    let mut response =
        (status, [(header::CONTENT_TYPE, "application/problem+json")], super::json_text(&body)).into_response();
    headers(fault.kind, &mut response);
    response
}
