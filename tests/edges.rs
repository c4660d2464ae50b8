//! The edges of the daemon as a process: what a mistake, a stranger or a broken disk must not achieve.

mod support;

use std::fs::File;

use serde_json::json;
use support::client::Client;
use support::daemon::{Daemon, remedyd};
use support::site::{MAIN, Site};
use support::{SOON, eventually};

/// Adds tokens, and lets the file say where to listen.
fn with_tokens(site: &Site, listen: &str) {
    site.change(MAIN, "listen = [\"127.0.0.1:9720\"] ", &format!("listen = [\"{listen}\"] "));
    site.change(MAIN, "# tokens_file = \"tokens.toml\" ", "tokens_file = \"tokens.toml\" ");
    let none = "0".repeat(64);
    site.write("config/tokens.toml", &format!("[tokens.nobody]\nrole = \"viewer\"\nsha256 = \"{none}\"\n"));
}

#[test]
fn tokens_cannot_be_taken_away_from_an_address_that_others_reach() {
    let site = Site::webhook_only();
    with_tokens(&site, "0.0.0.0:0");
    let log = site.path("open.log");
    let mut child = remedyd()
        .args(["serve", "--log.format=logfmt"])
        .arg(format!("--config.file={}", site.config_file().display()))
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let told = |text: &str| {
        let log = site.read("open.log");
        log.lines().find(|line| line.contains(text)).map(str::to_owned).ok_or(log)
    };
    let listening = eventually(SOON, "it listens", || told("listening on http://0.0.0.0:"));
    eventually(SOON, "it is ready", || told("message=ready"));
    let port = listening.split("http://0.0.0.0:").nth(1).unwrap();
    let port =
        port.trim_end_matches(|c: char| !c.is_ascii_digit()).split(|c: char| !c.is_ascii_digit()).next().unwrap();
    let client = Client::new(([127, 0, 0, 1], port.parse().unwrap()).into());
    assert_eq!(client.get("/v3/whoami").status, 401);

    // By themselves these files are right: loopback, and no tokens.
    let text =
        site.read(MAIN).replace("\"0.0.0.0:0\"", "\"127.0.0.1:9720\"").replace("tokens_file =", "# tokens_file =");
    site.write(MAIN, &text);
    let line = eventually(SOON, "the reload is refused", || told("auth.tokens_file"));
    assert!(line.contains("0.0.0.0:") && line.contains("admin"), "{line}");
    let answer = client.get("/v3/whoami");
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(answer.status, 401, "{answer}");
}

#[test]
fn a_mistake_that_is_taken_back_is_no_failed_reload_any_more() {
    let site = Site::webhook_only();
    let daemon = Daemon::start(&site);
    let successful = || daemon.metric("remedyd_config_last_reload_successful");
    assert_eq!(successful(), Some(1.0));
    let before = site.read(MAIN);
    site.write(MAIN, &before.replace("cooldown = \"30m\"", "cooldown = \"soon\""));
    assert_eq!(daemon.post("/-/reload", &json!({})).status, 400);
    daemon.wait("the mistake shows", || if successful() == Some(0.0) { Ok(()) } else { Err("not yet") });
    site.write(MAIN, &before);
    assert_eq!(daemon.post("/-/reload", &json!({})).status, 200);
    assert_eq!(successful(), Some(1.0));
    daemon.stop();
}

#[test]
fn check_reads_what_serve_would_read() {
    let site = Site::webhook_only();
    site.change(MAIN, "[storage]\npath = \"../data\" ", "[storage]\n");
    let check = |flags: &[&str]| {
        let file = format!("--config.file={}", site.config_file().display());
        remedyd().arg("check").arg(file).args(flags).output().unwrap().status.code()
    };
    assert_eq!(check(&[]), Some(3), "no place for the store");
    assert_eq!(check(&["--storage.path=data"]), Some(0));
    assert_eq!(check(&["--storage.path=data", "--web.listen-address=0.0.0.0:1"]), Some(3), "open to everybody");
}
