//! What active checks found, as the command line shows it, from a daemon whose checks run.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::asking::ask;
use crate::support::daemon::Daemon;
use crate::support::site::{MAIN, Site};

/// A check that finds a GPU off the bus on i-7 and a stranger's text on i-5, and nothing anywhere else.
const LOOK: &str = r#"#!/bin/sh
read -r asked
case $asked in
*'"i-7"'*) echo '{"verdict":"FAIL","findings":[{"finding":"xid","xid":79,"device":"GPU-7","detail":"fell off the bus"}],"measurements":{"temperature_celsius":41},"evidence":"Xid 79 in the log"}' ;;
*'"i-5"'*) echo '{"verdict":"ERROR","evidence":"\u001b[2Jgone\u202e"}' ;;
*) echo '{"verdict":"PASS"}' ;;
esac
"#;

/// A site with that check; what it finds opens a proposal at once.
fn site() -> Site {
    let site = Site::webhook_only();
    site.write("look", LOOK);
    fs::set_permissions(site.path("look"), fs::Permissions::from_mode(0o755)).unwrap();
    let look = site.path("look");
    let check = format!(
        "[checks.look]\nevery = \"1s\"\nfailures_before = 1\n[checks.look.command]\nargv = [\"{}\"]",
        look.display()
    );
    site.append(MAIN, &check);
    let rule = "[rules.zz-look]\nmatch = ['check=\"look\"']\nfor = \"0s\"\nmode = \"host_aware\"\nenforce = \"propose\"\n\
        auto_resolve = \"alert\"\n";
    site.write("config/rules.d/90-look.toml", rule);
    site
}

fn text(row: &Value, key: &str) -> String {
    row[key].as_str().unwrap_or_else(|| panic!("{key} of {row}")).to_owned()
}

#[test]
fn runs_and_conditions_are_listed_and_described() {
    let site = site();
    let daemon = Daemon::start(&site);
    let remediation = daemon.wait_for("i-7", "PENDING_APPROVAL");
    let run = text(&remediation, "opened_by_run");
    assert_eq!(remediation["opened_by"], Value::Null);
    daemon.wait("i-5 was looked at", || {
        let found = ask(&site, &["get", "runs", "-i", "i-5", "-o", "name"]).ends(0).out;
        if found.is_empty() { Err("no run") } else { Ok(()) }
    });

    let table = ask(&site, &["get", "runs", "-i", "i-7", "--check", "look", "--verdict", "fail"]).ends(0);
    assert_eq!(table.cells()[0], ["ID", "CHECK", "INSTANCE", "VERDICT", "AGE", "FINDINGS"]);
    let row = table.cells().into_iter().find(|row| row[0] == run).unwrap_or_else(|| panic!("{run}: {table:#?}"));
    assert_eq!((&row[1..4], row[5]), (&["look", "i-7", "FAIL"][..], "xid:79@GPU-7"));
    let json = ask(&site, &["get", "runs", &run[..24], "-o", "json"]).ends(0).json();
    assert_eq!(
        (text(&json["runs"][0], "id"), text(&json["runs"][0], "evidence")),
        (run.clone(), "Xid 79 in the log".into())
    );
    assert_eq!(ask(&site, &["get", "run", &run, "-o", "name"]).ends(0).out, format!("run/{run}\n"));

    let failing = ask(&site, &["get", "conditions", "--failing", "-o", "wide"]).ends(0);
    assert_eq!(failing.cells()[1][..5], ["look", "command", "train-a", "i-7", "FAILING"], "{failing:#?}");
    assert_eq!(failing.cells().len(), 2);
    assert_eq!(ask(&site, &["get", "condition", "look/i-7", "-o", "name"]).ends(0).out, "condition/look/i-7\n");
    let racked = ask(&site, &["get", "conditions", "-l", "rack=\"r7\",belief=\"FAILING\"", "-o", "name"]).ends(0);
    assert_eq!(racked.out, "condition/look/i-7\n");

    for (what, id) in [("run", run.as_str()), ("remediation", &text(&remediation, "id"))] {
        let page = ask(&site, &["describe", what, id]).ends(0).out;
        for part in [run.as_str(), "xid:79@GPU-7: fell off the bus\n", "      Xid 79 in the log\n"] {
            assert!(page.contains(part), "{part}\nis not in\n{page}");
        }
        assert_eq!(what == "run", page.contains("temperature_celsius: 41"), "{page}");
    }
    let page = ask(&site, &["describe", "instance", "i-7"]).ends(0).out;
    assert!(page.contains("\nChecks: 1\n  look FAILING since ") && page.contains("xid:79@GPU-7  [run "), "{page}");

    for kind in [
        &["get", "runs"][..],
        &["get", "runs", "-o", "wide"],
        &["get", "runs", "-o", "json"],
        &["describe", "instance", "i-5"],
    ] {
        let said = ask(&site, kind).ends(0);
        assert!(!said.out.chars().any(|char| char != '\n' && (char.is_control() || char == '\u{202e}')), "{said:#?}");
    }
}

#[test]
fn a_flag_that_filters_nothing_is_refused() {
    let site = Site::webhook_only();
    let _daemon = Daemon::start(&site);
    for (arguments, code) in [
        (&["get", "alerts", "--check", "look"][..], 2),
        (&["get", "conditions", "--verdict", "FAIL"], 2),
        (&["get", "runs", "--failing"], 2),
        (&["get", "instances", "-i", "i-7"], 2),
        (&["get", "runs", "01987c2e", "-i", "i-7"], 2),
        (&["get", "runs", "--verdict", "BAD"], 2),
        (&["get", "runs", "-i", "i/7"], 3),
        (&["describe", "run", "00000000-0000-7000-8000-000000000000"], 4),
        (&["probe", "run", "i-99"], 4),
        (&["probe", "run", "i-7", "--check", "nothing"], 4),
    ] {
        let said = ask(&site, arguments).ends(code);
        assert!(!said.err.is_empty() && said.out.is_empty(), "{said:#?}");
    }
    assert_eq!(ask(&site, &["get", "runs", "-i", "i-7"]).ends(0).err, "no runs found\n");
}
