//! Connections: an accept loop of our own, because the library's has no limits.
//!
//! A client has five seconds for its request's head, on a connection that it just opened and on one that it keeps, and
//! half a minute to read what it was sent. There are at most [`MAX_CONNECTIONS`] to one listener, the next waits in the kernel's queue: operators who must get through
//! a storm of webhooks listen on an address of their own (`[server] listen` takes several).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use hyper_util::service::TowerToHyperService;
use rustix::net::sockopt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;
use tracing::{debug, warn};

use super::peer::Peer;

/// To one listener; each may hold a body, a handler and a descriptor.
pub const MAX_CONNECTIONS: usize = 512;
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest head of a request; Alertmanager's are 200 bytes, a browser's with cookies a few thousand.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// How long a client may leave unread what it was sent. Nobody else would ever end such a connection: it waits for room to
/// write, not for a head.
const STALL: Duration = Duration::from_secs(30);
/// After an accept that failed for us (no descriptors left), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct CannotListen {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// Takes an address; connections wait in the kernel's queue until [`serve`] takes them.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, CannotListen> {
    TcpListener::bind(address).await.map_err(|source| CannotListen { address, source })
}

/// Serves until `stop` is true (or its sender is gone), then takes no more connections and gives the requests that are
/// under way `drain` to finish. Returns how many connections had to be cut off.
pub async fn serve(listener: TcpListener, router: Router, mut stop: watch::Receiver<bool>, drain: Duration) -> usize {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let stopped = async { stop.wait_for(|stop| *stop).await.map(|_| ()) };
    tokio::pin!(stopped);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            _ = &mut stopped => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = graceful.watch(connection(stream, router.clone(), STALL));
                tokio::spawn(async move {
                    // A client that went away or sent no HTTP is its own affair.
                    if let Err(error) = connection.await {
                        debug!("connection ended: {error}");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let open = graceful.count();
    match timeout(drain, graceful.shutdown()).await {
        Ok(()) => 0,
        Err(_) => open.min(MAX_CONNECTIONS - places.available_permits()),
    }
}

fn connection(stream: TcpStream, router: Router, stall: Duration) -> impl GracefulConnection<Error = hyper::Error> {
    // Answers are small and written in one piece; waiting for more to send only delays them. Failing that is harmless.
    let _ = stream.set_nodelay(true);
    // The kernel cuts off a peer that takes nothing, whether it is gone or does not read.
    if let Err(error) = sockopt::set_tcp_user_timeout(&stream, u32::try_from(stall.as_millis()).unwrap_or(u32::MAX)) {
        debug!("a client that does not read will not be cut off: {error}");
    }
    let peer = stream.peer_addr().map_or_else(|_| Peer::default(), |peer| Peer::at(peer.ip()));
    let router = router.map_request(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        request
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    async fn start(router: Router) -> (SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<usize>) {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let server = tokio::spawn(serve(listener, router, stopped, Duration::from_secs(30)));
        (address, stop, server)
    }

    #[tokio::test]
    async fn a_stop_lets_a_request_finish_and_takes_no_more() {
        let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (enter, go) = (Arc::clone(&entered), Arc::clone(&leave));
        let handler = move || async move {
            enter.notify_one();
            go.notified().await;
            "done"
        };
        let (address, stop, server) = start(Router::new().route("/", get(handler))).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        entered.notified().await;
        stop.send(true).unwrap();
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        leave.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
        assert_eq!(server.await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_head_that_does_not_come_ends_the_connection() {
        let (address, _stop, _server) = start(Router::new().route("/", get(|| async { "x" }))).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
        let mut answer = Vec::new();
        let ended = timeout(HEAD_TIMEOUT * 3, client.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "still open after {HEAD_TIMEOUT:?}");
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_cut_off() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let page = "x".repeat(1 << 20);
        let router = Router::new().route("/", get(move || async move { page.clone() }));
        let served = tokio::spawn(connection(stream, router, Duration::from_millis(200)));
        let ask = async {
            // More than both sides' buffers hold, and then the server has no room to write.
            while client.writable().await.is_ok()
                && client.try_write(&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(64)).is_ok()
            {}
        };
        let _ = timeout(Duration::from_secs(1), ask).await;
        let ended = timeout(Duration::from_secs(30), served).await.expect("it is held for ever").unwrap();
        assert!(ended.is_err(), "it ended as if the client had read all");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named() {
        let taken = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let error = bind(taken.local_addr().unwrap()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on {}", taken.local_addr().unwrap()));
    }
}
