//! Everything that speaks HTTP: the only room that names the server crate. It translates and carries; whether something
//! may happen to a machine is the engine's question.
//!
//! A request passes `server` (connections), the guard below (request id, who asks, metrics, panics), one handler of
//! `webhook`, `together`, `native` or `ops`, and the guard again, which words what went wrong in the route's dialect.
//! Reads answer from the store, after it has caught up with what was committed when they came; everything else is an
//! [`crate::engine::Input`] through the [`Inlet`].

mod access_log;
pub mod auth;
mod auth_delay;
mod body;
pub mod error;
mod guard;
mod native;
mod native_checks;
mod native_commands;
mod native_rows;
mod native_store;
mod openapi;
mod ops;
pub mod peer;
pub mod query;
mod request_id;
pub mod routes;
mod sd;
pub mod server;
pub mod status;
mod together;
mod webhook;
mod webhook_alert;
pub mod webhook_body;
mod webhook_room;

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};

use self::auth::Asker;
use self::auth_delay::Strangers;
use self::error::{Fault, Kind};
use self::request_id::RequestIds;
use self::webhook_room::WebhookRoom;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{CheckId, InstanceId, RunId};
use crate::engine::{Command, Input, Reply};
use crate::store::reader::{ReadError, Reader};
use crate::telemetry::metrics::Metrics;
use crate::writer::{Cause, Inlet};

/// Loads the configuration again; the error lists every mistake, one a line, and the old configuration stays.
pub type Reload = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), Vec<String>>> + Send>> + Send + Sync>;

/// Runs the checks of an instance now, or the one that is named, for whom the cause names; says which runs are kept.
pub type ProbeNow = Arc<
    dyn Fn(Cause, InstanceId, Option<CheckId>) -> Pin<Box<dyn Future<Output = Result<Vec<RunId>, ProbeRefusal>> + Send>>
        + Send
        + Sync,
>;

/// Why a run that was asked for has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeRefusal {
    /// There is nothing to run: no check looks at the instance, or the one that was named does not.
    #[error("{0}")]
    NotSelected(String),
    /// Nothing is run or taken just now; trying again helps.
    #[error("{0}")]
    Unavailable(String),
    /// Nothing is run or taken until somebody helps.
    #[error("{0}")]
    Closed(String),
}

/// How many requests may wait for runs at once. A run may take a minute, and the kill switch shares the places of commands.
const PROBES: usize = 4;

/// What handlers share. Each layer around a handler clones it for each request, so it is one count of one reference.
#[derive(Clone)]
pub struct Shared(Arc<Tools>);

/// What is behind [`Shared`].
pub struct Tools {
    /// The way to the writer.
    pub inlet: Inlet,
    /// The way to what is stored.
    pub reader: Reader,
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Config>>,
    /// Where everything is counted.
    pub metrics: Arc<Metrics>,
    /// What `POST /-/reload` does.
    pub reload: Reload,
    /// What became of it, and of every other reload.
    pub loads: status::Loads,
    probe: ProbeNow,
    probes: Arc<Semaphore>,
    webhook_room: WebhookRoom,
    strangers: Strangers,
    request_ids: RequestIds,
    /// When tokens end.
    clock: Clock,
}

impl Deref for Shared {
    type Target = Tools;

    fn deref(&self) -> &Tools {
        &self.0
    }
}

impl Shared {
    /// Brings together what handlers need. `probe` is what `POST /api/v1/instances/{id}/probe` does; without it nothing is run.
    pub fn new(
        inlet: Inlet,
        reader: Reader,
        config: watch::Receiver<Arc<Config>>,
        metrics: Arc<Metrics>,
        reload: Reload,
        probe: Option<ProbeNow>,
    ) -> Self {
        let nobody: ProbeNow = Arc::new(|_, _, _| Box::pin(async { Err(nobody_probes()) }));
        Self(Arc::new(Tools {
            inlet,
            reader,
            config,
            metrics,
            reload,
            loads: status::Loads::default(),
            probe: probe.unwrap_or(nobody),
            probes: Arc::new(Semaphore::new(PROBES)),
            webhook_room: WebhookRoom::default(),
            strangers: Strangers::default(),
            request_ids: RequestIds::default(),
            clock: Clock::start(None),
        }))
    }

    fn config(&self) -> Arc<Config> {
        self.config.borrow().clone()
    }

    /// Asks the store, once it has caught up, on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        self.reader.caught_up().await?;
        let reader = self.reader.clone();
        let answer = tokio::task::spawn_blocking(move || question(&reader)).await;
        // sled 0.34 may panic over a damaged page.
        let answer = answer.unwrap_or_else(|error| Err(ReadError::Broken(error.to_string()).into()));
        if let Err(fault) = &answer
            && fault.kind == Kind::Damaged
        {
            self.reader.found_damage(fault.detail.clone());
        }
        answer
    }

    /// Hands a command of `asker` to the engine and waits until what it changed is on disk.
    async fn ask(&self, asker: &Asker, command: Command) -> Result<Reply, Fault> {
        let input = Input::Asked(asker.principal.as_ref().clone(), command);
        match self.inlet.submit(asker.cause(), input).await? {
            Reply::Refused(refusal) => Err(refusal.into()),
            reply @ (Reply::Done
            | Reply::Received { .. }
            | Reply::Remediation(_)
            | Reply::Hold(_)
            | Reply::Pause(_)
            | Reply::Probed(_)) => Ok(reply),
        }
    }
}

fn nobody_probes() -> ProbeRefusal {
    ProbeRefusal::NotSelected("this daemon runs no checks".to_owned())
}

/// Every route, behind its guard.
pub fn router(shared: Shared) -> Router {
    routes::mount(shared)
}

/// The variable segments of a path, split first and percent-decoded after. Text that is not UTF-8 names nothing.
struct Segments<T>(T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Segments<T> {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Fault> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(segments)) => Ok(Self(segments)),
            Err(_) => Err(Fault::not_found("path", parts.uri.path())),
        }
    }
}

fn json(body: &impl Serialize) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], json_text(body)).into_response()
}

fn json_text(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("rows have text keys and numbers that JSON has")
}

/// A time as every API shows it.
struct Shown(crate::domain::Timestamp);

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

#[cfg(test)]
mod tests;
