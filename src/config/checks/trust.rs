//! Who may have signed a node's certificate.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{RootCertStore, crypto};

/// Far above any bundle of roots; the distributions' have some 200 KiB.
const LARGEST_BYTES: u64 = 4 << 20;

/// Certificates of authorities. Two with the same certificates are the same.
#[derive(Clone)]
pub struct Trust {
    roots: Arc<[CertificateDer<'static>]>,
    verifier: Option<Arc<WebPkiServerVerifier>>,
}

impl Trust {
    /// No authority.
    pub fn nobody() -> Self {
        Self { roots: Arc::new([]), verifier: None }
    }

    /// The authorities that this machine trusts, as they are now.
    ///
    /// # Errors
    /// In words: there is none.
    pub fn system() -> Result<Self, String> {
        let found = rustls_native_certs::load_native_certs();
        let why = found.errors.first().map_or_else(|| "this machine has no roots".to_owned(), ToString::to_string);
        let mut roots = found.certs;
        // The order of a folder says nothing.
        roots.sort_by(|one, other| one.as_ref().cmp(other.as_ref()));
        Self::of(roots, true).map_err(|_| why)
    }

    /// The authorities in a file in PEM.
    ///
    /// # Errors
    /// In words: it cannot be read, or holds something else.
    pub fn file(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let meta = fs::metadata(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        if !meta.is_file() || meta.len() > LARGEST_BYTES {
            return Err(format!("{shown} is no file of at most {} MiB", LARGEST_BYTES >> 20));
        }
        let text = fs::read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let roots = read.map_err(|error| format!("{shown} is no PEM: {error}"))?;
        Self::of(roots, false).map_err(|why| format!("{shown} {why}"))
    }

    /// Of certificates that are no authorities, `lenient` passes over; a bundle of a distribution may hold odd ones.
    fn of(roots: Vec<CertificateDer<'static>>, lenient: bool) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        for root in &roots {
            match store.add(root.clone()) {
                Err(error) if !lenient => return Err(format!("holds no usable authority: {error}")),
                Ok(()) | Err(_) => {}
            }
        }
        if store.is_empty() {
            return Err("holds no certificate in PEM".to_owned());
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
        let verifier = verifier.map_err(|error| format!("cannot be used: {error}"))?;
        Ok(Self { roots: roots.into(), verifier: Some(verifier) })
    }

    /// What judges a certificate; nothing where nobody is trusted.
    pub fn verifier(&self) -> Option<&WebPkiServerVerifier> {
        self.verifier.as_deref()
    }
}

/// A host name or an address that a certificate may carry.
pub(super) fn server_name(text: &str) -> Result<String, String> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("`{text}` is neither a host name nor an address")),
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} authorities", self.roots.len())
    }
}

impl PartialEq for Trust {
    fn eq(&self, other: &Self) -> bool {
        self.roots == other.roots
    }
}

impl Eq for Trust {}
