//! What the tests with real processes stand on: a folder with the shipped configuration, the daemon, its peers, and
//! conditions to wait for.
//!
//! Every test has addresses and a folder of its own, so all run side by side. Nobody sleeps for a time: one waits until
//! something holds, and says what was seen where it never does.
#![allow(dead_code, reason = "each test program takes what it needs")]

pub mod alertmanager;
pub mod client;
pub mod daemon;
pub mod driver;
pub mod fixtures;
pub mod listener;
pub mod posts;
pub mod receiver;
pub mod relay;
pub mod site;
pub mod systemd;
pub mod tool;

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use remedyd::clock::{Clock, Stopwatch};
use remedyd::domain::Timestamp;

/// How long anything may take that a machine under load does in a moment.
pub const SOON: Duration = Duration::from_secs(60);

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Waits until `look` finds what it wants. Its errors say what it saw; the last one is told where `within` passes first.
pub fn eventually<T, E: Display>(within: Duration, what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let since = Stopwatch::start();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if since.elapsed() >= within => panic!("not within {within:?}: {what}\nlast seen: {seen}"),
            Err(_) => std::thread::park_timeout(LOOK_EVERY),
        }
    }
}

/// The wall clock, for alerts that begin and end when the test says so.
pub fn now() -> Timestamp {
    Clock::start(None).now()
}

/// An address on this machine that no other test has. Its ports can be the usual ones, which the system gives to nobody
/// by itself: so a port stays free while its daemon is down.
pub fn address_of_its_own() -> Ipv4Addr {
    static TAKEN: AtomicU8 = AtomicU8::new(0);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    loop {
        // 127.0.0.0/8 is all loopback; its lowest part belongs to people and to the shipped inventory.
        let next = TAKEN.fetch_add(1, Ordering::Relaxed);
        assert!(next < 200, "no loopback address is free");
        let address = Ipv4Addr::new(127, 16 + next, high, low);
        if TcpListener::bind(SocketAddr::new(IpAddr::V4(address), DAEMON_PORT)).is_ok() {
            return address;
        }
    }
}

/// Where the daemon listens, as shipped.
pub const DAEMON_PORT: u16 = 9720;
