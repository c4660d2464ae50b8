//! Log lines on standard error, as logfmt or JSON.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// `--log.format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// `key=value` pairs on one line.
    #[default]
    Logfmt,
    /// One JSON object on one line.
    Json,
}

/// A second subscriber was to be set up.
#[derive(Debug, thiserror::Error)]
#[error("logging is already set up")]
pub struct AlreadySet(#[source] tracing_subscriber::util::TryInitError);

/// Sends every line of ours at `level` and above to standard error, from now until the process ends.
///
/// The crates below us (store, HTTP) speak at `warn` and above only: their detail is about them, not about the fleet.
///
/// What is returned hears what sled says at `error`.
pub fn init(level: LevelFilter, format: Format) -> Result<SledAlarm, AlreadySet> {
    let alarm = SledAlarm::default();
    let ours = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target(env!("CARGO_PKG_NAME"), level);
    let registry = tracing_subscriber::registry().with(ours).with(alarm.clone());
    let set = match format {
        Format::Logfmt => {
            registry.with(tracing_logfmt::builder().layer().with_writer(io::stderr)).try_init().map_err(AlreadySet)
        }
        Format::Json => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stderr);
            registry.with(lines).try_init().map_err(AlreadySet)
        }
    };
    set.map(|()| alarm)
}

/// Rings when sled logs an error: the only sign that the thread which syncs it has died (S14).
#[derive(Clone, Debug, Default)]
pub struct SledAlarm(Arc<Heard>);

#[derive(Debug, Default)]
struct Heard {
    said: Mutex<Option<String>>,
    rings: Notify,
}

impl SledAlarm {
    /// Forgets what was said so far: a damaged store is loud while it opens, and that is answered there.
    pub fn hush(&self) {
        self.said().take();
    }

    /// Waits until sled has said something, and tells it.
    pub async fn wait(&self) -> String {
        loop {
            let rings = self.0.rings.notified();
            if let Some(said) = self.said().take() {
                return said;
            }
            rings.await;
        }
    }

    fn said(&self) -> MutexGuard<'_, Option<String>> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Subscriber> Layer<S> for SledAlarm {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        let mut line = Line::default();
        event.record(&mut line);
        // Lines of the `log` crate arrive with their target as a field.
        let target = line.target.as_deref().unwrap_or(event.metadata().target());
        if target == "sled" || target.starts_with("sled::") {
            self.said().get_or_insert(line.message);
            self.0.rings.notify_waiters();
        }
    }
}

#[derive(Default)]
struct Line {
    target: Option<String>,
    message: String,
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "log.target" {
            self.target = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_an_error_of_sled_rings() {
        let alarm = SledAlarm::default();
        let lines = tracing_subscriber::registry().with(alarm.clone());
        tracing::subscriber::with_default(lines, || {
            tracing::error!(target: "remedyd", "ours");
            tracing::error!(target: "sledge", "another's");
            tracing::warn!(target: "sled::flusher", "only a warning");
            assert!(alarm.said().is_none());
            tracing::error!(target: "sled::flusher", "failed to flush from periodic flush thread");
        });
        assert_eq!(alarm.wait().await, "failed to flush from periodic flush thread");
        alarm.hush();
        assert!(alarm.said().is_none());
    }
}
