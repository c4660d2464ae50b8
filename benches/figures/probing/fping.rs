//! fping over the same addresses, as fast as it goes.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::super::measured::{Figures, MEASURED, cpu, rss_bytes, spawn_on};
use super::ours::address;

/// A file of addresses, some of which never answer.
pub struct Targets {
    file: tempfile::NamedTempFile,
    count: usize,
    silent: usize,
}

impl Targets {
    pub fn write(count: usize, silent: usize) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        // The silent ones stand among the others.
        let every = count.checked_div(silent).unwrap_or(usize::MAX);
        let lines = (0..count).map(|node| {
            let is_silent = node % every == every - 1;
            if is_silent {
                format!("198.18.{}.{}\n", node / 250, node % 250 + 1)
            } else {
                format!("{}\n", address(node))
            }
        });
        std::fs::write(file.path(), lines.collect::<String>()).unwrap();
        Self { file, count, silent }
    }

    pub fn path(&self) -> &str {
        self.file.path().to_str().unwrap()
    }

    /// How many were taken for something else than they are, at least.
    pub fn wrong(&self, alive: u64, silent: u64) -> u64 {
        (self.silent as u64).abs_diff(silent).max((self.count - self.silent) as u64).abs_diff(alive)
    }
}

/// One look at every target. No pause between two targets (`-i 0`), nothing printed of each (`-q`), no repetition (`-r 0`), the
/// timeout and the interval of ours; its own word for how long it took, which leaves out its start.
pub fn sweep(targets: &Targets, packets: u32) -> Figures {
    let packets = packets.to_string();
    let mut command = Command::new("fping");
    command.args(["-s", "-q", "-i", "0", "-t", "1000", "-r", "0", "-f", targets.path()]);
    if packets != "1" {
        command.args(["-c", &packets, "-p", "100"]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = spawn_on(MEASURED, &mut command);
    let mut stderr = child.stderr.take().unwrap();
    let (sender, said) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).unwrap();
        sender.send(text).unwrap();
    });
    let mut memory = 0;
    let said = loop {
        match said.recv_timeout(Duration::from_millis(2)) {
            Ok(text) => break text,
            Err(_) => memory = rss_bytes(child.id()).unwrap_or_default().max(memory),
        }
    };
    // It closes what it says at its very end; until it is waited for its figures can be read.
    while rss_bytes(child.id()).is_some() {
        std::thread::yield_now();
    }
    let cpu = cpu(child.id());
    child.wait().unwrap();
    let word = |what: &str| -> f64 {
        let line = said.lines().find(|line| line.ends_with(what)).unwrap_or_else(|| panic!("no `{what}` in {said}"));
        line.split_whitespace().next().unwrap().parse().unwrap()
    };
    Figures {
        checks: word(" targets") as u64,
        wrong: targets.wrong(word(" alive") as u64, word(" unreachable") as u64),
        wall: Duration::from_secs_f64(word(" sec (elapsed real time)")),
        cpu,
        rss_bytes: memory,
    }
}
