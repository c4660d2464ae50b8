//! `unix:`: who may open the file is on this machine.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::support::client::Answer;
use crate::support::daemon::{Daemon, refused, remedyd};
use crate::support::site::{MAIN, Site};

const LISTEN: &str = "listen = [\"127.0.0.1:9720\"] ";

/// One request over a socket file.
pub fn ask(path: &Path, request: &str) -> Answer {
    let mut stream = UnixStream::connect(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    Answer::read(&text).unwrap_or_else(|| panic!("no answer: {text}"))
}

#[test]
fn a_socket_file_is_this_machine_and_goes_with_the_daemon() {
    let site = Site::webhook_only();
    let socket = site.path("config/run.sock");
    let tcp = site.daemon_address();
    site.change(MAIN, LISTEN, &format!("listen = [\"{tcp}\", \"unix:run.sock\"] "));
    let daemon = Daemon::spawn_in(&site, |serve| {
        // As the file says.
        let args: Vec<_> = serve.get_args().map(ToOwned::to_owned).collect();
        let mut plain = remedyd();
        plain.args(args.iter().filter(|arg| !arg.to_string_lossy().starts_with("--web.listen-address")));
        *serve = plain;
    });
    let mut daemon = daemon;
    daemon.wait_ready();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    let get = |path: &str| ask(&socket, &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n"));
    assert_eq!(get("/api/v1/instances").status, 200, "no tokens, so who is on this machine is admin");
    assert_eq!(get("/metrics").status, 200);
    let foreign = ask(&socket, "GET /v3/whoami HTTP/1.0\r\nHost: evil.example\r\n\r\n");
    assert_eq!(foreign.status, 403, "{foreign}");

    // A second daemon leaves the first one's socket alone.
    let mut second = remedyd();
    second.arg("serve").arg(format!("--config.file={}", site.config_file().display()));
    second.arg(format!("--web.listen-address=unix:{}", socket.display()));
    second.arg(format!("--storage.path={}", site.path("other").display()));
    let (code, said) = refused(&site, second);
    assert!(code == Some(1) && said.contains("somebody answers there"), "{code:?}: {said}");
    assert_eq!(get("/-/healthy").status, 200);
    daemon.stop();
    assert!(!socket.exists());
}

#[test]
fn without_tokens_a_socket_file_may_be_listened_on_and_an_open_address_not() {
    let site = Site::webhook_only();
    let check = |listen: &str| {
        let file = format!("--config.file={}", site.config_file().display());
        remedyd().arg("check").arg(file).arg(format!("--web.listen-address={listen}")).output().unwrap().status.code()
    };
    assert_eq!(check("unix:/run/remedyd/remedyd.sock"), Some(0));
    assert_eq!(check("unix:/run/remedyd/remedyd.sock,0.0.0.0:9720"), Some(3));
    assert_eq!(check("unix:"), Some(2));
}
