//! One GET of one page from one machine: plain HTTP, no redirects, and never more than was asked for.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fetch {
    /// This side cannot ask: no name service, no descriptors, no network.
    #[error("cannot be asked from here: {0}")]
    Local(io::Error),
    /// The other side cannot be reached, or nobody listens.
    #[error("cannot be reached: {0}")]
    Unreachable(io::Error),
    /// The conversation broke off.
    #[error("broke off: {0}")]
    Broken(String),
    /// It answers something else.
    #[error("answers {0}")]
    Status(StatusCode),
    /// The page is too long.
    #[error("sends more than {0} bytes")]
    TooLong(usize),
}

/// The page. Whoever asks ends it at a deadline; then the connection is closed.
pub(super) async fn get(address: &str, port: u16, path: &str, cap: usize) -> Result<Bytes, Fetch> {
    let mut found = lookup_host((address, port)).await.map_err(Fetch::Local)?;
    let place = found.next().ok_or_else(|| Fetch::Local(io::Error::other(format!("no address for {address}"))))?;
    let stream = TcpStream::connect(place).await.map_err(connecting)?;
    let broken = |error: hyper::Error| Fetch::Broken(in_full(&error));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Ends with this function, however that ends.
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let host = if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") };
    let request = Request::get(path)
        .header(header::HOST, host)
        .header(header::ACCEPT, "text/plain")
        .header(header::USER_AGENT, concat!("remedyd/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| Fetch::Local(io::Error::other(error)))?;
    let answer = sender.send_request(request).await.map_err(broken)?;
    if answer.status() != StatusCode::OK {
        return Err(Fetch::Status(answer.status()));
    }
    match Limited::new(answer.into_body(), cap).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(Fetch::TooLong(cap)),
        Err(error) => Err(Fetch::Broken(error.to_string())),
    }
}

/// Whose fault it is that there is no connection.
fn connecting(error: io::Error) -> Fetch {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, TimedOut};
    match error.kind() {
        ConnectionAborted | ConnectionRefused | ConnectionReset | HostUnreachable | TimedOut => {
            Fetch::Unreachable(error)
        }
        _ => Fetch::Local(error),
    }
}

fn in_full(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
