//! The flags of `remedyd demo`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::config::duration;

/// What `remedyd demo` was asked for.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Demo {
    #[command(subcommand)]
    pub(super) part: Option<Part>,
    /// Let the daemon listen here. Without it: on 127.0.0.1:9720, or on any free port where that is taken.
    #[arg(long = "web.listen-address", value_name = "ADDR", value_parser = loopback)]
    pub(super) listen: Option<SocketAddr>,
    /// How many nodes there are.
    #[arg(long, default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u16).range(16..=512))]
    pub(super) nodes: u16,
    /// Which story is told: the same seed tells the same one.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
    /// How many times faster everything goes, from 0.1 to 20.
    #[arg(long, default_value_t = 1.0, value_name = "TIMES", value_parser = speed)]
    pub(super) speed: f64,
    /// End by itself after this time, such as 60s.
    #[arg(long = "for", value_name = "TIME", value_parser = duration::parse)]
    pub(super) span: Option<Duration>,
    /// Approve each proposal that will not go away by itself, once it is this old (without a time: 5s).
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "5s", value_parser = duration::parse)]
    pub(super) approve: Option<Duration>,
    /// One line for each thing that happens, without colours and keys; so it is anyway where output is no terminal.
    #[arg(long)]
    pub(super) plain: bool,
    /// Leave the folder with the configuration, the store and the daemon's log.
    #[arg(long)]
    pub(super) keep: bool,
}

/// What a demo starts as processes of their own.
#[derive(Clone, Debug, Subcommand)]
pub(super) enum Part {
    /// The driver program of the simulated machines.
    #[command(hide = true)]
    Machine {
        /// Where they listen.
        socket: PathBuf,
    },
    /// A daemon that ends with the demo.
    #[command(hide = true)]
    Daemon {
        /// The demo.
        parent: i32,
        /// Of `remedyd serve`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

/// Everybody who connects to a demo is admin, so only this machine may.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| "is no address and port, such as 127.0.0.1:9720".to_owned())?;
    if !address.ip().is_loopback() {
        return Err("is not loopback, and everybody who connects to a demo is admin".to_owned());
    }
    Ok(address)
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "is no number".to_owned())?;
    if (0.1..=20.0).contains(&speed) { Ok(speed) } else { Err("must be from 0.1 to 20".to_owned()) }
}
