//! Configurations that change under load, good ones and broken ones: no request is dropped, none is half applied, and
//! every mistake is told at its place.
//!
//! Each revision is a folder, and all files lie behind one link that is swapped by a rename, as the kubelet does it. A
//! revision's rule and its nodes' generation carry its number, so a proposal that has one of one revision and the other of
//! another comes from a configuration that never was.
//!
//! `REMEDYD_TEST_RELOADS` says how many.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::tokens::new_token;
use crate::dice::number;
use crate::support::client::{Answer, Client};
use crate::support::daemon::Daemon;
use crate::support::now;
use crate::support::posts::firing;
use crate::support::site::{MAIN, Site};

/// Which file a broken revision spoils, how, and what has to be said of it; `#` stands for the number of the revision.
const SPOILT: [(&str, &str, &str); 7] = [
    (
        "rules.d/storm.toml",
        "[rules.rev-#]\nmatch = ['alertname=\"Storm\"']\nmode = 'hammer'\n",
        ":3:8: rules.rev-#.mode: `hammer` is no mode",
    ),
    ("rules.d/storm.toml", "[rules.rev-#]\nmatch = ['a=~\"(\"']\nmode = 'vm_only'\n", ":2:10: rules.rev-#.match: "),
    (
        "inventory.d/more.toml",
        "[instances.x-#]\ncluster = 'nowhere-#'\n",
        ":2:11: instances.x-#.cluster: there is no [clusters.nowhere-#]",
    ),
    ("inventory.d/more.toml", "[instances.x-#\n", ":1:15: syntax: "),
    (
        "sd/nodes.yml",
        "- targets: [x]\n  labels: {cluster: train-a, instance_id: 'x/#'}\n",
        ":2:43: [0].labels.instance_id: `x/#` is no instance id",
    ),
    ("sd/nodes.yml", "- targets: [x\n", ":1:12: syntax: unclosed bracket"),
    (
        "tokens.toml",
        "[tokens.t-#]\nrole = 'root'\nsha256 = '0000000000000000000000000000000000000000000000000000000000000000'\n",
        ":2:8: tokens.t-#.role: `root` is no role",
    ),
];

/// Nodes that fall sick one after the other; no number of reloads needs more.
const NODES: u32 = 400;

/// Puts a revision where the daemon reads it, all at once.
struct Revisions<'a> {
    site: &'a Site,
    tokens: String,
    main: String,
}

impl Revisions<'_> {
    fn install(&self, n: u64, spoilt: Option<(&str, &str)>) {
        let folder = self.site.path(&format!("config/..rev-{n}"));
        let mut nodes = String::new();
        for node in 0..NODES {
            let _ = writeln!(nodes, "[instances.n-{node}]\ncluster = \"train-a\"\ngeneration = \"{n}\"");
        }
        let rule = format!("[rules.rev-{n}]\nmatch = ['alertname=\"Storm\"']\nmode = 'vm_only'\n");
        let sd = format!("- targets: [sd-1]\n  labels: {{cluster: train-a, generation: '{n}'}}\n");
        let mut files: BTreeMap<&str, String> = [
            ("remedyd.toml", self.main.clone()),
            ("rules.d/storm.toml", rule),
            ("inventory.d/nodes.toml", nodes),
            ("sd/nodes.yml", sd),
            ("tokens.toml", self.tokens.clone()),
        ]
        .into();
        files.extend(spoilt.map(|(file, text)| (file, text.to_owned())));
        for (file, text) in files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let fresh = self.site.path("config/..fresh");
        symlink(format!("..rev-{n}"), &fresh).unwrap();
        fs::rename(fresh, self.site.path("config/..data")).unwrap();
    }
}

/// What the load saw.
#[derive(Default)]
struct Seen {
    stop: AtomicBool,
    requests: AtomicU32,
    /// 503 of a store that is behind: every client comes again.
    again: AtomicU32,
    dropped: Mutex<Vec<String>>,
    /// How many nodes may have fallen sick so far: some in every revision.
    due: AtomicU32,
}

