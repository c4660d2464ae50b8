//! Who may have signed a node's certificate. The file is read with the configuration, so that a mistake in it is one of the configuration.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{RootCertStore, crypto};

/// Far above any bundle of roots; the distributions' have some 200 KiB.
const LARGEST_BYTES: u64 = 4 << 20;

/// Certificates of authorities. Two with the same certificates are the same.
#[derive(Clone)]
pub struct Authorities {
    /// The file that they are from; nothing for the machine's own.
    pub file: Option<PathBuf>,
    roots: Vec<CertificateDer<'static>>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl Authorities {
    /// Those that this machine trusts, as they are now. It reads files, and takes its time for it.
    ///
    /// # Errors
    /// In words: there is none.
    pub fn of_this_machine() -> Result<Self, String> {
        let found = rustls_native_certs::load_native_certs();
        let why = found.errors.first().map_or_else(|| "this machine has no roots".to_owned(), ToString::to_string);
        Self::of(None, found.certs).map_err(|_| why)
    }

    /// Those in a file in PEM.
    ///
    /// # Errors
    /// In words: it cannot be read, or holds something else.
    pub fn in_file(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let meta = fs::metadata(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        if !meta.is_file() || meta.len() > LARGEST_BYTES {
            return Err(format!("{shown} is no file of at most {} MiB", LARGEST_BYTES >> 20));
        }
        let text = fs::read(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let roots = read.map_err(|error| format!("{shown} is no PEM: {error}"))?;
        Self::of(Some(path), roots).map_err(|why| format!("{shown} {why}"))
    }

    fn of(file: Option<&Path>, roots: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        for root in &roots {
            match store.add(root.clone()) {
                Err(error) if file.is_some() => return Err(format!("holds no usable authority: {error}")),
                // The bundle of a distribution may hold odd ones, which are nobody's mistake.
                Ok(()) | Err(_) => {}
            }
        }
        if store.is_empty() {
            return Err("holds no certificate in PEM".to_owned());
        }
        let provider = Arc::new(crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build();
        let verifier = verifier.map_err(|error| format!("cannot be used: {error}"))?;
        Ok(Self { file: file.map(Path::to_owned), roots, verifier })
    }

    /// What judges a certificate.
    pub fn verifier(&self) -> &WebPkiServerVerifier {
        &self.verifier
    }
}

/// A host name or an address that a certificate may carry.
pub(super) fn server_name(text: &str) -> Result<String, String> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("`{text}` is neither a host name nor an address")),
    }
}

impl fmt::Debug for Authorities {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} authorities of {:?}", self.roots.len(), self.file)
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        (&self.file, &self.roots) == (&other.file, &other.roots)
    }
}

impl Eq for Authorities {}
