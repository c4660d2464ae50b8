//! What a client may not do, and that it costs the others nothing.

use std::io::{Read, Write};

use crate::support::client::Answer;
use crate::support::daemon::Daemon;
use crate::support::fixtures::{self, Body, post, post_as};
use crate::support::site::Site;

const PATH: &str = "/api/v1/webhooks/alertmanager";
const JSON: &str = "Content-Type: application/json\r\n";

/// Nothing is kept of a message that was refused, and the daemon goes on.
fn assert_untouched(daemon: &Daemon<'_>) {
    for list in ["alerts", "dead-letters", "remediations"] {
        assert_eq!(daemon.rows(list, "").len(), 0, "{list}");
    }
    assert_eq!(daemon.get("/-/ready").status, 200);
}

/// As a client without a length sends it.
fn post_chunked(daemon: &Daemon<'_>, bytes: &[u8]) -> Answer {
    let mut request =
        format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for chunk in bytes.chunks(1 << 20) {
        write!(request, "{:x}\r\n", chunk.len()).unwrap();
        request.extend_from_slice(chunk);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"0\r\n\r\n");
    daemon.client().send(&request).unwrap()
}

/// A message of this many bytes, and of no alerts.
fn message_of(size: usize) -> Vec<u8> {
    let (start, end) = (br#"{"version":"4","alerts":[],"padding":""#, br#""}"#);
    let mut message = start.to_vec();
    message.resize(size - end.len(), b'x');
    message.extend_from_slice(end);
    message
}

#[test]
fn a_body_of_32_mib_is_read_and_one_byte_more_is_refused() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let largest = message_of(32 << 20);
    assert_eq!(post_as(daemon.client(), PATH, JSON, &largest).status, 200);
    let larger = message_of((32 << 20) + 1);
    let refusal = post_as(daemon.client(), PATH, JSON, &larger);
    assert_eq!(refusal.status, 413, "{refusal}");
    assert!(refusal.body.contains("larger than 33554432 bytes; nothing of it was taken"), "{refusal}");
    // The same without an announced length.
    assert_eq!(post_chunked(&daemon, &largest).status, 200);
    assert_eq!(post_chunked(&daemon, &larger).status, 413);
    assert_untouched(&daemon);
    daemon.stop();
}

#[test]
fn more_than_50000_alerts_are_refused_before_any_is_taken() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let message = |n: usize| format!("{{\"alerts\":[{}]}}", vec!["{}"; n].join(",")).into_bytes();
    let refusal = post_as(daemon.client(), PATH, JSON, &message(50_001));
    assert_eq!(refusal.status, 413, "{refusal}");
    assert!(refusal.body.contains("more than 50000 alerts; nothing of it was taken"), "{refusal}");
    assert_untouched(&daemon);
    // 50,000 equal letters are one letter.
    let answer = post_as(daemon.client(), PATH, JSON, &message(50_000)).json();
    assert_eq!((&answer["received"], &answer["dead_lettered"]), (&50_000.into(), &50_000.into()));
    assert_eq!(daemon.rows("dead-letters", "").len(), 1);
    daemon.stop();
}

/// Waits out the time that a body may pause.
#[test]
fn slow_clients_are_told_so_and_hold_nobody_up() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let bodies = fixtures::genuine();
    let whole = Body::named(&bodies, "01-");
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut stream = daemon.client().open().unwrap();
        let head =
            format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\n{JSON}Content-Length: {}\r\n\r\n", whole.bytes.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&whole.bytes[..100]).unwrap();
        slow.push(stream);
    }
    // Meanwhile others are served.
    assert_eq!(daemon.get("/-/ready").status, 200);
    assert_eq!(post_as(daemon.client(), PATH, JSON, &message_of(1000)).status, 200);
    for mut stream in slow {
        let mut text = [0; 4096];
        let size = stream.read(&mut text).unwrap();
        let answer = Answer::read(&String::from_utf8_lossy(&text[..size])).unwrap();
        // 503 and not 408: Alertmanager sends only what a 5xx refused again.
        assert_eq!(answer.status, 503, "{answer}");
        assert!(answer.body.contains("nothing of it was taken"), "{answer}");
    }
    assert_untouched(&daemon);
    daemon.stop();
}