impl Seen {
    /// One request of the load, which must be answered as wanted.
    fn ask(&self, client: &Client, method: &str, path: &str, body: Option<&str>, wanted: &[u16]) -> Option<Answer> {
        loop {
            self.requests.fetch_add(1, Relaxed);
            let answer = client.ask(method, path, body);
            match answer {
                Ok(answer) if answer.status == 503 && answer.body.contains("catching up") => {
                    self.again.fetch_add(1, Relaxed);
                }
                Ok(answer) if wanted.contains(&answer.status) => return Some(answer),
                other => {
                    let what = other.map_or_else(|error| error.to_string(), |answer| answer.to_string());
                    self.dropped.lock().unwrap().push(format!("{method} {path}: {what}"));
                    return None;
                }
            }
        }
    }

    fn post_alerts(&self, client: &Client) {
        let mut fallen = 0;
        while !self.stop.load(Relaxed) {
            // Where no further node is due, the last one goes on being told of.
            let node = fallen.min(self.due.load(Relaxed));
            let message = firing("Storm", &format!("n-{node}"), now()).to_string();
            self.ask(client, "POST", "/api/v1/webhooks/alertmanager", Some(&message), &[200]);
            fallen = node + 1;
        }
    }

    fn read(&self, client: &Client) {
        while !self.stop.load(Relaxed) {
            for path in [
                "/api/v1/instances?page_size=1000",
                "/api/v1/remediations",
                "/v1/compute/clusters/train-a",
                "/metrics",
                "/sd/http",
            ] {
                self.ask(client, "GET", path, None, &[200]);
            }
        }
    }

    fn command(&self, client: &Client) {
        while !self.stop.load(Relaxed) {
            let hold = json!({"instance_id": "sd-1", "reason": "storm", "for": "1h"}).to_string();
            let Some(held) = self.ask(client, "POST", "/api/v1/holds", Some(&hold), &[201]) else { continue };
            let id = held.json()["id"].as_str().unwrap().to_owned();
            self.ask(client, "DELETE", &format!("/api/v1/holds/{id}"), None, &[200]);
        }
    }
}

