//! `remedyd demo` as a newcomer runs it: what it promises happens, and nothing is left of it.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use support::client::Client;
use support::daemon::remedyd;
use support::{SOON, address_of_its_own, eventually};

/// A demo, with a folder for temporary files and an address of its own.
struct Demo {
    child: Child,
    lines: BufReader<ChildStdout>,
    temporary: tempfile::TempDir,
    address: SocketAddr,
    heard: String,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let address = SocketAddr::from((address_of_its_own(), support::DAEMON_PORT));
        let mut command: Command = remedyd();
        command.arg("demo").arg(format!("--web.listen-address={address}")).args(arguments);
        // A terminal's ^C would reach a whole group: the daemon has to be out of it.
        command.env("TMPDIR", temporary.path()).stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines, temporary, address, heard: String::new() }
    }

    fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Reads on until a line holds all of `words`.
    fn hear(&mut self, words: &[&str]) -> String {
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "it ended before {words:?}:\n{}", self.heard);
            self.heard.push_str(&line);
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// It ends with status 0 and leaves no folder, no process and no port. Returns all that it said.
    fn ends(mut self) -> String {
        self.lines.read_to_string(&mut self.heard).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}:\n{}", self.heard);
        let left: Vec<_> = fs::read_dir(self.temporary.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        self.leaves_no_process();
        TcpListener::bind(self.address).expect("its port is free again");
        self.heard
    }

    /// The daemon's arguments name the folder.
    fn leaves_no_process(&self) {
        let folder = self.temporary.path().to_str().unwrap();
        eventually(SOON, "no process of it is left", || {
            let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
            let left: Vec<String> = processes
                .filter_map(|path| fs::read_to_string(path.join("cmdline")).ok())
                .filter(|arguments| arguments.contains(folder))
                .collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
    }
}

/// The node that a line is about.
fn node(line: &str) -> String {
    line.split_whitespace().nth(1).unwrap().to_owned()
}

/// Says yes to the only open proposal of a node, as anybody could.
fn approve(client: &Client, node: &str) {
    let found = client.get("/api/v1/remediations?state=PENDING_APPROVAL").json();
    let rows = found["remediations"].as_array().unwrap();
    let row = rows.iter().find(|row| row["instance_name"] == node).unwrap_or_else(|| panic!("{node}: {found}"));
    let (cluster, id) = (row["cluster_id"].as_str().unwrap(), row["id"].as_str().unwrap());
    let path = format!("/v1/compute/clusters/{cluster}/instances/-/remediations/{id}/approve");
    assert!(client.post(&path, &json!({"comment": "go ahead"})).is_success());
}

#[test]
fn everything_that_it_promises_happens_and_nothing_is_left() {
    // Long enough on a busy machine; the test ends it as soon as it has seen all.
    let mut demo = Demo::start(&["--plain", "--speed=2", "--for=5m", "--seed=7"]);
    let said = demo.hear(&["TOGETHER_BASE_URL="]);
    assert!(said.contains(&demo.address.to_string()), "{said}");
    let client = demo.client();

    let bus = node(&demo.hear(&["FAULT", "fell off the bus (XID 79)"]));
    demo.hear(&["PENDING_APPROVAL", &bus, "prom-gpu-fell-off-bus"]);
    approve(&client, &bus);
    demo.hear(&["PENDING", &bus, "go ahead (by local)"]);

    let stranger = demo.hear(&["UNJOINED"]);
    assert_eq!(node(&stranger), "gpu-999");
    let owner_said_no = node(&demo.hear(&["HELD", "opted_out"]));
    let liar = node(&demo.hear(&["FAULT", "firmware does not answer"]));
    demo.hear(&["PENDING_APPROVAL", &liar, "prom-gpu-firmware-hang"]);
    approve(&client, &liar);
    demo.hear(&["FAILED", &liar, "NOT_CLEARED: the driver said done"]);

    // What came in between, in whichever order.
    let link = demo.heard.lines().find(|line| line.contains("FAULT") && line.contains("rail")).map(node).unwrap();
    for words in [["SUCCEEDED", &bus], ["AUTO_RESOLVED", &link], ["CLEARED", &bus]] {
        let told = |text: &str| text.lines().any(|line| words.iter().all(|word| line.contains(word)));
        if !told(&demo.heard) {
            demo.hear(&words);
        }
    }
    // The alert of the node that is in nobody's hands but its owner's opened nothing.
    let opened = client.get("/api/v1/remediations?page_size=1000").json().to_string();
    assert!(!opened.contains(&format!("\"{owner_said_no}\"")), "{opened}");
    // The kernel's word for the same fault is a second witness, not a second proposal.
    assert_eq!(opened.matches(&format!("\"instance_name\":\"{bus}\"")).count(), 1, "{opened}");

    demo.signal(Signal::TERM);
    let said = demo.ends();
    let last = said.lines().last().unwrap();
    assert!(last.contains("SUCCEEDED") && last.contains("1 FAILED") && last.contains("nothing is left"), "{last}");
}

#[test]
fn it_ends_by_itself_when_its_time_is_over() {
    let said = Demo::start(&["--plain", "--for=1s"]).ends();
    assert!(said.contains("the demo is over: no remediation yet; nothing is left of it"), "{said}");
}

#[test]
fn an_interrupt_ends_it_in_good_order_even_while_it_starts() {
    let demo = Demo::start(&["--plain"]);
    eventually(SOON, "its folder is there", || {
        let begun = fs::read_dir(demo.temporary.path()).unwrap().count() == 1;
        if begun { Ok(()) } else { Err("no folder") }
    });
    demo.signal(Signal::INT);
    demo.ends();
}

#[test]
fn the_daemon_does_not_outlive_a_demo_that_is_killed() {
    let mut demo = Demo::start(&["--plain"]);
    demo.hear(&["In another terminal"]);
    demo.signal(Signal::KILL);
    demo.child.wait().unwrap();
    demo.leaves_no_process();
}

#[test]
fn what_is_kept_can_be_looked_at() {
    let demo = Demo::start(&["--plain", "--for=1s", "--keep"]);
    let (mut child, mut lines) = (demo.child, demo.lines);
    let mut said = String::new();
    lines.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said}");
    let folder = said.lines().last().unwrap().split("kept: ").nth(1).unwrap();
    let config = Path::new(folder).join("remedyd.toml");
    let checked = remedyd().arg("check").arg(format!("--config.file={}", config.display())).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let store = format!("--storage.path={folder}/data");
    assert!(remedyd().args(["audit", "verify", &store]).output().unwrap().status.success());
}

