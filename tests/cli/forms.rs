//! What is printed: the forms of a list, the pages of `describe`, and that nothing of a stranger reaches the terminal.

use serde_json::{Value, json};

use crate::asking::{Said, ask, proposals, told};
use crate::support::daemon::Daemon;
use crate::support::now;
use crate::support::posts::{HEAVY, alert, message};
use crate::support::site::Site;

#[test]
fn a_list_has_four_forms() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let ids = proposals(&daemon, &[7, 3]);
    let table = ask(&site, &["get", "remediations"]).ends(0);
    assert_eq!(table.cells()[0], ["ID", "INSTANCE", "MODE", "STATE", "VERSION", "AGE", "NOTE"]);
    assert_eq!(table.cells()[1][..5], [ids[1].as_str(), "i-3", "host_aware", "PENDING_APPROVAL", "1"]);
    assert_eq!((table.cells().len(), table.err.as_str()), (3, ""));
    assert!(!table.out.contains('\u{1b}'), "no colour where nobody sees it");

    let wide = ask(&site, &["get", "remediation", "-o", "wide", "--no-headers", "--sort-by", "instance"]).ends(0);
    assert_eq!(wide.cells()[1][..4], [ids[0].as_str(), "train-a", "i-7", "h-0042"]);
    let name = ask(&site, &["get", "remediations", "-o", "name", "--sort-by", "age"]).ends(0);
    assert_eq!(name.out, format!("remediation/{}\nremediation/{}\n", ids[1], ids[0]));
    // What a name says, other verbs take.
    let whole = name.out.lines().next().unwrap();
    assert!(ask(&site, &["describe", "remediation", whole]).ends(0).out.contains(&ids[1]));
    assert!(ask(&site, &["hold", "instance/i-5", "--for", "1h", "-m", "mine"]).ends(0).out.contains(" on i-5 until"));
    assert!(ask(&site, &["unhold", "instance/i-5"]).ends(0).out.contains(" on i-5 ended"));
    let json = ask(&site, &["get", "remediations", &ids[0], "-o", "json"]).ends(0).json();
    assert_eq!(json["remediations"][0], daemon.remediation(&ids[0]));

    // The beginning of an id; a limit with a note; a name that is nowhere.
    let alerts = ask(&site, &["get", "alerts", "-o", "json"]).ends(0).json();
    let alert = alerts["alerts"][0]["id"].as_str().unwrap();
    let one = ask(&site, &["get", "alert", &alert[..8], "-o", "name"]).ends(0);
    assert_eq!(one.out, format!("alert/{alert}\n"));
    let first = ask(&site, &["get", "instances", "--limit", "2", "-o", "name"]).ends(0);
    assert_eq!((first.out.lines().count(), first.err.contains("there are more than these 2")), (2, true), "{first:?}");
    assert!(ask(&site, &["get", "instances", "-l", "rakc=\"r7\""]).ends(0).err.contains("anything called `rakc`"));
    for kind in ["holds", "dead-letters", "pauses"] {
        assert_eq!(ask(&site, &["get", kind]).ends(0).out, "", "{kind}");
        assert_eq!(ask(&site, &["get", kind, "-o", "json"]).ends(0).json()[kind], json!([]), "{kind}");
    }
}

#[test]
fn matchers_see_fields_labels_and_domains() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let ids = proposals(&daemon, &[3, 7]);
    let names = |kind: &str, matchers: &str| {
        let said = ask(&site, &["get", kind, "-l", matchers, "-o", "name"]).ends(0);
        let mut names: Vec<String> = said.out.lines().map(|line| line.split_once('/').unwrap().1.to_owned()).collect();
        names.sort();
        names
    };
    // Racks r6 and r7, leaves leaf-3 and leaf-4, as shipped.
    assert_eq!(names("instances", "rack=\"r7\",leaf=\"leaf-3\""), ["i-5", "i-7"]);
    assert_eq!(names("instances", "domain_rack!=\"r7\",leaf=~\"leaf-3\""), ["i-1", "i-3"]);
    assert_eq!(names("remediations", "rack=\"r7\",rule=~\".*bus\""), ids[1..]);
    assert_eq!(names("remediations", "instance=\"i-3\",state=\"PENDING_APPROVAL\",pool=\"h100\""), ids[..1]);
    assert_eq!(names("remediations", "state=\"PENDING_APPROVAL\",instance!~\"i-[37]\""), Vec::<String>::new());
    assert_eq!(names("alerts", "phc=\"true\",severity!=\"info\",rack=\"r7\"").len(), 1);
    assert_eq!(names("alerts", "alertname=\"NpdKernelDeadlock\""), Vec::<String>::new());
}

