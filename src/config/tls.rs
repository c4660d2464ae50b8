//! `[server.tls]`: the certificate that the daemon shows, and whose certificates it accepts.
//!
//! Files are read and put together with the rest of the configuration, so that a pair that does not fit is a mistake like
//! any other: it is reported at its key, and what was in force stays. The key leaves this file only inside rustls.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::table::{Table, Value};

/// All that a handshake needs. TLS 1.2 and 1.3; HTTP/1.1 is what is spoken inside.
#[derive(Clone)]
pub struct Tls {
    /// For the handshake.
    pub server: Arc<ServerConfig>,
    /// Whether certificates of clients are asked for, and insisted on.
    clients: Option<ClientCertificate>,
}

/// Says nothing of the key.
impl fmt::Debug for Tls {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Tls").field("clients", &self.clients).finish_non_exhaustive()
    }
}

/// A value that names a file.
pub(super) type Named<'a> = (&'a str, Value<'a>);

/// What the table says.
pub(super) struct TlsTable<'a> {
    pub(super) cert_file: Named<'a>,
    pub(super) key_file: Named<'a>,
    pub(super) client_ca_file: Option<Named<'a>>,
    /// Whether a client may come without a certificate; what it may do is then a matter of its token.
    client_certificate: ClientCertificate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientCertificate {
    Required,
    Optional,
}

/// The text of a file, and the value that named it.
pub(super) struct Pem<'a, 'v> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
    pub(super) value: &'a Value<'v>,
}

pub(super) fn read_table(mut table: Table<'_>) -> Option<TlsTable<'_>> {
    let cert_file = table.require("cert_file").and_then(|value| Some((value.text()?, value)));
    let key_file = table.require("key_file").and_then(|value| Some((value.text()?, value)));
    let client_ca_file = table.take("client_ca_file").and_then(|value| Some((value.text()?, value)));
    let wanted = table.take("client_certificate");
    let client_certificate = match wanted.as_ref().and_then(Value::text) {
        None | Some("required") => ClientCertificate::Required,
        Some("optional") => ClientCertificate::Optional,
        Some(other) => {
            wanted.as_ref()?.wrong(format!("`{other}` is neither \"required\" nor \"optional\""));
            ClientCertificate::Required
        }
    };
    if let Some(value) = wanted.filter(|_| client_ca_file.is_none()) {
        value.wrong_key("has no effect without `client_ca_file`, which says whose certificates are accepted");
    }
    table.finish();
    Some(TlsTable { cert_file: cert_file?, key_file: key_file?, client_ca_file, client_certificate })
}

/// Puts the files together; what does not fit is noted at the value that named the file.
pub(super) fn build(
    table: &TlsTable<'_>,
    cert: &Pem<'_, '_>,
    key: &Pem<'_, '_>,
    client_ca: Option<&Pem<'_, '_>>,
) -> Option<Tls> {
    let chain = certificates(cert)?;
    let private = PrivateKeyDer::from_pem_slice(key.text.as_bytes()).map_err(|error| match error {
        pem::Error::NoItemsFound => key.wrong("holds no private key in PEM"),
        other => key.wrong(&format!("is no private key in PEM: {other}")),
    });
    let private = private.ok()?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| cert.wrong(&error.to_string())).ok()?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for root in certificates(ca)? {
                roots.add(root).map_err(|error| ca.wrong(&format!("holds no usable authority: {error}"))).ok()?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = match table.client_certificate {
                ClientCertificate::Required => verifier,
                ClientCertificate::Optional => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build().map_err(|error| ca.wrong(&error.to_string())).ok()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let made = builder.with_single_cert(chain, private).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            key.wrong(&format!("is not the key of the certificate in {}", cert.path.display()));
        }
        other => cert.wrong(&format!("cannot be used with its key: {other}")),
    });
    let mut made = made.ok()?;
    made.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(Tls { server: Arc::new(made), clients: client_ca.map(|_| table.client_certificate) })
}

fn certificates(pem: &Pem<'_, '_>) -> Option<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.text.as_bytes()).collect();
    match read {
        Ok(found) if found.is_empty() => pem.wrong("holds no certificate in PEM"),
        Ok(found) => return Some(found),
        Err(error) => pem.wrong(&format!("is no PEM: {error}")),
    }
    None
}

impl Pem<'_, '_> {
    fn wrong(&self, what: &str) {
        self.value.wrong(format!("{} {what}", self.path.display()));
    }
}
