//! The configuration: text becomes checked domain types, and every mistake is reported at once with its place.
//!
//! [`load()`] reads `remedyd.toml` and all that it names. Files become spanned TOML trees (`document`), which typed readers
//! walk (`table`), one per kind of file; a reader that meets a mistake notes it and goes on. A key that has no effect is
//! refused. [`watch`] reads everything again when a file may have changed; a reload that fails changes nothing.

mod alert_sources;
mod catalogue;
pub mod checks;
mod clusters;
mod document;
pub(crate) mod duration;
mod glob;
mod instances;
mod inventory;
pub mod keys;
mod listen;
mod load;
mod main_file;
mod mistake;
mod rules;
pub(crate) mod size;
mod storage;
mod table;
mod tls;
pub mod tokens;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{CheckId, Cluster, DiscoveryId, DriverId, Mode, NoticeId, SourceId};
use crate::engine::Settings;
use crate::inventory::http_sd::HttpSd;

pub use duration::show as show_duration;
pub use listen::{BadListen, Listen, Server, ServerLimits};
pub use load::{Loaded, Overrides, load, load_steady, rehearse};
pub use mistake::Mistake;
pub use size::show as show_size;
pub use storage::Storage;
pub use tls::Tls;
pub use tokens::Tokens;

/// A whole configuration, checked: the main file, its rules, its inventory, its catalogue and its tokens.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[storage]`
    pub storage: Storage,
    /// `[auth] tokens_file`; nothing: loopback only, and everybody is [`crate::domain::Principal::local`].
    pub tokens: Option<Arc<Tokens>>,
    /// `[sources.<id>] alertmanagers`: base URLs, possibly none.
    pub alertmanagers: BTreeMap<SourceId, Vec<String>>,
    /// `[inventory.http_sd.<id>]`
    pub http_sd: BTreeMap<DiscoveryId, HttpSd>,
    /// `[drivers.<id>.<kind>]`
    pub drivers: BTreeMap<DriverId, Driver>,
    /// `[notices.<id>.webhook] url`
    pub receivers: BTreeMap<NoticeId, String>,
    /// `[checks.<id>]`
    pub checks: Arc<BTreeMap<CheckId, checks::Check>>,
    /// `[limits.checks]`
    pub checks_limits: checks::ChecksLimits,
    /// What decisions depend on.
    pub settings: Arc<Settings>,
    /// Every cluster.
    pub clusters: Vec<Cluster>,
    /// How many instances its files describe; they themselves are [`Loaded::instances`].
    pub instance_count: usize,
    /// Folders whose change means that the configuration is to be read again.
    pub watched: BTreeSet<PathBuf>,
    /// SHA-256 over every file that was read, in hex: tells whether anything changed.
    pub digest: String,
}

/// A driver and what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Driver {
    /// Touches nothing and says done.
    DryRun {
        /// How long it pretends to work.
        takes: Duration,
        /// What it pretends to be able to do.
        modes: BTreeSet<Mode>,
    },
    /// Runs a program of the operator's.
    Command {
        /// Absolute path and fixed arguments.
        argv: Vec<String>,
        /// How long one call may run, and how long the act may take with its retries.
        deadline: Duration,
        /// What it can do.
        modes: BTreeSet<Mode>,
    },
}
