//! A `command` check whose program hangs, and has a child that hangs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::fleet::{fleet, runs, start, wait_runs, wait_well};
use crate::support::daemon::Daemon;
use crate::support::site::MAIN;
use crate::support::{SOON, eventually};

/// Both ignore what they are asked to do; `wait` comes back only when the child is gone.
const PROGRAM: &str =
    "#!/bin/sh\ntrap '' TERM HUP INT\n/bin/sh -c \"trap '' TERM HUP INT; sleep 600\" \"$0\" &\nwait\n";

/// How many processes have this path among their arguments.
fn running(program: &Path) -> usize {
    let path = program.to_str().unwrap().as_bytes();
    let processes =
        fs::read_dir("/proc").unwrap().filter_map(|entry| fs::read(entry.unwrap().path().join("cmdline")).ok());
    processes.filter(|line| line.split(|byte| *byte == 0).any(|word| word == path)).count()
}

#[test]
fn a_hung_program_is_killed_with_its_children_reported_and_blocks_nobody() {
    let (site, nodes) = fleet(3);
    let program = site.path("hang");
    fs::write(&program, PROGRAM).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let argv = program.to_str().unwrap();
    let check = format!(
        "[checks.look]\nevery = \"2s\"\ntimeout = \"1s\"\nfailures_before = 2\nselect = ['instance_id=\"i-1\"']\n[checks.look.command]\nargv = [\"{argv}\"]"
    );
    site.append(MAIN, &check);
    let daemon = start(&site, &nodes);

    let alert = daemon.wait("the hung program is an alert", || {
        let alerts = daemon.rows("alerts", "");
        alerts.iter().find(|alert| alert["alert_name"] == "look").cloned().ok_or("no alert of it")
    });
    assert_eq!(alert["labels"]["finding"], "hung", "{alert}");
    assert_eq!((&alert["instance_id"], &alert["state"]), (&"i-1".into(), &"FIRING".into()));
    assert!(alert["annotations"]["evidence"].as_str().is_some_and(|text| !text.is_empty()), "{alert}");
    // What ships only watches what a program says.
    assert!(daemon.remediations().is_empty());

    // Meanwhile everybody is looked at as often as ever, and what hung is gone: at most one is there at a time.
    let before = runs(&daemon, "ssh", "pass");
    wait_runs(&daemon, "look", "fail", 2);
    assert!(runs(&daemon, "ssh", "pass") >= before + 4.0, "others waited for it");
    assert!(running(&program) <= 2, "{} processes of it are left", running(&program));
    assert_eq!(runs(&daemon, "ssh", "fail"), 0.0);
    daemon.stop();
    eventually(SOON, "nothing of it is left", || match running(&program) {
        0 => Ok(()),
        left => Err(format!("{left} processes")),
    });
}

#[test]
fn no_program_outlives_the_daemon() {
    let (site, nodes) = fleet(3);
    let program = site.path("hang");
    fs::write(&program, PROGRAM).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let argv = program.to_str().unwrap();
    // Nothing but the daemon's end ends it.
    let check =
        format!("[checks.look]\nevery = \"10m\"\ntimeout = \"10m\"\n[checks.look.command]\nargv = [\"{argv}\"]");
    site.append(MAIN, &check);
    let daemon = Daemon::start(&site);
    wait_well(&daemon, nodes.len());
    let client = daemon.client().clone();
    let asker = std::thread::spawn(move || client.ask("POST", "/api/v1/instances/i-1/probe", Some("{}")));
    eventually(SOON, "it runs, and so does its child", || match running(&program) {
        2.. => Ok(()),
        n => Err(format!("{n} processes")),
    });
    daemon.stop();
    eventually(SOON, "nothing of it is left", || match running(&program) {
        0 => Ok(()),
        left => Err(format!("{left} processes")),
    });
    // Whoever asked is told something, or cut off.
    drop(asker.join().unwrap());
}

#[test]
fn a_daemon_that_was_stopped_for_a_while_blames_no_node() {
    let (site, nodes) = fleet(3);
    let program = site.path("slow");
    fs::write(&program, "#!/bin/sh\nsleep 0.3\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let argv = program.to_str().unwrap();
    let check =
        format!("[checks.look]\nevery = \"1s\"\ntimeout = \"600ms\"\n[checks.look.command]\nargv = [\"{argv}\"]");
    site.append(MAIN, &check);
    let daemon = Daemon::start(&site);
    // Each by both checks.
    wait_well(&daemon, 2 * nodes.len());
    for _ in 0..4 {
        wait_runs(&daemon, "look", "pass", 2);
        daemon.signal(Signal::STOP);
        // Longer than a run may take, with all that is added to it.
        thread::park_timeout(Duration::from_secs(2));
        daemon.signal(Signal::CONT);
    }
    wait_runs(&daemon, "look", "pass", 3);
    assert_eq!((runs(&daemon, "look", "fail"), runs(&daemon, "ssh", "fail")), (0.0, 0.0));
    daemon.stop();
}
