//! A daemon for one family of clients: three clusters, tokens of every role, a driver whose manner the client decides.
//!
//! One remediation runs per cluster at a time. In `train-a` approved ones begin at once; in `train-b` and `train-c` one
//! runs that does not end, so everything else stays PENDING there and can be cancelled. `train-c` has a long past.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::daemon::{Daemon, remedyd, together};
use crate::support::site::{MAIN, Site};

/// How many remediations ended in `train-c` before the clients come.
pub const PAST: usize = 1000;
/// How many write that past at once: their turns share an fsync.
const WRITERS: usize = 8;
/// Instances of each cluster; no remediation of a test has to wait for the end of another's.
const INSTANCES: usize = 48;
const CLUSTERS: [&str; 3] = ["train-a", "train-b", "train-c"];

/// Does what the file named like the instance says: `wait` until it says something else, `refuse`, or act.
const DRIVER: &str = r#"
set -eu
folder=$1
read -r call
rest=${call#*'"instance":{"id":"'}
instance=${rest%%'"'*}
manner() { cat "$folder/$instance" 2>/dev/null || echo done; }
while [ "$(manner)" = wait ]; do sleep 0.02; done
case $(manner) in
refuse) echo '{"outcome":"refused","detail":"the machine says no"}' ;;
*) echo '{"outcome":"done","detail":"acted"}' ;;
esac
"#;

/// The folder of such a daemon.
pub struct Stage {
    site: Site,
    tokens: Value,
}

impl Stage {
    /// Writes its configuration.
    pub fn set() -> Self {
        let site = Site::webhook_only();
        site.policy(&[("compact_ttl", "0s"), ("soak", "0s")]);
        site.change(MAIN, "in_flight = 3 ", "in_flight = 1 ");
        fs::create_dir(site.path("manners")).unwrap();
        site.write("act.sh", DRIVER);
        let (script, manners) = (site.path("act.sh"), site.path("manners"));
        let argv = format!("argv = [\"/bin/sh\", {script:?}, {manners:?}]");
        site.act_by("vm", &format!("[drivers.vm.command]\n{argv}\ndeadline = \"10m\""));
        for cluster in &CLUSTERS[1..] {
            site.append(MAIN, &format!("[clusters.{cluster}]\nname = \"{cluster}\"\nact = \"vm\""));
        }
        site.write("config/inventory.d/train-a.toml", &inventory());
        let tokens = tokens(&site);
        site.change(MAIN, "# tokens_file = \"tokens.toml\" ", "tokens_file = \"tokens.toml\" ");
        Self { site, tokens }
    }

    /// Starts the daemon, blocks what is to stay blocked, writes the past, lets `act` play, and stops.
    pub fn play(&self, act: impl FnOnce(&PathBuf)) {
        let daemon = Daemon::start(&self.site);
        let client = daemon.client().with_token(self.tokens["approver"].as_str().unwrap());
        for cluster in &CLUSTERS[1..] {
            let instance = format!("{cluster}-0");
            fs::write(self.site.path("manners").join(&instance), "wait").unwrap();
            let row = create(&client, cluster, &instance, "in the way until the end");
            daemon.wait("the one in the way runs", || {
                let row = client.get(&together(&row)).json();
                if row["state"] == "RUNNING" { Ok(()) } else { Err(row.to_string()) }
            });
        }
        self.write_past(&client);
        let stage = self.site.path("stage.json");
        let shown = json!({
            "base": format!("http://{}", self.site.daemon_address()),
            "tokens": self.tokens,
            "manners": self.site.path("manners"),
            "instances": INSTANCES,
            "past": PAST,
        });
        fs::write(&stage, shown.to_string()).unwrap();
        act(&stage);
        // Lets go what is in the way; a driver that runs on would outlive the daemon.
        fs::remove_dir_all(self.site.path("manners")).unwrap();
        daemon.stop();
    }

    fn write_past(&self, client: &Client) {
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                scope.spawn(move || {
                    for n in (writer..PAST).step_by(WRITERS) {
                        let instance = format!("train-c-{}", 1 + writer);
                        let row = create(client, "train-c", &instance, &format!("number {n}"));
                        let ended = client.post(&format!("{}/cancel", together(&row)), &json!({})).json();
                        assert_eq!(ended["state"], "CANCELLED", "{ended}");
                    }
                });
            }
        });
    }
}

fn create(client: &Client, cluster: &str, instance: &str, reason: &str) -> Value {
    let path = format!("/v1/compute/clusters/{cluster}/instances/{instance}/remediations");
    let row = client.post(&path, &json!({"mode": "REMEDIATION_MODE_REBOOT_VM", "reason": reason})).json();
    assert_eq!(row["state"], "PENDING", "{row}");
    row
}

/// Instances `train-a-0` and so on, each on a host of its own; the last two of a cluster share one.
fn inventory() -> String {
    let mut text = String::new();
    for cluster in CLUSTERS {
        for n in 0..INSTANCES {
            let (id, host) = (format!("{cluster}-{n}"), n.min(INSTANCES - 2));
            text += &format!("[instances.{id}]\nname = \"node-{id}\"\ncluster = \"{cluster}\"\n");
            text += &format!("host = \"h-{cluster}-{host}\"\ngeneration = \"1\"\n");
        }
    }
    text
}

/// One token for each role, and one that sees `train-c` only.
fn tokens(site: &Site) -> Value {
    let file = site.path("config/tokens.toml");
    let new = |name: &str, role: &str, clusters: &[&str]| {
        let mut command = remedyd();
        command.args(["token", "new", "--role", role, "--name", name, "--tokens-file"]).arg(&file);
        command.args(clusters).stdout(Stdio::piped());
        let made = command.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    };
    let roles =
        ["viewer", "webhook", "operator", "approver"].map(|role| (role.to_owned(), json!(new(role, role, &[]))));
    let mut tokens: serde_json::Map<String, Value> = roles.into_iter().collect();
    tokens.insert("narrow".to_owned(), json!(new("narrow", "approver", &["--cluster", "train-c"])));
    tokens.into()
}
