//! One GET of one page from one machine: plain HTTP, no redirects, and never more than was asked for.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::blame::Trouble;
use super::connect::{Deadline, connect};
use super::resolve::Resolver;

/// How long the head of an answer may be, in bytes, and how many fields it may have.
const HEAD: (usize, usize) = (64 << 10, 128);

/// Which page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page<'a> {
    /// A name or an address.
    pub(super) host: &'a str,
    /// The port there.
    pub(super) port: u16,
    /// Begins with a slash.
    pub(super) path: &'a str,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum NoPage {
    /// This side cannot ask.
    Ours(String),
    /// The other side does not answer, or says something else.
    Theirs(String),
    /// It is longer than this many bytes.
    TooLong(usize),
}

impl From<Trouble> for NoPage {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Ours(why) => Self::Ours(why),
            Trouble::Node { detail, .. } => Self::Theirs(detail),
        }
    }
}

/// The page, before the deadline. The connection is closed when this ends, however it does.
pub(super) async fn get(resolver: &Resolver, page: Page<'_>, deadline: &Deadline, cap: usize) -> Result<Bytes, NoPage> {
    let connected = connect(resolver, page.host, page.port, deadline).await?;
    let asked = timeout(deadline.left(), ask(connected.stream, page, cap)).await;
    asked.unwrap_or_else(|_| Err(NoPage::Theirs(format!("no whole answer within {:?}", deadline.limit()))))
}

async fn ask(stream: TcpStream, page: Page<'_>, cap: usize) -> Result<Bytes, NoPage> {
    let Page { host, port, path } = page;
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "text/plain")
        .header(header::USER_AGENT, concat!("remedyd/", env!("CARGO_PKG_VERSION")))
        .body(Empty::<Bytes>::new())
        .map_err(|error| NoPage::Ours(error.to_string()))?;
    let broken = |error: hyper::Error| NoPage::Theirs(in_full(&error));
    let shaken = http1::Builder::new().max_buf_size(HEAD.0).max_headers(HEAD.1).handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(broken)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let answer = sender.send_request(request).await.map_err(broken)?;
    if answer.status() != StatusCode::OK {
        return Err(NoPage::Theirs(format!("it answers {}", answer.status())));
    }
    match Limited::new(answer.into_body(), cap).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(NoPage::TooLong(cap)),
        Err(error) => Err(NoPage::Theirs(format!("the answer breaks off: {error}"))),
    }
}

fn in_full(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
