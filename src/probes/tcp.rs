//! The probe `tcp`: does a port take connections, and does what listens there say what it should.
//!
//! A kernel accepts for a program that hangs, so a connection alone proves little: with `banner` the program must speak.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Target;
use super::blame::Trouble;
use super::connect::{Connected, Deadline, connect, seconds};
use super::resolve::Resolver;
use crate::clock::Stopwatch;
use crate::config::checks::{Pattern, Tcp};
use crate::domain::Observation;

/// How much of what a node sends is looked at for the banner, in bytes.
pub const BANNER_BYTES: usize = 4096;
/// How much of it is shown.
const SHOWN: usize = 120;

/// One run.
pub async fn run(spec: &Tcp, target: &Target, resolver: &Resolver, limit: Duration) -> Observation {
    let deadline = Deadline::after(limit);
    let port = spec.port;
    let Connected { mut stream, address, took } = match connect(resolver, &target.address, port, &deadline).await {
        Ok(connected) => connected,
        Err(trouble) => return trouble.observation(&format!("tcp {} port {port}", target.address)),
    };
    let observation = match &spec.banner {
        None => Observation::pass(format!("tcp {address}: connected in {}", seconds(took))),
        Some(pattern) => {
            let begun = Stopwatch::start();
            let read = banner(&mut stream, pattern, &deadline).await;
            let banner_seconds = begun.elapsed().as_secs_f64();
            let asked = format!("tcp {address}: connected in {}", seconds(took));
            match read {
                Ok(text) => Observation::pass(format!("{asked}, banner {text}")).with("banner_seconds", banner_seconds),
                Err(trouble) => trouble.observation(&asked),
            }
        }
    };
    observation.with("connect_seconds", took.as_secs_f64())
}

/// Reads until what came matches, and shows it.
async fn banner(stream: &mut TcpStream, pattern: &Pattern, deadline: &Deadline) -> Result<String, Trouble> {
    let mut bytes = Vec::with_capacity(256);
    let reading = async {
        loop {
            let room = BANNER_BYTES - bytes.len();
            match (&mut *stream).take(room as u64).read_buf(&mut bytes).await {
                Err(error) => return Err(Trouble::of("reading the banner", &error)),
                Ok(0) if bytes.is_empty() => return Err(Trouble::node("banner", "closed without a word")),
                Ok(0) => return Err(Trouble::node("banner", format!("{} does not match `{pattern}`", shown(&bytes)))),
                Ok(_) if pattern.is_match(&bytes) => return Ok(shown(&bytes)),
                Ok(_) => {}
            }
        }
    };
    let outcome = timeout(deadline.left(), reading).await;
    outcome.unwrap_or_else(|_| {
        let within = seconds(deadline.limit());
        Err(match bytes.is_empty() {
            true => Trouble::silence(format!("connected, but not a word within {within}")),
            false => {
                let what = format!("{} within {within} does not match `{pattern}`", shown(&bytes));
                Trouble::node("banner", what)
            }
        })
    })
}

/// The beginning of what a node sent, in quotes and fit for a log.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    let more = if bytes.len() > SHOWN { "…" } else { "" };
    format!("{text:?}{more}")
}

#[cfg(test)]
mod tests;
