//! Tokens that the program itself made, tried on the real thing: who may do what, and who sees which cluster.

use serde_json::json;

use crate::support::client::Client;
use crate::support::daemon::{Daemon, remedyd};
use crate::support::now;
use crate::support::posts::{HEAVY, firing};
use crate::support::site::{MAIN, Site};

const TOKENS: &str = "config/tokens.toml";

/// Makes a token and puts it into the site's file; what the program prints is the token.
pub fn new_token(site: &Site, role: &str, name: &str, clusters: &[&str]) -> String {
    let mut command = remedyd();
    command.args(["token", "new", "--role", role, "--name", name, "--tokens-file"]).arg(site.path(TOKENS));
    for cluster in clusters {
        command.args(["--cluster", cluster]);
    }
    let made = command.stdout(std::process::Stdio::piped()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let token = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    assert!(!site.read(TOKENS).contains(&token), "only its hash is kept");
    token
}

/// A site with two clusters and a file of tokens.
pub fn site() -> Site {
    let site = Site::webhook_only();
    site.change(MAIN, "# tokens_file = \"tokens.toml\"", "tokens_file = \"tokens.toml\"");
    site.append(MAIN, "[clusters.train-b]\nact = \"rehearse\"");
    let lines = "[instances.b-1]\nname = \"b-node-1\"\ncluster = \"train-b\"\nhost = \"h-b1\"\n";
    site.write("config/inventory.d/train-b.toml", lines);
    site
}

#[test]
fn each_role_may_do_its_own_and_no_more() {
    let site = site();
    let roles = ["viewer", "webhook", "operator", "approver", "admin"];
    let tokens = roles.map(|role| new_token(&site, role, role, &[]));
    let daemon = Daemon::start(&site);
    let clients = tokens.map(|token| daemon.client().with_token(&token));
    let [_, webhook, ..] = &clients;
    webhook.post("/api/v1/webhooks/alertmanager", &firing(HEAVY, "gpu-node-7", now())).json();

    let nowhere = "/v1/compute/clusters/train-a/instances/i-7/remediations/00000000-0000-7000-8000-000000000000";
    let creates = "/v1/compute/clusters/train-a/instances/i-1/remediations";
    let approves = &format!("{nowhere}/approve");
    let rejects = &format!("{nowhere}/reject");
    let cancels = &format!("{nowhere}/cancel");
    // Who may is told by the request's own answer: 404 for what is nowhere, 400 for what is no request.
    let table: [(&str, &str, [u16; 5]); 10] = [
        ("GET", "/api/v1/remediations", [200, 403, 200, 200, 200]),
        ("GET", "/api/v1/alerts", [200, 403, 200, 200, 200]),
        ("GET", "/v1/compute/clusters", [200, 403, 200, 200, 200]),
        ("POST", "/api/v1/webhooks/alertmanager", [403, 400, 403, 403, 400]),
        ("POST", creates, [403, 403, 400, 400, 400]),
        ("POST", cancels, [403, 403, 404, 404, 404]),
        ("POST", "/api/v1/holds", [403, 403, 400, 400, 400]),
        ("POST", approves, [403, 403, 403, 404, 404]),
        ("POST", rejects, [403, 403, 403, 404, 404]),
        ("POST", "/-/reload", [403, 403, 403, 403, 200]),
    ];
    for (method, path, wanted) in table {
        let body = (method == "POST").then_some("{}");
        let ask = |client: &Client| client.ask(method, path, body).unwrap();
        for (client, (role, wanted)) in clients.iter().zip(roles.into_iter().zip(wanted)) {
            let answer = ask(client);
            assert_eq!(answer.status, wanted, "{role}: {method} {path}: {answer}");
        }
        for stranger in [daemon.client().clone(), daemon.client().with_token("remedyd_viewer_nonsense")] {
            let answer = ask(&stranger);
            assert_eq!(answer.status, 401, "{method} {path}: {answer}");
            assert!(answer.head.to_lowercase().contains("www-authenticate: bearer"), "{}", answer.head);
        }
    }
    assert_eq!(daemon.get("/-/healthy").status, 200, "open to everybody, as is /-/ready");
    assert_eq!(
        daemon.get("/metrics").status,
        200,
        "open to this machine; `http` tests that others need a viewer's token"
    );
    daemon.stop();
}

#[test]
fn a_token_for_one_cluster_sees_nothing_of_another() {
    let site = site();
    let all = new_token(&site, "admin", "all", &[]);
    let foreign = new_token(&site, "admin", "b-only", &["train-b"]);
    let daemon = Daemon::start(&site);
    let (all, foreign) = (daemon.client().with_token(&all), daemon.client().with_token(&foreign));
    all.post("/api/v1/webhooks/alertmanager", &firing(HEAVY, "gpu-node-7", now())).json();
    let found = all.get("/api/v1/remediations").json();
    let id = found["remediations"][0]["id"].as_str().unwrap();

    let together = format!("/v1/compute/clusters/train-a/instances/i-7/remediations/{id}");
    for (method, path) in [
        ("GET", "/v1/compute/clusters/train-a".to_owned()),
        ("GET", "/v1/compute/clusters/train-a/instances/-/remediations".to_owned()),
        ("GET", together.clone()),
        ("POST", format!("{together}/approve")),
        ("POST", format!("{together}/reject")),
        ("POST", format!("{together}/cancel")),
        ("GET", format!("/api/v1/remediations/{id}")),
        ("GET", format!("/api/v1/remediations/{id}/history")),
        // Not even through a cluster that it does see.
        ("GET", format!("/v1/compute/clusters/train-b/instances/-/remediations/{id}")),
        ("POST", format!("/v1/compute/clusters/train-b/instances/-/remediations/{id}/approve")),
    ] {
        let answer = foreign.ask(method, &path, (method == "POST").then_some("{}")).unwrap();
        assert_eq!(answer.status, 404, "{method} {path}: {answer}");
    }
    let hold = json!({"instance_id": "i-7", "reason": "mine", "for": "1h"});
    assert_eq!(foreign.post("/api/v1/holds", &hold).status, 404);
    for kind in ["remediations", "alerts", "holds"] {
        let seen = foreign.get(&format!("/api/v1/{kind}")).json();
        assert_eq!(seen[kind], json!([]), "{kind}");
    }
    let seen = foreign.get("/api/v1/instances").json();
    assert_eq!(seen["instances"].as_array().unwrap().len(), 1, "{seen}");
    assert_eq!(all.get(&format!("/api/v1/remediations/{id}")).json()["state"], "PENDING_APPROVAL");
    assert_eq!(all.get(&together).status, 200);
    daemon.stop();
}

#[test]
fn a_token_that_is_added_works_and_one_that_is_removed_does_not() {
    let site = site();
    let admin = new_token(&site, "admin", "admin", &[]);
    let kept = site.read(TOKENS);
    let daemon = Daemon::start(&site);
    let viewer = new_token(&site, "viewer", "late", &[]);
    let (admin, viewer) = (daemon.client().with_token(&admin), daemon.client().with_token(&viewer));
    assert_eq!(admin.post("/-/reload", &json!({})).status, 200);
    assert_eq!(viewer.get("/api/v1/alerts").status, 200);
    site.write(TOKENS, &kept);
    assert_eq!(admin.post("/-/reload", &json!({})).status, 200);
    assert_eq!(viewer.get("/api/v1/alerts").status, 401);
    assert_eq!(daemon.log().matches("admin had the configuration loaded again").count(), 2);
    daemon.stop();
}

#[test]
fn the_journal_tells_who_did_what_in_which_role_and_from_where() {
    let site = site();
    let tokens = ["webhook", "operator", "approver", "admin"]
        .map(|role| new_token(&site, role, &format!("the-{role}"), &["train-a"]));
    let daemon = Daemon::start(&site);
    let [hook, operator, approver, admin] = tokens.map(|token| daemon.client().with_token(&token));
    hook.post("/api/v1/webhooks/alertmanager", &firing(HEAVY, "gpu-node-7", now())).json();
    let found = approver.get("/api/v1/remediations").json();
    let id = found["remediations"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/compute/clusters/train-a/instances/i-7/remediations/{id}/approve");
    assert_eq!(operator.post(&path, &json!({})).status, 403);
    let approved = approver.post(&path, &json!({"comment": "go"}));
    approved.json();
    let asked = approved.head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
    operator.post("/api/v1/holds", &json!({"instance_id": "i-3", "reason": "mine", "for": "1h"})).json();
    admin.post("/api/v1/pause", &json!({"cluster_id": "train-a", "reason": "network works"})).json();
    daemon.stop();

    let mut command = remedyd();
    command.args(["audit", "log"]).arg(format!("--storage.path={}", site.path("data").display()));
    let told = command.stdout(std::process::Stdio::piped()).output().unwrap();
    assert!(told.status.success(), "{told:?}");
    let told = String::from_utf8(told.stdout).unwrap();
    let lines: Vec<&str> = told.lines().collect();
    let [first, second, third] = lines[..] else { panic!("a line for each, and none for who was refused:\n{told}") };
    let wanted = format!(
        "approve by the-approver (approver) from 127.0.0.1 request={asked}: approve of remediation {id}: now PENDING"
    );
    assert!(first.contains(&wanted), "{first}");
    assert!(
        second.contains("hold by the-operator (operator) from 127.0.0.1 ") && second.contains(" on i-3 set"),
        "{second}"
    );
    let wanted = ": cluster train-a is paused: network works";
    assert!(third.contains("pause by the-admin (admin)") && third.ends_with(wanted), "{third}");
}
