//! `[server]`: where the daemon listens, with which certificate, and how much it takes at once.
//!
//! Addresses belong to a process and take effect at the next start; everything else is taken over by a reload.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::glob;
use super::table::{Table, Value};
use super::tls::{self, Tls};

/// Where the daemon listens unless told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9720);

/// How a socket file is told from an address.
const UNIX: &str = "unix:";

/// The longest path that the kernel takes for a socket: `sun_path` of unix(7) is 108 bytes with its final zero.
const LONGEST_SOCKET: usize = 107;

/// Connections that are left for people, whatever the requests that are under way and the wrong tokens whose answers are
/// held back.
const SPARE_CONNECTIONS: u32 = 96;

/// One place to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// `unix:PATH`, a socket file of mode 0660: who may open it is on this machine, and counts as such.
    Unix(PathBuf),
}

/// Text that names no place to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadListen {
    /// Neither an address nor `unix:`.
    #[error("`{0}` is no address and port, such as \"127.0.0.1:9720\", and no \"unix:PATH\"")]
    NoAddress(String),
    /// `unix:` and a path that cannot be one.
    #[error("`{0}` names no socket: a path of 1 to {LONGEST_SOCKET} bytes follows `unix:`")]
    NoPath(String),
}

impl FromStr for Listen {
    type Err = BadListen;

    fn from_str(text: &str) -> Result<Self, BadListen> {
        match text.strip_prefix(UNIX) {
            Some(path) if (1..=LONGEST_SOCKET).contains(&path.len()) => Ok(Self::Unix(path.into())),
            Some(_) => Err(BadListen::NoPath(text.to_owned())),
            None => text.parse().map(Self::Tcp).map_err(|_| BadListen::NoAddress(text.to_owned())),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(out),
            Self::Unix(path) => write!(out, "{UNIX}{}", path.display()),
        }
    }
}

impl Listen {
    /// Whether only this machine can connect.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// Port 0 is another port each time.
    fn is_same_place(&self, other: &Self) -> bool {
        self == other && !matches!(self, Self::Tcp(address) if address.port() == 0)
    }
}

/// `[server]`
#[derive(Clone, Debug, Default)]
pub struct Server {
    /// `listen`, or what the command line says instead.
    pub listen: Vec<Listen>,
    /// `[server.tls]`; nothing: TCP is spoken in the clear.
    pub tls: Option<Tls>,
    /// `[server.limits]`
    pub limits: ServerLimits,
    /// `access_log`: every request is a line at `info`, which is otherwise one at `debug`.
    pub access_log: bool,
}

/// `[server.limits]`: how much is taken at once over TCP; a socket file has as much again for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// `connections`: open at once. Where all are taken, the one that has waited longest for a request gives way.
    pub connections: u32,
    /// `ingest`: deliveries of alerts under way.
    pub ingest: u32,
    /// `reads`: other GETs under way.
    pub reads: u32,
    /// `commands`: requests under way that change something.
    pub commands: u32,
    /// `health`: `/-/healthy`, `/-/ready` and `/metrics` under way.
    pub health: u32,
}

impl Default for ServerLimits {
    fn default() -> Self {
        // As many deliveries as one commit writes well together, and the 64 of SAFETY §2.6 for everybody else.
        Self { connections: 512, ingest: 256, reads: 64, commands: 64, health: 16 }
    }
}

impl ServerLimits {
    const fn in_flight(&self) -> u32 {
        self.ingest + self.reads + self.commands + self.health
    }
}

/// What the table says, and the values that name files.
pub(super) struct ServerTable<'a> {
    pub(super) listen: Vec<(Listen, Option<Value<'a>>)>,
    pub(super) tls: Option<tls::TlsTable<'a>>,
    pub(super) limits: ServerLimits,
    pub(super) access_log: bool,
}

/// Reads the table; paths in it are relative to `base`.
pub(super) fn read<'a>(mut server: Table<'a>, base: &Path) -> ServerTable<'a> {
    let listen = read_listen(server.take("listen"), base);
    let tls = server.take("tls").and_then(|value| value.table()).and_then(tls::read_table);
    let limits = read_limits(server.take("limits").and_then(|value| value.table()));
    let access_log = server.take("access_log").and_then(|value| value.boolean()).unwrap_or_default();
    server.finish();
    ServerTable { listen, tls, limits, access_log }
}

fn read_listen<'a>(value: Option<Value<'a>>, base: &Path) -> Vec<(Listen, Option<Value<'a>>)> {
    let Some(value) = value else { return vec![(Listen::Tcp(LISTEN), None)] };
    let mut listen: Vec<(Listen, Option<Value<'a>>)> = Vec::new();
    let items = value.texts().unwrap_or_default();
    if items.is_empty() && value.list().is_some_and(|list| list.is_empty()) {
        value.wrong("must name at least one address, such as \"127.0.0.1:9720\"");
    }
    for (text, item) in items {
        let place = match text.parse() {
            Ok(Listen::Unix(path)) => Listen::Unix(glob::beside(base, &path.to_string_lossy())),
            Ok(place) => place,
            Err(error) => {
                item.wrong(error.to_string());
                continue;
            }
        };
        if listen.iter().any(|(known, _)| known.is_same_place(&place)) {
            item.wrong(format!("`{text}` is named twice"));
        } else {
            listen.push((place, Some(item)));
        }
    }
    listen
}

fn read_limits(table: Option<Table<'_>>) -> ServerLimits {
    let mut limits = ServerLimits::default();
    let Some(mut table) = table else { return limits };
    let keys: [(&'static str, &mut u32); 5] = [
        ("connections", &mut limits.connections),
        ("ingest", &mut limits.ingest),
        ("reads", &mut limits.reads),
        ("commands", &mut limits.commands),
        ("health", &mut limits.health),
    ];
    for (key, limit) in keys {
        *limit = table.take(key).and_then(|value| value.number(1..=65_536)).unwrap_or(*limit);
    }
    let wanted = limits.in_flight() + SPARE_CONNECTIONS;
    if limits.connections < wanted {
        table.wrong(format!(
            "connections ({}) must be at least {wanted}: all requests that may be under way, and {SPARE_CONNECTIONS} \
             more, so that a storm leaves room for people",
            limits.connections
        ));
    }
    table.finish();
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_as_it_is_written() {
        for text in ["127.0.0.1:9720", "[::1]:0", "unix:/run/remedyd/remedyd.sock", "unix:remedyd.sock"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for text in ["localhost", "127.0.0.1", "unix:", "UNIX:/a", "/run/a.sock"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
        assert!(format!("unix:{}", "x".repeat(108)).parse::<Listen>().is_err());
    }

    #[test]
    fn only_loopback_and_files_are_this_machine() {
        let is_local = |text: &str| text.parse::<Listen>().unwrap().is_local();
        assert!(is_local("127.1.2.3:1") && is_local("[::1]:1") && is_local("unix:/a"));
        assert!(!is_local("0.0.0.0:1") && !is_local("[::]:1") && !is_local("10.0.0.1:1"));
    }
}
