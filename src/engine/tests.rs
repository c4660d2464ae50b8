//! What is awkward to tell as a story: a start that decides without a configuration or repeats what it has just begun
//! itself, and more alerts than one remediation keeps links for.

mod abort;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::settings::{ClusterPolicy, Enforce};
use super::testing::{at, instance, report, rule, source};
use super::*;
use crate::domain::{
    Cluster, ClusterId, DeadLetterId, DriverId, Identity, InstanceId, Labels, Link, Mode, Principal, SourceId, State,
};

fn configured(edit: impl FnOnce(&mut Settings)) -> Input {
    let id = ClusterId::parse("train-a").unwrap();
    let mut settings = Settings::default();
    let (act, modes) = (DriverId::parse("fix").unwrap(), Mode::ALL.into());
    settings.clusters.insert(id.clone(), ClusterPolicy { act, modes, act_deadline: Duration::from_secs(600) });
    settings.limits.in_flight_percent = 100;
    edit(&mut settings);
    let instances = ["i-7", "i-8"].map(|name| instance(name, "train-a", name, &[])).to_vec();
    let clusters = vec![Cluster { name: id.to_string(), id }];
    Input::Configured(Box::new(Configured { settings: Arc::new(settings), clusters, instances }))
}

fn create(name: &str) -> Input {
    let command = Command::Create {
        cluster_id: ClusterId::parse("train-a").unwrap(),
        instance_id: InstanceId::parse(name).unwrap(),
        mode: Mode::RebootVm,
        reason: String::new(),
        alias: None,
        is_retry: false,
    };
    Input::Asked(Principal::local(), command)
}

/// The changes and the calls that these inputs lead to, one second after the other.
fn told(engine: &mut Engine, from: i64, inputs: Vec<Input>) -> (Vec<Change>, Vec<(CallVerb, String)>) {
    let (mut changes, mut calls) = (Vec::new(), Vec::new());
    for (second, input) in (from..).zip(inputs) {
        let step = engine.step(at(second), input, Past::default());
        changes.extend(step.changes);
        calls.extend(step.effects.into_iter().filter_map(|effect| match effect.kind {
            EffectKind::Call(call) => Some((call.verb, call.target.instance_id.to_string())),
            EffectKind::Look(_) | EffectKind::Notify(_) => None,
        }));
    }
    (changes, calls)
}

/// The `n`-th of many alerts about i-7: it fires since second 0, or ended at `end`.
fn report_of(n: usize, end: Option<i64>) -> Report {
    let labels = Labels::from_pairs([("alertname", "Heavy"), ("node", "i-7"), ("n", &n.to_string())]);
    Report { labels, ..report("Heavy", 0, end) }
}

#[test]
fn an_alert_beyond_the_links_that_are_kept_still_has_to_clear() {
    let main = SourceId::parse("main").unwrap();
    let with_rule = configured(|settings| {
        settings.sources.insert(SourceId::parse("main").unwrap(), source(Some("train-a")));
        settings.rules.extend([rule("r", &["alertname=\"Heavy\""], Some(Mode::HostAware), Enforce::Propose)]);
    });
    let say = |numbers: std::ops::Range<usize>, end| {
        Input::Delivered(Delivery::new(main.clone(), None).with_reports(numbers.map(|n| report_of(n, end))))
    };
    let mut engine = Engine::new([], 1);
    let clear_since = |engine: &Engine| {
        let record = engine.memory().remediations().values().next().unwrap();
        assert_eq!((record.links.len(), record.remediation.links_omitted), (Link::KEPT, 2));
        record.remediation.clear_since
    };
    told(&mut engine, 0, vec![with_rule, say(0..Link::KEPT + 2, None), Input::Tick]);
    told(&mut engine, 10, vec![say(0..Link::KEPT, Some(10)), say(0..Link::KEPT + 1, Some(10))]);
    let open: Vec<Identity> = engine.memory().alerts().keys().copied().collect();
    assert_eq!(open.len(), 1);
    assert_eq!(clear_since(&engine), None, "one still fires");
    told(&mut engine, 20, vec![say(0..Link::KEPT + 2, Some(10))]);
    assert_eq!(clear_since(&engine), Some(at(20)));
}

#[test]
fn what_a_step_has_read_is_packed_when_it_ends() {
    let (changes, _) = told(&mut Engine::new([], 1), 0, vec![configured(|_| {}), create("i-7"), create("i-8")]);
    for most in [0, 1] {
        let mut next = Engine::new(&changes, 2).with_open_rows(most);
        for (second, input) in (10..).zip([configured(|_| {}), Input::Started, create("i-7"), Input::Tick]) {
            next.step(at(second), input, Past::default());
            // Of each kind that there is: instances and remediations.
            assert_eq!(next.memory().open_rows(), 2 * most);
        }
    }
}

