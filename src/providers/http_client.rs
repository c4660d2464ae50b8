//! The one HTTP client of every edge: bounded in time and size, and going nowhere but where it was sent.
//!
//! It follows no redirect and uses no proxy of the environment, so it connects to configured origins only; an address may
//! hold a secret, so no error names one. Certificates are judged by the system's trust store, which reqwest's
//! `rustls-no-provider` reads on its own: an operator who adds a CA to the machine adds it here too, and no list of roots
//! has to be shipped. The arithmetic is ring's, because it builds with a C compiler alone.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Method, Response};

/// A machine on the same network that does not take a connection in this time is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// From the first byte out to the last byte in.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Shorter than the idle limits of common servers: a request on a connection that they are closing is lost half-way.
const IDLE: Duration = Duration::from_secs(30);

/// Chooses the cryptography of the whole process. Call it once at the start of `main` and of a test; again is harmless.
pub fn install_crypto() {
    // An error says that a provider is installed already, which is all that is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Sends requests. Cheap to clone; all clones share their connections.
#[derive(Clone, Debug)]
pub struct HttpClient(Client);

/// Why there is no answer, or not the wanted one. Never names the address.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The client cannot be built.
    #[error("the HTTP client cannot be built: {0}")]
    Unbuildable(String),
    /// No address that can be asked.
    #[error("the address cannot be used: {0}")]
    BadAddress(String),
    /// Nobody answered, or not to the end; the request may have arrived.
    #[error("{0}")]
    Transport(String),
    /// The answer's status is not 2xx.
    #[error("HTTP status {0}")]
    Status(u16),
    /// The answer is longer than the caller allows.
    #[error("the answer is longer than {limit_bytes} bytes")]
    TooLong {
        /// What the caller allows.
        limit_bytes: usize,
    },
}

impl HttpClient {
    /// Builds the client and installs the cryptography if nobody did. On a machine without a trust store it trusts nobody:
    /// `http` works, `https` does not.
    ///
    /// # Errors
    /// [`HttpError::Unbuildable`]
    pub fn new() -> Result<Self, HttpError> {
        install_crypto();
        let trusting = builder().build().or_else(|error| {
            tracing::warn!("no https: the system's trust store cannot be used: {}", causes(error));
            builder().tls_certs_only([]).build()
        });
        trusting.map(Self).map_err(|error| HttpError::Unbuildable(causes(error)))
    }

    /// Reads what is at `url`, at most `limit_bytes` of it.
    ///
    /// # Errors
    /// Every kind of [`HttpError`] but `Unbuildable`.
    pub async fn get(&self, url: &str, limit_bytes: usize) -> Result<Vec<u8>, HttpError> {
        self.get_with(url, &[], limit_bytes).await
    }

    /// [`HttpClient::get`] with extra headers.
    ///
    /// # Errors
    /// Every kind of [`HttpError`] but `Unbuildable`.
    pub async fn get_with(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        limit_bytes: usize,
    ) -> Result<Vec<u8>, HttpError> {
        let request = self.0.request(Method::GET, url);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        capped(sent(request.send().await)?, limit_bytes).await
    }

    /// Posts a JSON body with the given extra headers; the answer's body is of no interest.
    ///
    /// # Errors
    /// Every kind of [`HttpError`] but `Unbuildable` and `TooLong`.
    pub async fn post_json(&self, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Result<(), HttpError> {
        let request = self.0.request(Method::POST, url).header(CONTENT_TYPE, "application/json").body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        sent(request.send().await).map(drop)
    }
}

pub(super) fn builder() -> ClientBuilder {
    Client::builder()
        .connect_timeout(CONNECT_WITHIN)
        .timeout(ANSWER_WITHIN)
        .pool_idle_timeout(IDLE)
        .redirect(Policy::none())
        .no_proxy()
        .user_agent(concat!("remedyd/", env!("CARGO_PKG_VERSION")))
}

fn sent(outcome: Result<Response, reqwest::Error>) -> Result<Response, HttpError> {
    let response = outcome.map_err(|error| match error.is_builder() {
        true => HttpError::BadAddress(causes(error)),
        false => HttpError::Transport(causes(error)),
    })?;
    match response.status() {
        status if status.is_success() => Ok(response),
        status => Err(HttpError::Status(status.as_u16())),
    }
}

/// Reads a body and stops as soon as it is too long, whatever length it announced.
pub(super) async fn capped(mut response: Response, limit_bytes: usize) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| HttpError::Transport(causes(error)))? {
        if body.len() + chunk.len() > limit_bytes {
            return Err(HttpError::TooLong { limit_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The error and what caused it, on one line, without the address.
pub(super) fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing into a string cannot fail.
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::peer::{Peer, Reply};
    use super::*;

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let elsewhere = Peer::start(|_| Reply::status(200)).await;
        let target = elsewhere.url("/secret");
        let peer = Peer::start(move |_| Reply::status(302).header("Location", &target)).await;
        let error = HttpClient::new().unwrap().get(&peer.url("/"), 100).await.unwrap_err();
        assert!(matches!(error, HttpError::Status(302)), "{error}");
        assert!(elsewhere.requests().is_empty());
    }

    #[tokio::test]
    async fn a_long_answer_is_cut_off_whatever_it_announces() {
        let peer = Peer::start(|_| Reply::body(&"x".repeat(1001))).await;
        let client = HttpClient::new().unwrap();
        let error = client.get(&peer.url("/"), 1000).await.unwrap_err();
        assert!(matches!(error, HttpError::TooLong { limit_bytes: 1000 }), "{error}");
        assert_eq!(client.get(&peer.url("/"), 1001).await.unwrap().len(), 1001);
    }

    #[tokio::test]
    async fn no_error_tells_the_address() {
        let client = HttpClient::new().unwrap();
        let gone = Peer::start(|_| Reply::status(200)).await;
        let base = gone.url("/hook?token=s3cret");
        drop(gone);
        for url in [base.as_str(), "http://user:s3cret@127.0.0.1:1/", "gopher://s3cret/", "http://[s3cret", "s3cret"] {
            let error = client.post_json(url, &[], Vec::new()).await.unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
        let error = client.get("not an address", 1).await.unwrap_err();
        assert!(matches!(error, HttpError::BadAddress(_)), "{error}");
    }

    #[tokio::test]
    async fn a_post_carries_its_headers_and_its_body() {
        let peer = Peer::start(|_| Reply::status(204)).await;
        let client = HttpClient::new().unwrap();
        client.post_json(&peer.url("/hook?a=b"), &[("Idempotency-Key", "k-1")], b"{}".to_vec()).await.unwrap();
        let requests = peer.requests();
        assert_eq!((requests[0].target.as_str(), requests[0].body.as_str()), ("POST /hook?a=b", "{}"));
        assert_eq!(requests[0].header("idempotency-key"), Some("k-1"));
        assert_eq!(requests[0].header("content-type"), Some("application/json"));
    }
}
