//! Thousands of requests that are almost right, to every route of the table: mutated bodies, paths, parameters, page
//! tokens, methods and heads, from a seed.
//!
//! Every one gets an answer, and none a 5xx that is our own mistake; what was refused has written nothing; and at the end
//! the daemon is ready, what it shows is what it showed, and a restart finds the same.

mod dice;
mod support;

use dice::{Dice, number};
use remedyd::http::routes::ROUTES;
use serde_json::{Value, json};
use support::client::Answer;
use support::daemon::{Daemon, End};
use support::fixtures;
use support::posts::{self, HEAVY, LIGHT};
use support::site::Site;

/// How many requests are sent; `REMEDYD_TEST_REQUESTS` replaces it, to look longer.
const REQUESTS: u64 = 4000;
/// `REMEDYD_TEST_SEED` replaces it.
const SEED: u64 = 1;

/// Names that exist, names that do not, and things that are no names.
const SEGMENTS: [&str; 18] = [
    "-", "train-a", "i-1", "i-7", "nobody", "", ".", "..", "%2e%2e", "%2F", "%00", "%ff%fe", "%", "%zz", "a b", "+",
    "main", "\u{202e}",
];
const METHODS: [&str; 10] = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW", "get"];
const PARAMETERS: [&str; 14] = [
    "page_size",
    "page_token",
    "state",
    "state[]",
    "mode",
    "trigger",
    "order_by",
    "cluster_id",
    "instance_id",
    "joined",
    "severity",
    "remediation_id",
    "ended",
    "nothing",
];
const VALUES: [&str; 22] = [
    "",
    "0",
    "-1",
    "1",
    "1000",
    "99999999999999999999",
    "1e3",
    "NaN",
    "true",
    "PENDING",
    "PENDING,RUNNING,",
    "FIRING",
    "critical",
    "train-a",
    "i-1",
    "create_time desc",
    "create_time%20desc%20desc",
    "%00",
    "%ff",
    "%",
    "REMEDIATION_MODE_VM_ONLY",
    "AQ",
];
const SNIPPETS: [&str; 16] = [
    "null",
    "[]",
    "{}",
    "\"\"",
    "-1",
    "1e999",
    "\"\\ud800\"",
    "\\u0000",
    "[[[[",
    "}}}}",
    "\u{0}",
    "\u{feff}",
    "\"9999-12-31T23:59:60Z\"",
    "\"-262144-01-01T00:00:00Z\"",
    "\"0001-01-01T00:00:00Z\"",
    "true",
];
const HEADS: [&str; 12] = [
    "Authorization: Bearer x",
    "Authorization: Basic \u{7f}",
    "X-Request-Id: \u{e9}\u{e9}",
    "X-Stainless-Retry-Count: -1",
    "X-Stainless-Retry-Count: 2",
    "Content-Encoding: gzip",
    "Content-Type: multipart/form-data",
    "Expect: 100-continue",
    "Origin: http://elsewhere.example",
    "Transfer-Encoding: chunked",
    "Content-Length: 5",
    "Bad Header: x",
];

struct Attack<'a> {
    site: &'a Site,
    daemon: &'a Daemon<'a>,
    dice: Dice,
    /// Ids that exist, of remediations and holds.
    ids: Vec<String>,
    /// Page tokens that were given out.
    tokens: Vec<String>,
    bodies: Vec<Vec<u8>>,
}

