//! What the store as a whole may do: shown to everybody, given back by an admin.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::auth::Asker;
use super::error::Fault;
use super::{Shared, Shown};
use crate::domain::Execution;
use crate::engine::Command;

/// `GET /api/v1/store`
pub(super) async fn store(State(shared): State<Shared>) -> Result<Response, Fault> {
    let execution = shared.read(|reader| Ok(reader.execution()?)).await?;
    Ok(super::json(&json!({ "execution": row(execution.as_ref()) })))
}

/// `POST /api/v1/store/enable`
pub(super) async fn enable(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
) -> Result<Response, Fault> {
    shared.ask(&asker, Command::Enable).await?;
    store(State(shared)).await
}

/// A store that was never copied has no row: it is in its first life, and may act.
fn row(execution: Option<&Execution>) -> Value {
    json!({
        "enabled": execution.is_none_or(|row| row.disabled_because.is_none()),
        "disabled_because": execution.and_then(|row| row.disabled_because.as_ref()),
        "epoch": execution.map_or(1, |row| row.epoch),
        "changed_at": execution.map(|row| Shown(row.changed_at)),
        "changed_by": execution.map(|row| &row.changed_by),
    })
}
