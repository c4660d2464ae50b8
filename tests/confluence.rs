//! In whatever order the messages of one Alertmanager pair arrive, the same alerts end up open and the same nodes end up
//! with a proposal, once every alert's last true state has been said again (SAFETY I32).
//!
//! A seed makes a true history: alerts that fire and end, several times, on a few nodes. From it come the messages that a
//! pair would send: first firings, reminders, ends, false ends while Prometheus cannot be reached, each by both peers, who
//! know slightly other times. Each history is told in several orders, every one of which the pair could cause by retrying
//! late: mostly in time, then with more and more delay, then all of them shuffled. Every message comes twice in a row.
//!
//! The messages become a story (`story/`), so a failure prints something that can be read, cut down and kept as a
//! scenario; its harness checks after every line that at most one remediation per node is alive, that only what is clear
//! resolved itself, and that memory is the fold of the rows.

mod dice;
mod story;

use std::fmt::Write as _;

use dice::{Dice, number};

/// How many histories are tried; `REMEDYD_TEST_SEEDS` replaces it, to look longer.
const HISTORIES: u64 = 40;
/// Each history in this many orders.
const ORDERS: u64 = 4;

const REFIRE_HOLD: u64 = 600;
const COMPACT_TTL: u64 = 300;
/// The longest `for` of a rule below.
const HOLD_FOR: u64 = 60;

/// The kinds of alerts, each with its rule, and what it calls for.
const KINDS: [(&str, &str, Option<&str>); 5] = [
    ("Light", "mode=reboot_vm", Some("reboot_vm")),
    ("Late", "mode=vm_only for=60s", Some("vm_only")),
    ("Heavy", "mode=host_aware", Some("host_aware")),
    ("Watched", "mode=host_aware enforce=shadow", None),
    ("Ignored", "enforce=off", None),
];

#[test]
fn every_order_of_a_pairs_messages_ends_alike() {
    let histories = number("REMEDYD_TEST_SEEDS", HISTORIES);
    for seed in 0..histories {
        let history = History::new(seed);
        for order in 0..ORDERS {
            // The last order also with a restart of the daemon after every line.
            for restarts in [false, true].into_iter().take(if order + 1 == ORDERS && seed % 8 == 0 { 2 } else { 1 }) {
                let story = history.story(order);
                if let Err(why) = story::tell(&story, restarts) {
                    panic!("seed {seed}, order {order}, restarts {restarts}: {why}\n\n{story}");
                }
            }
        }
    }
}

#[test]
fn histories_are_worth_trying() {
    let (mut late, mut open, mut episodes) = (0, 0, 0);
    for seed in 0..HISTORIES {
        let history = History::new(seed);
        late += usize::from(history.story(ORDERS - 1) != history.story(0));
        open += history.alerts.iter().filter(|alert| alert.fires()).count();
        episodes += history.alerts.iter().map(|alert| alert.episodes.len()).sum::<usize>();
    }
    assert!(late > 30 && open > 50 && episodes > 200, "{late} {open} {episodes}");
}

/// What truly happened, in seconds.
struct History {
    seed: u64,
    alerts: Vec<Alert>,
    messages: Vec<Message>,
}

struct Alert {
    name: String,
    node: String,
    wants: Option<&'static str>,
    /// Start, and end where it ended; in order.
    episodes: Vec<(u64, Option<u64>)>,
}

/// One alert as one peer reports it, at the earliest at `sent`.
#[derive(Clone)]
struct Message {
    sent: u64,
    alert: usize,
    start: u64,
    end: Option<u64>,
}

impl Alert {
    fn fires(&self) -> bool {
        self.episodes.last().is_some_and(|(_, end)| end.is_none())
    }