impl Attack<'_> {
    fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.dice.upto(0, from.len() as u64 - 1) as usize]
    }

    fn path(&mut self, pattern: &str) -> String {
        let mut segments = Vec::new();
        for segment in pattern.split('/').skip(1) {
            let right = match segment {
                "{cluster}" => "train-a".to_owned(),
                "{instance}" => self.pick(&["i-1", "i-7", "-"]).to_owned(),
                "{source}" => "main".to_owned(),
                "{id}" => self.ids[self.dice.upto(0, self.ids.len() as u64 - 1) as usize].clone(),
                fixed => fixed.to_owned(),
            };
            if self.dice.one_in(12) {
                segments.push(self.pick(&SEGMENTS).to_owned());
            } else {
                segments.push(right);
            }
        }
        let mut path = format!("/{}", segments.join("/"));
        if self.dice.one_in(40) {
            path.push_str(&"/x".repeat(self.dice.upto(1, 9000) as usize));
        }
        let mut sign = '?';
        while self.dice.one_in(2) && path.len() < 60_000 {
            let name = self.pick(&PARAMETERS);
            let value = match self.dice.upto(0, 9) {
                0 => "x".repeat(self.dice.upto(1, 20_000) as usize),
                1..=3 if !self.tokens.is_empty() => self.token(),
                _ => self.pick(&VALUES).to_owned(),
            };
            path.push_str(&format!("{sign}{name}={value}"));
            sign = '&';
        }
        path.replace(' ', "%20")
    }

    /// A page token, whole or with one letter changed.
    fn token(&mut self) -> String {
        let mut token = self.tokens[self.dice.upto(0, self.tokens.len() as u64 - 1) as usize].clone();
        if self.dice.one_in(2) {
            let at = self.dice.upto(0, token.len() as u64 - 1) as usize;
            token.replace_range(at..=at, "A");
        }
        token
    }

    fn body(&mut self) -> Vec<u8> {
        let mut body = self.bodies[self.dice.upto(0, self.bodies.len() as u64 - 1) as usize].clone();
        for _ in 0..self.dice.upto(0, 4) {
            let at = self.dice.upto(0, body.len() as u64) as usize;
            match self.dice.upto(0, 5) {
                0 => body.truncate(at),
                1 if at < body.len() => body[at] = self.dice.next() as u8,
                2 => {
                    let snippet = self.pick(&SNIPPETS);
                    body.splice(at..at, snippet.bytes());
                }
                3 => {
                    let end = (at + self.dice.upto(1, 64) as usize).min(body.len());
                    body.drain(at..end);
                }
                4 => {
                    let end = (at + self.dice.upto(1, 512) as usize).min(body.len());
                    let again = body[at..end].to_vec();
                    body.splice(at..at, again);
                }
                // A whole value becomes another.
                _ => {
                    let Some(colon) = body[at..].iter().position(|byte| *byte == b':').map(|found| found + at) else {
                        continue;
                    };
                    let end = body[colon..].iter().position(|byte| b",}".contains(byte)).map(|found| found + colon);
                    let snippet = self.pick(&SNIPPETS);
                    body.splice(colon + 1..end.unwrap_or(body.len()), snippet.bytes());
                }
            }
        }
        body
    }

    fn request(&mut self) -> Vec<u8> {
        let route = &ROUTES[self.dice.upto(0, ROUTES.len() as u64 - 1) as usize];
        let method = if self.dice.one_in(6) { self.pick(&METHODS) } else { route.method };
        let path = self.path(route.path);
        let body = if method == "GET" && !self.dice.one_in(8) { Vec::new() } else { self.body() };
        let version = if self.dice.one_in(20) { "HTTP/1.1" } else { "HTTP/1.0" };
        let mut head = format!("{method} {path} {version}\r\nHost: localhost\r\nConnection: close\r\n");
        if self.dice.one_in(10) {
            head.push_str(self.pick(&HEADS));
            head.push_str("\r\n");
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        [head.as_bytes(), &body].concat()
    }

    fn one(&mut self, n: u64, seed: u64) -> Answer {
        let request = self.request();
        let shown = || {
            let text = String::from_utf8_lossy(&request);
            format!("request {n} of seed {seed}: {}", text.chars().take(2000).collect::<String>())
        };
        let before = self.site.journal();
        let answer = self.daemon.client().send(&request);
        let answer = answer.unwrap_or_else(|error| panic!("no answer ({error}): {}", shown()));
        assert!([501, 503].contains(&answer.status) || answer.status < 500, "{answer}: {}", shown());
        if answer.status >= 500 {
            assert!(answer.body.contains("detail"), "without a reason: {answer}: {}", shown());
        }
        if answer.status >= 400 {
            assert!(self.site.journal() == before, "refused with {answer}, and written: {}", shown());
            assert!(answer.body.len() < 20_000, "a refusal that is a book: {}", shown());
        }
        answer
    }
}

