//! Who is at the other end of a connection, as far as the connection itself can tell.
//!
//! Every request carries its connection's [`Peer`]. What a caller claims in headers is `auth`'s question.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::request::Parts;

/// The other end of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Where it connects from; nothing on a socket file.
    pub address: Option<IpAddr>,
    /// The DNS names and URIs (subjectAltName, RFC 5280 §4.2.1.6) of its client certificate, which one of
    /// `[server.tls] client_ca_file` has signed; empty where it showed none.
    pub names: Arc<[String]>,
    /// It is on this machine: it came over loopback or a socket file.
    pub this_machine: bool,
}

impl Peer {
    /// Somebody at `address`.
    pub fn at(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address: Some(address), names: Arc::default(), this_machine: address.is_loopback() }
    }

    /// Somebody on a socket file.
    pub fn on_this_machine() -> Self {
        Self { address: None, names: Arc::default(), this_machine: true }
    }

    /// Who sent a request. Of a request that came over no connection nothing is known, so it is trusted with nothing.
    pub(super) fn of(parts: &Parts) -> Self {
        parts.extensions.get::<Self>().cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_however_it_is_written() {
        let is_here = |text: &str| Peer::at(text.parse().unwrap()).this_machine;
        assert!(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"].into_iter().all(is_here));
        assert!(!["10.0.0.1", "::2", "::ffff:10.0.0.1", "0.0.0.0"].into_iter().any(is_here));
    }
}
