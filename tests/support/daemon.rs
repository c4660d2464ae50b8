//! The daemon as a process: started as an operator starts it, ended as a machine ends it.

use std::fs::{File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::site::Site;
use super::{SOON, eventually};
use remedyd::clock::Stopwatch;

/// How long a stop may take (DESIGN §7).
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How much of the log a failed test shows.
const TAIL_LINES: usize = 15;

/// How a daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// SIGTERM: it drains and exits 0 within 10 s.
    Stop,
    /// SIGKILL.
    Kill,
}

/// A running daemon. What is left of it when the test ends is killed.
pub struct Daemon<'a> {
    site: &'a Site,
    child: Child,
    client: Client,
}

impl<'a> Daemon<'a> {
    /// Starts it on the site's store and waits until it is ready.
    pub fn start(site: &'a Site) -> Self {
        let mut daemon = Self::spawn(site);
        daemon.wait_ready();
        daemon
    }

    /// Starts it and does not wait.
    pub fn spawn(site: &'a Site) -> Self {
        Self::spawn_in(site, |_| {})
    }

    /// Starts it in an environment of its own, and does not wait.
    pub fn spawn_in(site: &'a Site, prepare: impl FnOnce(&mut Command)) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(site.path(LOG)).unwrap();
        let mut command = serve(site);
        prepare(&mut command);
        let child = command.stderr(log).spawn().unwrap();
        Self { site, child, client: Client::new(site.daemon_address()) }
    }

    /// Starts it on a store that it cannot write to, and waits until it answers for reading; says what it says.
    pub fn start_read_only(site: &'a Site) -> (Self, String) {
        Self::start_closed(site, "read-only")
    }

    /// The same on a disk that is full.
    pub fn start_without_room(site: &'a Site) -> (Self, String) {
        Self::start_closed(site, "no room")
    }

    fn start_closed(site: &'a Site, why: &str) -> (Self, String) {
        let daemon = Self::spawn(site);
        let why = daemon.wait("it says that it takes nothing", || match daemon.client.ask("GET", "/-/ready", None) {
            Ok(answer) if answer.status == 503 && answer.body.contains(why) => Ok(answer.body),
            Ok(answer) => Err(answer.to_string()),
            Err(error) => Err(error.to_string()),
        });
        (daemon, why)
    }

    /// Waits until it is ready.
    pub fn wait_ready(&mut self) {
        if !self.has_come_up() {
            panic!("the daemon ended before it was ready: {}\n{}", self.ended(), self.log_tail());
        }
    }

