//! Together's own clients walk a real daemon, and every answer is held against their own types.
//!
//! The first walk is the CLI and the SDK 3.1.1 as a person uses them (`together_cli.py`). Then each family has a daemon
//! of its own (`together/stage.rs`): SDK and CLI 3.1.1, SDK and CLI 2.42 (`together/clients.py`), and TypeScript 0.52
//! (`together/clients.cjs`) each live through every life of a remediation, meet every refusal, and page through a
//! thousand remediations while others are created.

#[path = "together/stage.rs"]
mod stage;
mod support;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use stage::Stage;
use support::daemon::{Daemon, remedyd};
use support::site::Site;

/// What `tests/run` installed: at `variable` if that is set, else below the repository.
fn installed(variable: &str, below: &str) -> PathBuf {
    let made = std::env::var_os(variable).map(PathBuf::from);
    let path = made.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(below));
    assert!(path.exists(), "{} is missing: `tests/run` installs it", path.display());
    path
}

/// The Python that has Together's client 3.1.1.
fn python() -> PathBuf {
    installed("REMEDYD_TEST_PYTHON", ".venv/bin/python")
}

/// The Python that has Together's client 2.42.
fn python_2() -> PathBuf {
    installed("REMEDYD_TEST_PYTHON_2", ".venv-2/bin/python")
}

/// The Node modules with Together's client for TypeScript and the compiler that knows its types.
fn node_modules() -> PathBuf {
    installed("REMEDYD_TEST_NODE_MODULES", ".node/node_modules")
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

/// Lets a script of `tests/together` play with a daemon of its own; it has to say that it did at least `steps` things.
fn play(mut command: Command, steps: usize) {
    Stage::set().play(|stage| {
        let done = command.arg(stage).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert!(done.status.success(), "{}\n{said}", done.status);
        let held = said.lines().filter(|line| line.starts_with("ok ")).count();
        assert!(held >= steps, "only {held} steps\n{said}");
        println!("{said}");
    });
}

fn script(interpreter: impl AsRef<OsStr>, name: &str) -> Command {
    let mut command = Command::new(interpreter);
    command.arg(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/together").join(name));
    command
}

#[test]
fn version_3_of_togethers_sdk_and_cli_finds_all_that_it_knows() {
    play(script(python(), "clients.py"), 44);
}

#[test]
fn version_2_of_togethers_sdk_and_cli_finds_all_that_it_knows() {
    play(script(python_2(), "clients.py"), 46);
}

#[test]
fn togethers_client_for_typescript_finds_all_that_it_knows() {
    let mut command = script("node", "clients.cjs");
    command.env("NODE_PATH", node_modules());
    play(command, 12);
}
