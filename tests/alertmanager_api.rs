//! A real Alertmanager is asked what it holds, a silenced alert and a second member included.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use remedyd::domain::{Identity, Labels, SourceId};
use remedyd::providers::http_client::HttpClient;
use remedyd::sources;

/// Debian's name of the program.
const PROGRAM: &str = "prometheus-alertmanager";

struct Alertmanager {
    child: Child,
    base: String,
    client: HttpClient,
    _folder: tempfile::TempDir,
}

impl Alertmanager {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("alertmanager.yml");
        std::fs::write(&config, "route: {receiver: none}\nreceivers: [{name: none}]\n").unwrap();
        let client = HttpClient::new().unwrap();
        // A free port may be taken by somebody else before Alertmanager binds it: then it ends, and another one is tried.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut child = spawn(&config, folder.path(), port);
            let base = format!("http://127.0.0.1:{port}");
            if is_ready(&client, &base, &mut child).await {
                return Self { child, base, client, _folder: folder };
            }
        }
        panic!("{PROGRAM} does not start");
    }

    async fn post(&self, path: &str, body: String) {
        self.client.post_json(&format!("{}{path}", self.base), &[], body.into_bytes()).await.unwrap();
    }

    async fn fire(&self, node: &str) {
        let started = "2026-11-20T18:01:02Z";
        let labels = format!(r#"{{"alertname":"Down","node":"{node}"}}"#);
        self.post("/api/v2/alerts", format!(r#"[{{"labels":{labels},"startsAt":"{started}"}}]"#)).await;
    }

    async fn silence(&self, node: &str) {
        let matcher = format!(r#"{{"name":"node","value":"{node}","isRegex":false,"isEqual":true}}"#);
        let span = r#""startsAt":"2020-01-01T00:00:00Z","endsAt":"2099-01-01T00:00:00Z""#;
        let text = format!(r#"{{"matchers":[{matcher}],{span},"createdBy":"test","comment":"test"}}"#);
        self.post("/api/v2/silences", text).await;
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(config: &Path, folder: &Path, port: u16) -> Child {
    Command::new(PROGRAM)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{PROGRAM} cannot be started ({error}): tests/run installs it"))
}

async fn is_ready(client: &HttpClient, base: &str, child: &mut Child) -> bool {
    let ready = async {
        while client.get(&format!("{base}/-/ready"), 1000).await.is_err() {
            if child.try_wait().unwrap().is_some() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    };
    tokio::time::timeout(Duration::from_secs(30), ready).await.unwrap_or(false)
}

#[tokio::test]
async fn a_real_alertmanager_shows_firing_and_silenced_alerts_and_no_others() {
    let alertmanager = Alertmanager::start().await;
    alertmanager.silence("node-2").await;
    alertmanager.fire("node-1").await;
    alertmanager.fire("node-2").await;

    let source = SourceId::parse("main").unwrap();
    let [one, two, gone] = ["node-1", "node-2", "node-3"]
        .map(|node| Identity::of(&source, &Labels::from_pairs([("alertname", "Down"), ("node", node)])));
    let mut expected = vec![(one, false), (two, true)];
    expected.sort();

    let members = [alertmanager.base.clone(), format!("{}/", alertmanager.base)];
    let looking = async {
        loop {
            let found = sources::look(&alertmanager.client, &members, &source, &[one, two, gone]).await.unwrap();
            let found: Vec<_> = found.into_iter().map(|sighting| (sighting.identity, sighting.muted)).collect();
            // Alertmanager marks an alert as silenced when it dispatches it, a moment after it took it.
            if found == expected {
                return;
            }
            assert!(!found.iter().any(|(identity, _)| *identity == gone), "{found:?}");
        }
    };
    tokio::time::timeout(Duration::from_secs(30), looking).await.expect("both alerts are seen, one of them silenced");

    let dead = ["http://127.0.0.1:1".to_owned(), alertmanager.base.clone()];
    let error = sources::look(&alertmanager.client, &dead, &source, &[gone]).await.unwrap_err();
    assert!(error.starts_with("source `main`: member 1 of 2: "), "{error}");
}
