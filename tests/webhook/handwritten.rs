//! What becomes of each message that no Alertmanager would send: the answer, and why it is right.
//!
//! Each is posted under a source of its own, so that none leans on another; only h11a to h11c share one, because they are
//! about their order.

use serde_json::Value;

use super::Counts;
use crate::support::daemon::Daemon;
use crate::support::fixtures::{self, Body, post};
use crate::support::site::MAIN;

struct Case {
    /// How the file's name starts.
    name: &'static str,
    status: u16,
    stored: u64,
    merged: u64,
    dead_lettered: u64,
    why: &'static str,
}

const fn taken(name: &'static str, stored: u64, merged: u64, dead_lettered: u64, why: &'static str) -> Case {
    Case { name, status: 200, stored, merged, dead_lettered, why }
}

const fn refused(name: &'static str, why: &'static str) -> Case {
    Case { name, status: 400, stored: 0, merged: 0, dead_lettered: 0, why }
}

const CASES: [Case; 32] = [
    refused("h01-", "it is cut off, and half an alert may mean anything"),
    refused("h02-", "nothing is no JSON"),
    taken("h03-", 1, 0, 0, "the shape fits, whatever the version says"),
    taken("h04-", 1, 0, 0, "the same, and nobody needs the version to be a string"),
    refused("h05-", "without a list of alerts it is no message"),
    taken("h06-", 0, 0, 0, "an empty list is a message about nothing"),
    taken("h07-", 1, 0, 0, "the labels are the identity, the fingerprint is a hint"),
    taken("h08-", 0, 0, 1, "a state that we do not know must not be guessed"),
    taken("h09-", 2, 0, 2, "`yesterday` and `` are no times; an offset and nanoseconds are fine"),
    taken("h10-", 0, 0, 1, "labels are identity: a number and its text would be two alerts"),
    taken("h11a", 1, 0, 0, "an end that comes first is kept as history"),
    taken("h11b", 1, 0, 0, "its firing, late, is kept and not believed"),
    taken("h11c", 1, 0, 0, "a start after the end is news"),
    taken("h12-", 1, 1, 0, "one alert, said twice"),
    taken("h13-", 2, 0, 0, "two label sets are two alerts, whatever the fingerprint says"),
    taken("h14-", 1, 0, 0, "a byte order mark carries nothing"),
    refused("h15-", "JSON is UTF-8, and a host name must not be guessed"),
    taken("h16-", 0, 0, 1, "an end before its start is a contradiction"),
    taken("h17-", 1, 0, 0, "a start that is still to come is taken as now"),
    taken("h18-", 1, 0, 0, "an end of something never seen is kept as history"),
    taken("h19-", 1, 0, 0, "each alert says for itself whether it fires"),
    taken("h20-", 3, 0, 0, "hostile names are data: kept, and joined to nothing"),
    taken("h21-", 1, 0, 0, "two clusters have this host: kept, and joined to neither"),
    taken("h22-", 0, 0, 1, "a list of lists is no alert, however deep"),
    taken("h23-", 1, 0, 0, "of a repeated key the last value counts, as everywhere"),
    taken("h24-", 1, 0, 0, "fields that we do not know are other versions'"),
    taken("h25-", 1, 0, 0, "Grafana's shape fits"),
    taken("h26-", 1, 0, 0, "no data is an alert like any other; a rule must ask for it"),
    taken("h27-", 1, 0, 0, "about a cluster, not about a node"),
    taken("h28-", 1, 0, 0, "a list of nodes is not taken apart"),
    taken("h29-", 1, 0, 0, "about nothing in particular"),
    taken("h30-", 5, 0, 0, "the codes stand in the texts"),
];

fn source(name: &str) -> &str {
    &name[..3]
}

struct World<'a> {
    daemon: Daemon<'a>,
}

impl World<'_> {
    fn alerts(&self, name: &str) -> Vec<Value> {
        let rows = self.daemon.rows("alerts", "").into_iter();
        rows.filter(|row| row["source"] == source(name)).collect()
    }

    /// The one alert of a message.
    fn alert(&self, name: &str) -> Value {
        let [alert] = &self.alerts(name)[..] else { panic!("{name} brought one alert: {:?}", self.alerts(name)) };
        alert.clone()
    }

    fn reasons(&self, name: &str) -> Vec<String> {
        let rows = self.daemon.rows("dead-letters", "").into_iter();
        let mut reasons: Vec<String> = rows
            .filter(|row| row["source"] == source(name))
            .map(|row| row["reason"].as_str().unwrap().to_owned())
            .collect();
        reasons.sort();
        reasons
    }
}

