//! Runs the program as a person does, and says what it printed and how it ended.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::daemon::{Daemon, remedyd};
use crate::support::now;
use crate::support::posts::{HEAVY, firing};
use crate::support::site::Site;

/// How one run ended.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// The output of a run that has to end with this status.
    #[track_caller]
    pub fn ends(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// Its lines, each as its words.
    pub fn cells(&self) -> Vec<Vec<&str>> {
        self.out.lines().map(|line| line.split_whitespace().collect()).collect()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// The program, told nothing of the machine that the test runs on.
pub fn bare(arguments: &[&str]) -> Command {
    let mut command = remedyd();
    for name in ["REMEDYD_SERVER", "REMEDYD_TOKEN", "REMEDYD_TOKEN_FILE", "REMEDYD_CA_FILE", "NO_COLOR"] {
        command.env_remove(name);
    }
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The program, told where the daemon of this site is.
pub fn told(site: &Site, arguments: &[&str]) -> Command {
    let mut command = bare(arguments);
    command.env("REMEDYD_SERVER", format!("http://{}", site.daemon_address()));
    command
}

/// Runs it.
pub fn ask(site: &Site, arguments: &[&str]) -> Said {
    Said::of(told(site, arguments).output().unwrap())
}

/// Lets one alert fire on each of these nodes, and says which proposals opened for them.
pub fn proposals(daemon: &Daemon<'_>, nodes: &[u32]) -> Vec<String> {
    let open = |n: &u32| {
        daemon.deliver(&firing(HEAVY, &format!("gpu-node-{n}"), now()));
        let row = daemon.wait_for(&format!("i-{n}"), "PENDING_APPROVAL");
        row["id"].as_str().unwrap().to_owned()
    };
    nodes.iter().map(open).collect()
}
