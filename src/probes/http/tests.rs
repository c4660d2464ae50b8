//! Against real servers, with and without TLS.

use std::time::Duration;

use super::super::testing::{Do, Node, PLENTY, SHORT, measured, nobody, outcome, run};
use super::authority;
use crate::config::checks::http::{Headers, Method, NodeUrl};
use crate::config::checks::{Http, Pattern, Probe};
use crate::domain::Observation;

mod tls;

fn page(url: &str) -> Http {
    Http {
        url: NodeUrl::parse(url).unwrap(),
        method: Method::Get,
        headers: Headers::default(),
        status: vec![200..=299],
        body_matches: None,
        body_not_matches: None,
        header_matches: [].into(),
        tls: None,
    }
}

fn pattern(text: &str) -> Option<Pattern> {
    Some(Pattern::parse(text).unwrap())
}

async fn ask(node: &Node, limit: Duration, change: impl FnOnce(&mut Http)) -> Observation {
    let mut spec = page(&format!("http://{{address}}:{}/health?token=s3cret", node.address.port()));
    change(&mut spec);
    let observation = run(&Probe::Http(Box::new(spec)), "127.0.0.1", limit).await;
    assert!(!format!("{observation:?}").contains("s3cret"), "{observation:?}");
    observation
}

async fn answering(answer: &str) -> Node {
    Node::that(&[Do::ReadHead, Do::Say(answer.into())]).await
}

const OK: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nset-cookie: a\r\nset-cookie: b\r\ncontent-length: 7\r\n\r\nhealthy";

