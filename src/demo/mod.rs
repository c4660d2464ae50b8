//! `remedyd demo`: the real daemon with a fleet that is not real, for whoever wants to see it work before reading on.
//!
//! What is simulated is the world only: machines that fall sick by a script, an Alertmanager that tells of them, and a
//! repair shop. The daemon is this program again, as `remedyd serve`, with a configuration as an operator would write it;
//! everything between the two goes over HTTP and the driver's standard input, and what is shown is read from its API.
//! Nothing outlives a demo: no process, no folder, no port.

mod alertmanager;
mod args;
mod daemon;
mod fleet;
mod frame;
mod machines;
mod parts;
mod play;
mod script;
mod site;
mod symptom;
mod terminal;
mod watch;
mod world;

use std::io;
use std::net::SocketAddr;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

pub use args::Demo;
use args::Part;

use crate::providers::http_client::HttpError;

/// How fast everything goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace(f64);

impl Pace {
    /// So many seconds of the story.
    fn of(self, seconds: f64) -> Duration {
        Duration::from_secs_f64((seconds / self.0).max(0.001))
    }
}

/// Why a demo cannot go on.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("cannot listen on {address}: {source}")]
    Address { address: SocketAddr, source: io::Error },
    #[error("cannot {what}: {source}")]
    Io { what: &'static str, source: io::Error },
    #[error("the daemon ended by itself ({status}); the end of its log:\n{log}")]
    Ended { status: ExitStatus, log: String },
    #[error("the daemon is not ready; the end of its log:\n{log}")]
    NotReady { log: String },
    #[error("the daemon did not stop in time and was killed; the end of its log:\n{log}")]
    NotStopped { log: String },
    #[error("the daemon cannot be asked: {0}")]
    Http(#[from] HttpError),
}

/// Runs a demo to its end: exit status 0, or 1 with the reason on standard error.
pub fn run(demo: &Demo) -> ExitCode {
    match &demo.part {
        Some(Part::Machine { socket }) => return parts::machine(socket),
        Some(Part::Daemon { parent, arguments }) => return parts::daemon(*parent, arguments),
        None => {}
    }
    // One thread: the daemon is tied to the life of the one that starts it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let played = match runtime {
        Ok(runtime) => runtime.block_on(play::play(demo)),
        Err(source) => Err(DemoError::Io { what: "start a runtime", source }),
    };
    match played {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("remedyd: {error}");
            ExitCode::FAILURE
        }
    }
}
