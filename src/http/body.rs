//! Reads a request's body within a size and a time, so that neither a large nor a slow client holds us up.

use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Number;
use tokio::time::timeout;

use super::error::{Fault, Kind};
use axum::extract::Request;

/// The largest body of a command; the longest that makes sense is a comment.
const MAX_COMMAND_BYTES: usize = 64 * 1024;
/// How long nothing may come.
const IDLE: Duration = Duration::from_secs(15);
/// How long the whole body may take.
const TOTAL: Duration = Duration::from_secs(60);

/// The size that the client announces, if it does.
pub(super) fn announced(request: &Request) -> Option<usize> {
    request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A body that is packed is refused by name; unread, it would be refused as broken text.
fn plain(request: &Request) -> Result<(), Fault> {
    let coding = request.headers().get(header::CONTENT_ENCODING).map(|value| value.as_bytes());
    match coding {
        None | Some(b"" | b"identity") => Ok(()),
        Some(coding) => {
            let coding: String = String::from_utf8_lossy(coding).chars().take(64).collect();
            let why = "bodies are read as they are; nothing of it was taken";
            Err(Fault::invalid(format!("content-encoding: `{coding}` is not read here; {why}")))
        }
    }
}

/// The whole body, at most `cap` bytes of it.
pub(super) async fn read(request: Request, cap: usize) -> Result<Bytes, Fault> {
    plain(&request)?;
    let size = announced(&request);
    if size.is_some_and(|size| size > cap) {
        return Err(too_large(cap));
    }
    let too_slow = |_| Fault::new(Kind::TooSlow, "the body did not come in time; nothing of it was taken");
    timeout(TOTAL, collect(request.into_body(), size.unwrap_or(0), cap)).await.map_err(too_slow)?
}

pub(super) fn too_large(cap: usize) -> Fault {
    Fault::new(Kind::TooLarge, format!("the body is larger than {cap} bytes; nothing of it was taken"))
}

async fn collect(mut body: Body, size: usize, cap: usize) -> Result<Bytes, Fault> {
    let mut whole = BytesMut::with_capacity(size);
    loop {
        let frame = timeout(IDLE, body.frame()).await;
        let frame = frame.map_err(|_| Fault::new(Kind::TooSlow, "the body stopped coming; nothing of it was taken"))?;
        let Some(frame) = frame else { return Ok(whole.freeze()) };
        let frame = frame.map_err(|error| Fault::invalid(format!("the body broke off: {error}")))?;
        // Trailers say nothing that anybody here asks for.
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > cap {
            return Err(too_large(cap));
        }
        whole.extend_from_slice(&data);
    }
}

/// The body as a JSON object; nothing at all counts as `{}`.
pub(super) async fn object<T: DeserializeOwned>(request: Request) -> Result<T, Fault> {
    let body = read(request, MAX_COMMAND_BYTES).await?;
    let text = body.trim_ascii();
    let text = if text.is_empty() { b"{}" } else { text };
    // serde would read a list into a struct as well.
    if !text.starts_with(b"{") {
        return Err(Fault::invalid("the body is not a JSON object"));
    }
    serde_json::from_slice(text).map_err(|error| Fault::invalid(format!("the body cannot be read: {error}")))
}

/// A whole number that is not negative. JSON has one kind of number: `3.0` is 3.
pub(super) fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let Some(number) = Option::<Number>::deserialize(from)? else { return Ok(None) };
    if let Some(whole) = number.as_u64() {
        return Ok(Some(whole));
    }
    // Its text without an exponent and behind the point only zeros; beyond 2^53 a float says no number exactly.
    let shown = number.as_f64().filter(|float| float.abs() <= 9_007_199_254_740_992.0).map(|float| format!("{float}"));
    let whole = shown.and_then(|text| text.parse().ok());
    whole.map(Some).ok_or_else(|| D::Error::custom(format!("`{number}` is no whole number from 0")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Seen {
        #[serde(default, deserialize_with = "whole")]
        version: Option<u64>,
    }

    #[test]
    fn whole_numbers_come_in_two_spellings() {
        let read = |text: &str| serde_json::from_str::<Seen>(text).map(|seen| seen.version).ok();
        for (text, wanted) in [
            ("{}", Some(None)),
            (r#"{"version":null}"#, Some(None)),
            (r#"{"version":3}"#, Some(Some(3))),
            (r#"{"version":379724.0}"#, Some(Some(379_724))),
            (r#"{"version":1e3}"#, Some(Some(1000))),
            (r#"{"version":18446744073709551615}"#, Some(Some(u64::MAX))),
            (r#"{"version":3.5}"#, None),
            (r#"{"version":-1}"#, None),
            (r#"{"version":-1.0}"#, None),
            (r#"{"version":1e300}"#, None),
            (r#"{"version":"3"}"#, None),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }
}
