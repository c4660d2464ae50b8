//! Connections: an accept loop of our own, because the library's has no limits.
//!
//! `listener` says where they come from, `places` how many there are and which gives way, `connection` how long each may
//! take for what, `tls` who is at the other end, and `room` how many requests are under way, by class. What is said over them
//! is everybody else's question.

mod connection;
pub mod listener;
mod places;
pub mod room;
mod tls;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use self::connection::Ended;
use self::listener::Listener;
use self::places::Places;
use self::room::Room;
use super::Shared;
use crate::config::{Listen, ServerLimits, Tls};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::connections::{CutOff, Listener as Kind};

/// After an accept that failed for us (no descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the listeners of one process share: network and socket files each have places and room of their own.
#[derive(Debug, Default)]
pub struct Halls {
    network: Hall,
    files: Hall,
}

#[derive(Clone, Debug, Default)]
struct Hall {
    places: Arc<Places>,
    room: Room,
}

impl Halls {
    fn of(&self, place: &Listen) -> Hall {
        match place {
            Listen::Tcp(_) => self.network.clone(),
            Listen::Unix(_) => self.files.clone(),
        }
    }
}

/// Serves until `stop` is true (or its sender is gone), then takes no more connections and gives the requests that are
/// under way `drain` to finish. Returns how many connections had to be cut off.
pub async fn serve(
    listener: Listener,
    shared: Shared,
    halls: Arc<Halls>,
    stop: watch::Receiver<bool>,
    drain: Duration,
) -> usize {
    let (router, hall) = (super::router(shared.clone()), halls.of(listener.place()));
    let metrics = Arc::clone(&shared.metrics);
    let settings = move || {
        let config = shared.config();
        (config.server.limits, config.server.tls.clone())
    };
    Server { listener, router, hall, settings, metrics }.serve(stop, drain).await
}

/// A listener and what is behind it.
struct Server<S> {
    listener: Listener,
    router: Router,
    hall: Hall,
    /// Limits and certificate, asked for anew for every connection.
    settings: S,
    metrics: Arc<Metrics>,
}

impl<S: Fn() -> (ServerLimits, Option<Tls>)> Server<S> {
    async fn serve(self, stop: watch::Receiver<bool>, drain: Duration) -> usize {
        let mut open = JoinSet::new();
        let mut stopping = stop.clone();
        let mut stopped = pin!(stopping.wait_for(|stop| *stop));
        loop {
            tokio::select! {
                () = self.take_one(&mut open, &stop) => {}
                _ = &mut stopped => break,
            }
            // Only those are kept that are open.
            while open.try_join_next().is_some() {}
        }
        let Self { listener, metrics, .. } = self;
        drop(listener);
        if timeout(drain, async { while open.join_next().await.is_some() {} }).await.is_ok() {
            return 0;
        }
        let left = open.len();
        metrics.connections.cut_off(CutOff::Stop, left as u64);
        left
    }

    /// Waits for a connection and for a place for it.
    async fn take_one(&self, open: &mut JoinSet<()>, stop: &watch::Receiver<bool>) {
        let accepted = match self.listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                return sleep(ACCEPT_PAUSE).await;
            }
        };
        let (limits, tls) = (self.settings)();
        let (place, gave_way) = self.hall.places.take(limits.connections as usize).await;
        if gave_way {
            debug!("all {} places are taken; the connection that had waited longest gives way", limits.connections);
        }
        let (router, room, stop) = (self.router.clone(), self.hall.room.clone(), stop.clone());
        let (metrics, kind) = (Arc::clone(&self.metrics), kind_of(self.listener.place()));
        metrics.connections.opened(kind);
        open.spawn(async move {
            let ended = connection::serve(accepted, tls, router, place, room, stop).await;
            metrics.connections.closed(kind);
            let Err(ended) = ended else { return };
            // A client that went away or sent no HTTP is its own affair.
            debug!("connection ended: {ended}");
            match ended {
                Ended::TooSlow => metrics.connections.cut_off(CutOff::TooSlow, 1),
                Ended::GaveWay => metrics.connections.cut_off(CutOff::GaveWay, 1),
                Ended::Handshake(_) => metrics.connections.cut_off(CutOff::Handshake, 1),
                Ended::Http(_) => {}
            }
        });
    }
}

const fn kind_of(place: &Listen) -> Kind {
    match place {
        Listen::Tcp(_) => Kind::Tcp,
        Listen::Unix(_) => Kind::Unix,
    }
}

#[cfg(test)]
mod tests;
