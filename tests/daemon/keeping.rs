//! The store is kept up while the daemon runs, and can be looked after while it is stopped.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::daemon::{Daemon, remedyd};
use crate::support::now;
use crate::support::posts::{HEAVY, firing};
use crate::support::site::{MAIN, Site};

fn run(verbs: &[&str], store: &Path, rest: &[&str]) -> Output {
    let mut command = remedyd();
    command.args(verbs).arg(format!("--storage.path={}", store.display())).args(rest);
    command.stdout(Stdio::piped()).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, said(output));
    said(output)
}

/// A daemon with five remediations that has made a checkpoint.
fn with_a_checkpoint(site: &Site) -> Daemon<'_> {
    site.change(MAIN, "checkpoint_after = \"1GiB\"", "checkpoint_after = \"1KiB\"");
    let daemon = Daemon::start(site);
    for n in 1..=5 {
        daemon.deliver(&firing(HEAVY, &format!("gpu-node-{n}"), now()));
    }
    daemon.wait("a checkpoint", || match daemon.metric("remedyd_store_checkpoint_size_bytes") {
        Some(1.0..) => Ok(()),
        size => Err(format!("{size:?}")),
    });
    daemon
}

#[test]
fn checkpoints_are_made_while_it_runs_and_a_stopped_store_is_verified_taken_along_and_brought_back() {
    let site = Site::webhook_only();
    let daemon = with_a_checkpoint(&site);
    let store = site.path("data");
    let held = run(&["store", "check"], &store, &[]);
    assert_eq!(held.status.code(), Some(78), "{}", said(&held));
    assert!(said(&held).contains("is held by another remedyd"), "{}", said(&held));
    let before = daemon.remediations();
    assert_eq!(before.len(), 5);
    daemon.stop();

    let checked = succeeded(&run(&["store", "check"], &store, &[]));
    for part in ["journal: sound, ", "sled: sound, ", ".checkpoint: sound, "] {
        assert!(checked.contains(part), "{part} in {checked}");
    }
    let verified = succeeded(&run(&["audit", "verify"], &store, &[]));
    let head = verified.lines().find_map(|line| line.strip_prefix("head ")).unwrap();
    succeeded(&run(&["audit", "verify"], &store, &["--head", head]));
    let forged = head.replace(':', "0:");
    let refused = run(&["audit", "verify"], &store, &["--head", &forged]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert_eq!(run(&["audit", "verify"], &store, &["--head", "7"]).status.code(), Some(2));

    let file = site.path("backup");
    succeeded(&run(&["store", "export"], &store, &[file.to_str().unwrap()]));
    std::fs::remove_dir_all(&store).unwrap();
    let imported = succeeded(&run(&["store", "import"], &store, &[file.to_str().unwrap()]));
    assert!(imported.contains("acts on nothing until `remedyd store enable`"), "{imported}");
    succeeded(&run(&["store", "check"], &store, &[]));
    let daemon = Daemon::start(&site);
    assert_eq!(daemon.metric("remedyd_execution_enabled"), Some(0.0));
    assert_eq!(daemon.remediations(), before);
    daemon.stop();
    succeeded(&run(&["store", "rebuild"], &store, &[]));
    succeeded(&run(&["store", "enable"], &store, &[]));
    let daemon = Daemon::start(&site);
    assert_eq!(daemon.metric("remedyd_execution_enabled"), Some(1.0));
    assert_eq!(daemon.remediations(), before);
    daemon.stop();
}

#[test]
fn a_backup_of_a_running_daemon_comes_back_and_acts_on_nothing() {
    let site = Site::webhook_only();
    let daemon = with_a_checkpoint(&site);
    let before = daemon.remediations();
    let (store, backup) = (site.path("data"), site.path("backup"));
    std::fs::create_dir(&backup).unwrap();
    // In this order: the journal has to reach as far as the checkpoints.
    for part in ["checkpoints", "journal"] {
        let copied = Command::new("cp").arg("-r").arg(store.join(part)).arg(&backup).status().unwrap();
        assert!(copied.success());
    }
    daemon.deliver(&firing(HEAVY, "gpu-node-6", now()));
    daemon.wait_for("i-6", "PENDING_APPROVAL");
    daemon.stop();
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::rename(&backup, &store).unwrap();
    succeeded(&run(&["audit", "verify"], &store, &[]));
    let daemon = Daemon::start(&site);
    assert_eq!(daemon.remediations(), before);
    assert_eq!(daemon.metric("remedyd_execution_enabled"), Some(0.0));
    daemon.stop();
    succeeded(&run(&["store", "check"], &store, &[]));
}
