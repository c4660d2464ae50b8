//! `get -w`: what is there, then only what changes, until somebody ends it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, channel};

use rustix::process::{Pid, Signal, kill_process};

use crate::asking::{ask, proposals, told};
use crate::support::SOON;
use crate::support::daemon::{Daemon, End};
use crate::support::site::Site;

fn lines(child: &mut std::process::Child) -> Receiver<String> {
    let (sender, receiver) = channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    receiver
}

#[test]
fn only_what_changes_is_printed_and_a_restart_is_waited_for() {
    let site = Site::webhook_only();
    site.policy(&[("dispatch_delay", "1h")]);
    let daemon = Daemon::start(&site);
    let ids = proposals(&daemon, &[1]);
    let mut child =
        told(&site, &["get", "remediations", "-w", "--every", "50ms"]).stderr(Stdio::null()).spawn().unwrap();
    let seen = lines(&mut child);
    let next = || seen.recv_timeout(SOON).expect("a line comes");
    assert!(next().starts_with("ID "));
    let line = next();
    assert!(line.starts_with(&ids[0]) && line.contains("PENDING_APPROVAL"), "{line}");
    ask(&site, &["approve", &ids[0]]).ends(0);
    let line = next();
    assert!(line.starts_with(&ids[0]) && line.contains(" PENDING "), "{line}");

    let daemon = daemon.restart(End::Kill);
    let more = proposals(&daemon, &[2]);
    let line = next();
    assert!(
        line.starts_with(&more[0]) && line.contains("PENDING_APPROVAL"),
        "what was there is not told again: {line}"
    );

    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "^C is how it ends");
    drop(daemon);
}

#[test]
fn a_restart_ends_no_waiting() {
    let site = Site::webhook_only();
    site.policy(&[("dispatch_delay", "1h")]);
    let daemon = Daemon::start(&site);
    let ids = proposals(&daemon, &[1]);
    let mut command = told(&site, &["approve", &ids[0], "--wait=CANCELLED", "--timeout", "2m"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let seen = lines(&mut child);
    assert!(seen.recv_timeout(SOON).expect("it is told").contains("approved"));
    let daemon = daemon.restart(End::Kill);
    ask(&site, &["cancel", &ids[0]]).ends(0);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(daemon);
}
