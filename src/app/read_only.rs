//! A daemon whose journal must not be written to: it answers reads from what sled has, and says to everybody else why not.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::error;

use super::known;
use super::listeners::listen;
use super::live::Signals;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::Shared;
use crate::http::server::listener::Listener;
use crate::store::ReadOnly;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::service;
use crate::writer;

/// As often as the writer would.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Serves until a signal says to stop. It is up, so that systemd does not start it again and again; it is never ready.
pub async fn serve(config: &Config, store: ReadOnly, listeners: Vec<Listener>, signals: &mut Signals) -> ExitCode {
    let ReadOnly { reader, why, .. } = &store;
    error!("read-only: {why}");
    let clock = Clock::start(None);
    let metrics = Arc::new(Metrics::new(clock.now()));
    metrics.configured(known(config), &config.digest, clock.now());
    metrics.set_execution(false);
    let (inlet, _) = writer::inlet(1);
    inlet.door().close(&format!("read-only: {why}"));
    let (_config, config_out) = watch::channel(Arc::new(config.clone()));
    let refused = format!("read-only, so nothing is loaded: {why}");
    let reload: crate::http::Reload = Arc::new(move || {
        let refused = refused.clone();
        Box::pin(async move { Err(vec![refused]) })
    });
    let shared = Shared::new(inlet, reader.clone(), config_out, metrics, reload, None);
    shared.loads.started(clock.now());
    let (stop, stopping) = watch::channel(false);
    let (mut servers, _) = listen(listeners, &shared, &stopping);
    service::ready(&format!("read-only: {why}"));
    tokio::select! {
        () = signals.stop() => {}
        () = beat() => {}
    }
    service::stopping();
    stop.send_replace(true);
    while servers.join_next().await.is_some() {}
    ExitCode::SUCCESS
}

/// There is no writer whose turns could feed systemd's watchdog.
async fn beat() {
    loop {
        service::turned(service::is_watched(), None);
        tokio::time::sleep(HEARTBEAT).await;
    }
}
