//! The OpenAPI document: it promises all that Together's documents promise, and a generator of requests finds no answer of
//! the daemon that it does not describe.

#[path = "openapi/contract.rs"]
mod contract;
mod dice;
mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use dice::number;
use support::daemon::{Daemon, remedyd};
use support::site::{MAIN, Site};

/// About half a minute.
const CASES_PER_OPERATION: u64 = 25;

/// The shipped files, with an admin's token, and times so short that proposals come back all the time.
fn site() -> (Site, String) {
    let site = Site::webhook_only();
    site.policy(&[("cooldown", "0s"), ("settle", "0s"), ("soak", "1s"), ("verify_within", "2s")]);
    let mut command = remedyd();
    command
        .args(["token", "new", "--role", "admin", "--name", "ann", "--tokens-file"])
        .arg(site.path("config/tokens.toml"));
    let made = command.stdout(Stdio::piped()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    site.change(MAIN, "# tokens_file = \"tokens.toml\" ", "tokens_file = \"tokens.toml\" ");
    site.append(MAIN, "[checks.look]\nevery = \"2s\"\n[checks.look.command]\nargv = [\"/bin/false\"]");
    (site, String::from_utf8(made.stdout).unwrap().trim().to_owned())
}

/// Proposals, a letter that cannot be read, and a hold.
fn furnish(daemon: &Daemon<'_>, token: &str) {
    let client = daemon.client().with_token(token);
    let alert = |node: u32| {
        json!({
            "status": "firing",
            "labels": {"alertname": "DmesgGpuFallenOffBus", "cluster": "train-a", "node": format!("gpu-node-{node}")},
            "annotations": {"summary": "GPU 3 fell off the bus"},
            "startsAt": support::now().to_string(),
        })
    };
    let mut alerts: Vec<Value> = (1..=5).map(alert).collect();
    alerts.push(json!({"status": "firing"}));
    client.post("/api/v1/webhooks/alertmanager", &json!({ "alerts": alerts })).json();
    client.post("/api/v1/holds", &json!({"instance_id": "i-8", "reason": "swap", "for": "2h"})).json();
    let waiting = client.get("/api/v1/remediations?state=PENDING_APPROVAL").json();
    assert!(!waiting["remediations"].as_array().unwrap().is_empty(), "{waiting}");
}

#[test]
fn a_generator_of_requests_finds_nothing_that_is_not_described() {
    let (site, token) = site();
    let daemon = Daemon::start(&site);
    furnish(&daemon, &token);
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("REMEDYD_TEST_PYTHON").map_or_else(|| here.join(".venv/bin/python"), PathBuf::from);
    let per_operation = number("REMEDYD_TEST_CASES", CASES_PER_OPERATION);
    let seed = number("REMEDYD_TEST_SEED", 1);
    let done = Command::new(&python)
        .args(["-m", "schemathesis.cli", "--no-color", "--config-file"])
        .arg(here.join("tests/schemathesis/schemathesis.toml"))
        .args(["run", &format!("http://{}/openapi.json", site.daemon_address())])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--seed", &seed.to_string(), "--max-examples", &per_operation.to_string(), "--continue-on-failure"])
        .env("SCHEMATHESIS_HOOKS", here.join("tests/schemathesis/hooks.py"))
        .env("REMEDYD_TOKEN", &token)
        .current_dir(site.path(""))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; `tests/run` installs schemathesis", python.display()));
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    println!("{said}");
    assert!(done.status.success(), "{}\n{}", done.status, daemon.log_tail());
    let generated = said.lines().find_map(|line| line.trim().split_once(" generated")?.0.parse::<u64>().ok());
    let generated = generated.unwrap_or_else(|| panic!("it does not say how many cases it made"));
    assert!(generated >= 10 * per_operation, "only {generated} cases");
    assert!(!daemon.log().contains("level=error"), "the daemon met an error of its own\n{}", daemon.log_tail());
    daemon.stop();
}
