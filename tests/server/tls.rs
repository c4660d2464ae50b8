//! TLS on the real daemon: what is shown, who is let in, and files that change.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::support::client::Answer;
use crate::support::daemon::{Daemon, remedyd};
use crate::support::site::{MAIN, Site};

/// An authority that signs what a test needs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate with these names, and its key.
    fn sign(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let made = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (made.pem(), key.serialize_pem())
    }

    /// A client that trusts this authority and shows a certificate, if it has one.
    fn client(&self, shown: Option<&(String, String)>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        Arc::new(match shown {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
        })
    }
}

fn get(site: &Site, config: &Arc<ClientConfig>, path: &str) -> io::Result<Answer> {
    let connection = ClientConnection::new(Arc::clone(config), "localhost".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, std::net::TcpStream::connect(site.daemon_address())?);
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    // A peer that ends the connection need not say so inside TLS.
    let read = stream.read_to_string(&mut text);
    Answer::read(&text).map_or_else(|| read.and(Err(io::ErrorKind::UnexpectedEof.into())), Ok)
}

/// The daemon's own client speaks no TLS, so readiness is asked here.
fn wait_ready(daemon: &Daemon<'_>, site: &Site, config: &Arc<ClientConfig>) {
    daemon.wait("it is ready", || match get(site, config, "/-/ready") {
        Ok(answer) if answer.status == 200 => Ok(()),
        Ok(answer) => Err(answer.to_string()),
        Err(error) => Err(error.to_string()),
    });
}

fn site(authority: &Authority, more: &str) -> Site {
    let site = Site::webhook_only();
    let (cert, key) = authority.sign(&["localhost"]);
    site.write("config/cert.pem", &cert);
    site.write("config/key.pem", &key);
    site.append(MAIN, &format!("[server.tls]\ncert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n{more}"));
    site
}

#[test]
fn a_new_certificate_is_shown_without_a_restart_and_a_broken_pair_never() {
    let (first, second) = (Authority::new(), Authority::new());
    let site = site(&first, "");
    let daemon = Daemon::spawn(&site);
    let (old, new) = (first.client(None), second.client(None));
    wait_ready(&daemon, &site, &old);
    assert!(get(&site, &new, "/-/healthy").is_err());
    // Plain HTTP is no TLS.
    assert!(daemon.client().ask("GET", "/-/healthy", None).is_err());

    // The key of another: refused with its place, and the certificate in force stays.
    let (cert, key) = second.sign(&["localhost"]);
    site.write("config/key.pem", &key);
    daemon.wait("the mistake is reported", || {
        let log = daemon.log();
        let line = log.lines().find(|line| line.contains("server.tls.key_file")).map(str::to_owned);
        line.filter(|line| line.contains("is not the key of the certificate in")).ok_or(log)
    });
    assert_eq!(get(&site, &old, "/-/healthy").unwrap().status, 200);
    site.write("config/cert.pem", &cert);
    daemon.wait("the new certificate is shown", || get(&site, &new, "/-/healthy").map_err(|error| error.to_string()));
    assert!(get(&site, &old, "/-/healthy").is_err());
    let secret = key.lines().nth(1).unwrap();
    assert!(!daemon.log().contains(secret) && !daemon.log().contains("PRIVATE KEY"), "keys are never logged");
    daemon.stop();
}

#[test]
fn only_who_shows_a_certificate_of_the_authority_is_let_in() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let site = site(&ours, "client_ca_file = \"ca.pem\"");
    site.write("config/ca.pem", &ours.pem);
    let (member, stranger) = (ours.sign(&["am.example"]), theirs.sign(&["am.example"]));
    let daemon = Daemon::spawn(&site);
    let with = ours.client(Some(&member));
    wait_ready(&daemon, &site, &with);
    for refused in [ours.client(None), ours.client(Some(&stranger))] {
        assert!(get(&site, &refused, "/-/healthy").is_err());
    }
    site.append(MAIN, "client_certificate = \"optional\"");
    daemon.wait("none is needed", || get(&site, &ours.client(None), "/-/healthy").map_err(|error| error.to_string()));
    assert!(get(&site, &ours.client(Some(&stranger)), "/-/healthy").is_err(), "a wrong one is worse than none");
    assert_eq!(get(&site, &with, "/-/healthy").unwrap().status, 200);
    daemon.stop();
}

#[test]
fn what_is_wrong_with_tls_is_told_with_its_place() {
    let authority = Authority::new();
    let check = |more: &str, change: &dyn Fn(&Site)| {
        let site = site(&authority, more);
        change(&site);
        let file = format!("--config.file={}", site.config_file().display());
        let done = remedyd().arg("check").arg(file).stderr(std::process::Stdio::piped()).output().unwrap();
        assert_eq!(done.status.code(), Some(3));
        String::from_utf8(done.stderr).unwrap()
    };
    let nothing = |_: &Site| {};
    let said = check("", &|site| site.write("config/cert.pem", "no certificate"));
    assert!(said.contains("server.tls.cert_file: ") && said.contains("holds no certificate in PEM"), "{said}");
    let said = check("", &|site| site.write("config/key.pem", ""));
    assert!(said.contains("server.tls.key_file: ") && said.contains("holds no private key in PEM"), "{said}");
    let said = check("client_ca_file = \"none.pem\"", &nothing);
    assert!(said.contains("server.tls.client_ca_file: cannot read"), "{said}");
    let said = check("client_certificate = \"optional\"", &nothing);
    assert!(said.contains("server.tls.client_certificate: has no effect without"), "{said}");
    let said = check("", &|site| site.append(MAIN, "[server.limits]\nconnections = 400"));
    assert!(said.contains("server.limits: connections (400) must be at least 496"), "{said}");
}
