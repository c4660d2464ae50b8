//! People are told when a proposal opens, changes or ends: in order, and not forgotten over a kill.

use serde_json::json;

use crate::support::daemon::{Daemon, End, together};
use crate::support::now;
use crate::support::posts::{HEAVY, LIGHT, firing};
use crate::support::receiver::{Receiver, Told};
use crate::support::site::{MAIN, Site};

/// A site that tells a receiver, which is down.
fn site() -> (Site, Receiver) {
    let site = Site::webhook_only();
    let receiver = Receiver::new(site.at(8080));
    site.append(MAIN, &format!("[notices.chat.webhook]\nurl = \"{}\"", receiver.url()));
    (site, receiver)
}

fn events(told: &[Told]) -> Vec<(&str, &str)> {
    told.iter()
        .map(|told| (told.body["event"].as_str().unwrap(), told.body["remediation"]["state"].as_str().unwrap()))
        .collect()
}

fn wait_told(daemon: &Daemon<'_>, receiver: &Receiver, wanted: usize) -> Vec<Told> {
    daemon.wait(&format!("{wanted} notices arrive"), || match receiver.told() {
        told if told.len() >= wanted => Ok(told),
        told => Err(format!("{:?}", events(&told))),
    })
}

#[test]
fn opening_changing_and_ending_are_told_in_order() {
    let (site, mut receiver) = site();
    receiver.go_up();
    let daemon = Daemon::start(&site);
    daemon.deliver(&firing(LIGHT, "gpu-node-7", now()));
    let told = wait_told(&daemon, &receiver, 1);
    assert_eq!(events(&told), [("opened", "PENDING_APPROVAL")]);
    let proposal = daemon.wait_for("i-7", "PENDING_APPROVAL");
    assert_eq!(told[0].body["remediation"]["id"], proposal["id"]);
    assert_eq!(
        (told[0].body["remediation"]["mode"].as_str(), &told[0].body["alerts"][0]),
        (Some("reboot_vm"), &LIGHT.into())
    );

    daemon.deliver(&firing(HEAVY, "gpu-node-7", now()));
    let told = wait_told(&daemon, &receiver, 2);
    assert_eq!(
        (events(&told)[1], &told[1].body["remediation"]["mode"]),
        (("changed", "PENDING_APPROVAL"), &"host_aware".into())
    );

    daemon.post(&format!("{}/reject", together(&proposal)), &json!({"comment": "not now"})).json();
    let told = wait_told(&daemon, &receiver, 3);
    assert_eq!(events(&told)[2], ("ended", "CANCELLED"));
    for told in &told {
        assert_eq!(told.key, told.body["id"].as_str().unwrap(), "the id is the idempotency key");
    }
    daemon.stop();
}

#[test]
fn what_could_not_be_told_is_told_after_a_kill_with_the_same_id() {
    let (site, mut receiver) = site();
    // It hears everything and takes nothing, so that each notice's id is known before the kill.
    receiver.take_nothing(true);
    receiver.go_up();
    let daemon = Daemon::start(&site);
    daemon.deliver(&firing(HEAVY, "gpu-node-7", now()));
    let first = wait_told(&daemon, &receiver, 1)[0].clone();
    let proposal = daemon.wait_for("i-7", "PENDING_APPROVAL");
    receiver.go_down();
    daemon.post(&format!("{}/reject", together(&proposal)), &json!({})).json();
    daemon.kill();

    let daemon = Daemon::start(&site);
    receiver.forget();
    receiver.take_nothing(false);
    receiver.go_up();
    let told = wait_told(&daemon, &receiver, 2);
    assert_eq!(events(&told), [("opened", "PENDING_APPROVAL"), ("ended", "CANCELLED")]);
    assert_eq!((&told[0].key, &told[0].body), (&first.key, &first.body), "the same notice, byte for byte");
    assert_ne!(told[0].key, told[1].key);
    daemon.wait("both are known to be told", || {
        let sent = daemon.metric("remedyd_notices_sent_total{receiver=\"chat\"}");
        (sent == Some(2.0)).then_some(()).ok_or(format!("{sent:?}"))
    });

    // What was told is told once.
    let daemon = daemon.restart(End::Kill);
    daemon.deliver(&firing(HEAVY, "gpu-node-4", now()));
    let told = wait_told(&daemon, &receiver, 3);
    assert_eq!(told[2].body["remediation"]["instance_id"], "i-4");
    assert_eq!(told.len(), 3);
    daemon.stop();
}