#[test]
fn an_address_that_is_taken_or_open_to_others_is_refused() {
    let taken = TcpListener::bind(SocketAddr::from((address_of_its_own(), 0))).unwrap();
    for (address, status, why) in [
        (taken.local_addr().unwrap().to_string(), 1, "cannot listen on"),
        ("0.0.0.0:0".to_owned(), 2, "everybody who connects to a demo is admin"),
    ] {
        let asked = format!("--web.listen-address={address}");
        let refused = remedyd().args(["demo", "--plain", "--for=1s", &asked]).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(status), "{said}");
        assert!(said.contains(why), "{said}");
    }
}

/// What a person sees on a terminal who does these things, as screens between rules.
fn recorded(size: &str, steps: &str, demo: &[&str]) -> String {
    let temporary = tempfile::tempdir().unwrap();
    let python = std::env::var("REMEDYD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/demo/record.py");
    let mut command = Command::new(python);
    command.arg(record).args(["--size", size, "--do", steps]);
    // The first frame begins the minute.
    command.args(["--clock-from", "simulated nodes   0:", "--", env!("CARGO_BIN_EXE_remedyd"), "demo"]).args(demo);
    let listen = format!("--web.listen-address={}:{}", address_of_its_own(), support::DAEMON_PORT);
    let output = command.arg(listen).env("TMPDIR", temporary.path()).env_remove("NO_COLOR").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read_dir(temporary.path()).unwrap().next().is_none(), "its folder is gone");
    said
}

#[test]
fn on_a_terminal_the_frame_is_drawn_in_place_and_keys_answer() {
    let steps = "your approval:show,your approval:a,RUNNING:show,1 SUCCEEDED:show,1 SUCCEEDED:q";
    let said = recorded("100x30", steps, &["--speed=2"]);
    let screens: Vec<&str> = said.split("-----").filter(|screen| screen.contains("remedyd demo   64")).collect();
    for words in [" approve the oldest", "? wants approval", "PENDING_APPROVAL", "your approval"] {
        assert!(screens[0].contains(words), "{words}:\n{said}");
    }
    // One frame on the screen, however many were drawn.
    assert_eq!(said.matches(" remedyd demo   64 simulated nodes").count(), screens.len(), "{said}");
    assert!(said.contains("SUCCEEDED"), "{said}");
    assert!(said.ends_with("exit status 0, the terminal is as it was\n"), "{said}");
}
