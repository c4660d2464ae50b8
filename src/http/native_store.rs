//! What the store as a whole may do: shown to everybody, given back by an admin.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::auth::Asker;
use super::error::Fault;
use super::{Shared, native_rows as rows};
use crate::engine::Command;

/// `GET /api/v1/store`
pub(super) async fn store(State(shared): State<Shared>) -> Result<Response, Fault> {
    let execution = shared.read(|reader| Ok(reader.execution()?)).await?;
    Ok(super::json(&rows::Store::new(execution)))
}

/// `POST /api/v1/store/enable`
pub(super) async fn enable(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
) -> Result<Response, Fault> {
    shared.ask(&asker, Command::Enable).await?;
    store(State(shared)).await
}