/// A token of every list that has more than one page.
fn tokens(daemon: &Daemon<'_>) -> Vec<String> {
    let lists = ["/api/v1/alerts", "/api/v1/instances", "/api/v1/remediations", "/api/v1/dead-letters"];
    let together = "/v1/compute/clusters/train-a/instances/-/remediations";
    let pages = lists.into_iter().chain([together]).map(|list| daemon.get(&format!("{list}?page_size=1")).json());
    pages
        .filter_map(|page| page["next_page_token"].as_str().map(str::to_owned))
        .filter(|token| !token.is_empty())
        .collect()
}

fn pictures(daemon: &Daemon<'_>) -> Vec<Value> {
    let lists = ["alerts", "dead-letters", "remediations", "holds", "instances"];
    lists.map(|list| daemon.get(&format!("/api/v1/{list}?page_size=1000")).json()).into()
}

#[test]
fn no_request_is_answered_with_a_crash() {
    let site = Site::webhook_only();
    // What is approved begins long after the end, so that only requests write.
    site.policy(&[("dispatch_delay", "1h")]);
    let mut daemon = Daemon::start(&site);
    for (name, node) in [(HEAVY, "gpu-node-7"), (LIGHT, "gpu-node-6"), (LIGHT, "gpu-node-5")] {
        daemon.deliver(&posts::firing(name, node, support::now()));
    }
    daemon.deliver(&json!({"alerts": [1, 2]}));
    let hold = daemon.post("/api/v1/holds", &json!({"instance_id": "i-3", "reason": "mine", "for": "1h"})).json();
    let mut ids: Vec<String> = daemon.remediations().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    ids.extend([hold["id"].as_str().unwrap().to_owned(), uuid::Uuid::nil().to_string(), "mine".to_owned()]);

    let (seed, requests) = (number("REMEDYD_TEST_SEED", SEED), number("REMEDYD_TEST_REQUESTS", REQUESTS));
    let mut bodies: Vec<Vec<u8>> = fixtures::handwritten().into_iter().map(|body| body.bytes).collect();
    bodies.extend(fixtures::genuine().into_iter().map(|body| body.bytes).filter(|bytes| bytes.len() < 10_000));
    for command in [
        json!({"mode": "REMEDIATION_MODE_REBOOT_VM", "reason": "noise"}),
        json!({"comment": "yes", "mode": "REMEDIATION_MODE_VM_ONLY"}),
        json!({"instance_id": "i-2", "reason": "hands off", "for": "30m"}),
        json!({}),
    ] {
        bodies.extend(vec![command.to_string().into_bytes(); 12]);
    }
    let tokens = tokens(&daemon);
    assert_eq!(tokens.len(), 5);
    let mut statuses = std::collections::BTreeMap::new();
    let mut attack = Attack { site: &site, daemon: &daemon, dice: Dice(seed), ids, tokens, bodies };
    for n in 0..requests {
        let answer = attack.one(n, seed);
        *statuses.entry(answer.status).or_insert(0u64) += 1;
    }
    // It got past the door as well as to it.
    for status in [200, 400, 404, 405] {
        assert!(statuses.get(&status).is_some_and(|count| *count > requests / 100), "{statuses:?}");
    }
    let received = daemon.metric("remedyd_alerts_received_total{source=\"main\"}").unwrap();
    assert!(received > 0.0 && !daemon.log().contains("panicked"), "{}", daemon.log_tail());
    assert_eq!(daemon.get("/-/ready").status, 200);
    let before = pictures(&daemon);
    daemon = daemon.restart(End::Kill);
    assert_eq!(pictures(&daemon), before);
    daemon.stop();
}
