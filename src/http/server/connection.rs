//! One connection from its handshake to its end: who is at the other end, and how long it may take for what.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::listener::Accepted;
use super::places::{Phase, Place};
use super::room::Room;
use super::tls;
use crate::config::Tls;
use crate::http::peer::Peer;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long a head may take, from the connection or from its first byte.
pub(super) const HEAD: Duration = Duration::from_secs(5);
/// How long a connection is kept for the next request.
const IDLE: Duration = Duration::from_secs(75);
/// How long, after a stop, a connection without a request has: what its client is just sending gets an answer, which says
/// that it is the last.
const LAST_HEAD: Duration = Duration::from_millis(500);
/// How long an answer may take to be sent: one who reads a byte now and then would keep a place for ever.
const ANSWER: Duration = Duration::from_secs(60);
/// Largest head of a request; Alertmanager's are 200 bytes, a browser's with cookies a few thousand.
const MAX_HEAD_BYTES: usize = 32 * 1024;

/// Why a connection ended that could have gone on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    /// Nothing more came in time.
    #[error("no request came in time")]
    TooSlow,
    /// Another needed the place.
    #[error("it had waited longest and gave way")]
    GaveWay,
    /// TLS was not agreed upon; the client may not have been let in.
    #[error("the handshake failed: {0}")]
    Handshake(io::Error),
    /// A client that went away or spoke no HTTP.
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Serves what was accepted until it ends, is too slow, gives way, or `stop` is true and nothing is under way.
pub(super) async fn serve(
    accepted: Accepted,
    tls: Option<Tls>,
    router: Router,
    place: Place,
    room: Room,
    stop: watch::Receiver<bool>,
) -> Result<(), Ended> {
    let place = Arc::new(place);
    tokio::select! {
        ended = greet_and_speak(accepted, tls, router, Arc::clone(&place), room, stop) => ended,
        () = place.must_go() => Err(Ended::GaveWay),
    }
}

async fn greet_and_speak(
    accepted: Accepted,
    tls: Option<Tls>,
    router: Router,
    place: Arc<Place>,
    room: Room,
    stop: watch::Receiver<bool>,
) -> Result<(), Ended> {
    let (wire, peer): (Box<dyn Wire>, Peer) = match (accepted, tls) {
        (Accepted::Unix(stream), _) => (Box::new(stream), Peer::on_this_machine()),
        (Accepted::Tcp(stream, from), None) => (Box::new(stream), Peer::at(from.ip())),
        (Accepted::Tcp(stream, from), Some(Tls { server: config, .. })) => {
            let greeting = timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await;
            let stream = greeting.map_err(|_| Ended::TooSlow)?.map_err(Ended::Handshake)?;
            let names = tls::names(stream.get_ref().1);
            place.enter(Phase::Head);
            (Box::new(stream), Peer { names, ..Peer::at(from.ip()) })
        }
    };
    speak(wire, peer, router, place, room, stop).await
}

async fn speak(
    wire: Box<dyn Wire>,
    peer: Peer,
    router: Router,
    place: Arc<Place>,
    room: Room,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Ended> {
    let (at_request, at_answer, is_stopping) = (Arc::clone(&place), Arc::clone(&place), stop.clone());
    let service = router
        .map_request(move |mut request: hyper::Request<Incoming>| {
            at_request.enter(Phase::Busy);
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(room.clone());
            request
        })
        .map_result(move |answered: Result<Response, Infallible>| {
            at_answer.enter(Phase::Answering);
            let handed_over = HandedOver(Arc::clone(&at_answer));
            answered.map(|mut answer| {
                if *is_stopping.borrow() {
                    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                answer.map(|body| {
                    body.map_err(move |error| {
                        let _with_the_body = &handed_over;
                        error
                    })
                })
            })
        });
    let wire = TokioIo::new(Heard { wire, place: Arc::clone(&place) });
    let mut server = http1::Builder::new();
    // The time that a head takes is ours to measure: hyper's limit does not tell a kept connection from a slow head.
    let connection = server.header_read_timeout(None).max_buf_size(MAX_HEAD_BYTES);
    let mut connection = pin!(connection.serve_connection(wire, TowerToHyperService::new(service)));

    let mut stopped = pin!(async move { stop.wait_for(|stop| *stop).await.map(drop) });
    let mut is_stopping = false;
    let mut known = None;
    let mut limit: Option<Pin<Box<Sleep>>> = None;
    poll_fn(move |context| {
        if let Poll::Ready(ended) = connection.as_mut().poll(context) {
            return Poll::Ready(ended.map_err(Ended::from));
        }
        if !is_stopping && stopped.as_mut().poll(context).is_ready() {
            (is_stopping, known) = (true, None);
        }
        let phase = place.phase();
        if known != Some(phase) {
            known = Some(phase);
            limit = phase.0.limit(is_stopping).map(|limit| Box::pin(sleep(limit)));
        }
        match limit.as_mut().map(|limit| limit.as_mut().poll(context)) {
            Some(Poll::Ready(())) if is_stopping => Poll::Ready(Ok(())),
            Some(Poll::Ready(())) => Poll::Ready(Err(Ended::TooSlow)),
            Some(Poll::Pending) | None => Poll::Pending,
        }
    })
    .await
}

impl Phase {
    /// How long it may last.
    const fn limit(self, is_stopping: bool) -> Option<Duration> {
        match self {
            Self::Busy => None,
            Self::Answering | Self::Sent => Some(ANSWER),
            Self::Head | Self::Idle if is_stopping => Some(LAST_HEAD),
            Self::Head => Some(HEAD),
            Self::Idle => Some(IDLE),
        }
    }
}

/// Notes that bytes came, and that all went out.
struct Heard {
    wire: Box<dyn Wire>,
    place: Arc<Place>,
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.wire).poll_read(context, into);
        if into.filled().len() > before {
            self.place.heard();
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Called when nothing is left to write.
        let flushed = Pin::new(&mut self.wire).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.place.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.is_write_vectored()
    }
}

/// Belongs to the body of an answer. Once that is handed over and sent the connection is kept for the next request.
struct HandedOver(Arc<Place>);

impl Drop for HandedOver {
    fn drop(&mut self) {
        self.0.enter(Phase::Sent);
    }
}
