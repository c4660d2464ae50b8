//! Connects to a node over TCP, for every probe that speaks over it.
//!
//! A connection is closed with a reset (SO_LINGER of zero): a run is over once its verdict stands, so nothing is lost, and a
//! fleet that is probed all day would else leave tens of thousands of local ports and entries of connection tracking in
//! TIME_WAIT. Where ports run out all the same, that is an error of ours.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::blame::Trouble;
use super::resolve::Resolver;
use crate::clock::Stopwatch;

/// How many addresses of one name are tried.
const TRIED: usize = 4;

/// A connection, fresh.
#[derive(Debug)]
pub(super) struct Connected {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    /// From the first packet out, without the resolver.
    pub(super) took: Duration,
}

/// The time that one run has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    begun: Stopwatch,
    limit: Duration,
}

impl Deadline {
    pub(super) fn after(limit: Duration) -> Self {
        Self { begun: Stopwatch::start(), limit }
    }

    /// What is left of it.
    pub(super) fn left(&self) -> Duration {
        self.limit.saturating_sub(self.begun.elapsed())
    }

    /// What was used of it.
    pub(super) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// All of it.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }
}

/// Connects before the deadline. The addresses of a name are tried in the resolver's order, each with its share of the
/// time that is left; of several failures one of the node's counts before one of ours.
pub(super) async fn connect(
    resolver: &Resolver,
    host: &str,
    port: u16,
    deadline: &Deadline,
) -> Result<Connected, Trouble> {
    let mut addresses = resolver.addresses(host, port, deadline.left()).await.map_err(Trouble::Ours)?;
    // Who spends most of the time is to blame for what is missing of it.
    let is_late = deadline.elapsed() > deadline.limit() / 2;
    addresses.truncate(TRIED);
    let mut trouble = Trouble::Ours(format!("`{host}` has no address"));
    for (at, address) in addresses.iter().enumerate() {
        let untried = u32::try_from(addresses.len() - at).unwrap_or(1);
        match connect_to(*address, deadline.left() / untried).await {
            Ok(connected) => return Ok(connected),
            Err(Trouble::Node { finding: "timeout", detail }) if is_late => {
                trouble = Trouble::Ours(format!("the resolver took most of the time: {detail}"));
            }
            Err(Trouble::Ours(_)) if matches!(trouble, Trouble::Node { .. }) => {}
            Err(other) => trouble = other,
        }
    }
    Err(trouble)
}

/// Connects to one address within `limit`.
pub(super) async fn connect_to(address: SocketAddr, limit: Duration) -> Result<Connected, Trouble> {
    let begun = Stopwatch::start();
    let connected = timeout(limit, TcpStream::connect(address)).await;
    let took = begun.elapsed();
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(Trouble::of("connecting", &error)),
        Err(_) => return Err(Trouble::silence(format!("no connection within {}", seconds(limit)))),
    };
    // A port of this machine that nobody listens on may be given to the very connection that looks for it.
    if stream.local_addr().is_ok_and(|local| local == address) {
        return Err(Trouble::node("refused", "connecting: it met only itself"));
    }
    stream.set_zero_linger().map_err(|error| Trouble::of("connecting", &error))?;
    Ok(Connected { stream, address, took })
}

/// A span as a person reads it: `1.234 s`, `0.3 ms`.
pub(super) fn seconds(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        format!("{:.1} ms", span.as_secs_f64() * 1e3)
    } else {
        format!("{:.3} s", span.as_secs_f64())
    }
}
