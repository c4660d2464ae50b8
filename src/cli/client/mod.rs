//! What the verbs share that talk to a daemon: the connection, the way failures become exit statuses, and the two outputs.
//!
//! Data goes to standard output and everything else to standard error. Every text of a row may come from a stranger (an
//! alert's label, a reason), so nothing reaches the terminal but through `text::safe`.

pub mod act;
pub mod describe;
mod describe_node;
mod describe_run;
mod fields;
pub mod get;
mod lists;
pub mod probe;
mod select;
pub mod switches;
mod table;
mod text;
mod wait;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use super::args::Connection;
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::providers::daemon::{Address, Daemon, DaemonError};

/// Why a verb did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// With which status the process ends.
    pub status: u8,
    /// What is wrong, in words for a person.
    pub why: String,
}

/// Failed, or ended differently than was waited for.
pub const FAILED: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// The request holds a mistake.
pub const MISTAKE: u8 = 3;
/// There is no such thing.
pub const NOT_FOUND: u8 = 4;
/// Not possible in this state, or it has changed.
pub const CONFLICT: u8 = 5;
/// Who asks is not known, or may not.
pub const NOT_ALLOWED: u8 = 6;
/// The daemon does not answer.
pub const UNREACHABLE: u8 = 7;
/// The time to wait is over.
pub const TOO_LATE: u8 = 8;

/// A check that was run failed.
pub const SICK: u8 = 9;

/// How a verb ends: nothing more to say, or why not.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with its status.
    pub fn new(status: u8, why: impl Into<String>) -> Self {
        Self { status, why: why.into() }
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        let status = match &error {
            DaemonError::Unusable(_) => USAGE,
            // One that starts, stops or has no room is there, and does not answer.
            DaemonError::Unreachable { .. } | DaemonError::Refused { status: 502..=504, .. } => UNREACHABLE,
            DaemonError::Refused { status, .. } => match status {
                400 | 413 | 422 => MISTAKE,
                401 | 403 => NOT_ALLOWED,
                404 => NOT_FOUND,
                409 => CONFLICT,
                _ => FAILED,
            },
            DaemonError::Strange { .. } => FAILED,
        };
        Self::new(status, error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Whoever reads has read enough: `| head`.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::new(0, "");
        }
        Self::new(FAILED, format!("cannot print: {error}"))
    }
}

/// What a verb works with.
pub struct Session {
    /// The daemon.
    pub daemon: Daemon,
    clock: Clock,
    /// Whether the output may have colours.
    pub colours: bool,
}

impl Session {
    /// The time here.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Connects, lets a verb do its work, and says on standard error why it could not.
pub fn run(connection: &Connection, verb: impl AsyncFnOnce(&Session) -> Outcome) -> u8 {
    let outcome = session(connection).and_then(|session| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(FAILED, format!("no runtime: {error}")))?;
        runtime.block_on(verb(&session))
    });
    match outcome {
        Ok(()) => 0,
        Err(Failure { status, why }) => {
            if !why.is_empty() {
                eprintln!("remedyd: {}", text::safe(&why));
            }
            status
        }
    }
}

fn session(connection: &Connection) -> Outcome<Session> {
    let token = match &connection.token_file {
        Some(path) => {
            let token = fs::read_to_string(path)
                .map_err(|error| Failure::new(USAGE, format!("--token-file {}: {error}", path.display())))?;
            Some(token)
        }
        None => std::env::var("REMEDYD_TOKEN").ok(),
    };
    let token = token.as_deref().map(str::trim).filter(|token| !token.is_empty());
    if let (None, Some(path)) = (token, &connection.token_file) {
        return Err(Failure::new(USAGE, format!("--token-file {}: it is empty", path.display())));
    }
    let ca = connection.ca_file.as_deref().map(|path| pem("ca-file", path)).transpose()?;
    let identity = match (&connection.cert_file, &connection.key_file) {
        (Some(cert), Some(key)) => Some([pem("cert-file", cert)?, b"\n".to_vec(), pem("key-file", key)?].concat()),
        _ => None,
    };
    let (server, ca, identity) = (connection.server.as_str(), ca.as_deref(), identity.as_deref());
    let daemon = Daemon::new(&Address { server, token, ca, identity })?;
    let is_plain = |name: &str, plain: &str| std::env::var(name).is_ok_and(|value| value == plain);
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colours = io::stdout().is_terminal() && !no_colour && !is_plain("TERM", "dumb");
    Ok(Session { daemon, clock: Clock::start(None), colours })
}

fn pem(flag: &str, path: &Path) -> Outcome<Vec<u8>> {
    fs::read(path).map_err(|error| Failure::new(USAGE, format!("--{flag} {}: {error}", path.display())))
}
