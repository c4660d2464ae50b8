//! Together's own CLI and SDK 3.1.1 walk a real daemon: list, get, approve with comment and override, reject, create,
//! cancel, paging, every refusal in words, and eight racing approvals with one winner (`together_cli.py`).

mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::daemon::{Daemon, remedyd};
use support::site::Site;

/// The Python that has Together's client: `tests/run` makes it.
fn python() -> PathBuf {
    let made = std::env::var_os("REMEDYD_TEST_PYTHON").map(PathBuf::from);
    let python = made.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python"));
    assert!(python.is_file(), "{} is missing: `tests/run` installs Together's client there", python.display());
    python
}

/// The shipped files, with nothing starting while the client walks: what waits for its turn can be cancelled.
fn quiet() -> Site {
    let site = Site::webhook_only();
    site.policy(&[("dispatch_delay", "1h")]);
    site
}

fn walk(site: &Site, options: &[&str]) {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/together_cli.py");
    let done = Command::new(python())
        .arg(script)
        .arg(format!("http://{}", site.daemon_address()))
        .args(["--post-alert", "DmesgGpuFallenOffBus"])
        .args(options)
        .output()
        .expect("the Python was found above");
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{}\n{said}", done.status);
    let steps = said.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(steps >= 16, "only {steps} steps\n{said}");
    println!("{said}");
}

#[test]
fn togethers_clients_walk_the_daemon_without_tokens() {
    let site = quiet();
    let daemon = Daemon::start(&site);
    walk(&site, &[]);
    daemon.stop();
}

#[test]
fn togethers_clients_walk_the_daemon_with_tokens() {
    let site = quiet();
    let tokens = site.path("config/tokens.toml");
    let new_token = |role: &str| {
        let mut command = remedyd();
        command.args(["token", "new", "--role", role, "--name", role, "--tokens-file"]).arg(&tokens);
        let made = command.stdout(Stdio::piped()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    };
    let (approver, webhook) = (new_token("approver"), new_token("webhook"));
    site.change(support::site::MAIN, "# tokens_file = \"tokens.toml\" ", "tokens_file = \"tokens.toml\" ");
    let daemon = Daemon::start(&site);
    walk(&site, &["--token", &approver, "--webhook-token", &webhook]);
    daemon.stop();
}
