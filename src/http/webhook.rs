//! Where Alertmanager delivers: `POST /api/v1/webhooks/alertmanager[/{source}]`.
//!
//! 200 means that every alert of the message is on disk. Whatever goes wrong on our side is a 503, because that is what
//! Alertmanager tries again; a message that was taken in part may come again in whole, every chunk of it says then
//! nothing new. What is wrong inside the message is a matter of single alerts, not of the message (`webhook_body`).

use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::sleep;
use tracing::info;
use utoipa::ToSchema;

use super::auth::Asker;
use super::error::{Fault, Kind};
use super::webhook_body::{self, BadBody, Item};
use super::{Segments, Shared, body};
use crate::domain::SourceId;
use crate::engine::{Delivery, Input, Reply};
use crate::telemetry::metrics::Taken;
use crate::writer::{Cause, Refused, Unavailable};

/// About 20,000 alerts; larger groups are what `max_alerts` is for.
pub const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;
/// How many alerts enter the writer at once (DESIGN §4.1); commands of people come in between.
const CHUNK: usize = 256;
/// How long a message waits for a busy writer before anything of it is taken.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// How long the rest of a message that was taken in part does.
const REST_WAIT: Duration = Duration::from_secs(10);
/// A body below this is parsed where it is; a larger one would hold up other requests.
const PARSE_INLINE_BYTES: usize = 128 * 1024;

/// What became of a message's alerts; all of it is on disk.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivered)]
pub(super) struct Answer {
    /// How many the message held.
    received: u64,
    /// How many said something new.
    stored: u64,
    /// How many were known already.
    merged: u64,
    /// How many could not be read and wait for a person.
    dead_lettered: u64,
}

/// The bare path: the only source, else `main`.
pub(super) async fn bare(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    request: Request,
) -> Result<Response, Fault> {
    let source = {
        let config = shared.config();
        let sources = &config.settings.sources;
        let main = sources.keys().find(|source| source.as_str() == "main");
        let only = sources.keys().next().filter(|_| sources.len() == 1);
        only.or(main).cloned()
    };
    let source = source.ok_or_else(|| {
        let which = if shared.config().settings.sources.is_empty() {
            "there is no source: describe one under [sources.main]"
        } else {
            "there are several sources and none is called `main`: name one in the path"
        };
        Fault::new(Kind::NotFound, which)
    })?;
    deliver(shared, asker, source, request).await
}

/// The path that names its source.
pub(super) async fn named(
    State(shared): State<Shared>,
    Extension(asker): Extension<Asker>,
    Segments(source): Segments<String>,
    request: Request,
) -> Result<Response, Fault> {
    let unknown = || Fault::not_found("source", &source);
    let id = SourceId::parse(&source).map_err(|_| unknown())?;
    if !shared.config().settings.sources.contains_key(&id) {
        return Err(unknown());
    }
    deliver(shared, asker, id, request).await
}

async fn deliver(shared: Shared, asker: Asker, source: SourceId, request: Request) -> Result<Response, Fault> {
    let size = body::announced(&request).unwrap_or(MAX_BODY_BYTES);
    if size > MAX_BODY_BYTES {
        return Err(body::too_large(MAX_BODY_BYTES));
    }
    let _room = shared.webhook_room.take(size).await?;

    let bytes = body::read(request, MAX_BODY_BYTES).await.map_err(to_come_again)?;
    let items = if bytes.len() < PARSE_INLINE_BYTES {
        webhook_body::parse(&bytes)
    } else {
        let parsed = tokio::task::spawn_blocking(move || webhook_body::parse(&bytes)).await;
        parsed.map_err(|error| Fault::new(Kind::Internal, format!("the message could not be read: {error}")))?
    };
    let items = items.map_err(|bad| {
        let kind = match bad {
            BadBody::TooMany => Kind::TooLarge,
            BadBody::NotUtf8 { .. } | BadBody::NotJson(_) | BadBody::NotAnObject(_) | BadBody::NoAlerts(_) => {
                Kind::Invalid
            }
        };
        Fault::new(kind, bad.to_string())
    })?;

    let mut taken = Taken::default();
    let mut items = items.into_iter().peekable();
    let mut first = true;
    while items.peek().is_some() {
        let chunk = chunk(&source, &asker, items.by_ref().take(CHUNK));
        let part = submit(&shared, asker.cause(), chunk, first).await?;
        shared.metrics.delivered(&source, part);
        taken.stored += part.stored;
        taken.merged += part.merged;
        taken.dead_lettered += part.dead_lettered;
        first = false;
    }
    shared.metrics.message_taken(&source);
    if taken.dead_lettered > 0 {
        info!(source = %source, dead_lettered = taken.dead_lettered, "source {source} sent alerts that cannot be read");
    }
    let Taken { stored, merged, dead_lettered } = taken;
    Ok(super::json(&Answer { received: stored + merged + dead_lettered, stored, merged, dead_lettered })
        .into_response())
}

/// A message that came too slowly is to be sent again, which Alertmanager does after a 503 and not after a 408.
fn to_come_again(fault: Fault) -> Fault {
    if fault.kind == Kind::TooSlow { Fault { kind: Kind::Unavailable, ..fault } } else { fault }
}

/// The alerts that enter the writer together, identified here, where it takes none of its time.
fn chunk(source: &SourceId, asker: &Asker, items: impl Iterator<Item = Item>) -> Delivery {
    let mut delivery = Delivery::new(source.clone(), asker.principal.clusters.clone());
    for item in items {
        match item {
            Item::Read(report) => delivery.add(report),
            Item::Dead(dead) => delivery.dead.push(dead),
        }
    }
    delivery
}

/// Hands one chunk to the writer. The first waits a moment where the writer is busy or sled lags behind, which in a storm paces
/// the senders, and is refused then, and nothing was taken; a later one waits for long, because giving up would make the source
/// send again what is already on disk.
async fn submit(shared: &Shared, cause: Cause, chunk: Delivery, first: bool) -> Result<Taken, Fault> {
    let mut pause = Duration::from_millis(5);
    let mut waited = Duration::ZERO;
    let mut input = Input::Delivered(chunk);
    let answer = loop {
        let refused = if shared.reader.lag().is_too_far() {
            Refused { why: Unavailable::Overloaded, input: Box::new(input) }
        } else {
            match shared.inlet.try_submit(cause.clone(), input).await {
                Ok(answer) => break answer,
                Err(refused) => refused,
            }
        };
        let longest = if first { FIRST_WAIT } else { REST_WAIT };
        if refused.why != Unavailable::Overloaded || waited >= longest {
            return Err(refused.why.into());
        }
        input = *refused.input;
        sleep(pause).await;
        waited += pause;
        pause = (pause * 2).min(Duration::from_millis(200));
    };
    match answer? {
        Reply::Received { stored, merged, dead_lettered } => Ok(Taken { stored, merged, dead_lettered }),
        Reply::Refused(refusal) => Err(refusal.into()),
        Reply::Done | Reply::Remediation(_) | Reply::Hold(_) | Reply::Pause(_) | Reply::Probed(_) => {
            Err(Fault::new(Kind::Internal, "the writer gave no count for a delivery"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_came_too_slowly_is_sent_again() {
        let kind = |kind| to_come_again(Fault::new(kind, "x")).kind.status().as_u16();
        assert_eq!([Kind::TooSlow, Kind::TooLarge, Kind::Invalid].map(kind), [503, 413, 400]);
    }
}
