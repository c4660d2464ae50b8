//! What operators and their machines ask of the daemon itself.

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use tracing::info;

use super::Shared;
use super::auth::Asker;
use super::error::{Fault, Kind};

/// The process answers; nothing more.
pub(super) async fn healthy() -> &'static str {
    "remedyd is healthy\n"
}

/// Whether work is taken.
pub(super) async fn ready(State(shared): State<Shared>) -> Response {
    match shared.inlet.door().is_ready() {
        Ok(()) => "remedyd is ready\n".into_response(),
        Err(missing) => (StatusCode::SERVICE_UNAVAILABLE, format!("remedyd is not ready: {missing}\n")).into_response(),
    }
}

/// Loads the configuration again: 200 where it was taken, else 400 with every mistake on a line of its own.
pub(super) async fn reload(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
) -> Result<&'static str, Fault> {
    let outcome = (shared.reload)().await;
    let (name, role, is_taken) = (&asker.principal.name, asker.principal.role.as_str(), outcome.is_ok());
    // Files leave no row in the journal, so the log says who had them read.
    info!(
        principal = name,
        role,
        request.id = &*asker.request_id,
        is_taken,
        "{name} had the configuration loaded again"
    );
    match outcome {
        Ok(()) => Ok("the configuration was loaded\n"),
        Err(mistakes) => Err(Fault::invalid(mistakes.join("\n"))),
    }
}

/// Every metric, in the text format.
pub(super) async fn metrics(State(shared): State<Shared>) -> Result<Response, Fault> {
    shared.metrics.set_writable(shared.inlet.door().is_ready().is_ok());
    shared.metrics.set_lag(shared.reader.lag().changes as u64);
    let text = shared.metrics.render().map_err(|error| Fault::new(Kind::Internal, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