#[test]
fn a_page_says_what_why_and_what_to_do() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let [id] = &proposals(&daemon, &[7])[..] else { panic!("one") };
    let page = ask(&site, &["describe", "remediation", id]).ends(0).out;
    for part in [
        format!("Remediation {id}\n"),
        "  state         PENDING_APPROVAL, version 1\n".to_owned(),
        "  repair        host_aware\n".to_owned(),
        "  machine       i-7 (gpu-node-7) on host h-0042, cluster train-a\n".to_owned(),
        "  rule          dmesg-gpu-fallen-off-bus; ends by itself once its alerts stay clear\n".to_owned(),
        "it expires if nobody decides".to_owned(),
        "Evidence: 1 alert(s)\n  critical DmesgGpuFallenOffBus since ".to_owned(),
        "      DmesgGpuFallenOffBus on gpu-node-7\n".to_owned(),
        "create by remedyd: PENDING_APPROVAL host_aware".to_owned(),
        format!("  remedyd approve {id} --version 1 -m '…'\n"),
    ] {
        assert!(page.contains(&part), "{part}\nis not in\n{page}");
    }
    // The command that it names is one.
    ask(&site, &["approve", id, "--version", "1", "-m", "go"]).ends(0);
    let page = ask(&site, &["describe", "remediation", id]).ends(0).out;
    assert!(page.contains("approve by local: PENDING host_aware  (approved as host_aware: go)"), "{page}");

    ask(&site, &["hold", "i-7", "--for", "2h", "-m", "disk swap"]).ends(0);
    ask(&site, &["pause", "--cluster", "train-a", "-m", "power work"]).ends(0);
    let page = ask(&site, &["describe", "instance", "i-7"]).ends(0).out;
    for part in [
        "HELD          by local until ",
        ": disk swap\n",
        "PAUSED        train-a by local: power work\n",
        "remedyd unhold i-7",
        id,
    ] {
        assert!(page.contains(part), "{part}\nis not in\n{page}");
    }
    let alerts = ask(&site, &["get", "alerts", "-o", "name"]).ends(0).out;
    let alert = alerts.trim().strip_prefix("alert/").unwrap();
    let page = ask(&site, &["describe", "alert", &alert[..6]]).ends(0).out;
    assert!(page.contains("  phc: true\n") && page.contains(&format!("describe remediation {id}")), "{page}");
}

/// What drives a terminal, turns text around, or hides in it.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}gnirts\u{200b}\r\nremediation/x approved";

#[test]
fn nothing_of_a_stranger_reaches_the_terminal() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let mut hostile = alert(HEAVY, "gpu-node-7", now(), None);
    for (part, name) in [("annotations", "summary"), ("annotations", "description"), ("labels", "evil")] {
        hostile[part][name] = Value::from(HOSTILE);
    }
    hostile["labels"]["severity"] = Value::from("critical\u{1b}[31m");
    let mut stray = alert(HEAVY, &format!("nowhere{HOSTILE}"), now(), None);
    stray["labels"]["alertname"] = Value::from(HOSTILE);
    daemon.deliver(&message(&[hostile, stray]));
    daemon.wait_for("i-7", "PENDING_APPROVAL");
    let created = ask(&site, &["create", "remediation", "i-1", "--mode", "reboot_vm", "-m", HOSTILE]).ends(0);
    let id = daemon.wait_for("i-7", "PENDING_APPROVAL")["id"].as_str().unwrap().to_owned();
    let alerts = ask(&site, &["get", "alerts", "-o", "name"]).ends(0);
    let mut runs = vec![created, ask(&site, &["describe", "remediation", &id])];
    for alert in alerts.out.lines() {
        runs.push(ask(&site, &["describe", "alert", alert.strip_prefix("alert/").unwrap()]));
    }
    for kind in ["alerts", "remediations", "dead-letters", "instances"] {
        for form in ["table", "wide", "json", "name"] {
            runs.push(ask(&site, &["get", kind, "-o", form]));
        }
    }
    runs.push(ask(&site, &["cancel", HOSTILE]));
    runs.push(ask(&site, &["get", "alerts", "-l", &format!("\"{}\"=\"x\"", HOSTILE.replace('\n', ""))]));
    for said in &runs {
        for text in [&said.out, &said.err] {
            let hides = |char: char| matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}');
            let bad = text.chars().find(|char| (char.is_control() && *char != '\n') || hides(*char));
            assert_eq!(bad, None, "{text:?}");
            assert!(!text.lines().any(|line| line.starts_with("remediation/x approved")), "{text:?}");
        }
    }
    let whole = ask(&site, &["get", "alerts", "-o", "json"]).json();
    let alerts = whole["alerts"].as_array().unwrap();
    assert!(alerts.iter().any(|alert| alert["labels"]["evil"] == HOSTILE), "JSON loses nothing: {whole}");
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    proposals(&daemon, &[7]);
    // `script` of util-linux gives the program a terminal.
    let seen = |no_colour: Option<&str>| {
        let mut command = told(&site, &[]);
        let program = command.get_program().to_owned();
        let line = format!("{} get remediations", program.to_str().unwrap());
        let mut script = std::process::Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
        script.env("REMEDYD_SERVER", format!("http://{}", site.daemon_address()));
        if let Some(value) = no_colour {
            script.env("NO_COLOR", value);
        }
        command.stdout(std::process::Stdio::null());
        String::from_utf8(script.stdin(std::process::Stdio::null()).output().unwrap().stdout).unwrap()
    };
    assert!(seen(None).contains("\u{1b}[33mPENDING_APPROVAL\u{1b}[0m"), "{:?}", seen(None));
    assert!(!seen(Some("1")).contains('\u{1b}'), "{:?}", seen(Some("1")));
    drop(daemon);
}

#[test]
fn whoever_has_read_enough_may_go() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    for arguments in [&["get", "instances"][..], &["describe", "instance", "i-7"], &["pause", "-m", "x"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let said = Said::of(told(&site, arguments).stdout(writer).output().unwrap()).ends(0);
        assert_eq!(said.err, "", "{arguments:?}");
    }
    drop(daemon);
}
