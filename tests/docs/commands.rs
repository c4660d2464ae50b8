//! The shell commands of README: each is run here, or is on the list of those that cannot be, with the reason.

use std::process::Command;

use super::reading::{Block, blocks};
use super::support::daemon::{Daemon, remedyd};
use super::support::site::Site;

/// What begins like this is not run here, and why not.
const ELSEWHERE: [(&str, &str); 17] = [
    ("benches/run", "takes two hours, and measures nothing beside other tests"),
    ("cargo bench --bench parts", "builds a release; what it measures is asserted as it runs"),
    ("cargo run --release -- serve", "builds a release; that the shipped configuration serves is tests/daemon.rs's"),
    ("cargo run --release -- demo", "builds a release; the demo is run by tests/demo.rs"),
    ("tests/run", "runs all tests, this one too"),
    ("prometheus-alertmanager ", "takes ports of this machine; tests/alertmanager.rs starts one with this file"),
    ("amtool ", "talks to that Alertmanager; tests/alertmanager.rs posts such alerts"),
    ("export TOGETHER_BASE_URL=", "for the next lines"),
    (".venv/bin/together ", "talks to the daemon of these lines; tests/together.rs says the same to one of its own"),
    ("alias remedyd=", "for the next lines"),
    ("remedyd get ", "asks the daemon of these lines; tests/cli.rs asks one of its own"),
    ("remedyd describe ", "asks the daemon of these lines; tests/cli.rs asks one of its own"),
    ("remedyd approve ", "talks to the daemon of these lines; tests/cli.rs talks to one of its own"),
    ("SIM_", "hours of simulation; its short form is in the tests"),
    ("REMEDYD_TEST_", "a longer form of tests"),
    ("tests/fuzz/run ", "an hour of fuzzing"),
    ("tests/schemathesis/run", "minutes of requests; its short form is in the tests"),
];

/// The commands of a block: comments taken off, continued lines put together.
pub fn of(block: &str) -> Vec<String> {
    let joined = block.replace("\\\n", " ");
    let plain = joined.lines().map(|line| line.split("  #").next().unwrap_or(line).trim().to_owned());
    plain.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Whether it is a command of this program.
pub fn is_ours(command: &str) -> bool {
    command.starts_with("remedyd ") || command.starts_with("cargo run --release -- ")
}

#[test]
fn every_command_runs_or_is_known_not_to() {
    let readme = super::readme();
    let shell = blocks(&readme).into_iter().filter(|block| block.language == "sh");
    let all: Vec<(usize, String)> =
        shell.flat_map(|Block { line, text, .. }| of(&text).into_iter().map(move |c| (line, c))).collect();
    let mut ours = Vec::new();
    for (line, command) in &all {
        if ELSEWHERE.iter().any(|(begins, _)| command.starts_with(begins)) {
            continue;
        }
        assert!(
            command.starts_with("remedyd "),
            "README.md:{line}: `{command}` is neither run here nor listed: run it, or add it to ELSEWHERE in \
             tests/docs/commands.rs with the reason"
        );
        ours.push(command.clone());
    }
    for (begins, why) in ELSEWHERE.iter().filter(|(begins, _)| !begins.starts_with("cargo run --release -- demo")) {
        assert!(all.iter().any(|(_, command)| command.starts_with(begins)), "nothing begins with `{begins}` ({why})");
    }
    run(&ours);
}

/// Runs commands of the program in order, on a store that a daemon has left, as README says: `--storage.path` on each.
fn run(commands: &[String]) {
    let site = Site::webhook_only();
    Daemon::start(&site).stop();
    let exported = site.path("rows");
    let mut head = String::new();
    for command in commands {
        let is_import = command.contains(" import ");
        let store = site.path(if is_import { "imported" } else { "data" });
        let line = command.replace("FILE", exported.to_str().unwrap()).replace("--head=SEQ:HASH", &head);
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let mut run: Command = remedyd();
        run.args(&words).current_dir(super::repository());
        if words[0] == "store" || words[0] == "audit" {
            run.env("REMEDYD_STORAGE_PATH", &store);
        }
        let output = run.stdout(std::process::Stdio::piped()).output().unwrap();
        let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "`{command}`: {}\n{said}{wrong}", output.status);
        if command.contains("audit verify") && head.is_empty() {
            head = said
                .split_whitespace()
                .find(|word| word.contains(':'))
                .map(|head| format!("--head={head}"))
                .unwrap_or_default();
        }
    }
}
