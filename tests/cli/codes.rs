//! Every exit status, each reached on a real run.

use std::os::unix::net::UnixListener;
use std::process::Stdio;

use crate::asking::{Said, ask, bare, proposals, told};
use crate::support::daemon::{Daemon, remedyd};
use crate::support::driver::{Driver, Manner};
use crate::support::site::{MAIN, Site};

#[test]
fn each_status_has_its_meaning() {
    let site = Site::webhook_only();
    site.policy(&[("dispatch_delay", "0s")]);
    site.act_by(
        "broken",
        "[drivers.broken.command]\nargv = [\"/bin/false\"]\nmodes = [\"reboot_vm\", \"host_aware\"]\ndeadline = \"1m\"",
    );
    let daemon = Daemon::start(&site);
    let ids = proposals(&daemon, &[1, 2]);
    let nowhere = "00000000-0000-7000-8000-000000000000";
    let table: [(i32, &[&str], &str); 25] = [
        (0, &["get", "instances"], ""),
        (0, &["get", "remediations", "-l", "state=\"FAILED\""], "no remediations found"),
        (1, &["create", "remediation", "i-8", "--mode", "reboot_vm", "-m", "x", "--wait"], "ended FAILED: REFUSED"),
        (2, &["get"], "Usage: remedyd get"),
        (2, &["get", "nodes"], "invalid value 'nodes'"),
        (2, &["get", "alerts", "-l", "a=="], "--selector: "),
        (2, &["get", "alerts", "-l", ""], "--selector: it is empty"),
        (2, &["approve", &ids[0][..3]], "is too short"),
        (2, &["approve", &ids[0][..5]], "write more of it"),
        (2, &["approve"], "required"),
        (2, &["approve", &ids[0], &ids[1], "--version", "1"], "name one"),
        (2, &["approve", "-l", "instance=\"i-1\""], "nobody is there to say yes"),
        (2, &["reject", &ids[0], "--mode", "vm_only"], "only an approval"),
        (2, &["get", "alerts", "--server", "127.0.0.1:9720"], "write http://HOST:PORT"),
        (2, &["get", "alerts", "--token-file", "/nonexistent/token"], "--token-file /nonexistent/token: "),
        (3, &["approve", &ids[0], "--mode", "vm_only"], "mode: driver broken of cluster train-a cannot do vm_only"),
        (3, &["get", "remediations", "-l", "state=\"pending\""], "`pending` is not one of"),
        (3, &["hold", "i-1", "--for", "91d", "-m", "x"], "at most 90d"),
        (4, &["approve", nowhere], "not found"),
        (4, &["describe", "remediation", nowhere], "not found"),
        (4, &["create", "remediation", "i-99", "--mode", "reboot_vm", "-m", "x"], "instance `i-99` not found"),
        (4, &["unhold", "i-1"], "neither a node that is held"),
        (
            5,
            &["approve", &ids[0], "--version", "7"],
            "has changed since version 7: it is PENDING_APPROVAL as host_aware, version 1",
        ),
        (5, &["abort", &ids[0], "-m", "x"], "only RUNNING can be aborted"),
        (5, &["resume"], "not everything is paused"),
    ];
    for (code, arguments, words) in table {
        let said = ask(&site, arguments);
        assert_eq!(said.code, code, "{arguments:?}: {said:#?}");
        assert!(said.err.contains(words), "{arguments:?}: {said:#?}");
        assert!(code < 2 || said.out.is_empty(), "{arguments:?}: {said:#?}");
    }
    for id in &ids {
        assert_eq!(daemon.remediation(id)["version"], 1, "nothing of that was carried out");
    }
}

