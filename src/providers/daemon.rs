//! A remedyd that runs, here or elsewhere, as its native API is spoken by our own command line.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Certificate, Client, Identity, Method, StatusCode};
use serde_json::Value;
use url::Url;

use super::http_client::{self, HttpError};

/// More than any page of rows; less than what hurts.
const LONGEST_ANSWER: usize = 64 << 20;

/// A read that comes while the store catches up is asked again this often, after this pause.
const AGAIN: (u32, Duration) = (3, Duration::from_millis(250));

/// The way to one daemon.
pub struct Daemon {
    client: Client,
    base: Url,
    /// As the caller wrote it, for messages.
    address: String,
    token: Option<HeaderValue>,
}

/// Where it listens, who asks, and whom to trust.
#[derive(Default)]
pub struct Address<'a> {
    /// `http://…`, `https://…` or `unix:/PATH`.
    pub server: &'a str,
    /// The bearer token.
    pub token: Option<&'a str>,
    /// Certificates, in PEM, to trust beside the system's.
    pub ca: Option<&'a [u8]>,
    /// A client certificate with its key, in PEM.
    pub identity: Option<&'a [u8]>,
}

/// Why there is no answer, or not the wanted one.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The address, the token or the certificate cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// Nobody answered, or not to the end; a command may have arrived.
    #[error("the daemon at {address} does not answer: {why}")]
    Unreachable {
        /// As the caller wrote it.
        address: String,
        /// What happened.
        why: String,
    },
    /// It answered, and said no.
    #[error("{detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its words.
        detail: String,
    },
    /// Somebody answered who is no remedyd.
    #[error("what answers at {address} is no remedyd: {why}")]
    Strange {
        /// As the caller wrote it.
        address: String,
        /// What was odd.
        why: String,
    },
}

impl Daemon {
    /// Makes ready to ask; nothing is sent yet.
    ///
    /// # Errors
    /// [`DaemonError::Unusable`]
    pub fn new(address: &Address<'_>) -> Result<Self, DaemonError> {
        http_client::install_crypto();
        let bad = |why: &str| DaemonError::Unusable(format!("--server {}: {why}", address.server));
        let socket = address.server.strip_prefix("unix:").map(|path| PathBuf::from(path.trim_start_matches("//")));
        let base = match &socket {
            Some(path) if path.is_absolute() => "http://localhost/",
            Some(_) => return Err(bad("the path of a socket is absolute: unix:/run/remedyd/remedyd.sock")),
            None => address.server,
        };
        let base = Url::parse(base).map_err(|error| bad(&format!("{error}; write http://HOST:PORT or unix:/PATH")))?;
        if !["http", "https"].contains(&base.scheme()) || base.host().is_none() {
            return Err(bad("it is http://HOST:PORT, https://HOST:PORT or unix:/PATH"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(DaemonError::Unusable(
                "--server: it holds a password; tokens come from --token-file".to_owned(),
            ));
        }
        let token = address.token.map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| DaemonError::Unusable("the token holds what no token holds".to_owned()))?;
            value.set_sensitive(true);
            Ok(value)
        });
        let mut builder = http_client::builder();
        if let Some(path) = socket {
            builder = builder.unix_socket(path);
        }
        if let Some(pem) = address.ca {
            let certificates = Certificate::from_pem_bundle(pem).ok().filter(|found| !found.is_empty());
            let certificates = certificates
                .ok_or_else(|| DaemonError::Unusable("--ca-file: it holds no PEM certificate".to_owned()))?;
            builder = builder.tls_certs_merge(certificates);
        } else if base.scheme() == "http" {
            // The system's certificates are read only where they are needed.
            builder = builder.tls_certs_only([]);
        }
        if let Some(pem) = address.identity {
            let why = "--cert-file, --key-file: they hold no certificate with its key, in PEM";
            builder = builder.identity(Identity::from_pem(pem).map_err(|_| DaemonError::Unusable(why.to_owned()))?);
        }
        let client = builder.build().map_err(|error| bad(&http_client::causes(error)))?;
        Ok(Self { client, base, address: address.server.to_owned(), token: token.transpose()? })
    }

    /// Reads what is at a path of the API. A store that is just catching up is asked again.
    ///
    /// # Errors
    /// Every kind of [`DaemonError`] but `Unusable`; so for every request.
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, DaemonError> {
        let (times, pause) = AGAIN;
        for _ in 0..times {
            match self.send(Method::GET, path, query, None).await {
                Err(DaemonError::Refused { status: 503, .. }) => tokio::time::sleep(pause).await,
                answer => return answer,
            }
        }
        self.send(Method::GET, path, query, None).await
    }

    /// Sends a command. It is never repeated: whether it arrived is for a person to look.
    pub async fn post(&self, path: &[&str], body: &Value) -> Result<Value, DaemonError> {
        self.send(Method::POST, path, &[], Some(body)).await
    }

    /// The same where the answer may take longer than others do.
    ///
    /// # Errors
    /// As for every request.
    pub async fn post_within(&self, path: &[&str], body: &Value, within: Duration) -> Result<Value, DaemonError> {
        self.send_within(Method::POST, path, &[], Some(body), Some(within)).await
    }

    /// Ends what is at a path.
    pub async fn delete(&self, path: &[&str]) -> Result<Value, DaemonError> {
        self.send(Method::DELETE, path, &[], None).await
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, DaemonError> {
        self.send_within(method, path, query, body, None).await
    }

    async fn send_within(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&Value>,
        within: Option<Duration>,
    ) -> Result<Value, DaemonError> {
        let strange = |why: String| DaemonError::Strange { address: self.address.clone(), why };
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => drop(segments.pop_if_empty().extend(["api", "v1"]).extend(path)),
            Err(()) => return Err(strange("its address has no path".to_owned())),
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.client.request(method, url);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        if let Some(within) = within {
            request = request.timeout(within);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let unreachable = |why: String| DaemonError::Unreachable { address: self.address.clone(), why };
        let response = request.send().await.map_err(|error| unreachable(http_client::causes(error)))?;
        let status = response.status();
        let bytes = http_client::capped(response, LONGEST_ANSWER).await.map_err(|error| match error {
            HttpError::TooLong { .. } => strange(error.to_string()),
            error => unreachable(error.to_string()),
        })?;
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| strange(format!("its answer is no JSON: {error}")));
        }
        Err(DaemonError::Refused { status: status.as_u16(), detail: detail(status, &bytes) })
    }
}

