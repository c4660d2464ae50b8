//! The handshake of `https`, and what it tells of the node's certificate.
//!
//! The handshake accepts every certificate whose key the node holds, so that an expired one can be told from no TLS at
//! all; it is judged right behind, before anything is sent.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::blame::Trouble;
use super::certificate::not_after;
use crate::config::checks::{Authorities, HttpTls};
use crate::domain::Timestamp;

const DAY_SECONDS: f64 = 86_400.0;

/// Makes handshakes.
pub struct Handshakes {
    connector: TlsConnector,
    /// Whom this machine trusts, as it was when that was first needed.
    machine: OnceCell<Authorities>,
}

impl Default for Handshakes {
    fn default() -> Self {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("ring has cipher suites for both versions");
        let mut config =
            builder.dangerous().with_custom_certificate_verifier(Arc::new(JudgedLater(provider))).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would show the certificate of an earlier day.
        config.resumption = Resumption::disabled();
        Self { connector: TlsConnector::from(Arc::new(config)), machine: OnceCell::new() }
    }
}

impl fmt::Debug for Handshakes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Handshakes")
    }
}

impl Handshakes {
    /// Speaks TLS over a connection.
    pub(super) async fn shake(
        &self,
        stream: TcpStream,
        name: ServerName<'static>,
    ) -> Result<TlsStream<TcpStream>, Trouble> {
        self.connector.connect(name, stream).await.map_err(|error| trouble("TLS handshake", &error))
    }

    /// Whom a check trusts.
    pub(super) async fn authorities<'a>(&'a self, tls: &'a HttpTls) -> Result<&'a Authorities, Trouble> {
        if let Some(authorities) = &tls.authorities {
            return Ok(authorities);
        }
        let reading = || async {
            let read = tokio::task::spawn_blocking(Authorities::of_this_machine).await;
            read.unwrap_or_else(|error| Err(error.to_string()))
        };
        let why = |why| Trouble::Ours(format!("this machine trusts no authority ({why}); set `ca_file`"));
        self.machine.get_or_try_init(reading).await.map_err(why)
    }
}

/// The error of TLS inside an error of its connection.
pub(super) fn inner(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

/// An error of a connection that speaks TLS.
pub(super) fn trouble(doing: &str, error: &io::Error) -> Trouble {
    use AlertDescription::CertificateRequired;
    if error.raw_os_error().is_some() {
        return Trouble::of(doing, error);
    }
    match inner(error) {
        Some(Error::InvalidCertificate(why)) => Trouble::node("certificate", said(why)),
        Some(Error::AlertReceived(CertificateRequired)) => {
            Trouble::Ours(format!("{doing}: the node asks for a certificate, and a check has none to show"))
        }
        Some(
            why @ (Error::AlertReceived(_)
            | Error::InappropriateMessage { .. }
            | Error::InappropriateHandshakeMessage { .. }
            | Error::InvalidMessage(_)
            | Error::PeerIncompatible(_)
            | Error::PeerMisbehaved(_)
            | Error::PeerSentOversizedRecord
            | Error::NoCertificatesPresented
            | Error::NoApplicationProtocol
            | Error::DecryptError),
        ) => Trouble::node("tls", format!("{doing}: {why}")),
        Some(other) => Trouble::Ours(format!("{doing}: {other}")),
        // The node closed in the middle.
        None => Trouble::node("tls", format!("{doing}: {error}")),
    }
}

/// What became of a certificate.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Judgement {
    /// It is not who it should be: nothing may be sent.
    pub(super) refused: Option<String>,
    /// It is valid for fewer days than it must be.
    pub(super) expires: Option<String>,
    /// How many days it is valid for; negative where it is expired.
    pub(super) days_left: Option<f64>,
}

/// Judges a chain of certificates, the node's own first; without authorities only by its date.
pub(super) fn judge(
    tls: &HttpTls,
    authorities: Option<&Authorities>,
    chain: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    now: Timestamp,
) -> Judgement {
    let Some((leaf, others)) = chain.split_first() else {
        return Judgement { refused: Some("the node shows no certificate".to_owned()), ..Judgement::default() };
    };
    let Some(until) = not_after(leaf) else {
        return Judgement { refused: Some("the certificate cannot be read".to_owned()), ..Judgement::default() };
    };
    let days_left = (until.as_micros() - now.as_micros()) as f64 / 1e6 / DAY_SECONDS;
    let refused = authorities.and_then(|authorities| verify(authorities, leaf, others, name, now).err());
    let expires = tls
        .days_left
        .filter(|least| days_left < f64::from(*least))
        .map(|least| format!("the certificate is valid until {until}, for {days_left:.1} days and not for {least}"));
    Judgement { refused, expires, days_left: Some(days_left) }
}

fn verify(
    authorities: &Authorities,
    leaf: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    name: &ServerName<'_>,
    now: Timestamp,
) -> Result<(), String> {
    let since = Duration::from_micros(u64::try_from(now.as_micros()).unwrap_or_default());
    match authorities.verifier().verify_server_cert(leaf, others, name, &[], UnixTime::since_unix_epoch(since)) {
        Ok(_) => Ok(()),
        Err(Error::InvalidCertificate(why)) => Err(said(&why)),
        Err(other) => Err(format!("the certificate cannot be judged: {other}")),
    }
}

fn said(why: &CertificateError) -> String {
    use CertificateError::{Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet};
    use CertificateError::{NotValidYetContext, UnknownIssuer};
    let what = match why {
        Expired | ExpiredContext { .. } => "is expired",
        NotValidYet | NotValidYetContext { .. } => "is not valid yet",
        NotValidForName | NotValidForNameContext { .. } => "is for another name",
        UnknownIssuer => "is not trusted",
        _ => "is not accepted",
    };
    format!("the certificate {what}: {why}")
}

/// Only looks whether the node holds the certificate's key.
#[derive(Debug)]
struct JudgedLater(Arc<CryptoProvider>);

impl ServerCertVerifier for JudgedLater {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
