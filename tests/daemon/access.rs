//! Every route × every role × own and foreign cluster, on a daemon with real things in it: allowed or refused as the table
//! below says, and what belongs to others looks exactly like what does not exist.
//!
//! The table is written by hand and not made of the daemon's own, and it has to name every route: a new one fails here
//! until somebody says who may.

use std::collections::BTreeMap;

use remedyd::domain::Role;
use remedyd::http::routes::{Dialect, ROUTES};
use serde_json::json;

use super::tokens::{new_token, site};
use crate::support::client::{Answer, Client};
use crate::support::daemon::Daemon;
use crate::support::posts::{HEAVY, LIGHT, firing};
use crate::support::site::MAIN;
use crate::support::{SOON, eventually, now};

/// What a route is about, and what is sent there.
enum About {
    /// It is open to everybody.
    Open,
    /// The daemon itself, told to whoever has the role.
    Daemon,
    /// All clusters at once: tokens for some are refused.
    All,
    /// Alerts, of which only those count that are about clusters that the token may speak of.
    Alerts,
    /// Many things; whoever may see none of them gets an empty list.
    List,
    /// One thing, in the path or in the body.
    One(&'static str),
}
use About::{Alerts, All, List, One, Open};

/// Who may: `v`iewer, `w`ebhook, `o`perator, a`p`prover, `a`dmin.
const TABLE: &[(&str, &str, &str, About)] = &[
    ("GET", "/-/healthy", "", Open),
    ("GET", "/-/ready", "", Open),
    ("GET", "/openapi.json", "", Open),
    ("POST", "/-/reload", "a", All),
    ("GET", "/metrics", "vopa", All),
    ("POST", "/api/v1/webhooks/alertmanager", "wa", Alerts),
    ("POST", "/api/v1/webhooks/alertmanager/{source}", "wa", Alerts),
    ("GET", "/api/v1/alerts", "vopa", List),
    ("GET", "/api/v1/dead-letters", "vopa", List),
    ("GET", "/api/v1/instances", "vopa", List),
    ("GET", "/api/v1/remediations", "vopa", List),
    ("GET", "/api/v1/remediations/{id}", "vopa", One("")),
    ("GET", "/api/v1/remediations/{id}/history", "vopa", One("")),
    ("POST", "/api/v1/remediations/{id}/abort", "opa", One(r#"{"reason":"stop"}"#)),
    ("POST", "/api/v1/remediations", "opa", One(r#"{"instance_id":"{instance}","mode":"vm_only","reason":"mine"}"#)),
    ("POST", "/api/v1/remediations/{id}/approve", "pa", One(r#"{"version":1}"#)),
    ("POST", "/api/v1/remediations/{id}/reject", "pa", One("{}")),
    ("POST", "/api/v1/remediations/{id}/cancel", "opa", One("{}")),
    ("GET", "/api/v1/holds", "vopa", List),
    ("POST", "/api/v1/holds", "opa", One(r#"{"instance_id":"{instance}","reason":"mine","for":"1h"}"#)),
    ("DELETE", "/api/v1/holds/{id}", "opa", One("")),
    ("GET", "/api/v1/runs", "vopa", List),
    ("GET", "/api/v1/runs/{id}", "vopa", One("")),
    ("GET", "/api/v1/conditions", "vopa", List),
    ("POST", "/api/v1/instances/{id}/probe", "opa", One("{}")),
    ("GET", "/api/v1/pauses", "vopa", About::Daemon),
    ("POST", "/api/v1/pause", "a", One(r#"{"cluster_id":"{cluster}","reason":"mine"}"#)),
    ("POST", "/api/v1/resume", "a", One(r#"{"cluster_id":"{cluster}"}"#)),
    ("GET", "/api/v1/status/buildinfo", "vopa", About::Daemon),
    ("GET", "/api/v1/status/runtimeinfo", "vopa", About::Daemon),
    ("GET", "/api/v1/status/config", "a", All),
    ("GET", "/api/v1/store", "vopa", About::Daemon),
    ("POST", "/api/v1/store/enable", "a", All),
    ("GET", "/sd/http", "vopa", List),
    ("GET", "/v3/whoami", "vopa", About::Daemon),
    ("GET", "/v1/whoami", "vopa", About::Daemon),
    ("GET", "/v1/compute/clusters", "vopa", List),
    ("GET", "/v1/compute/clusters/{cluster}", "vopa", One("")),
    ("GET", "/v1/compute/clusters/{cluster}/instances/{instance}/remediations", "vopa", One("")),
    (
        "POST",
        "/v1/compute/clusters/{cluster}/instances/{instance}/remediations",
        "opa",
        One(r#"{"mode":"REMEDIATION_MODE_VM_ONLY","reason":"mine"}"#),
    ),
    ("GET", "/v1/compute/clusters/{cluster}/instances/{instance}/remediations/{id}", "vopa", One("")),
    ("POST", "/v1/compute/clusters/{cluster}/instances/{instance}/remediations/{id}/approve", "pa", One("{}")),
    ("POST", "/v1/compute/clusters/{cluster}/instances/{instance}/remediations/{id}/reject", "pa", One("{}")),
    ("POST", "/v1/compute/clusters/{cluster}/instances/{instance}/remediations/{id}/cancel", "opa", One("{}")),
];

const fn letter(role: Role) -> char {
    match role {
        Role::Viewer => 'v',
        Role::Webhook => 'w',
        Role::Operator => 'o',
        Role::Approver => 'p',
        Role::Admin => 'a',
    }
}

/// Ids for the variable parts of a path; those of one length, so that nothing else of an answer differs.
#[derive(Clone)]
struct Names {
    cluster: &'static str,
    instance: &'static str,
    remediation: String,
    hold: String,
    run: String,
}

impl Names {
    fn nowhere() -> Self {
        let id = "00000000-0000-7000-8000-000000000000".to_owned();
        Self { cluster: "train-z", instance: "i-z", remediation: id.clone(), hold: id.clone(), run: id }
    }

    fn fill(&self, text: &str, path: &str) -> String {
        let id = match path {
            path if path.contains("/holds/") => &self.hold,
            path if path.contains("/runs/") => &self.run,
            path if path.starts_with("/api/v1/instances/") => self.instance,
            _ => &self.remediation,
        };
        let text = text.replace("{cluster}", self.cluster).replace("{instance}", self.instance);
        text.replace("{source}", "main").replace("{id}", id)
    }

    /// An answer about these as it would be about the others.
    fn rename(&self, other: &Self, text: &str) -> String {
        let text = text
            .replace(&self.remediation, &other.remediation)
            .replace(&self.hold, &other.hold)
            .replace(&self.run, &other.run);
        let quoted = |name: &str| format!("`{name}`");
        text.replace(self.cluster, other.cluster).replace(&quoted(self.instance), &quoted(other.instance))
    }
}

/// A daemon with something of every kind in train-a, nothing in train-c, and a client of each role for each, and for all.
struct World {
    own: Names,
    clients: BTreeMap<(char, &'static str), Client>,
    asked: std::cell::Cell<u32>,
}

const OWN: &str = "train-a";
const FOREIGN: &str = "train-c";
const EVERYWHERE: &str = "everywhere";

impl World {
    fn ask(&self, client: &Client, method: &str, path: &str, body: &str) -> Answer {
        self.asked.set(self.asked.get() + 1);
        let body = (method == "POST").then_some(body);
        client.insist(&format!("{method} {path}"), || client.ask(method, path, body))
    }

    fn of(&self, role: Role, scope: &'static str) -> &Client {
        &self.clients[&(letter(role), scope)]
    }

    /// Whether the answer is as the table says, for one route as one role in one scope.
    fn try_one(&self, entry: &(&str, &str, &str, About), role: Role, scope: &'static str, path: &str) {
        let (method, pattern, may, about) = entry;
        let (client, who) = (self.of(role, scope), format!("{method} {path} as {} of {scope}", role.as_str()));
        let nowhere = Names::nowhere();
        let at = |names: &Names, body: &str| {
            self.ask(client, method, &names.fill(path, pattern), &names.fill(body, pattern))
        };
        let may = may.contains(letter(role));
        match about {
            Open => assert!(at(&self.own, "").status != 401, "{who}"),
            _ if !may => {
                for names in [&self.own, &nowhere] {
                    let body = if let One(body) = about { body } else { "{}" };
                    let answer = at(names, body);
                    assert_eq!(answer.status, 403, "{who}: {answer}");
                }
            }
            About::Daemon => assert_eq!(at(&self.own, "").status, 200, "{who}"),
            All if scope == EVERYWHERE => assert_eq!(at(&self.own, "{}").status, 200, "{who}"),
            All => assert_eq!(at(&self.own, "{}").status, 403, "{who}"),
            Alerts => self.deliver(client, path, &who, scope),
            List => self.list(client, path, &who, scope),
            One(body) if scope == FOREIGN => {
                let (foreign, absent) = (at(&self.own, body), at(&nowhere, body));
                assert_eq!(absent.status, 404, "{who}: {absent}");
                assert_eq!(self.own.rename(&nowhere, &foreign.body), absent.body, "{who}: {foreign}");
                assert_eq!((foreign.status, head(&foreign)), (absent.status, head(&absent)), "{who}");
            }
            One(body) => {
                let absent = at(&nowhere, body);
                assert_eq!(absent.status, 404, "{who}: {absent}");
                // What would change something is tried once, in the end.
                if *method == "GET" {
                    assert_eq!(at(&self.own, body).status, 200, "{who}");
                }
            }
        }
    }

    /// A message about a node of train-a: who may not speak of it says as little as about a node that there is not.
    fn deliver(&self, client: &Client, path: &str, who: &str, scope: &str) {
        let about = |node: &str, name: &str| {
            let body = firing(name, node, now()).to_string();
            self.ask(client, "POST", &path.replace("{source}", "main"), &body)
        };
        // A name of its own, which no rule matches.
        let name = format!("Said{}", self.asked.get());
        let (known, unknown) = (about("gpu-node-4", &name), about("gpu-node-z", &name));
        assert_eq!((known.status, &known.body), (200, &unknown.body), "{who}");
        let seen = self.of(Role::Viewer, OWN).get(&format!("/api/v1/alerts?alert_name={name}")).json();
        let joined = seen["alerts"].as_array().unwrap().iter().filter(|alert| alert["instance_id"] == "i-4").count();
        assert_eq!(joined, usize::from(scope != FOREIGN), "{who}: {seen}");
    }

    fn list(&self, client: &Client, path: &str, who: &str, scope: &str) {
        let plain = self.ask(client, "GET", path, "");
        assert_eq!(plain.status, 200, "{who}: {plain}");
        let shows = |answer: &Answer| answer.body.contains("train-a") || answer.body.contains("gpu-node-");
        if scope != FOREIGN {
            // Who may see what could not be read, whatever it was about, is somebody for all clusters.
            let is_hidden = path.ends_with("dead-letters") && scope == OWN;
            assert_eq!(shows(&plain), !is_hidden, "{who}: {plain}");
            return;
        }
        assert!(!shows(&plain), "{who}: {plain}");
        if !path.starts_with("/api/v1/") {
            return;
        }
        // Nor by a page that somebody else got, nor by any filter; and what there is not looks the same.
        let kind = path.rsplit('/').next().unwrap();
        let theirs = self.of(Role::Admin, EVERYWHERE).get(&format!("{path}?page_size=1")).json();
        let token = theirs["next_page_token"].as_str().unwrap();
        assert!(!token.is_empty(), "{kind} needs two rows, so that there is a page to steal: {theirs}");
        let stolen = self.ask(client, "GET", &format!("{path}?page_size=1&page_token={token}"), "");
        let first = self.ask(client, "GET", &format!("{path}?page_size=1"), "");
        assert_eq!((stolen.status, stolen.body), (200, first.body), "{who}");
        for (key, own, other) in [("cluster_id", "train-a", "train-z"), ("instance_id", "i-7", "i-z")] {
            let by = |value: &str| self.ask(client, "GET", &format!("{path}?{key}={value}"), "");
            let (foreign, absent) = (by(own), by(other));
            assert_eq!((foreign.status, foreign.body), (absent.status, absent.body), "{who}: {key}");
        }
    }
}

/// The head without what differs from one answer to the next.
fn head(answer: &Answer) -> String {
    let lines = answer.head.lines().filter(|line| {
        let line = line.to_lowercase();
        !line.starts_with("date:") && !line.starts_with("x-request-id:")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_route_every_role_own_and_foreign_cluster() {
    let site = site();
    site.append(MAIN, "[clusters.train-c]\nact = \"rehearse\"");
    // It finds something everywhere, and never often enough to be believed.
    let check = "[checks.look]\nevery = \"5s\"\nselect = ['cluster=\"train-a\"']\nfailures_before = 100\n\
        [checks.look.command]\nargv = [\"/bin/false\"]";
    site.append(MAIN, check);
    let mut tokens = BTreeMap::new();
    for role in Role::ALL {
        for scope in [OWN, FOREIGN, EVERYWHERE] {
            let clusters: &[&str] = if scope == EVERYWHERE { &[] } else { &[scope] };
            let name = format!("{}-{scope}", role.as_str());
            tokens.insert((letter(role), scope), new_token(&site, role.as_str(), &name, clusters));
        }
    }
    let daemon = Daemon::start(&site);
    let clients = tokens.into_iter().map(|(who, token)| (who, daemon.client().with_token(&token))).collect();
    let mut world = World { own: Names::nowhere(), clients, asked: Default::default() };
    fill(&mut world);
    let own = world.own.clone();

    let table: BTreeMap<(&str, &str), &(&str, &str, &str, About)> =
        TABLE.iter().map(|entry| ((entry.0, entry.1), entry)).collect();
    assert_eq!(table.len(), TABLE.len(), "a route stands in the table twice");
    assert_eq!(ROUTES.len(), TABLE.len(), "the table names what is no route, or a route is missing in it");
    for route in ROUTES {
        let Some(entry) = table.get(&(route.method, route.path)) else {
            panic!("{} {}: say in the table above who may", route.method, route.path)
        };
        let prefixes: &[&str] = if route.dialect == Dialect::Together { &["", "/v1"] } else { &[""] };
        for path in prefixes.iter().map(|prefix| format!("{prefix}{}", route.path)) {
            for role in Role::ALL {
                for scope in [OWN, FOREIGN, EVERYWHERE] {
                    world.try_one(entry, role, scope, &path);
                }
            }
            let wanted = match entry.3 {
                Open => 200,
                // From this machine everybody may scrape, unless they claim to be somebody.
                All if path == "/metrics" => 200,
                _ => 401,
            };
            let there = own.fill(&path, route.path);
            assert_eq!(world.ask(daemon.client(), route.method, &there, "{}").status, wanted, "nobody: {there}");
            if wanted == 401 || path == "/metrics" {
                let wrong = daemon.client().with_token("remedyd_viewer_nonsense");
                assert_eq!(world.ask(&wrong, route.method, &there, "{}").status, 401, "a wrong token: {there}");
            }
        }
    }
    nothing_was_changed(&world);
    each_does_its_own(&world);
    let denied = |reason: &str| {
        let name = format!("remedyd_auth_denied_total{{reason=\"{reason}\"}}");
        world
            .of(Role::Viewer, EVERYWHERE)
            .get("/metrics")
            .body
            .lines()
            .find_map(|line| line.strip_prefix(name.as_str())?.trim().parse::<u32>().ok())
    };
    let count = |reason| denied(reason).unwrap_or_else(|| panic!("{reason}"));
    println!(
        "{} routes, {} requests: {} refused by role, {} hidden, {} without a token, {} with a wrong one",
        ROUTES.len(),
        world.asked.get(),
        count("role"),
        count("hidden"),
        count("missing"),
        count("unknown")
    );
    assert!(count("role") > 0 && count("hidden") > 0 && count("missing") > 0 && count("unknown") > 0);
    let log = daemon.log();
    assert!(log.contains("viewer-train-a was answered 403") || log.contains("viewer-train-a was not let in"), "{log}");
    assert!(log.contains("admin-train-c was answered 404"), "what was asked of others is in the log");
    daemon.stop();
}

/// Two of everything in train-a.
fn fill(world: &mut World) {
    let admin = world.of(Role::Admin, EVERYWHERE).clone();
    let hook = world.of(Role::Webhook, OWN).clone();
    for (name, node) in [(HEAVY, "gpu-node-7"), (LIGHT, "gpu-node-2")] {
        hook.post("/api/v1/webhooks/alertmanager", &firing(name, node, now())).json();
    }
    for n in 0..2 {
        let broken = json!({"alerts": [{"status": "firing", "labels": {"node": "gpu-node-7", "n": n}}]});
        hook.post("/api/v1/webhooks/alertmanager", &broken).json();
    }
    let hold = |instance: &str| {
        let wanted = json!({"instance_id": instance, "reason": "gpu-node-x is looked at", "for": "1h"});
        admin.post("/api/v1/holds", &wanted).json()["id"].as_str().unwrap().to_owned()
    };
    hold("i-3");
    let hold = hold("i-5");
    let found = admin.get("/api/v1/remediations?instance_id=i-7").json();
    let remediation = found["remediations"][0]["id"].as_str().unwrap().to_owned();
    let run = eventually(SOON, "two instances were looked at, i-7 among them", || {
        let list = |kind: &str| admin.get(&format!("/api/v1/{kind}")).json()[kind].as_array().unwrap().clone();
        let (runs, conditions) = (list("runs"), list("conditions"));
        let run =
            runs.iter().find(|run| run["instance_id"] == "i-7").filter(|_| runs.len() > 1 && conditions.len() > 1);
        run.map(|run| run["id"].as_str().unwrap().to_owned()).ok_or_else(|| json!(runs).to_string())
    });
    world.own = Names { cluster: OWN, instance: "i-7", remediation, hold, run };
}

fn nothing_was_changed(world: &World) {
    let admin = world.of(Role::Admin, EVERYWHERE);
    let states = |list: &serde_json::Value| {
        let rows = list["remediations"].as_array().unwrap();
        rows.iter().map(|row| row["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let remediations = admin.get("/api/v1/remediations").json();
    assert_eq!(states(&remediations), ["PENDING_APPROVAL", "PENDING_APPROVAL"], "{remediations}");
    assert_eq!(admin.get("/api/v1/holds").json()["holds"].as_array().unwrap().len(), 2);
}

/// The least role that may does it, in its own cluster, and it happens.
fn each_does_its_own(world: &World) {
    let (operator, approver) = (world.of(Role::Operator, OWN), world.of(Role::Approver, OWN));
    let Names { remediation, hold, .. } = &world.own;
    let there = "/v1/compute/clusters/train-a/instances/i-7/remediations";
    let approved = approver.post(&format!("{there}/{remediation}/approve"), &json!({"comment": "go"})).json();
    assert_eq!(approved["reviewed_by"], "approver-train-a", "{approved}");
    let lifted = operator.ask("DELETE", &format!("/api/v1/holds/{hold}"), None).unwrap();
    assert_eq!(lifted.status, 200, "{lifted}");
    let wanted = json!({"mode": "REMEDIATION_MODE_VM_ONLY", "reason": "mine"});
    let created = operator.post("/v1/compute/clusters/train-a/instances/i-1/remediations", &wanted).json();
    assert_eq!(created["requested_by"], "operator-train-a", "{created}");
}
