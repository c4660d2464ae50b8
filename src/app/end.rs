//! How the daemon ends: what is logged, with which status, and what is noted for the next start.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use tokio::task::JoinError;
use tracing::{error, info, warn};

use super::EXIT_STORE;
use crate::config::Storage;
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
pub fn writer_ended(
    store: &Storage,
    is_activated: bool,
    ended: Result<Result<Appender, StoreError>, JoinError>,
) -> ExitCode {
    match ended {
        Ok(Ok(_)) => failed("the writer ended by itself"),
        Ok(Err(error)) => store_failed(store, is_activated, &error),
        Err(error) => ended_badly(&error),
    }
}

fn ended_badly(error: &JoinError) -> ExitCode {
    failed(&format!("the writer ended badly: {error}"))
}

/// A daemon that cannot remember must not act: it ends, and the next start recovers from what is on disk. Where sled is
/// damaged, that start builds it anew. Where somebody took the last room of the disk faster than we could look, this
/// process begins anew by itself: a start without room answers reads, and nobody should have to wait for that. Whoever has
/// opened its sockets (`is_activated`) is left to start it again, as they are theirs to hand over.
pub fn store_failed(store: &Storage, is_activated: bool, error: &StoreError) -> ExitCode {
    let is_short = || store::free(&store.path).is_ok_and(|free| free < store.min_free);
    // sled's own thread tells only the log what it met.
    let may_be_room = error.is_want_of_room() || matches!(error, StoreError::Said(_));
    if !is_activated && may_be_room && is_short() {
        warn!("the disk filled up under the store, so this process begins anew: {}", chain(error));
        return failed(&format!("it cannot begin anew: {}", begin_anew()));
    }
    given_up(store, error)
}

fn given_up(store: &Storage, error: &StoreError) -> ExitCode {
    if error.is_damage_of_sled()
        && let Err(unmarked) = store::suspect(&store.path, &chain(error))
    {
        error!("the damage could not be noted for the next start: {}", chain(&unmarked));
    }
    failed(&format!("the store failed, so nothing more is done: {}", chain(error)))
}

/// Becomes a new process of the same program with the same arguments, as if it had been killed and started. Comes back
/// only with the reason why it cannot.
fn begin_anew() -> std::io::Error {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_else(|| env!("CARGO_PKG_NAME").into());
    // Not the path that it was started by: another version may lie there by now.
    Command::new("/proc/self/exe").arg0(name).args(arguments).exec()
}

/// Closes the store of a writer that was stopped.
pub async fn close(
    store: &Storage,
    ended: Result<Result<Appender, StoreError>, JoinError>,
    code: ExitCode,
) -> ExitCode {
    let appender = match ended {
        Ok(Ok(appender)) => appender,
        // Who was told to stop does not begin anew.
        Ok(Err(error)) => return given_up(store, &error),
        Err(error) => return ended_badly(&error),
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