    fn line(&self, start: u64, end: Option<u64>) -> String {
        let Self { name, node, .. } = self;
        match end {
            None => format!("fires {name} node={node} start={start}s"),
            Some(end) => format!("resolves {name} node={node} start={start}s end={end}s"),
        }
    }
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let mut alerts = Vec::new();
        for node in 0..dice.upto(1, 3) {
            for _ in 0..dice.upto(1, 4) {
                let (kind, _, wants) = KINDS[dice.upto(0, KINDS.len() as u64 - 1) as usize];
                let name = format!("{kind}{}", alerts.len());
                let episodes = episodes(&mut dice);
                alerts.push(Alert { name, node: format!("i-{node}"), wants, episodes });
            }
        }
        let mut messages = Vec::new();
        for _peer in 0..dice.upto(1, 2) {
            let skew = dice.upto(0, 4);
            for (n, alert) in alerts.iter().enumerate() {
                for (start, end) in &alert.episodes {
                    say_episode(&mut dice, &mut messages, n, start + skew, end.map(|end| end + skew));
                }
            }
        }
        Self { seed, alerts, messages }
    }

    /// The history as it arrives; a higher `order` is wilder.
    fn story(&self, order: u64) -> String {
        let mut dice = Dice(self.seed ^ (order + 1) << 32);
        let mut arrivals: Vec<(u64, u64, &Message)> = Vec::new();
        let last = self.messages.iter().map(|message| message.sent).max().unwrap_or(0);
        for message in &self.messages {
            for _copy in 0..1 + u64::from(dice.one_in(4)) {
                let late = match order {
                    0 => 0,
                    1 => dice.upto(0, 20),
                    2 if dice.one_in(2) => dice.upto(0, 3600),
                    2 => 0,
                    _ => last - message.sent,
                };
                arrivals.push((message.sent + late, dice.next(), message));
            }
        }
        // Equal times in an order of their own.
        arrivals.sort_by_key(|(at, tie, _)| (*at, *tie));

        let mut story = self.setting();
        let mut arrivals = arrivals.into_iter().peekable();
        let mut now = 0;
        while let Some((at, _, message)) = arrivals.next() {
            let mut line = self.alerts[message.alert].line(message.start, message.end);
            let mut named = vec![message.alert];
            // One message may bring several alerts, each of them once.
            while let Some((_, _, next)) =
                arrivals.next_if(|(other, _, next)| *other == at && !named.contains(&next.alert) && dice.one_in(2))
            {
                named.push(next.alert);
                line = format!("{line} & {}", self.alerts[next.alert].line(next.start, next.end));
            }
            writeln!(story, "at {at}s {line}\nagain").unwrap();
            now = at;
        }
        self.say_the_truth(&mut story, now + 1);
        self.say_the_truth(&mut story, now + 1 + REFIRE_HOLD);
        self.expect(&mut story, now + 1 + REFIRE_HOLD + COMPACT_TTL.max(HOLD_FOR) + 1);
        story
    }

    fn setting(&self) -> String {
        let mut text = format!("policy refire_hold={REFIRE_HOLD}s compact_ttl={COMPACT_TTL}s proposal_ttl=90d\n");
        text.push_str("cluster train-a\ninstance i-0\ninstance i-1\ninstance i-2\n");
        for (kind, rule, _) in KINDS {
            writeln!(text, "rule {} match=alertname=~\"{kind}.*\" {rule}", kind.to_lowercase()).unwrap();
        }
        text
    }

    fn say_the_truth(&self, story: &mut String, at: u64) {
        for alert in &self.alerts {
            let (start, end) = alert.episodes.last().expect("every alert has an episode");
            // The end as the slower peer knows it: the faster one's may be before the slower one's start.
            writeln!(story, "at {at}s {}\nagain", alert.line(*start, end.map(|end| end + 4))).unwrap();
        }
    }

    fn expect(&self, story: &mut String, at: u64) {
        writeln!(story, "at {at}s").unwrap();
        for alert in &self.alerts {
            let state = if alert.fires() { "FIRING" } else { "nothing" };
            writeln!(story, "expect open {} {state}", alert.name).unwrap();
        }
        for node in ["i-0", "i-1", "i-2"] {
            let of_node = || self.alerts.iter().filter(|alert| alert.node == node && alert.fires());
            let wanted: Vec<&str> = of_node().filter_map(|alert| alert.wants).collect();
            if wanted.is_empty() {
                writeln!(story, "expect {node} nothing").unwrap();
                continue;
            }
            write!(story, "expect {node} PENDING_APPROVAL open={}", wanted.len()).unwrap();
            wanted.iter().for_each(|mode| write!(story, " at_least={mode}").unwrap());
            story.push('\n');
        }
    }
}

fn episodes(dice: &mut Dice) -> Vec<(u64, Option<u64>)> {
    let mut start = dice.upto(0, 600);
    let mut episodes = Vec::new();
    let count = dice.upto(1, 4);
    for n in 1..=count {
        let lasts = if dice.one_in(3) { dice.upto(10, 60) } else { dice.upto(60, 1800) };
        if n == count && dice.one_in(2) {
            episodes.push((start, None));
            break;
        }
        episodes.push((start, Some(start + lasts)));
        start += lasts + if dice.one_in(3) { dice.upto(1, 30) } else { dice.upto(30, 1200) };
    }
    episodes
}

/// What one peer sends about one episode.
fn say_episode(dice: &mut Dice, messages: &mut Vec<Message>, alert: usize, start: u64, end: Option<u64>) {
    let mut say = |sent: u64, end: Option<u64>| messages.push(Message { sent, alert, start, end });
    let mut at = start + dice.upto(0, 5);
    let until = end.unwrap_or(start + 1500);
    // An alert that ends inside `group_wait` is never sent firing.
    while at < until {
        say(at, None);
        // Prometheus cannot be reached: Alertmanager ends the alert by itself, and learns better.
        if dice.one_in(6) && at + 250 < until {
            say(at + 240, Some(at + 240));
            say(at + 245, None);
        }
        at += dice.upto(300, 900);
    }
    if let Some(end) = end {
        say(end + dice.upto(0, 300), Some(end));
        if dice.one_in(3) {
            // Other alerts of the group keep it alive; it is sent as ended once more.
            say(end + dice.upto(300, 600), Some(end));
        }
    }
}