#[test]
fn messages_that_none_would_send_are_taken_as_far_as_they_make_sense() {
    let site = fixtures::site();
    let sources = CASES.map(|case| source(case.name));
    let mut sources = sources.to_vec();
    sources.dedup();
    for source in sources {
        let labels = "cluster_labels = [\"cluster\", \"cluster_name\"]";
        site.append(MAIN, &format!("[sources.{source}]\n{labels}"));
    }
    let world = World { daemon: Daemon::start(&site) };
    let bodies = fixtures::handwritten();
    assert_eq!(bodies.len(), CASES.len(), "every file has its case");
    for case in &CASES {
        let body = Body::named(&bodies, case.name);
        let answer = post(world.daemon.client(), source(case.name), &body.bytes);
        let Case { stored, merged, dead_lettered, .. } = *case;
        let counts = Counts { received: stored + merged + dead_lettered, stored, merged, dead_lettered };
        assert_eq!(
            (answer.status, Counts::of(&answer)),
            (case.status, counts),
            "{}: {}: {answer}",
            body.name,
            case.why
        );
        if case.status == 400 {
            // It is told what is wrong, and nothing of it is kept.
            let problem: Value = serde_json::from_str(&answer.body).unwrap();
            assert!(problem["detail"].as_str().unwrap().contains("nothing of "), "{answer}");
            assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
            assert!(world.alerts(case.name).is_empty() && world.reasons(case.name).is_empty(), "{}", body.name);
        }
    }
    what_is_kept_says_what_it_is(&world);
    world.daemon.stop();
}

fn what_is_kept_says_what_it_is(world: &World<'_>) {
    for name in ["h03-", "h04-", "h07-", "h14-", "h19-", "h23-", "h24-"] {
        let alert = world.alert(name);
        assert_eq!((&alert["state"], &alert["instance_id"]), (&"FIRING".into(), &"p1-017".into()), "{name}");
    }
    assert_eq!(world.reasons("h08-"), ["status: `suppressed` is neither firing nor resolved"]);
    let reasons = world.reasons("h09-");
    assert!(reasons.len() == 2 && reasons.iter().all(|reason| reason.starts_with("startsAt: ")), "{reasons:?}");
    let reasons = world.reasons("h10-");
    assert!(reasons.len() == 1 && reasons[0].starts_with("labels: the value of `"), "{reasons:?}");
    let reasons = world.reasons("h16-");
    assert!(reasons.len() == 1 && reasons[0].starts_with("endsAt: "), "{reasons:?}");

    let mut episodes: Vec<(String, String)> = world
        .alerts("h11a")
        .iter()
        .map(|row| (row["started_at"].as_str().unwrap().to_owned(), row["state"].as_str().unwrap().to_owned()))
        .collect();
    episodes.sort();
    let states: Vec<&str> = episodes.iter().map(|(_, state)| state.as_str()).collect();
    assert_eq!(states, ["RESOLVED", "FIRING"], "{episodes:?}");

    let hosts: Vec<Value> = world.alerts("h13-").iter().map(|row| row["instance_id"].clone()).collect();
    assert!(hosts.contains(&"p1-017".into()) && hosts.contains(&"p1-018".into()), "{hosts:?}");
    let future = world.alert("h17-");
    assert!(future["started_at"].as_str() <= future["last_seen_at"].as_str(), "{future}");
    let history = world.alert("h18-");
    assert_eq!(history["state"], "RESOLVED", "{history}");
    for name in ["h20-", "h27-", "h28-", "h29-"] {
        for alert in world.alerts(name) {
            let reason = alert["unjoined_reason"].as_str().unwrap_or_else(|| panic!("{name} joined: {alert}"));
            assert!(reason.chars().count() <= 401, "{name}: {reason}");
        }
    }
    for name in ["h21-", "h25-", "h26-"] {
        let alert = world.alert(name);
        let reason = alert["unjoined_reason"].as_str().unwrap_or_else(|| panic!("{name} joined: {alert}"));
        assert!(reason.starts_with("ambiguous: "), "{name}: {reason}");
    }
    let joined: Vec<(String, Value)> = world
        .alerts("h30-")
        .iter()
        .map(|row| (row["labels"]["instance"].as_str().unwrap().to_owned(), row["instance_id"].clone()))
        .collect();
    for (host, instance) in joined {
        // gpu-node-017 is known in two clusters, the others in one.
        let expected = if host == "gpu-node-017:9400" { Value::Null } else { format!("p1-{}", &host[9..12]).into() };
        assert_eq!(instance, expected, "{host}");
    }
}
