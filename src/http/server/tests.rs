//! Connections against the real loop.

use std::net::SocketAddr;
use std::sync::Mutex;

use axum::Extension;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::connection::HEAD;
use super::listener::{Accepted, cut_off_after};
use super::places::Places;
use super::*;
use crate::domain::Timestamp;
use crate::http::peer::Peer;

struct Started {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<usize>,
    limits: Arc<Mutex<ServerLimits>>,
}

async fn start(router: Router) -> Started {
    start_with(router, None).await
}

async fn start_with(router: Router, tls: Option<Tls>) -> Started {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let Listen::Tcp(address) = *listener.place() else { unreachable!("it was bound to an address") };
    let (stop, stopped) = watch::channel(false);
    let limits = Arc::new(Mutex::new(ServerLimits::default()));
    let in_force = Arc::clone(&limits);
    let settings = move || (*in_force.lock().unwrap(), tls.clone());
    let metrics = Arc::new(Metrics::new(Timestamp::from_micros(0)));
    let server = Server { listener, router, hall: Hall::default(), settings, metrics };
    let server = tokio::spawn(server.serve(stopped, Duration::from_secs(30)));
    Started { address, stop, server, limits }
}

async fn ask(client: &mut TcpStream) -> String {
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"done") {
        assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

fn done() -> Router {
    Router::new().route("/", get(|| async { "done" }))
}

#[tokio::test]
async fn a_stop_lets_a_request_finish_and_takes_no_more() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enter, go) = (Arc::clone(&entered), Arc::clone(&leave));
    let handler = move || async move {
        enter.notify_one();
        go.notified().await;
        "done"
    };
    let Started { address, stop, server, .. } = start(Router::new().route("/", get(handler))).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    entered.notified().await;
    stop.send(true).unwrap();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    leave.notify_one();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(server.await.unwrap(), 0);
}

/// Both kept and fresh: what a client is just sending when the stop comes is answered, and the answer says that it is the
/// last.
#[tokio::test]
async fn a_stop_answers_what_is_being_sent() {
    let Started { address, stop, server, .. } = start(done()).await;
    let mut kept = TcpStream::connect(address).await.unwrap();
    assert!(!ask(&mut kept).await.contains("connection: close"));
    let mut fresh = TcpStream::connect(address).await.unwrap();
    fresh.write_all(b"GET /").await.unwrap();
    // Accepted, as one that came later was answered.
    ask(&mut TcpStream::connect(address).await.unwrap()).await;
    stop.send(true).unwrap();
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    for (mut client, rest) in [(kept, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"), (fresh, " HTTP/1.1\r\nhost: x\r\n\r\n")] {
        client.write_all(rest.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("connection: close"), "{answer}");
    }
    assert_eq!(server.await.unwrap(), 0);
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let Started { address, stop: _stop, .. } = start(done()).await;
    let mut fresh = TcpStream::connect(address).await.unwrap();
    fresh.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let mut kept = TcpStream::connect(address).await.unwrap();
    ask(&mut kept).await;
    kept.write_all(b"GET").await.unwrap();
    for mut client in [fresh, kept] {
        let mut answer = Vec::new();
        let ended = timeout(HEAD * 3, client.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "still open after {HEAD:?}");
    }
}

#[tokio::test]
async fn a_full_house_lets_in_who_comes_and_keeps_who_is_served() {
    let Started { address, stop: _stop, limits, .. } = start(done()).await;
    limits.lock().unwrap().connections = 8;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(address).await.unwrap());
        let mut client = TcpStream::connect(address).await.unwrap();
        ask(&mut client).await;
    }
    // Who came first had to go long before any time-out, the last is still there.
    let mut end = Vec::new();
    silent[0].read_to_end(&mut end).await.unwrap();
    assert!(end.is_empty());
    ask(&mut silent[49]).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, from) = listener.accept().await.unwrap();
    cut_off_after(&stream, Duration::from_millis(200));
    let page = "x".repeat(1 << 20);
    let router = Router::new().route("/", get(move || async move { page.clone() }));
    let (place, _) = Arc::<Places>::default().take(1).await;
    let (_stop, stopped) = watch::channel(false);
    let accepted = Accepted::Tcp(stream, from);
    let served = tokio::spawn(connection::serve(accepted, None, router, place, Room::default(), stopped));
    let request = async {
        // More than both sides' buffers hold, and then the server has no room to write.
        while client.writable().await.is_ok()
            && client.try_write(&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".repeat(64)).is_ok()
        {}
    };
    let _ = timeout(Duration::from_secs(1), request).await;
    let ended = timeout(Duration::from_secs(30), served).await.expect("it is held for ever").unwrap();
    assert!(ended.is_err(), "it ended as if the client had read all");
}

/// A certificate of an authority of its own with these names, its key, and the authority.
fn certificate(names: &[&str], authority: &Issuer<'_, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = names
        .iter()
        .map(|name| match name.contains("://") {
            true => SanType::URI((*name).try_into().unwrap()),
            false => SanType::DnsName((*name).try_into().unwrap()),
        })
        .collect();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// The configuration's own reading of these files, and a client's of the same.
fn both_sides(shown: &[&str]) -> (Tls, ClientConfig) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap().pem();
    let authority = Issuer::new(params, key);
    let ((cert, key), (shown_cert, shown_key)) =
        (certificate(&["localhost"], &authority), certificate(shown, &authority));

    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("remedyd.toml");
    let tls = "cert_file = 'cert'\nkey_file = 'key'\nclient_ca_file = 'ca'\n";
    for (name, text) in [
        ("remedyd.toml", format!("storage.path = 'data'\n[server.tls]\n{tls}").as_str()),
        ("cert", &cert),
        ("key", &key),
        ("ca", &ca),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let tls = crate::config::load(&main, &crate::config::Overrides::default()).unwrap().config.server.tls.unwrap();

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let chain = vec![CertificateDer::from_pem_slice(shown_cert.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(shown_key.as_bytes()).unwrap();
    (tls, client.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap())
}

#[tokio::test]
async fn a_request_carries_the_names_of_the_clients_certificate() {
    let shown = ["alertmanager.example", "spiffe://example/alertmanager"];
    let (tls, client) = both_sides(&shown);
    let names = |Extension(peer): Extension<Peer>| async move {
        assert!(peer.this_machine && peer.address.is_some());
        peer.names.join(",")
    };
    let Started { address, stop: _stop, .. } = start_with(Router::new().route("/", get(names)), Some(tls)).await;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let stream = TcpStream::connect(address).await.unwrap();
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    // It may end without a word of TLS.
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.ends_with(&shown.join(",")), "{answer}");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_ends_the_connection() {
    let (tls, _) = both_sides(&["x.example"]);
    let Started { address, stop: _stop, .. } = start_with(done(), Some(tls)).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let ended = timeout(HEAD * 3, client.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "still open");
}
