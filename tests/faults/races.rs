//! Approve, reject, cancel, the alert that clears and the proposal that expires, all at once: one of them wins, and every
//! other is told in Together's dialect what the winner made of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use serde_json::{Value, json};

use crate::dice::Dice;
use crate::support::client::{Answer, Client};
use crate::support::daemon::{Daemon, together};
use crate::support::posts::{HEAVY, alert, message, resolved};
use crate::support::site::{MAIN, Site};
use crate::support::{SOON, eventually, now};
use remedyd::domain::Timestamp;

const RACES: usize = 2000;
/// As many proposals open at once.
const AT_ONCE: usize = 50;
/// So many races are run side by side.
const SIDE_BY_SIDE: usize = 3;
/// One batch in so many is raced for when its time is nearly over.
const LATE: usize = 5;
/// How much before its end.
const NEARLY: Duration = Duration::from_millis(30);
/// How long a proposal waits.
const TTL: &str = "1s";
/// People, each with a verb and its body.
const PEOPLE: [&str; 3] = ["approve", "reject", "cancel"];

/// What one person was told.
struct Told {
    verb: &'static str,
    answer: Answer,
}

fn site() -> Site {
    let site = Site::webhook_only();
    let mut nodes = String::new();
    for n in 0..RACES {
        let _ = writeln!(nodes, "[instances.r-{n}]\ncluster = \"train-a\"\nhost = \"host-{n}\"");
    }
    site.write("config/inventory.d/train-a.toml", &nodes);
    site.policy(&[("compact_ttl", "0s"), ("proposal_ttl", TTL)]);
    site.change(MAIN, "in_flight = 3", &format!("in_flight = {RACES}"));
    site.change(MAIN, "in_flight_percent = 5", "in_flight_percent = 100");
    site
}

/// Everybody goes for the same proposal at the same moment, give or take what the dice say.
fn race(client: &Client, row: &Value, began: Timestamp, dice: &mut Dice) -> Vec<Told> {
    let start = Arc::new(Barrier::new(PEOPLE.len() + 1));
    let mut threads = Vec::new();
    for verb in PEOPLE {
        let (client, start, path) = (client.clone(), Arc::clone(&start), format!("{}/{verb}", together(row)));
        let late = Duration::from_micros(dice.upto(0, 3) * 500);
        threads.push(std::thread::spawn(move || {
            start.wait();
            std::thread::park_timeout(late);
            Told { verb, answer: client.post(&path, &json!({"comment": "race"})) }
        }));
    }
    let late = Duration::from_micros(dice.upto(0, 3) * 500);
    start.wait();
    std::thread::park_timeout(late);
    let cleared = resolved(HEAVY, row["instance_id"].as_str().unwrap(), began, now());
    client.post("/api/v1/webhooks/alertmanager", &cleared).json();
    threads.into_iter().map(|thread| thread.join().unwrap()).collect()
}

/// Who won, after every answer was held against the history.
fn winner(daemon: &Daemon<'_>, row: &Value, told: &[Told]) -> String {
    let id = row["id"].as_str().unwrap();
    let history = daemon.get(&format!("/api/v1/remediations/{id}/history")).json()["history"].clone();
    let steps = history.as_array().unwrap();
    let text = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
    // One way out of every state, and each step begins where the last one ended.
    let ways: Vec<&Value> = steps.iter().filter(|step| step["from"] == "PENDING_APPROVAL").collect();
    let [first] = ways[..] else { panic!("{} ways out: {history}", ways.len()) };
    assert!(steps.windows(2).all(|pair| pair[1]["from"] == pair[0]["to"]), "{history}");
    for Told { verb, answer } in told {
        let wins = steps.iter().filter(|step| step["verb"] == *verb).count();
        if answer.is_success() {
            assert_eq!(wins, 1, "{verb} was answered {answer}, and its history is {history}");
            continue;
        }
        assert_eq!((wins, answer.status), (0, 400), "{verb} was answered {answer}: {history}");
        let refusal: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((&refusal["code"], &refusal["error"]["code"]), (&json!(9), &json!("FAILED_PRECONDITION")));
        let message = text(&refusal, "message");
        let named = steps.iter().skip(1).any(|step| message.contains(&format!("is {};", text(step, "to"))));
        assert!(named && message.contains(id), "{verb} is told `{message}`: {history}");
    }
    text(first, "verb")
}

/// Waits until the time of a proposal is nearly over.
fn wait_for_the_end_of(row: &Value) {
    let Some(end) = row["due"]["at"].as_str() else { return };
    let nearly = Timestamp::parse(end).unwrap().minus(NEARLY);
    eventually(SOON, "a proposal's time is nearly over", || if now() >= nearly { Ok(()) } else { Err(now()) });
}

#[test]
fn two_thousand_races_have_one_winner_each() {
    let site = site();
    let daemon = Daemon::start(&site);
    let mut dice = Dice(crate::seed());
    let mut winners: BTreeMap<String, usize> = BTreeMap::new();
    for batch in 0..RACES / AT_ONCE {
        let began = now().minus(Duration::from_secs(1));
        let nodes: Vec<String> = (batch * AT_ONCE..(batch + 1) * AT_ONCE).map(|n| format!("r-{n}")).collect();
        let alerts: Vec<Value> = nodes.iter().map(|node| alert(HEAVY, node, began, None)).collect();
        daemon.deliver(&message(&alerts));
        // The newest ones: on a busy machine some may have ended already.
        let page = daemon.get(&format!("/api/v1/remediations?page_size={AT_ONCE}")).json();
        let rows = page["remediations"].as_array().unwrap();
        let found = nodes.iter().filter_map(|node| rows.iter().find(|row| row["instance_id"] == **node));
        let opened: Vec<&Value> = found.collect();
        assert_eq!(opened.len(), AT_ONCE, "a proposal each");
        if batch % LATE == 0 {
            wait_for_the_end_of(opened[0]);
        }
        let raced: Vec<(&Value, Vec<Told>)> = std::thread::scope(|scope| {
            let side_by_side = opened.chunks(AT_ONCE.div_ceil(SIDE_BY_SIDE)).map(|part| {
                let (client, mut dice) = (daemon.client(), Dice(dice.next()));
                let all =
                    move || part.iter().map(|row| (*row, race(client, row, began, &mut dice))).collect::<Vec<_>>();
                scope.spawn(all)
            });
            let threads: Vec<_> = side_by_side.collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        for (row, told) in raced {
            *winners.entry(winner(&daemon, row, &told)).or_default() += 1;
        }
    }
    println!("figures: {RACES} races, won by {winners:?}");
    assert_eq!(winners.values().sum::<usize>(), RACES);
    for verb in ["approve", "reject", "cancel", "resolve", "expire"] {
        assert!(winners.contains_key(verb), "`{verb}` never won: {winners:?}");
    }
    daemon.stop();
}
