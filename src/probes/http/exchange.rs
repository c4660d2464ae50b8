//! One request and its answer over a fresh connection, with hyper; everything that the peer sends is bounded.

use std::error::Error;
use std::io;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::super::blame::Trouble;
use super::super::tls;
use crate::clock::Stopwatch;

/// How much of a body is read, in bytes. A longer one is cut.
pub const BODY_BYTES: usize = 64 << 10;
/// How long the head of an answer may be, in bytes.
const HEAD_BYTES: usize = 64 << 10;
/// How many fields it may have.
const HEAD_FIELDS: usize = 128;

/// What came so far.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) head: Option<Head>,
    pub(super) body: Vec<u8>,
    /// There was more of the body.
    pub(super) is_cut: bool,
}

#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) fields: HeaderMap,
    /// From the request's first byte out to the last of the head in.
    pub(super) first_byte_seconds: f64,
}

/// Sends the request and reads what comes into `answer`, which also tells how far it came where this is dropped.
pub(super) async fn exchange<S>(stream: S, request: Request<Empty<Bytes>>, answer: &mut Answer) -> Result<(), Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let builder = http1::Builder::new().max_buf_size(HEAD_BYTES).max_headers(HEAD_FIELDS).clone();
    let shaken = builder.handshake(TokioIo::new(stream)).await;
    let (mut sender, mut connection) = shaken.map_err(|error| trouble(&error))?;
    let asking = async {
        let begun = Stopwatch::start();
        let response = sender.send_request(request).await.map_err(|error| trouble(&error))?;
        let (parts, mut body) = response.into_parts();
        let first_byte_seconds = begun.elapsed().as_secs_f64();
        answer.head = Some(Head { status: parts.status, fields: parts.headers, first_byte_seconds });
        read(&mut body, answer).await
    };
    tokio::pin!(asking);
    tokio::select! {
        biased;
        done = &mut asking => return done,
        // What it has to say, it says to the one who asks.
        _ = &mut connection => {}
    }
    drop(connection);
    asking.await
}

async fn read(body: &mut Incoming, answer: &mut Answer) -> Result<(), Trouble> {
    while let Some(frame) = body.frame().await {
        let Ok(chunk) = frame.map_err(|error| trouble(&error))?.into_data() else { continue };
        let room = BODY_BYTES - answer.body.len();
        answer.body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() > room {
            answer.is_cut = true;
            break;
        }
    }
    Ok(())
}

fn trouble(error: &hyper::Error) -> Trouble {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        match cause.downcast_ref::<io::Error>() {
            Some(cause) if cause.raw_os_error().is_some() || tls::inner(cause).is_some() => {
                return tls::trouble("asking", cause);
            }
            // hyper says it so as well where it makes nothing of what came.
            Some(_) | None => said = format!("{said}: {cause}"),
        }
        source = cause.source();
    }
    match error.is_user() {
        true => Trouble::Ours(format!("the request cannot be sent: {said}")),
        false => Trouble::node("protocol", format!("no HTTP: {said}")),
    }
}
