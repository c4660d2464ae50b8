//! How the daemon ends: what is logged, with which status, and what is noted for the next start.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::task::JoinError;
use tracing::{error, info, warn};

use super::EXIT_STORE;
use crate::store::{self, Appender, StoreError};

/// How long the store has to close.
const CLOSE: Duration = Duration::from_secs(3);

/// Something that should not have ended has ended.
pub fn failed(what: &str) -> ExitCode {
    error!("{what}");
    ExitCode::FAILURE
}

/// The store does not open.
pub fn unusable(error: &StoreError) -> ExitCode {
    error!("the store cannot be used: {}", chain(error));
    // A full disk gets better by itself, or by somebody who knows nothing of us: worth another start.
    if error.is_want_of_room() { ExitCode::FAILURE } else { ExitCode::from(EXIT_STORE) }
}

/// The writer's thread is gone, though nobody stopped it.
pub fn writer_ended(store: &Path, ended: Result<Result<Appender, StoreError>, JoinError>) -> ExitCode {
    match ended {
        Ok(Ok(_)) => failed("the writer ended by itself"),
        Ok(Err(error)) => store_failed(store, &error),
        Err(error) => failed(&format!("the writer ended badly: {error}")),
    }
}

/// A daemon that cannot remember must not act: it ends, and the next start recovers from what is on disk. Where sled is
/// damaged, that start builds it anew.
pub fn store_failed(store: &Path, error: &StoreError) -> ExitCode {
    if error.is_damage_of_sled()
        && let Err(unmarked) = store::suspect(store, &chain(error))
    {
        error!("the damage could not be noted for the next start: {}", chain(&unmarked));
    }
    failed(&format!("the store failed, so nothing more is done: {}", chain(error)))
}

/// Closes the store of a writer that was stopped.
pub async fn close(store: &Path, ended: Result<Result<Appender, StoreError>, JoinError>, code: ExitCode) -> ExitCode {
    let appender = match ended {
        Ok(Ok(appender)) => appender,
        ended @ (Ok(Err(_)) | Err(_)) => return writer_ended(store, ended),
    };
    let closed = tokio::task::spawn_blocking(move || appender.close());
    match tokio::time::timeout(CLOSE, closed).await {
        Ok(Ok(Ok(()))) => {
            info!("stopped");
            code
        }
        Ok(Ok(Err(error))) => failed(&format!("the store did not close cleanly: {}", chain(&error))),
        Ok(Err(error)) => failed(&format!("closing the store ended badly: {error}")),
        Err(_) => {
            warn!("the store takes long to close; the next start applies what is missing from the journal");
            code
        }
    }
}

/// An error and everything below it, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
