//! Words on remediations: by id, and by selector with a look at exactly what it means.

use std::io::Write;
use std::process::Stdio;

use serde_json::json;

use crate::asking::{Said, ask, proposals, told};
use crate::support::daemon::Daemon;
use crate::support::now;
use crate::support::posts::{HEAVY, LIGHT, firing};
use crate::support::site::Site;

/// A site where what is approved waits long enough to be looked at.
fn slow() -> Site {
    let site = Site::webhook_only();
    site.policy(&[("dispatch_delay", "1h")]);
    site
}

fn state(daemon: &Daemon<'_>, id: &str) -> String {
    daemon.remediation(id)["state"].as_str().unwrap().to_owned()
}

#[test]
fn each_verb_does_its_own() {
    let site = slow();
    let daemon = Daemon::start(&site);
    let ids = proposals(&daemon, &[1, 2, 3]);
    let said = ask(&site, &["approve", &ids[0], "-m", "job is drained"]).ends(0);
    assert_eq!(said.out, format!("remediation/{} approved: host_aware on i-1 is PENDING, version 2\n", ids[0]));
    let review = &daemon.remediation(&ids[0])["review"];
    assert_eq!((&review["by"], &review["comment"]), (&json!("local"), &json!("job is drained")));
    ask(&site, &["cancel", &ids[0], "-m", "not needed"]).ends(0);
    assert_eq!(daemon.remediation(&ids[0])["note"], "cancelled by local: not needed");
    ask(&site, &["reject", &ids[1], "--version", "1", "-m", "false alarm", "--wait"]).ends(0);
    assert_eq!(state(&daemon, &ids[1]), "CANCELLED");
    let said = ask(&site, &["approve", &ids[2], "--mode", "reboot_vm"]).ends(0);
    assert!(said.out.contains("reboot_vm on i-3 is PENDING"), "{said:?}");
    // Somebody was faster.
    assert!(
        ask(&site, &["approve", &ids[2]]).ends(5).err.contains("is PENDING; only PENDING_APPROVAL can be approved")
    );
}

#[test]
fn one_name_makes_one_remediation() {
    let site = slow();
    let daemon = Daemon::start(&site);
    let create = ["create", "remediation", "i-5", "--mode", "vm_only", "-m", "INC-1", "--id", "INC-1", "-o", "name"];
    let first = ask(&site, &create).ends(0).out;
    assert_eq!(ask(&site, &create).ends(0).out, first);
    let other = ["create", "remediation", "i-6", "--mode", "vm_only", "-m", "INC-1", "--id", "INC-1"];
    assert!(ask(&site, &other).ends(5).err.contains("already names remediation"));
    let wrong = ["create", "remediation", "i-6", "--mode", "vm_only", "-m", "x", "--cluster", "train-x"];
    ask(&site, &wrong).ends(4);
    assert_eq!(daemon.remediations().len(), 1);
    let id = first.trim().strip_prefix("remediation/").unwrap();
    let row = ask(&site, &["get", "remediations", id, "-o", "json"]).ends(0).json();
    assert_eq!(row["remediations"][0]["alias"], "INC-1");
}

