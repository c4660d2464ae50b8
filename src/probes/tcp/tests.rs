//! Against real listeners.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::super::testing::{Do, Node, PLENTY, SHORT, measured, nobody, outcome, run};
use crate::config::checks::{Pattern, Probe, Tcp};
use crate::domain::{Observation, Verdict};

async fn probe(address: SocketAddr, banner: Option<&str>, limit: Duration) -> Observation {
    let banner = banner.map(|text| Pattern::parse(text).unwrap());
    run(&Probe::Tcp(Tcp { port: address.port(), banner }), &address.ip().to_string(), limit).await
}

#[tokio::test]
async fn a_port_that_takes_connections_passes() {
    let node = Node::that(&[Do::Hang]).await;
    let observation = probe(node.address, None, PLENTY).await;
    assert_eq!(outcome(&observation), "PASS");
    assert!(observation.evidence.contains(&node.address.to_string()), "{}", observation.evidence);
    assert!(measured(&observation, "connect_seconds").unwrap() > 0.0);
    assert_eq!(measured(&observation, "banner_seconds"), None);
}

#[tokio::test]
async fn a_banner_passes_as_soon_as_it_matches() {
    for deed in [Do::Say(b"SSH-2.0-OpenSSH_9.6\r\n".into()), Do::Drip(b"hello\nSSH-2.0-x".into())] {
        let node = Node::that(&[deed, Do::Hang]).await;
        let observation = probe(node.address, Some("(?m)^SSH-2"), PLENTY).await;
        assert_eq!(outcome(&observation), "PASS", "{}", observation.evidence);
        assert!(observation.evidence.contains("SSH-2"), "{}", observation.evidence);
        assert!(measured(&observation, "banner_seconds").unwrap() > 0.0);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_banner_has_a_name() {
    let table: [(&[Do], Duration, &str, &str); 6] = [
        (&[Do::Hang], SHORT, "FAIL timeout", "not a word"),
        (&[Do::Say(b"SSH".into()), Do::Hang], SHORT, "FAIL banner", "\"SSH\""),
        (&[], PLENTY, "FAIL banner", "without a word"),
        (&[Do::Say(b"HTTP/1.1 400\r\n".into())], PLENTY, "FAIL banner", "HTTP/1.1 400"),
        (&[Do::Repeat(vec![0xff; 1000])], PLENTY, "FAIL banner", "…"),
        (&[Do::Reset], PLENTY, "FAIL reset", "reading the banner"),
    ];
    for (deeds, limit, expected, says) in table {
        let node = Node::that(deeds).await;
        let observation = probe(node.address, Some("^SSH-2"), limit).await;
        assert_eq!(outcome(&observation), expected, "{deeds:?}: {}", observation.evidence);
        assert!(observation.evidence.contains(says), "{deeds:?}: {}", observation.evidence);
        assert!(measured(&observation, "connect_seconds").is_some(), "it did connect: {deeds:?}");
    }
}

#[tokio::test]
async fn no_more_of_a_banner_is_read_than_counts() {
    let late = [vec![b'.'; super::BANNER_BYTES], b"SSH-2".to_vec()].concat();
    let node = Node::that(&[Do::Say(late), Do::Hang]).await;
    let observation = probe(node.address, Some("SSH-2"), PLENTY).await;
    assert_eq!(outcome(&observation), "FAIL banner");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_refused() {
    let (_held, address) = nobody();
    let observation = probe(address, None, PLENTY).await;
    assert_eq!(outcome(&observation), "FAIL refused", "{}", observation.evidence);
}

#[tokio::test]
async fn a_node_that_lets_connections_wait_times_out() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    // Nobody accepts, so that the queue is full after a few.
    while let Ok(connected) = timeout(SHORT, TcpStream::connect(address)).await {
        waiting.push(connected.unwrap());
    }
    let observation = probe(address, None, SHORT).await;
    assert_eq!(outcome(&observation), "FAIL timeout", "{}", observation.evidence);
}

#[tokio::test]
async fn what_is_wrong_here_is_no_failure_of_the_node() {
    let unknown = run(&Probe::Tcp(Tcp { port: 22, banner: None }), "node.invalid", Duration::from_secs(5)).await;
    assert_eq!(outcome(&unknown), "ERROR", "{}", unknown.evidence);
    assert!(unknown.evidence.contains("resolver"), "{}", unknown.evidence);
    // No TCP to a broadcast address: the kernel says that there is no network.
    let nowhere = run(&Probe::Tcp(Tcp { port: 22, banner: None }), "255.255.255.255", PLENTY).await;
    assert_eq!(nowhere.verdict, Verdict::Error, "{}", nowhere.evidence);
}

#[tokio::test]
async fn a_name_is_resolved() {
    let node = Node::that(&[Do::Hang]).await;
    let observation = run(&Probe::Tcp(Tcp { port: node.address.port(), banner: None }), "localhost", PLENTY).await;
    assert_eq!(outcome(&observation), "PASS", "{}", observation.evidence);
}
