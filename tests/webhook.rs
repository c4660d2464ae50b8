//! The webhook against everything that an Alertmanager sends and against much that none would: `tests/wire/alertmanager`
//! is posted to a real daemon, again and again.

#[path = "webhook/handwritten.rs"]
mod handwritten;
#[path = "webhook/limits.rs"]
mod limits;
mod support;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use support::client::Answer;
use support::daemon::Daemon;
use support::fixtures::{self, Body, post};
use support::site::Site;

/// What an answer says became of the alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    received: u64,
    stored: u64,
    merged: u64,
    dead_lettered: u64,
}

impl Counts {
    /// Nothing for a message that was refused as a whole.
    fn of(answer: &Answer) -> Self {
        if !answer.is_success() {
            return Self::default();
        }
        let answer = answer.json();
        let count = |key: &str| answer[key].as_u64().unwrap_or_else(|| panic!("{key} of {answer}"));
        let counts = Self {
            received: count("received"),
            stored: count("stored"),
            merged: count("merged"),
            dead_lettered: count("dead_lettered"),
        };
        assert!(counts.balance(), "{counts:?}");
        counts
    }

    fn balance(self) -> bool {
        self.received == self.stored + self.merged + self.dead_lettered
    }

    fn add(&mut self, other: Self) {
        self.received += other.received;
        self.stored += other.stored;
        self.merged += other.merged;
        self.dead_lettered += other.dead_lettered;
    }

    fn in_metrics(daemon: &Daemon<'_>) -> Self {
        let count = |name: &str| {
            let name = format!("remedyd_alerts_{name}_total{{source=\"main\"}}");
            daemon.metric(&name).unwrap_or_else(|| panic!("no {name}")) as u64
        };
        Self {
            received: count("received"),
            stored: count("stored"),
            merged: count("merged"),
            dead_lettered: count("dead_lettered"),
        }
    }
}

/// Everything that can be read, byte for byte, and how much has ever been written.
#[derive(PartialEq, Eq)]
struct Picture {
    lists: BTreeMap<&'static str, Vec<String>>,
    journal: Vec<Vec<u8>>,
}

impl Picture {
    fn of(site: &Site, daemon: &Daemon<'_>) -> Self {
        const LISTS: [&str; 5] = ["alerts", "dead-letters", "remediations", "holds", "instances"];
        Self { lists: LISTS.into_iter().map(|list| (list, pages(daemon, list))).collect(), journal: site.journal() }
    }

    /// The first list that differs, with what it showed before and shows after.
    fn assert_same_as(&self, before: &Self, what: &str) {
        for (list, pages) in &self.lists {
            assert_eq!(pages, &before.lists[list], "{list} after {what}");
        }
        assert!(self.journal == before.journal, "the journal was written to after {what}");
    }
}

/// Every page of a list, as it came.
fn pages(daemon: &Daemon<'_>, list: &str) -> Vec<String> {
    let mut pages: Vec<String> = Vec::new();
    let mut token = String::new();
    loop {
        let answer = daemon.get(&format!("/api/v1/{list}?page_size=1000&page_token={token}"));
        let page = answer.json();
        pages.push(answer.body);
        if page["has_next"] == false {
            return pages;
        }
        page["next_page_token"].as_str().unwrap().clone_into(&mut token);
    }
}

fn recorded() -> Vec<Body> {
    let (genuine, handwritten) = (fixtures::genuine(), fixtures::handwritten());
    assert_eq!((genuine.len(), handwritten.len()), (50, 32));
    genuine.into_iter().chain(handwritten).collect()
}

fn ids(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_message_that_comes_again_changes_nothing() {
    let site = fixtures::site();
    let daemon = Daemon::start(&site);
    let mut sums = Counts::default();
    for body in recorded() {
        let first = post(daemon.client(), "main", &body.bytes);
        let counts = Counts::of(&first);
        assert!(first.status < 500, "{}: {first}", body.name);
        if !body.name.starts_with('h') {
            assert_eq!((first.status, counts.dead_lettered), (200, 0), "{}: {first}", body.name);
            assert_eq!(counts.received, body.alerts().len() as u64, "{}", body.name);
        }
        let before = Picture::of(&site, &daemon);
        let again = post(daemon.client(), "main", &body.bytes);
        assert_eq!(again.status, first.status, "{}: {again}", body.name);
        Picture::of(&site, &daemon).assert_same_as(&before, &format!("{} came again", body.name));
        let repeated = Counts::of(&again);
        let merged = counts.stored + counts.merged;
        assert_eq!(repeated, Counts { stored: 0, merged, ..counts }, "{}", body.name);
        sums.add(counts);
        sums.add(repeated);
    }
    assert_eq!(Counts::in_metrics(&daemon), sums);
    assert!(sums.balance() && sums.received > 750, "{sums:?}");
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log_tail());
    daemon.stop();
}

