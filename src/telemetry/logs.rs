//! Log lines on standard error, as logfmt or JSON.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
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
pub fn init(level: LevelFilter, format: Format) -> Result<(), AlreadySet> {
    let ours = Targets::new().with_default(level.min(LevelFilter::WARN)).with_target(env!("CARGO_PKG_NAME"), level);
    let registry = tracing_subscriber::registry().with(ours);
    match format {
        Format::Logfmt => {
            registry.with(tracing_logfmt::builder().layer().with_writer(io::stderr)).try_init().map_err(AlreadySet)
        }
        Format::Json => {
            let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(io::stderr);
            registry.with(lines).try_init().map_err(AlreadySet)
        }
    }
}
