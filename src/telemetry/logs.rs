//! Log lines: to the journal with a field for each fact, or on standard error as logfmt or JSON.
//!
//! A field is called the same everywhere. In the journal, names are in capitals with `_` for `.`: `remediation.id` is
//! `REMEDIATION_ID=`, for `journalctl REMEDIATION_ID=…`.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fmt, io};

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// `--log.format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// `journald` where standard error goes to the journal, as under systemd; else `logfmt`.
    #[default]
    Auto,
    /// `key=value` pairs on one line.
    Logfmt,
    /// One JSON object on one line.
    Json,
    /// To the journal, with fields.
    Journald,
}

/// Log lines have nowhere to go.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A second subscriber was to be set up.
    #[error("logging is already set up")]
    AlreadySet(#[source] tracing_subscriber::util::TryInitError),
    /// `--log.format=journald`, and there is none.
    #[error("the journal cannot be reached at /run/systemd/journal/socket: {0}")]
    NoJournal(io::Error),
}

/// Sends every line of ours at `level` and above to where `format` says, from now until the process ends.
///
/// The crates below us (store, HTTP) speak at `warn` and above only: their detail is about them, not about the fleet.
///
/// What is returned hears what sled says at `error`.
///
/// # Errors
/// It was called before, or the journal was asked for and is not there.
pub fn init(level: LevelFilter, format: Format) -> Result<SledAlarm, LogError> {
    let alarm = SledAlarm::default();
    let ours = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target(env!("CARGO_PKG_NAME"), level);
    let registry = tracing_subscriber::registry().with(ours).with(alarm.clone());
    let journal = match format {
        Format::Auto if is_journal(&io::stderr(), std::env::var("JOURNAL_STREAM").ok().as_deref()) => journal().ok(),
        Format::Journald => Some(journal().map_err(LogError::NoJournal)?),
        Format::Auto | Format::Logfmt | Format::Json => None,
    };
    let set = match (journal, format) {
        (Some(journal), _) => registry.with(journal).try_init(),
        (None, Format::Json) => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stderr);
            registry.with(lines).try_init()
        }
        (None, Format::Auto | Format::Logfmt | Format::Journald) => {
            registry.with(tracing_logfmt::builder().layer().with_writer(io::stderr)).try_init()
        }
    };
    set.map(|()| alarm).map_err(LogError::AlreadySet)
}

/// Priorities as `journalctl -p` users expect them: what is worth a line is informational, the rest is for debugging.
fn journal() -> io::Result<tracing_journald::Layer> {
    let priorities = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    let layer = tracing_journald::layer()?;
    Ok(layer
        .with_field_prefix(None)
        .with_priority_mappings(priorities)
        .with_syslog_identifier(env!("CARGO_PKG_NAME").to_owned()))
}

/// Whether `output` is the stream that systemd set up to the journal: `JOURNAL_STREAM` holds its device and inode. A child
/// that inherits the variable and writes somewhere else is no longer there.
fn is_journal(output: &impl AsFd, stream: Option<&str>) -> bool {
    let named = stream.and_then(|text| text.split_once(':'));
    let Some((device, inode)) = named.and_then(|(left, right)| Some((left.parse().ok()?, right.parse().ok()?))) else {
        return false;
    };
    rustix::fs::fstat(output).is_ok_and(|about| (about.st_dev, about.st_ino) == (device, inode))
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

    #[test]
    fn only_the_very_stream_that_systemd_named_is_the_journal() {
        let file = tempfile::tempfile().unwrap();
        let about = rustix::fs::fstat(&file).unwrap();
        let stream = format!("{}:{}", about.st_dev, about.st_ino);
        assert!(is_journal(&file, Some(&stream)));
        assert!(!is_journal(&tempfile::tempfile().unwrap(), Some(&stream)));
        for other in [None, Some(""), Some("1"), Some("1:x"), Some("0:0")] {
            assert!(!is_journal(&file, other), "{other:?}");
        }
    }

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