#[test]
fn a_selector_is_shown_capped_and_carried_out_as_it_was_shown() {
    let site = slow();
    let daemon = Daemon::start(&site);
    let ids = proposals(&daemon, &[1, 5, 6, 7]);
    let rack = "rule=\"dmesg-gpu-fallen-off-bus\",rack=\"r7\"";
    let waiting = |n: usize| {
        let waiting = ids.iter().filter(|id| state(&daemon, id) == "PENDING_APPROVAL").count();
        assert_eq!(waiting, n);
    };
    let shown = ask(&site, &["approve", "-l", rack]).ends(2);
    for (id, is_meant) in ids.iter().zip([false, true, true, true]) {
        assert_eq!(shown.err.contains(id.as_str()), is_meant, "{shown:?}");
    }
    assert!(shown.err.contains("VERSION") && shown.out.is_empty(), "{shown:?}");
    let capped = ask(&site, &["approve", "-l", rack, "--yes", "--max", "2"]).ends(2);
    assert!(capped.err.contains("that means 3 remediations, and --max is 2: nothing was approved"), "{capped:?}");
    // A slip of the pen that would mean everything.
    let typo = ask(&site, &["approve", "-l", "rakc!=\"r6\"", "--yes"]).ends(3);
    assert!(typo.err.contains("no row has anything called `rakc`"), "{typo:?}");
    ask(&site, &["approve", "-l", "", "--yes"]).ends(2);
    ask(&site, &["approve", "-l", "{}", "--yes"]).ends(2);
    ask(&site, &["approve", "-l", "rack=\"r1\"", "--yes"]).ends(4);
    waiting(4);

    let done = ask(&site, &["approve", "-l", rack, "--yes", "-m", "leaf-3 is back"]).ends(0);
    assert_eq!(done.out.lines().filter(|line| line.contains("approved: host_aware")).count(), 3, "{done:?}");
    waiting(1);
    for id in &ids[1..] {
        assert_eq!(daemon.remediation(id)["review"]["comment"], "leaf-3 is back");
    }
    let rest = ask(&site, &["cancel", "-l", "state=~\"PENDING.*\"", "--yes"]).ends(0);
    assert_eq!(rest.out.lines().count(), 4, "{rest:?}");
}

#[test]
fn of_several_each_is_tried_and_the_worst_decides() {
    let site = slow();
    let daemon = Daemon::start(&site);
    let ids = proposals(&daemon, &[1, 2, 3]);
    ask(&site, &["reject", &ids[1]]).ends(0);
    let said = ask(&site, &["approve", &ids[0], &ids[1], &ids[2]]).ends(5);
    assert!(said.err.contains("1 of 3 could not be approved") && said.err.contains("is CANCELLED"), "{said:?}");
    assert_eq!((state(&daemon, &ids[0]), state(&daemon, &ids[2])), ("PENDING".into(), "PENDING".into()));
    // One that is nowhere: nothing is touched before all are found.
    ask(&site, &["cancel", &ids[0], "00000000-0000-7000-8000-000000000000"]).ends(4);
    assert_eq!(state(&daemon, &ids[0]), "PENDING");
}

#[test]
fn a_person_is_asked_on_a_terminal() {
    let site = slow();
    let daemon = Daemon::start(&site);
    let ids = proposals(&daemon, &[7]);
    let program = told(&site, &[]).get_program().to_str().unwrap().to_owned();
    let answer = |word: &str| {
        let line = format!("{program} approve -l 'instance=\"i-7\"'");
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env("TERM", "dumb");
        script.env("REMEDYD_SERVER", format!("http://{}", site.daemon_address()));
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = script.spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(format!("{word}\n").as_bytes()).unwrap();
        Said::of(child.wait_with_output().unwrap())
    };
    let no = answer("n").ends(1);
    assert!(no.out.contains("approve these 1? [y/N]") && no.out.contains("nothing was done"), "{no:?}");
    assert_eq!(state(&daemon, &ids[0]), "PENDING_APPROVAL");
    answer("y").ends(0);
    assert_eq!(state(&daemon, &ids[0]), "PENDING");
}

#[test]
fn what_was_raised_a_moment_ago_is_not_approved_unseen() {
    let site = slow();
    let daemon = Daemon::start(&site);
    daemon.deliver(&firing(LIGHT, "gpu-node-7", now()));
    let id = daemon.wait_for("i-7", "PENDING_APPROVAL")["id"].as_str().unwrap().to_owned();
    assert_eq!(daemon.remediation(&id)["mode"], "reboot_vm");
    daemon.deliver(&firing(HEAVY, "gpu-node-7", now()));
    assert_eq!(
        (&daemon.remediation(&id)["mode"], &daemon.remediation(&id)["version"]),
        (&json!("host_aware"), &json!(2))
    );
    let unseen = ask(&site, &["approve", &id]).ends(5);
    assert!(unseen.err.contains("was raised to host_aware less than a minute ago"), "{unseen:?}");
    let old = ask(&site, &["approve", &id, "--version", "1"]).ends(5);
    assert!(
        old.err.contains("has changed since version 1: it is PENDING_APPROVAL as host_aware, version 2"),
        "{old:?}"
    );
    ask(&site, &["approve", &id, "--version", "2"]).ends(0);
}