#[test]
fn a_storm_of_reloads_drops_nothing_and_is_never_half_applied() {
    let reloads = number("REMEDYD_TEST_RELOADS", 21);
    let site = Site::webhook_only();
    let tokens = [("webhook", "am"), ("operator", "ann"), ("admin", "root")]
        .map(|(role, name)| (name, new_token(&site, role, name, &[])));
    site.change(MAIN, "# tokens_file = \"tokens.toml\"", "tokens_file = \"tokens.toml\"");
    site.change(MAIN, "# file_sd = [\"sd/*.json\", \"sd/*.yml\"]", "file_sd = [\"sd/*.yml\"]");
    let revisions = Revisions { site: &site, tokens: site.read("config/tokens.toml"), main: site.read(MAIN) };
    for old in ["rules.d", "inventory.d"] {
        fs::remove_dir_all(site.path(&format!("config/{old}"))).unwrap();
    }
    for file in ["remedyd.toml", "tokens.toml"] {
        fs::remove_file(site.path(&format!("config/{file}"))).unwrap();
    }
    revisions.install(0, None);
    for name in ["remedyd.toml", "rules.d", "inventory.d", "sd", "tokens.toml"] {
        symlink(format!("..data/{name}"), site.path(&format!("config/{name}"))).unwrap();
    }
    let daemon = Daemon::start(&site);
    let client = |name: &str| daemon.client().with_token(&tokens.iter().find(|(known, _)| *known == name).unwrap().1);
    let (hook, operator, admin) = (client("am"), client("ann"), client("root"));

    let seen = Seen::default();
    let (mut taken, mut told) = (0, 0);
    std::thread::scope(|scope| {
        // Whatever goes wrong, the load ends with the storm.
        let _ends = Ends(&seen.stop);
        scope.spawn(|| seen.post_alerts(&hook));
        scope.spawn(|| seen.read(&admin));
        scope.spawn(|| seen.command(&operator));
        let mut in_force = String::new();
        for n in 1..=reloads {
            seen.due.store(u32::try_from(n * u64::from(NODES - 1) / reloads).unwrap(), Relaxed);
            // Two of three are good; each way of asking meets each way of being wrong.
            if n % 3 == 0 {
                let (file, text, said) = SPOILT[usize::try_from(n / 3 % 7).unwrap()];
                let place = |text: &str| text.replace('#', &n.to_string());
                let said = format!("{}{}", site.path(&format!("config/{file}")).display(), place(said));
                // The last digit of the number may move the end of a line.
                let said = if said.contains(":1:15:") && n > 9 {
                    said.replace(":1:15:", &format!(":1:{}:", 14 + n.to_string().len()))
                } else {
                    said
                };
                let before = daemon.log().matches(&said).count();
                revisions.install(n, Some((file, &place(text))));
                if let Some(answer) = ask_for_reload(&daemon, &admin, n / 3) {
                    assert_eq!(answer.status, 400, "{answer}");
                    assert!(answer.body.contains(&json!(said).to_string().replace('"', "")), "wanted {said}\n{answer}");
                }
                daemon.wait(
                    &said,
                    || if daemon.log().matches(&said).count() > before { Ok(()) } else { Err("not told") },
                );
                told += 1;
            } else {
                revisions.install(n, None);
                if let Some(answer) = ask_for_reload(&daemon, &admin, n) {
                    assert_eq!(answer.status, 200, "{answer}");
                }
                in_force = n.to_string();
                taken += 1;
            }
            daemon.wait(&format!("revision {in_force} is in force, all of it"), || {
                let rows = admin.get("/api/v1/instances?page_size=1000").json();
                let rows = rows["instances"].as_array().unwrap().clone();
                let others = rows.iter().filter(|row| row["generation"] != in_force).count();
                if rows.len() == NODES as usize + 1 && others == 0 {
                    Ok(())
                } else {
                    Err(format!("{others} of {} are not", rows.len()))
                }
            });
        }
    });

    let dropped = seen.dropped.into_inner().unwrap();
    let (pairs, half) = pairs(&admin);
    println!(
        "{reloads} reloads ({taken} taken, {told} refused and told at their place), {} requests, {} of them asked again, {} dropped; {pairs} pairs of rule and node looked at, {} half applied",
        seen.requests.load(Relaxed),
        seen.again.load(Relaxed),
        dropped.len(),
        half.len()
    );
    assert!(dropped.is_empty(), "{dropped:#?}");
    assert!(half.is_empty(), "{half:#?}");
    assert!(pairs > 20, "too few to tell anything: {pairs}");
    daemon.stop();
}

/// Each of the three ways in turn; what the endpoint answered, where it was asked.
fn ask_for_reload(daemon: &Daemon<'_>, admin: &Client, n: u64) -> Option<Answer> {
    match n % 3 {
        0 => return Some(admin.post("/-/reload", &json!({}))),
        1 => daemon.signal(Signal::HUP),
        // The watch hears of it by itself.
        _ => {}
    }
    None
}

/// How many proposals there are, and those whose rule is of another revision than their node.
fn pairs(admin: &Client) -> (usize, Vec<Value>) {
    let page = admin.get("/api/v1/remediations?page_size=1000").json();
    assert_eq!(page["has_next"], false);
    let rows = page["remediations"].as_array().unwrap();
    let is_half = |row: &&Value| row["rule"] != format!("rev-{}", row["generation"].as_str().unwrap());
    (rows.len(), rows.iter().filter(is_half).cloned().collect())
}

struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}