#[tokio::test]
async fn a_page_that_is_served_passes_and_is_measured() {
    let node = answering(OK).await;
    let observation = ask(&node, PLENTY, |_| {}).await;
    assert_eq!(outcome(&observation), "PASS", "{}", observation.evidence);
    assert!(observation.evidence.contains("200 OK, 7 bytes"), "{}", observation.evidence);
    for name in ["connect_seconds", "first_byte_seconds", "total_seconds"] {
        assert!(measured(&observation, name).unwrap() > 0.0, "{name}");
    }
    assert_eq!(measured(&observation, "status_code"), Some(200.0));
    assert_eq!(measured(&observation, "body_bytes"), Some(7.0));
    assert_eq!(measured(&observation, "tls_seconds"), None);
    let head = node.heard();
    assert!(head.starts_with("GET /health?token=s3cret HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("host: {}\r\n", node.address)), "{head}");
    assert!(head.contains("connection: close\r\n"), "{head}");
}

#[tokio::test]
async fn the_request_is_as_it_is_configured() {
    let node = answering("HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n").await;
    let observation = ask(&node, PLENTY, |spec| {
        spec.method = Method::Head;
        spec.headers = Headers(vec![("host".into(), "gpu.site".into()), ("x-a".into(), "b c".into())]);
    });
    assert_eq!(outcome(&observation.await), "PASS");
    let head = node.heard();
    assert!(head.starts_with("HEAD /health"), "{head}");
    assert!(head.contains("x-a: b c\r\n") && head.contains("host: gpu.site\r\n"), "{head}");
    assert_eq!(head.matches("host:").count(), 1, "{head}");
}

#[tokio::test]
async fn everything_that_is_wrong_with_an_answer_is_named() {
    let node = answering(OK).await;
    let all = ask(&node, PLENTY, |spec| {
        spec.status = vec![204..=204, 300..=399];
        spec.body_matches = pattern("^ok$");
        spec.body_not_matches = pattern("health");
        spec.header_matches = [("content-type", "json"), ("x-missing", ""), ("set-cookie", "^b$")]
            .map(|(name, text)| (name.to_owned(), Pattern::parse(text).unwrap()))
            .into();
    });
    let all = all.await;
    assert_eq!(outcome(&all), "FAIL status header header body body", "{}", all.evidence);
    let details: Vec<&str> = all.findings.iter().map(|finding| &*finding.detail).collect();
    assert_eq!(
        details,
        [
            "status 200 OK",
            "field `content-type` \"text/plain\" does not match `json`",
            "no field `x-missing`",
            "the body \"healthy\" does not match `^ok$`",
            "the body matches `health`",
        ]
    );
}

#[tokio::test]
async fn a_redirect_is_a_status_and_nobody_is_asked_again() {
    let elsewhere = answering(OK).await;
    let redirect =
        format!("HTTP/1.1 302 Found\r\nlocation: http://{}/\r\ncontent-length: 0\r\n\r\n", elsewhere.address);
    let node = answering(&redirect).await;
    assert_eq!(outcome(&ask(&node, PLENTY, |_| {}).await), "FAIL status");
    assert_eq!(outcome(&ask(&node, PLENTY, |spec| spec.status = vec![302..=302]).await), "PASS");
    assert_eq!(elsewhere.heard(), "");
}

#[tokio::test]
async fn whatever_a_node_does_the_run_ends_and_says_what_it_was() {
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let table: Vec<(Vec<Do>, Duration, &str)> = vec![
        (vec![Do::Hang], SHORT, "FAIL timeout"),
        (vec![Do::ReadHead, Do::Say(b"HTTP/1.1 200 OK\r\n".into()), Do::Hang], SHORT, "FAIL timeout"),
        (
            vec![Do::ReadHead, Do::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".into()), Do::Hang],
            SHORT,
            "FAIL timeout",
        ),
        (vec![Do::ReadHead, Do::Repeat(b"HTTP/1.1 100 Continue\r\n\r\n".into())], SHORT, "FAIL timeout"),
        (vec![Do::ReadHead, Do::Drip(OK.into())], PLENTY, "PASS"),
        (vec![Do::ReadHead], PLENTY, "FAIL protocol"),
        (vec![Do::ReadHead, Do::Reset], PLENTY, "FAIL reset"),
        (vec![Do::Say(b"SSH-2.0-OpenSSH_9.6\r\n".into()), Do::Hang], PLENTY, "FAIL protocol"),
        (vec![Do::Repeat(vec![0xff; 999])], PLENTY, "FAIL protocol"),
        (
            vec![Do::ReadHead, Do::Say(b"HTTP/1.1 200 OK\r\n".into()), Do::Repeat(b"x: y\r\n".into())],
            PLENTY,
            "FAIL protocol",
        ),
        (
            vec![Do::ReadHead, Do::Say(b"HTTP/1.1 200 OK\r\nx: ".into()), Do::Repeat(b"yyyyyyyy".into())],
            PLENTY,
            "FAIL protocol",
        ),
        (vec![Do::ReadHead, Do::Say(format!("HTTP/1.1 200 OK\r\n{many}\r\n").into())], PLENTY, "FAIL protocol"),
        (
            vec![Do::ReadHead, Do::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".into())],
            PLENTY,
            "FAIL protocol",
        ),
        (
            vec![Do::ReadHead, Do::Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".into()), Do::Reset],
            PLENTY,
            "FAIL reset",
        ),
        (
            vec![Do::ReadHead, Do::Say(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".into())],
            PLENTY,
            "FAIL protocol",
        ),
        (vec![Do::ReadHead, Do::Say(b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n".into())], PLENTY, "FAIL status"),
        (
            vec![Do::ReadHead, Do::Say(b"HTTP/1.1 503 x\r\ncontent-length: 9\r\n\r\nhalf".into())],
            PLENTY,
            "FAIL protocol status",
        ),
        (vec![Do::ReadHead, Do::Say(b"HTTP/1.0 200 OK\r\n\r\nto the end".into())], PLENTY, "PASS"),
    ];
    for (deeds, limit, expected) in table {
        let node = Node::that(&deeds).await;
        let observation = ask(&node, limit, |_| {}).await;
        assert_eq!(outcome(&observation), expected, "{deeds:?}: {}", observation.evidence);
    }
}

#[tokio::test]
async fn a_long_body_is_cut_and_that_is_said() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let node = Node::that(&[Do::ReadHead, Do::Say(head), Do::Repeat(b"4\r\nlong\r\n".into())]).await;
    let observation = ask(&node, PLENTY, |spec| spec.body_matches = pattern("^(long)*$")).await;
    assert_eq!(outcome(&observation), "PASS", "{}", observation.evidence);
    assert_eq!(measured(&observation, "body_bytes"), Some(65536.0));
    assert!(observation.evidence.contains("65536 bytes and more"), "{}", observation.evidence);
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_refused() {
    let (_held, address) = nobody();
    let spec = page(&format!("http://{{address}}:{}/", address.port()));
    let observation = run(&Probe::Http(Box::new(spec)), "127.0.0.1", PLENTY).await;
    assert_eq!(outcome(&observation), "FAIL refused", "{}", observation.evidence);
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_not_the_nodes_fault() {
    let spec = page("http://{address}/");
    let observation = run(&Probe::Http(Box::new(spec)), "node.invalid", Duration::from_secs(5)).await;
    assert_eq!(outcome(&observation), "ERROR", "{}", observation.evidence);
}

#[test]
fn a_host_is_written_as_in_a_url() {
    assert_eq!(authority("10.0.0.1", None), "10.0.0.1");
    assert_eq!(authority("10.0.0.1", Some(80)), "10.0.0.1:80");
    assert_eq!(authority("fd00::1", Some(9400)), "[fd00::1]:9400");
    assert_eq!(authority("fd00::1", None), "[fd00::1]");
    assert_eq!(authority("gpu-1.site", Some(1)), "gpu-1.site:1");
}
