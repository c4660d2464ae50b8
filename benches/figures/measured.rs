//! A process on a CPU of its own, and what it costs.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

/// The CPU of who is measured.
pub const MEASURED: usize = 0;
/// The CPU of all others.
pub const OTHERS: usize = 1;

/// One measurement; what does not apply is not a number.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// How many checks.
    pub checks: u64,
    /// How many of them came to another result than the truth.
    pub wrong: u64,
    /// In how long.
    pub wall: Duration,
    /// How much CPU time that took.
    pub cpu: Duration,
    /// Memory at its peak.
    pub rss_bytes: u64,
}

/// Binds the calling thread, and all that it starts, to a CPU.
pub fn settle_on(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).expect("there are two CPUs");
}

/// A child on a CPU of its own or on that of the others; it ends with this value.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts one.
    pub fn start(cpu: usize, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = spawn_on(cpu, &mut command);
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    /// This program in another role.
    pub fn in_role(cpu: usize, arguments: &[&str]) -> Self {
        let program = std::env::current_exe().unwrap();
        Self::start(cpu, program.to_str().unwrap(), arguments)
    }

    /// Its next line.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it ended");
        line.trim_end().to_owned()
    }

    /// Tells it a line.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Duration {
        cpu(self.id())
    }

    /// The most memory that it had so far.
    pub fn rss_bytes(&self) -> u64 {
        rss_bytes(self.id()).expect("it runs")
    }

    /// Its memory.
    pub fn rss_bytes_now(&self) -> u64 {
        status_bytes(self.id(), "VmRSS:").expect("it runs")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A child inherits the CPU of who starts it.
pub fn spawn_on(cpu: usize, command: &mut Command) -> Child {
    settle_on(cpu);
    let child = command.spawn();
    settle_on(OTHERS);
    child.unwrap_or_else(|err| panic!("{command:?}: {err}"))
}

/// CPU time of all threads of a process, which may have ended and not been waited for.
pub fn cpu(process: u32) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let spent = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("schedstat")).ok());
    Duration::from_nanos(spent.filter_map(|text| text.split(' ').next()?.parse::<u64>().ok()).sum())
}

/// The most memory that a process had so far; nothing where it has ended.
pub fn rss_bytes(process: u32) -> Option<u64> {
    status_bytes(process, "VmHWM:")
}

fn status_bytes(process: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
}