/// Everything that cleared resolves itself first, so that a repeat that was taken for news would open something.
#[test]
fn a_second_round_of_old_messages_opens_nothing() {
    let site = fixtures::site();
    site.policy(&[("compact_ttl", "1s")]);
    let daemon = Daemon::start(&site);
    let mut sums = Counts::default();
    let mut statuses = Vec::new();
    for body in recorded() {
        let answer = post(daemon.client(), "main", &body.bytes);
        sums.add(Counts::of(&answer));
        statuses.push(answer.status);
    }
    let opened = daemon.wait("what cleared has resolved itself", || {
        let rows = daemon.remediations();
        let waits = rows.iter().find(|row| row["state"] == "PENDING_APPROVAL" && !row["clear_since"].is_null());
        waits.map_or(Ok(rows.clone()), |row| Err(row.clone()))
    });
    let resolved = opened.iter().filter(|row| row["state"] == "AUTO_RESOLVED").count();
    assert!(resolved >= 10 && opened.len() >= resolved + 60, "{resolved} of {} resolved", opened.len());

    let mut again = Vec::new();
    for body in recorded() {
        let answer = post(daemon.client(), "main", &body.bytes);
        sums.add(Counts::of(&answer));
        again.push(answer.status);
        assert_eq!(ids(&daemon.remediations()), ids(&opened), "after {} came a second time", body.name);
    }
    assert_eq!(again, statuses);
    assert_eq!(Counts::in_metrics(&daemon), sums);
    daemon.stop();
}

/// Which instance each alert of a message is about, in its order, or the beginning of why it is about none.
type Joins = &'static [(&'static str, &'static [Result<&'static str, &'static str>])];

const JOINS: Joins = &[
    ("01-", &[Ok("p1-017")]),
    // One host name in two clusters: the label `cluster` decides.
    ("06-", &[Ok("p1-004"), Ok("p2-004"), Ok("eu-009")]),
    // The inventory knows the long name; `pod` and `instance` name the exporter.
    ("07-", &[Ok("k2-033")]),
    ("08-", &[Ok("k1-07")]),
    ("10-", &[Ok("p1-061")]),
    // IPv4 with port, bare IPv6 in another spelling, capitals and a trailing dot, [IPv6]:port, bare, FQDN, no port.
    ("14-", &[Ok("p1-v6a"), Ok("p1-v6b"), Ok("p1-073"), Ok("p1-v6a"), Ok("p1-071"), Ok("p1-072"), Ok("p1-074")]),
    // `instance` is the Slurm controller.
    ("15-", &[Ok("p1-081")]),
    ("21-", &[Err("no label names an instance")]),
    ("22-", &[Err("no label names an instance")]),
    // Neither an alert's name nor a cluster: the host name is known once.
    ("23-", &[Ok("p1-120")]),
    ("24-", &[Err("no instance in cluster gpu-prod-1 matches ")]),
    (
        "26-",
        &[
            Ok("p1-140"),
            // `instance` and `hostname` name two different machines.
            Err("ambiguous in cluster gpu-prod-1: "),
            Ok("vm-5512"),
            Ok("p3-144"),
            Ok("5b8f2f0a-6a5d-4d2b-8e55-2f7d0b9e7c01"),
        ],
    ),
    ("36-", &[Err("no label names an instance")]),
    ("45-", &[Ok("p1-182")]),
];

