//! The configuration: text becomes checked domain types, and every mistake is reported at once with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Cluster, DriverId, Instance, Mode, NoticeId, Principal, SourceId};
use crate::engine::Settings;

/// A whole configuration, checked: the main file, its rules, its inventory, its catalogue and its tokens.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server] listen`
    pub listen: Vec<SocketAddr>,
    /// `[storage] path`
    pub storage_path: PathBuf,
    /// `[auth] tokens_file`; nothing: loopback only, and everybody is [`Principal::local`].
    pub tokens: Option<Arc<Tokens>>,
    /// `[sources.<id>] alertmanagers`: base URLs, possibly none.
    pub alertmanagers: BTreeMap<SourceId, Vec<String>>,
    /// `[drivers.<id>.<kind>]`
    pub drivers: BTreeMap<DriverId, Driver>,
    /// `[notices.<id>.webhook] url`
    pub receivers: BTreeMap<NoticeId, String>,
    /// What decisions depend on.
    pub settings: Arc<Settings>,
    /// Every cluster.
    pub clusters: Vec<Cluster>,
    /// Every instance.
    pub instances: Vec<Instance>,
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

/// The tokens of `tokens.toml`.
#[derive(Clone, Debug, Default)]
pub struct Tokens(pub BTreeMap<[u8; 32], Principal>);