#[test]
fn who_may_not_is_6_and_a_token_comes_from_a_file_or_the_environment() {
    let site = Site::webhook_only();
    site.change(MAIN, "# tokens_file = \"tokens.toml\"", "tokens_file = \"tokens.toml\"");
    let token = |role: &str| {
        let mut command = remedyd();
        command.args(["token", "new", "--role", role, "--name", role, "--tokens-file"]);
        command.arg(site.path("config/tokens.toml")).stdout(Stdio::piped());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let (viewer, admin) = (token("viewer"), token("admin"));
    site.write("admin.token", &admin);
    let daemon = Daemon::start(&site);
    let with = |token: Option<&str>, arguments: &[&str]| {
        let mut command = told(&site, arguments);
        if let Some(token) = token {
            command.env("REMEDYD_TOKEN", token.trim());
        }
        Said::of(command.output().unwrap())
    };
    assert!(with(None, &["get", "instances"]).ends(6).err.contains("a bearer token is needed"));
    assert!(with(Some("wrong"), &["get", "instances"]).ends(6).err.contains("is not known"));
    with(Some(&viewer), &["get", "instances"]).ends(0);
    let refused = with(Some(&viewer), &["pause", "-m", "x"]).ends(6);
    assert!(refused.err.contains("this needs the role admin; `viewer` has the role viewer"), "{refused:?}");
    let file = site.path("admin.token").display().to_string();
    with(None, &["pause", "-m", "x", "--token-file", &file]).ends(0);
    // The file goes before the environment.
    with(Some(&viewer), &["resume", "--token-file", &file]).ends(0);
    drop(daemon);
}

#[test]
fn a_daemon_that_is_not_there_is_7() {
    let site = Site::webhook_only();
    let said = ask(&site, &["get", "alerts"]).ends(7);
    assert!(said.err.contains(&format!("the daemon at http://{} does not answer", site.daemon_address())), "{said:?}");
    // A socket that nobody answers on.
    let socket = site.path("mute.sock");
    let _listener = UnixListener::bind(&socket).unwrap();
    let server = format!("unix:{}", site.path("nobody.sock").display());
    Said::of(bare(&["pause", "-m", "x", "--server", &server]).output().unwrap()).ends(7);
}

#[test]
fn a_wait_that_takes_too_long_is_8_and_says_what_it_waits_for() {
    let site = Site::webhook_only();
    site.policy(&[("dispatch_delay", "0s")]);
    let driver = Driver::install(&site, Manner::WaitsAtTheGate, "10m");
    let daemon = Daemon::start(&site);
    let create = ["create", "remediation", "i-3", "--mode", "reboot_vm", "-m", "x", "--wait", "--timeout", "1s"];
    let late = ask(&site, &create).ends(8);
    assert!(late.err.contains("is RUNNING after 1s"), "{late:?}");
    assert!(late.out.starts_with("remediation/"), "{late:?}");
    driver.open_gate();
    let id = daemon.wait_for("i-3", "SUCCEEDED")["id"].as_str().unwrap().to_owned();
    assert!(ask(&site, &["get", "remediations", &id]).ends(0).out.contains("SUCCEEDED"));
    drop(daemon);
}

/// Bytes there and back, between a socket in a folder and the daemon's port.
fn carry(socket: &std::path::Path, daemon: std::net::SocketAddr) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), std::net::TcpStream::connect(daemon).unwrap());
            let (mut back, mut answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
            std::thread::spawn(move || std::io::copy(&mut client, &mut server));
        }
    });
}

#[test]
fn a_socket_in_a_folder_is_an_address() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let socket = site.path("remedyd.sock");
    carry(&socket, site.daemon_address());
    let server = format!("unix:{}", socket.display());
    let said = Said::of(bare(&["get", "instances", "i-7", "--server", &server]).output().unwrap()).ends(0);
    assert!(said.out.contains("i-7   train-a   h-0042"), "{said:?}");
    drop(daemon);
}

#[test]
fn an_answer_without_anything_in_it_is_no_crash() {
    let site = Site::webhook_only();
    let listener = std::net::TcpListener::bind(site.daemon_address()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = std::io::BufReader::new(stream.unwrap());
            let mut line = String::new();
            std::io::BufRead::read_line(&mut stream, &mut line).unwrap();
            let path = line.split([' ', '?']).nth(1).unwrap_or("").rsplit('/').next().unwrap_or("").to_owned();
            let body = match path.as_str() {
                "history" => r#"{"history":[{}]}"#.to_owned(),
                path if path.ends_with('s') => format!(r#"{{"{path}":[{{}},7],"has_next":false}}"#),
                _ => "{}".to_owned(),
            };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            std::io::Write::write_all(stream.get_mut(), format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    let id = "00000000-0000-7000-8000-000000000000";
    for kind in ["remediations", "alerts", "instances", "holds", "dead-letters", "pauses"] {
        for form in ["table", "wide", "json", "name"] {
            ask(&site, &["get", kind, "-o", form]).ends(0);
        }
    }
    for (code, arguments) in [
        (0, &["describe", "remediation", id][..]),
        (4, &["describe", "instance", "i-7"]),
        (0, &["approve", id]),
        (0, &["pause", "-m", "x"]),
        (0, &["hold", "i-7", "--for", "1h", "-m", "x"]),
        (1, &["approve", id, "--wait"]),
    ] {
        ask(&site, arguments).ends(code);
    }
}
