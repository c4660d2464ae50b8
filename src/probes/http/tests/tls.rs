//! Certificates of every kind.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::clock;
use crate::config::checks::{Authorities, HttpTls};

const DAY: i64 = 86_400;

/// Somebody who signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    authorities: Authorities,
}

fn authority_named(name: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, certificate.pem()).unwrap();
    let authorities = Authorities::in_file(&file).unwrap();
    Authority { issuer: Issuer::new(params, key), authorities }
}

/// A server whose certificate names this, from and until so many days from now.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

async fn server(signed_by: &Authority, names: &[SanType], days: (i64, i64)) -> Server {
    crate::providers::http_client::install_crypto();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([]).unwrap();
    params.subject_alt_names = names.to_vec();
    let at = |days: i64| {
        let seconds = clock::wall_clock().as_micros() / 1_000_000 + days * DAY;
        std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap())
    };
    (params.not_before, params.not_after) = (at(days.0).into(), at(days.1).into());
    let certificate = params.signed_by(&key, &signed_by.issuer).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, hears) = (acceptor.clone(), Arc::clone(&hears));
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_buf(&mut head).await {
                        Ok(0) | Err(_) => return,
                        Ok(_) => hears.lock().unwrap().extend(&head),
                    }
                }
                // The other side may be gone.
                let _ = stream.write_all(OK.as_bytes()).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    Server { port, heard }
}

fn node() -> SanType {
    SanType::IpAddress("127.0.0.1".parse().unwrap())
}

async fn ask_tls(port: u16, limit: Duration, trusts: &Authority, change: impl FnOnce(&mut HttpTls)) -> Observation {
    let mut tls = HttpTls {
        authorities: Some(trusts.authorities.clone()),
        server_name: None,
        insecure: false,
        days_left: Some(14),
    };
    change(&mut tls);
    let spec = Http { tls: Some(tls), ..page(&format!("https://{{address}}:{port}/")) };
    run(&Probe::Http(Box::new(spec)), "127.0.0.1", limit).await
}

#[tokio::test]
async fn a_certificate_that_is_well_passes_with_its_days() {
    let site = authority_named("site");
    let server = server(&site, &[node()], (-1, 90)).await;
    let observation = ask_tls(server.port, PLENTY, &site, |_| {}).await;
    assert_eq!(outcome(&observation), "PASS", "{}", observation.evidence);
    let days = measured(&observation, "certificate_days_left").unwrap();
    assert!((89.9..=90.0).contains(&days), "{days}");
    assert!(measured(&observation, "tls_seconds").unwrap() > 0.0);
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said_and_nothing_is_sent() {
    let (site, other) = (authority_named("site"), authority_named("other"));
    let elsewhere = SanType::DnsName("elsewhere".try_into().unwrap());
    for (signed_by, name, days, says) in [
        (&site, node(), (-90, -1), "is expired"),
        (&site, node(), (1, 90), "is not valid yet"),
        (&site, elsewhere.clone(), (-1, 90), "is for another name"),
        (&other, node(), (-1, 90), "is not trusted"),
    ] {
        let server = server(signed_by, &[name], days).await;
        let observation = ask_tls(server.port, PLENTY, &site, |tls| tls.days_left = None).await;
        assert_eq!(outcome(&observation), "FAIL certificate", "{says}: {}", observation.evidence);
        assert!(observation.evidence.contains(says), "{}", observation.evidence);
        assert!(measured(&observation, "certificate_days_left").is_some(), "{says}");
        assert!(server.heard.lock().unwrap().is_empty(), "{says}");
        // Who wants it so is served, and hears of the days all the same.
        let insecure = ask_tls(server.port, PLENTY, &site, |tls| {
            (tls.insecure, tls.days_left) = (true, None);
        });
        let insecure = insecure.await;
        assert_eq!(outcome(&insecure), "PASS", "{says}: {}", insecure.evidence);
        let left = measured(&insecure, "certificate_days_left").unwrap();
        assert!((left - days.1 as f64).abs() < 0.1, "{says}: {left}");
    }
}

#[tokio::test]
async fn a_certificate_that_ends_soon_is_a_finding_beside_the_answer() {
    let site = authority_named("site");
    let server = server(&site, &[node()], (-80, 10)).await;
    let observation = ask_tls(server.port, PLENTY, &site, |_| {}).await;
    assert_eq!(outcome(&observation), "FAIL certificate", "{}", observation.evidence);
    assert!(observation.findings[0].detail.contains("and not for 14"), "{}", observation.evidence);
    assert_eq!(measured(&observation, "status_code"), Some(200.0));
    assert_eq!(outcome(&ask_tls(server.port, PLENTY, &site, |tls| tls.days_left = Some(9)).await), "PASS");
    let insecure = ask_tls(server.port, PLENTY, &site, |tls| tls.insecure = true).await;
    assert_eq!(outcome(&insecure), "FAIL certificate");
}

#[tokio::test]
async fn another_name_may_be_asked_for() {
    let site = authority_named("site");
    let server = server(&site, &[SanType::DnsName("gpu.site".try_into().unwrap())], (-1, 90)).await;
    let observation = ask_tls(server.port, PLENTY, &site, |tls| tls.server_name = Some("gpu.site".into())).await;
    assert_eq!(outcome(&observation), "PASS", "{}", observation.evidence);
}

#[tokio::test]
async fn what_is_no_tls_is_said_to_be_none() {
    let site = authority_named("site");
    let table: [(&[Do], Duration, &str); 5] = [
        (&[Do::Hang], SHORT, "FAIL timeout"),
        (&[Do::Say(OK.into())], PLENTY, "FAIL tls"),
        (&[Do::Repeat(vec![0xff; 999])], PLENTY, "FAIL tls"),
        (&[], PLENTY, "FAIL tls"),
        (&[Do::Reset], PLENTY, "FAIL reset"),
    ];
    for (deeds, limit, expected) in table {
        let node = Node::that(deeds).await;
        let observation = ask_tls(node.address.port(), limit, &site, |_| {}).await;
        assert_eq!(outcome(&observation), expected, "{deeds:?}: {}", observation.evidence);
    }
}