#[test]
fn a_body_that_breaks_off_leaves_nothing() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let bodies = fixtures::genuine();
    let whole = Body::named(&bodies, "03-");
    for cut in [0, 1, 100, whole.bytes.len() - 1] {
        let mut stream = daemon.client().open().unwrap();
        let head =
            format!("POST {PATH} HTTP/1.1\r\nHost: localhost\r\n{JSON}Content-Length: {}\r\n\r\n", whole.bytes.len());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&whole.bytes[..cut]).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut text = String::new();
        // Whether the client still hears the refusal is the network's affair.
        let _ = stream.read_to_string(&mut text);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 400 "), "{text}");
    }
    assert_untouched(&daemon);
    daemon.stop();
}

#[test]
fn how_a_body_is_labelled_matters_only_where_it_could_not_be_read() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let bodies = fixtures::genuine();
    let bytes = &Body::named(&bodies, "01-").bytes;
    // gzip's first bytes; what follows is never looked at.
    let packed = [b"\x1f\x8b\x08\x00".as_slice(), bytes].concat();
    let gzip = "Content-Encoding: gzip\r\n";
    for (lines, bytes) in [(gzip, &packed), (gzip, bytes), ("Content-Encoding: identity, br\r\n", bytes)] {
        let refusal = post_as(daemon.client(), PATH, lines, bytes);
        assert_eq!(refusal.status, 400, "{refusal}");
        assert!(refusal.body.contains("content-encoding"), "it must say what is wrong: {refusal}");
    }
    assert_eq!(post_as(daemon.client(), PATH, JSON, &packed).status, 400, "no UTF-8");
    assert_untouched(&daemon);
    // JSON is JSON, whatever a proxy calls it.
    for lines in ["Content-Type: text/plain\r\n", "", "Content-Encoding: identity\r\n", "Content-Type: \r\n"] {
        let answer = post_as(daemon.client(), PATH, lines, bytes);
        assert_eq!(answer.status, 200, "{lines:?}: {answer}");
    }
    assert_eq!(daemon.rows("alerts", "").len(), 1);
    daemon.stop();
}

#[test]
fn only_a_configured_source_is_heard() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let bodies = fixtures::genuine();
    let bytes = &Body::named(&bodies, "01-").bytes;
    let long = "x".repeat(4000);
    for source in ["other", "MAIN", "main2", "%2e%2e", "a%2Fb", "%00", "%ff", &long] {
        let refusal = post(daemon.client(), source, bytes);
        assert!(refusal.status == 404 || refusal.status == 400, "{source}: {refusal}");
        assert!(refusal.body.len() < 2000, "{source}: {refusal}");
    }
    assert_untouched(&daemon);
    assert_eq!(post_as(daemon.client(), PATH, JSON, bytes).status, 200, "the only source needs no name");
    assert_eq!(post(daemon.client(), "main", bytes).status, 200);
    daemon.stop();
}

#[test]
fn depth_costs_nothing() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    for depth in [127, 128, 129, 10_000, 1_000_000] {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            for message in [
                deep.clone(),
                format!("{{\"alerts\":{deep}}}"),
                format!("{{\"alerts\":[{deep}]}}"),
                format!("{{\"alerts\":[],\"x\":{deep}}}"),
                format!("{{\"alerts\":[{{\"status\":\"firing\",\"labels\":{{\"a\":{deep}}}}}]}}"),
                // Never closed.
                format!("{{\"alerts\":[{}", open.repeat(depth)),
            ] {
                if message.len() > 32 << 20 {
                    continue;
                }
                let answer = post_as(daemon.client(), PATH, JSON, message.as_bytes());
                assert!([200, 400].contains(&answer.status), "{depth} {open}: {answer}");
            }
        }
    }
    assert_eq!(daemon.rows("alerts", "").len(), 0);
    assert_eq!(daemon.get("/-/ready").status, 200);
    daemon.stop();
}