#[test]
fn alerts_join_the_instance_that_they_are_about_or_none() {
    let site = fixtures::site();
    let daemon = Daemon::start(&site);
    let bodies = fixtures::genuine();
    for (name, joins) in JOINS {
        let body = Body::named(&bodies, name);
        post(daemon.client(), "main", &body.bytes).json();
        let rows = daemon.rows("alerts", "");
        let alerts = body.alerts();
        assert_eq!(alerts.len(), joins.len(), "{name}");
        for (alert, join) in alerts.iter().zip(*joins) {
            let row = rows.iter().find(|row| row["labels"] == alert["labels"]);
            let row = row.unwrap_or_else(|| panic!("{name}: {alert} is not kept"));
            match join {
                Ok(instance) => assert_eq!(row["instance_id"], *instance, "{name}: {row}"),
                Err(why) => {
                    let said = row["unjoined_reason"].as_str().unwrap_or_else(|| panic!("{name}: it joined: {row}"));
                    assert!(said.starts_with(why) && row["instance_id"].is_null(), "{name}: {row}");
                }
            }
        }
    }

    // A machine that is not known yet is looked for again when the inventory changes, and its alert counts then.
    let newcomer =
        "[instances.late]\nname = \"decommissioned-node-999\"\ncluster = \"gpu-prod-1\"\nhost = \"h-late\"\n";
    site.append("config/inventory.d/recorded.toml", newcomer);
    let proposal = daemon.wait_for("late", "PENDING_APPROVAL");
    assert_eq!(proposal["linked_alerts"].as_array().unwrap().len(), 1, "{proposal}");
    daemon.stop();
}

/// Instance, state, mode, linked alerts, and how many of them are clear.
type Seen = (String, String, String, usize, usize);

fn proposals(daemon: &Daemon<'_>) -> Vec<Seen> {
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let mut seen: Vec<Seen> = daemon
        .remediations()
        .iter()
        .map(|row| {
            let links = row["linked_alerts"].as_array().unwrap();
            let clear = links.iter().filter(|link| !link["resolved_at"].is_null()).count();
            (text(row, "instance_id"), text(row, "state"), text(row, "mode"), links.len(), clear)
        })
        .collect();
    seen.sort();
    seen
}

fn waiting(instance: &str, mode: &str, linked: usize, clear: usize) -> Seen {
    (instance.to_owned(), "PENDING_APPROVAL".to_owned(), mode.to_owned(), linked, clear)
}

/// Posts messages by the starts of their names.
fn tell(daemon: &Daemon<'_>, names: &[&str]) -> Vec<Counts> {
    let bodies = fixtures::genuine();
    names.iter().map(|name| Counts::of(&post(daemon.client(), "main", &Body::named(&bodies, name).bytes))).collect()
}

#[test]
fn a_group_links_and_clears_each_node_by_itself() {
    let site = fixtures::site();
    let daemon = Daemon::start(&site);
    let nodes = ["p1-021", "p1-022", "p1-023", "p1-024", "p1-025", "p1-026"];
    let with_clear = |cleared: &[usize]| -> Vec<Seen> {
        nodes.iter().zip(cleared).map(|(node, clear)| waiting(node, "host_aware", 1, *clear)).collect()
    };
    let counts = tell(&daemon, &["03-"]);
    assert_eq!(counts, [Counts { received: 6, stored: 6, ..Counts::default() }]);
    assert_eq!(proposals(&daemon), with_clear(&[0; 6]));
    // The message says `firing`; two of its alerts ended.
    let counts = tell(&daemon, &["04-"]);
    assert_eq!(counts, [Counts { received: 6, stored: 2, merged: 4, dead_lettered: 0 }]);
    assert_eq!(proposals(&daemon), with_clear(&[1, 1, 0, 0, 0, 0]));
    // The other four end; the first two are said to have ended once more.
    let counts = tell(&daemon, &["05-"]);
    assert_eq!(counts, [Counts { received: 6, stored: 4, merged: 2, dead_lettered: 0 }]);
    assert_eq!(proposals(&daemon), with_clear(&[1; 6]));
    daemon.stop();
}

