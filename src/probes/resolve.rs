//! Addresses of nodes: written out in the inventory, or asked of this machine's resolver.
//!
//! A name that the resolver does not know says nothing about the node, whoever is to blame for it. The resolver is the C
//! library's, so `/etc/hosts` and the search domains hold here too; it blocks, so it has threads of its own, and no more
//! than [`AT_ONCE`], because one that hangs keeps its thread for as long as the C library waits.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How many names are asked for at once.
const AT_ONCE: usize = 64;

/// This machine's resolver.
#[derive(Debug)]
pub struct Resolver {
    places: Arc<Semaphore>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Resolver {
    /// The addresses of a node, at least one, within `limit`; an address stands for itself.
    ///
    /// # Errors
    /// In words, why there is none. It is never the node's fault.
    pub async fn addresses(&self, host: &str, port: u16, limit: Duration) -> Result<Vec<SocketAddr>, String> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        // Apart, so that the many runs that need not ask have no room for it.
        let asked = Box::pin(timeout(limit, self.ask(host, port))).await;
        asked.unwrap_or_else(|_| Err(format!("the resolver did not answer for `{host}` within {limit:?}")))
    }

    async fn ask(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| "the resolver is closed".to_owned())?;
        let name = host.to_owned();
        let asking = tokio::task::spawn_blocking(move || {
            let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
            // Given back when the resolver is done, not when the run that asked is over.
            drop(place);
            found
        });
        match asking.await {
            Ok(Ok(found)) if !found.is_empty() => Ok(found),
            Ok(Ok(_)) => Err(format!("the resolver knows no address of `{host}`")),
            Ok(Err(error)) => Err(format!("the resolver does not know `{host}`: {error}")),
            Err(error) => Err(format!("the resolver failed for `{host}`: {error}")),
        }
    }
}