#[test]
fn nothing_is_due_before_the_configuration_is_known() {
    let slow = || configured(|settings| settings.policy.dispatch_delay = Duration::from_secs(60));
    let (changes, _) = told(&mut Engine::new([], 1), 0, vec![slow(), create("i-7")]);
    let mut next = Engine::new(&changes, 2);
    assert_eq!(next.next_deadline(), None, "its driver is not known yet");
    told(&mut next, 3600, vec![slow(), Input::Started]);
    assert!(next.next_deadline().is_some_and(|deadline| deadline <= at(3600)));
    let (_, calls) = told(&mut next, 3601, vec![Input::Tick]);
    assert_eq!(calls, [(CallVerb::Act, "i-7".to_owned())]);
}

#[test]
fn a_start_asks_about_what_it_inherited_and_not_about_what_it_began() {
    let places = |count| configured(move |settings| settings.limits.in_flight = count);
    let inputs = vec![places(1), create("i-7"), create("i-8"), Input::Tick];
    let (changes, calls) = told(&mut Engine::new([], 1), 0, inputs);
    assert_eq!(calls, [(CallVerb::Act, "i-7".to_owned())], "i-8 waits for a place");

    let mut next = Engine::new(&changes, 2);
    let (_, calls) = told(&mut next, 10, vec![places(2)]);
    assert_eq!(calls, [(CallVerb::Act, "i-8".to_owned())], "there are two places now");
    let (_, calls) = told(&mut next, 11, vec![Input::Started, Input::Tick]);
    assert_eq!(calls, [(CallVerb::Query, "i-7".to_owned())], "the act on i-8 is under way in this very process");
    let live: Vec<State> = next.memory().remediations().values().map(|record| record.remediation.state).collect();
    assert_eq!(live, [State::Running, State::Running]);
}

#[test]
fn what_a_sender_may_not_speak_of_is_one_letter_however_often_it_comes() {
    let main = SourceId::parse("main").unwrap();
    let mut engine = Engine::new([], 1);
    let with_source = configured(|settings| {
        settings.sources.insert(main.clone(), source(None));
    });
    told(&mut engine, 0, vec![with_source]);
    let about = |cluster: &str, n: &str| Report {
        labels: Labels::from_pairs([("alertname", "Heavy"), ("cluster", cluster), ("n", n)]),
        ..report("Heavy", 0, None)
    };
    let reports = [about("train-a", "1"), about("train-b", "2"), about("train-a", "3"), about("train-b", "2")];
    let unread = DeadReport { reason: "labels: none".to_owned(), raw: "{}".to_owned() };
    let say = |clusters: Option<&str>| {
        let clusters = clusters.map(|id| [ClusterId::parse(id).unwrap()].into());
        let mut delivery = Delivery::new(main.clone(), clusters).with_reports(reports.clone());
        delivery.dead.push(unread.clone());
        Input::Delivered(delivery)
    };
    let letters = |keys: &[PastKey]| {
        keys.iter().filter_map(|key| if let PastKey::DeadLetter(id) = key { Some(*id) } else { None }).collect()
    };
    let first = engine.step(at(1), say(Some("train-a")), Past::default());
    assert_eq!(first.reply, Reply::Received { stored: 2, merged: 0, dead_lettered: 3 });
    let (mut told_of, mut written) = (Vec::new(), Vec::new());
    for change in &first.changes {
        match change {
            Change::Alert(alert) => told_of.push(alert.labels.get("n").unwrap()),
            Change::DeadLetter(letter) => written.push(letter.id),
            _ => {}
        }
    }
    assert_eq!((told_of, written.len()), (vec!["1", "3"], 2));
    assert_eq!(written[0], DeadLetterId::of(&main, &unread.reason, &unread.raw));
    // What comes again asks for both letters, is told that they are there, and changes nothing.
    let keys = engine.wanted(at(2), &say(Some("train-a")));
    let dead_letters: BTreeSet<DeadLetterId> = letters(&keys);
    assert_eq!(dead_letters, written.iter().copied().collect());
    let again = engine.step(at(2), say(Some("train-a")), Past { dead_letters, ..Past::default() });
    assert_eq!(again.reply, Reply::Received { stored: 0, merged: 2, dead_lettered: 3 });
    assert!(!again.changes.iter().any(|change| matches!(change, Change::DeadLetter(_))));
    // Nobody asks for letters about what a sender may speak of.
    let keys: BTreeSet<DeadLetterId> = letters(&engine.wanted(at(3), &say(None)));
    assert_eq!(keys, [written[0]].into());
}