/// The words of an RFC 9457 body, else the status.
fn detail(status: StatusCode, body: &[u8]) -> String {
    let body: Option<Value> = serde_json::from_slice(body).ok();
    let words = body.as_ref().and_then(|body| body["detail"].as_str());
    words.map_or_else(|| format!("HTTP status {status}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::peer::{Peer, Reply};
    use super::*;

    fn daemon(server: &str, token: Option<&str>) -> Daemon {
        Daemon::new(&Address { server, token, ca: None, identity: None }).unwrap()
    }

    #[tokio::test]
    async fn a_request_names_its_path_its_question_and_who_asks() {
        let peer = Peer::start(|_| Reply::body(r#"{"a":1}"#)).await;
        let daemon = daemon(&peer.url("/below/"), Some("t0ken"));
        assert_eq!(daemon.get(&["remediations", "a/b"], &[("state", "A B")]).await.unwrap()["a"], 1);
        daemon.post(&["pause"], &serde_json::json!({"reason": "x"})).await.unwrap();
        let requests = peer.requests();
        assert_eq!(requests[0].target, "GET /below/api/v1/remediations/a%2Fb?state=A+B");
        assert_eq!(requests[0].header("authorization"), Some("Bearer t0ken"));
        assert_eq!(
            (requests[1].target.as_str(), requests[1].body.as_str()),
            ("POST /below/api/v1/pause", r#"{"reason":"x"}"#)
        );
    }

    #[tokio::test]
    async fn a_read_waits_for_the_store_and_a_command_is_sent_once() {
        let peer = Peer::start(|_| Reply::status(503)).await;
        let daemon = daemon(&peer.url("/"), None);
        let again = daemon.get(&["alerts"], &[]).await.unwrap_err();
        assert!(matches!(again, DaemonError::Refused { status: 503, .. }), "{again}");
        assert_eq!(peer.requests().len(), 4);
        daemon.post(&["pause"], &Value::Null).await.unwrap_err();
        assert_eq!(peer.requests().len(), 5);
    }

    #[tokio::test]
    async fn what_is_no_remedyd_is_told_from_what_is_not_there() {
        let peer = Peer::start(|_| Reply::body("<html>")).await;
        let strange = daemon(&peer.url("/"), None).get(&["alerts"], &[]).await.unwrap_err();
        assert!(matches!(strange, DaemonError::Strange { .. }), "{strange}");
        let gone = peer.url("/");
        drop(peer);
        for server in [gone.as_str(), "unix:/nonexistent/remedyd.sock"] {
            let error = daemon(server, None).get(&["alerts"], &[]).await.unwrap_err();
            assert!(matches!(error, DaemonError::Unreachable { .. }), "{error}");
            assert!(error.to_string().contains(server), "{error}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_meant_is_refused() {
        for server in ["127.0.0.1:9720", "unix:remedyd.sock", "ftp://host/", "http://", "http://u:s3cret@host/"] {
            let error = Daemon::new(&Address { server, ..Address::default() }).err().unwrap();
            assert!(matches!(error, DaemonError::Unusable(_)) && !error.to_string().contains("s3cret"), "{error}");
        }
        let bad = Address { server: "https://host/", token: Some("a\nb"), ca: None, identity: None };
        assert!(Daemon::new(&bad).is_err());
        let bad = Address { server: "https://host/", token: None, ca: Some(b"no pem"), identity: None };
        assert!(Daemon::new(&bad).is_err());
        let bad = Address { server: "https://host/", identity: Some(b"no pem"), ..Address::default() };
        assert!(Daemon::new(&bad).is_err());
    }
}
