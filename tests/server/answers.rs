//! What every answer has, whatever was asked: an id, and fewer bytes where that is asked for.

use std::io::{Read, Write};

use crate::support::daemon::Daemon;
use crate::support::site::{MAIN, Site};

/// The head and the bytes of the body.
fn ask(daemon: &Daemon<'_>, path: &str, headers: &str) -> (String, Vec<u8>) {
    let mut stream = daemon.client().open().unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8(answer[..at].to_vec()).unwrap().to_lowercase(), answer[at + 4..].to_vec())
}

#[test]
fn a_long_answer_is_packed_for_who_asks() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    for path in ["/metrics", "/api/v1/instances"] {
        let (plain, text) = ask(&daemon, path, "");
        assert!(!plain.contains("content-encoding") && text.len() > 1024, "{plain}");
        let (packed, bytes) = ask(&daemon, path, "Accept-Encoding: gzip\r\n");
        assert!(packed.contains("content-encoding: gzip") && packed.contains("vary: accept-encoding"), "{packed}");
        assert!(bytes.windows(2).any(|magic| magic == [0x1f, 0x8b]) && bytes.len() < text.len() / 2, "{}", bytes.len());
    }
    let (short, _) = ask(&daemon, "/-/healthy", "Accept-Encoding: gzip\r\n");
    assert!(!short.contains("content-encoding"), "{short}");
    daemon.stop();
}

#[test]
fn a_request_is_known_by_its_id_in_the_answer_and_in_the_log() {
    let site = Site::webhook_only();
    site.change(MAIN, "[server]", "[server]\naccess_log = true");
    let daemon = Daemon::start(&site);
    let secret = "Authorization: Bearer remedyd_admin_sesame\r\n";
    let (head, _) = ask(&daemon, "/api/v1/alerts?label=sesame", &format!("X-Request-Id: trace-7.a/b\r\n{secret}"));
    assert!(head.contains("x-request-id: trace-7.a/b"), "{head}");
    for bad in ["a b", "<script>", &"x".repeat(129)] {
        let (head, _) = ask(&daemon, "/-/healthy", &format!("X-Request-Id: {bad}\r\n"));
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap_or_default();
        assert!(id.len() == 36 && id.chars().all(|c| c.is_ascii_hexdigit() || c == '-'), "{bad}: {head}");
    }
    let line = daemon.wait("the access log has it", || {
        let log = daemon.log();
        log.lines().find(|line| line.contains("trace-7.a/b")).map(str::to_owned).ok_or(log)
    });
    for part in ["handler=alerts", "principal=local", "code=400", "bytes=", "seconds=", "GET /api/v1/alerts"] {
        assert!(line.contains(part), "`{part}` in {line}");
    }
    assert!(!daemon.log().contains("sesame"), "{line}");
    daemon.stop();
}