#[test]
fn both_members_of_a_pair_tell_of_one_alert() {
    let site = fixtures::site();
    let daemon = Daemon::start(&site);
    let stored = |counts: &Counts| counts.stored;
    let counts = tell(&daemon, &["16-", "17-"]);
    assert_eq!(counts.iter().map(stored).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(proposals(&daemon), [waiting("p1-090", "reboot_vm", 1, 0)]);
    // Only one of them tells of the end.
    tell(&daemon, &["18-"]);
    assert_eq!(proposals(&daemon), [waiting("p1-090", "reboot_vm", 1, 1)]);
    // What the other one still believes is no news.
    tell(&daemon, &["17-"]);
    let alerts = daemon.rows("alerts", "");
    assert_eq!(alerts[0]["state"], "REFIRED_UNCONFIRMED", "{alerts:?}");
    daemon.stop();
}

#[test]
fn an_alert_that_flaps_has_two_episodes() {
    let site = fixtures::site();
    let daemon = Daemon::start(&site);
    tell(&daemon, &["10-", "11-", "12-", "13-"]);
    let alerts = daemon.rows("alerts", "");
    let spans: BTreeSet<(&str, &str)> = alerts
        .iter()
        .map(|row| (row["started_at"].as_str().unwrap(), row["resolved_at"].as_str().unwrap()))
        .map(|(start, end)| (&start[11..19], &end[11..19]))
        .collect();
    assert_eq!(spans, BTreeSet::from([("18:26:20", "18:27:00"), ("18:27:02", "18:27:04")]));
    assert_eq!(proposals(&daemon), [waiting("p1-061", "host_aware", 1, 1)]);
    daemon.stop();
}

#[test]
fn an_alert_that_is_inhibited_when_it_ends_stays_open() {
    let site = fixtures::site();
    let daemon = Daemon::start(&site);
    tell(&daemon, &["37-", "38-", "39-"]);
    // No message ever tells of the end of the inhibited one, so it must not be taken for cleared.
    assert_eq!(proposals(&daemon), [waiting("p1-170", "reboot_vm", 2, 1)]);
    daemon.stop();
}

#[test]
fn one_node_gets_one_proposal_with_everything_that_it_suffers_from() {
    let site = fixtures::site();
    let daemon = Daemon::start(&site);
    tell(&daemon, &["42-", "43-", "44-", "45-", "46-"]);
    // SlurmNodeDrained is off: known, and no reason to act.
    let sick = |clear: [usize; 3]| {
        vec![
            waiting("p1-180", "host_aware", 3, clear[0]),
            waiting("p1-181", "host_aware", 1, clear[1]),
            waiting("p1-182", "host_aware", 1, clear[2]),
        ]
    };
    assert_eq!(proposals(&daemon), sick([0, 0, 0]));
    tell(&daemon, &["47-", "48-", "49-", "50-"]);
    assert_eq!(proposals(&daemon), sick([3, 1, 1]));
    daemon.stop();
}

#[test]
fn a_storm_is_one_proposal_a_node() {
    let site = fixtures::site();
    let daemon = Daemon::start(&site);
    tell(&daemon, &["27-", "28-", "29-"]);
    let proposals = proposals(&daemon);
    assert_eq!(proposals.len(), 64);
    for (instance, state, mode, linked, clear) in proposals {
        let seen = (state.as_str(), mode.as_str(), linked, clear);
        assert_eq!(seen, ("PENDING_APPROVAL", "host_aware", 4, 0), "{instance}");
    }
    daemon.stop();
}

#[test]
fn texts_are_cut_and_never_mangled() {
    let site = fixtures::site();
    let daemon = Daemon::start(&site);
    tell(&daemon, &["20-"]);
    let alerts = daemon.rows("alerts", "");
    let body = Body::named(&fixtures::genuine(), "20-").alerts().remove(0);
    let row = &alerts[0];
    assert_eq!(row["labels"], body["labels"]);
    let mut cut = 0;
    for (name, whole) in body["annotations"].as_object().unwrap() {
        let (whole, kept) = (whole.as_str().unwrap(), row["annotations"][name].as_str().unwrap());
        assert!(whole.starts_with(kept) && kept.len() <= 16 * 1024, "{name}");
        cut += usize::from(kept.len() < whole.len());
    }
    assert!(cut > 0, "the message has annotations that are too long");
    daemon.stop();
}

#[test]
fn every_word_for_a_severity_is_one_of_three() {
    let site = fixtures::site();
    let daemon = Daemon::start(&site);
    tell(&daemon, &["25-"]);
    let rows = daemon.rows("alerts", "");
    let mapped: BTreeMap<&str, &str> = rows
        .iter()
        .map(|row| (row["labels"]["severity"].as_str().unwrap(), row["severity"].as_str().unwrap()))
        .collect();
    let expected = BTreeMap::from([
        ("1", "warning"),
        ("CRITICAL", "critical"),
        ("P1", "critical"),
        ("disaster", "critical"),
        ("error", "critical"),
        ("high", "critical"),
        ("informational", "info"),
        ("none", "info"),
        ("page", "critical"),
        ("sev2", "warning"),
        ("ticket", "warning"),
        ("Warn", "warning"),
    ]);
    assert_eq!(mapped, expected);
    daemon.stop();
}
