//! Where the daemon answers: at the addresses that it is told, or on the sockets that systemd has opened for it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::info;

use super::EXIT_CONFIG;
use super::end::{chain, failed};
use crate::config::{Config, Listen, Mistake};
use crate::http::Shared;
use crate::http::server::listener::{Inherited, Listener};
use crate::http::server::{self, Halls};

/// How long requests that are under way have to end after a stop. With the writer's last commit and the store's close it
/// stays below the 10 s that a stop may take.
const DRAIN: Duration = Duration::from_secs(5);

/// Takes every address that is configured. Sockets that were handed over are used in their place: the socket unit decides
/// then where the daemon listens.
pub async fn open(file: &Path, config: &Config, inherited: Inherited) -> Result<Vec<Listener>, ExitCode> {
    if inherited.is_empty() {
        let mut listeners = Vec::new();
        for place in &config.server.listen {
            listeners.push(Listener::bind(place).await.map_err(|error| failed(&chain(&error)))?);
        }
        return Ok(listeners);
    }
    let listeners = inherited.listen().map_err(|error| failed(&error.to_string()))?;
    let places: Vec<Listen> = listeners.iter().map(|listener| listener.place().clone()).collect();
    if let Some(place) = exposed(config, &places) {
        let what = format!(
            "is missing, and the socket unit listens on {place}: everybody who can connect there would be admin"
        );
        let mistake = Mistake { file: file.to_owned(), line: 1, column: 1, key: "auth.tokens_file".to_owned(), what };
        eprintln!("{mistake}");
        return Err(ExitCode::from(EXIT_CONFIG));
    }
    Ok(listeners)
}

/// A place where strangers can connect, though there are no tokens and everybody who connects is admin.
pub fn exposed<'a>(config: &Config, places: &'a [Listen]) -> Option<&'a Listen> {
    places.iter().find(|place| config.tokens.is_none() && !place.is_local())
}

/// Listeners that answer from now on, and where.
pub fn listen(
    listeners: Vec<Listener>,
    shared: &Shared,
    stopping: &watch::Receiver<bool>,
) -> (JoinSet<usize>, Vec<Listen>) {
    let (mut servers, mut bound) = (JoinSet::new(), Vec::new());
    let halls = Arc::<Halls>::default();
    let scheme = if shared.config.borrow().server.tls.is_some() { "https" } else { "http" };
    for listener in listeners {
        match listener.place() {
            Listen::Tcp(address) => info!(%address, "listening on {scheme}://{address}"),
            place @ Listen::Unix(_) => info!(address = %place, "listening on {place}"),
        }
        bound.push(listener.place().clone());
        servers.spawn(server::serve(listener, shared.clone(), Arc::clone(&halls), stopping.clone(), DRAIN));
    }
    (servers, bound)
}