    /// Waits until it is ready, or has ended.
    pub fn has_come_up(&mut self) -> bool {
        let since = Stopwatch::start();
        loop {
            if self.has_ended() {
                return false;
            }
            let seen = match self.client.ask("GET", "/-/ready", None) {
                Ok(answer) if answer.status == 200 => return true,
                Ok(answer) => answer.to_string(),
                Err(error) => error.to_string(),
            };
            assert!(since.elapsed() < SOON, "the daemon is not ready: {seen}\n{}", self.log_tail());
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Ends it and starts it again on the same store and address.
    pub fn restart(self, end: End) -> Self {
        let site = self.site;
        self.end(end);
        Self::start(site)
    }

    /// Ends it.
    pub fn end(self, end: End) {
        match end {
            End::Stop => self.stop(),
            End::Kill => self.kill(),
        }
    }

    /// SIGTERM: it must exit 0 within 10 s.
    pub fn stop(mut self) {
        let since = Stopwatch::start();
        self.signal(Signal::TERM);
        let status = self.ended();
        let took = since.elapsed();
        assert!(status.success() && took < STOP_WITHIN, "stopped with {status} in {took:?}\n{}", self.log_tail());
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.signal(Signal::KILL);
        let status = self.ended();
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "it had ended by itself\n{}", self.log_tail());
        // A program that it was just starting has its sockets until it becomes another one.
        let address = self.site.daemon_address();
        eventually(SOON, "the address is free", || std::net::TcpListener::bind(address).map(drop));
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Whether it ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// SIGTERM, for one that may have had a reason to end by itself just before.
    pub fn end_somehow(mut self) {
        if !self.has_ended() {
            self.signal(Signal::TERM);
            self.ended();
        }
    }

    /// How it ended; it has to end by itself.
    pub fn ended(&mut self) -> ExitStatus {
        eventually(SOON, "the daemon ends", || self.child.try_wait().unwrap().ok_or("it runs"))
    }

    /// The most memory that it has had, of `VmHWM` in proc_pid_status(5).
    pub fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads. A store that is behind answers 503 rather than stale, and whoever reads asks again: so does every client.
    pub fn get(&self, path: &str) -> Answer {
        self.wait(&format!("an answer of {path}"), || {
            let answer = self.client.get(path);
            let is_behind = answer.status == 503 && answer.body.contains("catching up");
            if is_behind { Err(answer) } else { Ok(answer) }
        })
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.client.post(path, body)
    }

    /// Posts a message as Alertmanager does; it must be taken.
    pub fn deliver(&self, message: &Value) -> Value {
        self.post("/api/v1/webhooks/alertmanager", message).json()
    }

    /// Every remediation, newest first.
    pub fn remediations(&self) -> Vec<Value> {
        self.rows("remediations", "")
    }

    /// The rows of one list of the native API.
    pub fn rows(&self, kind: &str, query: &str) -> Vec<Value> {
        let page = self.get(&format!("/api/v1/{kind}?page_size=1000{query}")).json();
        assert_eq!(page["has_next"], false, "a test reads one page");
        page[kind].as_array().unwrap().clone()
    }

    /// One remediation as the native API shows it.
    pub fn remediation(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/remediations/{id}")).json()
    }

    /// The verbs of a remediation's history, in order.
    pub fn verbs(&self, id: &str) -> Vec<String> {
        let history = self.get(&format!("/api/v1/remediations/{id}/history")).json();
        let entries = history["history"].as_array().unwrap();
        entries.iter().map(|entry| entry["verb"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until this instance has a remediation in `state`, and shows it.
    pub fn wait_for(&self, instance: &str, state: &str) -> Value {
        self.wait(&format!("{instance} has a remediation in {state}"), || {
            let found = self.rows("remediations", &format!("&instance_id={instance}"));
            found.iter().find(|row| row["state"] == state).cloned().ok_or_else(|| json!(found).to_string())
        })
    }

    /// Waits until a remediation is in `state`, and shows it.
    pub fn wait_until(&self, id: &str, state: &str) -> Value {
        self.wait(&format!("remediation {id} is {state}"), || {
            let found = self.remediation(id);
            if found["state"] == state { Ok(found) } else { Err(found) }
        })
    }

    /// Waits for anything; the log's end is told where it never comes.
    pub fn wait<T, E: std::fmt::Display>(&self, what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
        eventually(SOON, what, || look().map_err(|seen| format!("{seen}\n{}", self.log_tail())))
    }

    /// Approves in Together's dialect, as its CLI does.
    pub fn approve(&self, remediation: &Value) -> Value {
        self.client.post(&format!("{}/approve", together(remediation)), &json!({"comment": "seen"})).json()
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("the daemon's log ends with:\n{}", tail.join("\n"))
    }

    /// The whole log, of every daemon that ran on this site.
    pub fn log(&self) -> String {
        self.site.read(LOG)
    }

    /// One value of `/metrics`, by its full name with labels.
    pub fn metric(&self, name: &str) -> Option<f64> {
        let text = self.get("/metrics").body;
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the daemon's log goes.
pub const LOG: &str = "daemon.log";

/// The path of a remediation in Together's dialect.
pub fn together(remediation: &Value) -> String {
    let text = |key: &str| remediation[key].as_str().unwrap().to_owned();
    format!("/v1/compute/clusters/{}/instances/{}/remediations/{}", text("cluster_id"), text("instance_id"), text("id"))
}

/// `remedyd serve` for a site.
fn serve(site: &Site) -> Command {
    serve_on(site, site.daemon_address())
}

/// `remedyd serve` for a site, at another address.
pub fn serve_on(site: &Site, address: SocketAddr) -> Command {
    let mut command = remedyd();
    command
        .arg("serve")
        .arg(format!("--config.file={}", site.config_file().display()))
        .arg(format!("--web.listen-address={address}"))
        .arg(format!("--storage.path={}", site.path("data").display()));
    command
}

/// The program.
pub fn remedyd() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remedyd"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).env_remove("REMEDYD_CONFIG_FILE");
    command
}

/// Runs a daemon that is expected to end by itself, and says how and with which words.
pub fn refused(site: &Site, mut command: Command) -> (Option<i32>, String) {
    let path = site.path("refused.log");
    let mut child = command.stderr(File::create(&path).unwrap()).spawn().unwrap();
    let since = Stopwatch::start();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if since.elapsed() > SOON {
            let _ = child.kill();
            let _ = child.wait();
            panic!("it runs on:\n{}", site.read("refused.log"));
        }
        std::thread::park_timeout(Duration::from_millis(10));
    };
    (status.code(), site.read("refused.log"))
}
